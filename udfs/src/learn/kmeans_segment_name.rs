//! `kmeans_segment_name`: the name of a segment.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Int32Array, StringArray, StringBuilder, new_null_array};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::args::{column, constant, evaluate, expect_arity, text_type};
use crate::model::{KmeansModel, kmeans_model_type, model_argument_type};

#[user_doc(
    doc_section(label = "Models"),
    description = "The name that the model gives to a segment, in English or Chinese. A segment that the model does not have is an error.",
    syntax_example = "kmeans_segment_name(segment, model[, language])",
    sql_example = "```sql\nselect kmeans_segment_name(segment, $behaviour_model, 'zh') from segments.segments;\n```",
    argument(name = "segment", description = "The id of a segment; NULL gives NULL."),
    argument(name = "model", description = "A k-means model, constant; NULL gives NULL."),
    argument(name = "language", description = "'en', the default, or 'zh'; constant."),
    related_udf(name = "kmeans_assign")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct KmeansSegmentName {
    signature: Signature,
}

impl Default for KmeansSegmentName {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for KmeansSegmentName {
    fn name(&self) -> &str {
        "kmeans_segment_name"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let names = ["segment", "model", "language"];
        expect_arity(self.name(), types, if types.len() == 3 { &names } else { &names[..2] })?;
        if !(types[0].is_null() || types[0].is_integer()) {
            return plan_err!("kmeans_segment_name: argument segment must be an integer, not {}", types[0]);
        }
        let mut coerced =
            vec![DataType::Int32, model_argument_type(self.name(), &types[1], &kmeans_model_type())?];
        if let Some(language) = types.get(2) {
            coerced.push(text_type(self.name(), "language", language)?);
        }
        Ok(coerced)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let model = constant(self.name(), "model", &args, 1)?;
        let chinese = match args.args.len() {
            3 => match constant(self.name(), "language", &args, 2)?.try_as_str().flatten() {
                Some("en") => false,
                Some("zh") => true,
                other => {
                    let other = other.unwrap_or("NULL");
                    return plan_err!(
                        "kmeans_segment_name: language '{other}' is not known; use 'en' or 'zh'"
                    );
                }
            },
            _ => false,
        };
        evaluate(&args, |rows| {
            if model.is_null() {
                return Ok(new_null_array(&DataType::Utf8, rows));
            }
            let array = column(&args, 0, rows)?;
            let Some(segments) = array.as_primitive_opt::<Int32Type>() else {
                return internal_err!("kmeans_segment_name: expected Int32, found {}", array.data_type());
            };
            let model = KmeansModel::from_scalar(model)?;
            let names = if chinese { &model.names_zh } else { &model.names };
            Ok(Arc::new(segment_names(segments, &model, names)?))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn segment_names(segments: &Int32Array, model: &KmeansModel, names: &[String]) -> Result<StringArray> {
    let mut found = StringBuilder::new();
    for segment in segments {
        let place = segment.map(|segment| model.place(segment)).transpose()?;
        found.append_option(place.map(|place| &names[place]));
    }
    Ok(found.finish())
}

#[cfg(test)]
mod tests {
    use super::super::kmeans_assign::tests::model;
    use super::*;

    #[test]
    fn names_nulls_and_strangers() {
        let mut model = model();
        (model.segments, model.next_segment) = (vec![0, 1, 4], 5);
        let names = |ids: Vec<Option<i32>>| segment_names(&Int32Array::from(ids), &model, &model.names);
        let found = names(vec![Some(4), None, Some(0)]).unwrap();
        assert_eq!(found, StringArray::from(vec![Some("far"), None, Some("near")]));
        let message = names(vec![Some(3)]).unwrap_err().to_string();
        assert!(message.contains("segment 3") && message.contains("0, 1, 4"), "{message}");
    }
}
