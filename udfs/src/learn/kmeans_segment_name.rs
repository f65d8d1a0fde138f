//! `kmeans_segment_name`: the name of a segment.

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::segment_name::{NamesSegments, name_types, named};
use crate::model::KmeansModel;

impl NamesSegments for KmeansModel {
    fn place(&self, segment: i32) -> Result<usize> {
        self.place(segment)
    }

    fn names(&self, chinese: bool) -> &[String] {
        if chinese { &self.names_zh } else { &self.names }
    }

    fn nobody(_chinese: bool) -> Option<&'static str> {
        None
    }
}

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
        name_types::<KmeansModel>(self.name(), types)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        named::<KmeansModel>(self.name(), &args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, StringArray};

    use super::super::kmeans_assign::tests::model;
    use super::super::segment_name::segment_names;

    #[test]
    fn names_nulls_and_strangers() {
        let mut model = model();
        (model.segments, model.next_segment) = (vec![0, 1, 4], 5);
        let names = |ids: Vec<Option<i32>>| segment_names(&Int32Array::from(ids), &model, false);
        let found = names(vec![Some(4), None, Some(0)]).unwrap();
        assert_eq!(found, StringArray::from(vec![Some("far"), None, Some("near")]));
        let message = names(vec![Some(3)]).unwrap_err().to_string();
        assert!(message.contains("segment 3") && message.contains("0, 1, 4"), "{message}");
    }
}
