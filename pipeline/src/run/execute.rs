//! Computing the results that are missing: one job a stage, a few days at a time for daily stages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use chrono::NaiveDate;
use datafusion::catalog::TableProvider;
use datafusion::catalog::view::ViewTable;
use datafusion::datasource::provider_as_source;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{LogicalPlanBuilder, lit};
use futures::{StreamExt, TryStreamExt};

use super::Sources;
use super::cost::{Cost, Forecast, StageForecast};
use super::history::{Inherited, RunManifest, StageRun};
use super::model::{ModelTimes, StoredModel};
use super::plan::{Part, RunPlan, part_name};
use super::progress::{Reporter, StageReport};
use super::pseudonyms::FormerResults;
use super::redelivered::Redelivered;
use super::tables::{source_table, written_table};
use crate::cpu::Meter;
use crate::engine::{Engine, ScanMetrics};
use crate::lake::{DataFile, DayResults, Lake, SinkSpec, StageManifest, stage_data_prefix};
use crate::project::{Fingerprint, Kind, PREVIOUS, Params, Project, Publish, Relation, Stage, Store};
use crate::{Context, Error, Result};

/// Stages whose results are looked up at the same time.
const LOOKUPS_AT_ONCE: usize = 16;

/// Everything a stage's job needs; shared by the stages that run side by side.
pub struct Runner<'a> {
    pub lake: &'a Lake,
    pub project: &'a Project,
    pub engine: &'a Engine,
    pub sources: &'a Sources,
    /// Rows delivered again under another day, by source.
    pub redelivered: &'a BTreeMap<String, Redelivered>,
    pub plan: &'a RunPlan,
    pub inherited: &'a Inherited,
    /// What runs under other pseudonym keys left, if the key changes with this `as_of`.
    pub former: &'a [FormerResults],
    pub reporter: &'a Reporter,
    pub full_refresh: bool,
    pub epoch: u64,
    /// CPU time of all stages.
    pub stages_cpu: Meter,
    /// Parameter values; a model's is added when its stage is done.
    pub params: Mutex<Params>,
    /// Results that were there when the run began, by stage, until the stage takes them.
    pub found: Mutex<BTreeMap<String, BTreeMap<Part, StageManifest>>>,
    /// Finished results by stage and part.
    pub results: Mutex<BTreeMap<String, BTreeMap<Part, StageManifest>>>,
}

impl Runner<'_> {
    /// Makes every part of a stage's result exist; parts that exist are reused.
    pub async fn run_stage(&self, stage: &Stage) -> Result<StageRun> {
        let none = BTreeMap::new();
        let wanted = self.plan.parts.get(&stage.name).unwrap_or(&none);
        let mut done = lock(&self.found)?.remove(&stage.name).unwrap_or_default();
        let missing: BTreeMap<Part, Fingerprint> = wanted
            .iter()
            .filter(|(part, _)| !done.contains_key(part))
            .map(|(p, f)| (*p, f.clone()))
            .collect();
        let report = self.reporter.begin(&stage.name, missing.len());
        let reused = done.len();
        let meter = Meter::default();
        let mut scan = ScanMetrics::default();
        let mut written_bytes = 0;
        for job in self.jobs(stage, &missing)? {
            let (manifests, read) = meter.clone().of(self.run_job(stage, &job, &report)).await?;
            scan.add(&read);
            report.advance(manifests.len());
            written_bytes += manifests.iter().map(|(_, part)| part.bytes()).sum::<u64>();
            done.extend(manifests);
        }
        self.stages_cpu.add(meter.spent());
        let cost = Cost {
            parts: missing.len(),
            cpu_seconds: meter.spent().as_secs_f64(),
            scanned_rows: scan.rows,
            scanned_bytes: scan.bytes,
            exchanged_bytes: scan.exchanged_bytes,
            written_bytes,
        };
        let known = !missing.is_empty() && self.engine.options().cluster.is_none();
        let earlier = self.last().and_then(|last| last.stages.get(&stage.name)).and_then(|run| run.cost);
        let cost = super::cost::telling(earlier, known.then_some(cost), |cost| cost.parts);
        let made_of = self.plan.made_of.get(&stage.name).cloned().unwrap_or_default();
        let mut run = StageRun { made_of, computed: missing.len(), scan, cost, ..StageRun::default() };
        for (part, manifest) in &done {
            run.fingerprints.insert(part_name(part), manifest.fingerprint.clone());
            run.rows += manifest.rows;
            run.quarantined += manifest.quarantined;
            run.rows_in = run.rows_in.into_iter().chain(manifest.rows_in).reduce(|a, b| a + b);
            for (rule, rows) in &manifest.by_rule {
                *run.by_rule.entry(rule.clone()).or_default() += rows;
            }
        }
        run.elapsed_ms = report.finish(missing.len(), reused, run.rows, run.quarantined).as_millis() as u64;
        if let Some(model) = done.get(&None).map_or(Ok(None), StoredModel::of)? {
            self.say_later(stage, model.of);
            lock(&self.params)?.insert(stage.stem.clone(), model.value);
        }
        lock(&self.results)?.insert(stage.name.clone(), done);
        Ok(run)
    }

    /// Looks up which results are there, before anything is computed, and names the stages of which some are
    /// not.
    pub async fn find_results(&self, wanted: &BTreeSet<String>) -> Result<BTreeSet<String>> {
        let stages = self.project.stages.iter().filter(|stage| wanted.contains(&stage.name));
        let reused = stages.filter_map(|stage| Some((stage, self.plan.parts.get(&stage.name)?)));
        let lookups = futures::stream::iter(reused).map(|(stage, parts)| async move {
            let there =
                if self.recomputes(stage) { BTreeMap::new() } else { self.finished(stage, parts).await? };
            Ok::<_, Error>((stage.name.clone(), parts.len(), there))
        });
        let found: Vec<_> = lookups.buffered(LOOKUPS_AT_ONCE).try_collect().await?;
        let to_compute = found.iter().filter(|(_, parts, there)| there.len() < *parts);
        let to_compute = to_compute.map(|(name, ..)| name.clone()).collect();
        lock(&self.found)?.extend(found.into_iter().map(|(name, _, there)| (name, there)));
        Ok(to_compute)
    }

    /// What is to be computed, and what it would cost.
    pub fn forecast(&self, wanted: &BTreeSet<String>) -> Result<Forecast> {
        let found = lock(&self.found)?;
        let mut stages = Vec::new();
        for stage in self.project.stages.iter().filter(|stage| wanted.contains(&stage.name)) {
            let Some(parts) = self.plan.parts.get(&stage.name) else { continue };
            let there = found.get(&stage.name).map_or(0, BTreeMap::len);
            stages.push(StageForecast::of(stage, parts.len() - there, parts.len(), self.last()));
        }
        Ok(Forecast { stages, again: Vec::new(), pace: self.last().and_then(|last| last.pace) })
    }

    /// The last run of the lake.
    fn last(&self) -> Option<&RunManifest> {
        self.inherited.last.run.as_ref()
    }

    /// A full refresh computes all but models that earlier runs made.
    fn recomputes(&self, stage: &Stage) -> bool {
        let again = self.inherited.again.as_ref().and_then(|run| run.models.get(&stage.name));
        let earlier = self.inherited.models.get(&stage.name).into_iter().chain(again);
        let model = self.plan.models.get(&stage.name);
        self.full_refresh && !earlier.into_iter().any(|earlier| Some(earlier) == model)
    }

    async fn finished(
        &self,
        stage: &Stage,
        wanted: &BTreeMap<Part, Fingerprint>,
    ) -> Result<BTreeMap<Part, StageManifest>> {
        let prints = wanted.iter().map(|(part, print)| (part_name(part), print.0.clone())).collect();
        let found = StageManifest::load_parts(self.lake, &stage.name, &prints).await?;
        let found = StageManifest::retain_whole(self.lake, found).await?;
        let mut found: BTreeMap<String, StageManifest> =
            found.into_iter().map(|part| (part.day.clone().unwrap_or_default(), part)).collect();
        Ok(wanted.keys().filter_map(|part| Some((*part, found.remove(&part_name(part))?))).collect())
    }

    async fn run_job(
        &self,
        stage: &Stage,
        job: &BTreeMap<Part, Fingerprint>,
        report: &StageReport,
    ) -> Result<(Vec<(Part, StageManifest)>, ScanMetrics)> {
        let ran = match &stage.kind {
            Kind::Model { .. } => self.run_model(stage, job).await,
            Kind::Fixpoint { start, max_rounds } => {
                self.run_fixpoint(stage, start, *max_rounds, job, report).await
            }
            Kind::Select => self.run_select(stage, job, report).await,
        };
        if matches!(ran, Err(Error::Other { .. } | Error::Contract(_) | Error::Audit(_))) {
            self.check_inputs(stage, job).await?;
        }
        match ran {
            Err(error) if error.exit_code() == 1 => {
                self.blame_a_source(stage).await?;
                Err(Error::Other { context: format!("stage {}", stage.name), source: Box::new(error) })
            }
            other => other,
        }
    }

    /// When a job fails and one of its raw files cannot be decoded, that file is the answer.
    async fn blame_a_source(&self, stage: &Stage) -> Result<()> {
        for relation in self.project.stored_inputs(&stage.name) {
            if let Relation::Source(name) = relation
                && let (Some(source), Some(files)) =
                    (self.project.sources.get(&name), self.sources.get(&name))
            {
                super::raw::find_undecodable(self.lake, source, files).await?;
            }
        }
        Ok(())
    }

    async fn run_select(
        &self,
        stage: &Stage,
        job: &BTreeMap<Part, Fingerprint>,
        report: &StageReport,
    ) -> Result<(Vec<(Part, StageManifest)>, ScanMetrics)> {
        let days: BTreeSet<NaiveDate> = job.keys().flatten().copied().collect();
        let days = stage.by_day.then_some(&days);
        let plan = self.logical_plan(&stage.name, days, &BTreeMap::new()).await?;
        let attempt = self.attempt();
        let written = self.engine.write(&plan, &self.sink(stage, &attempt)?, &report.progress).await?;
        let mut manifests = Vec::new();
        let mut files = written.files;
        for (part, print) in job {
            let name = part.map(|day| day.to_string());
            let of_part = |file: &DataFile| match (&name, &stage.day) {
                (Some(day), Some(column)) => {
                    file.partition.get(column).and_then(Option::as_deref) == Some(day.as_str())
                }
                _ => true,
            };
            let (mine, others): (Vec<DataFile>, Vec<DataFile>) = files.into_iter().partition(of_part);
            files = others;
            manifests.push((*part, self.manifest(stage, *part, print, mine).await?));
        }
        if let Some(stray) = files.first() {
            return Err(Error::Contract(format!(
                "stage {}: rows for {:?} came out of a job for {} to {}\nhelp: `day` must be the day of the input",
                stage.name,
                stray.partition,
                job.keys().next().map(part_name).unwrap_or_default(),
                job.keys().next_back().map(part_name).unwrap_or_default(),
            )));
        }
        self.check_inputs(stage, job).await?;
        if stage.by_day {
            let days: Vec<&StageManifest> = manifests.iter().map(|(_, day)| day).collect();
            DayResults::save(self.lake, &stage.name, &attempt, &days).await?;
            return Ok((manifests, written.scan));
        }
        let mut saved = Vec::new();
        for (part, manifest) in manifests {
            saved.push((part, self.save(manifest).await?));
        }
        Ok((saved, written.scan))
    }

    /// The name of an attempt at a job: nobody else's, and later than those of earlier runs.
    fn attempt(&self) -> String {
        format!("{:010}-{}", self.epoch, uuid::Uuid::new_v4().simple())
    }

    /// A full refresh replaces the manifest; else the first attempt's stands.
    async fn save(&self, manifest: StageManifest) -> Result<StageManifest> {
        if self.full_refresh { manifest.replace(self.lake).await } else { manifest.create(self.lake).await }
    }

    async fn manifest(
        &self,
        stage: &Stage,
        part: Part,
        print: &Fingerprint,
        files: Vec<DataFile>,
    ) -> Result<StageManifest> {
        let name = part.map(|day| day.to_string());
        let mut manifest = StageManifest::of_files(&stage.name, name.as_deref(), &print.0, files);
        manifest.schema = Some(stage.result_schema());
        manifest.quarantine = stage.quarantine.clone();
        manifest.rows_in = self.account(stage, part, &manifest).await?;
        Ok(manifest)
    }

    /// Rows of the accounted source, which must all be found in the result or the quarantine.
    async fn account(&self, stage: &Stage, part: Part, manifest: &StageManifest) -> Result<Option<u64>> {
        let Some(name) = &stage.accounts else { return Ok(None) };
        let Some(source) = self.project.sources.get(name) else {
            let message = format!("`accounts` names `{name}`, which is no source");
            return Err(Error::Usage(format!("stage {}: {message}", stage.name)));
        };
        let files = super::files_of(self.sources, name, part);
        let rows_in = match files.rows() {
            Some(rows) if !files.is_cut_by(self.plan.as_of) => rows,
            _ => {
                let table = source_table(self.lake, source, &files, Some(self.plan.as_of), None)?;
                let plan = LogicalPlanBuilder::scan(name, provider_as_source(table), None)
                    .and_then(|scan| {
                        scan.aggregate(Vec::<datafusion::logical_expr::Expr>::new(), vec![count(lit(1))])
                    })
                    .and_then(LogicalPlanBuilder::build)
                    .context(format!("cannot count {name}"))?;
                self.engine.scalar_i64(&plan).await?.unwrap_or(0).max(0) as u64
            }
        };
        let rows_out: u64 = manifest.files.iter().map(|file| file.weight).sum();
        if rows_in != rows_out {
            return Err(Error::Audit(format!(
                "stage {} {}: {rows_in} rows of {name} were read, {rows_out} are found in the result and the quarantine",
                stage.name,
                part_name(&part)
            )));
        }
        Ok(Some(rows_in))
    }

    async fn run_model(
        &self,
        stage: &Stage,
        job: &BTreeMap<Part, Fingerprint>,
    ) -> Result<(Vec<(Part, StageManifest)>, ScanMetrics)> {
        let Kind::Model { trainer, refit } = &stage.kind else { return Ok(Default::default()) };
        let plan = self.logical_plan(&stage.name, None, &BTreeMap::new()).await?;
        let columns: Vec<String> = stage.schema.fields().iter().map(|field| field.name().clone()).collect();
        // a trainer may read its rows several times
        let read = Mutex::new(Vec::new());
        let open = async || {
            let plan = self.engine.physical_plan(&plan).await?;
            lock(&read)?.push(plan.clone());
            self.engine.start(plan).await
        };
        let (before, of_before) = self.model_before(stage, *refit).await?;
        let trained = trainer
            .train(&columns, open, Some(&before))
            .await
            .map_err(|error| super::in_stage(&stage.name, error))?;
        for note in &trained.notes {
            self.reporter.say(&format!("{}: {note}", stage.name));
        }
        trainer.gate(&trained).map_err(|error| super::in_stage(&stage.name, error))?;
        let step = async |step| {
            let plan = self.engine.physical_plan(&step).await?;
            lock(&read)?.push(plan.clone());
            self.engine.gather(plan).await
        };
        let trained = trainer
            .polish(trained, &plan, step)
            .await
            .map_err(|error| super::in_stage(&stage.name, error))?;
        self.check_inputs(stage, job).await?;
        let of = match (trained.kept, trainer.follows()) {
            (true, _) => of_before,
            (false, follows) => ModelTimes {
                trained_as_of: Some(self.plan.as_of),
                follows_as_of: of_before.trained_as_of.filter(|_| follows),
            },
        };
        let model = StoredModel { value: trained.model, of }.to_json()?;
        let mut manifests = Vec::new();
        for (part, print) in job {
            let mut manifest = StageManifest::of_files(&stage.name, None, &print.0, Vec::new());
            manifest.schema = Some(stage.schema.clone());
            manifest.model = Some(model.clone());
            manifests.push((*part, self.save(manifest).await?));
        }
        let mut scan = ScanMetrics::default();
        for plan in lock(&read)?.iter() {
            scan.add(&self.engine.scan_metrics(plan.as_ref()));
        }
        Ok((manifests, scan))
    }

    /// Rounds until none changes a row. Each round is written before the next reads it.
    async fn run_fixpoint(
        &self,
        stage: &Stage,
        start: &str,
        max_rounds: u32,
        job: &BTreeMap<Part, Fingerprint>,
        report: &StageReport,
    ) -> Result<(Vec<(Part, StageManifest)>, ScanMetrics)> {
        let mut scan = ScanMetrics::default();
        let mut previous = match self.project.inputs(&stage.name).get(start) {
            Some(Relation::Stage(view))
                if self.project.stage(view).is_some_and(|s| s.store == Store::View) =>
            {
                let plan = self.logical_plan(view, None, &BTreeMap::new()).await?;
                Arc::new(ViewTable::new(plan, None)) as Arc<dyn TableProvider>
            }
            Some(relation) => self.provide(Some(stage), relation, None, None).await?,
            None => return Err(Error::other(format!("stage {} starts from nowhere", stage.name))),
        };
        for _ in 0..max_rounds {
            let given = BTreeMap::from([(PREVIOUS.to_string(), previous.clone())]);
            let plan = self.logical_plan(&stage.name, None, &given).await?;
            let written =
                self.engine.write(&plan, &self.sink(stage, &self.attempt())?, &report.progress).await?;
            scan.add(&written.scan);
            let files: Vec<&DataFile> = written.files.iter().collect();
            let round = written_table(self.lake, &stage.result_schema(), &files)?;
            if self.same_rows(&previous, &round).await? {
                self.check_inputs(stage, job).await?;
                let mut manifests = Vec::new();
                for (part, print) in job {
                    let manifest = self.manifest(stage, *part, print, written.files.clone()).await?;
                    manifests.push((*part, self.save(manifest).await?));
                }
                return Ok((manifests, scan));
            }
            previous = round;
        }
        Err(Error::Audit(format!(
            "stage {}: rows still change after {max_rounds} rounds\nhelp: raise `max_rounds` in {}",
            stage.name, stage.sql.file
        )))
    }

    async fn same_rows(&self, a: &Arc<dyn TableProvider>, b: &Arc<dyn TableProvider>) -> Result<bool> {
        let scan = |table: &Arc<dyn TableProvider>| {
            LogicalPlanBuilder::scan("round", provider_as_source(table.clone()), None)
                .and_then(LogicalPlanBuilder::build)
        };
        for (left, right) in [(a, b), (b, a)] {
            let plan = scan(left)
                .and_then(|left| LogicalPlanBuilder::except(left, scan(right)?, true))
                .and_then(|rest| {
                    LogicalPlanBuilder::from(rest)
                        .aggregate(Vec::<datafusion::logical_expr::Expr>::new(), vec![count(lit(1))])?
                        .build()
                })
                .context("cannot compare two rounds")?;
            if self.engine.scalar_i64(&plan).await? != Some(0) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How a stage's rows are written. Published stages lie below their table.
    fn sink(&self, stage: &Stage, attempt: &str) -> Result<SinkSpec> {
        let prefix = match stage.publish {
            Some(_) => format!("{}/data/{attempt}", crate::lake::table_prefix(&stage.stem)),
            None => stage_data_prefix(&stage.name, attempt)?,
        };
        let mut spec = SinkSpec::new(self.lake, prefix);
        spec.partition_by = match (stage.publish, &stage.day) {
            (Some(Publish::AsOf), _) => {
                let rest = stage.partition_by.iter().filter(|column| *column != "as_of").cloned();
                std::iter::once("as_of".to_string()).chain(rest).collect()
            }
            (Some(Publish::All), _) => stage.partition_by.clone(),
            (None, Some(day)) if stage.by_day => vec![day.clone()],
            _ => Vec::new(),
        };
        if stage.sorted {
            spec.sort_by =
                stage.grain.iter().filter(|column| !spec.partition_by.contains(column)).cloned().collect();
        }
        spec.quarantine = stage.quarantine.clone();
        spec.weight = stage.weight.clone();
        spec.cluster_by_partition = spec.partition_by.iter().any(|column| column != "as_of");
        spec.share_files = stage.by_day && stage.publish.is_none();
        spec.delta_types = stage.publish.is_some();
        Ok(spec)
    }
}

/// Locks a mutex that no holder can leave broken.
pub fn lock<T>(mutex: &Mutex<T>) -> Result<std::sync::MutexGuard<'_, T>> {
    mutex.lock().map_err(|_| Error::other("a stage panicked"))
}
