//! The parallel sink: every partition of a plan writes its own files and returns one row for each.
//!
//! The rows are the commit: only those of successful attempts reach the driver, so a failed or repeated attempt
//! leaves files that nobody names, never duplicates.

mod exec;
mod layout;
mod task;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_expr::LexOrdering;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{
    Distribution, ExecutionPlan, ExecutionPlanProperties, Partitioning, collect,
};
use serde::{Deserialize, Serialize};

use super::{DataFile, Lake};
use crate::{Context, Result};

pub use exec::SinkExec;
use layout::Layout;
pub use task::name_writer;

/// The revision of how results are laid out and encoded: raised by hand when the same rows give other files
/// than before.
pub const SINK_REVISION: u32 = 1;

/// What to write, and how. Serialisable, so that a plan codec can carry it: the store itself is looked up by the
/// lake's URL where the plan runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SinkSpec {
    /// URL of the lake.
    pub lake: String,
    /// Folder of the attempt, relative to the lake. Give each attempt its own.
    pub prefix: String,
    /// Columns that become folders, which the files do not store; see [`SinkSpec::share_files`].
    pub partition_by: Vec<String>,
    /// Columns by which the rows of each file are sorted, ascending, NULLs first.
    pub sort_by: Vec<String>,
    /// Text column naming the rule that rejects a row. Rows where it is not NULL go to `prefix/_quarantine/` with
    /// all their columns; the others lose the column.
    pub quarantine: Option<String>,
    /// Integer column that says for how many input rows a row stands. It is stored like any other.
    pub weight: Option<String>,
    /// A file ends at this number of rows.
    pub max_file_rows: usize,
    /// A row group ends at this number of rows.
    pub row_group_rows: usize,
    /// Whether rows of one partition value are brought together first, so that one task writes them all and
    /// small files do not multiply.
    pub cluster_by_partition: bool,
    /// Whether rows of several partition values share a file, each value in row groups of its own, so that small files
    /// do not multiply. The partition columns are stored then.
    pub share_files: bool,
    /// Whether columns are stored in the types of Delta tables; see [`super::storage_schema`]. Published tables need it.
    pub delta_types: bool,
}

impl SinkSpec {
    /// A specification with files of 4 Mi rows and row groups of 128 Ki rows: neither partitioned nor sorted.
    pub fn new(lake: &Lake, prefix: impl Into<String>) -> SinkSpec {
        SinkSpec {
            lake: lake.url().to_string(),
            prefix: prefix.into(),
            partition_by: Vec::new(),
            sort_by: Vec::new(),
            quarantine: None,
            weight: None,
            max_file_rows: 4 << 20,
            row_group_rows: 128 << 10,
            cluster_by_partition: true,
            share_files: false,
            delta_types: false,
        }
    }
}

/// Puts the sink on top of a finished physical plan: rows of one partition value are brought together over
/// the configured partitions (when the specification says so), each partition is sorted by partition value and key
/// with a sort that spills, and written.
///
/// A column that the specification names and the input lacks, or one of an unfit type, is
/// [`Error::Usage`](crate::Error::Usage).
pub fn plan_sink(
    input: Arc<dyn ExecutionPlan>,
    spec: SinkSpec,
    config: &ConfigOptions,
) -> Result<Arc<dyn ExecutionPlan>> {
    let layout = Layout::try_new(&input.schema(), spec)?;
    let mut plan = input;
    let partitions = config.execution.target_partitions;
    let together = Distribution::KeyPartitioned(layout.partition_columns());
    let lies_together = plan
        .output_partitioning()
        .satisfaction(&together, plan.equivalence_properties(), true)
        .is_satisfied();
    let alone = plan.output_partitioning().partition_count() == 1 && partitions > 1;
    if layout.spec.cluster_by_partition && !layout.spec.partition_by.is_empty() && (alone || !lies_together) {
        let hash = Partitioning::Hash(layout.partition_columns(), partitions.max(1));
        plan = Arc::new(RepartitionExec::try_new(plan, hash).context("planning the sink")?);
    }
    if let Some(order) = layout.order() {
        plan = sorted(plan, order)?;
    }
    Ok(Arc::new(SinkExec::new(plan, Arc::new(layout))))
}

fn sorted(plan: Arc<dyn ExecutionPlan>, order: LexOrdering) -> Result<Arc<dyn ExecutionPlan>> {
    let known = plan.equivalence_properties().ordering_satisfy(order.clone()).context("planning the sink")?;
    if known {
        return Ok(plan);
    }
    Ok(Arc::new(SortExec::new(order, plan).with_preserve_partitioning(true)))
}

/// Writes a few batches that are in memory already, through the same sink.
pub async fn write_batches(
    lake: &Lake,
    spec: SinkSpec,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
) -> Result<Vec<DataFile>> {
    let doing = format!("writing {}{}", spec.lake, spec.prefix);
    let input = MemorySourceConfig::try_new_exec(&[batches], schema, None).context(&doing)?;
    let plan = plan_sink(input, spec, &ConfigOptions::default())?;
    let runtime = Arc::new(RuntimeEnv::default());
    runtime.register_object_store(lake.object_store_url().as_ref(), lake.store().clone());
    let context = TaskContext::default().with_runtime(runtime);
    let rows = collect(plan, Arc::new(context)).await.context(&doing)?;
    DataFile::from_batches(&rows)
}
