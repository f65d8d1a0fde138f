//! `strata demo`: a small world, a run, and a look at its segments.

use crate::engine::{EngineOptions, planning_state};
use crate::generate::{WorldSettings, generate_into};
use crate::lake::Lake;
use crate::project::Project;
use crate::query::Reader;
use crate::run::{Outcome, Reporter, RunOptions, run};
use crate::{Error, Result};
use strata_udfs::text::PseudonymKey;

use super::EngineArgs;
use super::print::{print, print_query};
use super::query::OutputFormat;
use super::run::LockArgs;

/// The scale of the demo's world: 2,000 people.
const SCALE: f64 = 0.02;

#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Folder or URL of the demo's lake.
    #[arg(long, default_value = "strata-demo")]
    lake: String,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    lock: LockArgs,
}

pub async fn demo(args: DemoArgs, lines: bool) -> Result<()> {
    let lake = Lake::connect(&args.lake).await?;
    let reporter = Reporter::new(lines);
    reporter.say(&format!("generating a retail world of scale {SCALE} in {}", lake.url()));
    let settings = WorldSettings { scale: SCALE, ..WorldSettings::default() };
    let world = generate_into(&lake, &settings).await?;
    reporter.say(world.to_string().trim_end());
    let project = Project::load("retail", &planning_state()?)?;
    let options = RunOptions {
        engine: args.engine.on(EngineOptions::default())?,
        pseudonym_key: Some(PseudonymKey::demo()),
        lock_timeout: args.lock.timeout(),
        ..RunOptions::default()
    };
    let outcome = run(&lake, &project, &options, &reporter).await?;
    let Outcome::Published(manifest) = outcome else {
        return Err(Error::other("the demo's run published nothing"));
    };
    print(format_args!("\n{}\n\n", super::run::summary(&manifest)))?;
    let reader = Reader::open(&lake, EngineOptions::default()).await?;
    print_query(&reader, include_str!("demo.sql"), OutputFormat::Table).await?;
    print(format_args!(
        "\nnext:\n  \
           {program} sql --lake {lake} \"select rule, sum(rows) from quality join current_runs using (as_of) where is_last group by rule order by 2 desc\"\n  \
           {program} runs {run} --lake {lake}\n  \
           {program} explain segments.segments\n",
        program = std::env::args().next().unwrap_or_else(|| "strata".into()),
        lake = args.lake,
        run = manifest.run_id,
    ))
}
