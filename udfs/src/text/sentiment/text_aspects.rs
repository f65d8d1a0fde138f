//! `text_aspects`: what a text praises or blames.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Builder, ListArray, StringArray, StringBuilder, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use arrow::buffer::OffsetBuffer;

use super::aspects::aspect_opinions;
use crate::args::{evaluate, expect_arity, nullable_fields, text_column, text_type};

#[user_doc(
    doc_section(label = "Text"),
    description = "What a text praises or blames: a list of structs of `aspect` (`quality`, `price`, `delivery`, `service`, `fit`, `packaging`, `effect`), `polarity` and `score` (as of `text_sentiment`), in the order in which the text comes to them, each once. An aspect gets what the clauses say that name it, and those after them that name none, up to a contrast such as 但是 or `but`; what names an aspect counts before what only suggests one. Empty when it speaks of none, and in other languages than Chinese and English.",
    syntax_example = "text_aspects(text)",
    sql_example = "```sql\nselect text_aspects('物流很慢，但是客服态度很好');\n-- [{delivery, negative, -0.4497}, {service, positive, 0.4588}]\n```",
    argument(name = "text", description = "A review or a dialogue; NULL gives NULL."),
    related_udf(name = "text_sentiment")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct TextAspects {
    signature: Signature,
}

impl Default for TextAspects {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

fn fields() -> Fields {
    nullable_fields(&[("aspect", DataType::Utf8), ("polarity", DataType::Utf8), ("score", DataType::Float64)])
}

fn item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Struct(fields()), true))
}

fn list() -> DataType {
    DataType::List(item())
}

impl ScalarUDFImpl for TextAspects {
    fn name(&self) -> &str {
        "text_aspects"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["text"])?;
        Ok(vec![text_type(self.name(), "text", &types[0])?])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(list())
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&args, |rows| Ok(Arc::new(aspects(&text_column(&args, 0, rows)?)) as ArrayRef))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn aspects(texts: &StringArray) -> ListArray {
    let (mut names, mut polarities) = (StringBuilder::new(), StringBuilder::new());
    let (mut scores, mut lengths) = (Float64Builder::new(), Vec::with_capacity(texts.len()));
    for text in texts {
        let opinions = text.map(aspect_opinions).unwrap_or_default();
        lengths.push(opinions.len());
        for opinion in opinions {
            names.append_value(opinion.aspect.name());
            polarities.append_value(opinion.polarity.name());
            scores.append_value(opinion.score);
        }
    }
    let columns: Vec<ArrayRef> =
        vec![Arc::new(names.finish()), Arc::new(polarities.finish()), Arc::new(scores.finish())];
    let values = StructArray::new(fields(), columns, None);
    ListArray::new(item(), OffsetBuffer::from_lengths(lengths), Arc::new(values), texts.logical_nulls())
}
