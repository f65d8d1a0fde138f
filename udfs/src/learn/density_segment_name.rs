//! `density_segment_name`: the name of a dense segment, or of none.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Int32Array, StringArray, StringBuilder, new_null_array};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::args::{column, constant, evaluate, expect_arity};
use crate::model::{DensityModel, density_model_type, model_argument_type};

/// The name of what belongs to no segment.
const NOISE: &str = "noise";

#[user_doc(
    doc_section(label = "Models"),
    description = "The name that the model gives to a dense segment; `noise` for a segment of NULL. A segment that the model does not have is an error.",
    syntax_example = "density_segment_name(segment, model)",
    argument(name = "segment", description = "A segment from 0; NULL gives `noise`."),
    argument(name = "model", description = "A density model (`kind: hdbscan`), constant; NULL gives NULL."),
    related_udf(name = "density_assign")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct DensitySegmentName {
    signature: Signature,
}

impl Default for DensitySegmentName {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for DensitySegmentName {
    fn name(&self) -> &str {
        "density_segment_name"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["segment", "model"])?;
        if !types[0].is_integer() && !types[0].is_null() {
            return plan_err!("density_segment_name: argument segment must be an integer, not {}", types[0]);
        }
        Ok(vec![DataType::Int32, model_argument_type(self.name(), &types[1], &density_model_type())?])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let model = constant(self.name(), "model", &args, 1)?;
        evaluate(&args, |rows| {
            if model.is_null() {
                return Ok(new_null_array(&DataType::Utf8, rows));
            }
            let array = column(&args, 0, rows)?;
            let Some(segments) = array.as_primitive_opt::<Int32Type>() else {
                return internal_err!("density_segment_name: expected Int32, found {}", array.data_type());
            };
            Ok(Arc::new(segment_names(segments, &DensityModel::from_scalar(model)?)?))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn segment_names(segments: &Int32Array, model: &DensityModel) -> Result<StringArray> {
    let mut names = StringBuilder::new();
    for segment in segments {
        names.append_value(segment.map_or(Ok(NOISE), |segment| model.name(segment))?);
    }
    Ok(names.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::density_tests::model;

    #[test]
    fn names_noise_and_strangers() {
        let names = segment_names(&Int32Array::from(vec![Some(1), None, Some(0)]), &model()).unwrap();
        assert_eq!(names, StringArray::from(vec!["round", "noise", "long"]));
        let message = segment_names(&Int32Array::from(vec![2]), &model()).unwrap_err().to_string();
        assert!(message.contains("segment 2") && message.contains("0 to 1"), "{message}");
    }
}
