//! The driver: one pass over the graph for one `as_of`: plan, execute, audit, publish, and resume what a dead run left.

mod as_of;
mod audit;
mod changes;
mod contents;
mod cost;
mod execute;
mod gc;
mod history;
mod jobs;
mod last;
mod listing;
mod model;
mod plan;
mod progress;
mod provenance;
mod pseudonyms;
mod publish;
mod raw;
mod redelivered;
mod relations;
mod repeated;
mod tables;
mod text;
mod why;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use datafusion::scalar::ScalarValue;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use strata_udfs::text::{PseudonymKey, PseudonymKeys};

pub use as_of::{AsOf, day_start};
pub use cost::{Amount, Cost, Expected, Forecast, Pace, StageForecast};
pub use gc::{Garbage, Retention};
pub use history::{CarriedModel, CarriedState, Inherited, PublishedTable, RunManifest, StageRun, StateOf};
pub use last::{
    CURRENT_RUNS, FinishedRun, Last, RUNS, current_runs, last_run, rows_of, runs_rows, runs_table,
};
pub use plan::{RunPlan, as_of_text};
pub use progress::{Reporter, resident_bytes};
pub use pseudonyms::{FormerResults, Pseudonyms};
pub use raw::{RawFile, SourceFiles};
pub use tables::{source_table, stage_table, written_table};
pub use why::Again;

use crate::cpu::{self, Meter};
use crate::engine::{Engine, EngineOptions};
use crate::lake::{LOCK_TIMEOUT, Lake, Lock};
use crate::project::{
    MODELS, ModelUse, PSEUDONYM_KEY, Params, Project, Relation, Stage, Store, models_value,
};
use crate::{Context, Error, Result};
use as_of::Clocks;
use execute::Runner;
use model::StoredModel;
use plan::Part;
use redelivered::Redelivered;

/// The raw files of each source, by source name.
pub type Sources = BTreeMap<String, SourceFiles>;

/// What to run, and how.
#[derive(Debug, Clone)]
pub struct RunOptions {
    pub as_of: AsOf,
    /// The machine's clock: later rows never make `latest`.
    pub now: DateTime<Utc>,
    /// Stages to compute with all that they need; nothing is published. Empty: everything.
    pub select: Vec<String>,
    /// Compute everything anew; carried state stays.
    pub full_refresh: bool,
    /// Which models to start from.
    pub state: StateOf,
    /// Publish although a model's population has drifted: `$accept_drift` of audits.
    pub accept_drift: bool,
    /// Say what would be computed, and stop.
    pub dry_run: bool,
    /// Let published tables lose or retype columns.
    pub allow_breaking: bool,
    /// The key from which the project's pseudonyms are derived, if it has any.
    pub pseudonym_key: Option<PseudonymKey>,
    /// Take another key than the last run's: all pseudonyms become others.
    pub new_pseudonyms: bool,
    pub engine: EngineOptions,
    /// Stages that may run side by side.
    pub stages_at_once: usize,
    /// How long the holder of the lake's lock may show no life before this run takes it.
    pub lock_timeout: Duration,
}

impl Default for RunOptions {
    fn default() -> Self {
        RunOptions {
            as_of: AsOf::Latest,
            now: Utc::now(),
            select: Vec::new(),
            full_refresh: false,
            state: StateOf::Lake,
            accept_drift: false,
            dry_run: false,
            allow_breaking: false,
            pseudonym_key: None,
            new_pseudonyms: false,
            engine: EngineOptions::default(),
            stages_at_once: 2,
            lock_timeout: LOCK_TIMEOUT,
        }
    }
}

/// What a run did.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Everything is computed, audited and published.
    Published(Box<RunManifest>),
    /// The selected stages are computed.
    Computed(BTreeMap<String, StageRun>),
    /// What is to be computed, and what that would cost.
    Planned(Forecast),
}

/// Runs a project on a lake.
///
/// # Errors
/// [`Error::Contract`] for raw data that breaks its contract, [`Error::Audit`] when an audit or a model's gate fails,
/// [`Error::Locked`] when another run holds the lake; nothing is published in any of these cases.
pub async fn run(
    lake: &Lake,
    project: &Project,
    options: &RunOptions,
    reporter: &Reporter,
) -> Result<Outcome> {
    pseudonyms::check_given(project, options)?;
    lake.claim(&project.name).await?;
    let fence = Lock::acquire_within(lake, options.lock_timeout).await?;
    let outcome = run_locked(lake, project, options, reporter, &fence).await;
    if let Err(error) = fence.release().await {
        tracing::warn!(%error, "the lock could not be released: the next run waits until it counts as dead");
    }
    outcome
}

async fn run_locked(
    lake: &Lake,
    project: &Project,
    options: &RunOptions,
    reporter: &Reporter,
    fence: &Lock,
) -> Result<Outcome> {
    let started = Utc::now();
    let cpu_before = cpu::of_process();
    let keys = PseudonymKeys::of(options.pseudonym_key.clone());
    let engine = Engine::open(lake, EngineOptions { pseudonyms: keys, ..options.engine.clone() }).await?;
    let here = engine.here();
    let sources = inspect_sources(lake, project, reporter).await?;
    let clocks = Clocks { project, engine: here, lake, sources: &sources, now: options.now };
    let as_of = options.as_of.resolve(clocks).await?;
    if options.as_of == AsOf::Latest {
        clocks.future_rows().await?.iter().for_each(|line| reporter.say(line));
    }
    let micros = as_of.timestamp_micros();
    as_of::check_instant(project, as_of)?;
    check_known(project, &sources, as_of)?;
    let sources: Sources = sources.into_iter().map(|(name, files)| (name, files.known_at(micros))).collect();
    let redelivered = redelivered::find(lake, project, here, &sources, micros).await?;
    let begun =
        Begun { started, cpu_before, engine: &engine, sources: &sources, redelivered: &redelivered, as_of };
    let outcome = run_from(lake, project, options, reporter, fence, begun).await;
    for rows in redelivered.values() {
        rows.remove(lake).await;
    }
    outcome
}

/// What a run reads, and since when it runs.
struct Begun<'a> {
    started: DateTime<Utc>,
    cpu_before: Duration,
    engine: &'a Engine,
    sources: &'a Sources,
    redelivered: &'a BTreeMap<String, Redelivered>,
    as_of: DateTime<Utc>,
}

async fn run_from(
    lake: &Lake,
    project: &Project,
    options: &RunOptions,
    reporter: &Reporter,
    fence: &Lock,
    begun: Begun<'_>,
) -> Result<Outcome> {
    let Begun { started, cpu_before, engine, sources, redelivered, as_of } = begun;
    let here = engine.here();
    let micros = as_of.timestamp_micros();
    let last = Last::open(here, lake, reporter).await?;
    let inherited = Inherited::read(lake, last, micros, options.state).await?;
    let last = inherited.last.run.as_ref();
    let pseudonyms = pseudonyms::of_run(lake, project, options, last, &as_of_text(micros))?;
    let former = pseudonyms::former(pseudonyms.as_ref(), &as_of_text(micros));
    let mut params = project.own_params();
    params.insert("as_of".into(), ScalarValue::TimestampMicrosecond(Some(micros), None));
    params.insert(PSEUDONYM_KEY.into(), pseudonyms::param(pseudonyms.as_ref()));
    let planner = plan::Planner {
        project,
        sources,
        redelivered,
        params: &params,
        as_of: micros,
        inherited: &inherited,
        resets: options.state == StateOf::Nothing,
        former,
    };
    let plan = planner.plan();
    reporter.say(&format!(
        "run {} of project {} as of {}",
        plan.run_id,
        project.name,
        as_of.to_rfc3339_opts(SecondsFormat::Secs, true)
    ));
    params.insert("run_id".into(), ScalarValue::Utf8(Some(plan.run_id.clone())));
    params.insert("accept_drift".into(), ScalarValue::Boolean(Some(options.accept_drift)));
    let runner = Runner {
        lake,
        project,
        engine,
        sources,
        redelivered,
        plan: &plan,
        inherited: &inherited,
        former,
        reporter,
        full_refresh: options.full_refresh,
        epoch: fence.epoch(),
        stages_cpu: Meter::default(),
        params: Mutex::new(params),
        found: Mutex::new(BTreeMap::new()),
        results: Mutex::new(BTreeMap::new()),
    };
    let wanted = wanted_stages(project, &options.select)?;
    let to_compute = runner.find_results(&wanted).await?;
    let again = runner.computed_again(&to_compute, options.state == StateOf::Nothing);
    if options.dry_run {
        let forecast = Forecast { again, ..runner.forecast(&wanted)? };
        return Ok(Outcome::Planned(forecast));
    }
    why::lines(&again).iter().for_each(|line| reporter.say(line));
    let audits = if options.select.is_empty() { project.audits.len() } else { 0 };
    let stages = run_graph(&runner, &wanted, audits > 0, options.stages_at_once.max(1)).await?;
    if !options.select.is_empty() {
        return Ok(Outcome::Computed(stages));
    }
    let published = runner.publish(fence, options.allow_breaking).await?;
    let pace = options.engine.cluster.is_none().then(|| Pace {
        parts: stages.values().map(|stage| stage.computed).sum(),
        threads: options.engine.threads,
        wall_seconds: (Utc::now() - started).as_seconds_f64(),
        cpu_seconds: (cpu::of_process() - cpu_before).as_secs_f64(),
        stages_cpu_seconds: runner.stages_cpu.spent().as_secs_f64(),
    });
    let manifest = RunManifest {
        run_id: plan.run_id.clone(),
        epoch: fence.epoch(),
        project: project.name.clone(),
        as_of: as_of.to_rfc3339_opts(SecondsFormat::Micros, true),
        params: project.settings.iter().map(|(name, value)| (name.clone(), value.to_string())).collect(),
        pseudonyms: pseudonyms.clone(),
        inputs: identities(sources),
        stages,
        audits: project.audits.iter().map(|audit| audit.name.clone()).collect(),
        models: plan.models.clone(),
        carried: CarriedState { next_segments: runner.next_segments()?, ..plan.carried.clone() },
        published,
        engine: provenance::engine(options).into(),
        version: provenance::version(options),
        options: provenance::options(options),
        computed_again: again,
        pace: cost::telling(last.and_then(|last| last.pace), pace, |pace| pace.parts),
        started_at: started.to_rfc3339_opts(SecondsFormat::Micros, true),
        finished_at: Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true),
        writer: String::new(),
    };
    let path = manifest.save(lake).await?;
    publish::commit_run(lake, &manifest, &path, &inherited.last, fence).await?;
    if let Err(error) = publish::commit_current_runs(here, lake, fence).await {
        reporter.say(&format!(
            "the run is published, but not table `{CURRENT_RUNS}`; the next run does that ({error})"
        ));
    }
    Ok(Outcome::Published(Box::new(manifest)))
}

async fn inspect_sources(lake: &Lake, project: &Project, reporter: &Reporter) -> Result<Sources> {
    let mut sources = Sources::new();
    for source in project.sources.values() {
        let files = SourceFiles::inspect(lake, source).await?;
        if let Some(left_out) = &files.left_out {
            reporter.say(&format!("source `{}`: left out {left_out}", source.name));
        }
        sources.insert(source.name.clone(), files);
    }
    Ok(sources)
}

/// Refuses an `as_of` at which nothing was known yet.
fn check_known(project: &Project, sources: &Sources, as_of: DateTime<Utc>) -> Result<()> {
    for source in project.sources.values().filter(|source| !source.absent && !source.may_be_empty) {
        let Some(files) = sources.get(&source.name) else { continue };
        let known = files.known_at(as_of.timestamp_micros()).files;
        if known.iter().all(|file| file.rows == Some(0)) {
            let first = files.files.iter().filter_map(|file| file.known).map(|(first, _)| first).min();
            let first =
                first.and_then(DateTime::from_timestamp_micros).map_or("later".into(), |t| t.to_rfc3339());
            return Err(Error::Contract(format!(
                "as of {} source `{}` held no row: its first row became known at {first}\nhelp: give a later --as-of",
                as_of.to_rfc3339_opts(SecondsFormat::Secs, true),
                source.name
            )));
        }
    }
    Ok(())
}

/// The files of a source, or of one day of it.
fn files_of(sources: &Sources, source: &str, part: Part) -> SourceFiles {
    let files = sources.get(source);
    files.map(|files| part.map_or_else(|| files.clone(), |day| files.of_day(day))).unwrap_or_default()
}

fn identities(sources: &Sources) -> BTreeMap<String, Vec<String>> {
    let of = |files: &SourceFiles| files.files.iter().map(|file| file.identity.clone()).collect();
    sources.iter().map(|(name, files)| (name.clone(), of(files))).collect()
}

/// The selected stages and all they need (`stage+` adds all that need it); all stages when none is selected.
fn wanted_stages(project: &Project, select: &[String]) -> Result<BTreeSet<String>> {
    if select.is_empty() {
        return Ok(project.stages.iter().map(|stage| stage.name.clone()).collect());
    }
    let mut wanted = BTreeSet::new();
    for selected in select {
        let name = selected.trim_end_matches('+');
        if project.stage(name).is_none() {
            let near = crate::project::nearest(name, project.stages.iter().map(|s| s.name.as_str()));
            let hint = near.map_or("`strata graph` lists the stages".to_string(), |near| {
                format!("did you mean `{near}`?")
            });
            return Err(Error::Usage(format!("--select: there is no stage `{name}`\nhelp: {hint}")));
        }
        wanted.insert(name.to_string());
        if selected.ends_with('+') {
            for stage in &project.stages {
                if project.needs(stage).iter().any(|need| wanted.contains(need)) {
                    wanted.insert(stage.name.clone());
                }
            }
        }
    }
    for stage in project.stages.iter().rev() {
        if wanted.contains(&stage.name) {
            wanted.extend(project.needs(stage));
        }
    }
    Ok(wanted)
}

/// A node of the run's graph.
enum Done {
    Stage(String, Box<StageRun>),
    Audit,
}

/// Runs stages as soon as what they need is there, at most `at_once` side by side, and each audit after its stages.
async fn run_graph(
    runner: &Runner<'_>,
    wanted: &BTreeSet<String>,
    with_audits: bool,
    at_once: usize,
) -> Result<BTreeMap<String, StageRun>> {
    let project = runner.project;
    let mut waiting: Vec<&Stage> =
        project.stages.iter().filter(|stage| wanted.contains(&stage.name)).collect();
    let mut audits: Vec<String> =
        project.audits.iter().map(|audit| format!("audits.{}", audit.name)).collect();
    audits.retain(|_| with_audits);
    let mut finished: BTreeSet<String> = BTreeSet::new();
    let mut runs = BTreeMap::new();
    let mut active = FuturesUnordered::new();
    loop {
        // A view is there as soon as its inputs are.
        while let Some(index) = waiting.iter().position(|stage| {
            stage.store == Store::View && !stage.is_model() && is_ready(&project.needs(stage), &finished)
        }) {
            finished.insert(waiting.remove(index).name.clone());
        }
        while active.len() < at_once {
            if let Some(index) =
                audits.iter().position(|audit| is_ready(&audit_needs(project, audit), &finished))
            {
                let audit = audits.remove(index);
                active.push(futures::future::Either::Left(async move {
                    runner.run_audit(&audit).await.map(|()| Done::Audit)
                }));
                continue;
            }
            let Some(index) = waiting.iter().position(|stage| is_ready(&project.needs(stage), &finished))
            else {
                break;
            };
            let stage = waiting.remove(index);
            active.push(futures::future::Either::Right(async move {
                let run = runner.run_stage(stage).await?;
                Ok::<_, Error>(Done::Stage(stage.name.clone(), Box::new(run)))
            }));
        }
        match active.next().await {
            None => break,
            Some(Ok(Done::Stage(name, run))) => {
                finished.insert(name.clone());
                runs.insert(name, *run);
            }
            Some(Ok(Done::Audit)) => {}
            Some(Err(error)) => return Err(error),
        }
    }
    Ok(runs)
}

fn is_ready(needs: &BTreeSet<String>, finished: &BTreeSet<String>) -> bool {
    needs.iter().all(|need| finished.contains(need))
}

fn audit_needs(project: &Project, audit: &str) -> BTreeSet<String> {
    let mut needs: BTreeSet<String> = project
        .inputs(audit)
        .values()
        .filter_map(|relation| match relation {
            Relation::Stage(name) | Relation::Quarantine(name) => Some(name.clone()),
            _ => None,
        })
        .collect();
    for param in project.params_used(audit) {
        needs.extend(project.models_of(&param).map(|stage| stage.name.clone()));
    }
    needs
}

/// Says in which stage an error came up, and keeps its kind.
pub(crate) fn in_stage(stage: &str, error: Error) -> Error {
    let said = |message: String| format!("stage {stage}: {message}");
    match error {
        Error::Usage(message) => Error::Usage(said(message)),
        Error::Contract(message) => Error::Contract(said(message)),
        Error::Audit(message) => Error::Audit(said(message)),
        Error::EngineLost(message) => Error::EngineLost(said(message)),
        Error::Locked(message) => Error::Locked(said(message)),
        Error::Other { context, source } => Error::Other { context: said(context), source },
    }
}

/// The parameters of a finished run under the project's settings, its models included.
pub async fn params_of(lake: &Lake, project: &Project, run: &RunManifest) -> Result<Params> {
    let as_of = DateTime::parse_from_rfc3339(&run.as_of).context("the run's manifest has no valid as_of")?;
    let mut params = project.own_params();
    params.insert("as_of".into(), ScalarValue::TimestampMicrosecond(Some(as_of.timestamp_micros()), None));
    params.insert("run_id".into(), ScalarValue::Utf8(Some(run.run_id.clone())));
    params.insert("accept_drift".into(), ScalarValue::Boolean(Some(false)));
    params.insert(PSEUDONYM_KEY.into(), pseudonyms::param(run.pseudonyms.as_ref()));
    let mut used = Vec::new();
    for (param, stage) in project.models() {
        let Some(carried) = run.models.get(&stage.name) else { continue };
        let model = StoredModel::load(lake, &stage.name, &carried.fingerprint).await?;
        let model = model.ok_or_else(|| Error::other(format!("the model of {} is gone", stage.name)))?;
        used.extend(ModelUse::of(stage, model.of.trained_as_of, model.of.follows_as_of));
        params.insert(param.to_string(), model.value);
    }
    params.insert(MODELS.into(), models_value(&used));
    Ok(params)
}
