//! `row_number()` by hashing: where almost every key stands once, as when copies of rows are sought, finding the few
//! keys that repeat is many times cheaper than sorting all rows. The SQL stays standard; a rule of the physical
//! optimizer puts this node in place of the window.

mod number;

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{ColumnStatistics, Result, Statistics, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::window::{StandardWindowExpr, WindowExpr};
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowUDFExpr};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, Distribution, ExecutionPlan,
    ExecutionPlanProperties, InputDistributionRequirements, InputOrderMode, PlanProperties,
    ReplaceChildrenOptions,
};

/// Puts [`RowNumberExec`] in place of a window that is one `row_number()` with PARTITION BY.
#[derive(Debug)]
pub struct HashRowNumber;

impl PhysicalOptimizerRule for HashRowNumber {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let Some(window) = node.downcast_ref::<BoundedWindowAggExec>() else {
                return Ok(Transformed::no(node));
            };
            match window.window_expr() {
                [expr] if is_row_number(expr) && !expr.partition_by().is_empty() => {
                    let numbered = RowNumberExec::new(window.input().clone(), expr.clone(), node.schema());
                    Ok(Transformed::yes(Arc::new(numbered) as Arc<dyn ExecutionPlan>))
                }
                _ => Ok(Transformed::no(node)),
            }
        })
        .data()
    }

    fn name(&self) -> &str {
        "hash_row_number"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn is_row_number(expr: &Arc<dyn WindowExpr>) -> bool {
    let standard = expr.as_any().downcast_ref::<StandardWindowExpr>();
    let function = standard.and_then(|s| s.get_standard_func_expr().as_any().downcast_ref::<WindowUDFExpr>());
    function.is_some_and(|function| function.fun().name() == "row_number")
}

/// The share of the pool, as a divisor, that the partitions of one node hold at most. A fair share among all that can
/// spill would be far smaller where many stages run side by side.
const SHARE: usize = 2;

/// Appends `row_number() over (partition by .. order by ..)` to its input. Where the input is sorted by some of the
/// keys, such as the day, it holds the rows of one value of these and keeps that order; else it holds its whole
/// partition. Where that is too much, it sorts and spills these rows instead.
#[derive(Debug)]
pub struct RowNumberExec {
    input: Arc<dyn ExecutionPlan>,
    window: Arc<dyn WindowExpr>,
    schema: SchemaRef,
    /// The keys by which the input is sorted, as far as its order begins with keys.
    sorted_by: Vec<PhysicalSortExpr>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl RowNumberExec {
    /// The node in place of a window that is one `row_number()`.
    pub(super) fn of_window(input: Arc<dyn ExecutionPlan>, window: &BoundedWindowAggExec) -> Result<Self> {
        match window.window_expr() {
            [expr] => Ok(RowNumberExec::new(input, expr.clone(), window.schema())),
            other => internal_err!("a window of {} expressions is no row_number()", other.len()),
        }
    }

    /// The window that this node stands for, over an empty input.
    pub(super) fn as_window(&self) -> Result<Arc<dyn ExecutionPlan>> {
        let empty = Arc::new(EmptyExec::new(self.input.schema()));
        let window =
            BoundedWindowAggExec::try_new(vec![self.window.clone()], empty, InputOrderMode::Sorted, false)?;
        Ok(Arc::new(window))
    }

    fn new(input: Arc<dyn ExecutionPlan>, window: Arc<dyn WindowExpr>, schema: SchemaRef) -> Self {
        let order = input.equivalence_properties().output_ordering();
        let is_key = |sort: &PhysicalSortExpr| window.partition_by().iter().any(|key| key.eq(&sort.expr));
        let sorted_by: Vec<PhysicalSortExpr> = order.into_iter().flatten().take_while(is_key).collect();
        let orderings = LexOrdering::new(sorted_by.iter().cloned());
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(schema.clone(), orderings),
            input.output_partitioning().clone(),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        let metrics = ExecutionPlanMetricsSet::new();
        RowNumberExec { input, window, schema, sorted_by, properties: Arc::new(properties), metrics }
    }
}

impl DisplayAs for RowNumberExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let keys: Vec<String> = self.window.partition_by().iter().map(ToString::to_string).collect();
        let order: Vec<String> = self.window.order_by().iter().map(ToString::to_string).collect();
        write!(f, "RowNumberExec: partition_by=[{}], order_by=[{}]", keys.join(", "), order.join(", "))?;
        let sorted: Vec<String> = self.sorted_by.iter().map(ToString::to_string).collect();
        if sorted.is_empty() { Ok(()) } else { write!(f, ", sorted_by=[{}]", sorted.join(", ")) }
    }
}

impl ExecutionPlan for RowNumberExec {
    fn name(&self) -> &str {
        "RowNumberExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::KeyPartitioned(
            self.window.partition_by().to_vec(),
        )])
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Ok([input]) = <[_; 1]>::try_from(children) else {
            return internal_err!("RowNumberExec has one child");
        };
        Ok(Arc::new(RowNumberExec::new(input, self.window.clone(), self.schema.clone())))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for expr in
            self.window.partition_by().iter().chain(self.window.order_by().iter().map(|sort| &sort.expr))
        {
            if visit(expr)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context.clone())?;
        let memory = MemoryConsumer::new(format!("RowNumberExec[{partition}]"));
        let pool = context.memory_pool();
        let most_bytes = match pool.memory_limit() {
            MemoryLimit::Finite(bytes) => {
                bytes / SHARE / self.properties.output_partitioning().partition_count()
            }
            _ => usize::MAX,
        };
        let job = number::Job {
            window: self.window.clone(),
            schema: self.schema.clone(),
            sorted_by: self.sorted_by.clone(),
            memory: memory.register(pool),
            most_bytes,
            metrics: BaselineMetrics::new(&self.metrics, partition),
            context,
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), job.run(input))))
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    /// As many rows as come in: without that, a join above would not know its smaller side.
    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let Some(input) = inputs.first() else { return internal_err!("RowNumberExec has one child") };
        let mut statistics = Statistics { total_byte_size: Precision::Absent, ..input.as_ref().clone() };
        statistics.column_statistics.push(ColumnStatistics::new_unknown());
        Ok(Arc::new(statistics))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
