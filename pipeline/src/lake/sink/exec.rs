//! The execution plan node of the sink.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, OrderingRequirements, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{EvaluationType, SchedulingType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, Distribution, ExecutionPlan,
    ExecutionPlanProperties, InputDistributionRequirements, Partitioning, PlanProperties,
    ReplaceChildrenOptions,
};

use super::SinkSpec;
use super::layout::Layout;
use super::task;
use crate::lake::DataFile;

/// Writes each partition of its input to files of its own and returns one row for each file, as
/// [`DataFile::schema`] says. It has as many partitions as its input and requires the input to be sorted by
/// partition value and key, so that a task holds one file open (two with a quarantine).
///
/// Metrics: `output_rows` counts the rows written so far, `bytes_written` those of completed files.
#[derive(Debug)]
pub struct SinkExec {
    input: Arc<dyn ExecutionPlan>,
    layout: Arc<Layout>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl SinkExec {
    /// The sink over an input that is partitioned and sorted as it should be; see [`super::plan_sink`], which does
    /// that too.
    pub fn try_new(input: Arc<dyn ExecutionPlan>, spec: SinkSpec) -> crate::Result<SinkExec> {
        let layout = Layout::try_new(&input.schema(), spec)?;
        Ok(Self::new(input, Arc::new(layout)))
    }

    pub(super) fn new(input: Arc<dyn ExecutionPlan>, layout: Arc<Layout>) -> SinkExec {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(DataFile::schema()),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            input.pipeline_behavior(),
            input.boundedness(),
        )
        .with_scheduling_type(SchedulingType::Cooperative)
        .with_evaluation_type(EvaluationType::Eager);
        SinkExec { input, layout, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }

    /// What is written, and how: with the input, all that a codec needs to carry.
    pub fn spec(&self) -> &SinkSpec {
        &self.layout.spec
    }
}

impl DisplayAs for SinkExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let spec = self.spec();
        write!(f, "SinkExec: prefix={}", spec.prefix)?;
        for (name, columns) in [("partition_by", &spec.partition_by), ("sort_by", &spec.sort_by)] {
            if !columns.is_empty() {
                write!(f, ", {name}=[{}]", columns.join(", "))?;
            }
        }
        match &spec.quarantine {
            Some(column) => write!(f, ", quarantine={column}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for SinkExec {
    fn name(&self) -> &str {
        "SinkExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::UnspecifiedDistribution])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![self.layout.order().map(Into::into)]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
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
            return internal_err!("SinkExec has one child");
        };
        let spec = self.spec().clone();
        let sink = SinkExec::try_new(input, spec).map_err(|e| DataFusionError::External(e.into()))?;
        Ok(Arc::new(sink))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context.clone())?;
        let layout = self.layout.clone();
        let metrics = self.metrics.clone();
        let files = async move {
            let files = task::write(input, layout, context, &metrics, partition).await?;
            DataFile::to_batch(&files)
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(DataFile::schema(), futures::stream::once(files))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
