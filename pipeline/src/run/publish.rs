//! The end of a run: one Delta commit a published table, and the `runs` row last.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::DateTime;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::LogicalPlanBuilder;

use super::execute::{Runner, lock};
use super::history::{PublishedTable, RunManifest};
use super::plan::as_of_text;
use super::tables::written_table;
use crate::engine::Engine;
use crate::lake::{
    Lake, Lock, Replace, SinkSpec, TableWrite, append, files_at, publish, table_prefix, write_batches,
};
use crate::project::{Publish, Stage};
use crate::{Context, Error, Result};

/// The table in which every finished run has one row.
pub const RUNS: &str = "runs";

/// The part name of a table that is replaced whole.
const ALL: &str = "all";

impl Runner<'_> {
    /// Commits every published table. Readers still see the versions of the last `runs` row.
    pub async fn publish(
        &self,
        fence: &Lock,
        allow_breaking: bool,
    ) -> Result<BTreeMap<String, PublishedTable>> {
        let mut published = BTreeMap::new();
        for stage in self.project.stages.iter() {
            if let Some(how) = stage.publish {
                fence.check().await?;
                let table = self.publish_stage(stage, how, fence.epoch(), allow_breaking).await?;
                published.insert(stage.stem.clone(), table);
            }
        }
        Ok(published)
    }

    async fn publish_stage(
        &self,
        stage: &Stage,
        how: Publish,
        epoch: u64,
        allow_breaking: bool,
    ) -> Result<PublishedTable> {
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
        let version = publish(self.lake, &write, &replace).await?;
        let mut parts = match (how, self.last.and_then(|last| last.published.get(&stage.stem))) {
            (Publish::AsOf, Some(table)) => table.parts.clone(),
            _ => BTreeMap::new(),
        };
        parts.insert(part, print);
        Ok(PublishedTable { version, parts })
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
pub async fn commit_run(lake: &Lake, manifest: &RunManifest, manifest_path: &str) -> Result<()> {
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
    append(lake, &write).await?;
    Ok(())
}

/// The manifest of the newest finished run.
pub async fn last_run(engine: &Engine, lake: &Lake) -> Result<Option<RunManifest>> {
    let mut newest: Option<i64> = None;
    for batch in runs_rows(engine, lake).await? {
        let epochs =
            batch.column_by_name("epoch").and_then(|c| c.as_any().downcast_ref::<Int64Array>().cloned());
        newest = newest.max(epochs.and_then(|epochs| arrow::compute::max(&epochs)));
    }
    match newest {
        None => Ok(None),
        Some(epoch) => {
            let manifest = RunManifest::load(lake, epoch as u64).await?;
            manifest
                .map(Some)
                .ok_or_else(|| Error::other(format!("the manifest of run epoch {epoch} is gone")))
        }
    }
}

/// All rows of the `runs` table.
pub async fn runs_rows(engine: &Engine, lake: &Lake) -> Result<Vec<RecordBatch>> {
    let Some(snapshot) = files_at(lake, RUNS, None).await? else { return Ok(Vec::new()) };
    let table = written_table(lake, &snapshot.schema, &snapshot.files.iter().collect::<Vec<_>>())?;
    let plan = LogicalPlanBuilder::scan(RUNS, provider_as_source(table), None)
        .and_then(LogicalPlanBuilder::build)
        .context("cannot read the runs table")?;
    engine.collect(&plan).await
}
