//! An executor: the process that runs tasks and hands out the rows that they shuffled.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_flight::flight_service_server::FlightServiceServer;
use ballista_core::extension::SessionConfigExt;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::serde::protobuf::executor_grpc_server::ExecutorGrpcServer;
use ballista_core::serde::protobuf::executor_status::Status as State;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    ExecutorRegistration, ExecutorStatus, ExecutorStoppedParams, HeartBeatParams, RegisterExecutorParams,
};
use ballista_core::serde::{BallistaCodec, BallistaLogicalExtensionCodec};
use ballista_core::utils::{
    GrpcClientConfig, GrpcServerConfig, create_grpc_client_endpoint, create_grpc_server,
    create_grpc_server_incoming,
};
use ballista_core::{ConfigProducer, RuntimeProducer};
use ballista_executor::execution_engine::{DefaultExecutionEngine, ExecutionEngine};
use ballista_executor::executor::{Executor, TasksDrainedFuture};
use ballista_executor::executor_process::{ExecutorProcessConfig, structure_executor_metadata};
use ballista_executor::flight_service::BallistaFlightService;
use ballista_executor::metrics::LoggingMetricsCollector;
use ballista_executor::runtime_cache::{DefaultSessionRuntimeCache, MemoryPoolPolicy};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use tokio::sync::mpsc;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::connections::Connections;
use super::secret::{ClusterSecret, Gate, check_bind, proving, proving_endpoint, refused};
use super::server::{HEARTBEAT, base_config, told_to_end};
use super::tasks::Tasks;
use super::{MESSAGE_BYTES, NodeCodec};
use crate::engine::session::{POOL_SHARE, planning_state, spilling};
use crate::lake::{Lake, LakeStores, name_writer};
use crate::{Context, Error, Result};

/// How long an executor waits for its scheduler to start.
const AWAIT_SCHEDULER: Duration = Duration::from_secs(15);

/// An executor ends when so many heartbeats in a row are not heard.
const DEAF_AFTER: u32 = 5;

/// Sessions whose stores and footers are kept.
const SESSIONS: usize = 16;

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
    /// The lakes whose files tasks may read and write, and no others.
    pub lakes: Vec<Lake>,
    /// The secret of the cluster; without one the executor listens on this machine only.
    pub secret: Option<ClusterSecret>,
}

/// Runs an executor until the process is told to end.
///
/// # Errors
/// [`Error::Usage`] for an address beyond this machine without a secret, or when the scheduler has another secret;
/// [`Error::EngineLost`] when the scheduler does not answer.
pub async fn run_executor(options: &ExecutorOptions) -> Result<()> {
    let address = check_bind(&options.bind, options.secret.as_ref())?;
    if options.scheduler.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
        return Err(Error::Usage(format!("--scheduler {}: write HOST:PORT", options.scheduler)));
    }
    await_scheduler(&options.scheduler).await?;
    let work_dir = match &options.work_dir {
        Some(folder) => folder.clone(),
        None => tempfile::tempdir().context("cannot make a folder for shuffled rows")?.keep(),
    };
    let ended = serve(options, address, &work_dir).await;
    if options.work_dir.is_none() {
        let _ = std::fs::remove_dir_all(&work_dir);
    }
    ended
}

/// Registers with the scheduler and serves both ports.
async fn serve(options: &ExecutorOptions, address: IpAddr, work_dir: &Path) -> Result<()> {
    let task_port = if options.task_port == 0 { options.port + 1 } else { options.task_port };
    let executor = Arc::new(executor(options, task_port, work_dir)?);
    let mut scheduler = connect(options).await?;
    let config = GrpcServerConfig::default();
    let listen = |port: u16| {
        let address = SocketAddr::new(address, port);
        create_grpc_server_incoming(address, &config).context(format!("cannot listen at {address}"))
    };
    // both listen before the scheduler is told of them
    let (task_port, row_port) = (listen(task_port)?, listen(options.port)?);
    // threads of their own, so that calls are answered while tasks compute
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(options.vcores)
        .thread_name("tasks")
        .enable_all()
        .build()
        .context("cannot start threads for tasks")?;
    let (stop, mut stopped) = mpsc::channel(1);
    let tasks = Tasks {
        executor: executor.clone(),
        engine: engine(),
        codec: BallistaCodec::new(
            Arc::new(BallistaLogicalExtensionCodec::default()),
            Arc::new(NodeCodec::default()),
        ),
        scheduler: scheduler.clone(),
        threads: threads.handle().clone(),
        stop,
    };
    let tasks = ExecutorGrpcServer::new(tasks)
        .max_encoding_message_size(MESSAGE_BYTES)
        .max_decoding_message_size(MESSAGE_BYTES);
    let rows = FlightServiceServer::new(BallistaFlightService::new(executor.work_dir.clone()))
        .max_encoding_message_size(MESSAGE_BYTES)
        .max_decoding_message_size(MESSAGE_BYTES);
    let gate = Gate::new(options.secret.as_ref());
    let tasks = create_grpc_server(&config)
        .add_service(InterceptedService::new(tasks, gate.clone()))
        .serve_with_incoming(task_port);
    let rows = create_grpc_server(&config)
        .add_service(InterceptedService::new(rows, gate))
        .serve_with_incoming(row_port);
    let (mut tasks, mut rows) = (tokio::spawn(tasks), tokio::spawn(rows));
    let me = executor.metadata.clone();
    let registered = scheduler.register_executor(RegisterExecutorParams { metadata: Some(me.clone()) }).await;
    let ended = match registered {
        Err(status) => Err(lost(options, &status)),
        Ok(_) => tokio::select! {
            _ = told_to_end() => Ok(true),
            _ = stopped.recv() => Ok(false),
            status = deaf(scheduler.clone(), &me) => Err(lost(options, &status)),
            _ = &mut tasks => Err(Error::other("the port for tasks was closed")),
            _ = &mut rows => Err(Error::other("the port for shuffled rows was closed")),
        },
    };
    if matches!(ended, Ok(true)) {
        say_goodbye(&mut scheduler, &me).await;
        TasksDrainedFuture(executor).await;
    }
    tasks.abort();
    rows.abort();
    threads.shutdown_background();
    ended.map(drop)
}

/// What runs tasks: Ballista's executor with our functions, stores and settings.
fn executor(options: &ExecutorOptions, task_port: u16, work_dir: &Path) -> Result<Executor> {
    let work =
        work_dir.to_str().ok_or_else(|| Error::Usage("--work-dir is not UTF-8".to_owned()))?.to_owned();
    let id = uuid::Uuid::new_v4().to_string();
    name_writer(&id);
    let me = ExecutorProcessConfig {
        executor_id: id,
        external_host: Some(options.advertise.clone().unwrap_or_else(|| options.bind.clone())),
        port: options.port,
        grpc_port: task_port,
        ..ExecutorProcessConfig::default()
    };
    let me = structure_executor_metadata(&Arc::new(me), options.vcores as u32);
    let (lakes, spill) = (options.lakes.clone(), work_dir.to_path_buf());
    let runtime: RuntimeProducer = Arc::new(move |_| {
        RuntimeEnvBuilder::new()
            .with_disk_manager_builder(spilling(Some(spill.clone())))
            .with_object_store_registry(Arc::new(LakeStores::of(&lakes)))
            .with_object_list_cache_limit(0)
            .build_arc()
    });
    let secret = options.secret.clone();
    let config: ConfigProducer = Arc::new(move || {
        base_config().with_ballista_override_create_grpc_client_endpoint(proving(secret.as_ref()))
    });
    let memory_bytes = (options.memory_bytes as f64 * POOL_SHARE) as usize / options.vcores.max(1);
    // a task has the memory of the cores that it takes
    let memory: MemoryPoolPolicy = Arc::new(move |base, _, vcores| {
        let pool = FairSpillPool::new(memory_bytes.saturating_mul(vcores.max(1) as usize));
        RuntimeEnvBuilder::from_runtime_env(&base).with_memory_pool(Arc::new(pool)).build_arc()
    });
    let functions = Arc::new(BallistaFunctionRegistry::from(&planning_state()?));
    let metrics = Arc::new(LoggingMetricsCollector::default());
    let of_session = DefaultSessionRuntimeCache::new(runtime.clone(), memory, SESSIONS);
    let executor = Executor::new(me, &work, runtime, config, functions, metrics, options.vcores, engine());
    Ok(executor.with_session_runtime_cache(Some(Arc::new(of_session))))
}

fn engine() -> Arc<dyn ExecutionEngine> {
    Arc::new(DefaultExecutionEngine::with_client_pool(Arc::new(Connections::default())))
}

async fn connect(options: &ExecutorOptions) -> Result<SchedulerGrpcClient<Channel>> {
    let config = GrpcClientConfig::from(&base_config().ballista_config());
    let endpoint = create_grpc_client_endpoint(format!("http://{}", options.scheduler), Some(&config));
    let endpoint = endpoint.map_err(|error| {
        Error::Usage(format!("--scheduler {}: {error}; write HOST:PORT", options.scheduler))
    })?;
    let endpoint = proving_endpoint(options.secret.as_ref())
        .configure_endpoint(endpoint)
        .map_err(|error| Error::other(error.to_string()))?;
    let channel = endpoint.connect().await.map_err(|error| lost(options, &error))?;
    Ok(SchedulerGrpcClient::new(channel)
        .max_encoding_message_size(MESSAGE_BYTES)
        .max_decoding_message_size(MESSAGE_BYTES))
}

/// Tells the scheduler again and again that this executor lives; returns when it is not heard any more.
async fn deaf(mut scheduler: SchedulerGrpcClient<Channel>, me: &ExecutorRegistration) -> tonic::Status {
    let mut unheard = 0;
    loop {
        match scheduler.heart_beat_from_executor(beat(me, State::Active(String::new()))).await {
            Ok(_) => unheard = 0,
            Err(status) => {
                unheard += 1;
                tracing::warn!(%status, "the scheduler does not hear this executor");
                if unheard >= DEAF_AFTER || status.code() == tonic::Code::Unauthenticated {
                    return status;
                }
            }
        }
        tokio::time::sleep(Duration::from_secs(HEARTBEAT)).await;
    }
}

/// Takes no more tasks.
async fn say_goodbye(scheduler: &mut SchedulerGrpcClient<Channel>, me: &ExecutorRegistration) {
    let leaving = scheduler.heart_beat_from_executor(beat(me, State::Terminating(String::new()))).await;
    let reason = "it was told to end".to_owned();
    let stopped = ExecutorStoppedParams { executor_id: me.id.clone(), reason };
    if let Err(status) = leaving.map(drop).and(scheduler.executor_stopped(stopped).await.map(drop)) {
        tracing::warn!(%status, "the scheduler was not told that this executor ends");
    }
}

fn beat(me: &ExecutorRegistration, state: State) -> HeartBeatParams {
    HeartBeatParams {
        executor_id: me.id.clone(),
        metrics: Vec::new(),
        status: Some(ExecutorStatus { status: Some(state) }),
        metadata: Some(me.clone()),
    }
}

fn lost(options: &ExecutorOptions, error: &(dyn std::error::Error + 'static)) -> Error {
    if let Some(status) = error.downcast_ref::<tonic::Status>()
        && status.code() == tonic::Code::Unauthenticated
    {
        return refused(&format!("the scheduler at {}", options.scheduler), status.message());
    }
    Error::EngineLost(format!(
        "the executor for the scheduler at {} ended: {error}\nhelp: is `strata scheduler` running there?",
        options.scheduler
    ))
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
