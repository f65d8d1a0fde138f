//! Cleaning up: a lake shrinks to what its kept runs need, and nothing that anybody sees changes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::support::process::{Running, holder};
use crate::support::project::{tiny, tiny_lake, write};
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
