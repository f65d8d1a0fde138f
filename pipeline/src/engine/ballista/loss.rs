//! A job is run by the executors it began with, or not at all: Ballista 55 runs the tasks of a lost executor again inside
//! the job, but keeps what they had reported before, so that rows come twice, and forgets to give back the cores of tasks
//! that it cancels, so that jobs wait for ever. So all jobs are cancelled before it hears of the loss, and the driver runs
//! its job again from the beginning, under new file names.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use ballista_core::JobId;
use ballista_core::error::Result;
use ballista_core::serde::protobuf::{ExecutorHeartbeat, job_status};
use ballista_core::serde::scheduler::{ExecutorData, ExecutorMetadata};
use ballista_scheduler::cluster::{
    BallistaCluster, BoundTask, ClusterState, ClusterStateEventStream, ExecutorSlot, JobState,
};
use ballista_scheduler::config::TaskDistributionPolicy;
use ballista_scheduler::scheduler_server::SchedulerServer;
use ballista_scheduler::state::task_manager::JobInfoCache;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};

pub type Scheduler = SchedulerServer<LogicalPlanNode, PhysicalPlanNode>;

/// What a job's failure says after [`CancelOnLoss`].
pub const CANCELLED: &str = "Cancelled";

/// The state of a cluster's executors under which their loss cancels all jobs.
pub struct CancelOnLoss {
    executors: Arc<dyn ClusterState>,
    jobs: Arc<dyn JobState>,
    /// Set as soon as the scheduler is there; no executor can be lost before.
    scheduler: OnceLock<Scheduler>,
}

impl CancelOnLoss {
    /// Wraps the state of a cluster.
    pub fn new(cluster: &BallistaCluster) -> CancelOnLoss {
        CancelOnLoss {
            executors: cluster.cluster_state(),
            jobs: cluster.job_state(),
            scheduler: OnceLock::new(),
        }
    }

    /// Tells which scheduler's jobs are to be cancelled.
    pub fn belongs_to(&self, scheduler: &Scheduler) {
        let _ = self.scheduler.set(scheduler.clone());
    }

    async fn cancel_jobs(&self) -> Result<()> {
        let Some(scheduler) = self.scheduler.get() else { return Ok(()) };
        for job in self.jobs.get_all_jobs().await? {
            let status = self.jobs.get_job_status(&job).await?.and_then(|job| job.status);
            if matches!(status, Some(job_status::Status::Running(_))) {
                tracing::warn!(job = %job, "cancelled: an executor was lost while it ran");
                scheduler.cancel_job(job).await?;
            }
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl ClusterState for CancelOnLoss {
    /// Called before the scheduler is told of the loss: events are handled in turn, so jobs are gone by then.
    async fn remove_executor(&self, executor_id: &str) -> Result<()> {
        self.cancel_jobs().await?;
        self.executors.remove_executor(executor_id).await
    }

    async fn init(&self) -> Result<()> {
        self.executors.init().await
    }

    async fn bind_schedulable_tasks(
        &self,
        distribution: TaskDistributionPolicy,
        active_jobs: Arc<HashMap<JobId, JobInfoCache>>,
        executors: Option<HashSet<String>>,
    ) -> Result<Vec<BoundTask>> {
        self.executors.bind_schedulable_tasks(distribution, active_jobs, executors).await
    }

    async fn unbind_tasks(&self, executor_slots: Vec<ExecutorSlot>) -> Result<()> {
        self.executors.unbind_tasks(executor_slots).await
    }

    async fn register_executor(&self, metadata: ExecutorMetadata, spec: ExecutorData) -> Result<()> {
        self.executors.register_executor(metadata, spec).await
    }

    async fn save_executor_metadata(&self, metadata: ExecutorMetadata) -> Result<()> {
        self.executors.save_executor_metadata(metadata).await
    }

    async fn get_executor_metadata(&self, executor_id: &str) -> Result<ExecutorMetadata> {
        self.executors.get_executor_metadata(executor_id).await
    }

    async fn registered_executor_metadata(&self) -> Vec<ExecutorMetadata> {
        self.executors.registered_executor_metadata().await
    }

    async fn save_executor_heartbeat(&self, heartbeat: ExecutorHeartbeat) -> Result<()> {
        self.executors.save_executor_heartbeat(heartbeat).await
    }

    fn executor_heartbeats(&self) -> HashMap<String, ExecutorHeartbeat> {
        self.executors.executor_heartbeats()
    }

    fn get_executor_heartbeat(&self, executor_id: &str) -> Option<ExecutorHeartbeat> {
        self.executors.get_executor_heartbeat(executor_id)
    }

    async fn cluster_state_events(&self) -> Result<ClusterStateEventStream> {
        self.executors.cluster_state_events().await
    }
}
