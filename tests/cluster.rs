//! A cluster of processes gives the bytes that one process gives, whoever dies on the way.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::cluster::Cluster;
use crate::support::process::Running;
use crate::support::s3::S3;
use crate::support::shuffle::Random;
use crate::support::world::{PUBLISHED, SMALL, files, published_hashes, rows, small_lake, small_run};
use crate::support::{fails, ok, set_environment, text};

#[test]
fn a_cluster_publishes_the_same_bytes_and_its_executors_write_them() {
    let cluster = Cluster::start(2);
    let lake = small_lake();
    let engine = cluster.engine();
    ok(&["run", "--lake", text(lake.path()), "--engine", &engine, "--threads", "16"]);
    assert_eq!(published_hashes(lake.path()), published_hashes(small_run()));
    let written = writers(lake.path());
    let executors: Vec<&String> = written.keys().filter(|writer| *writer != "driver").collect();
    assert_eq!(executors.len(), 2, "{written:?}");
    assert!(executors.iter().all(|executor| written[*executor] > 10), "{written:?}");
    assert!(written.get("driver").is_none(), "the driver writes no result: {written:?}");
    // a local run finds all of it
    let said = ok(&["run", "--lake", text(lake.path()), "--dry-run"]);
    assert!(said.lines().all(|line| line.contains(" 0 of ")), "{said}");
}

/// Files of stage results by the process that wrote them, as manifests say.
fn writers(lake: &Path) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let manifests = files(&lake.join("stages")).into_iter().filter(|file| text(file).contains("/manifests/"));
    for manifest in manifests {
        let body = std::fs::read_to_string(manifest).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&body).unwrap();
        let days = manifest["days"].as_array().cloned().unwrap_or_else(|| vec![manifest.clone()]);
        for file in days.iter().flat_map(|day| day["files"].as_array().cloned().unwrap_or_default()) {
            let writer = file["writer"].as_str().unwrap().split('/').next().unwrap().to_owned();
            *counts.entry(writer).or_default() += 1;
        }
    }
    counts
}

#[test]
fn a_cluster_over_s3_publishes_the_same_bytes() {
    let s3 = S3::start();
    set_environment(s3.environment("admin"));
    let cluster = Cluster::start(2);
    let lake = "s3://lake/cluster";
    ok(&[&["generate", "--lake", lake], SMALL].concat());
    ok(&["run", "--lake", lake, "--engine", &cluster.engine()]);
    assert_eq!(published_hashes(Path::new(lake)), published_hashes(small_run()));
}

#[test]
fn an_executor_killed_at_any_moment_changes_nothing() {
    let mut random = Random::new(3);
    let mut cluster = Cluster::start(2);
    for _ in 0..5 {
        let lake = small_lake();
        let mut run = Running::start(&[
            "run",
            "--lake",
            text(lake.path()),
            "--engine",
            &cluster.engine(),
            "--threads",
            "4",
        ]);
        std::thread::sleep(Duration::from_millis(300 + random.below(4000) as u64));
        let mut victim = cluster.executors.remove(0);
        assert!(victim.is_killed());
        let still_running = run.ended().is_none();
        assert!(run.wait().success(), "killed while it ran: {still_running}\n{}", run.said());
        assert_eq!(published_hashes(lake.path()), published_hashes(small_run()));
        cluster.add_executor();
    }
}

#[test]
fn a_driver_killed_at_any_moment_is_resumed_on_s3() {
    let s3 = S3::start();
    set_environment(s3.environment("admin"));
    let cluster = Cluster::start(2);
    let engine = cluster.engine();
    let lake = "s3://lake/killed";
    ok(&[&["generate", "--lake", lake], SMALL].concat());
    let run = ["run", "--lake", lake, "--engine", &engine];
    let mut random = Random::new(5);
    let mut killed = 0;
    for _ in 0..10 {
        let mut driver = Running::start(&run);
        std::thread::sleep(Duration::from_millis(200 + random.below(2500) as u64));
        killed += usize::from(driver.is_killed());
    }
    assert!(killed >= 5, "only {killed} drivers were killed before they ended");
    ok(&run);
    assert_eq!(published_hashes(Path::new(lake)), published_hashes(small_run()));
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
    let said = fails(5, &["executor", "--scheduler", "127.0.0.1:9", "--port", "0", "--task-port", "1"]);
    assert!(said.contains("127.0.0.1:9"), "{said}");
}

#[test]
fn a_cluster_without_executors_gives_up_in_time() {
    let cluster = Cluster::start(0);
    let lake = small_lake();
    let engine = cluster.engine();
    let args = ["run", "--lake", text(lake.path()), "--engine", &engine, "--job-timeout", "3"];
    let said = fails(5, &args);
    assert!(said.contains("--job-timeout"), "{said}");
}
