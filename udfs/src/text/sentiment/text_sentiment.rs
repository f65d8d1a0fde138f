//! `text_sentiment`: whether a text praises or blames.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Builder, StringArray, StringBuilder, StructArray};
use arrow::datatypes::{DataType, Fields};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::language::Language;
use super::reading::{Polarity, read};
use crate::args::{evaluate, expect_arity, nullable_fields, text_column, text_type};

#[user_doc(
    doc_section(label = "Text"),
    description = "Whether a text praises or blames, as a struct of `language` (`zh`, `en`, `other`), `score` (-1 to 1, four decimals) and `polarity` (`positive` from 0.05 on, `negative` from -0.05 down, else `neutral`); the last two are NULL in other languages. English is read by the rules of VADER with words about goods and shops added to its lexicon. Chinese, of traditional characters too, is cut into words by jieba and read by a lexicon of its own: degree words and negation within three words of a clause, too much of a measure, emphasis; before 但是 a clause counts half and after it one and a half times, after 不过 half. Of a dialogue, whose lines begin with a speaker and a colon, only the customer is heard.",
    syntax_example = "text_sentiment(text)",
    sql_example = "```sql\nselect text_sentiment('质量很好，就是有点贵')['polarity'];  -- 'positive'\nselect text_sentiment('it broke after two days')['polarity'];  -- 'negative'\n```",
    argument(name = "text", description = "A review or a dialogue; NULL gives NULL."),
    related_udf(name = "text_aspects")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct TextSentiment {
    signature: Signature,
}

impl Default for TextSentiment {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

fn fields() -> Fields {
    nullable_fields(&[
        ("language", DataType::Utf8),
        ("score", DataType::Float64),
        ("polarity", DataType::Utf8),
    ])
}

impl ScalarUDFImpl for TextSentiment {
    fn name(&self) -> &str {
        "text_sentiment"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["text"])?;
        Ok(vec![text_type(self.name(), "text", &types[0])?])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(fields()))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&args, |rows| Ok(Arc::new(sentiments(&text_column(&args, 0, rows)?)) as ArrayRef))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn sentiments(texts: &StringArray) -> StructArray {
    let (mut languages, mut polarities) = (StringBuilder::new(), StringBuilder::new());
    let mut scores = Float64Builder::with_capacity(texts.len());
    for text in texts {
        let reading = text.and_then(read);
        let language = reading.as_ref().map_or(Language::Other, |reading| reading.language);
        languages.append_option(text.map(|_| language.name()));
        scores.append_option(reading.as_ref().map(|reading| reading.score));
        polarities.append_option(reading.map(|reading| Polarity::of(reading.score).name()));
    }
    let columns: Vec<ArrayRef> =
        vec![Arc::new(languages.finish()), Arc::new(scores.finish()), Arc::new(polarities.finish())];
    StructArray::new(fields(), columns, texts.logical_nulls())
}
