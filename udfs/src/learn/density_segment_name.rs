//! `density_segment_name`: the name of a dense segment, or of none.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Int32Array, StringArray, StringBuilder, new_null_array};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::args::{column, constant, evaluate, expect_arity, text_type};
use crate::model::{DensityModel, density_model_type, model_argument_type};

/// The names of what belongs to no segment, English and Chinese.
const NOISE: &str = "noise";
const NOISE_ZH: &str = "噪声";

#[user_doc(
    doc_section(label = "Models"),
    description = "The name that the model gives to a dense segment, in English or Chinese; `noise` or `噪声` for a segment of NULL. A segment that the model does not have is an error.",
    syntax_example = "density_segment_name(segment, model[, language])",
    argument(name = "segment", description = "The id of a segment; NULL gives `noise`."),
    argument(name = "model", description = "A density model (`kind: hdbscan`), constant; NULL gives NULL."),
    argument(name = "language", description = "'en', the default, or 'zh'; constant."),
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
        let names = ["segment", "model", "language"];
        expect_arity(self.name(), types, if types.len() == 3 { &names } else { &names[..2] })?;
        if !types[0].is_integer() && !types[0].is_null() {
            return plan_err!("density_segment_name: argument segment must be an integer, not {}", types[0]);
        }
        let mut coerced =
            vec![DataType::Int32, model_argument_type(self.name(), &types[1], &density_model_type())?];
        if let Some(language) = types.get(2) {
            coerced.push(text_type(self.name(), "language", language)?);
        }
        Ok(coerced)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
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
                        "density_segment_name: language '{other}' is not known; use 'en' or 'zh'"
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
                return internal_err!("density_segment_name: expected Int32, found {}", array.data_type());
            };
            let model = DensityModel::from_scalar(model)?;
            let (names, noise) = if chinese { (&model.names_zh, NOISE_ZH) } else { (&model.names, NOISE) };
            Ok(Arc::new(segment_names(segments, &model, names, noise)?))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn segment_names(
    segments: &Int32Array,
    model: &DensityModel,
    names: &[String],
    noise: &str,
) -> Result<StringArray> {
    let mut found = StringBuilder::new();
    for segment in segments {
        let place = segment.map(|segment| model.place(segment)).transpose()?;
        found.append_value(place.map_or(noise, |place| &names[place]));
    }
    Ok(found.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::density_tests::model;

    #[test]
    fn names_noise_and_strangers() {
        let mut model = model();
        (model.segments, model.next_segment) = (vec![0, 4], 5);
        let names =
            |ids: Vec<Option<i32>>, names, noise| segment_names(&Int32Array::from(ids), &model, names, noise);
        let found = names(vec![Some(4), None, Some(0)], &model.names, NOISE).unwrap();
        assert_eq!(found, StringArray::from(vec!["round", "noise", "long"]));
        let found = names(vec![Some(4), None], &model.names_zh, NOISE_ZH).unwrap();
        assert_eq!(found, StringArray::from(vec!["圆", "噪声"]));
        let message = names(vec![Some(1)], &model.names, NOISE).unwrap_err().to_string();
        assert!(message.contains("segment 1") && message.contains("0, 4"), "{message}");
    }
}
