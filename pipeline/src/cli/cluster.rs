//! `strata scheduler` and `strata executor`: the processes of a cluster.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::Result;
use crate::engine::{ExecutorOptions, SchedulerOptions, run_executor, run_scheduler};
use crate::lake::Lake;

use super::parse_memory;
use super::secrets::SecretArgs;

#[derive(Debug, clap::Args)]
pub struct SchedulerArgs {
    /// IP address to listen at.
    #[arg(long, default_value = "127.0.0.1")]
    bind: String,
    /// Host name or address by which executors reach this scheduler, where that is not `--bind`.
    #[arg(long)]
    advertise: Option<String>,
    #[arg(long, default_value_t = 50050)]
    port: u16,
    #[command(flatten)]
    secret: SecretArgs,
}

#[derive(Debug, clap::Args)]
pub struct ExecutorArgs {
    /// HOST:PORT of the scheduler.
    #[arg(long)]
    scheduler: String,
    /// IP address to listen at.
    #[arg(long, default_value = "127.0.0.1")]
    bind: String,
    /// Host name or address by which the others reach this executor, where that is not `--bind`.
    #[arg(long)]
    advertise: Option<String>,
    /// Port at which shuffled rows are handed out.
    #[arg(long, default_value_t = 50051)]
    port: u16,
    /// Port at which tasks arrive; the one after `--port` by default.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    task_port: u16,
    /// Resident memory to stay within, such as 4GiB.
    #[arg(long, default_value = "4GiB", value_parser = parse_memory)]
    memory: usize,
    /// Tasks that run at the same time; all cores by default.
    #[arg(long)]
    vcores: Option<NonZeroUsize>,
    /// Folder for shuffled and spilled rows; a temporary one by default.
    #[arg(long)]
    work_dir: Option<PathBuf>,
    /// URL or folder of a lake whose files tasks may read and write; they open no others. Once for each lake.
    #[arg(long = "lake", env = "STRATA_LAKE", required = true, value_name = "LAKE")]
    lakes: Vec<String>,
    #[command(flatten)]
    secret: SecretArgs,
}

pub async fn scheduler(args: SchedulerArgs) -> Result<()> {
    let secret = args.secret.secret()?;
    run_scheduler(&SchedulerOptions { bind: args.bind, advertise: args.advertise, port: args.port, secret })
        .await
}

pub async fn executor(args: ExecutorArgs) -> Result<()> {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    run_executor(&ExecutorOptions {
        scheduler: args.scheduler,
        bind: args.bind,
        advertise: args.advertise,
        port: args.port,
        task_port: args.task_port,
        memory_bytes: args.memory,
        vcores: args.vcores.unwrap_or(cores).get(),
        work_dir: args.work_dir,
        lakes: args.lakes.iter().map(|lake| Lake::open(lake)).collect::<Result<_>>()?,
        secret: args.secret.secret()?,
    })
    .await
}
