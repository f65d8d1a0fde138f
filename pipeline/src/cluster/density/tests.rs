//! HDBSCAN as a whole: by hand, on known data, and against itself.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use datafusion::common::ScalarValue;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use strata_udfs::model::{CorePoints, DensityModel};

use super::super::sample::mix;
use super::super::{Preparation, Scale};
use super::*;
use crate::trainer::{Before, Trainer};
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
    follow(settings, rows, None).await
}

async fn follow(
    settings: &DensitySettings,
    rows: &[Vec<f64>],
    before: Option<&DensityModel>,
) -> Result<TrainedDensity> {
    train_density(settings, stream(rows, &(0..rows.len()).collect::<Vec<_>>(), 500), before, 0).await
}

/// The segments in the order of the rows, as they were given.
fn segments(trained: &TrainedDensity) -> Vec<Option<i32>> {
    let mut by_row: Vec<(usize, Option<i32>)> =
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
        let members: Vec<Option<i32>> =
            (0..rows.len()).filter(|r| moon(*r) == Some(side)).map(|r| found[r]).collect();
        let most = [0, 1].map(|s| members.iter().filter(|m| **m == Some(s)).count());
        assert!(most[0].min(most[1]) == 0 && most[0].max(most[1]) >= 290, "{most:?}");
    }
    let scatter = (0..rows.len()).filter(|row| moon(*row).is_none());
    assert!(scatter.filter(|row| found[*row].is_none()).count() >= 90);
    assert!(q.members_kept >= 0.99 && q.noise_kept >= 0.95, "{q:?}");
    assert!(trained.sample.iter().all(|row| row.segment.is_some() == (row.probability > 0.0)));
    assert_eq!(trained.model.names.len(), 2);
    assert!(density_gate(q, &unscaled(25).gate).is_ok(), "{q:?}");
}

/// Segments of iris or wine, and the rows, segments and mean probabilities of scikit-learn 1.9's `HDBSCAN`. Returns how
/// stable they are.
async fn as_in_scikit_learn(
    text: &str,
    settings: DensitySettings,
    sizes: &[u64],
    probabilities: &[f64],
) -> f64 {
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
    q.bootstrap_stability.unwrap()
}

#[tokio::test]
async fn iris_and_wine() {
    for (size, probabilities) in [(5, [0.899_259, 0.812_394]), (15, [0.799_620, 0.818_441])] {
        assert_eq!(as_in_scikit_learn(IRIS, unscaled(size), &[100, 50], &probabilities).await, 1.0);
    }
    let wine = |size| scaled(size, Scale::Standard);
    let stability = as_in_scikit_learn(WINE, wine(10), &[75, 28], &[0.895_459, 0.971_064]).await;
    assert!(stability > 0.6, "{stability}");
    // Nearly half of the 178 rows are noise, and which of them depends on the sample: the gate would refuse it.
    let stability = as_in_scikit_learn(WINE, wine(15), &[74, 22], &[0.934_150, 0.996_209]).await;
    assert!(stability < 0.6, "{stability}");
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
        let again = train_density(&settings, stream(&rows, &order, batch_rows), None, 0).await.unwrap();
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

/// Bars along the first feature, each from, to and how many rows; `luck` draws the rows.
fn bars(bars: &[(f64, f64, u64)], luck: u64) -> Vec<Vec<f64>> {
    let row = |bar: usize, i: u64| {
        let (from, to, _) = bars[bar];
        let i = i << 16 | (bar as u64) << 8 | luck;
        vec![from + (to - from) * dice(i, 1), 0.2 * dice(i, 2)]
    };
    (0..bars.len()).flat_map(|bar| (0..bars[bar].2).map(move |i| row(bar, i))).collect()
}

/// The id of the segment that holds a place, if one does.
fn id(model: &DensityModel, x: f64) -> Option<i32> {
    let nearest = CorePoints::new(model).nearest(&[x, 0.1]);
    model.covers(nearest.point, nearest.squared).then(|| model.segment(nearest.point))
}

#[tokio::test]
async fn a_model_trained_anew_keeps_the_ids() {
    let settings = DensitySettings { min_samples: 20, bootstraps: 0, ..unscaled(40) };
    let refit =
        async |rows: &[Vec<f64>], before: &DensityModel| follow(&settings, rows, Some(before)).await.unwrap();
    let places = |model: &DensityModel| [0.5, 10.5, 21.0].map(|x| id(model, x));
    let first = train(&settings, &bars(&[(0., 1., 300), (10., 11., 200), (20., 26., 400)], 1)).await.unwrap();
    let first = first.model;
    assert_eq!((first.segments.as_slice(), first.next_segment), (&[0, 1, 2][..], 3));
    // numbered by falling size
    assert_eq!(places(&first), [Some(1), Some(2), Some(0)]);
    // other rows, and the smallest is the largest now
    for luck in 2..8 {
        let again = refit(&bars(&[(0., 1., 250), (10., 11., 500), (20., 26., 450)], luck), &first).await;
        assert_eq!(places(&again.model), places(&first));
        let qualities = &again.model.quality;
        assert!(qualities.iter().zip(&again.model.segments).all(|(quality, id)| quality.segment == *id));
        let sizes: Vec<u64> = qualities.iter().map(|quality| quality.rows as u64).collect();
        assert!(sizes == again.quality.sizes && sizes[1] < sizes[0] && sizes[0] < sizes[2], "{sizes:?}");
        let of_rows = again.sample.iter().filter(|row| row.segment == Some(2)).count();
        assert_eq!(of_rows as u64, sizes[2]);
        assert_eq!(again.model.next_segment, 3);
    }
    // one falls into two: the smaller part is new
    let split = [(0., 1., 300), (10., 11., 200), (20., 22., 250), (24., 26., 150)];
    let split = refit(&bars(&split, 1), &first).await.model;
    assert_eq!((places(&split), id(&split, 25.0)), (places(&first), Some(3)));
    // one thins out and is noise, and no other is ever called as it was
    let thin = [(0., 1., 300), (10., 11., 30), (20., 22., 250), (24., 26., 150)];
    let gone = refit(&bars(&thin, 1), &split).await.model;
    assert_eq!((gone.segments.as_slice(), gone.next_segment), (&[0, 1, 3][..], 4));
    assert_eq!(places(&gone), [Some(1), None, Some(0)]);
    let back = [(0., 1., 300), (10., 11., 200), (20., 22., 250), (24., 26., 150)];
    let back = refit(&bars(&back, 1), &gone).await.model;
    assert_eq!((places(&back), back.next_segment), ([Some(1), Some(4), Some(0)], 5));
    // ids of a model of other features are not used again
    let wide: Vec<Vec<f64>> =
        bars(&[(0., 1., 300), (10., 11., 200)], 1).into_iter().map(|row| [row, vec![1.0]].concat()).collect();
    let other = refit(&wide, &back).await.model;
    assert_eq!((other.segments.as_slice(), other.next_segment), (&[5, 6][..], 7));
}

#[tokio::test]
async fn clear_segments_are_stable_and_accidental_ones_are_not() {
    // two groups of six values, a hundred rows each
    let values = |i: u64| vec![(i % 6) as f64 + if i % 12 < 6 { 0.0 } else { 100.0 }];
    let rows: Vec<Vec<f64>> = (0..1200).map(values).collect();
    let settings = DensitySettings { min_samples: 10, ..unscaled(200) };
    let trained = train(&settings, &rows).await.unwrap();
    assert_eq!(trained.quality.sizes, [600, 600]);
    assert_eq!(trained.quality.bootstrap_stability, Some(1.0));
    assert_eq!(trained.model.bootstrap_stability, Some(1.0));
    // even rows, in which any segment is an accident
    let rows: Vec<Vec<f64>> = (0..1000).map(|i| vec![dice(i, 1), dice(i, 2)]).collect();
    let settings = DensitySettings { min_samples: 5, ..unscaled(20) };
    let trained = train(&settings, &rows).await.unwrap();
    let stability = trained.quality.bootstrap_stability.unwrap();
    assert!(stability < 0.4, "{stability}");
    let gate = DensityGate { max_noise: 1.0, ..settings.gate };
    let said = density_gate(&trained.quality, &gate).unwrap_err();
    let figure = format!("index of {stability:.3}, less than `min_stability: 0.6`");
    assert!(
        matches!(&said, Error::Audit(m) if m.contains(&figure) && m.contains("raise `min_samples`")),
        "{said}"
    );
    let unmeasured = DensitySettings { bootstraps: 0, ..settings };
    assert_eq!(train(&unmeasured, &rows).await.unwrap().quality.bootstrap_stability, None);
}

#[tokio::test]
async fn names_in_two_languages() {
    let mut settings = unscaled(40);
    settings.naming.titles_zh.named.push(("f0".into(), "年龄".into()));
    let model = train(&settings, &bars(&[(0., 1., 300), (10., 11., 200)], 1)).await.unwrap().model;
    assert_eq!((model.names.len(), model.names[0].as_str()), (2, "low f0"));
    assert_eq!(model.names_zh, ["年龄低", "年龄高"]);
}

#[tokio::test]
async fn the_trainer_follows_a_model_of_today_only() {
    let trainer = Trainer::Hdbscan(DensitySettings { min_samples: 20, bootstraps: 0, ..unscaled(40) });
    assert!(trainer.follows() && !trainer.drifts());
    let rows = bars(&[(0., 1., 300), (10., 11., 200)], 1);
    let order: Vec<usize> = (0..rows.len()).collect();
    let ids = async |before: Option<ScalarValue>| {
        let before = before.map(|model| Before { model: Some(model), ..Before::default() });
        let open = async || Ok(stream(&rows, &order, 100));
        let trained = trainer.train(&[], open, before.as_ref()).await.unwrap();
        DensityModel::from_scalar(&trained.model).unwrap().segments
    };
    let model = train(&unscaled(40), &rows).await.unwrap().model;
    let renamed = DensityModel { segments: vec![3, 8], next_segment: 9, ..model };
    let mut known = renamed.clone();
    known.quality.iter_mut().zip([3, 8]).for_each(|(quality, id)| quality.segment = id);
    assert_eq!(ids(Some(known.to_scalar())).await, [3, 8]);
    // one whose parts do not fit together, and one without any part of today's
    for other in [renamed.to_scalar(), ScalarValue::Int32(Some(1))] {
        assert_eq!(ids(Some(other)).await, [0, 1]);
    }
}
