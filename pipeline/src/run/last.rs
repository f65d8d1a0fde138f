//! What the last finished run left: the state that readers see, on which the next run builds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::LogicalPlanBuilder;
use futures::{StreamExt, TryStreamExt};

use super::history::{PublishedTable, RunManifest};
use super::plan::as_of_text;
use super::progress::Reporter;
use super::publish::ALL;
use super::tables::written_table;
use crate::engine::Engine;
use crate::lake::{
    DataFile, Lake, LogFiles, TableSnapshot, files_as_listed, mend_log, set_aside_torn_commit,
};
use crate::{Context, Error, Result};

/// The table in which every finished run has one row.
pub const RUNS: &str = "runs";

/// The table that says which run each published `as_of` is from, and which of them is the last.
pub const CURRENT_RUNS: &str = "current_runs";

/// Tables opened at the same time.
const OPENED_AT_ONCE: usize = 8;

/// The last whole state of a lake. What runs that did not finish have committed since is no part of it.
#[derive(Debug, Clone, Default)]
pub struct Last {
    /// The manifest of the last finished run; none before the first.
    pub run: Option<RunManifest>,
    /// Its published tables, each at the version that the run's row names, without parts whose files are gone.
    pub tables: BTreeMap<String, TableSnapshot>,
    /// All finished runs, in no order.
    pub finished: Vec<FinishedRun>,
    /// The version of `runs` that was read; none when there is no such table.
    pub runs_version: Option<i64>,
}

impl Last {
    /// Opens the last whole state. The caller holds the lake's lock: commits torn by a loss of power are set aside.
    pub async fn open(engine: &Engine, lake: &Lake, reporter: &Reporter) -> Result<Last> {
        if let Some(aside) = set_aside_torn_commit(lake, RUNS).await? {
            reporter.warn(&format!(
                "the newest row of `{RUNS}` was torn by a loss of power: its run does not count ({aside})"
            ));
        }
        let runs = match runs_table(lake).await {
            Err(_) => {
                mend_log(lake, RUNS).await?;
                runs_table(lake).await?
            }
            Ok(runs) => runs,
        };
        let Some(runs) = runs else { return Ok(Last::default()) };
        let finished = FinishedRun::of(&rows_of(engine, lake, &runs).await?)?;
        let runs_version = Some(runs.version);
        let Some(mut run) = RunManifest::newest(lake, &finished).await? else {
            return Ok(Last { runs_version, ..Last::default() });
        };
        let versions: Vec<(String, i64)> =
            run.published.iter().map(|(name, table)| (name.clone(), table.version)).collect();
        let finished_runs = &finished;
        let opened = futures::stream::iter(versions).map(|(name, version)| async move {
            let left = Left::of(lake, &name, version, finished_runs).await?;
            Ok::<_, Error>((name, left))
        });
        let opened: Vec<_> = opened.buffer_unordered(OPENED_AT_ONCE).try_collect().await?;
        let mut tables = BTreeMap::new();
        for (name, left) in opened {
            let Left { snapshot: Some(mut snapshot), lost } = left else {
                let why =
                    left.lost.get(&None).map(|commit| format!(" (no version can be read: {commit} is lost)"));
                let why = why.unwrap_or_default();
                reporter.warn(&format!("published table `{name}` is gone{why}; this run starts it again"));
                run.published.remove(&name);
                continue;
            };
            if let Some(table) = run.published.get_mut(&name) {
                forget_parts(&name, table, &mut snapshot, &lost, reporter);
            }
            tables.insert(name, snapshot);
        }
        Ok(Last { run: Some(run), tables, finished, runs_version })
    }

    /// What the last run says of one of its published tables.
    pub fn published(&self, name: &str) -> Option<&PublishedTable> {
        self.run.as_ref().and_then(|run| run.published.get(name))
    }
}

/// The `as_of` of a file's rows, as text; none for a table that is replaced whole.
type PartName = Option<String>;

fn part_of(file: &DataFile) -> PartName {
    file.partition.get("as_of").cloned().flatten()
}

/// What is left of a published table.
struct Left {
    /// None: nothing.
    snapshot: Option<TableSnapshot>,
    /// The parts that are lost, each with one of its lost files.
    lost: BTreeMap<PartName, String>,
}

impl Left {
    /// Of a table at `version`. Where that cannot be read, as after the loss of a commit, it is what the latest finished run
    /// left that can, without the parts that later runs replaced.
    async fn of(lake: &Lake, name: &str, version: i64, finished: &[FinishedRun]) -> Result<Left> {
        let log = LogFiles::list(lake, name).await?;
        if log.newest().is_none() {
            return Ok(Left { snapshot: None, lost: BTreeMap::new() });
        }
        let of_runs = || finished.iter().filter_map(|run| Some((run, *run.tables.get(name)?)));
        let earlier: BTreeSet<i64> = of_runs().map(|(_, at)| at).filter(|at| *at < version).collect();
        let mut lost = BTreeMap::new();
        let mut snapshot = None;
        for at in std::iter::once(version).chain(earlier.into_iter().rev()) {
            let (damage, loaded) = match log.damage(Some(at)) {
                Some(commit) => (commit, None),
                None => match files_as_listed(lake, name, Some(at)).await {
                    Ok(loaded) => (String::new(), loaded),
                    Err(error) => (log.torn(lake, at).await?.ok_or(error)?, None),
                },
            };
            if loaded.is_some() {
                snapshot = loaded;
                break;
            }
            let replaced = of_runs().filter(|(_, of_run)| *of_run == at);
            lost.extend(replaced.map(|(run, _)| (Some(as_of_text(run.as_of)), damage.clone())));
            lost.insert(None, damage);
        }
        if let Some(snapshot) = &snapshot {
            let gone = snapshot.missing(lake, name).await?.into_iter();
            lost.extend(gone.map(|file| (part_of(file), file.path.clone())));
        }
        Ok(Left { snapshot, lost })
    }
}

/// Takes the parts of a table out that are lost, as after another program's cleanup or a loss of power, and says so.
fn forget_parts(
    name: &str,
    table: &mut PublishedTable,
    snapshot: &mut TableSnapshot,
    lost: &BTreeMap<PartName, String>,
    reporter: &Reporter,
) {
    for (part, example) in lost {
        match part {
            Some(as_of) if table.parts.remove(as_of).is_some() => reporter.warn(&format!(
                "published table `{name}`: files of as_of {as_of} are gone or empty, such as {example}; its rows are left \
                 out until a run for that as_of computes them again"
            )),
            None if table.parts.remove(ALL).is_some() => reporter.warn(&format!(
                "published table `{name}`: files are gone or empty, such as {example}; this run replaces it whole"
            )),
            _ => {}
        }
    }
    snapshot.files.retain(|file| !lost.contains_key(&part_of(file)));
}

/// A finished run, as the table `runs` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedRun {
    pub epoch: u64,
    pub run_id: String,
    pub project: String,
    /// µs since 1970 UTC.
    pub as_of: i64,
    /// Version by table.
    pub tables: BTreeMap<String, i64>,
}

impl FinishedRun {
    /// The rows of the table `runs`.
    pub fn of(batches: &[RecordBatch]) -> Result<Vec<FinishedRun>> {
        let mut rows = Vec::new();
        for batch in batches {
            for row in 0..batch.num_rows() {
                rows.push(Self::at(batch, row)?);
            }
        }
        Ok(rows)
    }

    fn at(batch: &RecordBatch, row: usize) -> Result<FinishedRun> {
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
        Ok(FinishedRun {
            epoch: epochs.value(row).unsigned_abs(),
            run_id: text("run_id")?,
            project: text("project")?,
            as_of: instants.ok_or_else(|| mistyped("as_of"))?.value(row),
            tables: serde_json::from_str(&text("tables")?).context("reading the runs table")?,
        })
    }
}

/// The manifest of the newest finished run.
pub async fn last_run(engine: &Engine, lake: &Lake) -> Result<Option<RunManifest>> {
    RunManifest::newest(lake, &FinishedRun::of(&runs_rows(engine, lake).await?)?).await
}

/// The newest version of the `runs` table; none before the first run. A run whose row is lost does not count, which is
/// said.
///
/// # Errors
/// Where a commit is gone or cannot be parsed, which the next run mends.
pub async fn runs_table(lake: &Lake) -> Result<Option<TableSnapshot>> {
    if let Some(commit) = LogFiles::list(lake, RUNS).await?.damage(None) {
        tracing::warn!(
            "table `{RUNS}`: {}{commit} is gone or empty, as after a loss of power: the run of which it held the row does not \
             count",
            lake.url()
        );
    }
    files_as_listed(lake, RUNS, None).await.map_err(|error| {
        Error::other(format!(
            "{error}\nhelp: where a commit is gone or torn, the next `strata run` mends the table"
        ))
    })
}

/// All rows of the `runs` table.
pub async fn runs_rows(engine: &Engine, lake: &Lake) -> Result<Vec<RecordBatch>> {
    match runs_table(lake).await? {
        Some(snapshot) => rows_of(engine, lake, &snapshot).await,
        None => Ok(Vec::new()),
    }
}

/// The rows of one version of the `runs` table.
pub async fn rows_of(engine: &Engine, lake: &Lake, snapshot: &TableSnapshot) -> Result<Vec<RecordBatch>> {
    let table = written_table(lake, &snapshot.schema, &snapshot.files.iter().collect::<Vec<_>>())?;
    let plan = LogicalPlanBuilder::scan(RUNS, provider_as_source(table), None)
        .and_then(LogicalPlanBuilder::build)
        .context("cannot read the runs table")?;
    engine.collect(&plan).await
}

/// The columns of [`CURRENT_RUNS`] that stand in `runs` too.
const SHARED: [&str; 6] = ["as_of", "run_id", "epoch", "finished_at", "tables", "manifest"];

/// The rows of [`CURRENT_RUNS`], sorted by `as_of`: of each `as_of` the run that published it last, and whether it is the
/// last run of all.
pub fn current_runs(runs: &[RecordBatch]) -> Result<RecordBatch> {
    let Some(first) = runs.first() else { return Ok(RecordBatch::new_empty(current_runs_schema())) };
    let all = concat_batches(&first.schema(), runs).context("cannot read the runs table")?;
    let column = |name: &str| {
        let found = all.column_by_name(name);
        found.ok_or_else(|| Error::other(format!("table `{RUNS}` has no column `{name}`")))
    };
    let instant = DataType::Timestamp(TimeUnit::Microsecond, None);
    let as_ofs = arrow::compute::cast(column("as_of")?, &instant).context("as_of in the runs table")?;
    let as_ofs = as_ofs.as_primitive::<TimestampMicrosecondType>();
    let epochs = column("epoch")?.as_primitive::<Int64Type>();
    let mut current: BTreeMap<i64, (i64, u32)> = BTreeMap::new();
    for row in 0..all.num_rows() {
        let run = (epochs.value(row), row as u32);
        let newest = current.entry(as_ofs.value(row)).or_insert(run);
        *newest = run.max(*newest);
    }
    let last = current.values().max().map(|(epoch, _)| *epoch);
    let is_last: BooleanArray = current.values().map(|(epoch, _)| Some(Some(*epoch) == last)).collect();
    let rows: UInt32Array = current.values().map(|(_, row)| *row).collect();
    let taken = take_record_batch(&all, &rows).context("cannot choose runs")?;
    let schema = current_runs_schema();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for name in SHARED {
        let found = taken.column_by_name(name);
        let found = found.ok_or_else(|| Error::other(format!("table `{RUNS}` has no column `{name}`")))?;
        let field = schema.field_with_name(name).context("a column of the current runs")?;
        columns.push(arrow::compute::cast(found, field.data_type()).context("a column of the runs table")?);
    }
    columns.insert(1, Arc::new(is_last));
    RecordBatch::try_new(schema, columns).context("cannot tell the current runs")
}

fn current_runs_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let time =
        |name: &str| Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true);
    Arc::new(Schema::new(vec![
        time("as_of"),
        Field::new("is_last", DataType::Boolean, true),
        text("run_id"),
        Field::new("epoch", DataType::Int64, true),
        time("finished_at"),
        text("tables"),
        text("manifest"),
    ]))
}
