//! Dense segments: as scikit-learn finds them, and from a project's files to its tables.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use strata::cluster::{DensitySettings, Preparation, Scale, TrainedDensity, train_density};

use crate::support::project::{refusal, tiny, write};
use crate::support::python::script;
use crate::support::world::{hashes, rows};
use crate::support::{fails, ok, text};

/// Clouds, rings or a spiral amid scatter, and scikit-learn's labels: lines of a label and then the values.
const SKLEARN: &str = r#"
import sys
import numpy as np
from sklearn.cluster import HDBSCAN
kind, rows, size, samples = sys.argv[1], *map(int, sys.argv[2:])
dice = np.random.default_rng(7)
inside, width = rows * 9 // 10, 5 if kind == "clouds" else 2
if kind == "clouds":
    centres, deviations = dice.uniform(-6, 6, (6, width)), dice.uniform(.2, 1, 6)
    which = dice.choice(6, inside, p=[.3, .25, .2, .1, .1, .05])
    points = centres[which] + deviations[which, None] * dice.standard_normal((inside, width))
elif kind == "rings":
    angle, radius = dice.uniform(0, 2 * np.pi, inside), dice.choice([1., 3.], inside)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1) + .1 * dice.standard_normal((inside, 2))
else:
    turn = np.sqrt(dice.uniform(.1, 1, inside)) * 3 * np.pi
    side = dice.choice([-1, 1], inside)[:, None]
    points = side * np.stack([turn * np.cos(turn), turn * np.sin(turn)], 1) / 2 + .1 * dice.standard_normal((inside, 2))
points = np.vstack([points, dice.uniform(points.min() - 1, points.max() + 1, (rows - inside, width))])
labels = HDBSCAN(min_cluster_size=size, min_samples=samples, copy=True).fit(points).labels_
for label, point in zip(labels, points):
    print(label, *(repr(float(x)) for x in point))
"#;

fn stream(points: &[Vec<f64>]) -> SendableRecordBatchStream {
    let keys: StringArray = (0..points.len()).map(|row| Some(row.to_string())).collect();
    let mut columns = vec![("id".to_string(), Arc::new(keys) as ArrayRef)];
    columns.extend((0..points[0].len()).map(|f| {
        let values: Float64Array = points.iter().map(|point| Some(point[f])).collect();
        (format!("f{f}"), Arc::new(values) as ArrayRef)
    }));
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    Box::pin(RecordBatchStreamAdapter::new(batch.schema(), futures::stream::iter([Ok(batch)])))
}

fn train(settings: DensitySettings, points: &[Vec<f64>]) -> TrainedDensity {
    let preparation = Preparation { scale: Scale::None, ..Preparation::default() };
    let settings = DensitySettings { preparation, ..settings };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(train_density(&settings, stream(points), None, 0)).unwrap()
}

/// The adjusted Rand index of two partitions (Hubert and Arabie 1985).
fn adjusted_rand<A: Ord + Copy, B: Ord + Copy>(pairs: &[(A, B)]) -> f64 {
    let couples =
        |sizes: BTreeMap<_, u64>| sizes.into_values().map(|n| (n * (n - 1) / 2) as f64).sum::<f64>();
    let (mut a, mut b, mut both) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (x, y) in pairs {
        *a.entry((Some(*x), None)).or_default() += 1;
        *b.entry((None, Some(*y))).or_default() += 1;
        *both.entry((Some(*x), Some(*y))).or_default() += 1;
    }
    let (a, b, both) = (couples(a), couples(b), couples(both));
    let chance = a * b / (pairs.len() as f64 * (pairs.len() as f64 - 1.0) / 2.0);
    (both - chance) / ((a + b) / 2.0 - chance)
}

#[test]
fn the_same_segments_as_scikit_learn() {
    for (kind, rows, size, samples, segments) in [
        ("clouds", 3000, 40, 40, 6),
        ("clouds", 3000, 60, 10, 6),
        ("rings", 2500, 50, 20, 2),
        ("spiral", 2500, 60, 10, 2),
    ] {
        let said = script(SKLEARN, &[kind, &rows.to_string(), &size.to_string(), &samples.to_string()]);
        let (mut labels, mut points) = (Vec::<i64>::new(), Vec::new());
        for line in said.lines() {
            let mut numbers = line.split(' ');
            labels.push(numbers.next().unwrap().parse().unwrap());
            points.push(numbers.map(|x| x.parse().unwrap()).collect::<Vec<f64>>());
        }
        let settings = DensitySettings { min_samples: samples, ..DensitySettings::new(size) };
        let trained = train(settings, &points);
        let pairs: Vec<(Option<i32>, i64)> = trained
            .sample
            .iter()
            .map(|row| (row.segment, labels[row.key.parse::<usize>().unwrap()]))
            .collect();
        let rand = adjusted_rand(&pairs);
        assert!(
            rand >= 0.99,
            "{kind}, {size} rows, {samples} samples: adjusted Rand {rand}, {:?}",
            trained.quality
        );
        assert_eq!(trained.quality.sizes.len(), segments, "{kind}: {:?}", trained.quality);
        assert!(trained.quality.members_kept >= 0.99, "{kind}: {:?}", trained.quality);
    }
}

const POINTS: &str = "-- Points in a plane.\n-- grain: id\n-- event_time: at\n-- clock: true\n\
    create external table raw.points (\n    id bigint,\n    x double,\n    y double,\n    at timestamp(6)\n)\n\
    stored as csv\nlocation 'raw/points/'\n";

const MODEL: &str = "-- Where points lie dense.\n-- kind: hdbscan\n-- min_cluster_size: 30\n-- min_samples: 10\n-- scale: standard\n\
    -- core_points: 100\nselect id, x, y from raw.points\n";

const ASSIGNED: &str = "-- The dense segment of each point.\n-- grain: as_of, id\n-- store: table\n\
    with assigned as (\n    select\n        id,\n        density_assign(make_array(x, y), $dense) as a,\n        \
    density_explain(make_array(x, y), $dense) as e\n    from raw.points\n)\n\n\
    select\n    id,\n    $as_of as as_of,\n    a['segment'] as segment,\n    \
    density_segment_name(a['segment'], $dense) as segment_name,\n    a['distance'] as distance,\n    \
    a['runner_up'] as runner_up,\n    a['margin'] as margin,\n    e[1]['feature'] as decider,\n    \
    e[1]['contribution'] + e[2]['contribution'] as contributions\nfrom assigned\n";

/// 200 points around (0, 0) and 100 around (10, 3), in crooked spirals, and a few far out.
fn points() -> String {
    let mut csv = String::from("id,x,y,at\n");
    for i in 0..310 {
        let (turn, out) = (f64::from(i) * 2.4, (f64::from(i % 100) / 100.0).sqrt());
        let (x, y) = match i {
            0..200 => (out * turn.cos(), out * turn.sin()),
            200..300 => (10.0 + 2.0 * out * turn.cos(), 3.0 + 2.0 * out * turn.sin()),
            _ => (-30.0 - f64::from(i) * 7.0 % 50.0, f64::from(i) * 13.0 % 60.0),
        };
        csv += &format!("{i},{x},{y},2025-01-01T10:00:00\n");
    }
    csv
}

#[test]
fn a_project_learns_assigns_and_explains() {
    let project = tiny(&[
        ("raw/points.sql", POINTS),
        ("models/dense.sql", MODEL),
        ("segments/dense_segments.sql", ASSIGNED),
    ]);
    let sales = "id,customer,amount,pieces,sold_at\n1,ann,10.50,2,2025-01-01T10:00:00\n";
    let mut found = Vec::new();
    for threads in ["1", "7"] {
        let lake = tempfile::tempdir().unwrap();
        write(lake.path(), &[("raw/sales/a.csv", sales), ("raw/points/a.csv", &points())]);
        ok(&["run", "--project", text(project.path()), "--lake", text(lake.path()), "--threads", threads]);
        found.push(hashes(lake.path(), &[("dense_segments", "id")]));
        for row in rows(lake.path(), "select * from dense_segments order by id") {
            let id = row["id"].as_i64().unwrap();
            let expected = match id {
                0..200 => Some(0),
                200..300 => Some(1),
                _ => None,
            };
            assert_eq!(row["segment"].as_i64(), expected, "{row}");
            assert_eq!(row["segment_name"] == "noise", expected.is_none(), "{row}");
            let number = |name: &str| row[name].as_f64().unwrap();
            let (distance, margin) = (number("distance"), number("margin"));
            let sum =
                if expected.is_some() { margin * (margin + 2.0 * distance) } else { distance * distance };
            assert!((number("contributions") - sum).abs() <= 1e-9 * sum, "{row}");
            assert!(row["decider"] == "x" || expected.is_none(), "{row}");
        }
    }
    assert_eq!(found[0], found[1]);

    let noisy = MODEL.replace("-- scale: standard\n", "-- scale: standard\n-- max_noise: .03\n");
    write(project.path(), &[("models/dense.sql", &noisy)]);
    let lake = tempfile::tempdir().unwrap();
    write(lake.path(), &[("raw/sales/a.csv", sales), ("raw/points/a.csv", &points())]);
    let said = fails(4, &["run", "--project", text(project.path()), "--lake", text(lake.path())]);
    assert!(said.contains("models.dense") && said.contains("% of the rows are noise"), "{said}");
}

const QUALITY: &str = "-- How good each dense segment is.\n-- grain: as_of, segment\n-- store: table\n-- publish: as_of\n\
    with qualities as (\n    select unnest($dense['quality']) as quality\n)\n\n\
    select\n    $as_of as as_of,\n    quality['segment'] as segment,\n    \
    density_segment_name(quality['segment'], $dense) as name_en,\n    \
    density_segment_name(quality['segment'], $dense, 'zh') as name_zh,\n    \
    density_segment_name(null, $dense, 'zh') as none_zh,\n    quality['rows'] as rows,\n    \
    quality['stability'] as stability,\n    quality['probability'] as probability,\n    \
    $dense['bootstrap_stability'] as bootstrap_stability,\n    $dense['noise_share'] as noise_share\nfrom qualities\n";

/// 300 more points around (10, 3), and 150 around (20, 0), a month later.
fn later_points() -> String {
    let mut csv = String::from("id,x,y,at\n");
    for i in 1000..1450 {
        let (turn, out) = (f64::from(i) * 2.4, (f64::from(i % 100) / 100.0).sqrt());
        let (x, y) = match i {
            ..1300 => (10.0 + 2.0 * out * turn.cos(), 3.0 + 2.0 * out * turn.sin()),
            _ => (20.0 + out * turn.cos(), out * turn.sin()),
        };
        csv += &format!("{i},{x},{y},2025-02-01T10:00:00\n");
    }
    csv
}

#[test]
fn a_project_keeps_the_ids_of_dense_segments() {
    let model = MODEL.replace("-- core_points", "-- refit: always\n-- titles_zh: x=横, y=纵\n-- core_points");
    let assigned = ASSIGNED.replace("-- store: table\n", "-- store: table\n-- publish: as_of\n");
    let project = tiny(&[
        ("raw/points.sql", POINTS),
        ("models/dense.sql", &model),
        ("segments/dense_segments.sql", &assigned),
        ("segments/dense_quality.sql", QUALITY),
    ]);
    let sales = "id,customer,amount,pieces,sold_at\n1,ann,10.50,2,2025-01-01T10:00:00\n";
    let mut found = Vec::new();
    for threads in ["1", "7"] {
        let lake = tempfile::tempdir().unwrap();
        write(lake.path(), &[("raw/sales/a.csv", sales), ("raw/points/a.csv", &points())]);
        let run = |as_of: &str| {
            let [project, lake] = [text(project.path()), text(lake.path())];
            ok(&["run", "--project", project, "--lake", lake, "--as-of", as_of, "--threads", threads]);
        };
        run("2025-01-15");
        write(lake.path(), &[("raw/points/b.csv", &later_points())]);
        run("2025-02-15");
        found.push(hashes(
            lake.path(),
            &[("dense_segments", "as_of, id"), ("dense_quality", "as_of, segment")],
        ));
        // the second is the largest now, and the newcomer comes last
        let qualities = rows(lake.path(), "select * from dense_quality order by as_of, segment");
        let sizes =
            qualities.iter().map(|row| (row["segment"].as_i64().unwrap(), row["rows"].as_i64().unwrap()));
        assert_eq!(sizes.collect::<Vec<_>>(), [(0, 200), (1, 100), (0, 200), (1, 400), (2, 150)]);
        for row in &qualities {
            let number = |name: &str| row[name].as_f64().unwrap();
            assert!(number("stability") > 0.0 && number("probability") > 0.3, "{row}");
            assert!(number("bootstrap_stability") > 0.9 && number("noise_share") < 0.04, "{row}");
            let words = [("low ", ""), ("high ", ""), ("x", "横"), ("y", "纵"), (", ", "、")];
            let plain = |name: &str| {
                words.iter().fold(name.replace(['高', '低'], ""), |n, (en, zh)| n.replace(en, zh))
            };
            let [en, zh] = ["name_en", "name_zh"].map(|name| row[name].as_str().unwrap());
            assert!(en != zh && plain(en) == plain(zh) && row["none_zh"] == "噪声", "{row}");
        }
        for row in rows(lake.path(), "select * from dense_segments") {
            let expected = match row["id"].as_i64().unwrap() {
                0..200 => Some(0),
                200..300 | 1000..1300 => Some(1),
                1300.. => Some(2),
                _ => None,
            };
            assert_eq!(row["segment"].as_i64(), expected, "{row}");
        }
    }
    assert_eq!(found[0], found[1]);
}

#[test]
fn a_dense_model_is_never_kept_for_want_of_drift() {
    let drifted = MODEL.replace("-- scale", "-- refit: drifted\n-- scale");
    let project = tiny(&[("raw/points.sql", POINTS), ("models/dense.sql", &drifted)]);
    let said = refusal(project.path());
    assert!(
        said.contains("a hdbscan stage cannot use `refit: drifted`") && said.contains("never or always"),
        "{said}"
    );
}
