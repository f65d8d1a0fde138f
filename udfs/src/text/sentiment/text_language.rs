//! `text_language`: the language of a text.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::language::language;
use crate::args::{evaluate, expect_arity, text_column, text_type};

#[user_doc(
    doc_section(label = "Text"),
    description = "The language of a text: `zh`, `en` or `other`, by its letters and commonest words. Chinese has no fewer Han characters than words in Latin letters and no letters of Japanese or Korean; English has more words that English commonly uses, or that tell of goods and feelings in it, than common words of other languages or words with letters that English lacks. A text without letters is `other`.",
    syntax_example = "text_language(text)",
    sql_example = "```sql\nselect text_language('iPhone 很好用');  -- 'zh'\nselect text_language('la calidad es buena');  -- 'other'\n```",
    argument(name = "text", description = "A text; NULL gives NULL."),
    related_udf(name = "text_sentiment")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct TextLanguage {
    signature: Signature,
}

impl Default for TextLanguage {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for TextLanguage {
    fn name(&self) -> &str {
        "text_language"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["text"])?;
        Ok(vec![text_type(self.name(), "text", &types[0])?])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&args, |rows| Ok(Arc::new(languages(&text_column(&args, 0, rows)?)) as ArrayRef))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn languages(texts: &StringArray) -> StringArray {
    texts.iter().map(|text| text.map(|text| language(text).name())).collect()
}
