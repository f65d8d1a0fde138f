//! Small retail worlds and what was published from them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};
use strata::run::RunManifest;
use tempfile::TempDir;

use super::{ok, text};

/// The published tables of the retail project and the grain of each.
pub const PUBLISHED: &[(&str, &str)] = &[
    ("segments", "customer_id, as_of"),
    ("customer_360", "customer_id, as_of"),
    ("customer_preferences", "as_of, customer_id, dimension, place"),
    ("segment_membership", "customer_id, family, valid_from"),
    ("segment_migration", "as_of, from_as_of, family, from_segment, to_segment"),
    ("segment_lineage", "as_of, family, segment"),
    ("life_cycle_flow", "as_of, month, change"),
    ("segment_summary", "as_of, family, segment"),
    ("segment_releases", "as_of, family, segment"),
    ("model_selection", "as_of, model, k"),
    ("model_drift", "as_of, model, feature"),
    ("models_used", "as_of, model"),
    ("reference_drift", "as_of, model, feature"),
    ("segment_profiles", "as_of, segment, feature"),
    ("segment_portraits", "as_of, family, segment, trait, value"),
    ("segment_contrasts", "as_of, family, segment, other_segment, trait, value"),
    ("segment_combinations", "as_of, family, segment, trait, value, other_trait, other_value"),
    ("segment_numbers", "as_of, family, segment, number"),
    ("segment_heat_map", "as_of, family, segment, dow, hour"),
    ("lookalikes", "as_of, list_id, rank"),
    ("lookalike_scores", "as_of, list_id, population, decile"),
    ("product_opinions", "as_of, product_id, aspect"),
    ("funnels", "as_of, funnel, step"),
    ("top_paths", "as_of, place"),
    ("week_hours", "as_of, weekday, hour"),
    ("quality", "as_of, stage, rule"),
    ("tag_registry", "as_of, tag"),
    ("customer_tags", "as_of, customer_id, tag"),
    ("model_features", "as_of, feature"),
    ("factor_loadings", "as_of, factor, feature"),
    ("factor_variance", "as_of, factor"),
    ("person_registry", "as_of, account_key"),
    ("person_aliases", "as_of, former_id, customer_id"),
];

/// Those of them that are empty after one run of a generated world: there is no earlier run, and nobody gave a list of seeds.
pub const EMPTY_AT_FIRST: &[&str] =
    &["segment_migration", "segment_lineage", "lookalikes", "lookalike_scores", "person_aliases"];

/// One that is empty while no whole month is over.
const EMPTY_FOR_A_MONTH: &str = "life_cycle_flow";

/// The arguments of the small world: 600 people, 60 days.
pub const SMALL: &[&str] = &["--scale", "0.006", "--days", "60", "--seed", "7"];

/// The raw and truth files of the small world, made once; do not write to it.
pub fn small_world() -> &'static Path {
    static WORLD: OnceLock<TempDir> = OnceLock::new();
    WORLD
        .get_or_init(|| {
            let folder = tempfile::tempdir().expect("a temporary folder");
            generate(folder.path(), SMALL);
            folder
        })
        .path()
}

/// Generates a world into `lake`.
pub fn generate(lake: &Path, args: &[&str]) {
    ok(&[&["generate", "--lake", text(lake)], args].concat());
}

/// A lake of its own with the raw files of the small world (hard links: replace files, never change them in place).
pub fn small_lake() -> TempDir {
    let lake = tempfile::tempdir().expect("a temporary folder");
    copy(&small_world().join("raw"), &lake.path().join("raw"));
    lake
}

/// Copies a folder with hard links.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().expect("a parent")).expect("a folder");
    let done = Command::new("cp").arg("-rl").arg(from).arg(to).status().expect("cp starts");
    assert!(done.success());
}

/// The small world run once in its own lake; do not write to it.
pub fn small_run() -> &'static Path {
    static RUN: OnceLock<TempDir> = OnceLock::new();
    RUN.get_or_init(|| {
        let lake = small_lake();
        ok(&["run", "--lake", text(lake.path()), "--as-of", "latest"]);
        lake
    })
    .path()
}

/// SHA-256 of every published table's rows as JSON, sorted by grain.
pub fn published_hashes(lake: &Path) -> BTreeMap<String, String> {
    hashes(lake, PUBLISHED)
}

/// The same without the ids of runs, which are others where the same rows lie in other files.
pub fn published_hashes_of_any_run(lake: &Path) -> BTreeMap<String, String> {
    hashes_of_any_run(lake, PUBLISHED)
}

/// The same of some tables. On another store files are known by other marks, so that runs have other ids there.
pub fn hashes_of_any_run(lake: &Path, tables: &[(&str, &str)]) -> BTreeMap<String, String> {
    hashes_of(lake, tables, |rows| {
        let bare = |line: &str| {
            let mut row: serde_json::Value = serde_json::from_str(line).expect("a JSON object");
            row.as_object_mut().expect("an object").remove("run_id");
            row.to_string() + "\n"
        };
        rows.lines().map(bare).collect()
    })
}

/// The same of some tables, each of which holds rows but those that may be empty after a first run.
pub fn hashes(lake: &Path, tables: &[(&str, &str)]) -> BTreeMap<String, String> {
    hashes_of(lake, tables, |rows| rows)
}

fn hashes_of(
    lake: &Path,
    tables: &[(&str, &str)],
    counted: impl Fn(String) -> String,
) -> BTreeMap<String, String> {
    let hash = |table: &str, grain: &str| {
        let rows = ok(&[
            "sql",
            "--lake",
            text(lake),
            "--format",
            "json",
            &format!("select * from {table} order by {grain}"),
        ]);
        let may_be_empty = EMPTY_AT_FIRST.contains(&table) || table == EMPTY_FOR_A_MONTH;
        assert!(!rows.is_empty() || may_be_empty, "{table} holds no row");
        Sha256::digest(counted(rows).as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    tables.iter().map(|(table, grain)| (table.to_string(), hash(table, grain))).collect()
}

/// The rows of a query as JSON objects.
pub fn rows(lake: &Path, query: &str) -> Vec<serde_json::Value> {
    let out = ok(&["sql", "--lake", text(lake), "--format", "json", query]);
    out.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect()
}

/// Writes all rows of a relation to `RELATION.parquet` in a folder.
pub fn export(lake: &Path, relation: &str, folder: &Path) {
    let out = folder.join(format!("{relation}.parquet"));
    let query = format!("select * from {relation}");
    ok(&["sql", "--lake", text(lake), "--format", "parquet", "--out", text(&out), &query]);
}

/// The manifest of the newest run.
pub fn last_run(lake: &Path) -> RunManifest {
    let newest = files(&lake.join("stages/_runs")).pop().expect("a run has finished");
    let body = std::fs::read(newest).expect("the manifest can be read");
    serde_json::from_slice(&body).expect("a run's manifest")
}

/// All files below a folder, sorted.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(current) = open.pop() {
        for entry in std::fs::read_dir(&current).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// Writes rows as a raw table of one file.
const DELIVERY: &str = r#"
import os, sys, duckdb
folder, columns, values = sys.argv[1:]
os.makedirs(folder)
duckdb.sql(f"copy (from (values {values}) as t({columns})) to '{folder}/a.parquet' (format parquet)")
"#;

/// Delivers a raw table that a generated world does not have: its columns, and its rows as SQL writes them, each with an
/// instant for `ingested_at` at the end.
pub fn deliver(lake: &Path, table: &str, columns: &str, rows: &[String]) {
    let folder = lake.join("raw").join(table);
    let columns = format!("{columns}, ingested_at");
    super::python::script(DELIVERY, &[text(&folder), &columns, &rows.join(", ")]);
}

/// Writes decisions of `left_id, right_id, verdict` as a raw table.
const DECISIONS: &str = r#"
import os, sys, duckdb
folder, *decisions = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
values = ", ".join("('{}', '{}', '{}')".format(*decision.split()) for decision in decisions)
duckdb.sql(f"""copy (select *, 'asked by phone' as reason, timestamp '2025-01-02 00:00:00' as decided_at,
timestamp '2025-01-02 00:00:00' as ingested_at from (values {values}) as t(left_id, right_id, verdict))
to '{folder}/decisions.parquet' (format parquet)""")
"#;

/// Decides on pairs of customer records: whether they are one person's.
pub fn decide(lake: &Path, decisions: &[[&str; 3]]) {
    let lines: Vec<String> = decisions.iter().map(|decision| decision.join(" ")).collect();
    let folder = lake.join("raw/identity_overrides");
    let args: Vec<&str> = std::iter::once(text(&folder)).chain(lines.iter().map(String::as_str)).collect();
    super::python::script(DECISIONS, &args);
}
