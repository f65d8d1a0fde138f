//! Which results a run needs: the fingerprint of every stage and day, known before anything is computed.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use super::Sources;
use super::history::{CarriedModel, RunManifest};
use crate::project::{Fingerprint, Ingredients, Kind, Params, Project, Refit, Relation, Stage, value_text};

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
    /// What each stored stage's result is made of, by stage: what its fingerprints hash, days taken together.
    pub made_of: BTreeMap<String, Ingredients>,
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
    /// Fingerprints of all stages, in their order. Rows that name the run depend on its id, and the id on
    /// everything else.
    pub fn plan(&self) -> RunPlan {
        let run_id = self.run_id(&self.plan_as(""));
        self.plan_as(&run_id)
    }

    fn plan_as(&self, run_id: &str) -> RunPlan {
        let mut plan = RunPlan {
            as_of: self.as_of,
            run_id: run_id.to_string(),
            parts: BTreeMap::new(),
            made_of: BTreeMap::new(),
            models: BTreeMap::new(),
        };
        for stage in self.project.stages.iter().filter(|s| s.store != crate::project::Store::View) {
            let mut made_of = self.common_to_parts(stage, &plan);
            made_of.extend(self.inputs_of(stage, &plan));
            if stage.is_model() {
                let model = self.model(stage, &plan);
                if let Some(kept) = self.last.and_then(|last| last.kept_from(&stage.name, &model)) {
                    made_of = kept;
                }
                plan.parts.insert(
                    stage.name.clone(),
                    BTreeMap::from([(None, Fingerprint(model.fingerprint.clone()))]),
                );
                plan.models.insert(stage.name.clone(), model);
            } else {
                let parts = self.stage_parts(stage, &plan);
                plan.parts.insert(stage.name.clone(), parts);
            }
            plan.made_of.insert(stage.name.clone(), made_of);
        }
        plan
    }

    /// A carried model keeps its fingerprint, whatever its inputs became, until its definition changes, or with every run
    /// for a stage that may train it anew. A model that follows the one before depends on it.
    fn model(&self, stage: &Stage, plan: &RunPlan) -> CarriedModel {
        let definition = Fingerprint::of_ingredients(&self.project.model_definition(&stage.name)).0;
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
        let common = Fingerprint::of_ingredients(&self.common_to_parts(stage, plan));
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
        let common = Fingerprint::of_ingredients(&self.common_to_parts(stage, plan));
        self.part_fingerprint(&common, &inputs, part, plan)
    }

    /// What the fingerprints of all parts of a stage share: its definition and its parameters.
    fn common_to_parts(&self, stage: &Stage, plan: &RunPlan) -> Ingredients {
        let mut made_of = self.project.definition(&stage.name);
        for param in self.project.params_used(&stage.name) {
            let model = self.project.models().find(|(name, _)| *name == param).map(|(_, stage)| &stage.name);
            let (name, value) = match model.and_then(|name| Some((name, plan.models.get(name)?))) {
                Some((name, model)) => (format!("model {name}"), model.fingerprint.clone()),
                None if param == "run_id" => ("run_id".into(), plan.run_id.clone()),
                None if param == "as_of" => ("as_of".into(), as_of_text(self.as_of)),
                None => {
                    (format!("setting {param}"), self.params.get(&param).map(value_text).unwrap_or_default())
                }
            };
            made_of.insert(name, value);
        }
        made_of
    }

    fn part_fingerprint(
        &self,
        common: &Fingerprint,
        inputs: &BTreeSet<Relation>,
        part: Part,
        plan: &RunPlan,
    ) -> Fingerprint {
        let mut hashed = vec![common.0.clone()];
        for relation in inputs {
            let part = part.filter(|_| self.project.by_day(relation));
            hashed.push(format!("{relation:?}"));
            hashed.push(self.input(relation, part, plan));
        }
        Fingerprint::of(hashed)
    }

    /// What a stage's inputs are, by name: all that its fingerprints hash beside what its parts share.
    fn inputs_of(&self, stage: &Stage, plan: &RunPlan) -> Ingredients {
        let mut made_of = Ingredients::new();
        for relation in self.project.stored_inputs(&stage.name) {
            let name = match &relation {
                Relation::Source(name) | Relation::Stage(name) => name.clone(),
                Relation::Quarantine(name) => format!("rejected {name}"),
                Relation::Carried(name) => format!("published {name}"),
                Relation::Previous(_) => continue,
            };
            made_of.insert(format!("input {name}"), self.input(&relation, None, plan));
        }
        made_of
    }

    fn input(&self, relation: &Relation, part: Part, plan: &RunPlan) -> String {
        match relation {
            Relation::Source(name) => {
                let files = super::files_of(self.sources, name, part);
                let cut = files.is_cut_by(self.as_of).then_some(self.as_of);
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

    /// A hash of all that decides rows: `as_of`, definitions, settings, carried state and the identity of the
    /// input files known at `as_of`, all of which are in the fingerprints of a plan that does not name the
    /// run yet. The same for a first run, a full refresh and an incremental run.
    fn run_id(&self, unnamed: &RunPlan) -> String {
        let mut hashed = vec![self.project.name.clone(), as_of_text(self.as_of)];
        hashed
            .extend(self.project.settings.iter().flat_map(|(name, value)| [name.clone(), value_text(value)]));
        hashed.extend(self.sources.iter().flat_map(|(name, files)| [name.clone(), files.fingerprint().0]));
        for (stage, parts) in &unnamed.parts {
            hashed.push(stage.clone());
            hashed.extend(parts.values().map(|print| print.0.clone()));
        }
        Fingerprint::of(hashed).0[..16].to_string()
    }
}

/// An instant as it stands in manifests and as partition value.
pub fn as_of_text(as_of: i64) -> String {
    chrono::DateTime::from_timestamp_micros(as_of)
        .map(|instant| instant.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
        .unwrap_or_default()
}
