//! Learned models at work: segments of k-means, scores by frozen cut points, weights of linked records.

mod kmeans_assign;
mod kmeans_explain;
mod kmeans_grid;
mod kmeans_segment_name;
mod link_clusters;
mod match_weights;
mod quantile_score;
mod reference_mean;

pub use kmeans_assign::{KmeansAssign, assign, assignment_type};
pub use kmeans_explain::{KmeansExplain, explain, explanation_type};
pub use kmeans_grid::KmeansGrid;
pub use kmeans_segment_name::KmeansSegmentName;
pub use link_clusters::LinkClusters;
pub use match_weights::MatchWeightsFunction;
pub use quantile_score::QuantileScore;
pub use reference_mean::ReferenceMean;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, new_null_array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use crate::args::{constant, evaluate, expect_arity, list_column, vector_type};
use crate::model::{KmeansModel, kmeans_model_type, model_argument_type};

/// The types of the arguments of a function of a vector and a k-means model.
fn vector_and_model(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    expect_arity(function, types, &["vector", "model"])?;
    Ok(vec![
        vector_type(function, "vector", &types[0])?,
        model_argument_type(function, &types[1], &kmeans_model_type())?,
    ])
}

/// What `kernel` makes of a column of vectors and a constant model; NULL for a model of NULL.
fn of_vectors(
    function: &str,
    args: &ScalarFunctionArgs,
    kernel: impl Fn(&ListArray, &KmeansModel) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    let model = constant(function, "model", args, 1)?;
    evaluate(args, |rows| {
        if model.is_null() {
            return Ok(new_null_array(args.return_field.data_type(), rows));
        }
        kernel(&list_column(args, 0, rows)?, &KmeansModel::from_scalar(model)?)
    })
}

/// Scales each vector and hands it, or `None` for NULL, to `visit`; `scaled` is one buffer for all rows.
fn each_scaled(
    vectors: &ListArray,
    model: &KmeansModel,
    mut visit: impl FnMut(Option<&[f64]>),
) -> Result<()> {
    let Some(values) = vectors.values().as_primitive_opt::<Float64Type>() else {
        return internal_err!("expected vectors of Float64, found {}", vectors.values().data_type());
    };
    let (numbers, nulls) = (values.values(), values.nulls());
    let mut scaled = vec![0.0; model.d()];
    for (row, bounds) in vectors.value_offsets().windows(2).enumerate() {
        if vectors.is_null(row) {
            visit(None);
            continue;
        }
        let (from, to) = (bounds[0] as usize, bounds[1] as usize);
        if to - from != model.d() {
            return exec_err!(
                "a vector has {} entries, but the k-means model has {} features: {}",
                to - from,
                model.d(),
                model.features.join(", ")
            );
        }
        for (feature, out) in scaled.iter_mut().enumerate() {
            let at = from + feature;
            let known = nulls.is_none_or(|nulls| nulls.is_valid(at));
            *out = model.scale_value(feature, known.then_some(numbers[at]));
        }
        visit(Some(&scaled));
    }
    Ok(())
}
