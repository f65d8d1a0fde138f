//! Customers like those of a list: ranked by distance in the space of the behaviour model, seeds left out.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use strata::engine::planning_state;
use strata::lake::Lake;
use strata::project::Project;
use strata::run::params_of;
use strata_udfs::KmeansModel;

use crate::support::project::write;
use crate::support::world::{deliver, last_run, rows, small_lake};
use crate::support::{ok, text};

/// So many are published of each list.
const ROWS: usize = 100;

/// The built-in project, which publishes fewer of each list.
const FEWER: &str = "name = \"fewer\"\nextends = \"retail\"\n\n[settings]\nlookalike_rows = 100\n";

type Points = BTreeMap<String, Vec<f64>>;

fn named(row: &Value, column: &str) -> String {
    row[column].as_str().unwrap().to_string()
}

/// The customers of the last run in the space of the model.
pub async fn points(lake: &Path, project: &Path) -> Points {
    let opened = Lake::open(text(lake)).unwrap();
    let project = Project::load(text(project), &planning_state().unwrap()).unwrap();
    let params = params_of(&opened, &project, &last_run(lake)).await.unwrap();
    let model = KmeansModel::from_scalar(&params["behaviour_model"]).unwrap();
    let feature = |name: &String| {
        let column = if name == "orders" { "frequency_window" } else { name.as_str() };
        format!("cast({column} as double) as {name}")
    };
    let features: Vec<String> = model.scaling.features.iter().map(feature).collect();
    let columns = format!("select customer_id, {} from features.customers", features.join(", "));
    let scaled = |row: &Value| {
        let value = |(at, name): (usize, &String)| model.scaling.scale_value(at, row[name].as_f64());
        model.scaling.features.iter().enumerate().map(value).collect()
    };
    rows(lake, &columns).iter().map(|row| (named(row, "customer_id"), scaled(row))).collect()
}

/// The distance of every customer to the nearest of the means that the seeds have in each segment.
fn distances(
    points: &Points,
    segments: &BTreeMap<String, i64>,
    seeds: &BTreeSet<String>,
) -> BTreeMap<String, f64> {
    let mut of_segment: BTreeMap<i64, Vec<&Vec<f64>>> = BTreeMap::new();
    for seed in seeds {
        of_segment.entry(segments[seed]).or_default().push(&points[seed]);
    }
    let mean = |members: &Vec<&Vec<f64>>| -> Vec<f64> {
        let sum = |at: usize| members.iter().map(|member| member[at]).sum::<f64>();
        (0..members[0].len()).map(|at| sum(at) / members.len() as f64).collect()
    };
    let means: Vec<Vec<f64>> = of_segment.values().map(mean).collect();
    assert!(means.len() > 1, "the seeds are in one segment");
    let distance = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
    let nearest =
        |point: &Vec<f64>| means.iter().map(|mean| distance(point, mean)).fold(f64::INFINITY, f64::min);
    points.iter().map(|(customer, point)| (customer.clone(), nearest(point))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_ranked_by_distance_and_seeds_are_left_out() {
    let (lake, project) = (small_lake(), tempfile::tempdir().unwrap());
    write(project.path(), &[("project.toml", FEWER)]);
    let run = |as_of: &str| {
        ok(&["run", "--lake", text(lake.path()), "--project", text(project.path()), "--as-of", as_of])
    };
    run("2025-02-15");
    let ids = rows(lake.path(), "select customer_id from segments order by segment, customer_id");
    let ids: Vec<String> = ids.iter().map(|row| named(row, "customer_id")).collect();
    // many seeds of all segments, and a few at the ends
    let lists = BTreeMap::from([
        ("a", ids.iter().step_by(11).cloned().collect::<BTreeSet<_>>()),
        ("b", [&ids[..2], &ids[ids.len() - 3..]].concat().into_iter().collect()),
    ]);
    let seeds =
        lists.iter().flat_map(|(list, seeds)| seeds.iter().map(move |seed| format!("'{list}', '{seed}'")));
    let odd = [format!("' a ', '{}'", ids[0]), "'a', 'nobody'".into(), format!("null, '{}'", ids[1])];
    let delivered: Vec<String> =
        seeds.chain(odd).map(|seed| format!("({seed}, timestamp '2025-02-01 00:00:00')")).collect();
    deliver(lake.path(), "lookalike_seeds", "list_id, customer_id", &delivered);
    run("latest");

    let points = points(lake.path(), project.path()).await;
    let segments = rows(lake.path(), "select customer_id, segment from segments.segments");
    let segments: BTreeMap<String, i64> =
        segments.iter().map(|row| (named(row, "customer_id"), row["segment"].as_i64().unwrap())).collect();
    for (list, seeds) in &lists {
        let expected = distances(&points, &segments, seeds);
        let query = format!("select * from lookalikes where list_id = '{list}' order by rank");
        let found = rows(lake.path(), &query);
        assert_eq!(found.len(), ROWS, "{list}");
        let candidates = points.len() - seeds.len();
        let mut last = 0.0;
        for (at, row) in found.iter().enumerate() {
            let (customer, distance) = (named(row, "customer_id"), row["distance"].as_f64().unwrap());
            assert!(!seeds.contains(&customer), "{list}: {customer} is a seed");
            assert!(
                (distance - expected[&customer]).abs() < 1e-9,
                "{list}: {row}, not {}",
                expected[&customer]
            );
            assert!(distance >= last, "{list}: {row} after {last}");
            assert_eq!(row["rank"], at as u64 + 1);
            let percentile = (at + 1) as f64 / candidates as f64;
            assert!((row["percentile"].as_f64().unwrap() - percentile).abs() < 1e-12, "{list}: {row}");
            last = distance;
        }
        let published: BTreeSet<String> = found.iter().map(|row| named(row, "customer_id")).collect();
        assert_eq!(published.len(), ROWS, "{list}: somebody is there twice");
        let left_out = expected
            .iter()
            .filter(|(customer, _)| !published.contains(*customer) && !seeds.contains(*customer));
        assert!(left_out.clone().count() > ROWS, "{list}");
        for (customer, distance) in left_out {
            assert!(*distance > last - 1e-9, "{list}: {customer} at {distance} is nearer than {last}");
        }
        for population in ["seeds", "others"] {
            let is_of = |customer: &String| seeds.contains(customer) == (population == "seeds");
            let mut of: Vec<f64> =
                expected.iter().filter(|(c, _)| is_of(c)).map(|(_, distance)| *distance).collect();
            of.sort_by(f64::total_cmp);
            check_deciles(lake.path(), list, population, &of);
        }
    }

    let rejected = rows(
        lake.path(),
        "select stage, rule, rows from quality where stage like '%seeds' and as_of > '2025-02-20' order by 1, 2",
    );
    let rejected: Vec<String> = rejected
        .iter()
        .map(|row| format!("{} {} {}", named(row, "stage"), named(row, "rule"), row["rows"]))
        .collect();
    assert_eq!(
        rejected,
        [
            "features.known_seeds unknown_customer 1",
            "staging.lookalike_seeds duplicate_seed 1",
            "staging.lookalike_seeds missing_key 1"
        ]
    );
}

/// The published deciles of distance against those of the ascending distances given, up to the step of 1/1024.
fn check_deciles(lake: &Path, list: &str, population: &str, distances: &[f64]) {
    let query = format!(
        "select decile, distance, customers from lookalike_scores
         where list_id = '{list}' and population = '{population}' order by decile"
    );
    let found = rows(lake, &query);
    assert_eq!(found.len(), 11, "{list}, {population}");
    for (decile, row) in found.iter().enumerate() {
        let place = (decile * distances.len()).div_ceil(10).max(1) - 1;
        let behind = distances[place] - row["distance"].as_f64().unwrap();
        assert!(
            (-1e-9..1.0 / 1024.0 + 1e-9).contains(&behind),
            "{list}, {population}: {row}, not {}",
            distances[place]
        );
        assert_eq!(
            (row["decile"].as_u64(), row["customers"].as_u64()),
            (Some(decile as u64), Some(distances.len() as u64))
        );
    }
}
