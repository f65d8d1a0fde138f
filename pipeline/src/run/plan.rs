//! Which results a run needs: the fingerprint of every stage and day, known before anything is computed.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use super::Sources;
use super::history::{CarriedModel, CarriedState, Inherited};
use super::pseudonyms::FormerResults;
use super::publish::ALL;
use super::redelivered::Redelivered;
use crate::project::{
    Fingerprint, Ingredients, Kind, MODELS, Params, Project, Publish, Refit, Relation, Stage, value_text,
};

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
    /// What the next run inherits.
    pub carried: CarriedState,
}

/// What fingerprints are made from.
pub struct Planner<'a> {
    pub project: &'a Project,
    pub sources: &'a Sources,
    /// Rows delivered again, by source.
    pub redelivered: &'a BTreeMap<String, Redelivered>,
    /// Values of the parameters, models left out.
    pub params: &'a Params,
    pub as_of: i64,
    pub inherited: &'a Inherited,
    /// Whether the lake forgets the models that it carries.
    pub resets: bool,
    /// What runs under other pseudonym keys left, if the key changes with this `as_of`.
    pub former: &'a [FormerResults],
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
            carried: CarriedState::default(),
        };
        for stage in self.project.stages.iter().filter(|s| s.store != crate::project::Store::View) {
            let mut made_of = self.common_to_parts(stage, &plan);
            made_of.extend(self.inputs_of(stage, &plan));
            if stage.is_model() {
                let model = self.model(stage, &plan);
                if let Some(kept) =
                    self.inherited.last.run.as_ref().and_then(|last| last.kept_from(&stage.name, &model))
                {
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
        plan.carried = self.carried(&plan);
        plan
    }

    /// A model that is never retrained keeps its fingerprint, whatever its inputs became, until its definition changes. Every
    /// other one is made for each run; one that follows the model before it, or may stay, depends on that.
    fn model(&self, stage: &Stage, plan: &RunPlan) -> CarriedModel {
        let definition = Fingerprint::of_ingredients(&self.project.model_definition(&stage.name)).0;
        let Kind::Model { trainer, refit } = &stage.kind else { return CarriedModel::default() };
        let carried = self.inherited.models.get(&stage.name);
        let alike = carried.filter(|model| model.definition == definition);
        if let (Some(model), Refit::Never) = (alike, refit) {
            return model.clone();
        }
        let as_of = as_of_text(self.as_of);
        let made = |follows: CarriedModel| {
            let may_stay = *refit == Refit::Drifted && follows.before_is_alike;
            let parts = [
                self.fingerprint(stage, None, plan).0,
                as_of.clone(),
                follows.before.clone().unwrap_or_default(),
                may_stay.to_string(),
                follows.ids_from.to_string(),
            ];
            CarriedModel {
                definition: definition.clone(),
                fingerprint: Fingerprint::of(parts).0,
                as_of: as_of.clone(),
                knows_until: as_of.clone().max(follows.knows_until.clone()),
                ..follows
            }
        };
        // A run for the same instant does what that one did.
        if let Some(model) = alike.filter(|model| model.as_of == as_of) {
            return made(model.clone());
        }
        let followed = carried.filter(|_| trainer.follows() || *refit == Refit::Drifted);
        let follows = CarriedModel {
            before: followed.map(|model| model.fingerprint.clone()),
            before_is_alike: followed.is_some() && alike.is_some(),
            ids_from: if trainer.follows() { self.inherited.next_segment(&stage.name) } else { 0 },
            knows_until: followed.map(|model| model.knows_until.clone()).unwrap_or_default(),
            ..CarriedModel::default()
        };
        // The same training as in an earlier run for this instant gives the same ids.
        let again = self.inherited.again.as_ref().and_then(|run| run.models.get(&stage.name));
        let same = again.filter(|model| {
            made(CarriedModel { ids_from: model.ids_from, ..follows.clone() }).fingerprint
                == model.fingerprint
        });
        same.cloned().unwrap_or_else(|| made(follows))
    }

    /// What the next run inherits: of a run for an earlier instant only models of new stages, unless it starts from nothing.
    fn carried(&self, plan: &RunPlan) -> CarriedState {
        let before = self.inherited.state();
        let now = as_of_text(self.as_of);
        let mut next_segments = before.next_segments;
        next_segments.retain(|stage, _| self.project.stage(stage).is_some_and(Stage::is_model));
        if self.resets || before.as_of <= now {
            return CarriedState { as_of: now, models: plan.models.clone(), next_segments };
        }
        let mut models = plan.models.clone();
        models.extend(before.models);
        CarriedState { as_of: before.as_of, models, next_segments }
    }

    fn stage_parts(&self, stage: &Stage, plan: &RunPlan) -> BTreeMap<Part, Fingerprint> {
        if !stage.by_day {
            return BTreeMap::from([(None, self.fingerprint(stage, None, plan))]);
        }
        let common = Fingerprint::of_ingredients(&self.common_to_parts(stage, plan));
        let inputs = self.project.stored_inputs(&stage.name);
        let print = |day| self.part_fingerprint(stage, &common, &inputs, Some(day), plan);
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
                Relation::Redelivered(_)
                | Relation::Quarantine(_)
                | Relation::Carried(_)
                | Relation::Former(_)
                | Relation::Previous(_) => {}
            }
        }
        days
    }

    fn fingerprint(&self, stage: &Stage, part: Part, plan: &RunPlan) -> Fingerprint {
        let inputs = self.project.stored_inputs(&stage.name);
        let common = Fingerprint::of_ingredients(&self.common_to_parts(stage, plan));
        self.part_fingerprint(stage, &common, &inputs, part, plan)
    }

    /// What the fingerprints of all parts of a stage share: its definition and its parameters.
    fn common_to_parts(&self, stage: &Stage, plan: &RunPlan) -> Ingredients {
        let mut made_of = self.project.definition(&stage.name);
        for param in self.project.params_used(&stage.name) {
            if param == MODELS {
                let all = plan.models.iter();
                made_of.extend(all.map(|(name, model)| (format!("model {name}"), model.fingerprint.clone())));
                continue;
            }
            let model = self.project.models_of(&param).next();
            let (name, value) = match model.and_then(|model| plan.models.get_key_value(&model.name)) {
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
        stage: &Stage,
        common: &Fingerprint,
        inputs: &BTreeSet<Relation>,
        part: Part,
        plan: &RunPlan,
    ) -> Fingerprint {
        let mut hashed = vec![common.0.clone()];
        for relation in inputs {
            let part = part.filter(|_| self.project.by_day(relation));
            hashed.push(format!("{relation:?}"));
            hashed.push(self.input(stage, relation, part, plan));
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
                Relation::Former(name) => format!("former {name}"),
                Relation::Redelivered(name) => format!("redelivered {name}"),
                Relation::Previous(_) => continue,
            };
            made_of.insert(format!("input {name}"), self.input(stage, &relation, None, plan));
        }
        made_of
    }

    fn input(&self, reader: &Stage, relation: &Relation, part: Part, plan: &RunPlan) -> String {
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
            Relation::Redelivered(name) => {
                self.redelivered.get(name).map(|rows| rows.fingerprint(part)).unwrap_or_default()
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
                let table = self.inherited.last.published(stem);
                let parts = table.into_iter().flat_map(|table| &table.parts);
                let parts = parts.filter(|(part, _)| {
                    reads_carried(Some(reader), Some(part.as_str()).filter(|part| *part != ALL), &now)
                });
                Fingerprint::of(parts.map(|(part, print)| format!("{part} {print}"))).0
            }
            Relation::Former(name) => {
                let results = self.former.iter().filter_map(|results| results.get(name));
                Fingerprint::of(results.flatten().map(|(part, print)| format!("{part} {print}"))).0
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

/// Whether a stage reads what a run for the instant `part` published, in a run for `now`: a stage that rebuilds its
/// published table whole reads all other instants, every other stage and audit the earlier ones. A table without instants
/// is read whole.
pub fn reads_carried(reader: Option<&Stage>, part: Option<&str>, now: &str) -> bool {
    let rebuilds = reader.is_some_and(|stage| stage.publish == Some(Publish::All));
    part.is_none_or(|part| if rebuilds { part != now } else { part < now })
}

/// An instant as it stands in manifests and as partition value.
pub fn as_of_text(as_of: i64) -> String {
    chrono::DateTime::from_timestamp_micros(as_of)
        .map(|instant| instant.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
        .unwrap_or_default()
}
