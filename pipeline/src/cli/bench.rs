//! `strata bench`.

use std::fmt::Write;
use std::path::PathBuf;

use indicatif::BinaryBytes;

use crate::bench::{BenchOptions, Expectation, Results, RunResult, bench as measure_all, gib, page};
use crate::{Context, Error, Result};

use super::print::print;
use super::{MachineArgs, ProjectArgs, parse_memory};

#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    #[command(flatten)]
    project: ProjectArgs,
    /// Scales of the worlds, in rising order; 1 is 100,000 people and 20 million events.
    #[arg(long, value_delimiter = ',', default_values_t = [0.1, 1.0])]
    scales: Vec<f64>,
    #[command(flatten)]
    machine: MachineArgs,
    /// Less memory, for the last world once more with each.
    #[arg(long, value_delimiter = ',', value_parser = parse_memory)]
    less_memory: Vec<usize>,
    /// Clusters of so many executors of one core, for the last world once more on each.
    #[arg(long, value_delimiter = ',')]
    executors: Vec<usize>,
    /// The last world once more over this folder of an S3 store, which AWS_* variables name.
    #[arg(long)]
    store: Option<String>,
    /// Add one more day to the last world after a run over all days before.
    #[arg(long)]
    day: bool,
    /// Times that the scan floor is taken; the median counts.
    #[arg(long, default_value_t = 5)]
    times: usize,
    /// Where the worlds lie and stay; raw files that are there are used. Without it they are temporary.
    #[arg(long)]
    worlds: Option<PathBuf>,
    /// Folder for `bench.json` and `bench.html`.
    #[arg(long, default_value = "strata-bench")]
    out: PathBuf,
}

pub async fn bench(args: BenchArgs) -> Result<()> {
    let rising = args.scales.windows(2).all(|pair| pair[0] < pair[1]);
    if args.scales.is_empty() || !rising || args.scales.iter().any(|s| !s.is_finite() || *s <= 0.0) {
        return Err(Error::Usage("--scales: give numbers above 0 in rising order, such as 0.1,1,10".into()));
    }
    if args.executors.contains(&0) {
        return Err(Error::Usage("--executors: give at least 1".into()));
    }
    let machine = args.machine.options()?;
    let temporary = tempfile::tempdir().context("make a temporary folder")?;
    let options = BenchOptions {
        project: args.project.project,
        scales: args.scales,
        memory: std::iter::once(machine.memory_bytes).chain(args.less_memory).collect(),
        threads: machine.threads,
        executors: args.executors,
        day: args.day,
        store: args.store,
        times: args.times.max(1),
        worlds: args.worlds.unwrap_or_else(|| temporary.path().to_path_buf()),
    };
    let this = std::env::current_exe().context("find this program")?;
    let results = measure_all(&options, &this).await?;
    std::fs::create_dir_all(&args.out).context(format!("make {}", args.out.display()))?;
    let json = serde_json::to_string_pretty(&results).context("write results")?;
    for (name, text) in [("bench.json", json), ("bench.html", page(&results))] {
        let path = args.out.join(name);
        std::fs::write(&path, text).context(format!("write {}", path.display()))?;
    }
    print(format_args!("{}\nwritten to {}\n", summary(&results), args.out.join("bench.html").display()))
}

fn summary(results: &Results) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "project {}, {} threads", results.project, results.threads);
    for world in &results.worlds {
        let floor = world.floor_seconds();
        let _ = writeln!(
            out,
            "\nscale {}: {} rows, {}",
            world.scale,
            world.floor.rows,
            BinaryBytes(world.floor.bytes)
        );
        if let Some(usage) = &world.generated {
            let rate = world.floor.events as f64 / usage.cpu_seconds;
            let _ = writeln!(out, "  generator        {rate:.0} complete events/s and core");
        }
        let _ = writeln!(out, "  scan floor       {floor:.2} s (all: {:.2?})", world.floor.seconds);
        if let Some(facts) = world.run.stages.iter().find(|stage| stage.stage == "facts.daily_activity") {
            let floors = facts.wall_seconds / floor;
            let _ = writeln!(out, "  events to facts  {:.2} s = {floors:.1} floors", facts.wall_seconds);
        }
        let wall = world.run.usage.wall_seconds;
        let _ = writeln!(
            out,
            "  whole run        {wall:.2} s = {:.1} floors, {:.1} s/GiB",
            wall / floor,
            wall / gib(world.floor.bytes as f64)
        );
        let cost = world.run.cost();
        let _ = writeln!(
            out,
            "  CPU              {:.1} s, of which {:.1} s are told of stages",
            world.run.usage.cpu_seconds, cost.cpu_seconds
        );
        let _ = writeln!(out, "  peak memory      {}", BinaryBytes(world.run.usage.peak_bytes));
        let _ = writeln!(
            out,
            "  bytes            {} read, {} exchanged, {} written",
            BinaryBytes(cost.scanned_bytes as u64),
            BinaryBytes(cost.exchanged_bytes as u64),
            BinaryBytes(cost.written_bytes as u64)
        );
        if let Some(forecast) = &world.forecast {
            let _ = writeln!(out, "  forecast         {}", compare(forecast, &world.run));
        }
    }
    let base = results.worlds.last().map_or(f64::NAN, |world| world.run.usage.wall_seconds);
    let others = results.memory.iter().chain(&results.clusters).chain(&results.store);
    for run in others {
        let usage = &run.usage;
        let _ = writeln!(
            out,
            "\n{}: {:.2} s = {:.2} of the run above, {:.1} CPU s, {}",
            run.what,
            usage.wall_seconds,
            usage.wall_seconds / base,
            usage.cpu_seconds,
            BinaryBytes(run.executor_peak_bytes.unwrap_or(usage.peak_bytes))
        );
    }
    if let Some(day) = &results.day {
        let (wall, forecast) = (day.run.usage.wall_seconds, day.forecast.wall_seconds);
        let _ = writeln!(
            out,
            "\none more day: {wall:.2} s = {:.2} of what its stages take in a whole run ({forecast:.2} s); CPU {:.1} s = {:.2}",
            wall / forecast,
            day.run.usage.cpu_seconds,
            day.run.usage.cpu_seconds / day.forecast.cost.cpu_seconds
        );
    }
    out
}

/// Each figure of a forecast as a share of what was measured.
fn compare(forecast: &Expectation, run: &RunResult) -> String {
    let cost = run.cost();
    let share = |expected: f64, measured: f64| if measured > 0.0 { expected / measured } else { 1.0 };
    format!(
        "{:.2} of the wall, {:.2} of the CPU time, {:.2} of the bytes read, {:.2} exchanged, {:.2} written",
        share(forecast.wall_seconds, run.usage.wall_seconds),
        share(forecast.cost.cpu_seconds, run.usage.cpu_seconds),
        share(forecast.cost.scanned_bytes, cost.scanned_bytes),
        share(forecast.cost.exchanged_bytes, cost.exchanged_bytes),
        share(forecast.cost.written_bytes, cost.written_bytes),
    )
}
