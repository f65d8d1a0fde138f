//! `density_segment_name`: the name of a dense segment, or of none.

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::segment_name::{NamesSegments, name_types, named};
use crate::model::DensityModel;

/// The names of what belongs to no segment, English and Chinese.
const NOISE: &str = "noise";
const NOISE_ZH: &str = "噪声";

impl NamesSegments for DensityModel {
    fn place(&self, segment: i32) -> Result<usize> {
        self.place(segment)
    }

    fn names(&self, chinese: bool) -> &[String] {
        if chinese { &self.names_zh } else { &self.names }
    }

    fn nobody(chinese: bool) -> Option<&'static str> {
        Some(if chinese { NOISE_ZH } else { NOISE })
    }
}

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
        name_types::<DensityModel>(self.name(), types)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        named::<DensityModel>(self.name(), &args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, StringArray};

    use super::super::segment_name::segment_names;
    use crate::model::density_tests::model;

    #[test]
    fn names_noise_and_strangers() {
        let mut model = model();
        (model.segments, model.next_segment) = (vec![0, 4], 5);
        let names = |ids: Vec<Option<i32>>, chinese| segment_names(&Int32Array::from(ids), &model, chinese);
        let found = names(vec![Some(4), None, Some(0)], false).unwrap();
        assert_eq!(found, StringArray::from(vec!["round", "noise", "long"]));
        let found = names(vec![Some(4), None], true).unwrap();
        assert_eq!(found, StringArray::from(vec!["圆", "噪声"]));
        let message = names(vec![Some(1)], false).unwrap_err().to_string();
        assert!(message.contains("segment 1") && message.contains("0, 4"), "{message}");
    }
}
