//! `strata run`.

use std::time::Duration;

use crate::Result;
use crate::engine::planning_state;
use crate::lake::LOCK_TIMEOUT;
use crate::project::Project;
use crate::run::{Amount, AsOf, Outcome, Reporter, RunManifest, RunOptions, StateOf};

use super::forecast::{Scenario, describe};
use super::print::print;
use super::secrets::PseudonymArgs;
use super::{EngineArgs, LakeArgs, MachineArgs, ProjectArgs};

#[derive(Debug, clap::Args)]
pub struct RunArgs {
    #[command(flatten)]
    lake: LakeArgs,
    #[command(flatten)]
    project: ProjectArgs,
    #[command(flatten)]
    machine: MachineArgs,
    /// A date (its first instant in the project's time zone), an instant, or `latest`.
    #[arg(long, default_value = "latest")]
    as_of: AsOf,
    #[command(flatten)]
    engine: EngineArgs,
    /// Compute only this stage and what it needs (`stage+`: and all that needs it); publish nothing.
    #[arg(long)]
    select: Vec<String>,
    /// Compute everything anew; models and other carried state stay.
    #[arg(long)]
    full_refresh: bool,
    /// Forget the models and cut points that the lake carries: all are trained again. Segments get ids that none had before.
    #[arg(long, conflicts_with = "as_known_then")]
    reset_state: bool,
    /// For an earlier instant than the last run: use the models that there were then; what there was not is trained.
    #[arg(long)]
    as_known_then: bool,
    /// Publish although customers have drifted away from those that a kept model was trained on.
    #[arg(long)]
    accept_drift: bool,
    /// Show what would be computed, and what it would cost by what earlier runs of the lake took.
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: a run from raw files of so many times the lake's data.
    #[arg(long, requires = "dry_run", value_parser = parse_times)]
    times: Option<f64>,
    /// With --dry-run: on so many executors.
    #[arg(long, requires = "dry_run", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    executors: u32,
    /// Let published tables lose or retype columns.
    #[arg(long)]
    allow_breaking: bool,
    #[command(flatten)]
    pseudonyms: PseudonymArgs,
    /// Derive pseudonyms from another key than the last run did, and publish which became which.
    #[arg(long)]
    new_pseudonyms: bool,
    #[command(flatten)]
    lock: LockArgs,
}

/// When whoever holds the lake counts as dead.
#[derive(Debug, Clone, clap::Args)]
pub struct LockArgs {
    /// Seconds without a sign of life after which the run that holds the lake counts as dead.
    #[arg(long, env = "STRATA_LOCK_TIMEOUT", default_value_t = LOCK_TIMEOUT.as_secs(),
        value_parser = clap::value_parser!(u64).range(1..))]
    lock_timeout: u64,
}

impl LockArgs {
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.lock_timeout)
    }
}

fn parse_times(text: &str) -> std::result::Result<f64, String> {
    let times = text.parse().ok().filter(|times: &f64| times.is_finite() && *times > 0.0);
    times.ok_or_else(|| format!("`{text}` is no number above 0"))
}

pub async fn run(args: RunArgs, lines: bool) -> Result<()> {
    let project = Project::load(&args.project.project, &planning_state()?)?;
    let pseudonym_key = if project.has_pseudonyms() { args.pseudonyms.key()? } else { None };
    let lake = args.lake.connect().await?;
    let machine = args.machine.options()?;
    let scenario = Scenario {
        amount: args.times.map_or(Amount::Missing, Amount::Times),
        executors: args.executors as usize,
        cores: machine.threads,
    };
    let options = RunOptions {
        as_of: args.as_of,
        select: args.select,
        full_refresh: args.full_refresh,
        state: match (args.reset_state, args.as_known_then) {
            (true, _) => StateOf::Nothing,
            (false, true) => StateOf::Then,
            (false, false) => StateOf::Lake,
        },
        accept_drift: args.accept_drift,
        dry_run: args.dry_run,
        allow_breaking: args.allow_breaking,
        pseudonym_key,
        new_pseudonyms: args.new_pseudonyms,
        engine: args.engine.on(machine)?,
        lock_timeout: args.lock.timeout(),
        ..RunOptions::default()
    };
    match crate::run::run(&lake, &project, &options, &Reporter::new(lines)).await? {
        Outcome::Published(manifest) => print(format_args!("{}\n", summary(&manifest))),
        Outcome::Computed(stages) => {
            print(format_args!("computed {} stages; nothing was published\n", stages.len()))
        }
        Outcome::Planned(forecast) => print(describe(&forecast, scenario)),
    }
}

/// One line on what a run did.
pub fn summary(manifest: &RunManifest) -> String {
    let computed: usize = manifest.stages.values().map(|stage| stage.computed).sum();
    let quarantined: u64 = manifest.stages.values().map(|stage| stage.quarantined).sum();
    let bytes: u64 = manifest.stages.values().map(|stage| stage.scan.bytes).sum();
    format!(
        "run {} published {} tables as of {}: {computed} results computed, {quarantined} rows in quarantine, {:.1} MiB read",
        manifest.run_id,
        manifest.published.len(),
        manifest.as_of,
        bytes as f64 / (1 << 20) as f64,
    )
}
