//! The port at which an executor is given tasks. Ballista 55 starts its own server for that, to which no check of the caller can
//! be added; this is the same service behind the cluster's [`Gate`](super::secret::Gate). Unlike Ballista's it tells what became
//! of a task to the scheduler it registered with, not to whom the call names, and takes no job whose name is a path.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ballista_core::error::BallistaError;
use ballista_core::execution_plans::{RangeShuffleReaderExec, ShuffleReaderExec};
use ballista_core::serde::BallistaCodec;
use ballista_core::serde::protobuf::executor_grpc_server::ExecutorGrpc;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    CancelTasksParams, CancelTasksResult, FailedTask, LaunchMultiTaskParams, LaunchMultiTaskResult,
    LaunchTaskParams, LaunchTaskResult, MultiTaskDefinition, RemoveJobDataParams, RemoveJobDataResult,
    StopExecutorParams, StopExecutorResult, SuccessfulTask, TaskStatus, UpdateTaskStatusParams, task_status,
};
use ballista_core::serde::scheduler::from_proto::get_task_definition_vec;
use ballista_core::serde::scheduler::{TaskDefinition, TaskKey};
use ballista_executor::execution_engine::{ExecutionEngine, QueryStageExecutor};
use ballista_executor::executor::Executor;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

/// How often what became of a task is told to a scheduler that does not answer, and the pause between.
const REPORTS: u32 = 3;
const REPORT_PAUSE: Duration = Duration::from_millis(500);

type Codec = BallistaCodec<LogicalPlanNode, PhysicalPlanNode>;

/// What an executor does with calls at its task port.
#[derive(Clone)]
pub struct Tasks {
    pub executor: Arc<Executor>,
    pub engine: Arc<dyn ExecutionEngine>,
    pub codec: Codec,
    /// The scheduler with which this executor registered.
    pub scheduler: SchedulerGrpcClient<Channel>,
    /// The threads that run tasks, so that calls are answered beside them.
    pub threads: Handle,
    /// Ends the executor.
    pub stop: mpsc::Sender<()>,
}

impl Tasks {
    fn decode(&self, tasks: MultiTaskDefinition) -> Result<Vec<TaskDefinition>, BallistaError> {
        check_job(&tasks.job_id)?;
        let functions = &self.executor.function_registry;
        let tasks = get_task_definition_vec(
            tasks,
            self.executor.runtime_producer.clone(),
            self.executor.produce_config(),
            functions.scalar_functions.clone(),
            functions.aggregate_functions.clone(),
            functions.window_functions.clone(),
            functions.higher_order_functions.clone(),
            self.codec.clone(),
        )?;
        tasks.iter().try_for_each(|task| check_shuffles(&task.plan))?;
        Ok(tasks)
    }

    /// Runs a task and tells the scheduler what became of it.
    async fn run(&self, task: TaskDefinition) {
        let mut status = TaskStatus {
            task_id: task.task_id as u32,
            job_id: task.job_id.clone().into(),
            stage_id: task.stage_id as u32,
            stage_attempt_num: task.stage_attempt_num as u32,
            launch_time: task.launch_time,
            start_exec_time: now_ms(),
            ..TaskStatus::default()
        };
        status.status = Some(match self.execute(task, &mut status).await {
            Ok(done) => task_status::Status::Successful(done),
            Err(error) => task_status::Status::Failed(FailedTask::from(error)),
        });
        status.end_exec_time = now_ms();
        self.report(status).await;
    }

    async fn execute(
        &self,
        task: TaskDefinition,
        status: &mut TaskStatus,
    ) -> Result<SuccessfulTask, BallistaError> {
        let key = TaskKey { job_id: task.job_id.clone(), stage_id: task.stage_id, task_id: task.task_id };
        let stage: Arc<dyn QueryStageExecutor> = self.engine.create_query_stage_exec(
            task.job_id,
            task.stage_id,
            task.task_id,
            task.global_output_partition_ids,
            task.plan,
            &self.executor.work_dir,
            &task.session_config,
        )?;
        let runtime = self.executor.produce_runtime_for_session(
            &task.session_id,
            &task.session_config,
            task.vcores_consumed,
        )?;
        let functions = task.function_registry;
        let context = TaskContext::new(
            Some(format!("{}/{}/{}", key.job_id, key.stage_id, key.task_id)),
            task.session_id,
            task.session_config,
            functions.scalar_functions.clone(),
            functions.higher_order_functions.clone(),
            functions.aggregate_functions.clone(),
            functions.window_functions.clone(),
            runtime,
        );
        let done = self.executor.execute_query_stage(key, stage.clone(), Arc::new(context)).await;
        let metrics = stage.collect_plan_metrics().into_iter().map(|set| set.try_into());
        status.metrics = metrics.collect::<Result<_, BallistaError>>().unwrap_or_default();
        Ok(SuccessfulTask {
            executor_id: self.executor.metadata.id.clone(),
            partitions: done?,
            runtime_stats: stage.collect_runtime_stats_reports(),
            window_state: stage.collect_window_state_reports()?,
            task_column_stats: stage.collect_column_stats(),
        })
    }

    async fn report(&self, status: TaskStatus) {
        let (job, task) = (status.job_id.clone(), status.task_id);
        let report = UpdateTaskStatusParams {
            executor_id: self.executor.metadata.id.clone(),
            task_status: vec![status],
        };
        for tried in 1..=REPORTS {
            match self.scheduler.clone().update_task_status(report.clone()).await {
                Ok(_) => return,
                Err(error) if tried == REPORTS => {
                    tracing::error!(job, task, %error, "the scheduler was not told of a finished task");
                }
                Err(_) => tokio::time::sleep(REPORT_PAUSE).await,
            }
        }
    }

    /// The folder of a job's shuffled rows.
    fn job_folder(&self, job: &str) -> Result<PathBuf, BallistaError> {
        check_job(job)?;
        Ok(PathBuf::from(&self.executor.work_dir).join(job))
    }
}

#[tonic::async_trait]
impl ExecutorGrpc for Tasks {
    /// Schedulers launch tasks by stages.
    async fn launch_task(&self, _: Request<LaunchTaskParams>) -> Result<Response<LaunchTaskResult>, Status> {
        Err(Status::unimplemented("tasks are launched by stages"))
    }

    async fn launch_multi_task(
        &self,
        request: Request<LaunchMultiTaskParams>,
    ) -> Result<Response<LaunchMultiTaskResult>, Status> {
        let mut failed_jobs = Vec::new();
        for stage in request.into_inner().multi_tasks {
            let job = stage.job_id.clone();
            match self.decode(stage) {
                Ok(tasks) => {
                    for task in tasks {
                        let this = self.clone();
                        self.threads.spawn(async move { this.run(task).await });
                    }
                }
                Err(error) => {
                    tracing::error!(job, %error, "tasks are refused");
                    failed_jobs.push(job);
                }
            }
        }
        failed_jobs.dedup();
        Ok(Response::new(LaunchMultiTaskResult { failed_jobs }))
    }

    async fn stop_executor(
        &self,
        request: Request<StopExecutorParams>,
    ) -> Result<Response<StopExecutorResult>, Status> {
        let request = request.into_inner();
        if request.executor_id == self.executor.metadata.id {
            tracing::info!(reason = request.reason, "the scheduler stops this executor");
            // it is full when the executor ends already
            let _ = self.stop.try_send(());
        }
        Ok(Response::new(StopExecutorResult {}))
    }

    async fn cancel_tasks(
        &self,
        request: Request<CancelTasksParams>,
    ) -> Result<Response<CancelTasksResult>, Status> {
        let mut cancelled = true;
        for task in request.into_inner().task_infos {
            let done =
                self.executor.cancel_task(task.job_id.into(), task.stage_id as usize, task.task_id as usize);
            cancelled &= done.await.is_ok();
        }
        Ok(Response::new(CancelTasksResult { cancelled }))
    }

    async fn remove_job_data(
        &self,
        request: Request<RemoveJobDataParams>,
    ) -> Result<Response<RemoveJobDataResult>, Status> {
        let request = request.into_inner();
        let folder =
            self.job_folder(&request.job_id).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let stages = request.remove_stage_ids.iter().map(|stage| folder.join(stage.to_string()));
        let folders =
            if request.remove_stage_ids.is_empty() { vec![folder.clone()] } else { stages.collect() };
        for folder in folders {
            match tokio::fs::remove_dir_all(&folder).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Status::internal(format!("cannot remove {}: {error}", folder.display())));
                }
                _ => {}
            }
        }
        Ok(Response::new(RemoveJobDataResult {}))
    }
}

/// Refuses a name of a job that is no plain name: rows are shuffled through a folder of that name.
fn check_job(job: &str) -> Result<(), BallistaError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !job.is_empty() && job.chars().all(plain) {
        return Ok(());
    }
    Err(BallistaError::General(format!("`{job}` is no name of a job")))
}

/// Refuses a plan that reads shuffled rows of a job whose name is a path.
fn check_shuffles(plan: &Arc<dyn ExecutionPlan>) -> Result<(), BallistaError> {
    let mut jobs = Ok(());
    plan.apply(|node| {
        let places =
            match (node.downcast_ref::<ShuffleReaderExec>(), node.downcast_ref::<RangeShuffleReaderExec>()) {
                (Some(reader), _) => reader.partition.as_slice(),
                (_, Some(reader)) => reader.partition.as_slice(),
                _ => &[],
            };
        jobs = places.iter().flatten().try_for_each(|place| check_job(place.partition_id.job_id.as_str()));
        Ok(if jobs.is_ok() { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    jobs
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_no_paths() {
        for good in ["xK3pQ9a", "0192-job_7"] {
            assert!(check_job(good).is_ok(), "{good}");
        }
        for bad in ["", "..", "/etc", "a/b", "../../home", "a\0b", "."] {
            assert!(check_job(bad).is_err(), "{bad}");
        }
    }
}
