//! The driver's side: submits a plan as one job, waits for it, and fetches the rows of its last stage.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::record_batch::RecordBatch;
use ballista_core::client::BallistaClient;
use ballista_core::config::BallistaConfig;
use ballista_core::extension::SessionConfigHelperExt;
use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    CancelJobParams, CleanJobDataParams, ExecuteQueryParams, GetJobStatusParams, PartitionLocation,
    execute_query_result, job_status,
};
use ballista_core::utils::{GrpcClientConfig, create_grpc_client_endpoint};
use ballista_core::version::insert_version_header;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use futures::{StreamExt, TryStreamExt};
use tokio::time::timeout;
use tonic::transport::Channel;

use super::loss::CANCELLED;
use super::secret::{ClusterSecret, proving_endpoint, refused};
use super::{MESSAGE_BYTES, NodeCodec};
use crate::{Context, Error, Result};

/// Pause between two looks at a job: it doubles from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(100);

/// How long the scheduler, or an executor that holds rows, may be silent.
const SILENCE: Duration = Duration::from_secs(20);

/// How often a job is run that is lost with an executor: it may be met once by those that fetch from it, and once when
/// it is given a task.
const ATTEMPTS: u32 = 6;

/// What is said of a job that the scheduler cancelled, which it does when an executor is lost.
const LOST: &str = "an executor was lost while it ran";

/// Partitions of a result that are fetched at the same time.
const FETCHES_AT_ONCE: usize = 8;

type Scheduler = SchedulerGrpcClient<Channel>;

/// A Ballista cluster, by the address of its scheduler.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// `host:port`.
    address: String,
    /// Session of the jobs of this driver.
    session: String,
    job_timeout: Duration,
    secret: Option<ClusterSecret>,
}

/// A job of which the scheduler knows; cancelled when it is dropped before it has ended.
struct Job {
    id: String,
    scheduler: Scheduler,
    ended: bool,
}

impl Drop for Job {
    fn drop(&mut self) {
        let (id, mut scheduler, ended) = (self.id.clone(), self.scheduler.clone(), self.ended);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let done = match ended {
                true => scheduler
                    .clean_job_data(CleanJobDataParams { job_id: id.clone(), remove_stage_ids: Vec::new() })
                    .await
                    .map(drop),
                false => scheduler.cancel_job(CancelJobParams { job_id: id.clone() }).await.map(drop),
            };
            if let Err(error) = done {
                tracing::warn!(job = id, %error, "the job could not be cleaned up");
            }
        });
    }
}

impl Cluster {
    /// A cluster whose scheduler listens at `address`, `host:port`. Nothing is sent yet.
    pub(in crate::engine) fn new(
        address: &str,
        job_timeout: Duration,
        secret: Option<ClusterSecret>,
    ) -> Cluster {
        Cluster {
            address: address.to_owned(),
            session: uuid::Uuid::new_v4().to_string(),
            job_timeout,
            secret,
        }
    }

    /// Whether the scheduler answers.
    ///
    /// # Errors
    /// [`Error::EngineLost`] when it does not; [`Error::Usage`] when it has another secret.
    pub(in crate::engine) async fn check(&self) -> Result<()> {
        let mut scheduler = self.connect().await?;
        let asked = scheduler.get_job_status(GetJobStatusParams { job_id: "none".to_owned() }).await;
        match asked {
            Err(status) if status.code() == tonic::Code::Unavailable => Err(self.lost(&status.message())),
            Err(status) if status.code() == tonic::Code::Unauthenticated => Err(self.refused(&status)),
            _ => Ok(()),
        }
    }

    /// Runs `plan` as one job and returns its rows. A job that was lost with an executor, which may hold the last rows of
    /// a job that has ended, is run again.
    ///
    /// # Errors
    /// [`Error::EngineLost`] when the scheduler does not answer any more; [`Error::Other`] with what the executors
    /// said when the job fails.
    pub(in crate::engine) async fn run(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &SessionConfig,
    ) -> Result<Vec<RecordBatch>> {
        let mut attempt = 1;
        loop {
            match self.run_once(plan.clone(), config).await {
                Err(Failure::Lost(error)) if attempt < ATTEMPTS => {
                    tracing::warn!("a job was lost with an executor and is run again: {error}");
                    tokio::time::sleep(LAST_PAUSE * attempt).await;
                    attempt += 1;
                }
                Err(Failure::Lost(error) | Failure::Other(error)) => return Err(error),
                Ok(rows) => return Ok(rows),
            }
        }
    }

    async fn run_once(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &SessionConfig,
    ) -> std::result::Result<Vec<RecordBatch>, Failure> {
        let mut scheduler = self.connect().await?;
        let mut bytes = Vec::new();
        PhysicalPlanNode::try_from_physical_plan(plan, &NodeCodec::default())
            .and_then(|plan| plan.try_encode(&mut bytes))
            .context("the plan cannot be sent")?;
        if bytes.len() > MESSAGE_BYTES {
            let mib = bytes.len() >> 20;
            return Err(
                Error::other(format!("the plan takes {mib} MiB, more than a message may hold")).into()
            );
        }
        let query = ExecuteQueryParams {
            session_id: self.session.clone(),
            settings: config.to_key_value_pairs(),
            operation_id: uuid::Uuid::now_v7().to_string(),
            query: Some(Query::PhysicalPlan(bytes)),
        };
        let mut request = tonic::Request::new(query);
        insert_version_header(request.metadata_mut());
        let answer = scheduler.execute_query(request).await.map_err(|status| self.refused(&status))?;
        let id = match answer.into_inner().result {
            Some(execute_query_result::Result::Success(success)) => success.job_id,
            other => return Err(Error::other(format!("the scheduler refused the plan: {other:?}")).into()),
        };
        let mut job = Job { id, scheduler, ended: false };
        let places = self.wait(&mut job).await?;
        let config = GrpcClientConfig::from(&BallistaConfig::default());
        let fetched = futures::stream::iter(places).map(|place| self.fetch(place, &config));
        let rows: Result<Vec<Vec<RecordBatch>>> = fetched.buffered(FETCHES_AT_ONCE).try_collect().await;
        let rows = rows.map_err(Failure::Lost)?;
        job.ended = true;
        Ok(rows.into_iter().flatten().collect())
    }

    async fn connect(&self) -> Result<Scheduler> {
        let mut settings = GrpcClientConfig::from(&BallistaConfig::default());
        settings.connect_timeout_seconds = SILENCE.as_secs();
        settings.timeout_seconds = SILENCE.as_secs();
        let endpoint = create_grpc_client_endpoint(format!("http://{}", self.address), Some(&settings));
        let endpoint = endpoint.map_err(|error| {
            Error::Usage(format!("--engine ballista://{}: {error}; write ballista://HOST:PORT", self.address))
        })?;
        let endpoint = proving_endpoint(self.secret.as_ref()).configure_endpoint(endpoint);
        let endpoint = endpoint.map_err(|error| Error::other(error.to_string()))?;
        let channel = endpoint.connect().await.map_err(|error| self.lost(&error))?;
        Ok(SchedulerGrpcClient::new(channel)
            .max_encoding_message_size(MESSAGE_BYTES)
            .max_decoding_message_size(MESSAGE_BYTES))
    }

    /// Waits until the job has ended well; where its rows lie.
    async fn wait(&self, job: &mut Job) -> std::result::Result<Vec<PartitionLocation>, Failure> {
        let began = Instant::now();
        let mut answered = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match job.scheduler.get_job_status(GetJobStatusParams { job_id: job.id.clone() }).await {
                Ok(answer) => {
                    answered = Instant::now();
                    match answer.into_inner().status.and_then(|status| status.status) {
                        Some(job_status::Status::Successful(done)) => return Ok(done.partition_location),
                        Some(job_status::Status::Failed(failed)) => {
                            job.ended = true;
                            return Err(Failure::of_job(&job.id, &failed.error));
                        }
                        _ => {}
                    }
                }
                Err(status) if answered.elapsed() > SILENCE => {
                    return Err(self.lost(&status.message()).into());
                }
                Err(_) => {}
            }
            if began.elapsed() > self.job_timeout {
                let seconds = self.job_timeout.as_secs();
                return Err(Error::EngineLost(format!(
                    "job {} was cancelled after {seconds} s\nhelp: raise --job-timeout, or give the cluster more \
                     executors",
                    job.id
                ))
                .into());
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// The rows of one partition, from the executor that holds it.
    async fn fetch(&self, place: PartitionLocation, config: &GrpcClientConfig) -> Result<Vec<RecordBatch>> {
        let layout = place.layout();
        let (Some(executor), Some(partition)) = (place.executor_meta, place.partition_id) else {
            return Err(Error::other("the scheduler does not say where a result lies"));
        };
        let doing = || format!("fetching a result from executor {} at {}", executor.id, executor.host);
        let port = u16::try_from(executor.port).context(doing())?;
        let open = async {
            let client = BallistaClient::try_new(
                &executor.host,
                port,
                MESSAGE_BYTES,
                false,
                Some(proving_endpoint(self.secret.as_ref())),
                config.io_retries_times,
                config.io_retry_wait_time_ms,
                0,
                0,
            );
            let partition = partition.into();
            client.await?.fetch_partition(&executor.id, &partition, place.file_id, layout, true).await
        };
        let mut rows = timeout(SILENCE, open).await.context(doing())?.context(doing())?;
        let mut batches = Vec::new();
        while let Some(batch) = timeout(SILENCE, rows.next()).await.context(doing())? {
            batches.push(batch.context(doing())?);
        }
        Ok(batches)
    }

    fn lost(&self, why: &dyn std::fmt::Display) -> Error {
        Error::EngineLost(format!(
            "the scheduler at {} does not answer: {why}\nhelp: start one with `strata scheduler`, and name it by --engine \
             ballista://HOST:PORT",
            self.address
        ))
    }

    fn refused(&self, status: &tonic::Status) -> Error {
        match status.code() {
            tonic::Code::Unavailable | tonic::Code::DeadlineExceeded => self.lost(&status.message()),
            tonic::Code::Unauthenticated => {
                refused(&format!("the scheduler at {}", self.address), status.message())
            }
            _ => {
                Error::other(format!("the scheduler at {} refused a job: {}", self.address, status.message()))
            }
        }
    }
}

/// Why a job gave no rows.
enum Failure {
    /// An executor went away: the job may be run again.
    Lost(Error),
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Other(error)
    }
}

impl Failure {
    /// What the scheduler says of a failed job.
    fn of_job(id: &str, said: &str) -> Failure {
        let signs =
            ["tcp connect error", "Connection refused", "broken pipe", "times, most recent failure reason"];
        let said = if said == CANCELLED { LOST } else { said };
        let error = Error::other(format!("job {id}: {said}"));
        match said == LOST || signs.iter().any(|sign| said.contains(sign)) {
            true => Failure::Lost(error),
            false => Failure::Other(error),
        }
    }
}
