//! `density_assign`: the dense segment of a vector, or none.

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
use crate::model::{CorePoints, DensityModel};

static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    nullable_fields(&[
        ("segment", DataType::Int32),
        ("distance", DataType::Float64),
        ("runner_up", DataType::Int32),
        ("margin", DataType::Float64),
    ])
});

/// The type of an assignment: a struct of `segment`, `distance`, `runner_up` and `margin`.
pub fn density_assignment_type() -> DataType {
    DataType::Struct(FIELDS.clone())
}

#[user_doc(
    doc_section(label = "Models"),
    description = "The dense segment to which a vector belongs: a struct of `segment` (its id; NULL for noise), `distance` (Euclidean, in scaled space, to the nearest core point of the model), `runner_up` and `margin`. A vector belongs to the segment of its nearest core point when it is within that point's radius; then the runner-up is the segment of the nearest core point of any other, and the margin its distance minus the first (both NULL when the model has one segment). Else it is noise: the runner-up is the segment of its nearest core point, and the margin is by how much it is beyond the radius. Ties go to the lower point. NULL or NaN entries count as the feature's centre. A vector of another length than the model's features is an error.",
    syntax_example = "density_assign(vector, model)",
    sql_example = "```sql\nselect density_assign([recency, frequency, monetary], $dense_model)['segment'] from features;\n```",
    argument(
        name = "vector",
        description = "A list of numbers in the order of the model's features; NULL gives NULL."
    ),
    argument(name = "model", description = "A density model (`kind: hdbscan`), constant; NULL gives NULL."),
    related_udf(name = "density_explain"),
    related_udf(name = "density_segment_name")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct DensityAssign {
    signature: Signature,
}

impl Default for DensityAssign {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for DensityAssign {
    fn name(&self) -> &str {
        "density_assign"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        vector_and_model::<DensityModel>(self.name(), types)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(density_assignment_type())
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

/// Assigns each vector (a list of d Float64); the result is of [`density_assignment_type`].
fn assign(vectors: &ListArray, model: &DensityModel) -> Result<StructArray> {
    let rows = vectors.len();
    let core = CorePoints::new(model);
    let (mut segments, mut distances) =
        (Int32Builder::with_capacity(rows), Float64Builder::with_capacity(rows));
    let (mut runners_up, mut margins) =
        (Int32Builder::with_capacity(rows), Float64Builder::with_capacity(rows));
    let mut nulls = NullBufferBuilder::new(rows);
    each_scaled(vectors, model, |scaled| {
        let nearest = scaled.map(|scaled| core.nearest(scaled));
        let distance = nearest.map(|n| n.squared.sqrt());
        let member = nearest.filter(|n| model.covers(n.point, n.squared));
        let second = match (member, nearest.zip(distance)) {
            (Some(n), _) => {
                n.other.map(|(point, squared)| (model.segment(point), squared.sqrt() - n.squared.sqrt()))
            }
            (None, Some((n, distance))) => Some((model.segment(n.point), distance - model.radii[n.point])),
            (None, None) => None,
        };
        nulls.append(nearest.is_some());
        segments.append_option(member.map(|n| model.segment(n.point)));
        distances.append_option(distance);
        runners_up.append_option(second.map(|(segment, _)| segment));
        margins.append_option(second.map(|(_, margin)| margin));
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
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{Float64Type, Int32Type};

    use super::super::kmeans_assign::tests::vectors;
    use super::*;
    use crate::model::density_tests::{model, one_segment};

    fn integers(column: &ArrayRef) -> Vec<Option<i32>> {
        column.as_primitive::<Int32Type>().iter().collect()
    }

    fn numbers(column: &ArrayRef) -> Vec<Option<f64>> {
        column.as_primitive::<Float64Type>().iter().collect()
    }

    #[test]
    fn members_and_noise() {
        let rows = vectors(vec![
            Some(vec![Some(0.0), Some(1.0)]),
            None,
            Some(vec![Some(8.0), Some(1.5)]),
            Some(vec![None, Some(12.0)]),
            Some(vec![Some(f64::NAN), Some(2.0)]),
        ]);
        let result = assign(&rows, &model()).unwrap();
        assert!(result.is_null(1) && result.null_count() == 1);
        assert_eq!(integers(result.column(0)), [Some(0), None, None, Some(1), Some(0)]);
        assert_eq!(numbers(result.column(1)), [Some(1.0), None, Some(1.5), Some(2.0), Some(2.0)]);
        assert_eq!(integers(result.column(2)), [Some(1), None, Some(0), Some(0), Some(1)]);
        assert_eq!(numbers(result.column(3)), [Some(8.0), None, Some(0.5), Some(10.0), Some(6.0)]);
        let part = assign(&rows.slice(2, 3), &model()).unwrap();
        assert_eq!(part.to_data(), result.slice(2, 3).to_data());
        assert_eq!(assign(&rows.slice(0, 0), &model()).unwrap().len(), 0);
    }

    #[test]
    fn one_segment_has_no_runner_up_but_noise_has() {
        let rows = vectors(vec![Some(vec![Some(0.0), Some(0.0)]), Some(vec![Some(9.5), Some(0.0)])]);
        let result = assign(&rows, &one_segment()).unwrap();
        assert_eq!(integers(result.column(0)), [Some(0), None]);
        assert_eq!(integers(result.column(2)), [None, Some(0)]);
        assert_eq!(numbers(result.column(3)), [None, Some(0.5)]);
    }

    #[test]
    fn segments_are_told_by_their_ids() {
        let mut refit = model();
        (refit.segments, refit.next_segment) = (vec![1, 5], 9);
        let rows = vectors(vec![Some(vec![Some(0.0), Some(0.0)]), Some(vec![Some(0.0), Some(20.0)])]);
        let result = assign(&rows, &refit).unwrap();
        assert_eq!(integers(result.column(0)), [Some(1), None]);
        assert_eq!(integers(result.column(2)), [Some(5), Some(5)]);
    }

    #[test]
    fn another_length_is_an_error_that_names_the_features() {
        let message = assign(&vectors(vec![Some(vec![Some(1.0)])]), &model()).unwrap_err().to_string();
        assert!(
            message.contains("1 entries") && message.contains("density model") && message.contains("x, y")
        );
    }
}
