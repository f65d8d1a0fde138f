//! Which results a run needs: the fingerprint of every stage and day, known before anything is computed.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use super::Sources;
use super::history::{CarriedModel, RunManifest};
use crate::project::{Fingerprint, Kind, Params, Project, Refit, Relation, Stage};

/// One partition of a result: a day, or the whole.
pub type Part = Option<NaiveDate>;

/// The name of a part in files and manifests; the whole has none.
pub fn part_name(part: &Part) -> String {
    part.map(|day| day.to_string()).unwrap_or_default()
}

/// The results one run needs.
#[derive(Debug, Clone)]
pub struct RunPlan {
    /// µs since 1970 UTC.
    pub as_of: i64,
    pub run_id: String,
    /// Fingerprint of each part of each stored stage, by stage.
    pub parts: BTreeMap<String, BTreeMap<Part, Fingerprint>>,
    /// The models this run uses, by stage: carried ones keep their fingerprint.
    pub models: BTreeMap<String, CarriedModel>,
}

/// What fingerprints are made from.
pub struct Planner<'a> {
    pub project: &'a Project,
    pub sources: &'a Sources,
    /// Values of the parameters, models left out.
    pub params: &'a Params,
    pub as_of: i64,
    /// The last run of the lake.
    pub last: Option<&'a RunManifest>,
    pub reset_state: bool,
}

impl Planner<'_> {
    /// Fingerprints of all stages, in their order.
    pub fn plan(&self) -> RunPlan {
        let mut plan = RunPlan {
            as_of: self.as_of,
            run_id: String::new(),
            parts: BTreeMap::new(),
            models: BTreeMap::new(),
        };
        for stage in self.project.stages.iter().filter(|s| s.store != crate::project::Store::View) {
            if stage.is_model() {
                let model = self.model(stage, &plan);
                plan.parts.insert(
                    stage.name.clone(),
                    BTreeMap::from([(None, Fingerprint(model.fingerprint.clone()))]),
                );
                plan.models.insert(stage.name.clone(), model);
            } else {
                let parts = self.stage_parts(stage, &plan);
                plan.parts.insert(stage.name.clone(), parts);
            }
        }
        plan.run_id = self.run_id();
        plan
    }

    /// A carried model keeps its fingerprint, whatever its inputs became, until its definition changes, or with every run
    /// for a stage that may train it anew. A model that follows the one before depends on it.
    fn model(&self, stage: &Stage, plan: &RunPlan) -> CarriedModel {
        let definition = self.project.definition(&stage.name).0;
        let Kind::Model { trainer, refit } = &stage.kind else { return CarriedModel::default() };
        let carried = self.last.and_then(|last| last.models.get(&stage.name)).filter(|_| !self.reset_state);
        match carried {
            Some(model) if *refit == Refit::Never && model.definition == definition => model.clone(),
            _ => {
                let as_of = as_of_text(self.as_of);
                let needed = trainer.follows() || *refit == Refit::Drifted;
                let before = carried.filter(|_| needed).and_then(|model| {
                    if model.as_of == as_of { model.before.clone() } else { Some(model.fingerprint.clone()) }
                });
                let mut fingerprint = self.fingerprint(stage, None, plan);
                if let Some(before) = &before {
                    fingerprint = Fingerprint::of([fingerprint.0, before.clone()]);
                }
                CarriedModel { definition, fingerprint: fingerprint.0, as_of, before }
            }
        }
    }

    fn stage_parts(&self, stage: &Stage, plan: &RunPlan) -> BTreeMap<Part, Fingerprint> {
        if !stage.by_day {
            return BTreeMap::from([(None, self.fingerprint(stage, None, plan))]);
        }
        let common = self.common_to_parts(stage, plan);
        let inputs = self.project.stored_inputs(&stage.name);
        let print = |day| self.part_fingerprint(&common, &inputs, Some(day), plan);
        self.days(stage, plan).into_iter().map(|day| (Some(day), print(day))).collect()
    }

    /// The days that any by-day input has.
    fn days(&self, stage: &Stage, plan: &RunPlan) -> BTreeSet<NaiveDate> {
        let mut days = BTreeSet::new();
        for relation in self.project.stored_inputs(&stage.name).iter().filter(|r| self.project.by_day(r)) {
            match relation {
                Relation::Source(name) => {
                    let files = self.sources.get(name).into_iter().flat_map(|files| &files.files);
                    days.extend(files.filter_map(|file| file.day));
                }
                Relation::Stage(name) => {
                    days.extend(plan.parts.get(name).into_iter().flat_map(|parts| parts.keys().flatten()));
                }
                Relation::Quarantine(_) | Relation::Carried(_) | Relation::Previous(_) => {}
            }
        }
        days
    }

    fn fingerprint(&self, stage: &Stage, part: Part, plan: &RunPlan) -> Fingerprint {
        let inputs = self.project.stored_inputs(&stage.name);
        self.part_fingerprint(&self.common_to_parts(stage, plan), &inputs, part, plan)
    }

    /// What the fingerprints of all parts of a stage share: its definition and its parameters.
    fn common_to_parts(&self, stage: &Stage, plan: &RunPlan) -> Vec<String> {
        let mut hashed = vec![self.project.definition(&stage.name).0];
        for param in self.project.params_used(&stage.name) {
            let model = self.project.models().find(|(name, _)| *name == param).map(|(_, stage)| &stage.name);
            let value = match model.and_then(|name| plan.models.get(name)) {
                Some(model) => model.fingerprint.clone(),
                None if param == "run_id" => continue,
                None => format!("{:?}", self.params.get(&param)),
            };
            hashed.extend([param, value]);
        }
        hashed
    }

    fn part_fingerprint(
        &self,
        common: &[String],
        inputs: &BTreeSet<Relation>,
        part: Part,
        plan: &RunPlan,
    ) -> Fingerprint {
        let mut hashed = common.to_vec();
        for relation in inputs {
            let part = part.filter(|_| self.project.by_day(relation));
            hashed.push(format!("{relation:?}"));
            hashed.push(self.input(relation, part, plan));
        }
        Fingerprint::of(hashed)
    }

    fn input(&self, relation: &Relation, part: Part, plan: &RunPlan) -> String {
        match relation {
            Relation::Source(name) => {
                let files = super::files_of(self.sources, name, part);
                let columns = || {
                    self.project
                        .sources
                        .get(name)
                        .map(|s| s.known_by().map(|known| &known.text).collect::<Vec<_>>())
                };
                let cut = files.is_cut_by(self.as_of).then(|| (self.as_of, columns()));
                format!("{} {cut:?}", files.fingerprint())
            }
            Relation::Stage(name) | Relation::Quarantine(name) => {
                let parts = plan.parts.get(name);
                match part {
                    Some(_) => {
                        parts.and_then(|parts| parts.get(&part)).map(|f| f.0.clone()).unwrap_or_default()
                    }
                    None => {
                        let all = parts.into_iter().flatten();
                        Fingerprint::of(all.map(|(part, print)| format!("{} {print}", part_name(part)))).0
                    }
                }
            }
            Relation::Carried(name) => {
                let stem = name.rsplit('.').next().unwrap_or(name);
                let now = as_of_text(self.as_of);
                let table = self.last.and_then(|last| last.published.get(stem));
                let parts =
                    table.into_iter().flat_map(|table| table.parts.iter().filter(|(part, _)| **part != now));
                Fingerprint::of(parts.map(|(part, print)| format!("{part} {print}"))).0
            }
            Relation::Previous(_) => String::new(),
        }
    }

    /// The same for a first run, a full refresh and an incremental run, and for any layout of the raw files: a hash of
    /// the project's text, its settings and `as_of`.
    fn run_id(&self) -> String {
        let mut hashed = vec![self.project.name.clone(), as_of_text(self.as_of)];
        hashed.extend(self.project.stages.iter().map(|stage| self.project.definition(&stage.name).0));
        hashed.extend(
            self.params.iter().filter(|(name, _)| *name != "run_id").map(|(n, v)| format!("{n} {v:?}")),
        );
        Fingerprint::of(hashed).0[..16].to_string()
    }
}

/// An instant as it stands in manifests and as partition value.
pub fn as_of_text(as_of: i64) -> String {
    chrono::DateTime::from_timestamp_micros(as_of)
        .map(|instant| instant.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
        .unwrap_or_default()
}
