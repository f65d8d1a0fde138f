//! `kmeans_scale`: a vector in the space in which a k-means model measures distances.

use std::sync::Arc;

use arrow::array::{Array, Float64Array, ListArray, NullBufferBuilder};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::{each_scaled, of_vectors, vector_and_model};
use crate::args::float_list;
use crate::model::KmeansModel;

#[user_doc(
    doc_section(label = "Models"),
    description = "The vector as the model compares it: each entry transformed, centred, scaled and clipped. The Euclidean distance of two such vectors is what `kmeans_assign` calls `distance`. NULL or NaN entries count as the feature's centre, which is 0.",
    syntax_example = "kmeans_scale(vector, model)",
    sql_example = "```sql\nselect array_distance(kmeans_scale([recency, frequency, monetary], $behaviour_model), [0.0, 0.0, 0.0]) from features;\n```",
    argument(
        name = "vector",
        description = "A list of numbers in the order of the model's features; NULL gives NULL."
    ),
    argument(name = "model", description = "A k-means model, constant; NULL gives NULL."),
    related_udf(name = "kmeans_assign"),
    related_udf(name = "kmeans_grid")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct KmeansScale {
    signature: Signature,
}

impl Default for KmeansScale {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for KmeansScale {
    fn name(&self) -> &str {
        "kmeans_scale"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        vector_and_model::<KmeansModel>(self.name(), types)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(float_list())
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        of_vectors(self.name(), &args, |vectors, model| Ok(Arc::new(scale(vectors, model)?)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// Scales each vector (a list of d Float64); the result is a list of d Float64 a row, without unit.
fn scale(vectors: &ListArray, model: &KmeansModel) -> Result<ListArray> {
    let mut values = Vec::with_capacity(vectors.len() * model.d());
    let mut lengths = Vec::with_capacity(vectors.len());
    let mut nulls = NullBufferBuilder::new(vectors.len());
    each_scaled(vectors, model, |scaled| {
        let scaled = scaled.inspect(|scaled| values.extend_from_slice(scaled));
        nulls.append(scaled.is_some());
        lengths.push(scaled.map_or(0, <[f64]>::len));
    })?;
    let item = Arc::new(Field::new_list_field(DataType::Float64, true));
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(ListArray::try_new(item, offsets, Arc::new(Float64Array::from(values)), nulls.finish())?)
}

#[cfg(test)]
mod tests {
    use super::super::kmeans_assign::tests::{model, vectors};
    use super::*;
    use crate::learn::assign;
    use arrow::array::AsArray;
    use arrow::datatypes::Float64Type;

    #[test]
    fn scaled_values_nulls_and_slices() {
        // the model halves the second feature and clips at 100
        let rows = vectors(vec![
            Some(vec![Some(3.0), Some(9.0)]),
            None,
            Some(vec![None, Some(f64::NAN)]),
            Some(vec![Some(-1e9), Some(5.0)]),
        ]);
        let scaled = scale(&rows, &model()).unwrap();
        let expected = vectors(vec![
            Some(vec![Some(3.0), Some(4.5)]),
            None,
            Some(vec![Some(0.0), Some(0.0)]),
            Some(vec![Some(-100.0), Some(2.5)]),
        ]);
        assert_eq!(scaled, expected);
        assert_eq!(scale(&rows.slice(2, 2), &model()).unwrap(), expected.slice(2, 2));
        assert_eq!(scaled.data_type(), &float_list());
    }

    #[test]
    fn distances_are_those_of_the_assignment() {
        let rows = vectors(vec![Some(vec![Some(3.0), Some(9.0)])]);
        let scaled = scale(&rows, &model()).unwrap().value(0);
        let scaled = scaled.as_primitive::<Float64Type>().values().to_vec();
        let assigned = assign(&rows, &model()).unwrap();
        let distance = assigned.column(1).as_primitive::<Float64Type>().value(0);
        assert_eq!(distance, (scaled[0] - 3.0).hypot(scaled[1] - 4.0));
    }
}
