//! Sessions, funnels and paths of a real clickstream, counted by DuckDB from the file itself.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::support::python::{package_file, script};
use crate::support::world::{export, rows};
use crate::support::{ok, repository, text};

#[test]
fn sessions_funnels_and_paths_are_those_that_duckdb_counts() {
    let clicks = package_file("retentioneering==5.2.4", "retentioneering/datasets/ecom.csv.gz");
    let lake = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(lake.path().join("raw/ecom")).unwrap();
    let unpack =
        "import gzip, shutil, sys\nshutil.copyfileobj(gzip.open(sys.argv[1]), open(sys.argv[2], 'wb'))";
    script(unpack, &[text(&clicks), text(&lake.path().join("raw/ecom/ecom.csv"))]);
    let project = repository().join("tests/projects/ecom");
    ok(&["run", "--project", text(&project), "--lake", text(lake.path()), "--as-of", "latest"]);

    let counted =
        rows(lake.path(), "select count(*) as sessions, sum(steps) as clicks from features.sessions");
    assert_eq!(counted[0]["clicks"], 31_106);
    let folder = tempfile::tempdir().unwrap();
    for relation in ["features.sessions", "funnels", "top_paths", "week_hours"] {
        export(lake.path(), relation, folder.path());
    }
    let said = script(include_str!("ecom.py"), &[text(&clicks), text(folder.path())]);
    assert!(said.contains("3605 sessions"), "{said}");
}
