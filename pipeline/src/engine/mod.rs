//! The engine that runs plans: plain DataFusion in this process, behind an interface that a cluster can stand behind
//! too. Sessions, functions and stores are made and registered here and nowhere else.

mod ballista;
mod files_table;
mod filters;
mod joins;
mod lookup;
mod metrics;
mod pool;
mod row_number;
mod session;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, collect_partitioned, execute_stream};
use tokio::sync::RwLock;

pub use ballista::{
    ClusterSecret, ExecutorOptions, LEAST_SECRET_BYTES, SchedulerOptions, run_executor, run_scheduler,
};
pub use files_table::{DayBytes, FilesTable, TableFile};
pub use metrics::ScanMetrics;
pub use session::{EngineOptions, planning_state};

use ballista::Cluster;

use crate::lake::{DataFile, Lake, SinkSpec, denied, is_denied, plan_sink};
use crate::{Context, Error, Result};

/// The revision of our own part of planning and computing (`row_number`, `lookup`, `joins`, `filters`,
/// session settings): raised by hand when the same SQL over the same rows gives another result than before.
pub const REVISION: u32 = 1;

/// What the engine says of a stage it wrote.
#[derive(Debug)]
pub struct Written {
    /// One entry a file, sorted by path.
    pub files: Vec<DataFile>,
    pub scan: ScanMetrics,
}

/// Rows that a running stage has written so far, read by the progress bar.
#[derive(Debug, Default)]
pub struct Progress {
    pub rows: AtomicU64,
}

/// An engine bound to one lake.
#[derive(Debug, Clone)]
pub struct Engine {
    state: SessionState,
    options: EngineOptions,
    cluster: Option<Cluster>,
    /// With a cluster, the engine of this process, for what is too small to be worth handing out.
    near: Option<Box<Engine>>,
    /// Held by all jobs; by one alone when it needs all the memory.
    memory: Arc<RwLock<()>>,
}

impl Engine {
    /// DataFusion in this process, its memory pool and spill folder set by `options`.
    pub fn local(lake: &Lake, options: EngineOptions) -> Result<Engine> {
        crate::cpu::follow_tasks();
        let options = EngineOptions { cluster: None, ..options };
        let state = session::local_state(lake, &options)?;
        Ok(Engine { state, options, cluster: None, near: None, memory: Arc::default() })
    }

    /// The engine that `options` name: this process, or a cluster, whose scheduler must answer.
    ///
    /// # Errors
    /// [`Error::EngineLost`] when it does not.
    pub async fn open(lake: &Lake, options: EngineOptions) -> Result<Engine> {
        let Some(address) = &options.cluster else { return Engine::local(lake, options) };
        if lake.url().scheme() == "memory" {
            return Err(Error::Usage(format!(
                "lake {}: a cluster cannot see this process's memory",
                lake.url()
            )));
        }
        let cluster = Cluster::new(address, options.job_timeout, options.secret.clone());
        cluster.check().await?;
        let near = Some(Box::new(Engine::local(lake, options.clone())?));
        let state = session::local_state(lake, &options)?;
        Ok(Engine { state, options, cluster: Some(cluster), near, memory: Arc::default() })
    }

    /// An engine that plans as for a cluster, without one: it shows what a cluster would be sent.
    pub fn distributed(lake: &Lake, options: EngineOptions) -> Result<Engine> {
        let options = EngineOptions { cluster: Some(String::new()), ..options };
        let state = session::local_state(lake, &options)?;
        Ok(Engine { state, options, cluster: None, near: None, memory: Arc::default() })
    }

    /// A physical plan as it arrives at an executor, after it was encoded and decoded.
    pub fn travelled(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        ballista::travelled(plan, &self.task_context(&self.state)).context("a plan does not travel")
    }

    /// The state by which SELECTs are planned.
    pub fn state(&self) -> &SessionState {
        &self.state
    }

    /// The options the engine was made with.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// The engine of this process: for looks at logs and file lists, whatever runs the stages.
    pub fn here(&self) -> &Engine {
        self.near.as_deref().unwrap_or(self)
    }

    /// The engine that does a job: the cluster's, or this process's where the job reads little.
    fn for_job(&self, plan: &LogicalPlan) -> Result<&Engine> {
        if self.near.is_none() {
            return Ok(self);
        }
        let bytes = stored_bytes(plan).context("cannot tell what a job reads")?;
        Ok(if bytes < self.options.local_below { self.here() } else { self })
    }

    /// Runs `plan` and writes its rows by `spec`; every partition writes its own files.
    pub async fn write(
        &self,
        plan: &LogicalPlan,
        spec: &SinkSpec,
        progress: &Arc<Progress>,
    ) -> Result<Written> {
        let engine = self.for_job(plan)?;
        let written = engine.fitting(async |state, tried| {
            progress.rows.store(0, Ordering::Relaxed);
            let again = if tried == 0 { String::new() } else { format!("-{tried}") };
            let prefix = format!("{}{again}", spec.prefix);
            engine.try_write(state, plan, &SinkSpec { prefix, ..spec.clone() }, progress).await
        });
        written.await
    }

    /// Does a job, told how often it was tried before. Joins hash their smaller side; where that does not fit in memory, the
    /// job is done again without any other beside it, and where that does not fit either, with joins that sort and spill.
    async fn fitting<T>(
        &self,
        job: impl AsyncFn(&SessionState, usize) -> std::result::Result<T, DataFusionError>,
    ) -> Result<T> {
        let beside_others = self.memory.read().await;
        let mut done = job(&self.state, 0).await;
        drop(beside_others);
        if refused_memory(&done, "beside others: again, alone") {
            let _alone = self.memory.write().await;
            done = job(&self.state, 1).await;
            if refused_memory(&done, "alone: again, with joins that sort") {
                done = match session::sorting_joins(&self.state, &self.options) {
                    Ok(frugal) => job(&frugal, 2).await,
                    Err(error) => Err(error),
                };
            }
        }
        done.map_err(|error| refuse_run(error, &self.options))
    }

    async fn try_write(
        &self,
        state: &SessionState,
        plan: &LogicalPlan,
        spec: &SinkSpec,
        progress: &Arc<Progress>,
    ) -> std::result::Result<Written, DataFusionError> {
        let input = state.create_physical_plan(plan).await?;
        let sink = plan_sink(input, spec.clone(), state.config_options())
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
        let watch = metrics::watch_rows(sink.clone(), progress.clone());
        let batches = self.run(state, sink.clone()).await;
        watch.abort();
        let batches = batches?;
        tracing::debug!(
            prefix = spec.prefix,
            "\n{}",
            DisplayableExecutionPlan::with_metrics(sink.as_ref()).indent(false)
        );
        let files =
            DataFile::from_batches(&batches).map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(Written { files, scan: self.scan_metrics(sink.as_ref()) })
    }

    /// What a plan read that has ended; of one that ran on a cluster, what it was to read.
    pub fn scan_metrics(&self, plan: &dyn ExecutionPlan) -> ScanMetrics {
        match self.cluster {
            Some(_) => ScanMetrics::planned(plan),
            None => ScanMetrics::of(plan),
        }
    }

    /// The rows of a physical plan.
    async fn run(
        &self,
        state: &SessionState,
        plan: Arc<dyn ExecutionPlan>,
    ) -> std::result::Result<Vec<RecordBatch>, DataFusionError> {
        let Some(cluster) = &self.cluster else {
            let batches = collect_partitioned(plan, self.task_context(state)).await?;
            return Ok(batches.into_iter().flatten().collect());
        };
        cluster.run(plan, state.config()).await.map_err(|error| match error.to_string() {
            text if text.contains("Resources exhausted") => DataFusionError::ResourcesExhausted(text),
            _ => DataFusionError::External(error.into()),
        })
    }

    /// The rows of `plan` as one stream.
    pub async fn stream(&self, plan: &LogicalPlan) -> Result<SendableRecordBatchStream> {
        self.start(self.physical_plan(plan).await?).await
    }

    /// The rows of a physical plan as one stream.
    pub async fn start(&self, physical: Arc<dyn ExecutionPlan>) -> Result<SendableRecordBatchStream> {
        if self.cluster.is_none() {
            return execute_stream(physical, self.task_context(&self.state))
                .map_err(|error| refuse_run(error, &self.options));
        }
        let schema = physical.schema();
        let batches =
            self.run(&self.state, physical).await.map_err(|error| refuse_run(error, &self.options))?;
        let rows = futures::stream::iter(batches.into_iter().map(Ok));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    /// The physical plan of `plan` as the engine would run it.
    pub async fn physical_plan(&self, plan: &LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
        self.state.create_physical_plan(plan).await.map_err(|error| refuse_run(error, &self.options))
    }

    /// All rows of `plan`, for results known to be small.
    pub async fn collect(&self, plan: &LogicalPlan) -> Result<Vec<RecordBatch>> {
        let engine = self.for_job(plan)?;
        engine
            .fitting(async |state, _| engine.run(state, state.create_physical_plan(plan).await?).await)
            .await
    }

    /// All rows of a physical plan, for results known to be small.
    pub async fn gather(&self, physical: Arc<dyn ExecutionPlan>) -> Result<Vec<RecordBatch>> {
        let stream = self.start(physical).await?;
        futures::TryStreamExt::try_collect(stream).await.map_err(|error| refuse_run(error, &self.options))
    }

    /// The first column of the first row of `plan` as a number.
    pub async fn scalar_i64(&self, plan: &LogicalPlan) -> Result<Option<i64>> {
        let batches = self.collect(plan).await?;
        let Some(batch) = batches.iter().find(|batch| batch.num_rows() > 0) else { return Ok(None) };
        let values = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Int64)
            .context("cannot read a number")?;
        let values = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&values);
        Ok(arrow::array::Array::is_valid(values, 0).then(|| values.value(0)))
    }

    fn task_context(&self, state: &SessionState) -> Arc<TaskContext> {
        state.task_ctx()
    }
}

/// Stored bytes of all tables that a plan reads, each as often as it is read.
fn stored_bytes(plan: &LogicalPlan) -> std::result::Result<usize, DataFusionError> {
    let mut bytes = 0usize;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let table = source_as_provider(&scan.source)?;
            let stored = match table.get_logical_plan() {
                Some(view) => stored_bytes(&view)?,
                None => table
                    .statistics()
                    .and_then(|known| known.total_byte_size.get_value().copied())
                    .unwrap_or(0),
            };
            bytes = bytes.saturating_add(stored);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(bytes)
}

/// Whether a job did not fit in memory, which is told.
fn refused_memory<T>(done: &std::result::Result<T, DataFusionError>, what_next: &str) -> bool {
    let refused = done.as_ref().err().filter(|error| is_out_of_memory(error));
    if let Some(error) = refused {
        tracing::info!(error = %error.strip_backtrace(), "does not fit in memory {what_next}");
    }
    refused.is_some()
}

fn is_out_of_memory(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}

/// An engine error in words that say what can be done.
fn refuse_run(error: DataFusionError, options: &EngineOptions) -> Error {
    let error = match error {
        DataFusionError::External(source) => match source.downcast::<Error>() {
            Ok(own) => return *own,
            Err(source) => DataFusionError::External(source),
        },
        error => error,
    };
    if is_out_of_memory(&error) {
        let mib = options.memory_bytes >> 20;
        return Error::Usage(format!(
            "the stage does not fit in --memory {mib}MiB: {}\nhelp: give more memory or fewer --threads",
            error.strip_backtrace()
        ));
    }
    if is_denied(&error) {
        return denied("a file of the lake", error.strip_backtrace());
    }
    Error::other(error.strip_backtrace())
}
