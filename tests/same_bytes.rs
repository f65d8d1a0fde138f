//! The same bytes: what is published depends on the raw rows, not on threads, nor on how files hold the rows.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;
use strata::lake::Lake;
use strata::run::RunManifest;
use tempfile::TempDir;

use crate::support::shuffle::{Random, shuffled};
use crate::support::world::{
    PUBLISHED, files, published_hashes, published_hashes_of_any_run, rows, small_lake,
};
use crate::support::{ok, text};

/// Two runs: the second finds models, memberships and results of the first.
const AS_OF: [&str; 2] = ["2025-02-15", "latest"];

fn run(lake: &Path, threads: &str) {
    for as_of in AS_OF {
        ok(&["run", "--lake", text(lake), "--threads", threads, "--as-of", as_of]);
    }
}

/// The small world as generated, run with one thread; do not write to it.
fn reference() -> &'static Path {
    static LAKE: OnceLock<TempDir> = OnceLock::new();
    LAKE.get_or_init(|| {
        let lake = small_lake();
        run(lake.path(), "1");
        lake
    })
    .path()
}

/// How the rows of every published table are hashed.
type Hashes = fn(&Path) -> BTreeMap<String, String>;

/// The tables that differ from the reference, each with its first row that does.
fn differences(lake: &Path, hashes: Hashes) -> Vec<String> {
    let (expected, found) = (hashes(reference()), hashes(lake));
    let differ = PUBLISHED.iter().filter(|(table, _)| expected[*table] != found[*table]);
    differ.map(|(table, grain)| first_difference(lake, table, grain)).collect()
}

fn first_difference(lake: &Path, table: &str, grain: &str) -> String {
    let query = format!("select * from {table} order by {grain}");
    let (expected, found) = (rows(reference(), &query), rows(lake, &query));
    let at = (0..expected.len().max(found.len())).find(|at| expected.get(*at) != found.get(*at));
    let shown = |rows: &[serde_json::Value]| {
        at.and_then(|at| rows.get(at)).map_or("no row".to_string(), serde_json::Value::to_string)
    };
    format!("{table}, row {at:?}:\n  expected {}\n  found    {}", shown(&expected), shown(&found))
}

fn assert_same(lake: &Path, hashes: Hashes, what: &str) {
    let differences = differences(lake, hashes);
    assert!(differences.is_empty(), "{what} changed {}", differences.join("\n"));
}

/// Replaces the files of every folder that holds any; `layout` gets the rows of each file, and gives those of each
/// new file. Row groups of the new files are small.
fn rewrite(raw: &Path, layout: impl Fn(Vec<RecordBatch>) -> Vec<RecordBatch>) {
    let mut folders: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for file in files(raw) {
        folders.entry(file.parent().unwrap().to_path_buf()).or_default().push(file);
    }
    for (folder, old) in folders {
        let rows = old.iter().map(|file| read(file)).collect();
        old.iter().for_each(|file| std::fs::remove_file(file).unwrap());
        for (number, batch) in layout(rows).iter().enumerate() {
            write(&folder.join(format!("part-{number:03}.parquet")), batch);
        }
    }
}

fn read(file: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap();
    let schema = reader.schema().clone();
    let batches: Vec<RecordBatch> = reader.build().unwrap().collect::<Result<_, _>>().unwrap();
    concat_batches(&schema, &batches).unwrap()
}

fn write(file: &Path, rows: &RecordBatch) {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(97)).build();
    let mut writer =
        ArrowWriter::try_new(File::create_new(file).unwrap(), rows.schema(), Some(properties)).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
}

/// All rows of a folder in one file, shuffled.
fn merged(files: Vec<RecordBatch>) -> Vec<RecordBatch> {
    let all = concat_batches(&files[0].schema(), &files).unwrap();
    vec![shuffled(&all, &mut Random::new(1))]
}

/// Every file cut in three.
fn split(files: Vec<RecordBatch>) -> Vec<RecordBatch> {
    let thirds = |rows: &RecordBatch| {
        let cut = [0, rows.num_rows() / 3, rows.num_rows() * 2 / 3, rows.num_rows()];
        (0..3).map(|i| rows.slice(cut[i], cut[i + 1] - cut[i])).collect::<Vec<_>>()
    };
    files.iter().flat_map(thirds).collect()
}

/// Every file with its own rows, shuffled, and the files in reverse order of names.
fn reordered(files: Vec<RecordBatch>) -> Vec<RecordBatch> {
    let mut random = Random::new(2);
    files.iter().rev().map(|rows| shuffled(rows, &mut random)).collect()
}

fn count_rows(raw: &Path) -> usize {
    files(raw).iter().map(|file| read(file).num_rows()).sum()
}

#[test]
fn threads_change_nothing() {
    for threads in ["2", "7", "16"] {
        let lake = small_lake();
        run(lake.path(), threads);
        assert_same(lake.path(), published_hashes, &format!("--threads {threads}"));
    }
}

#[test]
fn the_layout_of_raw_files_changes_nothing() {
    type Layout = fn(Vec<RecordBatch>) -> Vec<RecordBatch>;
    let layouts: [(&str, Layout); 3] = [("merging", merged), ("splitting", split), ("reordering", reordered)];
    for (what, layout) in layouts {
        let lake = small_lake();
        let raw = lake.path().join("raw");
        let before = count_rows(&raw);
        rewrite(&raw, layout);
        assert_eq!(count_rows(&raw), before, "{what} lost rows");
        run(lake.path(), "2");
        // other files make another run id
        assert_same(lake.path(), published_hashes_of_any_run, what);
    }
}

#[test]
fn a_lost_row_is_noticed() {
    let lake = small_lake();
    rewrite(&lake.path().join("raw/events"), |files| {
        let all = concat_batches(&files[0].schema(), &files).unwrap();
        vec![all.slice(1, all.num_rows() - 1)]
    });
    run(lake.path(), "2");
    let differences = differences(lake.path(), published_hashes_of_any_run);
    assert!(differences.iter().any(|said| said.starts_with("customer_360, row Some(")), "{differences:?}");
}

#[tokio::test]
async fn a_full_refresh_changes_nothing_and_keeps_the_run_id() {
    let folder = small_lake();
    run(folder.path(), "2");
    ok(&["run", "--lake", text(folder.path()), "--as-of", AS_OF[1], "--full-refresh"]);
    assert_same(folder.path(), published_hashes, "--full-refresh");

    let epochs = rows(folder.path(), "select epoch from runs order by epoch");
    assert_eq!(epochs.len(), 3);
    let lake = Lake::open(text(folder.path())).unwrap();
    let mut manifests = Vec::new();
    for epoch in epochs {
        manifests.extend(RunManifest::load(&lake, epoch["epoch"].as_u64().unwrap()).await.unwrap());
    }
    let [first, incremental, full] = manifests.as_slice() else { panic!("three runs have three manifests") };
    assert_eq!(incremental.run_id, full.run_id);
    assert_ne!(first.run_id, full.run_id);
    let reused: BTreeSet<&String> = full
        .stages
        .iter()
        .filter(|(_, stage)| stage.computed < stage.fingerprints.len())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(reused, full.models.keys().collect(), "a full refresh computes all but the carried models");
}
