//! HDBSCAN as a whole: by hand, on known data, and against itself.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

use super::super::sample::mix;
use super::super::{Preparation, Scale};
use super::*;
use crate::{Error, Result};

const IRIS: &str = include_str!("../fixtures/iris.csv");
const WINE: &str = include_str!("../fixtures/wine.csv");

/// Rows `0`, `1`, ... of nullable features `f0`, `f1`, ..., in the order of `order`.
fn stream(rows: &[Vec<f64>], order: &[usize], batch_rows: usize) -> SendableRecordBatchStream {
    let batch = |order: &[usize]| {
        let keys: StringArray = order.iter().map(|row| Some(row.to_string())).collect();
        let mut columns = vec![("id".to_string(), Arc::new(keys) as ArrayRef, true)];
        columns.extend((0..rows[0].len()).map(|f| {
            let values = order.iter().map(|row| Some(rows[*row][f]).filter(|value| !value.is_nan()));
            (format!("f{f}"), Arc::new(values.collect::<Float64Array>()) as ArrayRef, true)
        }));
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    };
    let batches: Vec<RecordBatch> = order.chunks(batch_rows).map(batch).collect();
    let schema = batches[0].schema();
    Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(batches.into_iter().map(Ok))))
}

async fn train(settings: &DensitySettings, rows: &[Vec<f64>]) -> Result<TrainedDensity> {
    train_density(settings, stream(rows, &(0..rows.len()).collect::<Vec<_>>(), 500)).await
}

/// The segments in the order of the rows, as they were given.
fn segments(trained: &TrainedDensity) -> Vec<Option<u32>> {
    let mut by_row: Vec<(usize, Option<u32>)> =
        trained.sample.iter().map(|row| (row.key.parse().unwrap(), row.segment)).collect();
    by_row.sort();
    by_row.into_iter().map(|(_, segment)| segment).collect()
}

fn unscaled(min_cluster_size: usize) -> DensitySettings {
    scaled(min_cluster_size, Scale::None)
}

fn scaled(min_cluster_size: usize, scale: Scale) -> DensitySettings {
    let preparation = Preparation { scale, ..Preparation::default() };
    DensitySettings { preparation, threads: 2, ..DensitySettings::new(min_cluster_size) }
}

/// A number in [0, 1) for each pair.
fn dice(i: u64, which: u64) -> f64 {
    (mix(mix(i) ^ which) >> 11) as f64 / (1u64 << 53) as f64
}

/// Close to normal: mean 0, deviation 1.
fn normal(i: u64, which: u64) -> f64 {
    (0..12).map(|k| dice(i, which * 12 + k)).sum::<f64>() - 6.0
}

/// Two moons of 300 rows each, one row in five as wide a scatter as the moons themselves.
fn moons() -> Vec<Vec<f64>> {
    (0..750)
        .map(|i| {
            if i % 5 == 4 {
                return vec![dice(i, 1) * 6.0 - 2.5, dice(i, 2) * 5.0 - 2.25];
            }
            let angle = std::f64::consts::PI * dice(i, 3);
            let (x, y) =
                if i % 2 == 0 { (angle.cos(), angle.sin()) } else { (1.0 - angle.cos(), 0.5 - angle.sin()) };
            vec![x + 0.04 * normal(i, 4), y + 0.04 * normal(i, 5)]
        })
        .collect()
}

/// Clouds of different density and size in `width` features, a tenth of the rows scattered.
fn clouds(rows: u64, width: u64) -> Vec<Vec<f64>> {
    let row = |i: u64| {
        let cloud = mix(i) % 10;
        let (kind, deviation) = match cloud {
            0..4 => (1, 0.3),
            4..7 => (2, 0.6),
            7..9 => (3, 0.9),
            _ => return (0..width).map(|f| dice(i, f) * 16.0 - 8.0).collect(),
        };
        (0..width).map(|f| 8.0 * dice(kind, 1000 + f) - 4.0 + deviation * normal(i, f)).collect()
    };
    (0..rows).map(row).collect()
}

#[tokio::test]
async fn two_moons_amid_scatter() {
    let rows = moons();
    let trained = train(&unscaled(25), &rows).await.unwrap();
    let found = segments(&trained);
    let q = &trained.quality;
    assert_eq!(q.sizes.len(), 2, "{q:?}");
    let moon = |row: usize| (row % 5 != 4).then_some(row % 2);
    for side in 0..2 {
        let members: Vec<Option<u32>> =
            (0..rows.len()).filter(|r| moon(*r) == Some(side)).map(|r| found[r]).collect();
        let most = [0, 1].map(|s| members.iter().filter(|m| **m == Some(s)).count());
        assert!(most[0].min(most[1]) == 0 && most[0].max(most[1]) >= 290, "{most:?}");
    }
    let scatter = (0..rows.len()).filter(|row| moon(*row).is_none());
    assert!(scatter.filter(|row| found[*row].is_none()).count() >= 90);
    assert!(q.members_kept >= 0.99 && q.noise_kept >= 0.95, "{q:?}");
    assert!(trained.sample.iter().all(|row| row.segment.is_some() == (row.probability > 0.0)));
    assert_eq!(trained.model.names.len(), 2);
}

/// Segments of iris or wine, and the rows, segments and mean probabilities of scikit-learn 1.9's `HDBSCAN`.
async fn as_in_scikit_learn(text: &str, settings: DensitySettings, sizes: &[u64], probabilities: &[f64]) {
    let rows: Vec<Vec<f64>> =
        text.lines().skip(1).map(|line| line.split(',').map(|v| v.parse().unwrap()).collect()).collect();
    let q = train(&settings, &rows).await.unwrap().quality;
    assert_eq!(q.sizes.len(), sizes.len(), "{q:?}");
    // A row that joins two parts at the distance at which it becomes dense itself belongs to neither: scikit-learn gives
    // it to one of them, as its edges happen to be sorted.
    let near = q.sizes.iter().zip(sizes).all(|(found, expected)| found <= expected && expected - found <= 1);
    assert!(near, "{q:?}");
    let near =
        q.probabilities.iter().zip(probabilities).all(|(found, expected)| (found - expected).abs() < 0.01);
    assert!(near, "{q:?}");
}

#[tokio::test]
async fn iris_and_wine() {
    as_in_scikit_learn(IRIS, unscaled(5), &[100, 50], &[0.899_259, 0.812_394]).await;
    as_in_scikit_learn(IRIS, unscaled(15), &[100, 50], &[0.799_620, 0.818_441]).await;
    as_in_scikit_learn(WINE, scaled(10, Scale::Standard), &[75, 28], &[0.895_459, 0.971_064]).await;
    as_in_scikit_learn(WINE, scaled(15, Scale::Standard), &[74, 22], &[0.934_150, 0.996_209]).await;
}

#[tokio::test]
async fn order_batches_and_threads_do_not_matter() {
    // Three tiles; a few rows stay out of the sample.
    let rows = clouds(4400, 3);
    let settings =
        DensitySettings { sample_rows: 4300, threads: 1, core_points: 300, ..scaled(40, Scale::Robust) };
    let first = train(&settings, &rows).await.unwrap();
    let q = &first.quality;
    assert_eq!((q.rows, q.sample_rows, q.sizes.len()), (4400, 4300, 3));
    assert!(q.members_kept >= 0.99 && q.noise_kept >= 0.85, "{q:?}");
    assert!(q.core_points <= 300 && q.core_points > 290, "{q:?}");
    for (seed, batch_rows, threads) in [(1, 5000, 2), (2, 1, 7), (3, 999, 16)] {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|row| mix(*row as u64 ^ (seed << 32)));
        let settings = DensitySettings { threads, ..settings.clone() };
        let again = train_density(&settings, stream(&rows, &order, batch_rows)).await.unwrap();
        assert_eq!(first.model.to_scalar(), again.model.to_scalar());
        assert_eq!(first, again);
    }
}

#[tokio::test]
async fn equal_rows_are_dense_but_not_infinitely() {
    // Three values, 50 rows each, and one alone.
    let mut rows: Vec<Vec<f64>> = (0..150).map(|i| vec![f64::from(i % 3)]).collect();
    rows.push(vec![40.0]);
    let trained = train(&unscaled(20), &rows).await.unwrap();
    let found = segments(&trained);
    assert_eq!(trained.quality.sizes, [50, 50, 50]);
    assert!((0..150).all(|i| found[i].is_some() && found[i] == found[i % 3]) && found[150].is_none());
    assert_eq!((trained.quality.core_points, trained.quality.members_kept), (3, 1.0));
    assert!(trained.quality.stabilities.iter().all(|stability| stability.is_finite()));
    assert!(trained.sample.iter().all(|row| row.probability == f64::from(u8::from(row.segment.is_some()))));
}

#[tokio::test]
async fn missing_values_constants_and_outliers() {
    let mut rows = clouds(600, 2);
    for (i, row) in rows.iter_mut().enumerate() {
        row.extend([7.0, f64::NAN]);
        if i % 50 == 0 {
            row[1] = f64::NAN;
        }
    }
    rows[1][0] = 1e12;
    let q = train(&scaled(30, Scale::Robust), &rows).await.unwrap().quality;
    assert!((2..=3).contains(&q.sizes.len()) && q.noise_share < 0.4, "{q:?}");
    let error = train(&unscaled(30), &rows).await.unwrap_err().to_string();
    assert!(error.contains("`f0` is 1000000000000") && error.contains("`scale: robust`"), "{error}");
}

#[tokio::test]
async fn one_cloud_is_no_segment_unless_allowed() {
    let rows: Vec<Vec<f64>> = (0..300).map(|i| vec![normal(i, 1), normal(i, 2)]).collect();
    let error = train(&unscaled(50), &rows).await.unwrap_err();
    assert!(matches!(&error, Error::Contract(m) if m.contains("allow_single_cluster: true")), "{error}");
    let settings = DensitySettings { allow_single_cluster: true, ..unscaled(50) };
    let trained = train(&settings, &rows).await.unwrap();
    assert_eq!(trained.quality.sizes.len(), 1);
    assert!(trained.quality.sizes[0] >= 50, "{:?}", trained.quality);
}

#[tokio::test]
async fn too_few_rows_and_too_many_segments() {
    let rows = clouds(60, 2);
    let error = train(&unscaled(61), &rows).await.unwrap_err();
    assert!(matches!(&error, Error::Contract(m) if m.contains("rows are 60") && m.contains("61")), "{error}");
    let rows: Vec<Vec<f64>> = (0..30).map(|i| vec![f64::from(i / 3) * 10.0 + f64::from(i % 3)]).collect();
    let settings = DensitySettings { core_points: 9, ..unscaled(3) };
    let error = train(&settings, &rows).await.unwrap_err();
    assert!(matches!(&error, Error::Contract(m) if m.contains("10 segments")), "{error}");
    let q = train(&DensitySettings { core_points: 10, ..unscaled(3) }, &rows).await.unwrap().quality;
    assert_eq!((q.core_points, q.members_kept), (10, 1.0));
}
