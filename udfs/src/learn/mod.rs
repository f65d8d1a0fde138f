//! Learned models at work: segments of k-means, factors, scores by frozen cut points, weights of linked records.

mod factor_scores;
mod kmeans_assign;
mod kmeans_bins;
mod kmeans_explain;
mod kmeans_grid;
mod kmeans_scale;
mod kmeans_segment_name;
mod link_clusters;
mod match_weights;
mod population_stability;
mod quantile_score;
mod reference_mean;

pub use factor_scores::FactorScores;
pub use kmeans_assign::{KmeansAssign, assign, assignment_type};
pub use kmeans_bins::KmeansBins;
pub use kmeans_explain::{KmeansExplain, explain, explanation_type};
pub use kmeans_grid::KmeansGrid;
pub use kmeans_scale::KmeansScale;
pub use kmeans_segment_name::KmeansSegmentName;
pub use link_clusters::LinkClusters;
pub use match_weights::MatchWeightsFunction;
pub use population_stability::{PopulationStability, population_stability};
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
    let mut scaled = vec![0.0; model.d()];
    each_vector(vectors, model, |row| {
        let Some(row) = row else { return visit(None) };
        for (feature, out) in scaled.iter_mut().enumerate() {
            *out = model.scaling.scale_value(feature, row(feature));
        }
        visit(Some(&scaled));
    })
}

/// Hands each vector, as a function from a feature to its value, or `None` for NULL, to `visit`.
fn each_vector(
    vectors: &ListArray,
    model: &KmeansModel,
    mut visit: impl FnMut(Option<&dyn Fn(usize) -> Option<f64>>),
) -> Result<()> {
    let Some(values) = vectors.values().as_primitive_opt::<Float64Type>() else {
        return internal_err!("expected vectors of Float64, found {}", vectors.values().data_type());
    };
    for (row, bounds) in vectors.value_offsets().windows(2).enumerate() {
        if vectors.is_null(row) {
            visit(None);
            continue;
        }
        let (from, to) = (bounds[0] as usize, bounds[1] as usize);
        if to - from != model.d() {
            return exec_err!(
                "a vector has {} entries, but the model has {} features: {}",
                to - from,
                model.d(),
                model.scaling.features.join(", ")
            );
        }
        visit(Some(&|feature| values.is_valid(from + feature).then(|| values.value(from + feature))));
    }
    Ok(())
}
