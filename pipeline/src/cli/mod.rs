//! Arguments of the command line, and the command each stands for.

mod bench;
mod cluster;
mod demo;
mod forecast;
mod gc;
mod inspect;
mod print;
mod query;
mod run;
mod runs;
mod secrets;
mod shell;
mod world;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use crate::engine::EngineOptions;
use crate::lake::Lake;
use crate::{Error, Result};
use clap::{Parser, Subcommand, ValueEnum};

/// Raw customer data in object storage becomes a versioned, partitioned segment table.
#[derive(Debug, Parser)]
#[command(name = "strata", version, max_term_width = 110)]
struct Args {
    /// How log lines are written.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Say more.
    #[arg(short, long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Generate a small world, run on it, and show its segments.
    Demo(demo::DemoArgs),
    /// Write a synthetic retail world with known truth.
    Generate(world::GenerateArgs),
    /// Compute what is missing, audit, and publish for one `as_of`.
    Run(run::RunArgs),
    /// Check a project without running it.
    Check(inspect::CheckArgs),
    /// Show what reads what.
    Graph(inspect::GraphArgs),
    /// Show a stage's SQL, plan, inputs and fingerprint.
    Explain(inspect::ExplainArgs),
    /// Query what the last run published.
    Sql(query::SqlArgs),
    /// Show the runs of a lake, or one run in full.
    Runs(runs::RunsArgs),
    /// Remove results, attempts and versions that no kept run needs.
    Gc(gc::GcArgs),
    /// Measure runs over generated worlds on this machine.
    Bench(bench::BenchArgs),
    /// Run the scheduler of a cluster, until told to end.
    Scheduler(cluster::SchedulerArgs),
    /// Run an executor of a cluster, until told to end.
    Executor(cluster::ExecutorArgs),
}

/// The project to work with.
#[derive(Debug, clap::Args)]
struct ProjectArgs {
    /// A built-in project by name, or a folder that holds project.toml.
    #[arg(long, default_value = "retail", env = "STRATA_PROJECT")]
    project: String,
}

/// The lake to work on.
#[derive(Debug, clap::Args)]
struct LakeArgs {
    /// URL or folder of the lake.
    #[arg(long, env = "STRATA_LAKE")]
    lake: String,
}

impl LakeArgs {
    async fn connect(&self) -> Result<Lake> {
        Lake::connect(&self.lake).await
    }
}

/// Where stages run.
#[derive(Debug, Clone, clap::Args)]
struct EngineArgs {
    /// `local` for this process, or `ballista://HOST:PORT` for the cluster of that scheduler.
    #[arg(long, default_value = "local", env = "STRATA_ENGINE")]
    engine: String,
    /// With a cluster: jobs that read less than this are done in this process.
    #[arg(long, default_value = "16MiB", value_parser = parse_bytes)]
    local_below: usize,
    /// Seconds after which a job on a cluster is cancelled.
    #[arg(long, default_value_t = 3600)]
    job_timeout: u64,
    #[command(flatten)]
    secret: secrets::SecretArgs,
}

impl EngineArgs {
    fn on(&self, machine: EngineOptions) -> Result<EngineOptions> {
        let cluster = match (self.engine.as_str(), self.engine.strip_prefix("ballista://")) {
            ("local", _) => None,
            (_, Some(address)) if address.trim_end_matches('/').contains(':') => {
                Some(address.trim_end_matches('/').to_owned())
            }
            (other, _) => {
                let message = format!("--engine: `{other}` is neither `local` nor `ballista://HOST:PORT`");
                return Err(Error::Usage(message));
            }
        };
        let job_timeout = Duration::from_secs(self.job_timeout);
        let secret = if cluster.is_some() { self.secret.secret()? } else { None };
        Ok(EngineOptions { cluster, local_below: self.local_below, job_timeout, secret, ..machine })
    }
}

/// What of the machine may be used.
#[derive(Debug, Clone, clap::Args)]
struct MachineArgs {
    /// Resident memory to stay within, such as 4GiB.
    #[arg(long, default_value = "4GiB", value_parser = parse_memory)]
    memory: usize,
    /// Partitions that run at the same time; all cores by default.
    #[arg(long)]
    threads: Option<usize>,
}

impl MachineArgs {
    fn options(&self) -> Result<EngineOptions> {
        let defaults = EngineOptions::default();
        let threads = self.threads.unwrap_or(defaults.threads);
        if threads == 0 {
            return Err(Error::Usage("--threads: give at least 1".into()));
        }
        Ok(EngineOptions { memory_bytes: self.memory, threads, ..defaults })
    }
}

/// Reads a size: a number with KiB, MiB, GiB (or KB, MB, GB), or plain bytes.
pub fn parse_bytes(text: &str) -> Result<usize, String> {
    let wrong = || format!("`{text}` is no size: write it like 512MiB or 4GiB");
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(number_end);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "tib" | "t" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(wrong()),
    };
    Ok((number * factor as f64) as usize)
}

/// A size that a run can work within.
pub fn parse_memory(text: &str) -> Result<usize, String> {
    let bytes = parse_bytes(text)?;
    if bytes < 256 << 20 {
        return Err(format!("`{text}` is too little: give at least 256MiB"));
    }
    Ok(bytes)
}

/// Log lines go to standard error.
fn set_up_logs(args: &Args) {
    let level = if args.verbose { "strata=debug,warn" } else { "strata=info,error" };
    let filter = tracing_subscriber::EnvFilter::try_from_env("STRATA_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .log_internal_errors(false);
    match args.log_format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).init(),
    }
}

/// Prefixes a blank to a query that starts with a `--` comment, so that it is not parsed as an option.
fn not_an_option(word: OsString) -> OsString {
    let is_comment = word
        .to_str()
        .and_then(|word| word.strip_prefix("--"))
        .is_some_and(|rest| rest.starts_with(char::is_whitespace) || rest.contains('\n'));
    if !is_comment {
        return word;
    }
    let mut query = OsString::from(" ");
    query.push(word);
    query
}

/// Parses the command line, runs the command, and maps its error to an exit code.
pub fn main() -> ExitCode {
    let args = Args::parse_from(std::env::args_os().map(not_an_option));
    set_up_logs(&args);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            return ExitCode::from(1);
        }
    };
    match runtime.block_on(run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&describe(&error));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Runs the command.
async fn run(args: Args) -> Result<()> {
    let lines = args.log_format == LogFormat::Json || args.verbose;
    match args.command {
        Command::Demo(demo) => demo::demo(demo, lines).await,
        Command::Generate(generate) => world::generate(generate).await,
        Command::Run(run) => run::run(run, lines).await,
        Command::Check(check) => inspect::check(check),
        Command::Graph(graph) => inspect::graph(graph),
        Command::Explain(explain) => inspect::explain(explain).await,
        Command::Sql(sql) => query::sql(sql).await,
        Command::Runs(runs) => runs::runs(runs).await,
        Command::Gc(args) => gc::gc(args).await,
        Command::Bench(args) => bench::bench(args).await,
        Command::Scheduler(args) => cluster::scheduler(args).await,
        Command::Executor(args) => cluster::executor(args).await,
    }
}

/// Writes an error to standard error, which may have nobody at its end.
fn complain(error: &str) {
    let _ = writeln!(std::io::stderr(), "error: {error}");
}

/// An error with its causes, each once.
fn describe(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!(parse_bytes("4GiB"), Ok(4 << 30));
        assert_eq!(parse_bytes("1.5g"), Ok(3 << 29));
        assert_eq!(parse_bytes("512 MiB"), Ok(512 << 20));
        assert!(parse_bytes("four").is_err());
        assert_eq!(parse_bytes("0"), Ok(0));
        assert!(parse_memory("1KiB").unwrap_err().contains("256MiB"));
    }
}
