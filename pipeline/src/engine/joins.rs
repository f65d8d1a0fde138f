//! Hash joins that stay as they were planned: of rows that lie by day on both sides where they lie, and on a cluster.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Partitioning, PhysicalExpr, PhysicalExprRef, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, Distribution, ExecutionPlan,
    ExecutionPlanProperties, InputDistributionRequirements, PlanProperties, ReplaceChildrenOptions,
};

/// Joins sides that are split at the same days partition by partition. DataFusion 55 takes only sides that are split by
/// all columns of the join for this. To be run after joins are chosen and before exchanges are placed.
#[derive(Debug)]
pub struct JoinInPlace;

impl PhysicalOptimizerRule for JoinInPlace {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let partitions = config.execution.target_partitions;
        plan.transform_up(|node| match node.downcast_ref::<HashJoinExec>() {
            Some(join) if *join.partition_mode() == PartitionMode::Partitioned => {
                match split_alike(join, partitions) {
                    Some(split_by) => {
                        Ok(Transformed::yes(Arc::new(PlannedJoinExec { join: node, split_by })))
                    }
                    None => Ok(Transformed::no(node)),
                }
            }
            _ => Ok(Transformed::no(node)),
        })
        .data()
    }

    fn name(&self) -> &str {
        "join_in_place"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The pairs of a join, by their places, by which both sides lie in the same ranges, one for each partition.
fn split_alike(join: &HashJoinExec, partitions: usize) -> Option<Vec<usize>> {
    let (Partitioning::Range(left), Partitioning::Range(right)) =
        (join.left().output_partitioning(), join.right().output_partitioning())
    else {
        return None;
    };
    let alike = left.split_points() == right.split_points()
        && left.ordering().len() == right.ordering().len()
        && left.partition_count() == partitions;
    let columns = left.ordering().iter().zip(right.ordering());
    let pair = |(left, right): (&PhysicalSortExpr, &PhysicalSortExpr)| {
        let same = |on: &(PhysicalExprRef, PhysicalExprRef)| on.0.eq(&left.expr) && on.1.eq(&right.expr);
        join.on().iter().position(same).filter(|_| left.options == right.options)
    };
    columns.map(pair).collect::<Option<Vec<usize>>>().filter(|_| alike)
}

/// The node with other children.
pub fn replaced(
    node: Arc<dyn ExecutionPlan>,
    children: Vec<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    node.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
}

/// A hash join whose sides and partitions stay as planned.
#[derive(Debug)]
pub struct PlannedJoinExec {
    join: Arc<dyn ExecutionPlan>,
    /// Places of the pairs by which both sides must be split alike; all pairs where none is named.
    split_by: Vec<usize>,
}

impl PlannedJoinExec {
    /// Of a hash join. `split_by`: places of the pairs by which both sides lie in the same ranges.
    ///
    /// # Errors
    /// For a node that is no hash join.
    pub fn try_new(join: Arc<dyn ExecutionPlan>, split_by: Vec<usize>) -> Result<Self> {
        match join.downcast_ref::<HashJoinExec>() {
            Some(hash) if split_by.iter().all(|place| *place < hash.on().len()) => {
                Ok(PlannedJoinExec { join, split_by })
            }
            Some(_) => internal_err!("a join has no such pair"),
            None => internal_err!("{} is no hash join", join.name()),
        }
    }

    /// The hash join.
    pub fn join(&self) -> &Arc<dyn ExecutionPlan> {
        &self.join
    }

    /// Places of the pairs by which both sides lie in the same ranges; none where exchanges split them.
    pub fn split_by(&self) -> &[usize] {
        &self.split_by
    }

    fn with_join(&self, join: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(PlannedJoinExec { join, split_by: self.split_by.clone() })
    }
}

impl DisplayAs for PlannedJoinExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        self.join.fmt_as(format, f)?;
        match self.split_by.is_empty() {
            true => Ok(()),
            false => write!(f, ", in place"),
        }
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
        match self.join.downcast_ref::<HashJoinExec>() {
            Some(join) if !self.split_by.is_empty() => {
                let pairs = self.split_by.iter().filter_map(|place| join.on().get(*place)).cloned();
                let (left, right) = pairs.unzip();
                InputDistributionRequirements::co_partitioned(vec![
                    Distribution::KeyPartitioned(left),
                    Distribution::KeyPartitioned(right),
                ])
            }
            _ => self.join.input_distribution_requirements(),
        }
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
        Ok(self.with_join(replaced(self.join.clone(), children)?))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    /// The join takes a projection in as it would by itself; what is left of it stays above.
    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExec,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(swapped) = self.join.try_swapping_with_projection(projection)? else { return Ok(None) };
        if swapped.is::<HashJoinExec>() {
            return Ok(Some(self.with_join(swapped)));
        }
        match swapped.downcast_ref::<ProjectionExec>().map(|rest| rest.input().clone()) {
            Some(join) if join.is::<HashJoinExec>() => {
                Ok(Some(replaced(swapped, vec![self.with_join(join)])?))
            }
            _ => Ok(None),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.join.execute(partition, context)
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
        self.join.metrics()
    }
}
