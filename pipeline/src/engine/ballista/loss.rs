//! A job is run by the executors it began with, or it fails: Ballista 55 runs the tasks of a lost executor again inside
//! the job, but keeps what they had reported before, so that rows come twice or the job never ends. The driver runs a
//! failed job again from its beginning, under new file names.

use std::collections::HashMap;

use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpc;
use ballista_core::serde::protobuf::{
    CancelJobParams, CancelJobResult, CleanJobDataParams, CleanJobDataResult, CreateUpdateSessionParams,
    CreateUpdateSessionResult, ExecuteQueryParams, ExecuteQueryResult, ExecutorStoppedParams,
    ExecutorStoppedResult, FailedJob, GetJobMetricsParams, GetJobMetricsResult, GetJobStatusParams,
    GetJobStatusResult, HeartBeatParams, HeartBeatResult, JobStatus, PollWorkParams, PollWorkResult,
    RegisterExecutorParams, RegisterExecutorResult, RemoveSessionParams, RemoveSessionResult,
    UpdateTaskStatusParams, UpdateTaskStatusResult, execute_query_result, job_status,
};
use ballista_scheduler::cluster::{ClusterStateEvent, ClusterStateEventStream};
use futures::{FutureExt, StreamExt};
use tokio::sync::Mutex;
use tonic::{Request, Response, Status};

/// What a job's failure says when an executor was lost on the way.
pub const LOST: &str = "an executor was lost while the job ran";

type Answer<T> = Result<Response<T>, Status>;

/// A scheduler's service under which a job fails with [`LOST`] when an executor leaves before the job's end was told.
pub struct FailOnLoss<S> {
    scheduler: S,
    seen: Mutex<Seen>,
}

struct Seen {
    events: ClusterStateEventStream,
    /// Executors that have left.
    losses: u64,
    /// Losses when a job was submitted.
    jobs: HashMap<String, u64>,
}

impl Seen {
    /// Losses up to now. An executor's removal is told before its tasks are given to others, so whoever counts after
    /// having seen a job's end has counted every loss that the job has met.
    fn losses(&mut self) -> u64 {
        while let Some(Some(event)) = self.events.next().now_or_never() {
            if matches!(event, ClusterStateEvent::RemovedExecutor { .. }) {
                self.losses += 1;
            }
        }
        self.losses
    }
}

impl<S> FailOnLoss<S> {
    /// Wraps a scheduler, whose cluster tells of executors by `events`.
    pub fn new(scheduler: S, events: ClusterStateEventStream) -> FailOnLoss<S> {
        FailOnLoss { scheduler, seen: Mutex::new(Seen { events, losses: 0, jobs: HashMap::new() }) }
    }
}

#[tonic::async_trait]
impl<S: SchedulerGrpc> SchedulerGrpc for FailOnLoss<S> {
    type ExecuteQueryPushStream = S::ExecuteQueryPushStream;

    async fn execute_query(&self, request: Request<ExecuteQueryParams>) -> Answer<ExecuteQueryResult> {
        let before = self.seen.lock().await.losses();
        let answer = self.scheduler.execute_query(request).await?;
        if let Some(execute_query_result::Result::Success(job)) = &answer.get_ref().result {
            self.seen.lock().await.jobs.insert(job.job_id.clone(), before);
        }
        Ok(answer)
    }

    async fn get_job_status(&self, request: Request<GetJobStatusParams>) -> Answer<GetJobStatusResult> {
        let job_id = request.get_ref().job_id.clone();
        let mut answer = self.scheduler.get_job_status(request).await?;
        let is_lost = {
            let mut seen = self.seen.lock().await;
            let now = seen.losses();
            seen.jobs.get(&job_id).is_some_and(|before| *before < now)
        };
        let Some(JobStatus { status: Some(status), .. }) = &mut answer.get_mut().status else {
            return Ok(answer);
        };
        if is_lost && !matches!(status, job_status::Status::Failed(_)) {
            if !matches!(status, job_status::Status::Successful(_)) {
                self.scheduler.cancel_job(Request::new(CancelJobParams { job_id })).await?;
            }
            *status = job_status::Status::Failed(FailedJob { error: LOST.to_owned(), ..FailedJob::default() });
        }
        Ok(answer)
    }

    async fn cancel_job(&self, request: Request<CancelJobParams>) -> Answer<CancelJobResult> {
        self.seen.lock().await.jobs.remove(&request.get_ref().job_id);
        self.scheduler.cancel_job(request).await
    }

    async fn clean_job_data(&self, request: Request<CleanJobDataParams>) -> Answer<CleanJobDataResult> {
        self.seen.lock().await.jobs.remove(&request.get_ref().job_id);
        self.scheduler.clean_job_data(request).await
    }

    async fn execute_query_push(
        &self,
        _: Request<ExecuteQueryParams>,
    ) -> Answer<Self::ExecuteQueryPushStream> {
        Err(Status::unimplemented("ask for the job's status: a pushed one would not tell of lost executors"))
    }

    async fn poll_work(&self, request: Request<PollWorkParams>) -> Answer<PollWorkResult> {
        self.scheduler.poll_work(request).await
    }

    async fn register_executor(
        &self,
        request: Request<RegisterExecutorParams>,
    ) -> Answer<RegisterExecutorResult> {
        self.scheduler.register_executor(request).await
    }

    async fn heart_beat_from_executor(&self, request: Request<HeartBeatParams>) -> Answer<HeartBeatResult> {
        self.scheduler.heart_beat_from_executor(request).await
    }

    async fn update_task_status(
        &self,
        request: Request<UpdateTaskStatusParams>,
    ) -> Answer<UpdateTaskStatusResult> {
        self.scheduler.update_task_status(request).await
    }

    async fn create_update_session(
        &self,
        request: Request<CreateUpdateSessionParams>,
    ) -> Answer<CreateUpdateSessionResult> {
        self.scheduler.create_update_session(request).await
    }

    async fn remove_session(&self, request: Request<RemoveSessionParams>) -> Answer<RemoveSessionResult> {
        self.scheduler.remove_session(request).await
    }

    async fn get_job_metrics(&self, request: Request<GetJobMetricsParams>) -> Answer<GetJobMetricsResult> {
        self.scheduler.get_job_metrics(request).await
    }

    async fn executor_stopped(
        &self,
        request: Request<ExecutorStoppedParams>,
    ) -> Answer<ExecutorStoppedResult> {
        self.scheduler.executor_stopped(request).await
    }
}
