//! `vader_compound`: the compound score of VADER.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::vader::compound;
use crate::args::{evaluate, expect_arity, text_column, text_type};

#[user_doc(
    doc_section(label = "Text"),
    description = "Scores an English text from -1 to 1 as VADER does (Hutto and Gilbert 2014; rules and lexicon of vaderSentiment 3.3.2): words and emoticons, degree words, negation within three words, contrast after `but`, capitals, exclamation and question marks, idioms, emoji. Four decimals. From 0.05 on a text counts as positive, from -0.05 down as negative.",
    syntax_example = "vader_compound(text)",
    sql_example = "```sql\nselect vader_compound('The book was good.');  -- 0.4404\n```",
    argument(name = "text", description = "An English text of any length, sentences best; NULL gives NULL."),
    related_udf(name = "text_sentiment")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct VaderCompound {
    signature: Signature,
}

impl Default for VaderCompound {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for VaderCompound {
    fn name(&self) -> &str {
        "vader_compound"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["text"])?;
        Ok(vec![text_type(self.name(), "text", &types[0])?])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&args, |rows| Ok(Arc::new(scores(&text_column(&args, 0, rows)?)) as ArrayRef))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn scores(texts: &StringArray) -> Float64Array {
    texts.iter().map(|text| text.map(compound)).collect()
}
