//! Steps of Lloyd's iteration over all rows, each one aggregate that the engine runs wherever the rows are.

use std::future::Future;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Decimal128Type, Int32Type, Int64Type};
use datafusion::functions::core::expr_fn::get_field;
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::{
    AggregateUDF, LogicalPlan, LogicalPlanBuilder, ScalarUDF, cast, col, ident, lit,
};
use strata_udfs::groups::VectorSum;
use strata_udfs::learn::KmeansGrid;
use strata_udfs::model::{GRID, KmeansModel};
use strata_udfs::rows::MakeArray;

use crate::{Context, Error, Result};

/// Moves the centroids of `model`, trained on a sample, to the means of all rows that are nearest to them, up to
/// `steps` times or until none moves. `rows` gives the features, among others; `collect` runs a plan. A segment that no
/// row is nearest to stays where it is.
///
/// # Errors
/// Those of `collect`; [`Error::Other`] when the result is not as planned.
pub(crate) async fn polish<F, Fut>(
    mut model: KmeansModel,
    steps: usize,
    rows: &LogicalPlan,
    collect: F,
) -> Result<KmeansModel>
where
    F: Fn(LogicalPlan) -> Fut,
    Fut: Future<Output = Result<Vec<RecordBatch>>>,
{
    for step in 1..=steps {
        let plan = sums(rows, &model).context("cannot plan a step of k-means over all rows")?;
        let before = model.centroids.clone();
        let inertia = move_centroids(&mut model, &collect(plan).await?)?;
        tracing::debug!(step, inertia, "k-means over all rows");
        if model.centroids == before {
            break;
        }
    }
    Ok(model)
}

/// A row a segment: its number, rows, squared distances, and the sums of the scaled features, in steps of the grid.
fn sums(rows: &LogicalPlan, model: &KmeansModel) -> datafusion::common::Result<LogicalPlan> {
    let features = model.scaling.features.iter();
    let vector = ScalarUDF::from(MakeArray)
        .call(features.map(|feature| cast(ident(feature), DataType::Float64)).collect());
    let grid = ScalarUDF::from(KmeansGrid::default()).call(vec![vector, lit(model.to_scalar())]);
    let steps = AggregateUDF::from(VectorSum::default()).call(vec![col("steps")]);
    let figures = [count(lit(1)).alias("rows"), sum(col("squared")).alias("inertia"), steps.alias("steps")];
    LogicalPlanBuilder::from(rows.clone())
        .project([grid.alias("grid")])?
        .project(["place", "squared", "steps"].map(|part| get_field(col("grid"), part).alias(part)))?
        .aggregate([col("place")], figures)?
        .build()
}

/// Moves each centroid to the mean of its rows; the inertia around the centroids as they were.
fn move_centroids(model: &mut KmeansModel, sums: &[RecordBatch]) -> Result<f64> {
    let wrong = || Error::other("the sums of k-means are not as planned");
    let mut inertia = 0i128;
    for batch in sums {
        let places = batch.column(0).as_primitive_opt::<Int32Type>().ok_or_else(wrong)?;
        let counts = batch.column(1).as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
        let squares = batch.column(2).as_primitive_opt::<Decimal128Type>().ok_or_else(wrong)?;
        inertia += squares.iter().flatten().sum::<i128>();
        let vectors = batch.column(3).as_list_opt::<i32>().ok_or_else(wrong)?;
        for ((place, count), vector) in places.iter().zip(counts).zip(vectors.iter()) {
            let (Some(place), Some(count), Some(vector)) = (place, count, vector) else {
                return Err(wrong());
            };
            let sums = vector.as_primitive_opt::<Decimal128Type>().ok_or_else(wrong)?;
            let centroids = model.centroids.chunks_exact_mut(sums.len().max(1));
            let centroid = centroids.into_iter().nth(place as usize).ok_or_else(wrong)?;
            for (value, sum) in centroid.iter_mut().zip(sums.values()) {
                *value = *sum as f64 / (count as f64 * GRID);
            }
        }
    }
    Ok(inertia as f64 / GRID)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::catalog::MemTable;
    use datafusion::datasource::provider_as_source;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::super::drift::remember;
    use super::super::lloyd::lloyd;
    use super::super::sample::mix;
    use super::super::scale::{Matrix, learn_scaling, tests::sample};
    use super::super::screen::Screen;
    use super::super::settings::KmeansSettings;
    use super::*;

    /// Steps over batches in any number of partitions are the steps of the trainer, to the bit.
    #[tokio::test]
    async fn equals_lloyd_on_all_rows() {
        let value = |i: u64| if i.is_multiple_of(17) { f64::NAN } else { (mix(i) >> 44) as f64 / 1000.0 };
        let rows: Vec<Vec<f64>> = (0..900).map(|i| (0..3).map(|f| value(3 * i + f)).collect()).collect();
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let sample = sample(&["a", "b", "c"], &rows);
        let settings = KmeansSettings::new(5);
        let (scaling, points) = learn_scaling(&settings.preparation, &sample, 2).unwrap();
        let names: Vec<String> = (0..5).map(|i| i.to_string()).collect();
        let mut model = KmeansModel {
            scaling,
            centroids: points.values[..15].to_vec(),
            segments: (0..5).collect(),
            next_segment: 5,
            names_zh: names.clone(),
            names,
            ..KmeansModel::default()
        };
        remember(&mut model, &sample, 2).unwrap();
        let batches = sample.rows.chunks(70).map(|rows| {
            let keys = arrow::array::StringArray::from_iter_values(rows.iter().map(|row| row.key.as_str()));
            let mut columns = vec![("id", Arc::new(keys) as arrow::array::ArrayRef, true)];
            for (f, name) in ["a", "b", "c"].into_iter().enumerate() {
                let known = |x: f64| (!x.is_nan()).then_some(x);
                let values: arrow::array::Float64Array =
                    rows.iter().map(|row| known(row.values[f])).collect();
                columns.push((name, Arc::new(values), true));
            }
            RecordBatch::try_from_iter_with_nullable(columns).unwrap()
        });
        let batches: Vec<RecordBatch> = batches.collect();
        for partitions in [1, 4] {
            let parts = batches.chunks(batches.len().div_ceil(partitions)).map(<[_]>::to_vec).collect();
            let table = MemTable::try_new(batches[0].schema(), parts).unwrap();
            let plan = LogicalPlanBuilder::scan("rows", provider_as_source(Arc::new(table)), None);
            let plan = plan.unwrap().build().unwrap();
            let config = SessionConfig::new().with_target_partitions(partitions);
            let context = SessionContext::new_with_config(config);
            for steps in [1, 3, 100] {
                let run = async |plan| {
                    let frame = context.execute_logical_plan(plan).await.context("planning")?;
                    frame.collect().await.context("running")
                };
                let polished = polish(model.clone(), steps, &plan, run).await.unwrap();
                let expected = settled(&points, &model.centroids, steps);
                assert_eq!(polished.centroids, expected, "{steps} steps on {partitions} partitions");
            }
        }
    }

    /// The means after so many steps: one more pass tells them.
    fn settled(points: &Matrix, start: &[f64], steps: usize) -> Vec<f64> {
        lloyd(&Screen::new(points), start.to_vec(), steps + 1, None, 1).unwrap().centroids
    }
}
