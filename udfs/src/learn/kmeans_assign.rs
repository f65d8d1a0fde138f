//! `kmeans_assign`: the nearest segment of a vector, and by how much it is the nearest.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, Float64Builder, Int32Builder, ListArray, NullBufferBuilder, StructArray,
};
use arrow::datatypes::{DataType, Fields};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::{each_scaled, of_vectors, vector_and_model};
use crate::args::nullable_fields;
use crate::model::{KmeansModel, NearestCentroids};

static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    nullable_fields(&[
        ("segment", DataType::Int32),
        ("distance", DataType::Float64),
        ("runner_up", DataType::Int32),
        ("margin", DataType::Float64),
    ])
});

/// The type of an assignment: a struct of `segment`, `distance`, `runner_up` and `margin`.
pub fn assignment_type() -> DataType {
    DataType::Struct(FIELDS.clone())
}

#[user_doc(
    doc_section(label = "Models"),
    description = "The segment whose centroid is nearest to a vector: a struct of `segment` (its id), `distance` (Euclidean, in scaled space), `runner_up` (the next segment) and `margin` (its distance minus the first; both NULL when the model has one segment). Ties go to the lower segment. NULL or NaN entries count as the feature's centre. A vector of another length than the model's features is an error.",
    syntax_example = "kmeans_assign(vector, model)",
    sql_example = "```sql\nselect kmeans_assign([recency, frequency, monetary], $behaviour_model)['segment'] from features;\n```",
    argument(
        name = "vector",
        description = "A list of numbers in the order of the model's features; NULL gives NULL."
    ),
    argument(name = "model", description = "A k-means model, constant; NULL gives NULL."),
    related_udf(name = "kmeans_explain"),
    related_udf(name = "kmeans_segment_name")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct KmeansAssign {
    signature: Signature,
}

impl Default for KmeansAssign {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for KmeansAssign {
    fn name(&self) -> &str {
        "kmeans_assign"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        vector_and_model::<KmeansModel>(self.name(), types)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(assignment_type())
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        of_vectors(self.name(), &args, |vectors, model| Ok(Arc::new(assign(vectors, model)?)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// Assigns each vector (a list of d Float64) to its nearest segment; the result is of [`assignment_type`].
pub fn assign(vectors: &ListArray, model: &KmeansModel) -> Result<StructArray> {
    let rows = vectors.len();
    let (mut segments, mut distances) =
        (Int32Builder::with_capacity(rows), Float64Builder::with_capacity(rows));
    let (mut runners_up, mut margins) =
        (Int32Builder::with_capacity(rows), Float64Builder::with_capacity(rows));
    let mut nulls = NullBufferBuilder::new(rows);
    let centroids = NearestCentroids::new(model);
    each_scaled(vectors, model, |scaled| {
        let nearest = scaled.map(|scaled| centroids.two(scaled));
        let distance = nearest.map(|(_, squared, _)| squared.sqrt());
        let runner_up = nearest.and_then(|(_, _, runner_up)| runner_up);
        nulls.append(nearest.is_some());
        segments.append_option(nearest.map(|(place, _, _)| model.segments[place]));
        distances.append_option(distance);
        runners_up.append_option(runner_up.map(|(place, _)| model.segments[place]));
        margins
            .append_option(runner_up.zip(distance).map(|((_, squared), distance)| squared.sqrt() - distance));
    })?;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(segments.finish()),
        Arc::new(distances.finish()),
        Arc::new(runners_up.finish()),
        Arc::new(margins.finish()),
    ];
    Ok(StructArray::try_new(FIELDS.clone(), columns, nulls.finish())?)
}

#[cfg(test)]
pub(super) mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{Float64Type, Int32Type};

    use super::*;
    use crate::model::kmeans::tests::with_centroids;
    use crate::model::scaling::tests::plain;

    pub(crate) fn model() -> KmeansModel {
        let scaling = plain(&["x", "y"], &[0.0; 2], &[1.0, 2.0], 100.0);
        with_centroids(scaling, vec![0.0, 0.0, 3.0, 4.0, 0.0, 10.0], &["near", "middle", "far"])
    }

    /// The first segment of [`model`].
    pub(crate) fn one_segment() -> KmeansModel {
        with_centroids(model().scaling, vec![0.0, 0.0], &["near"])
    }

    pub(crate) fn vectors(rows: Vec<Option<Vec<Option<f64>>>>) -> ListArray {
        ListArray::from_iter_primitive::<Float64Type, _, _>(rows)
    }

    #[test]
    fn nearest_runner_up_and_margin() {
        let rows = vectors(vec![
            Some(vec![Some(0.0), Some(0.0)]),
            None,
            Some(vec![Some(3.0), Some(8.0)]),
            Some(vec![None, Some(f64::NAN)]),
        ]);
        let result = assign(&rows, &model()).unwrap();
        assert!(result.is_null(1));
        let segments = result.column(0).as_primitive::<Int32Type>();
        assert_eq!(segments.iter().collect::<Vec<_>>(), [Some(0), None, Some(1), Some(0)]);
        let margins = result.column(3).as_primitive::<Float64Type>();
        assert_eq!(margins.iter().collect::<Vec<_>>(), [Some(5.0), None, Some(5.0), Some(5.0)]);
        let part = assign(&rows.slice(2, 2), &model()).unwrap();
        assert_eq!(part.to_data(), result.slice(2, 2).to_data());
        assert_eq!(assign(&rows.slice(0, 0), &model()).unwrap().len(), 0);
    }

    #[test]
    fn one_segment_has_no_runner_up() {
        let result = assign(&vectors(vec![Some(vec![Some(3.0), Some(8.0)])]), &one_segment()).unwrap();
        assert_eq!(result.column(1).as_primitive::<Float64Type>().value(0), 5.0);
        assert!(result.column(2).is_null(0) && result.column(3).is_null(0));
    }

    #[test]
    fn segments_are_told_by_their_ids() {
        let mut refit = model();
        (refit.segments, refit.next_segment) = (vec![1, 5, 9], 10);
        let result = assign(&vectors(vec![Some(vec![Some(3.0), Some(8.0)])]), &refit).unwrap();
        let id = |column: usize| result.column(column).as_primitive::<Int32Type>().value(0);
        assert_eq!((id(0), id(2)), (5, 1));
    }

    #[test]
    fn another_length_is_an_error_that_names_the_features() {
        let message = assign(&vectors(vec![Some(vec![Some(1.0)])]), &model()).unwrap_err().to_string();
        assert!(message.contains("1 entries") && message.contains("x, y"), "{message}");
    }
}
