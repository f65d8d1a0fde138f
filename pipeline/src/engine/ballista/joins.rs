//! Hash joins that a cluster runs as they were planned. Ballista 55 looks again at each hash join it knows, and turns it
//! from one that hashes a whole side into one that partitions both, or back, when the nodes above have been planned for
//! the partitions there were: a count over one partition becomes a count for each of many. So joins that cannot run in
//! many processes are changed before exchanges are placed, and all are wrapped in a node that Ballista does not know.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, PartitionMode};
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
    InputDistributionRequirements, PlanProperties, ReplaceChildrenOptions,
};

/// Whether a join emits rows on behalf of its left side, whose matches all tasks would have to know.
fn speaks_for_left(join_type: JoinType) -> bool {
    !matches!(
        join_type,
        JoinType::Inner | JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark
    )
}

/// Partitions both sides of a join that would hash its left side whole in each task, and speaks for its rows. To be run
/// after joins are chosen and before exchanges are placed.
#[derive(Debug)]
pub struct PartitionJoins;

impl PhysicalOptimizerRule for PartitionJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| match node.downcast_ref::<HashJoinExec>() {
            Some(join)
                if *join.partition_mode() == PartitionMode::CollectLeft
                    && speaks_for_left(*join.join_type())
                    && !join.null_aware =>
            {
                let join = join.builder().with_partition_mode(PartitionMode::Partitioned).build_exec()?;
                Ok(Transformed::yes(join))
            }
            _ => Ok(Transformed::no(node)),
        })
        .data()
    }

    fn name(&self) -> &str {
        "partition_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Wraps hash joins in [`PlannedJoinExec`], as the last rule. A side that is hashed whole becomes a stage of its own
/// where each task would compute it again. Joins that speak for a left side which cannot be partitioned get the right
/// side in one task.
#[derive(Debug)]
pub struct KeepJoins;

impl PhysicalOptimizerRule for KeepJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            if let Some(join) = node.downcast_ref::<HashJoinExec>() {
                let (mut left, mut right) = (join.left().clone(), join.right().clone());
                if *join.partition_mode() == PartitionMode::CollectLeft {
                    let many_tasks = right.output_partitioning().partition_count() > 1;
                    if many_tasks && !left.is::<CoalescePartitionsExec>() && !left.children().is_empty() {
                        left = Arc::new(CoalescePartitionsExec::new(left));
                    }
                    if speaks_for_left(*join.join_type()) {
                        right = in_one_task(right);
                    }
                }
                let join = replaced(node, vec![left, right])?;
                return Ok(Transformed::yes(Arc::new(PlannedJoinExec { join }) as Arc<dyn ExecutionPlan>));
            }
            match node.downcast_ref::<NestedLoopJoinExec>() {
                Some(join) if speaks_for_left(*join.join_type()) => {
                    let children = vec![join.left().clone(), in_one_task(join.right().clone())];
                    Ok(Transformed::yes(replaced(node, children)?))
                }
                _ => Ok(Transformed::no(node)),
            }
        })
        .data()
    }

    fn name(&self) -> &str {
        "keep_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn in_one_task(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    if plan.output_partitioning().partition_count() == 1 {
        return plan;
    }
    Arc::new(CoalescePartitionsExec::new(plan))
}

fn replaced(
    node: Arc<dyn ExecutionPlan>,
    children: Vec<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    node.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
}

/// A hash join whose sides and partitions stay as planned.
#[derive(Debug)]
pub struct PlannedJoinExec {
    join: Arc<dyn ExecutionPlan>,
}

impl PlannedJoinExec {
    /// A join that has arrived over empty sides, over its own sides.
    pub fn try_new(join: Arc<dyn ExecutionPlan>, sides: Vec<Arc<dyn ExecutionPlan>>) -> Result<Self> {
        if !join.is::<HashJoinExec>() {
            return internal_err!("{} is no hash join", join.name());
        }
        Ok(PlannedJoinExec { join: replaced(join, sides)? })
    }

    /// The join over empty sides, as it travels.
    pub fn without_sides(&self) -> Result<Arc<dyn ExecutionPlan>> {
        let empty = |side: &Arc<dyn ExecutionPlan>| Arc::new(EmptyExec::new(side.schema())) as Arc<_>;
        let sides = self.join.children().into_iter().map(empty).collect();
        replaced(self.join.clone(), sides)
    }
}

impl DisplayAs for PlannedJoinExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        self.join.fmt_as(format, f)
    }
}

impl ExecutionPlan for PlannedJoinExec {
    fn name(&self) -> &str {
        "PlannedJoinExec"
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
        Ok(Arc::new(PlannedJoinExec { join: replaced(self.join.clone(), children)? }))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.join.execute(partition, context)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.join.metrics()
    }
}
