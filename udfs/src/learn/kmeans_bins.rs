//! `kmeans_bins`: where a vector lies among the training sample, feature by feature.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Array, ListArray, NullBufferBuilder};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::{each_vector, of_vectors, vector_and_model};
use crate::args::integer_list;
use crate::model::{BINS, KmeansModel};

#[user_doc(
    doc_section(label = "Models"),
    description = "The bin of each feature of a vector among the tenths of the sample that the model was trained on, as one number a feature: 11 times the feature's place (from 0) plus the number of cut points below the value (0 to 9), or plus 10 for NULL and NaN. Counted over all rows, beside the model's `shares`, these say how far a population has moved away from the sample; see `population_stability`.",
    syntax_example = "kmeans_bins(vector, model)",
    sql_example = "```sql\nselect unnest(kmeans_bins([recency, frequency, monetary], $behaviour_model)) as bin from features;\n```",
    argument(
        name = "vector",
        description = "A list of numbers in the order of the model's features; NULL gives NULL."
    ),
    argument(name = "model", description = "A k-means model, constant; NULL gives NULL."),
    related_udf(name = "population_stability")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct KmeansBins {
    signature: Signature,
}

impl Default for KmeansBins {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for KmeansBins {
    fn name(&self) -> &str {
        "kmeans_bins"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        vector_and_model::<KmeansModel>(self.name(), types)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(integer_list())
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        of_vectors(self.name(), &args, bins)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// The bins of each vector (a list of d Float64): d numbers a row.
fn bins(vectors: &ListArray, model: &KmeansModel) -> Result<ArrayRef> {
    let mut codes: Vec<i32> = Vec::with_capacity(vectors.len() * model.d());
    let mut lengths = Vec::with_capacity(vectors.len());
    let mut nulls = NullBufferBuilder::new(vectors.len());
    each_vector(vectors, model, |row| {
        nulls.append(row.is_some());
        lengths.push(row.as_ref().map_or(0, |_| model.d()));
        if let Some(row) = row {
            let of_feature = |f: usize| (f * BINS + model.bin(f, row.value(f))) as i32;
            codes.extend((0..model.d()).map(of_feature));
        }
    })?;
    let item = Arc::new(Field::new_list_field(DataType::Int32, true));
    let items = Arc::new(Int32Array::from(codes));
    Ok(Arc::new(ListArray::try_new(item, OffsetBuffer::from_lengths(lengths), items, nulls.finish())?))
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Int32Type;

    use super::super::kmeans_assign::tests::{model, vectors};
    use super::*;

    #[test]
    fn a_number_for_each_feature_and_bin() {
        let mut model = model();
        model.cuts = (1..=9).chain(11..=19).map(f64::from).collect();
        let rows = vectors(vec![Some(vec![Some(1.0), Some(12.5)]), None, Some(vec![None, Some(99.0)])]);
        let found = bins(&rows, &model).unwrap();
        let found = found.as_list::<i32>();
        let of = |row: usize| found.value(row).as_primitive::<Int32Type>().values().to_vec();
        assert_eq!((of(0), of(2)), (vec![0, 11 + 2], vec![10, 11 + 9]));
        assert!(found.is_null(1));
    }
}
