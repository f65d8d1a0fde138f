//! The benchmark suite: whole runs of a project over generated worlds, each as a process of its own that is watched
//! from outside. It measures how a run grows with its data, with less memory, on a cluster of this machine, over a
//! store, and when one day is added; and how well the forecast of `run --dry-run` meets all that.

mod cluster;
mod floor;
mod page;
mod process;

use std::path::{Path, PathBuf};

use chrono::{DateTime, Days, SecondsFormat};
use serde::Serialize;

pub use cluster::Cluster;
pub use floor::{Floor, scan_floor};
pub use page::page;
pub use process::{Usage, measure, measure_within};

use crate::engine::planning_state;
use crate::lake::{Lake, RUN_MANIFESTS};
use crate::project::Project;
use crate::run::{Amount, Expected, Forecast, RunManifest};
use crate::{Context, Error, Result};

/// What is measured.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// Name or folder of the project.
    pub project: String,
    /// Scales of the worlds, in rising order.
    pub scales: Vec<f64>,
    /// Bytes for a run; the first for all measurements, the others for the last world once more.
    pub memory: Vec<usize>,
    pub threads: usize,
    /// Clusters of so many executors, of one core each, for the last world.
    pub executors: Vec<usize>,
    /// Whether a day is added to the last world after a run on the others.
    pub day: bool,
    /// A folder of an object store, for the last world once more.
    pub store: Option<String>,
    /// Times that the floor is taken.
    pub times: usize,
    /// Where the worlds lie; raw files that are there are used.
    pub worlds: PathBuf,
}

/// All that was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Results {
    pub project: String,
    pub threads: usize,
    pub worlds: Vec<WorldResult>,
    /// The last world with less memory.
    pub memory: Vec<RunResult>,
    /// The last world on clusters.
    pub clusters: Vec<RunResult>,
    /// The last world over a store.
    pub store: Option<RunResult>,
    pub day: Option<DayResult>,
}

/// A world and its run.
#[derive(Debug, Clone, Serialize)]
pub struct WorldResult {
    pub scale: f64,
    pub floor: Floor,
    /// Generating it on one core; `None` when it was there.
    pub generated: Option<Usage>,
    pub run: RunResult,
    /// What the run of the world before let expect of this one.
    pub forecast: Option<Expectation>,
}

impl WorldResult {
    /// The median scan.
    pub fn floor_seconds(&self) -> f64 {
        median(self.floor.seconds.iter().copied())
    }

    /// Wall seconds of the run for each GiB of raw files.
    pub fn seconds_per_gib(&self) -> f64 {
        self.run.usage.wall_seconds / gib(self.floor.bytes as f64)
    }
}

/// A run and its stages.
#[derive(Debug, Clone, Serialize)]
pub struct RunResult {
    pub what: String,
    pub usage: Usage,
    /// The highest peak of an executor, on a cluster.
    pub executor_peak_bytes: Option<u64>,
    pub stages: Vec<StageResult>,
}

/// A stage of a run, and what it cost where that is known.
#[derive(Debug, Clone, Serialize)]
pub struct StageResult {
    pub stage: String,
    /// Stages run side by side.
    pub wall_seconds: f64,
    pub cost: Expected,
}

/// What a forecast said of a run.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Expectation {
    pub wall_seconds: f64,
    pub cost: Expected,
}

/// One more day: a run as of the day before is there already.
#[derive(Debug, Clone, Serialize)]
pub struct DayResult {
    pub run: RunResult,
    /// What that day's part of the daily stages and all other stages cost in a whole run.
    pub forecast: Expectation,
}

impl RunResult {
    /// The sum of what its stages cost.
    pub fn cost(&self) -> Expected {
        self.stages.iter().map(|stage| stage.cost).sum()
    }
}

/// Measures everything, one after the other. `strata` is the binary.
///
/// # Errors
/// [`Error::Other`] with what a process said when it failed.
pub async fn bench(options: &BenchOptions, strata: &Path) -> Result<Results> {
    let project = Project::load(&options.project, &planning_state()?)?;
    let memory =
        options.memory.first().copied().ok_or_else(|| Error::Usage("--memory: give a size".into()))?;
    let bench = Bench { options, strata, project: &project };
    let mut results = Results {
        project: project.name.clone(),
        threads: options.threads,
        worlds: Vec::new(),
        memory: Vec::new(),
        clusters: Vec::new(),
        store: None,
        day: None,
    };
    let mut before: Option<(f64, Forecast)> = None;
    let mut last = None;
    for scale in &options.scales {
        let folder = options.worlds.join(format!("scale-{scale}"));
        let (world, forecast) = bench.world(*scale, &folder, memory, before.as_ref()).await?;
        results.worlds.push(world);
        before = Some((*scale, forecast));
        last = Some((*scale, folder));
    }
    let Some((scale, folder)) = last else { return Ok(results) };
    for memory in options.memory.iter().skip(1) {
        clear(&folder)?;
        let what = format!("{:.2} GiB", gib(*memory as f64));
        results.memory.push(bench.run(&what, text(&folder)?, *memory, &[]).await?.0);
    }
    for executors in &options.executors {
        clear(&folder)?;
        results.clusters.push(bench.on_cluster(&folder, memory, *executors).await?);
    }
    if let Some(store) = &options.store {
        let lake = format!("{}/scale-{scale}", store.trim_end_matches('/'));
        generate(strata, scale, &lake)?;
        results.store = Some(bench.run("over the store", &lake, memory, &[]).await?.0);
    }
    if options.day {
        let whole = before.map(|(_, forecast)| forecast).unwrap_or_default();
        results.day = Some(bench.one_more_day(&folder, memory, whole).await?);
    }
    Ok(results)
}

struct Bench<'a> {
    options: &'a BenchOptions,
    strata: &'a Path,
    project: &'a Project,
}

impl Bench<'_> {
    async fn world(
        &self,
        scale: f64,
        folder: &Path,
        memory: usize,
        before: Option<&(f64, Forecast)>,
    ) -> Result<(WorldResult, Forecast)> {
        let generated = match folder.join("raw").exists() {
            true => None,
            false => Some(generate(self.strata, scale, text(folder)?)?),
        };
        let floor = scan_floor(&folder.join("raw"), self.options.threads, self.options.times).await?;
        tracing::info!(scale, rows = floor.rows, "floor {:.2?} s", floor.seconds);
        clear(folder)?;
        let (run, manifest) = self.run(&format!("scale {scale}"), text(folder)?, memory, &[]).await?;
        let forecast =
            before.map(|(smaller, forecast)| self.expect(forecast, Amount::Times(scale / smaller)));
        let world = WorldResult { scale, floor, generated, run, forecast };
        Ok((world, Forecast::of_run(self.project, &manifest)))
    }

    fn expect(&self, forecast: &Forecast, amount: Amount) -> Expectation {
        Expectation {
            wall_seconds: forecast.wall_seconds(amount, 1, self.options.threads),
            cost: forecast.total(amount),
        }
    }

    /// One run of the binary, which publishes.
    async fn run(
        &self,
        what: &str,
        lake: &str,
        memory: usize,
        more: &[&str],
    ) -> Result<(RunResult, RunManifest)> {
        let (memory, threads) = (memory.to_string(), self.options.threads.to_string());
        let run = ["run", "--lake", lake, "--project", &self.options.project, "--log-format", "json"];
        let limits = ["--memory", &memory, "--threads", &threads];
        let (usage, _) = measure(self.strata, &[&run[..], &limits, more].concat())?;
        tracing::info!("{what}: {:.1} s, {:.1} CPU s", usage.wall_seconds, usage.cpu_seconds);
        let lake = Lake::connect(lake).await?;
        let manifest = newest_run(&lake).await?;
        let stages = manifest.stages.iter().map(|(name, stage)| StageResult {
            stage: name.clone(),
            wall_seconds: stage.elapsed_ms as f64 / 1000.0,
            cost: stage.cost.map(|cost| cost.into()).unwrap_or_default(),
        });
        let stages = stages.collect();
        Ok((RunResult { what: what.to_string(), usage, executor_peak_bytes: None, stages }, manifest))
    }

    async fn on_cluster(&self, folder: &Path, memory: usize, executors: usize) -> Result<RunResult> {
        let cluster = Cluster::start(self.strata, executors, memory, text(folder)?)?;
        let engine = cluster.engine();
        let what = format!("{executors} executors");
        let (mut run, _) = self.run(&what, text(folder)?, memory, &["--engine", &engine]).await?;
        let workers = cluster.usage();
        run.usage.cpu_seconds += workers.cpu_seconds;
        run.executor_peak_bytes = Some(workers.peak_bytes);
        Ok(run)
    }

    /// A run as of the day before the last, and then the run of the last day.
    async fn one_more_day(&self, folder: &Path, memory: usize, whole: Forecast) -> Result<DayResult> {
        let lake = text(folder)?;
        let as_of = newest_run(&Lake::connect(lake).await?).await?.as_of;
        let as_of = DateTime::parse_from_rfc3339(&as_of).context("a run's as_of")?;
        let before = as_of.checked_sub_days(Days::new(1)).unwrap_or(as_of);
        clear(folder)?;
        let before = before.to_rfc3339_opts(SecondsFormat::Micros, true);
        self.run("all days but the last", lake, memory, &["--as-of", &before]).await?;
        let (run, manifest) = self.run("one more day", lake, memory, &[]).await?;
        let forecast = whole.of_computed(&manifest);
        Ok(DayResult { run, forecast: self.expect(&forecast, Amount::Missing) })
    }
}

/// The manifest of the run that was committed last.
async fn newest_run(lake: &Lake) -> Result<RunManifest> {
    let runs = lake.list(RUN_MANIFESTS).await?;
    let newest =
        runs.iter().filter_map(|run| run.location.filename()?.strip_suffix(".json")?.parse().ok()).max();
    let run = match newest {
        Some(epoch) => RunManifest::load(lake, epoch).await?,
        None => None,
    };
    run.ok_or_else(|| Error::other("the run left no manifest"))
}

/// Writes a world on one core.
pub fn generate(strata: &Path, scale: f64, lake: &str) -> Result<Usage> {
    tracing::info!("generating scale {scale} in {lake}");
    Ok(measure(strata, &["generate", "--threads", "1", "--scale", &scale.to_string(), "--lake", lake])?.0)
}

/// Takes everything but the world away.
pub fn clear(lake: &Path) -> Result<()> {
    for entry in lake.read_dir().context(format!("cannot read {}", lake.display()))? {
        let path = entry.context("cannot read a lake")?.path();
        if path.ends_with("raw") || path.ends_with("truth") {
            continue;
        }
        let removed =
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.context(format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// The median; of an even number of values the higher of the middle two, 0 of none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// A path as an argument.
pub fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| Error::Usage(format!("{} is not UTF-8", path.display())))
}

/// Gibibytes.
pub fn gib(bytes: f64) -> f64 {
    bytes / f64::from(1 << 30)
}
