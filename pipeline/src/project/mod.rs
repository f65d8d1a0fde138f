//! Sources, stages and audits: parse, resolve, lint, order, and let schemas flow from the raw contracts.

mod check;
mod diagnostic;
mod files;
mod fingerprint;
mod graph;
mod header;
mod lint;
mod load;
mod models;
mod moment;
mod plan;
mod revisions;
mod source;
mod sql;
mod stage;
mod tag_line;
mod tags;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::catalog::view::ViewTable;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;
use strata_udfs::text::PseudonymKey;

pub use diagnostic::nearest;
pub use files::{ProjectFiles, built_in_names, read_text, without_mark};
pub use fingerprint::{Fingerprint, Ingredients, value_text};
pub use graph::GraphFormat;
pub use models::{MODELS, ModelUse, models_type, models_value};
pub use moment::Moment;
pub use plan::{Params, PlanNames, plan_select, refuse_plan};
pub use revisions::Revisions;
pub use source::{FOR_DAY, Format, Source};
pub use sql::{PREVIOUS, StageSql};
pub use stage::{Audit, Kind, LAYERS, Publish, Refit, Severity, Stage, Store};
pub use tags::{Domain, Tag, tags_type, tags_value};

use crate::Result;

/// The parameter that names the key of pseudonyms, by its fingerprint.
pub const PSEUDONYM_KEY: &str = "pseudonym_key";

/// What a name in a stage's SQL stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// A raw table, `raw.NAME`.
    Source(String),
    /// The rows of a raw table that share their key with a row of another day, `redelivered.NAME`; holds the table's
    /// name.
    Redelivered(String),
    /// Another stage's result, `layer.stem`.
    Stage(String),
    /// The rows a stage rejected, `quarantine.stem`; holds the stage's name.
    Quarantine(String),
    /// The result of a stage, `former.stem`, as the run before left it when this run's pseudonyms come from another key; else
    /// without rows. Holds the stage's name.
    Former(String),
    /// A published table as of earlier instants, for a stage of `publish: all` of all others; holds the stage's name.
    Carried(String),
    /// The previous round of a fixpoint stage; holds the stage's name.
    Previous(String),
}

/// A loaded, checked project. Stages stand in an order in which each follows its inputs.
#[derive(Debug, Clone)]
pub struct Project {
    pub name: String,
    pub time_zone: chrono_tz::Tz,
    pub sources: BTreeMap<String, Source>,
    pub stages: Vec<Stage>,
    pub audits: Vec<Audit>,
    /// The settings as typed parameter values, `time_zone` among them.
    pub settings: Params,
    /// What the headers of stages declare as tags, in the order of their names.
    pub tags: Vec<Tag>,
    /// What of the program decides results: those of this program, but where a test says otherwise.
    pub revisions: Revisions,
    /// Stages (by name) and the relations each reads, by the name used.
    inputs: BTreeMap<String, BTreeMap<String, Relation>>,
    /// What the plan of each stage calls, by the stage's name.
    uses: BTreeMap<String, fingerprint::Uses>,
}

impl Project {
    /// A stage by its full name.
    pub fn stage(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// The relations that a stage or audit reads directly, by the name used in its SQL.
    pub fn inputs(&self, name: &str) -> &BTreeMap<String, Relation> {
        static NONE: BTreeMap<String, Relation> = BTreeMap::new();
        self.inputs.get(name).unwrap_or(&NONE)
    }

    /// The stored relations that a stage or audit reads, views looked through.
    pub fn stored_inputs(&self, name: &str) -> BTreeSet<Relation> {
        let mut found = BTreeSet::new();
        let mut open: Vec<Relation> = self.inputs(name).values().cloned().collect();
        while let Some(relation) = open.pop() {
            match &relation {
                Relation::Stage(stage) if self.stage(stage).is_some_and(|s| s.store == Store::View) => {
                    open.extend(self.inputs(stage).values().cloned());
                }
                _ => {
                    found.insert(relation);
                }
            }
        }
        found
    }

    /// The parameters that a stage or audit names, those of the views it inlines included.
    pub fn params_used(&self, name: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for current in std::iter::once(name.to_string()).chain(self.inlined_views(name)) {
            let sql = match (self.stage(&current), self.audit(&current)) {
                (Some(stage), _) => &stage.sql,
                (None, Some(audit)) => &audit.sql,
                (None, None) => continue,
            };
            found.extend(sql.params.iter().map(|(param, _)| param.clone()));
        }
        found
    }

    /// Whether any stage or audit derives pseudonyms.
    pub fn has_pseudonyms(&self) -> bool {
        let stages = self.stages.iter().map(|stage| &stage.sql);
        let mut all = stages.chain(self.audits.iter().map(|audit| &audit.sql));
        all.any(|sql| sql.params.iter().any(|(param, _)| param == PSEUDONYM_KEY))
    }

    /// The views that are inlined into a stage or audit, directly or by other views.
    fn inlined_views(&self, name: &str) -> BTreeSet<String> {
        self.below(name, |relation, stage| {
            matches!(relation, Relation::Stage(_)) && stage.store == Store::View
        })
    }

    /// The stages whose rows a stage or audit reads, kept or rejected, through none but wanted ones.
    fn below(&self, name: &str, wanted: impl Fn(&Relation, &Stage) -> bool) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open = vec![name.to_string()];
        while let Some(current) = open.pop() {
            for relation in self.inputs(&current).values() {
                if let Relation::Stage(below) | Relation::Quarantine(below) = relation
                    && self.stage(below).is_some_and(|stage| wanted(relation, stage))
                    && found.insert(below.clone())
                {
                    open.push(below.clone());
                }
            }
        }
        found
    }

    /// An audit by its relation-like name, `audits.stem`.
    pub fn audit(&self, name: &str) -> Option<&Audit> {
        let stem = name.strip_prefix("audits.")?;
        self.audits.iter().find(|audit| audit.name == stem)
    }

    /// Model stages by the parameter that holds their model.
    pub fn models(&self) -> impl Iterator<Item = (&str, &Stage)> {
        self.stages.iter().filter(|stage| stage.is_model()).map(|stage| (stage.stem.as_str(), stage))
    }

    /// The model stages that a parameter asks for: all of them for `models`.
    pub fn models_of(&self, param: &str) -> impl Iterator<Item = &Stage> {
        self.models().filter(move |(name, _)| *name == param || param == MODELS).map(|(_, stage)| stage)
    }

    /// Whether a relation comes by day.
    pub fn by_day(&self, relation: &Relation) -> bool {
        match relation {
            Relation::Source(name) | Relation::Redelivered(name) => {
                self.sources.get(name).is_some_and(|source| source.day.is_some() && !source.absent)
            }
            Relation::Stage(name) => self.stage(name).is_some_and(|stage| stage.by_day),
            Relation::Quarantine(_) | Relation::Carried(_) | Relation::Former(_) | Relation::Previous(_) => {
                false
            }
        }
    }

    /// Columns and types of a relation.
    pub fn schema(&self, relation: &Relation) -> Option<SchemaRef> {
        match relation {
            Relation::Source(name) => self.sources.get(name).map(|source| source.schema.clone()),
            Relation::Redelivered(name) => self.sources.get(name).map(Source::redelivered_schema),
            Relation::Stage(name) | Relation::Carried(name) => self.stage(name).map(Stage::result_schema),
            Relation::Former(name) | Relation::Previous(name) => self.stage(name).map(Stage::result_schema),
            Relation::Quarantine(name) => self.stage(name).map(|stage| stage.schema.clone()),
        }
    }

    /// Plans a stage or audit over the tables that `provide` gives for stored relations; views are inlined.
    pub fn plan(
        &self,
        state: &SessionState,
        name: &str,
        params: &Params,
        provide: &dyn Fn(&Relation) -> Result<Arc<dyn TableProvider>>,
    ) -> Result<LogicalPlan> {
        let sql = match (self.stage(name), self.audit(name)) {
            (Some(stage), _) => &stage.sql,
            (None, Some(audit)) => &audit.sql,
            (None, None) => return Err(crate::Error::Usage(format!("there is no stage `{name}`"))),
        };
        let mut tables: Vec<(String, Arc<dyn TableProvider>)> = Vec::new();
        for (used, relation) in self.inputs(name) {
            let table = match relation {
                Relation::Stage(stage) if self.stage(stage).is_some_and(|s| s.store == Store::View) => {
                    let plan = self.plan(state, stage, params, provide)?;
                    Arc::new(ViewTable::new(plan, None)) as Arc<dyn TableProvider>
                }
                stored => provide(stored)?,
            };
            tables.push((used.clone(), table));
        }
        plan_select(sql, &PlanNames::new(state, tables), params)
    }

    /// The parameters that every run of the project has, whatever its data: settings and `tags`.
    pub fn own_params(&self) -> Params {
        let mut params = self.settings.clone();
        params.insert("tags".into(), tags_value(&self.tags));
        params
    }

    /// Parameter values with the right types for planning without a run: models are NULL.
    pub fn example_params(&self) -> Params {
        let mut params = self.own_params();
        params.insert("as_of".into(), ScalarValue::TimestampMicrosecond(Some(0), None));
        params.insert("run_id".into(), ScalarValue::Utf8(Some("0000000000000000".into())));
        params.insert("accept_drift".into(), ScalarValue::Boolean(Some(false)));
        params.insert(PSEUDONYM_KEY.into(), ScalarValue::Utf8(Some(PseudonymKey::demo().fingerprint())));
        let models: Vec<ModelUse> =
            self.models().filter_map(|(_, stage)| ModelUse::of(stage, None, None)).collect();
        params.insert(MODELS.into(), models_value(&models));
        for (name, stage) in self.models() {
            if let Kind::Model { trainer, .. } = &stage.kind {
                let value = ScalarValue::try_from(&trainer.output_type()).unwrap_or(ScalarValue::Null);
                params.insert(name.to_string(), value);
            }
        }
        params
    }
}

impl Stage {
    /// The columns of the rows kept: all but the quarantine rule.
    pub fn result_schema(&self) -> SchemaRef {
        let kept = self.schema.fields().iter().filter(|f| Some(f.name()) != self.quarantine.as_ref());
        Arc::new(arrow::datatypes::Schema::new(kept.cloned().collect::<Vec<_>>()))
    }
}
