//! The processes of a cluster: a scheduler and its executors, with our functions, stores and plan nodes inside.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::extension::SessionConfigExt;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::{create_scheduler, start_grpc_service};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::SessionConfig;

use super::loss::{CancelOnLoss, Scheduler};
use super::{MESSAGE_BYTES, NodeCodec};
use crate::engine::session::{POOL_SHARE, planning_state, spilling, state_for};
use crate::lake::{Stores, name_writer};
use crate::{Context, Error, Result};

/// How often an executor says that it lives, and after what silence it is taken for dead, in seconds.
const HEARTBEAT: u64 = 2;
const DEAD_AFTER: u64 = 15;

/// How long an executor waits for its scheduler to start.
const AWAIT_SCHEDULER: Duration = Duration::from_secs(15);

/// Where a scheduler listens.
#[derive(Debug, Clone)]
pub struct SchedulerOptions {
    /// Address to listen at, also told to executors unless `advertise` is given.
    pub bind: String,
    pub advertise: Option<String>,
    pub port: u16,
}

/// An executor of a cluster.
#[derive(Debug, Clone)]
pub struct ExecutorOptions {
    /// `host:port` of the scheduler.
    pub scheduler: String,
    /// Address to listen at, also told to the others unless `advertise` is given.
    pub bind: String,
    pub advertise: Option<String>,
    /// Port of the service that hands out shuffled rows.
    pub port: u16,
    /// Port at which tasks arrive; 0 for the one after `port`.
    pub task_port: u16,
    /// Resident memory to stay within, in bytes.
    pub memory_bytes: usize,
    /// Tasks that run at the same time.
    pub vcores: usize,
    /// Folder for shuffled and spilled rows.
    pub work_dir: Option<PathBuf>,
}

/// Runs a scheduler until the process is told to end.
pub async fn run_scheduler(options: &SchedulerOptions) -> Result<()> {
    let address: SocketAddr = format!("{}:{}", options.bind, options.port)
        .parse()
        .map_err(|error| Error::Usage(format!("--bind {}: {error}; write an IP address", options.bind)))?;
    let message_bytes = MESSAGE_BYTES as u32;
    let config = SchedulerConfig {
        bind_host: options.bind.clone(),
        bind_port: options.port,
        external_host: options.advertise.clone().unwrap_or_else(|| options.bind.clone()),
        scheduling_policy: TaskSchedulingPolicy::PushStaged,
        grpc_server_max_decoding_message_size: message_bytes,
        grpc_server_max_encoding_message_size: message_bytes,
        grpc_client_max_message_size: message_bytes,
        // a job whose task fails is a job that fails, see `CancelOnLoss`
        task_max_failures: 1,
        stage_max_failures: 1,
        executor_timeout_seconds: DEAD_AFTER,
        expire_dead_executor_interval_seconds: HEARTBEAT,
        no_executors_grace_period_seconds: DEAD_AFTER,
        override_config_producer: Some(Arc::new(base_config)),
        override_session_builder: Some(Arc::new(|config| {
            state_for(config).map_err(|error| datafusion::error::DataFusionError::External(error.into()))
        })),
        override_physical_codec: Some(Arc::new(NodeCodec::default())),
        ..SchedulerConfig::default()
    };
    let doing = format!("cannot run a scheduler at {address}");
    let cluster = BallistaCluster::new_from_config(&config).await.context(&doing)?;
    let executors = Arc::new(CancelOnLoss::new(&cluster));
    let cluster = BallistaCluster::new(executors.clone(), cluster.job_state());
    let scheduler: Scheduler = create_scheduler(cluster, Arc::new(config)).await.context(&doing)?;
    executors.belongs_to(&scheduler);
    tokio::select! {
        ended = start_grpc_service(address, scheduler) => ended.context(doing),
        _ = told_to_end() => Ok(()),
    }
}

/// Runs an executor until the process is told to end.
pub async fn run_executor(options: &ExecutorOptions) -> Result<()> {
    let (scheduler_host, scheduler_port) = options
        .scheduler
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)))
        .ok_or_else(|| Error::Usage(format!("--scheduler {}: write HOST:PORT", options.scheduler)))?;
    await_scheduler(&options.scheduler).await?;
    let work_dir = match &options.work_dir {
        Some(folder) => folder.clone(),
        None => tempfile::tempdir().context("cannot make a folder for shuffled rows")?.keep(),
    };
    let work =
        work_dir.to_str().ok_or_else(|| Error::Usage("--work-dir is not UTF-8".to_owned()))?.to_owned();
    let executor_id = uuid::Uuid::new_v4().to_string();
    name_writer(&executor_id);
    let spill = work_dir.clone();
    let config = ExecutorProcessConfig {
        executor_id,
        bind_host: options.bind.clone(),
        external_host: Some(options.advertise.clone().unwrap_or_else(|| options.bind.clone())),
        port: options.port,
        grpc_port: if options.task_port == 0 { options.port + 1 } else { options.task_port },
        scheduler_host,
        scheduler_port,
        vcores: options.vcores,
        task_scheduling_policy: TaskSchedulingPolicy::PushStaged,
        work_dir: Some(work),
        grpc_max_decoding_message_size: MESSAGE_BYTES as u32,
        grpc_max_encoding_message_size: MESSAGE_BYTES as u32,
        executor_heartbeat_interval_seconds: HEARTBEAT,
        memory_pool_size: Some((options.memory_bytes as f64 * POOL_SHARE) as u64),
        override_function_registry: Some(Arc::new(BallistaFunctionRegistry::from(&planning_state()?))),
        override_runtime_producer: Some(Arc::new(move |_| {
            RuntimeEnvBuilder::new()
                .with_disk_manager_builder(spilling(Some(spill.clone())))
                .with_object_store_registry(Arc::new(Stores::default()))
                .with_object_list_cache_limit(0)
                .build_arc()
        })),
        override_config_producer: Some(Arc::new(base_config)),
        override_physical_codec: Some(Arc::new(NodeCodec::default())),
        ..ExecutorProcessConfig::default()
    };
    let ended = start_executor_process(Arc::new(config)).await;
    if options.work_dir.is_none() {
        let _ = std::fs::remove_dir_all(&work_dir);
    }
    ended.map_err(|error| {
        Error::EngineLost(format!(
            "the executor for the scheduler at {} ended: {error}\nhelp: is `strata scheduler` running there?",
            options.scheduler
        ))
    })
}

/// Waits until someone listens at the scheduler's address: executors may be started first.
async fn await_scheduler(address: &str) -> Result<()> {
    let began = Instant::now();
    loop {
        match tokio::net::TcpStream::connect(address).await {
            Ok(_) => return Ok(()),
            Err(error) if began.elapsed() > AWAIT_SCHEDULER => {
                return Err(Error::EngineLost(format!(
                    "no scheduler answers at {address}: {error}\nhelp: start `strata scheduler` there"
                )));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// What sessions begin with; the driver's settings come on top.
fn base_config() -> SessionConfig {
    SessionConfig::new_with_ballista().with_ballista_grpc_client_max_message_size(MESSAGE_BYTES)
}

async fn told_to_end() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
