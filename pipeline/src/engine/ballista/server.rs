//! The scheduler of a cluster, with our functions and plan nodes inside. It serves calls of drivers and executors and nothing
//! else of what Ballista's own server offers.

use std::net::SocketAddr;
use std::sync::Arc;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::extension::SessionConfigExt;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer;
use ballista_core::utils::{GrpcServerConfig, create_grpc_server_incoming};
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::create_scheduler;
use datafusion::prelude::SessionConfig;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;

use super::loss::{CancelOnLoss, Scheduler};
use super::secret::{ClusterSecret, Gate, check_bind, proving};
use super::{MESSAGE_BYTES, NodeCodec};
use crate::engine::session::storeless_state;
use crate::{Context, Result};

/// How often an executor says that it lives, and after what silence it is taken for dead, in seconds.
pub const HEARTBEAT: u64 = 2;
const DEAD_AFTER: u64 = 15;

/// Where a scheduler listens.
#[derive(Debug, Clone)]
pub struct SchedulerOptions {
    /// Address to listen at, also told to executors unless `advertise` is given.
    pub bind: String,
    pub advertise: Option<String>,
    pub port: u16,
    /// The secret of the cluster; without one the scheduler listens on this machine only.
    pub secret: Option<ClusterSecret>,
}

/// Runs a scheduler until the process is told to end.
///
/// # Errors
/// [`Error::Usage`](crate::Error::Usage) for an address beyond this machine without a secret.
pub async fn run_scheduler(options: &SchedulerOptions) -> Result<()> {
    let secret = options.secret.as_ref();
    let address = SocketAddr::new(check_bind(&options.bind, secret)?, options.port);
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
            storeless_state(config)
                .map_err(|error| datafusion::error::DataFusionError::External(error.into()))
        })),
        override_physical_codec: Some(Arc::new(NodeCodec::default())),
        override_create_grpc_client_endpoint: Some(proving(secret)),
        ..SchedulerConfig::default()
    };
    let doing = format!("cannot run a scheduler at {address}");
    let cluster = BallistaCluster::new_from_config(&config).await.context(&doing)?;
    let executors = Arc::new(CancelOnLoss::new(&cluster));
    let cluster = BallistaCluster::new(executors.clone(), cluster.job_state());
    let scheduler: Scheduler = create_scheduler(cluster, Arc::new(config)).await.context(&doing)?;
    executors.belongs_to(&scheduler);
    let calls = SchedulerGrpcServer::new(scheduler)
        .max_encoding_message_size(MESSAGE_BYTES)
        .max_decoding_message_size(MESSAGE_BYTES);
    let incoming = create_grpc_server_incoming(address, &GrpcServerConfig::default()).context(&doing)?;
    let served = Server::builder()
        .add_service(InterceptedService::new(calls, Gate::new(secret)))
        .serve_with_incoming(incoming);
    tokio::select! {
        ended = served => ended.context(doing),
        _ = told_to_end() => Ok(()),
    }
}

/// What sessions begin with; the driver's settings come on top.
pub fn base_config() -> SessionConfig {
    SessionConfig::new_with_ballista().with_ballista_grpc_client_max_message_size(MESSAGE_BYTES)
}

/// Waits for SIGTERM or an interrupt.
pub async fn told_to_end() {
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
