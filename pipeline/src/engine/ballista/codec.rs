//! How our own plan nodes travel to schedulers and executors; all others travel as Ballista sends them.

use std::sync::Arc;

use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::common::{DataFusionError, Result, internal_err, not_impl_err};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{ScalarUDF, ScalarUDFImpl};
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::windows::BoundedWindowAggExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion_proto::physical_plan::{
    AsExecutionPlan, PhysicalExtensionCodec, PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf::PhysicalPlanNode;
use strata_udfs::text::{Pseudonym, PseudonymKeys};

use crate::engine::joins::{PlannedJoinExec, replaced};
use crate::engine::lookup::LookupJoinExec;
use crate::engine::row_number::RowNumberExec;
use crate::lake::{SinkExec, SinkSpec};

/// First bytes of our nodes; no message of Ballista's begins so.
const SINK: &[u8] = b"strata.sink\n";
const ROW_NUMBER: &[u8] = b"strata.row_number\n";
const JOIN: &[u8] = b"strata.join\n";
const LOOKUP: &[u8] = b"strata.lookup\n";

/// Encodes and decodes physical plans with our nodes in them.
#[derive(Debug, Default)]
pub struct NodeCodec {
    ballista: BallistaPhysicalExtensionCodec,
}

impl PhysicalExtensionCodec for NodeCodec {
    fn try_decode(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if let Some(spec) = bytes.strip_prefix(SINK) {
            let spec: SinkSpec = serde_json::from_slice(spec).map_err(external)?;
            let sink = SinkExec::try_new(one(inputs)?, spec).map_err(external)?;
            return Ok(Arc::new(sink));
        }
        if let Some(window) = bytes.strip_prefix(ROW_NUMBER) {
            let window = PhysicalPlanNode::try_decode(window)?.try_into_physical_plan(context, self)?;
            let Some(window) = window.downcast_ref::<BoundedWindowAggExec>() else {
                return internal_err!("row_number travels as a window, not as {}", window.name());
            };
            return Ok(Arc::new(RowNumberExec::of_window(one(inputs)?, window)?));
        }
        if let Some(join) = bytes.strip_prefix(JOIN) {
            let Some(end) = join.iter().position(|byte| *byte == b'\n') else {
                return internal_err!("a join arrived without the columns that split its sides");
            };
            let split_by = serde_json::from_slice(&join[..end]).map_err(external)?;
            let join =
                PhysicalPlanNode::try_decode(&join[end + 1..])?.try_into_physical_plan(context, self)?;
            return Ok(Arc::new(PlannedJoinExec::try_new(replaced(join, inputs.to_vec())?, split_by)?));
        }
        if let Some(join) = bytes.strip_prefix(LOOKUP) {
            let join = PhysicalPlanNode::try_decode(join)?.try_into_physical_plan(context, self)?;
            return Ok(Arc::new(LookupJoinExec::try_new(replaced(join, inputs.to_vec())?)?));
        }
        self.ballista.try_decode(bytes, inputs, context, converter)
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        bytes: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        if let Some(sink) = node.downcast_ref::<SinkExec>() {
            bytes.extend(SINK);
            return serde_json::to_writer(bytes, sink.spec()).map_err(external);
        }
        if let Some(numbered) = node.downcast_ref::<RowNumberExec>() {
            bytes.extend(ROW_NUMBER);
            return PhysicalPlanNode::try_from_physical_plan(numbered.as_window()?, self)?.try_encode(bytes);
        }
        if let Some(planned) = node.downcast_ref::<PlannedJoinExec>() {
            bytes.extend(JOIN);
            serde_json::to_writer(&mut *bytes, planned.split_by()).map_err(external)?;
            bytes.push(b'\n');
            let join = without_sides(planned.join())?;
            return PhysicalPlanNode::try_from_physical_plan(join, self)?.try_encode(bytes);
        }
        if let Some(lookup) = node.downcast_ref::<LookupJoinExec>() {
            bytes.extend(LOOKUP);
            let join = without_sides(lookup.join())?;
            return PhysicalPlanNode::try_from_physical_plan(join, self)?.try_encode(bytes);
        }
        self.ballista.try_encode(node, bytes, converter)
    }

    /// Functions travel by name; `pseudonym` brings its keys, which no other process has.
    fn try_encode_udf(&self, function: &ScalarUDF, bytes: &mut Vec<u8>) -> Result<()> {
        if let Some(pseudonym) = function.inner().downcast_ref::<Pseudonym>() {
            bytes.extend(pseudonym.keys().to_secret_bytes());
        }
        Ok(())
    }

    fn try_decode_udf(&self, name: &str, bytes: &[u8]) -> Result<Arc<ScalarUDF>> {
        match PseudonymKeys::from_secret_bytes(bytes) {
            Some(keys) if name == Pseudonym::default().name() => {
                Ok(Arc::new(Pseudonym::with_keys(keys).into()))
            }
            _ => not_impl_err!("this process has no function `{name}`"),
        }
    }
}

/// A join over nothing: its sides travel by themselves.
fn without_sides(join: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let sides = join.children().into_iter();
    let sides = sides.map(|side| Arc::new(EmptyExec::new(side.schema())) as Arc<dyn ExecutionPlan>);
    replaced(join.clone(), sides.collect())
}

fn one(inputs: &[Arc<dyn ExecutionPlan>]) -> Result<Arc<dyn ExecutionPlan>> {
    match inputs {
        [input] => Ok(input.clone()),
        _ => internal_err!("a node of one child arrived with {}", inputs.len()),
    }
}

fn external(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DataFusionError {
    DataFusionError::External(error.into())
}

/// The plan as it arrives after travelling: what a test of every stage holds against the plan that was sent.
pub fn travelled(plan: Arc<dyn ExecutionPlan>, context: &TaskContext) -> Result<Arc<dyn ExecutionPlan>> {
    let codec = NodeCodec::default();
    let mut bytes = Vec::new();
    PhysicalPlanNode::try_from_physical_plan(plan.clone(), &codec)?.try_encode(&mut bytes)?;
    let arrived = PhysicalPlanNode::try_decode(&bytes)?.try_into_physical_plan(context, &codec)?;
    if arrived.output_partitioning().partition_count() != plan.output_partitioning().partition_count() {
        return internal_err!("a plan arrived with another number of partitions");
    }
    Ok(arrived)
}
