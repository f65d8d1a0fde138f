//! The trainers as a whole, against scikit-learn's figures and against themselves.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use strata_udfs::model::{KmeansModel, ReferenceModel, Transform};

use super::sample::mix;
use super::*;
use crate::trainer::Trainer;
use crate::{Error, Result};

/// Fisher's iris and the wine recognition data (UCI), as shipped with scikit-learn.
const IRIS: &str = include_str!("fixtures/iris.csv");
const WINE: &str = include_str!("fixtures/wine.csv");

fn stream(batches: Vec<RecordBatch>) -> SendableRecordBatchStream {
    let schema = batches[0].schema();
    Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(batches.into_iter().map(Ok))))
}

/// Rows with a text key `r0`, `r1`, ... and nullable features.
#[derive(Clone)]
struct Table {
    features: Vec<String>,
    rows: Vec<(String, Vec<Option<f64>>)>,
}

impl Table {
    fn csv(text: &str) -> Self {
        let mut lines = text.lines();
        let features = lines.next().unwrap().split(',').map(String::from).collect();
        let row = |line: &str| line.split(',').map(|v| Some(v.parse().unwrap())).collect();
        Table { features, rows: lines.enumerate().map(|(i, line)| (format!("r{i}"), row(line))).collect() }
    }

    fn new(features: &[&str], rows: impl IntoIterator<Item = Vec<Option<f64>>>) -> Self {
        let rows = rows.into_iter().enumerate().map(|(i, row)| (format!("r{i}"), row)).collect();
        Table { features: features.iter().map(|f| f.to_string()).collect(), rows }
    }

    fn shuffled(&self, seed: u64) -> Self {
        let mut table = self.clone();
        table.rows.sort_by_key(|(key, _)| key.bytes().fold(seed, |h, b| mix(h ^ u64::from(b))));
        table
    }

    fn batch(&self, rows: &[(String, Vec<Option<f64>>)]) -> RecordBatch {
        let keys: StringArray = rows.iter().map(|(key, _)| Some(key.as_str())).collect();
        let mut columns = vec![("id", Arc::new(keys) as ArrayRef, true)];
        for (f, name) in self.features.iter().enumerate() {
            let values: Float64Array = rows.iter().map(|(_, row)| row[f]).collect();
            columns.push((name, Arc::new(values), true));
        }
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    fn stream(&self, batch_rows: usize) -> SendableRecordBatchStream {
        stream(self.rows.chunks(batch_rows).map(|rows| self.batch(rows)).collect())
    }

    async fn train(&self, settings: &KmeansSettings) -> Result<TrainedKmeans> {
        train_kmeans(settings, self.stream(50)).await
    }
}

fn unscaled(k: usize) -> KmeansSettings {
    KmeansSettings { scale: Scale::None, ..KmeansSettings::new(k) }
}

fn close(actual: f64, expected: f64, within: f64) {
    assert!((actual - expected).abs() <= within, "{actual} is not within {within} of {expected}");
}

fn bits(model: &KmeansModel) -> Vec<u64> {
    let numbers = model.centre.iter().chain(&model.scale).chain(&model.centroids);
    numbers.map(|v| v.to_bits()).collect()
}

#[tokio::test]
async fn iris_unscaled() {
    // scikit-learn 1.9: KMeans(3, n_init=200, tol=0); the second optimum is 78.855666. For every seed.
    for seed in 0..20 {
        let trained = Table::csv(IRIS).train(&KmeansSettings { seed, ..unscaled(3) }).await.unwrap();
        let q = &trained.quality;
        close(q.inertia, 78.851_441_426_146, 1e-6);
        assert_eq!((q.sizes.as_slice(), q.rows, q.sample_rows), (&[62, 50, 38][..], 150, 150));
        close(q.largest_share, 62.0 / 150.0, 1e-15);
        close(q.silhouette.unwrap(), 0.552_819_012_356_409_5, 1e-9);
        close(q.calinski_harabasz.unwrap(), 561.627_756_629_62, 1e-5);
        close(q.davies_bouldin.unwrap(), 0.661_971_546_500_746_5, 1e-9);
        close(q.unscaled_spread.unwrap(), 4.050, 0.001);
        close(trained.model.centroids[4], 5.006, 1e-9);
        close(trained.model.centroids[8], 6.85, 1e-9);
        assert!(gate(q, &Gate::default()).is_ok());
    }
}

#[tokio::test]
async fn wine_standardised() {
    // scikit-learn 1.9: KMeans(3, n_init=200, tol=0) after StandardScaler.
    let settings = KmeansSettings { scale: Scale::Standard, ..KmeansSettings::new(3) };
    let trained = Table::csv(WINE).train(&settings).await.unwrap();
    let q = &trained.quality;
    close(q.inertia, 1_277.928_488_844_642_3, 1e-3);
    assert_eq!(q.sizes, [65, 62, 51]);
    close(q.silhouette.unwrap(), 0.284_858_919_189_897_1, 1e-6);
    close(q.calinski_harabasz.unwrap(), 70.940_008_003_151_2, 1e-4);
    close(q.davies_bouldin.unwrap(), 1.389_187_977_718_165_4, 1e-6);
    close(trained.model.centroids[0], -0.926_071_85, 1e-6);
    assert_eq!(q.unscaled_spread, None);
}

/// Skewed counts and money with ties, NULLs and outliers.
fn customers(n: u64) -> Table {
    let row = |i: u64| {
        let r = mix(i);
        let kind = (r % 5) as f64;
        let noise = (mix(r) >> 40) as f64 / 16_777_216.0;
        vec![
            Some((kind * 70.0 + noise * 40.0).floor()),
            Some(((5.0 - kind) * (1.0 + 3.0 * noise)).floor()),
            (!r.is_multiple_of(11)).then_some((kind * noise * 9.0).exp_m1()),
            Some(if r.is_multiple_of(17) { 1.0 } else { 0.0 }),
            Some(3.0),
        ]
    };
    Table::new(&["recency_days", "frequency", "monetary", "returns", "constant"], (0..n).map(row))
}

#[tokio::test]
async fn order_batches_and_threads_do_not_matter() {
    let table = customers(30_000);
    for sample_rows in [200_000, 20_000] {
        let settings = KmeansSettings {
            transform: vec![("frequency".into(), Transform::Log1p), ("monetary".into(), Transform::Log1p)],
            starts: 4,
            sample_rows,
            threads: 1,
            ..KmeansSettings::new(6)
        };
        let first = train_kmeans(&settings, table.stream(8192)).await.unwrap();
        assert_eq!(first.quality.rows, 30_000);
        assert_eq!(first.quality.sizes.iter().sum::<u64>(), 30_000.min(sample_rows as u64));
        for (seed, batch_rows, threads) in [(1, 8192, 2), (2, 1, 7), (3, 999, 16)] {
            let settings = KmeansSettings { threads, ..settings.clone() };
            let again = train_kmeans(&settings, table.shuffled(seed).stream(batch_rows)).await.unwrap();
            assert_eq!(bits(&first.model), bits(&again.model));
            assert_eq!(first, again);
        }
    }
}

#[tokio::test]
async fn segments_are_ordered_named_and_complete() {
    let trained = customers(5000).train(&KmeansSettings::new(8)).await.unwrap();
    let (q, model) = (&trained.quality, &trained.model);
    assert!(q.sizes.windows(2).all(|w| w[0] >= w[1]) && q.sizes.iter().all(|s| *s > 0), "{:?}", q.sizes);
    let mut names = model.names.clone();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 8);
    assert!(model.names.iter().all(|n| !n.contains("constant")), "{:?}", model.names);
    assert_eq!((model.centre[4], model.scale[4], model.clip), (3.0, 1.0, 8.0));
    assert_eq!(model.centroids.len(), 40);
}

#[tokio::test]
async fn one_segment_is_the_mean() {
    let rows = [1.0, 2.0, 6.0].map(|v| vec![Some(v), None]);
    let trained = Table::new(&["x", "unknown"], rows).train(&unscaled(1)).await.unwrap();
    assert_eq!(
        (trained.model.centroids, trained.model.names),
        (vec![3.0, 0.0], vec!["everyone".to_string()])
    );
    assert_eq!((trained.quality.inertia, trained.quality.sizes), (14.0, vec![3]));
}

#[tokio::test]
async fn as_many_segments_as_different_rows_and_no_more() {
    let table = Table::new(&["x"], [1.0, 1.0, 5.0, 5.0, 5.0, -9.0, f64::NAN].map(|v| vec![Some(v)]));
    let trained = table.train(&unscaled(4)).await.unwrap();
    assert_eq!(trained.model.centroids, [5.0, 1.0, -9.0, 0.0]);
    assert_eq!((trained.quality.inertia, trained.quality.sizes), (0.0, vec![3, 2, 1, 1]));
    let error = table.train(&unscaled(5)).await.unwrap_err();
    assert!(
        matches!(&error, Error::Contract(m) if m.contains("4 different") && m.contains("`k: 5`")),
        "{error}"
    );
    let nothing = train_kmeans(&unscaled(1), stream(vec![table.batch(&[])])).await;
    assert!(matches!(nothing, Err(Error::Contract(m)) if m.contains("0 different")));
}

#[tokio::test]
async fn trainers_by_kind() {
    let header = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let rows = || {
        let ids: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3, 4]));
        let x: ArrayRef = Arc::new(Float64Array::from(vec![0.0, 1.0, 10.0, 11.0]));
        let batch = RecordBatch::try_from_iter(vec![("id", ids), ("x", x)]).unwrap();
        async move { Ok(stream(vec![batch])) }
    };
    let kmeans = Trainer::from_header("kmeans", &header(&[("k", "2"), ("max_share", ".4")])).unwrap();
    let trained = kmeans.train(&[], rows).await.unwrap();
    assert_eq!(trained.model.data_type(), kmeans.output_type());
    assert_eq!(KmeansModel::from_scalar(&trained.model).unwrap().names.len(), 2);
    assert!(matches!(kmeans.gate(&trained), Err(Error::Audit(m)) if m.contains("50.0 %")));
    let reference = Trainer::from_header("reference", &header(&[("quantiles", ".5")])).unwrap();
    let trained = reference.train(&["id".into(), "x".into()], rows).await.unwrap();
    assert_eq!(trained.model.data_type(), reference.output_type());
    assert_eq!(ReferenceModel::from_scalar(&trained.model).unwrap().columns, ["x"]);
    assert!(reference.gate(&trained).is_ok());
    assert!(
        matches!(Trainer::from_header("dbscan", &header(&[])), Err(Error::Usage(m)) if m.contains("kind: dbscan"))
    );
}
