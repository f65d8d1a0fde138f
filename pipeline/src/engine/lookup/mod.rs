//! Hash joins of which one side is looked up by key, as facts look up who a device or an account belongs to. DataFusion's
//! own copies every column of the other side, and the keys of both once more to compare them; here rows that each find
//! one partner, or none in a right join, keep their columns, and keys are compared where they lie.

mod probe;
mod table;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{
    DataFusionError, JoinSide, JoinType, NullEquality, Result, Statistics, internal_err,
};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::joins::utils::ColumnIndex;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
    InputDistributionRequirements, PlanProperties, ReplaceChildrenOptions,
};
use futures::future::{BoxFuture, Shared};
use futures::{FutureExt, TryFutureExt};

use super::joins::{PlannedJoinExec, replaced};
use probe::Rules;
use table::{Key, Table};

/// Puts [`LookupJoinExec`] in place of hash joins; to be run last.
#[derive(Debug)]
pub struct LookupJoins;

impl PhysicalOptimizerRule for LookupJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| match hash_join(&node) {
            Some(join) if looks_up(join)? => {
                Ok(Transformed::yes(Arc::new(LookupJoinExec::try_new(node)?) as Arc<dyn ExecutionPlan>))
            }
            _ => Ok(Transformed::no(node)),
        })
        .data()
    }

    fn name(&self) -> &str {
        "lookup_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The hash join that a node is or stands for.
fn hash_join(node: &Arc<dyn ExecutionPlan>) -> Option<&HashJoinExec> {
    let planned = node.downcast_ref::<PlannedJoinExec>().map(PlannedJoinExec::join);
    planned.unwrap_or(node).downcast_ref::<HashJoinExec>()
}

/// Whether a join is one of those that [`LookupJoinExec`] does: it yields rows of the side that is not hashed as they
/// come, and its keys are texts, whole numbers, dates or instants.
fn looks_up(join: &HashJoinExec) -> Result<bool> {
    let types = [JoinType::Inner, JoinType::Right, JoinType::RightSemi, JoinType::RightAnti];
    let (left, right) = (join.left().schema(), join.right().schema());
    let mut keys = true;
    for (a, b) in join.on() {
        let (a, b) = (a.data_type(&left)?, b.data_type(&right)?);
        keys &= a == b && Key::takes(&a);
    }
    Ok(keys
        && types.contains(join.join_type())
        && join.null_equality() == NullEquality::NullEqualsNothing
        && !join.null_aware
        && join.fetch().is_none()
        && *join.partition_mode() != PartitionMode::Auto)
}

type SharedTable = Shared<BoxFuture<'static, std::result::Result<Arc<Table>, Arc<DataFusionError>>>>;

/// A hash join that reads its left side into memory and looks up the rows of its right side there, whose order it keeps.
#[derive(Debug)]
pub struct LookupJoinExec {
    join: Arc<dyn ExecutionPlan>,
    rules: Arc<Rules>,
    mode: PartitionMode,
    /// The left side that all partitions look up, once one of them asked for it.
    table: Mutex<Option<SharedTable>>,
    metrics: ExecutionPlanMetricsSet,
}

impl LookupJoinExec {
    /// Of a hash join.
    ///
    /// # Errors
    /// For a node that is no hash join.
    pub fn try_new(node: Arc<dyn ExecutionPlan>) -> Result<Self> {
        let Some(join) = hash_join(&node) else {
            return internal_err!("{} is no hash join", node.name());
        };
        let (left_on, right_on) = join.on().iter().cloned().unzip();
        let rules = Rules {
            join_type: *join.join_type(),
            left_on,
            right_on,
            filter: join.filter().cloned(),
            columns: columns(join),
            schema: join.schema(),
        };
        let mode = *join.partition_mode();
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(LookupJoinExec { join: node, rules: Arc::new(rules), mode, table: Mutex::default(), metrics })
    }

    /// The hash join, or the node that stands for it.
    pub fn join(&self) -> &Arc<dyn ExecutionPlan> {
        &self.join
    }

    fn sides(&self) -> Result<[&Arc<dyn ExecutionPlan>; 2]> {
        match self.join.children()[..] {
            [left, right] => Ok([left, right]),
            ref other => internal_err!("a join has {} sides", other.len()),
        }
    }

    /// Reads one partition of the left side.
    fn read(&self, partition: usize, context: &Arc<TaskContext>) -> Result<SharedTable> {
        let [left, _] = self.sides()?;
        let memory = MemoryConsumer::new(format!("LookupJoinExec[{partition}]"));
        let memory = memory.register(context.memory_pool());
        let side = left.execute(partition, context.clone())?;
        let (schema, rules) = (left.schema(), self.rules.clone());
        let time = MetricBuilder::new(&self.metrics).subset_time("build_time", partition);
        let table = async move { Table::read(side, schema, &rules.left_on, memory, time).await };
        Ok(table.map_ok(Arc::new).map_err(Arc::new).boxed().shared())
    }

    fn table(&self, partition: usize, context: &Arc<TaskContext>) -> Result<SharedTable> {
        if self.mode != PartitionMode::CollectLeft {
            return self.read(partition, context);
        }
        let mut shared = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        match &*shared {
            Some(table) => Ok(table.clone()),
            None => Ok(shared.insert(self.read(0, context)?).clone()),
        }
    }
}

/// Where each column of a join's result comes from.
fn columns(join: &HashJoinExec) -> Vec<ColumnIndex> {
    let left = join.left().schema().fields().len();
    let of_both = matches!(join.join_type(), JoinType::Inner | JoinType::Right);
    let column = |index: usize| match of_both {
        true if index < left => ColumnIndex { index, side: JoinSide::Left },
        true => ColumnIndex { index: index - left, side: JoinSide::Right },
        false => ColumnIndex { index, side: JoinSide::Right },
    };
    match &join.projection {
        Some(kept) => kept.iter().map(|index| column(*index)).collect(),
        None => (0..join.join_schema().fields().len()).map(column).collect(),
    }
}

impl DisplayAs for LookupJoinExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        self.join.fmt_as(format, f)?;
        f.write_str(", looked up")
    }
}

impl ExecutionPlan for LookupJoinExec {
    fn name(&self) -> &str {
        "LookupJoinExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.join.properties()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.join.input_distribution_requirements()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.join.maintains_input_order()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.join.children()
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.join.apply_expressions(visit)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(LookupJoinExec::try_new(replaced(self.join.clone(), children)?)?))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let [left, right] = self.sides()?.map(|side| side.output_partitioning().partition_count());
        let of_left = if self.mode == PartitionMode::CollectLeft { 1 } else { right };
        if left != of_left {
            return internal_err!("a join looks up rows in {of_left} partitions, not in {left}");
        }
        let [_, right] = self.sides()?;
        let other = right.execute(partition, context.clone())?;
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let (table, rules) = (self.table(partition, &context)?, self.rules.clone());
        let batch_rows = context.session_config().batch_size();
        let joined = async move {
            let table = table.await.map_err(DataFusionError::Shared)?;
            Ok(rules.join(table, other, batch_rows, metrics))
        };
        let schema = self.rules.schema.clone();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, joined.try_flatten_stream())))
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        self.join.child_stats_requests(partition)
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        self.join.statistics_from_inputs(inputs, args)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
