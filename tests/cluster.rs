//! A cluster of processes gives the bytes that one process gives, also when the driver dies on the way.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::project_runs::{STEPS, ZERO};
use crate::support::cluster::Cluster;
use crate::support::process::Running;
use crate::support::project::{tiny, tiny_lake};
use crate::support::s3::S3;
use crate::support::shuffle::Random;
use crate::support::world::{
    PUBLISHED, SMALL, files, published_hashes, published_hashes_of_any_run, rows, small_lake, small_run,
};
use crate::support::{fails, nothing_to_compute, ok, set_environment, text};

#[test]
fn a_cluster_publishes_the_same_bytes_and_its_executors_write_them() {
    // executors prove it to each other when they fetch rows
    set_environment(vec![("STRATA_CLUSTER_SECRET".into(), "a secret of sixteen bytes or more".into())]);
    let cluster = Cluster::start(2);
    let lake = small_lake();
    let engine = cluster.engine();
    ok(&["run", "--lake", text(lake.path()), "--engine", &engine, "--local-below", "0", "--threads", "16"]);
    assert_eq!(published_hashes(lake.path()), published_hashes(small_run()));
    let written = writers(lake.path());
    let executors: Vec<&String> = written.keys().filter(|writer| *writer != "driver").collect();
    assert_eq!(executors.len(), 2, "{written:?}");
    assert!(executors.iter().all(|executor| written[*executor] > 10), "{written:?}");
    assert!(!written.contains_key("driver"), "the driver writes no result: {written:?}");
    let tasks = |stage: &str| {
        let files = manifests(lake.path(), stage).into_iter().flat_map(|manifest| files_of(&manifest));
        files.map(|file| file["writer"].to_string()).collect::<BTreeSet<_>>().len()
    };
    assert!(tasks("staging/orders") > 1 && tasks("facts/daily_activity") > 1);
    let told = rows(lake.path(), "select engine, version, options from runs");
    assert_eq!(told[0]["engine"], "ballista");
    assert!(told[0]["version"].as_str().unwrap().contains("ballista 55"), "{told:?}");
    let options = told[0]["options"].as_str().unwrap();
    assert!(
        options.contains(&format!("\"cluster\":\"{}\"", engine.trim_start_matches("ballista://"))),
        "{options}"
    );
    // a local run finds all of it
    let said = ok(&["run", "--lake", text(lake.path()), "--dry-run"]);
    assert!(nothing_to_compute(&said), "{said}");
}

/// Files of stage results by the process that wrote them, as manifests say.
fn writers(lake: &Path) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for file in manifests(lake, "").iter().flat_map(files_of) {
        let writer = file["writer"].as_str().unwrap().split('/').next().unwrap().to_owned();
        *counts.entry(writer).or_default() += 1;
    }
    counts
}

/// The manifests of a stage, or of all.
fn manifests(lake: &Path, stage: &str) -> Vec<serde_json::Value> {
    let below = files(&lake.join("stages").join(stage)).into_iter();
    let read = |file: PathBuf| serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    below.filter(|file| text(file).contains("/manifests/")).map(read).collect()
}

fn files_of(manifest: &serde_json::Value) -> Vec<serde_json::Value> {
    let days = manifest["days"].as_array().cloned().unwrap_or_else(|| vec![manifest.clone()]);
    days.iter().flat_map(|day| day["files"].as_array().cloned().unwrap_or_default()).collect()
}

#[test]
fn a_cluster_over_s3_publishes_the_same_bytes() {
    let s3 = S3::start();
    set_environment(s3.environment("admin"));
    let cluster = Cluster::start(2);
    let lake = "s3://lake/cluster";
    ok(&[&["generate", "--lake", lake], SMALL].concat());
    // some jobs are done by the driver, others by executors
    ok(&["run", "--lake", lake, "--engine", &cluster.engine(), "--local-below", "64KiB"]);
    assert_eq!(published_hashes_of_any_run(Path::new(lake)), published_hashes_of_any_run(small_run()));
}

#[test]
fn an_executor_killed_at_any_moment_changes_nothing() {
    let mut random = Random::new(3);
    let mut cluster = Cluster::start(2);
    let mut killed_in_time = 0;
    for _ in 0..5 {
        let lake = small_lake();
        let engine = cluster.engine();
        let args =
            ["run", "--lake", text(lake.path()), "--engine", &engine, "--local-below", "0", "--threads", "4"];
        let mut run = Running::start(&args);
        std::thread::sleep(Duration::from_millis(300 + random.below(4000) as u64));
        let mut victim = cluster.executors.remove(0);
        assert!(victim.is_killed());
        killed_in_time += usize::from(run.ended().is_none());
        assert!(run.wait().success(), "{}", run.said());
        assert_eq!(published_hashes(lake.path()), published_hashes(small_run()));
        cluster.add_executor();
    }
    assert!(killed_in_time >= 3, "only {killed_in_time} executors were killed before their run ended");
}

#[test]
fn an_executor_that_is_silent_counts_as_lost() {
    let cluster = Cluster::start(2);
    let lake = small_lake();
    let engine = cluster.engine();
    let mut run =
        Running::start(&["run", "--lake", text(lake.path()), "--engine", &engine, "--local-below", "0"]);
    std::thread::sleep(Duration::from_millis(800));
    cluster.executors[0].signal("STOP");
    assert!(run.ended().is_none(), "the run ended before the executor was stopped");
    assert!(run.wait().success(), "{}", run.said());
    assert_eq!(published_hashes(lake.path()), published_hashes(small_run()));
}

#[test]
fn a_driver_killed_at_any_moment_is_resumed_on_s3() {
    let s3 = S3::start();
    // a second to see that the last driver is dead
    set_environment([s3.environment("admin"), vec![("STRATA_LOCK_TIMEOUT".into(), "1".into())]].concat());
    let cluster = Cluster::start(2);
    let engine = cluster.engine();
    let lake = "s3://lake/killed";
    ok(&[&["generate", "--lake", lake], SMALL].concat());
    let run = ["run", "--lake", lake, "--engine", &engine, "--local-below", "0"];
    let mut random = Random::new(5);
    let mut killed = 0;
    for _ in 0..10 {
        let mut driver = Running::start(&run);
        std::thread::sleep(Duration::from_millis(1200 + random.below(2500) as u64));
        killed += usize::from(driver.is_killed());
    }
    assert!(killed >= 5, "only {killed} drivers were killed before they ended");
    ok(&run);
    assert_eq!(published_hashes_of_any_run(Path::new(lake)), published_hashes_of_any_run(small_run()));
    for (table, grain) in PUBLISHED {
        let twice = format!("select {grain} from {table} group by {grain} having count(*) > 1");
        assert!(rows(Path::new(lake), &twice).is_empty(), "{table}");
    }
}

#[test]
fn a_scheduler_that_is_not_there_is_named() {
    let lake = small_lake();
    let started = Instant::now();
    let said = fails(5, &["run", "--lake", text(lake.path()), "--engine", "ballista://127.0.0.1:9"]);
    assert!(said.contains("127.0.0.1:9") && said.contains("strata scheduler"), "{said}");
    assert!(started.elapsed() < Duration::from_secs(30));
    let said = fails(2, &["run", "--lake", text(lake.path()), "--engine", "spark"]);
    assert!(said.contains("ballista://HOST:PORT"), "{said}");
    let said =
        fails(5, &["executor", "--scheduler", "127.0.0.1:9", "--port", "0", "--lake", text(lake.path())]);
    assert!(said.contains("127.0.0.1:9"), "{said}");
}

#[test]
fn a_cluster_without_executors_gives_up_in_time() {
    let cluster = Cluster::start(0);
    let lake = small_lake();
    let engine = cluster.engine();
    let args =
        ["run", "--lake", text(lake.path()), "--engine", &engine, "--local-below", "0", "--job-timeout", "3"];
    let said = fails(5, &args);
    assert!(said.contains("--job-timeout"), "{said}");
}

/// Every scalar function that the built-in project does not use, over columns, so that executors must know it.
const FUNCTIONS: &str = "-- What functions make of each sale.
-- grain: id
-- store: table
select
    id,
    customer,
    fold_width(customer) as folded,
    normalize_email(concat(customer, '@Example.com')) as email,
    normalize_name(concat('Mr. ', customer)) as name,
    normalize_phone(concat('1381234567', cast(id as varchar)), 'CN') as phone,
    pseudonym(customer, $pseudonym_key) as alias,
    parse_date(concat('2025/1/', cast(id as varchar))) as day,
    to_money(amount) as money,
    local_date(sold_at, 'Asia/Shanghai') as local_day,
    local_dow(sold_at, 'Asia/Shanghai') as weekday,
    local_hour(sold_at, 'Asia/Shanghai') as hour,
    day_start(local_date(sold_at, 'Asia/Shanghai'), 'Asia/Shanghai') as midnight,
    interval_index(make_array(sold_at), sold_at) as place,
    ln(amount) + log(amount) + log2(amount) + log10(amount) + log1p(amount) as logarithms,
    exp(amount / 10) + expm1(amount / 10) + power(amount, 2) as powers,
    row_hash(id, customer) as hash,
    array_length(array_distinct(make_array(id, pieces, id))) as kinds
from raw.sales
";

const AGGREGATES: &str = "-- What aggregates make of each customer.
-- grain: customer
-- store: table
select
    customer,
    mode_by_weight(phone, id) as phone,
    row_digest(hash) as digest,
    count(*) filter (where array_has(make_array(1, 3), id)) as odd
from staging.functions
group by customer
";

/// A model learned from two of the three sales, its centroids moved over all three.
const MODEL: &str = "-- Two kinds of sales.
-- kind: kmeans
-- k: 2
-- scale: standard
-- sample_rows: 2
-- polish: 5
select id, amount, pieces from staging.sales
";

const KINDS: &str = "-- The kind of each sale.
-- grain: id
-- store: table
select id, kmeans_assign(make_array(amount, pieces), $kinds) as kind from staging.sales
";

#[test]
fn functions_models_and_the_fixpoint_work_on_executors() {
    let project = tiny(&[
        ("staging/functions.sql", FUNCTIONS),
        ("features/aggregates.sql", AGGREGATES),
        ("identity/steps.sql", STEPS),
        ("staging/zero.sql", ZERO),
        ("models/kinds.sql", MODEL),
        ("features/kinds.sql", KINDS),
    ]);
    let cluster = Cluster::start(2);
    let engine = cluster.engine();
    let (local, remote) = (tiny_lake(), tiny_lake());
    ok(&["run", "--project", text(project.path()), "--lake", text(local.path())]);
    ok(&[
        "run",
        "--project",
        text(project.path()),
        "--lake",
        text(remote.path()),
        "--engine",
        &engine,
        "--local-below",
        "0",
    ]);
    for stage in ["staging.functions", "features.aggregates", "identity.steps", "features.kinds", "spend"] {
        let query = format!("select * from {stage} order by 1");
        let found = rows(remote.path(), &query);
        assert!(found.len() >= 2, "{stage}");
        assert_eq!(found, rows(local.path(), &query), "{stage}");
    }
}
