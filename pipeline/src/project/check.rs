//! Checks of a loaded project: what headers and settings name must exist and fit.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;

use super::diagnostic::{Diagnostic, Place, nearest};
use super::files::ProjectFiles;
use super::{MODELS, Project, Publish, Relation, Stage, StageSql, Store};
use crate::Result;

/// Parameters that differ from run to run, so that days computed once may not depend on them.
const OF_THE_RUN: &[&str] = &["as_of", "run_id", MODELS];

/// What is let pass changes no result, so only audits may ask.
fn check_accepted(stage: &Stage) -> Result<()> {
    match stage.sql.params.iter().find(|(name, _)| name == "accept_drift") {
        None => Ok(()),
        Some((_, place)) => {
            let message = "a stage may not use `$accept_drift`: its result would depend on how it was run";
            Err(stage.sql.refuse(*place, message, "use it in an audit").into())
        }
    }
}

impl Project {
    /// Refuses what daily stages may not use, wrong `accounts`, and settings that nothing reads.
    pub(super) fn check_names(&self, files: &ProjectFiles) -> Result<()> {
        for stage in &self.stages {
            self.check_daily(stage)?;
            self.check_model(stage)?;
            self.check_accounts(stage)?;
            check_accepted(stage)?;
        }
        self.check_settings(files)
    }

    fn check_daily(&self, stage: &Stage) -> Result<()> {
        let used = self.params_used(&stage.name);
        let Some(param) = OF_THE_RUN.iter().find(|param| used.contains(**param)) else { return Ok(()) };
        if stage.store != Store::Daily {
            return Ok(());
        }
        let own = stage.sql.params.iter().find(|(name, _)| name == param);
        let (through, place) = match own {
            Some((_, place)) => (String::new(), *place),
            None => self.view_that_uses(&stage.sql, stage, param),
        };
        let message =
            format!("a daily stage may not use `${param}`{through}: its days are computed once and kept");
        let help = "compare with the row's own `ingested_at`, or use `store: table`";
        Err(stage.sql.refuse(place, message, help).into())
    }

    /// The id of a run is a hash of the models that the run uses, so none may depend on it.
    fn check_model(&self, stage: &Stage) -> Result<()> {
        if !stage.is_model() {
            return Ok(());
        }
        let mut learns_from = self.below(&stage.name, |_, _| true);
        learns_from.insert(stage.name.clone());
        let Some(below) = learns_from.iter().find(|name| self.params_used(name).contains("run_id")) else {
            return Ok(());
        };
        let message = format!("a model may not learn from `$run_id`, which `{below}` uses");
        let help = "the id of a run follows from its models; name the run in a stage that no model reads";
        Err(stage.sql.refuse(Place::TOP, message, help).into())
    }

    /// The view by which a stage comes to use a parameter.
    fn view_that_uses(&self, sql: &StageSql, stage: &Stage, param: &str) -> (String, Place) {
        self.inputs(&stage.name)
            .iter()
            .find_map(|(used, relation)| match relation {
                Relation::Stage(view)
                    if self.stage(view).is_some_and(|s| s.store == Store::View)
                        && self.params_used(view).contains(param) =>
                {
                    let place = sql.relations.iter().find(|(name, _)| name == used).map(|(_, place)| *place);
                    Some((format!(", which the view `{view}` does"), place.unwrap_or(Place::TOP)))
                }
                _ => None,
            })
            .unwrap_or((String::new(), Place::TOP))
    }

    fn check_accounts(&self, stage: &Stage) -> Result<()> {
        let Some(name) = stage.accounts.as_ref().filter(|name| !self.sources.contains_key(*name)) else {
            return Ok(());
        };
        let help = match nearest(name, self.sources.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "name the source as in SQL: `raw.NAME`".into(),
        };
        let message = format!("`accounts` names `{name}`, which is no source");
        Err(stage.sql.refuse(stage.header.place("accounts"), message, help).into())
    }

    /// A setting that no SQL names is a slip of the pen, unless the project that is extended has it too.
    fn check_settings(&self, files: &ProjectFiles) -> Result<()> {
        let stages = self.stages.iter().map(|stage| &stage.sql);
        let audits = self.audits.iter().map(|audit| &audit.sql);
        let in_sql = stages.chain(audits).flat_map(|sql| sql.params.iter().map(|(name, _)| name.as_str()));
        let contracts = self.sources.values().filter_map(|source| source.header.get("redelivered_within"));
        let in_contracts = contracts.filter_map(|days| days.strip_prefix('$'));
        let used: BTreeSet<&str> = in_sql.chain(in_contracts).collect();
        for name in &files.new_settings {
            if self.stages.iter().any(|stage| stage.is_model() && stage.stem == *name) {
                let message = format!("setting `{name}` has the name of a model");
                return Err(files
                    .refuse(name, message, "choose another name: both are read as `$name`")
                    .into());
            }
            if !used.contains(name.as_str()) {
                let others = self.settings.keys().map(String::as_str).filter(|other| other != name);
                let help = match nearest(name, others) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("remove it, or name it as `${name}` in a stage"),
                };
                return Err(files.refuse(name, format!("no SQL uses the setting `{name}`"), help).into());
            }
        }
        Ok(())
    }
}

impl Stage {
    /// Holds the columns that the header names against those that the SELECT gives.
    pub(super) fn check_columns(&self) -> Result<()> {
        let one =
            |key: &'static str, column: &Option<String>| column.iter().map(|c| (key, c.clone())).collect();
        let named: [Vec<(&'static str, String)>; 5] = [
            self.grain.iter().map(|c| ("grain", c.clone())).collect(),
            one("day", &self.day),
            one("quarantine", &self.quarantine),
            one("weight", &self.weight),
            self.partition_by.iter().map(|c| ("partition_by", c.clone())).collect(),
        ];
        for (key, column) in named.into_iter().flatten() {
            if self.schema.field_with_name(&column).is_err() {
                let columns: Vec<&str> = self.schema.fields().iter().map(|f| f.name().as_str()).collect();
                let message = format!("`{key}` names column `{column}`, which the SELECT does not give");
                let help = match nearest(&column, columns.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`? columns: {}", columns.join(", ")),
                    None => format!("columns: {}", columns.join(", ")),
                };
                return Err(self.sql.refuse(self.header.place(key), message, help).into());
            }
        }
        let is_date =
            |c: &String| self.schema.field_with_name(c).is_ok_and(|f| f.data_type() == &DataType::Date32);
        if let Some(day) = self.day.as_ref().filter(|day| !is_date(day)) {
            let message = format!("day column `{day}` is no DATE");
            return Err(self.sql.refuse(self.header.place("day"), message, "cast it to date").into());
        }
        if self.publish == Some(Publish::AsOf) && self.schema.field_with_name("as_of").is_err() {
            let message = "a table published by `as_of` has no column `as_of`";
            return Err(self
                .sql
                .refuse(Place::TOP, message, "select `$as_of as as_of`, or `publish: all`")
                .into());
        }
        self.check_features()
    }

    /// A model learns from a key and at least one number.
    fn check_features(&self) -> Result<()> {
        if !self.is_model() {
            return Ok(());
        }
        let help = "a model stage selects a key, then one or more columns of numbers";
        let place = Place::code(&self.sql.text);
        let features = self.schema.fields().get(1..).unwrap_or_default();
        if features.is_empty() {
            return Err(self.sql.refuse(place, "the model has no feature to learn from", help).into());
        }
        for field in features {
            let data_type = field.data_type();
            if !(data_type.is_numeric() || matches!(data_type, DataType::Boolean | DataType::Null)) {
                let place = Place::find_word(&self.sql.text, field.name()).unwrap_or(place);
                let message = format!("feature `{}` is {data_type}, not a number", field.name());
                return Err(self.sql.refuse(place, message, help).into());
            }
        }
        Ok(())
    }
}

impl ProjectFiles {
    /// A refusal of what `project.toml` says of `name`.
    pub(super) fn refuse(
        &self,
        name: &str,
        message: impl std::fmt::Display,
        help: impl std::fmt::Display,
    ) -> Diagnostic {
        let (shown, text) = &self.toml;
        Diagnostic::new(shown, text, Place::find_word(text, name).unwrap_or(Place::TOP), message, help)
    }
}
