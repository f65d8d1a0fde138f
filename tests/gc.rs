//! Cleaning up: a lake shrinks to what its kept runs need, and nothing that anybody sees changes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use strata::lake::LOCK_TIMEOUT;

use crate::support::process::{Running, holder};
use crate::support::project::{tiny, tiny_file, tiny_lake, write};
use crate::support::world::{files, rows, small_lake};
use crate::support::{fails, nothing_to_compute, ok, text};

/// The size of each file below a folder.
fn tree(folder: &Path) -> BTreeMap<String, u64> {
    let size = |path: &Path| std::fs::metadata(path).unwrap().len();
    let name = |path: &Path| path.strip_prefix(folder).unwrap().display().to_string();
    files(folder)
        .iter()
        .map(|path| (name(path), size(path)))
        .filter(|(name, _)| !name.contains("locks") && !name.contains("_files"))
        .collect()
}

fn run(lake: &Path, project: &Path, as_of: &str, more: &[&str]) {
    let args = ["run", "--lake", text(lake), "--project", text(project), "--as-of", as_of];
    ok(&[&args, more].concat());
}

const QUERIES: [&str; 4] = [
    "select * from spend order by as_of, customer",
    "select * from staging.sales order by id",
    "select as_of, is_last from current_runs order by 1",
    "select epoch, as_of from runs order by 1",
];

fn seen(lake: &Path) -> Vec<Vec<serde_json::Value>> {
    QUERIES.iter().map(|query| rows(lake, query)).collect()
}

#[test]
fn a_lake_shrinks_to_what_its_kept_runs_need() {
    let project = tiny(&[]);
    let folder = tiny_lake();
    let (lake, project) = (folder.path(), project.path());
    for as_of in ["2025-01-02", "2025-01-03", "2025-01-04", "2025-01-05"] {
        run(lake, project, as_of, &[]);
        run(lake, project, as_of, &["--full-refresh"]);
    }
    // what an attempt left that was killed
    write(lake, &[("stages/staging/sales/data/0000000099-dead/part.parquet", "nothing")]);
    let (before, full) = (seen(lake), tree(lake));
    let gc = ["gc", "--lake", text(lake), "--keep-runs", "2", "--grace-hours", "0"];

    // by default nothing is removed
    let said = ok(&gc);
    assert!(said.contains("would remove") && said.contains("--delete"), "{said}");
    assert_eq!(tree(lake), full);
    // nothing is old enough within the default grace period
    let said = ok(&["gc", "--lake", text(lake), "--keep-runs", "1", "--delete"]);
    assert!(said.contains("removed 0.0 MiB"), "{said}");
    assert_eq!(tree(lake), full);

    let said = ok(&[&gc[..], &["--delete"]].concat());
    assert!(said.contains("2 runs are kept"), "{said}");
    let small = tree(lake);
    assert!(small.len() < full.len(), "{} of {} files stay", small.len(), full.len());
    assert!(!small.keys().any(|name| name.contains("0000000099-dead")));
    assert_eq!(seen(lake), before);
    // the rows of each published instant stay, as do both kept runs' results
    let again =
        ok(&["run", "--lake", text(lake), "--project", text(project), "--as-of", "2025-01-05", "--dry-run"]);
    assert!(nothing_to_compute(&again), "{again}");
    let said = ok(&[&gc[..], &["--delete"]].concat());
    assert!(said.contains("removed 0.0 MiB"), "{said}");
    assert_eq!(tree(lake), small);

    // life goes on: a later day, and a day whose results were removed
    run(lake, project, "2025-01-06", &[]);
    run(lake, project, "2025-01-02", &[]);
    let spent = rows(lake, "select as_of, customer, amount from spend order by 1, 2");
    let fresh = tiny_lake();
    for as_of in ["2025-01-03", "2025-01-04", "2025-01-05", "2025-01-06", "2025-01-02"] {
        run(fresh.path(), project, as_of, &[]);
    }
    assert_eq!(spent, rows(fresh.path(), "select as_of, customer, amount from spend order by 1, 2"));
}

#[test]
fn a_lake_that_is_held_is_not_cleaned() {
    let lake = small_lake();
    let mut run = Running::start(&["run", "--lake", text(lake.path())]);
    assert_eq!(holder(lake.path(), 1), run.id());
    let said = fails(75, &["gc", "--lake", text(lake.path()), "--grace-hours", "0", "--delete"]);
    assert!(said.contains("is held by"), "{said}");
    run.kill();
    // the operator says how long a holder may show no life, as for a run
    let began = Instant::now();
    ok(&["gc", "--lake", text(lake.path()), "--delete", "--lock-timeout", "1"]);
    assert!(began.elapsed() < LOCK_TIMEOUT, "waited for {:?}", began.elapsed());
}

#[test]
fn the_tables_of_a_run_whose_manifest_is_lost_stay() {
    let project = tiny(&[]);
    let folder = tiny_lake();
    let (lake, project) = (folder.path(), project.path());
    let seen = || [QUERIES[0], QUERIES[3]].map(|query| rows(lake, query));
    run(lake, project, "2025-01-02", &[]);
    run(lake, project, "2025-01-03", &[]);
    let before = seen();
    // one that dies when it has committed its tables, but neither its manifest nor its row
    run(lake, project, "2025-01-03", &["--full-refresh"]);
    for table in ["runs", "current_runs"] {
        let log = files(&lake.join("published").join(table).join("_delta_log"));
        let newest = log.iter().rfind(|file| file.extension().is_some_and(|end| end == "json"));
        std::fs::remove_file(newest.unwrap()).unwrap();
    }
    let manifests = files(&lake.join("stages/_runs"));
    assert_eq!(manifests.len(), 3);
    // and that of the last finished run is lost, too
    for manifest in &manifests[1..] {
        std::fs::remove_file(manifest).unwrap();
    }
    assert_eq!(seen(), before);

    let gc = ["gc", "--lake", text(lake), "--keep-runs", "1", "--grace-hours", "0", "--delete"];
    // the last one, and that from which the next run inherits
    let said = ok(&gc);
    assert!(said.contains("2 runs are kept"), "{said}");
    assert_eq!(seen(), before);
    run(lake, project, "2025-01-04", &[]);
    let [spent, ran] = seen();
    assert!(spent.len() > before[0].len() && spent.starts_with(&before[0]), "{spent:?}");
    assert_eq!(ran.len(), 3);
    let said = ok(&gc);
    assert!(said.contains("1 runs are kept"), "{said}");
    assert_eq!(seen(), [spent, ran]);
}

/// The days of each attempt at `staging.sales`, the earliest attempt first. Those that have data are the same.
fn days_of_attempts(lake: &Path) -> Vec<Vec<String>> {
    let stage = lake.join("stages/staging/sales");
    let mut attempts: BTreeMap<OsString, Vec<String>> = BTreeMap::new();
    for file in files(&stage.join("manifests/days")) {
        let manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let days = manifest["days"].as_array().unwrap();
        let days = days.iter().map(|day| day["day"].as_str().unwrap().to_string()).collect();
        attempts.insert(file.file_stem().unwrap().to_owned(), days);
    }
    let data = stage.join("data");
    let attempt = |file: &Path| file.strip_prefix(&data).unwrap().iter().next().unwrap().to_owned();
    let with_data: BTreeSet<OsString> = files(&data).iter().map(|file| attempt(file)).collect();
    assert_eq!(with_data, attempts.keys().cloned().collect::<BTreeSet<_>>());
    attempts.into_values().collect()
}

#[test]
fn of_several_attempts_at_a_day_the_last_one_stays() {
    let raw = tiny_file("raw/sales.sql")
        .replace("sold_at timestamp(6)\n", "sold_at timestamp(6),\n    sale_date date\n")
        .replace("stored as csv\n", "stored as csv\npartitioned by (sale_date)\n");
    let staging = tiny_file("staging/sales.sql")
        .replace(
            "-- grain: id\n-- store: table\n",
            "-- grain: sale_date, id\n-- store: daily\n-- day: sale_date\n",
        )
        .replace("select\n", "select\n    sale_date,\n");
    let project = tiny(&[("raw/sales.sql", &raw), ("staging/sales.sql", &staging)]);
    let folder = tempfile::tempdir().unwrap();
    let (lake, project) = (folder.path(), project.path());
    let days = ["2025-01-01", "2025-01-02", "2025-01-03"];
    let deliver = |id: usize| {
        let day = days[id];
        let sale = format!("id,customer,amount,pieces,sold_at\n{id},ann,10.50,2,{day}T10:00:00\n");
        write(lake, &[(&format!("raw/sales/sale_date={day}/a.csv"), &sale)]);
    };
    (0..days.len()).for_each(deliver);
    run(lake, project, "2025-01-04", &[]);
    run(lake, project, "2025-01-04", &["--full-refresh"]);
    let long_ago = SystemTime::now() - Duration::from_secs(48 * 3600);
    for file in files(&lake.join("stages/staging/sales")) {
        std::fs::File::options().write(true).open(file).unwrap().set_modified(long_ago).unwrap();
    }
    // the third attempt has the first two days only
    std::fs::remove_file(lake.join("raw/sales/sale_date=2025-01-03/a.csv")).unwrap();
    run(lake, project, "2025-01-04", &["--full-refresh"]);
    let before = seen(lake);
    assert_eq!(days_of_attempts(lake), [&days[..], &days[..], &days[..2]]);

    // the second one is superseded only since the third, which is younger than the grace period
    ok(&["gc", "--lake", text(lake), "--delete"]);
    assert_eq!(days_of_attempts(lake), [&days[..], &days[..2]]);
    assert_eq!(seen(lake), before);
    let gc = ["gc", "--lake", text(lake), "--grace-hours", "0", "--delete"];
    ok(&gc);
    assert_eq!(days_of_attempts(lake), [&days[2..], &days[..2]]);
    assert_eq!(seen(lake), before);
    let small = tree(lake);
    ok(&gc);
    assert_eq!(tree(lake), small);
    // all runs are kept, so that nothing is computed again with the third day or without it
    let is_whole = || {
        let args = ["run", "--lake", text(lake), "--project", text(project), "--as-of", "2025-01-04"];
        let said = ok(&[&args[..], &["--dry-run"]].concat());
        assert!(nothing_to_compute(&said), "{said}");
    };
    is_whole();
    deliver(2);
    is_whole();
}

#[test]
fn a_cleanup_that_was_broken_off_is_finished_by_the_next() {
    let project = tiny(&[]);
    let folder = tiny_lake();
    let (lake, project) = (folder.path(), project.path());
    for as_of in ["2025-01-02", "2025-01-03", "2025-01-04"] {
        run(lake, project, as_of, &["--full-refresh"]);
    }
    let before = seen(lake);
    let whole = tempfile::tempdir().unwrap();
    let copied =
        Command::new("cp").args(["-r", text(lake), text(&whole.path().join("lake"))]).status().unwrap();
    assert!(copied.success());
    let gc =
        |lake: &Path| ok(&["gc", "--lake", text(lake), "--keep-runs", "1", "--grace-hours", "0", "--delete"]);
    gc(lake);
    let expected = tree(lake);
    // every file that the cleanup removes is the last one that it came to
    let other = whole.path().join("lake");
    for name in tree(&other).keys().filter(|name| !expected.contains_key(*name)).take(4) {
        std::fs::remove_file(other.join(name)).unwrap();
    }
    gc(&other);
    let names = |tree: &BTreeMap<String, u64>| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&tree(&other)), names(&expected));
    assert_eq!(seen(&other), before);
}
