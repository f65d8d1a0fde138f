//! Learned models at work: segments of k-means and dense ones, factors, scores by frozen cut points, weights of linked
//! records.

mod density_assign;
mod density_explain;
mod density_segment_name;
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
mod segment_name;

pub use density_assign::{DensityAssign, density_assignment_type};
pub use density_explain::DensityExplain;
pub use density_segment_name::DensitySegmentName;
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
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_err, internal_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use crate::args::{constant, evaluate, expect_arity, list_column, vector_type};
use crate::model::{
    DensityModel, FactorScorer, KmeansModel, Scaling, density_model_type, factors_model_type,
    kmeans_model_type, model_argument_type,
};

/// A model that takes a vector of its features.
trait VectorModel: Sized {
    /// What messages call it.
    const KIND: &str;
    fn model_type() -> DataType;
    fn parse(value: &ScalarValue) -> Result<Self>;
    fn scaling(&self) -> &Scaling;
}

impl VectorModel for KmeansModel {
    const KIND: &str = "k-means";

    fn model_type() -> DataType {
        kmeans_model_type()
    }

    fn parse(value: &ScalarValue) -> Result<Self> {
        Self::from_scalar(value)
    }

    fn scaling(&self) -> &Scaling {
        &self.scaling
    }
}

impl VectorModel for DensityModel {
    const KIND: &str = "density";

    fn model_type() -> DataType {
        density_model_type()
    }

    fn parse(value: &ScalarValue) -> Result<Self> {
        Self::from_scalar(value)
    }

    fn scaling(&self) -> &Scaling {
        &self.scaling
    }
}

impl VectorModel for FactorScorer {
    const KIND: &str = "factors";

    fn model_type() -> DataType {
        factors_model_type()
    }

    fn parse(value: &ScalarValue) -> Result<Self> {
        Self::from_scalar(value)
    }

    fn scaling(&self) -> &Scaling {
        &self.scaling
    }
}

/// The types of the arguments of a function of a vector and a model.
fn vector_and_model<M: VectorModel>(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    expect_arity(function, types, &["vector", "model"])?;
    Ok(vec![
        vector_type(function, "vector", &types[0])?,
        model_argument_type(function, &types[1], &M::model_type())?,
    ])
}

/// What `kernel` makes of a column of vectors and a constant model; NULL for a model of NULL.
fn of_vectors<M: VectorModel>(
    function: &str,
    args: &ScalarFunctionArgs,
    kernel: impl Fn(&ListArray, &M) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    let model = constant(function, "model", args, 1)?;
    evaluate(args, |rows| {
        if model.is_null() {
            return Ok(new_null_array(args.return_field.data_type(), rows));
        }
        kernel(&list_column(args, 0, rows)?, &M::parse(model)?)
    })
}

/// Scales each vector and hands it, or `None` for NULL, to `visit`; `scaled` is one buffer for all rows.
fn each_scaled<M: VectorModel>(
    vectors: &ListArray,
    model: &M,
    mut visit: impl FnMut(Option<&[f64]>),
) -> Result<()> {
    let scaling = model.scaling();
    let mut scaled = vec![0.0; scaling.d()];
    each_vector(vectors, model, |row| {
        let Some(row) = row else { return visit(None) };
        for (feature, out) in scaled.iter_mut().enumerate() {
            *out = scaling.scale_value(feature, row.value(feature));
        }
        visit(Some(&scaled));
    })
}

/// One vector of a column of vectors.
struct Row<'a> {
    numbers: &'a [f64],
    nulls: Option<&'a NullBuffer>,
    from: usize,
}

impl Row<'_> {
    fn value(&self, feature: usize) -> Option<f64> {
        let at = self.from + feature;
        self.nulls.is_none_or(|nulls| nulls.is_valid(at)).then(|| self.numbers[at])
    }
}

/// Hands each vector, or `None` for NULL, to `visit`.
fn each_vector<M: VectorModel>(
    vectors: &ListArray,
    model: &M,
    mut visit: impl FnMut(Option<Row>),
) -> Result<()> {
    let Some(values) = vectors.values().as_primitive_opt::<Float64Type>() else {
        return internal_err!("expected vectors of Float64, found {}", vectors.values().data_type());
    };
    let features = &model.scaling().features;
    for (row, bounds) in vectors.value_offsets().windows(2).enumerate() {
        if vectors.is_null(row) {
            visit(None);
            continue;
        }
        let (from, to) = (bounds[0] as usize, bounds[1] as usize);
        if to - from != features.len() {
            return exec_err!(
                "a vector has {} entries, but the {} model has {} features: {}",
                to - from,
                M::KIND,
                features.len(),
                features.join(", ")
            );
        }
        visit(Some(Row { numbers: values.values(), nulls: values.nulls(), from }));
    }
    Ok(())
}
