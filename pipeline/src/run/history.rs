//! What earlier runs left: the manifest of each run, and the state that the next run inherits.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::cost::{Cost, Pace};
use super::plan::as_of_text;
use crate::engine::ScanMetrics;
use crate::lake::{Lake, RUN_MANIFESTS, read_or_set_aside};
use crate::{Context, Error, Result};

/// A model as carried from run to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedModel {
    /// Hash of the model stage's definition; another definition is trained anew.
    pub definition: String,
    /// The fingerprint under which the model's result lies.
    pub fingerprint: String,
    /// The `as_of` of the run that made it.
    #[serde(default)]
    pub as_of: String,
    /// The fingerprint of the model that it followed, which a repeated run for the same `as_of` follows again.
    #[serde(default)]
    pub before: Option<String>,
}

/// A published table after a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedTable {
    /// Delta version.
    pub version: i64,
    /// Fingerprint of each `as_of` in the table (`all` for a table that is replaced whole).
    pub parts: BTreeMap<String, String>,
}

/// What a run did to one stage.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StageRun {
    /// Fingerprint by day; the empty day for a result that is whole.
    pub fingerprints: BTreeMap<String, String>,
    /// Partitions computed by this run; the others were reused.
    pub computed: usize,
    pub rows: u64,
    pub quarantined: u64,
    /// Source rows read, where the stage accounts for them.
    pub rows_in: Option<u64>,
    pub by_rule: BTreeMap<String, u64>,
    /// What this run's scans read.
    pub scan: ScanMetrics,
    pub elapsed_ms: u64,
    /// What the stage costs: measured by this run, or by the last one that computed more of it.
    #[serde(default)]
    pub cost: Option<Cost>,
}

/// The manifest of one run: everything needed to trace a number back to its files.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RunManifest {
    pub run_id: String,
    /// The lock's epoch under which the run committed; later runs have larger ones.
    pub epoch: u64,
    pub project: String,
    /// RFC 3339, UTC.
    pub as_of: String,
    pub params: BTreeMap<String, String>,
    /// Raw files read (path and footer hash) by source.
    pub inputs: BTreeMap<String, Vec<String>>,
    pub stages: BTreeMap<String, StageRun>,
    pub audits: Vec<String>,
    pub models: BTreeMap<String, CarriedModel>,
    pub published: BTreeMap<String, PublishedTable>,
    pub engine: String,
    /// Of this run, or of the last one that computed more.
    #[serde(default)]
    pub pace: Option<Pace>,
    pub started_at: String,
    pub finished_at: String,
    /// Made anew whenever a manifest is saved, so that the file of another run is never taken for one's own.
    #[serde(default)]
    pub writer: String,
}

impl RunManifest {
    fn path(epoch: u64) -> String {
        format!("{RUN_MANIFESTS}/{epoch:010}.json")
    }

    /// Writes the manifest and returns its path below the lake.
    ///
    /// # Errors
    /// [`Error::Locked`] when another run has left one under this epoch.
    pub async fn save(&self, lake: &Lake) -> Result<String> {
        let path = Self::path(self.epoch);
        let ours = RunManifest { writer: Uuid::new_v4().to_string(), ..self.clone() };
        let body = serde_json::to_vec_pretty(&ours).context("cannot write the run's manifest")?;
        if lake.create(&path, body.into()).await? {
            return Ok(path);
        }
        let theirs = Self::load(lake, self.epoch).await?.unwrap_or_default();
        Err(Error::Locked(format!(
            "{}{path} is the manifest of another run ({}, as of {}, finished at {}) under the same epoch: another process \
             has taken over, or the lake's `locks` folder was emptied during this run; nothing more is \
             written\nhelp: run again",
            lake.url(),
            theirs.run_id,
            theirs.as_of,
            theirs.finished_at
        )))
    }

    /// The manifest of the run that committed under `epoch`. One that cannot be read is set aside.
    pub async fn load(lake: &Lake, epoch: u64) -> Result<Option<RunManifest>> {
        let path = Self::path(epoch);
        let body = lake.get(&path).await?;
        Ok(read_or_set_aside(lake, &path, body.as_deref()).await)
    }

    /// The manifest of the run that committed last, by the rows of the table `runs`. When it is lost, what it
    /// said of published tables is taken from these rows, and the rest (the models that the next run
    /// inherits) from the newest manifest that is left; its results of stages are unknown then.
    pub async fn newest(lake: &Lake, runs: &[RecordBatch]) -> Result<Option<RunManifest>> {
        let mut rows = RunRow::of(runs)?;
        rows.sort_by_key(|row| std::cmp::Reverse(row.epoch));
        let Some(last) = rows.first() else { return Ok(None) };
        let mut found = None;
        let mut lost = 0;
        for row in &rows {
            found = Self::load(lake, row.epoch).await?;
            if found.is_some() {
                break;
            }
            lost += 1;
        }
        if lost == 0 {
            return Ok(found);
        }
        let carried = found.as_ref().map_or("no models".to_owned(), |run| {
            format!("the models of epoch {}, as of {}", run.epoch, run.as_of)
        });
        tracing::warn!(
            "lake {}: the manifest of run {} (epoch {}) is lost: the tables it published stay, the next run \
             inherits {carried}",
            lake.url(),
            last.run_id,
            last.epoch
        );
        Ok(Some(last.without_manifest(&rows[..lost], found.unwrap_or_default())))
    }
}

/// What the table `runs` says of a run.
struct RunRow {
    epoch: u64,
    run_id: String,
    project: String,
    /// µs since 1970 UTC.
    as_of: i64,
    /// Version by table.
    tables: BTreeMap<String, i64>,
}

impl RunRow {
    fn of(batches: &[RecordBatch]) -> Result<Vec<RunRow>> {
        let mut rows = Vec::new();
        for batch in batches {
            for row in 0..batch.num_rows() {
                rows.push(Self::at(batch, row)?);
            }
        }
        Ok(rows)
    }

    fn at(batch: &RecordBatch, row: usize) -> Result<RunRow> {
        let column = |name: &str| {
            let found = batch.column_by_name(name).filter(|column| !column.is_null(row));
            found.ok_or_else(|| Error::other(format!("a row of the runs table has no `{name}`")))
        };
        let mistyped =
            |name: &str| Error::other(format!("column `{name}` of the runs table has another type"));
        let text = |name: &str| {
            let texts = column(name)?.as_string_opt::<i32>().ok_or_else(|| mistyped(name))?;
            Ok::<_, Error>(texts.value(row).to_owned())
        };
        let epochs = column("epoch")?.as_primitive_opt::<Int64Type>().ok_or_else(|| mistyped("epoch"))?;
        let instants = column("as_of")?.as_primitive_opt::<TimestampMicrosecondType>();
        Ok(RunRow {
            epoch: epochs.value(row).unsigned_abs(),
            run_id: text("run_id")?,
            project: text("project")?,
            as_of: instants.ok_or_else(|| mistyped("as_of"))?.value(row),
            tables: serde_json::from_str(&text("tables")?).context("reading the runs table")?,
        })
    }

    /// The manifest of this run made up from `rows`, those of all runs since `before`. What stages read of
    /// published tables has other fingerprints then, so that nothing old is taken for it.
    fn without_manifest(&self, rows: &[RunRow], before: RunManifest) -> RunManifest {
        let mut published = BTreeMap::new();
        for (name, version) in &self.tables {
            let mut parts = before.published.get(name).map(|table| table.parts.clone()).unwrap_or_default();
            for row in rows.iter().filter(|row| row.tables.contains_key(name)) {
                parts.insert(as_of_text(row.as_of), format!("epoch {}", row.epoch));
            }
            published.insert(name.clone(), PublishedTable { version: *version, parts });
        }
        let as_of = DateTime::from_timestamp_micros(self.as_of).unwrap_or_default();
        RunManifest {
            run_id: self.run_id.clone(),
            epoch: self.epoch,
            project: self.project.clone(),
            as_of: as_of.to_rfc3339_opts(SecondsFormat::Micros, true),
            stages: BTreeMap::new(),
            published,
            ..before
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_run_never_overwrites_the_manifest_of_another() {
        let lake = Lake::open("memory://").unwrap();
        let run = |id: &str| RunManifest { run_id: id.into(), epoch: 3, ..RunManifest::default() };
        assert_eq!(run("first").save(&lake).await.unwrap(), "stages/_runs/0000000003.json");
        for id in ["second", "first"] {
            let refused = run(id).save(&lake).await.unwrap_err();
            assert_eq!(refused.exit_code(), 75);
            for part in ["stages/_runs/0000000003.json", "another run (first", "`locks`"] {
                assert!(refused.to_string().contains(part), "{part} is not in: {refused}");
            }
        }
        assert_eq!(RunManifest::load(&lake, 3).await.unwrap().unwrap().run_id, "first");
    }
}
