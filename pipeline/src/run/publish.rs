//! The end of a run: every table is checked, then committed to Delta one by one, and the `runs` row makes all of it count.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::DateTime;
use futures::{StreamExt, TryStreamExt};

use super::execute::{Runner, lock};
use super::history::{PublishedTable, RunManifest};
use super::last::{CURRENT_RUNS, Last, RUNS, current_runs, runs_rows};
use super::plan::as_of_text;
use crate::engine::Engine;
use crate::lake::{
    Lake, Lock, Publication, Replace, SinkSpec, TableWrite, append, table_prefix, write_batches,
};
use crate::project::{Publish, Stage};
use crate::{Context, Error, Result};

/// Tables that are checked at the same time before the first commit.
const CHECKS_AT_ONCE: usize = 8;

/// The part name of a table that is replaced whole.
pub(super) const ALL: &str = "all";

impl Runner<'_> {
    /// Commits every published table, on top of what the last finished run left. Readers still see the versions of the
    /// last `runs` row. Nothing is committed before every table has passed its checks.
    pub async fn publish(
        &self,
        fence: &Lock,
        allow_breaking: bool,
    ) -> Result<BTreeMap<String, PublishedTable>> {
        let mut publications = Vec::new();
        for stage in self.project.stages.iter() {
            if let Some(how) = stage.publish {
                let ready = self.prepare(stage, how, fence.epoch(), allow_breaking)?;
                publications.push((stage.stem.clone(), ready));
            }
        }
        let checks = publications.iter().map(|(_, (publication, _))| publication.check());
        let checks = futures::stream::iter(checks).buffer_unordered(CHECKS_AT_ONCE);
        checks.try_collect::<()>().await?;
        let mut published = BTreeMap::new();
        for (name, (publication, parts)) in publications {
            let version = publication.commit(async || fence.check().await).await?;
            published.insert(name, PublishedTable { version, parts });
        }
        Ok(published)
    }

    /// What a stage's table is to hold, and the fingerprint of each of its parts.
    fn prepare(
        &self,
        stage: &Stage,
        how: Publish,
        epoch: u64,
        allow_breaking: bool,
    ) -> Result<(Publication, BTreeMap<String, String>)> {
        let (files, print) = {
            let results = lock(&self.results)?;
            let manifest = results.get(&stage.name).and_then(|parts| parts.get(&None));
            let manifest =
                manifest.ok_or_else(|| Error::other(format!("{} has no result to publish", stage.name)))?;
            (manifest.good_files().cloned().collect::<Vec<_>>(), manifest.fingerprint.clone())
        };
        let now = as_of_text(self.plan.as_of);
        let (replace, part, partition_by) = match how {
            Publish::All => (Replace::All, ALL.to_string(), stage.partition_by.clone()),
            Publish::AsOf => {
                let rest = stage.partition_by.iter().filter(|column| *column != "as_of").cloned();
                let partition_by = std::iter::once("as_of".to_string()).chain(rest).collect();
                (Replace::Partition { column: "as_of".into(), value: Some(now.clone()) }, now, partition_by)
            }
        };
        let write = TableWrite {
            name: &stage.stem,
            schema: &stage.result_schema(),
            partition_by: &partition_by,
            files: &files,
            txn: (&stage.stem, epoch as i64),
            allow_breaking,
        };
        let base = self.inherited.last.tables.get(&stage.stem);
        let publication = Publication::prepare(self.lake, &write, &replace, base)?;
        let mut parts = match (how, self.inherited.last.published(&stage.stem)) {
            (Publish::AsOf, Some(table)) => table.parts.clone(),
            _ => BTreeMap::new(),
        };
        parts.insert(part, print);
        Ok((publication, parts))
    }
}

fn runs_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let time = |name: &str| Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, None), true);
    Arc::new(Schema::new(vec![
        text("run_id"),
        Field::new("epoch", DataType::Int64, true),
        text("project"),
        time("as_of"),
        text("engine"),
        time("started_at"),
        time("finished_at"),
        Field::new("rows_quarantined", DataType::Int64, true),
        text("tables"),
        text("manifest"),
        text("version"),
        text("options"),
    ]))
}

/// Appends the row that makes a run's versions the ones that readers see.
///
/// # Errors
/// [`Error::Locked`] when another run was published since `last` was read, or has taken over.
pub async fn commit_run(
    lake: &Lake,
    manifest: &RunManifest,
    manifest_path: &str,
    last: &Last,
    fence: &Lock,
) -> Result<()> {
    let versions: BTreeMap<&String, i64> =
        manifest.published.iter().map(|(name, t)| (name, t.version)).collect();
    let tables = serde_json::to_string(&versions).context("cannot write the runs row")?;
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    let time = |value: &str| -> ArrayRef {
        let micros = DateTime::parse_from_rfc3339(value).ok().map(|t| t.timestamp_micros());
        Arc::new(TimestampMicrosecondArray::from(vec![micros]))
    };
    let quarantined: u64 = manifest.stages.values().map(|stage| stage.quarantined).sum();
    let columns: Vec<ArrayRef> = vec![
        text(&manifest.run_id),
        Arc::new(Int64Array::from(vec![manifest.epoch as i64])),
        text(&manifest.project),
        time(&manifest.as_of),
        text(&manifest.engine),
        time(&manifest.started_at),
        time(&manifest.finished_at),
        Arc::new(Int64Array::from(vec![quarantined as i64])),
        text(&tables),
        text(manifest_path),
        text(&manifest.version),
        text(&serde_json::to_string(&manifest.options).context("cannot write the runs row")?),
    ];
    let batch = RecordBatch::try_new(runs_schema(), columns).context("cannot write the runs row")?;
    let mut spec = SinkSpec::new(lake, format!("{}/data/{:010}", table_prefix(RUNS), manifest.epoch));
    spec.delta_types = true;
    let files = write_batches(lake, spec, runs_schema(), vec![batch]).await?;
    let write = TableWrite {
        name: RUNS,
        schema: &runs_schema(),
        partition_by: &[],
        files: &files,
        txn: (RUNS, manifest.epoch as i64),
        allow_breaking: false,
    };
    append(lake, &write, last.runs_version, async || fence.check().await).await?;
    Ok(())
}

/// Publishes [`CURRENT_RUNS`] as it follows from the `runs` table.
pub async fn commit_current_runs(engine: &Engine, lake: &Lake, fence: &Lock) -> Result<()> {
    let rows = current_runs(&runs_rows(engine, lake).await?)?;
    let schema = rows.schema();
    let mut spec = SinkSpec::new(lake, format!("{}/data/{:010}", table_prefix(CURRENT_RUNS), fence.epoch()));
    spec.delta_types = true;
    let files = write_batches(lake, spec, schema.clone(), vec![rows]).await?;
    let write = TableWrite {
        name: CURRENT_RUNS,
        schema: &schema,
        partition_by: &[],
        files: &files,
        txn: (CURRENT_RUNS, fence.epoch() as i64),
        allow_breaking: false,
    };
    let publication = Publication::prepare(lake, &write, &Replace::All, None)?;
    publication.commit(async || fence.check().await).await?;
    Ok(())
}
