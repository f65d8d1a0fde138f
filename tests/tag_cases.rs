//! Hand-computed cases of tags: `tests/tags/FAMILY.slt` gives a stage's inputs and settings, the project's own SQL the rows.
//!
//! `create table LAYER.NAME (a, b) as values ...` gives a relation (columns by name, types as in the project; what is left out may
//! not be read), `set as_of = '2025-03-01'` and `set NAME = VALUE` parameters; a model that is not set is trained on
//! what is given. Every other relation is the project's stage, over raw tables without rows. Files are read from `sql/retail` and `tests/tags` when the test
//! runs. `STRATA_UPDATE=1` writes what comes out into the files, `STRATA_CASES=rfm` runs one of them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use crate::support::slt::run_file;
use crate::support::stages::Stages;

#[tokio::test]
async fn every_case_gives_its_rows() {
    let update = std::env::var("STRATA_UPDATE").is_ok_and(|value| value == "1");
    let only = std::env::var("STRATA_CASES").ok();
    let folder = Path::new("../tests/tags");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "slt"));
    files.retain(|path| {
        only.as_ref().is_none_or(|only| path.file_stem().is_some_and(|stem| stem == only.as_str()))
    });
    files.sort();
    assert!(!files.is_empty(), "there is no such file in {}", folder.display());
    let mut failures = Vec::new();
    for path in &files {
        failures.extend(run_file(path, &mut Stages::new("../sql/retail"), update).await);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
