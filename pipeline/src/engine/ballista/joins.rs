//! Hash joins that a cluster runs as they were planned. Ballista 55 looks again at each hash join it knows, and turns it
//! from one that hashes a whole side into one that partitions both, or back, when the nodes above have been planned for
//! the partitions there were: a count over one partition becomes a count for each of many. So joins that cannot run in
//! many processes are changed before exchanges are placed, and all are wrapped in a node that Ballista does not know.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{JoinType, Result};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, PartitionMode};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use crate::engine::joins::{PlannedJoinExec, replaced};

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

/// Wraps hash joins in [`PlannedJoinExec`], when all else is planned. A side that is hashed whole becomes a stage of its own
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
                let planned = PlannedJoinExec::try_new(join, Vec::new())?;
                return Ok(Transformed::yes(Arc::new(planned) as Arc<dyn ExecutionPlan>));
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
