//! Ballista: the same plans on many machines. The driver plans as it does for one machine and submits the physical plan;
//! executors run its tasks, sink included, and only the rows of the last stage come back.

mod client;
mod codec;
mod connections;
mod executor;
mod joins;
mod loss;
mod secret;
mod server;
mod tasks;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::Schema;
use ballista_core::extension::SessionConfigExt;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, internal_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::prelude::SessionConfig;

use super::session::JOIN_SELECTION;
pub(super) use client::Cluster;
use codec::NodeCodec;
pub(super) use codec::travelled;
pub use executor::{ExecutorOptions, run_executor};
use joins::{KeepJoins, PartitionJoins};
pub use secret::{ClusterSecret, LEAST_SECRET_BYTES};
pub use server::{SchedulerOptions, run_scheduler};

/// The largest message between client, scheduler and executors, in bytes: a plan with its files, or a batch.
const MESSAGE_BYTES: usize = 64 << 20;

/// Settings of a session whose plans are to run on a cluster: what cannot cross processes is off, and the static planner
/// is used, under which a lost executor's tasks are run again.
pub(super) fn distributed(config: SessionConfig) -> SessionConfig {
    let own = config.options().optimizer.clone();
    let mut config = config
        .upgrade_for_ballista()
        .with_ballista_adaptive_query_planner(false)
        .with_ballista_grpc_client_max_message_size(MESSAGE_BYTES);
    let optimizer = &mut config.options_mut().optimizer;
    optimizer.prefer_hash_join = own.prefer_hash_join;
    optimizer.hash_join_single_partition_threshold = own.hash_join_single_partition_threshold;
    optimizer.hash_join_single_partition_threshold_rows = own.hash_join_single_partition_threshold_rows;
    // a task has its own part of each scan, which does not say that it is one of ranges; interleaving asks for that
    optimizer.prefer_existing_union = true;
    config
}

/// Adds to the engine's rules those that make a plan fit for a cluster.
pub(super) fn with_cluster_rules(
    rules: &mut Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>,
) -> Result<()> {
    let Some(chosen) = rules.iter().position(|rule| rule.name() == JOIN_SELECTION) else {
        return internal_err!("the engine has no rule that selects joins");
    };
    rules.insert(chosen + 1, Arc::new(PartitionJoins));
    rules.push(Arc::new(KeepJoins));
    rules.push(Arc::new(ScanNothing));
    Ok(())
}

/// Puts scans of no rows, or of one, in place of nodes that have no metrics: Ballista 55 refuses the report of a task
/// whose part of a union has other nodes with metrics than another task's, and the job never ends.
#[derive(Debug)]
struct ScanNothing;

impl PhysicalOptimizerRule for ScanNothing {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let (schema, rows) = match () {
                () if node.is::<EmptyExec>() => (node.schema(), Vec::new()),
                () if node.is::<PlaceholderRowExec>() => {
                    let row = nulls(&node.schema())?;
                    (row.schema(), vec![row])
                }
                () => return Ok(Transformed::no(node)),
            };
            let partitions = vec![rows; node.output_partitioning().partition_count()];
            let scan = MemorySourceConfig::try_new_exec(&partitions, schema, None)?;
            Ok(Transformed::yes(scan as Arc<dyn ExecutionPlan>))
        })
        .data()
    }

    fn name(&self) -> &str {
        "scan_nothing"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// One row of NULLs, which nobody reads.
fn nulls(schema: &Schema) -> Result<RecordBatch> {
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    let columns: Vec<ArrayRef> =
        schema.fields().iter().map(|field| new_null_array(field.data_type(), 1)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    Ok(RecordBatch::try_new_with_options(Arc::new(schema), columns, &options)?)
}
