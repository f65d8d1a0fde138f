//! `kmeans_grid`: the nearest segment of a vector, and the scaled vector in numbers that add up exactly.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, Decimal128Builder, Int32Builder, Int64Array, ListArray, NullBufferBuilder, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::{each_scaled, of_vectors, vector_and_model};
use crate::args::nullable_fields;
use crate::model::{KmeansModel, NearestCentroids, on_grid, squared_steps, steps};

const SQUARED: DataType = DataType::Decimal128(38, 0);

static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    nullable_fields(&[
        ("place", DataType::Int32),
        ("squared", SQUARED),
        ("steps", DataType::List(item_field())),
    ])
});

fn item_field() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Int64, true))
}

#[user_doc(
    doc_section(label = "Models"),
    description = "The segment whose centroid is nearest to a vector, and the vector in scaled space as whole numbers of 2^-32, whose sums are exact in any order: a struct of `place` (that of the segment among the model's, from 0), `squared` (the squared distance, in such steps) and `steps` (a number each feature). The means of `steps` at each place are the centroids of the next step of Lloyd's iteration. NULL or NaN entries count as the feature's centre.",
    syntax_example = "kmeans_grid(vector, model)",
    sql_example = "```sql\nselect kmeans_grid([recency, frequency, monetary], $behaviour_model)['squared'] from features;\n```",
    argument(
        name = "vector",
        description = "A list of numbers in the order of the model's features; NULL gives NULL."
    ),
    argument(name = "model", description = "A k-means model, constant; NULL gives NULL."),
    related_udf(name = "kmeans_assign"),
    related_udf(name = "vector_sum")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct KmeansGrid {
    signature: Signature,
}

impl Default for KmeansGrid {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for KmeansGrid {
    fn name(&self) -> &str {
        "kmeans_grid"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        vector_and_model::<KmeansModel>(self.name(), types)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(FIELDS.clone()))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        of_vectors(self.name(), &args, |vectors, model| Ok(Arc::new(place(vectors, model)?)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// Places each vector (a list of d Float64) on the grid.
fn place(vectors: &ListArray, model: &KmeansModel) -> Result<StructArray> {
    let rows = vectors.len();
    let mut places = Int32Builder::with_capacity(rows);
    let mut squares = Decimal128Builder::with_capacity(rows).with_data_type(SQUARED);
    let mut values: Vec<i64> = Vec::with_capacity(rows * model.d());
    let mut lengths = Vec::with_capacity(rows);
    let mut nulls = NullBufferBuilder::new(rows);
    let mut point = vec![0.0; model.d()];
    let centroids = NearestCentroids::new(model);
    each_scaled(vectors, model, |scaled| {
        nulls.append(scaled.is_some());
        lengths.push(scaled.map_or(0, <[f64]>::len));
        let Some(scaled) = scaled else {
            places.append_null();
            squares.append_null();
            return;
        };
        for (value, scaled) in point.iter_mut().zip(scaled) {
            *value = on_grid(*scaled);
        }
        values.extend(point.iter().map(|value| steps(*value)));
        let (place, squared, _) = centroids.two(&point);
        // a list array holds at most i32::MAX numbers, so a place fits
        places.append_value(place as i32);
        squares.append_value(squared_steps(squared));
    })?;
    let values = Arc::new(Int64Array::from(values));
    let lists = ListArray::try_new(item_field(), OffsetBuffer::from_lengths(lengths), values, None)?;
    let columns: Vec<ArrayRef> = vec![Arc::new(places.finish()), Arc::new(squares.finish()), Arc::new(lists)];
    Ok(StructArray::try_new(FIELDS.clone(), columns, nulls.finish())?)
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{Decimal128Type, Int32Type, Int64Type};

    use super::super::kmeans_assign::tests::{model, vectors};
    use super::*;
    use crate::model::GRID;

    #[test]
    fn segment_distance_and_whole_steps() {
        // the model halves the second feature
        let rows = vectors(vec![
            Some(vec![Some(3.0), Some(9.0)]),
            None,
            Some(vec![None, Some(1e-12)]),
            Some(vec![Some(-0.25), Some(20.0)]),
        ]);
        let placed = place(&rows, &model()).unwrap();
        assert!(placed.is_null(1));
        let segments = placed.column(0).as_primitive::<Int32Type>();
        assert_eq!(segments.iter().collect::<Vec<_>>(), [Some(1), None, Some(0), Some(2)]);
        let step = GRID as i128;
        let squares = placed.column(1).as_primitive::<Decimal128Type>();
        assert_eq!(squares.iter().collect::<Vec<_>>(), [Some(step / 4), None, Some(0), Some(step / 16)]);
        let steps = placed.column(2).as_list::<i32>();
        let of = |row: usize| steps.value(row).as_primitive::<Int64Type>().values().to_vec();
        let step = GRID as i64;
        assert_eq!(of(0), [3 * step, 9 * step / 2]);
        assert_eq!(of(2), [0, 0]);
        assert_eq!(of(3), [-step / 4, 10 * step]);
    }
}
