//! Reading what runs published: each table at the version that the last finished run names.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::catalog::{MemorySchemaProvider, TableProvider};
use datafusion::datasource::MemTable;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::resolve::resolve_table_references;

use crate::engine::{Engine, EngineOptions};
use crate::lake::{DataFile, Lake, StageManifest, TableSnapshot, files_at};
use crate::project::nearest;
use crate::run::{
    CURRENT_RUNS, FinishedRun, RUNS, RunManifest, StageRun, current_runs, rows_of, runs_table, written_table,
};
use crate::{Context, Error, Result};

/// The schema under which rejected rows are found, by the stem of the stage that rejected them.
const QUARANTINE: &str = "quarantine";

/// A consistent view of one lake: the tables of its last finished run.
pub struct Reader {
    lake: Lake,
    context: SessionContext,
    run: RunManifest,
    tables: Vec<String>,
}

impl Reader {
    /// Opens the lake at its last finished run.
    ///
    /// # Errors
    /// [`Error::Usage`] when no run has finished.
    pub async fn open(lake: &Lake, options: EngineOptions) -> Result<Reader> {
        let engine = Engine::local(lake, options)?;
        let none = || {
            Error::Usage(format!("lake {} holds no finished run\nhelp: `strata run --lake {0}`", lake.url()))
        };
        // `runs` is read once, so that runs which finish meanwhile are in none of the tables
        let runs = runs_table(lake).await?.ok_or_else(none)?;
        let rows = rows_of(&engine, lake, &runs).await?;
        let run = RunManifest::newest(lake, &FinishedRun::of(&rows)?).await?.ok_or_else(none)?;
        let context = SessionContext::new_with_state(engine.state().clone());
        let mut reader = Reader { lake: lake.clone(), context, run, tables: Vec::new() };
        let published: Vec<(String, i64)> =
            reader.run.published.iter().map(|(name, table)| (name.clone(), table.version)).collect();
        for (name, version) in published.into_iter().filter(|(name, _)| name != CURRENT_RUNS) {
            let Some(snapshot) = files_at(lake, &name, Some(version)).await? else {
                return Err(Error::other(format!("published table {name} is gone")));
            };
            reader.register_published(&name, &snapshot)?;
        }
        reader.register_published(RUNS, &runs)?;
        let current = current_runs(&rows)?;
        let current = MemTable::try_new(current.schema(), vec![vec![current]]).context("the current runs")?;
        reader.register(CURRENT_RUNS, Arc::new(current))?;
        reader.tables.sort();
        Ok(reader)
    }

    /// Names of the published tables.
    pub fn tables(&self) -> &[String] {
        &self.tables
    }

    /// The run whose tables are seen.
    pub fn run(&self) -> &RunManifest {
        &self.run
    }

    /// Runs one query. Bare names are published tables; `layer.stem` is a stage's result of the same run and
    /// `quarantine.stem` the rows it rejected. Nothing is written, whatever the statement says.
    ///
    /// # Errors
    /// [`Error::Usage`] for a query that is wrong, and for every statement whose plan is not only reading.
    pub async fn query(&self, query: &str) -> Result<SendableRecordBatchStream> {
        let query = query.trim().trim_end_matches(';');
        self.register_stages(query).await?;
        let wrong = |error: datafusion::error::DataFusionError| {
            Error::Usage(format!("{}\nhelp: tables are {}", error.strip_backtrace(), self.tables.join(", ")))
        };
        let plan = self.context.state().create_logical_plan(query).await.map_err(wrong)?;
        refuse_writes(&plan)?;
        let frame = self.context.execute_logical_plan(plan).await.map_err(wrong)?;
        frame.execute_stream().await.map_err(wrong)
    }

    fn register_published(&mut self, name: &str, snapshot: &TableSnapshot) -> Result<()> {
        let files: Vec<&DataFile> = snapshot.files.iter().collect();
        let table = written_table(&self.lake, &snapshot.schema, &files)?;
        self.register(name, table)
    }

    fn register(&mut self, name: &str, table: Arc<dyn TableProvider>) -> Result<()> {
        self.context.register_table(name, table).context(format!("cannot open table {name}"))?;
        self.tables.push(name.to_string());
        Ok(())
    }

    /// Registers the stage results that a query names.
    async fn register_stages(&self, query: &str) -> Result<()> {
        let dialect = self.context.state().config_options().sql_parser.dialect;
        let Ok(statement) = self.context.state().sql_to_statement(query, &dialect) else { return Ok(()) };
        let Ok((references, _)) = resolve_table_references(&statement, true) else { return Ok(()) };
        for reference in references {
            let (Some(layer), stem) = (reference.schema().map(str::to_string), reference.table().to_string())
            else {
                continue;
            };
            if layer == "information_schema" || self.context.table_exist(reference.clone()).unwrap_or(false) {
                continue;
            }
            let catalog =
                self.context.catalog("datafusion").ok_or_else(|| Error::other("the catalog is gone"))?;
            if catalog.schema(&layer).is_none() {
                catalog
                    .register_schema(&layer, Arc::new(MemorySchemaProvider::new()))
                    .context(format!("cannot open layer {layer}"))?;
            }
            let name = format!("{layer}.{stem}");
            let table = match layer.as_str() {
                QUARANTINE => self.rejected_rows(&stem).await?,
                _ => self.stage_rows(&name).await?,
            };
            self.context.register_table(reference, table).context(format!("cannot open {name}"))?;
        }
        Ok(())
    }

    /// The result of a stage of this run.
    async fn stage_rows(&self, name: &str) -> Result<Arc<dyn TableProvider>> {
        let Some(stage) = self.run.stages.get(name) else {
            let near = nearest(name, self.run.stages.keys().map(String::as_str));
            let hint = near.map(|near| format!("\nhelp: did you mean `{near}`?")).unwrap_or_default();
            return Err(Error::Usage(format!("there is no stage result `{name}`{hint}")));
        };
        let parts = self.manifests(name, stage).await?;
        let schema =
            parts.iter().find_map(|part| part.schema.clone()).unwrap_or_else(|| Arc::new(Schema::empty()));
        written_table(
            &self.lake,
            &schema,
            &parts.iter().flat_map(StageManifest::good_files).collect::<Vec<_>>(),
        )
    }

    /// The rows that the stage of this stem rejected in this run, with the rule each broke.
    async fn rejected_rows(&self, stem: &str) -> Result<Arc<dyn TableProvider>> {
        for (name, stage) in &self.run.stages {
            if name.rsplit('.').next() != Some(stem) {
                continue;
            }
            let parts = self.manifests(name, stage).await?;
            if let Some(schema) = parts.iter().find_map(StageManifest::quarantine_schema) {
                let files: Vec<&DataFile> = parts.iter().flat_map(StageManifest::quarantined_files).collect();
                return written_table(&self.lake, &schema, &files);
            }
        }
        Err(Error::Usage(format!(
            "there is no `{QUARANTINE}.{stem}`: no stage of that name sets rows apart\nhelp: `strata runs RUN` shows \
             the stages that do"
        )))
    }

    /// The manifests of all parts of a stage's result.
    async fn manifests(&self, name: &str, stage: &StageRun) -> Result<Vec<StageManifest>> {
        let parts = StageManifest::load_parts(&self.lake, name, &stage.fingerprints).await?;
        if parts.len() < stage.fingerprints.len() {
            return Err(Error::other(format!(
                "{} of {} parts of the result of `{name}` are gone from {}\nhelp: the next run computes them again",
                stage.fingerprints.len() - parts.len(),
                stage.fingerprints.len(),
                self.lake.url()
            )));
        }
        Ok(parts)
    }
}

/// Refuses a plan that does more than read: one with a node, at any depth, that writes files, changes tables or sets
/// something. A plan has no tables but those of the run: the context holds no others and opens no files by name.
fn refuse_writes(plan: &LogicalPlan) -> Result<()> {
    let reading = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    reading.verify_plan(plan).map_err(|error| {
        let said = error.strip_backtrace();
        let said = said.rsplit_once("supported: ").map_or(said.as_str(), |(_, what)| what);
        Error::Usage(format!(
            "`strata sql` is read-only: it refuses {said}\nhelp: `--out FILE --format parquet` writes the rows of a query; \
             the tables of a lake change by `strata run` alone"
        ))
    })
}
