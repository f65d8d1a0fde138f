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
        train_kmeans(settings, self.stream(50), None).await
    }
}

fn scaled(scale: Scale) -> Preparation {
    Preparation { scale, ..Preparation::default() }
}

fn unscaled(k: usize) -> KmeansSettings {
    KmeansSettings { preparation: scaled(Scale::None), ..KmeansSettings::new(k) }
}

fn close(actual: f64, expected: f64, within: f64) {
    assert!((actual - expected).abs() <= within, "{actual} is not within {within} of {expected}");
}

fn bits(model: &KmeansModel) -> Vec<u64> {
    let numbers = model.scaling.centre.iter().chain(&model.scaling.scale).chain(&model.centroids);
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
    let settings = KmeansSettings { preparation: scaled(Scale::Standard), ..KmeansSettings::new(3) };
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
        let logged = ["frequency", "monetary"].map(|feature| (feature.to_string(), Transform::Log1p));
        let transform = ByFeature { default: Transform::None, named: logged.to_vec() };
        let settings = KmeansSettings {
            preparation: Preparation { transform, ..Preparation::default() },
            starts: 4,
            bootstraps: 2,
            sample_rows,
            threads: 1,
            ..KmeansSettings::new(6)
        };
        let first = train_kmeans(&settings, table.stream(8192), None).await.unwrap();
        assert_eq!(first.quality.rows, 30_000);
        assert_eq!(first.quality.sizes.iter().sum::<u64>(), 30_000.min(sample_rows as u64));
        for (seed, batch_rows, threads) in [(1, 8192, 2), (2, 1, 7), (3, 999, 16)] {
            let settings = KmeansSettings { threads, ..settings.clone() };
            let again = train_kmeans(&settings, table.shuffled(seed).stream(batch_rows), None).await.unwrap();
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
    assert_eq!((model.scaling.centre[4], model.scaling.scale[4], model.scaling.clips[4]), (3.0, 1.0, 8.0));
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
    let nothing = train_kmeans(&unscaled(1), stream(vec![table.batch(&[])]), None).await;
    assert!(matches!(nothing, Err(Error::Contract(m)) if m.contains("0 different")));
}

/// Groups of 400 rows about points on a diagonal; `luck` draws the noise.
fn groups(places: &[f64], luck: u64) -> Table {
    let noise = |i: u64| (mix(i ^ luck << 32) >> 40) as f64 / 16_777_216.0 - 0.5;
    let row = |i: u64| {
        let place = places[i as usize % places.len()];
        vec![Some(place + noise(2 * i)), Some(place - noise(2 * i + 1))]
    };
    Table::new(&["x", "y"], (0..400 * places.len() as u64).map(row))
}

#[tokio::test]
async fn a_model_trained_anew_keeps_the_ids() {
    let settings = |k: usize| KmeansSettings { starts: 8, bootstraps: 2, ..unscaled(k) };
    let train = async |table: &Table, k: usize, before: Option<&KmeansModel>| {
        train_kmeans(&settings(k), table.stream(100), before).await.unwrap().model
    };
    let place = |model: &KmeansModel, x: f64| model.segments[model.nearest_two(&[x, x]).0];
    let first = train(&groups(&[0.0, 10.0, 20.0], 1), 3, None).await;
    assert_eq!((first.segments.as_slice(), first.next_segment), (&[0, 1, 2][..], 3));
    let at = |x: f64| place(&first, x);
    for luck in 2..12 {
        let again = train(&groups(&[0.0, 10.0, 20.0], luck), 3, Some(&first)).await;
        assert_eq!([0.0, 10.0, 20.0].map(|x| place(&again, x)), [0.0, 10.0, 20.0].map(at));
    }
    // a group falls into two: one of them is a new segment
    let split = train(&groups(&[0.0, 10.0, 18.0, 23.0], 1), 4, Some(&first)).await;
    assert_eq!((place(&split, 0.0), place(&split, 10.0), split.next_segment), (at(0.0), at(10.0), 4));
    let mut halves = [place(&split, 18.0), place(&split, 23.0)];
    halves.sort_unstable();
    assert_eq!(halves, [at(20.0), 3]);
    // two become one: an id goes, and never comes back
    let merged = train(&groups(&[0.0, 10.0, 10.0], 1), 2, Some(&split)).await;
    assert_eq!((place(&merged, 0.0), place(&merged, 10.0)), (at(0.0), at(10.0)));
    let more = train(&groups(&[0.0, 10.0, 50.0], 1), 3, Some(&merged)).await;
    assert_eq!((place(&more, 50.0), more.next_segment), (4, 5));
    // ids of a model of other features are not used again
    let renamed = Table { features: vec!["x".into(), "z".into()], ..groups(&[0.0, 9.0], 1) };
    assert_eq!(train(&renamed, 2, Some(&more)).await.segments, [5, 6]);
}

/// What 3,000 customers of six personas do on 200 days, and who they are.
struct Panel {
    /// Customer, day and kind: how often.
    counts: Vec<[[u8; 4]; 200]>,
    /// The logarithms of each customer's own rates.
    rates: Vec<[f64; 4]>,
}

impl Panel {
    /// Visits, orders, messages opened and store visits a day of each persona.
    const PERSONAS: [[f64; 4]; 6] = [
        [2.0, 0.5, 0.2, 0.05],
        [0.3, 0.05, 1.0, 0.05],
        [0.1, 0.2, 0.05, 0.8],
        [3.0, 0.05, 0.1, 0.02],
        [0.2, 0.02, 0.05, 0.05],
        [1.0, 1.0, 1.5, 0.5],
    ];

    fn new() -> Panel {
        let dice = |i: u64, which: u64| (mix(mix(i) ^ which) >> 11) as f64 / (1u64 << 53) as f64;
        let normal = |i: u64, which: u64| (0..12).map(|k| dice(i, which * 12 + k)).sum::<f64>() - 6.0;
        let mut panel = Panel { counts: Vec::new(), rates: Vec::new() };
        for customer in 0..3_000u64 {
            let persona = Self::PERSONAS[customer as usize % 6];
            let rates = std::array::from_fn(|kind| persona[kind].ln() + 0.35 * normal(customer, kind as u64));
            let often = |day: u64, kind: usize| {
                // Poisson by inversion
                let (mut luck, mut term, mut n) =
                    (dice(customer << 20 | day << 4, 900 + kind as u64), (-rates[kind].exp()).exp(), 0u8);
                while luck > term && n < 60 {
                    luck -= term;
                    n += 1;
                    term *= rates[kind].exp() / f64::from(n);
                }
                n
            };
            panel.counts.push(std::array::from_fn(|day| std::array::from_fn(|kind| often(day as u64, kind))));
            panel.rates.push(rates);
        }
        panel
    }

    /// Sums over 200 days drawn with repetition; `luck` 0: over each day once.
    fn world(&self, luck: u64) -> Table {
        let day = |draw: u64| if luck == 0 { draw as usize } else { (mix(mix(luck) ^ draw) % 200) as usize };
        let days: Vec<usize> = (0..200).map(day).collect();
        let sum = |customer: &[[u8; 4]; 200], kind: usize| {
            days.iter().map(|d| f64::from(customer[*d][kind])).sum::<f64>()
        };
        let row = |customer: &[[u8; 4]; 200]| (0..4).map(|kind| Some(sum(customer, kind))).collect();
        Table::new(&["visits", "orders", "opens", "stores"], self.counts.iter().map(row))
    }

    /// Whether a customer's own rates lie at most .6 times as far from the nearest persona as from the next.
    fn is_clear(&self, customer: usize) -> bool {
        let logs = Self::PERSONAS.map(|persona| persona.map(f64::ln));
        let distance = |persona: &[f64; 4]| {
            let squares = self.rates[customer].iter().zip(persona).map(|(a, b)| (a - b) * (a - b));
            squares.sum::<f64>().sqrt()
        };
        let mut distances = logs.each_ref().map(distance);
        distances.sort_by(f64::total_cmp);
        distances[0] <= 0.6 * distances[1]
    }
}

/// The same customers on days drawn anew, ten times: the model is trained anew each time, and whose persona is clear keeps
/// the segment.
#[tokio::test]
async fn customers_keep_their_segments_through_ten_resampled_worlds() {
    let panel = Panel::new();
    let preparation = Preparation {
        transform: ByFeature::all(Transform::Log1p),
        scale: Scale::Standard,
        ..Preparation::default()
    };
    let settings = KmeansSettings { preparation, bootstraps: 0, ..KmeansSettings::new(6) };
    let segments = |model: &KmeansModel, table: &Table| -> Vec<i32> {
        let place = |row: &[Option<f64>]| {
            let mut scaled = vec![0.0; 4];
            model.scaling.scale_into(row.iter().copied(), &mut scaled);
            model.segments[model.nearest_two(&scaled).0]
        };
        table.rows.iter().map(|(_, row)| place(row)).collect()
    };
    let table = panel.world(0);
    let mut model = train_kmeans(&settings, table.stream(500), None).await.unwrap().model;
    let first = segments(&model, &table);
    let clear: Vec<usize> = (0..first.len()).filter(|customer| panel.is_clear(*customer)).collect();
    assert!(clear.len() > 2_000, "{} are clear", clear.len());
    for luck in 1..=10 {
        let table = panel.world(luck);
        model = train_kmeans(&settings, table.stream(500), Some(&model)).await.unwrap().model;
        let now = segments(&model, &table);
        let kept = clear.iter().filter(|customer| now[**customer] == first[**customer]).count();
        let share = kept as f64 / clear.len() as f64;
        assert!(share >= 0.99, "world {luck}: {share} of {} keep their segment", clear.len());
        assert_eq!(model.next_segment, 6, "no segment is new");
    }
}

#[tokio::test]
async fn a_model_stays_until_its_population_drifts() {
    let settings = KmeansSettings { starts: 4, bootstraps: 2, ..unscaled(3) };
    let first = groups(&[0.0, 10.0, 20.0], 1);
    let model = train_kmeans(&settings, first.stream(100), None).await.unwrap().model;
    let follow = async |table: Table, unless_drifted: bool| {
        follow_kmeans(&settings, table.stream(100), Some(&model), unless_drifted, 0).await.unwrap()
    };
    assert_eq!(follow(groups(&[0.0, 10.0, 20.0], 2), true).await, Followed::Kept);
    let why = |followed: Followed| match followed {
        Followed::Trained(_, why) => why,
        Followed::Kept => panic!("the model was kept"),
    };
    assert_eq!(why(follow(groups(&[0.0, 10.0, 20.0], 2), false).await), None);
    let moved = why(follow(groups(&[5.0, 15.0, 25.0], 2), true).await).unwrap();
    assert!(moved.contains("stability index"), "{moved}");
}

#[tokio::test]
async fn degenerate_rows_are_handled_or_refused_with_the_reason() {
    let n = 2_000u64;
    let uniform = |i: u64| (mix(i) >> 40) as f64 / 16_777_216.0;
    let settings = KmeansSettings { starts: 4, bootstraps: 3, ..KmeansSettings::new(3) };
    // a constant column says nothing and harms nothing
    let constant =
        Table::new(&["x", "same"], (0..n).map(|i| vec![Some((i % 3) as f64 + uniform(i) / 9.0), Some(7.0)]));
    let trained = constant.train(&settings).await.unwrap();
    assert!(gate(&trained.quality, &settings.gate).is_ok());
    // one outlier of 1e12 is bounded; unscaled it is refused
    let outlier = |i: u64| vec![Some(if i == 9 { 1e12 } else { (i % 3) as f64 + uniform(i) / 9.0 })];
    let outlier = Table::new(&["x"], (0..n).map(outlier));
    let trained = outlier.train(&settings).await.unwrap();
    assert!(gate(&trained.quality, &settings.gate).is_ok(), "{:?}", trained.quality);
    let error = outlier.train(&unscaled(3)).await.unwrap_err();
    assert!(
        matches!(&error, Error::Contract(m) if m.contains("1000000000000") && m.contains("r9")),
        "{error}"
    );
    // 99 % zeros: one segment holds nearly all
    let zeros = Table::new(
        &["x"],
        (0..n).map(|i| vec![Some(if i.is_multiple_of(100) { 5.0 + uniform(i) } else { 0.0 })]),
    );
    let trained = zeros.train(&KmeansSettings { k: 2..=2, ..settings.clone() }).await.unwrap();
    let error = gate(&trained.quality, &settings.gate).unwrap_err();
    assert!(matches!(&error, Error::Audit(m) if m.contains("99.0 %") && m.contains("max_share")), "{error}");
    // fewer customers than segments
    let few = Table::new(&["x"], (0..2).map(|i| vec![Some(i as f64)]));
    let error = few.train(&settings).await.unwrap_err();
    assert!(
        matches!(&error, Error::Contract(m) if m.contains("2 different") && m.contains("k: 3")),
        "{error}"
    );
    // values that are not known lie at the centre
    let unknown = Table::new(
        &["x", "y"],
        (0..n).map(|i| vec![Some(f64::NAN), Some((i % 3) as f64 + uniform(i) / 9.0)]),
    );
    let trained = unknown.train(&settings).await.unwrap();
    assert!(trained.model.centroids.chunks(2).all(|centroid| centroid[0] == 0.0));
    assert!(gate(&trained.quality, &settings.gate).is_ok());
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
    let trained = kmeans.train(&[], rows, None).await.unwrap();
    assert_eq!(trained.model.data_type(), kmeans.output_type());
    assert_eq!(KmeansModel::from_scalar(&trained.model).unwrap().names.len(), 2);
    assert!(matches!(kmeans.gate(&trained), Err(Error::Audit(m)) if m.contains("50.0 %")));
    let reference = Trainer::from_header("reference", &header(&[("quantiles", ".5")])).unwrap();
    let trained = reference.train(&["id".into(), "x".into()], rows, None).await.unwrap();
    assert_eq!(trained.model.data_type(), reference.output_type());
    assert_eq!(ReferenceModel::from_scalar(&trained.model).unwrap().columns, ["x"]);
    assert!(reference.gate(&trained).is_ok());
    assert!(
        matches!(Trainer::from_header("dbscan", &header(&[])), Err(Error::Usage(m)) if m.contains("kind: dbscan"))
    );
}
