//! Loading a project: read, parse, resolve names, order the stages, plan each without data.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::SessionState;

use super::diagnostic::{Diagnostic, Place, nearest};
use super::files::{ProjectFiles, RESERVED};
use super::fingerprint::Uses;
use super::lint::{lint_plan, lint_sql};
use super::source::{TYPES, columns_of};
use super::stage::{Audit, Kind, LAYERS, Stage, Store};
use super::{Params, PlanNames, Project, Relation, Revisions, Source, StageSql};
use crate::{Error, Result};

impl Project {
    /// Loads and checks a built-in project by name or a project folder. Needs no data.
    pub fn load(project: &str, state: &SessionState) -> Result<Project> {
        let files = ProjectFiles::load(project)?;
        Self::from_files(&files, state)
    }

    /// Checks the files of a project.
    pub fn from_files(files: &ProjectFiles, state: &SessionState) -> Result<Project> {
        let mut project = Project {
            name: files.name.clone(),
            time_zone: files.time_zone,
            sources: BTreeMap::new(),
            stages: Vec::new(),
            audits: Vec::new(),
            settings: files.params(),
            tags: Vec::new(),
            revisions: Revisions::current(),
            inputs: BTreeMap::new(),
            uses: BTreeMap::new(),
        };
        let names = PlanNames::new(state, []);
        for (path, (shown, text)) in &files.files {
            let stem = path.rsplit('/').next().and_then(|name| name.strip_suffix(".sql")).unwrap_or_default();
            match path.split('/').collect::<Vec<_>>().as_slice() {
                ["audits", _] => project.audits.push(Audit::parse(shown, text, stem)?),
                ["raw", _] => {
                    let zone = files.time_zone;
                    let source = Source::parse(shown, text, stem, &names, (zone, &project.settings))?;
                    project.sources.insert(source.name.clone(), source);
                }
                [layer, _] if LAYERS.contains(layer) => {
                    project.stages.push(Stage::parse(shown, text, layer, stem)?);
                }
                _ => {
                    let message = "the file lies in no layer";
                    let folder = path.split('/').next().filter(|folder| *folder != path).unwrap_or_default();
                    let folders = LAYERS.iter().copied().chain(["audits"]);
                    let help = match nearest(folder, folders).filter(|near| *near != folder) {
                        Some(near) => format!("did you mean the folder `{near}`?"),
                        None => format!("SQL files lie directly in {} or audits", LAYERS.join(", ")),
                    };
                    return Err(Diagnostic::new(shown, text, Place::TOP, message, help).into());
                }
            }
        }
        project.mark_absent(files)?;
        project.check_stems()?;
        project.read_tags()?;
        project.resolve_all()?;
        project.settle_tags();
        project.sort_stages()?;
        project.check_names(files)?;
        project.flow_schemas(state)?;
        Ok(project)
    }

    fn mark_absent(&mut self, files: &ProjectFiles) -> Result<()> {
        for name in &files.absent {
            let known: Vec<String> =
                self.sources.keys().map(|n| n.trim_start_matches("raw.").to_string()).collect();
            let Some(source) = self.sources.get_mut(&format!("raw.{name}")) else {
                let help = match nearest(name.trim_start_matches("raw."), known.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("sources are {}", known.join(", ")),
                };
                let message = format!("`absent` names `{name}`, which no raw file declares");
                return Err(files.refuse(name, message, help).into());
            };
            source.absent = true;
        }
        Ok(())
    }

    /// Models, quarantines and published tables are named by stem alone.
    fn check_stems(&self) -> Result<()> {
        let groups: [fn(&Stage) -> bool; 3] =
            [Stage::is_model, |s| s.quarantine.is_some(), |s| s.publish.is_some()];
        if let Some(stage) = self.stages.iter().find(|s| s.is_model() && RESERVED.contains(&s.stem.as_str()))
        {
            let message = format!("`{}` is a parameter of every run and cannot be a model", stage.stem);
            let help = "rename the file: a model is read as `$stem`";
            return Err(stage.sql.refuse(Place::TOP, message, help).into());
        }
        for in_group in groups {
            let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
            for stage in self.stages.iter().filter(|s| in_group(s)) {
                if let Some(other) = seen.insert(&stage.stem, &stage.name) {
                    let message = format!("`{}` and `{other}` share the name `{}`", stage.name, stage.stem);
                    let help = "rename one file: these are found by their stem";
                    return Err(stage.sql.refuse(Place::TOP, message, help).into());
                }
            }
        }
        Ok(())
    }

    fn resolve_all(&mut self) -> Result<()> {
        let mut inputs = BTreeMap::new();
        for stage in &self.stages {
            inputs.insert(stage.name.clone(), self.resolve(&stage.sql, Some(stage))?);
        }
        for audit in &self.audits {
            inputs.insert(format!("audits.{}", audit.name), self.resolve(&audit.sql, None)?);
        }
        self.inputs = inputs;
        Ok(())
    }

    fn resolve(&self, sql: &StageSql, reader: Option<&Stage>) -> Result<BTreeMap<String, Relation>> {
        let mut found = BTreeMap::new();
        for (name, place) in &sql.relations {
            let relation = self.find_relation(name, reader).ok_or_else(|| self.unknown(sql, name, *place))?;
            if let (Some(reader), Relation::Stage(read)) = (reader, &relation) {
                self.check_layers(sql, reader, read, *place)?;
            }
            found.insert(name.clone(), relation);
        }
        if let Some(Kind::Fixpoint { start, .. }) = reader.map(|stage| &stage.kind) {
            let place = Place::find(&sql.text, start);
            let relation = self.find_relation(start, None).ok_or_else(|| self.unknown(sql, start, place))?;
            found.insert(start.clone(), relation);
        }
        for (param, place) in &sql.params {
            self.check_param(sql, param, *place)?;
        }
        Ok(found)
    }

    fn find_relation(&self, name: &str, reader: Option<&Stage>) -> Option<Relation> {
        if name == super::PREVIOUS {
            let fixpoint = reader.filter(|stage| matches!(stage.kind, Kind::Fixpoint { .. }))?;
            return Some(Relation::Previous(fixpoint.name.clone()));
        }
        if self.sources.contains_key(name) {
            return Some(Relation::Source(name.to_string()));
        }
        if let Some(stem) = name.strip_prefix("redelivered.") {
            let source = format!("raw.{stem}");
            return self.sources.contains_key(&source).then_some(Relation::Redelivered(source));
        }
        if self.stages.iter().any(|stage| stage.name == name) {
            return Some(Relation::Stage(name.to_string()));
        }
        if let Some(stem) = name.strip_prefix("quarantine.") {
            let stage = self.stages.iter().find(|s| s.stem == stem && s.quarantine.is_some())?;
            return Some(Relation::Quarantine(stage.name.clone()));
        }
        if let Some(stem) = name.strip_prefix("former.") {
            let kept = |stage: &&Stage| stage.stem == stem && stage.store != Store::View && !stage.is_model();
            return self.stages.iter().find(kept).map(|stage| Relation::Former(stage.name.clone()));
        }
        let published = self.stages.iter().find(|s| s.stem == name && s.publish.is_some())?;
        Some(Relation::Carried(published.name.clone()))
    }

    fn unknown(&self, sql: &StageSql, name: &str, place: Place) -> Error {
        let quarantines = self.stages.iter().filter_map(Stage::quarantine_relation);
        let published = self.stages.iter().filter(|s| s.publish.is_some()).map(|s| s.stem.clone());
        let stages = self.stages.iter().map(|s| s.name.clone());
        let known: Vec<String> =
            self.sources.keys().cloned().chain(stages).chain(quarantines).chain(published).collect();
        let plain =
            name.strip_prefix("quarantine.").filter(|stem| self.stages.iter().any(|s| s.stem == *stem));
        let help = match (nearest(name, known.iter().map(String::as_str)), plain) {
            _ if name == super::PREVIOUS => "only a stage of `kind: fixpoint` has a previous round".into(),
            (_, Some(stem)) => {
                format!("stage `{stem}` rejects no rows: its header has no `quarantine` column")
            }
            (Some(candidate), None) => format!("did you mean `{candidate}`?"),
            (None, None) => {
                "relations are named layer.stem, as `raw.orders`; `strata graph` lists them".into()
            }
        };
        sql.refuse(place, format!("there is no relation `{name}`"), help).into()
    }

    fn check_layers(&self, sql: &StageSql, reader: &Stage, read: &str, place: Place) -> Result<()> {
        let rank = |layer: &str| LAYERS.iter().position(|l| *l == layer);
        let read_layer = read.split('.').next().unwrap_or_default();
        if rank(read_layer) > rank(&reader.layer) {
            let message = format!("`{}` reads `{read}`, which lies in a later layer", reader.name);
            let help = format!("data flows {}", LAYERS.join(" -> "));
            return Err(sql.refuse(place, message, help).into());
        }
        Ok(())
    }

    fn check_param(&self, sql: &StageSql, param: &str, place: Place) -> Result<()> {
        let params = self.example_params();
        if !params.contains_key(param) {
            let help = match nearest(param, params.keys().map(String::as_str)) {
                Some(candidate) => format!("did you mean `${candidate}`?"),
                None => "parameters are $as_of, $run_id, $time_zone, $absent, $tags, $models, $pseudonym_key, each model, and the \
                         settings of project.toml"
                    .into(),
            };
            return Err(sql.refuse(place, format!("there is no parameter `${param}`"), help).into());
        }
        Ok(())
    }

    /// Plans every stage over empty tables: schemas flow, types and columns are checked, `by_day` is settled.
    fn flow_schemas(&mut self, state: &SessionState) -> Result<()> {
        let params = self.example_params();
        let names = PlanNames::new(state, []);
        let mut uses = BTreeMap::new();
        for stage in self.stages.iter_mut().filter(|stage| stage.declares_columns()) {
            stage.schema = declared_columns(stage, &names)?;
        }
        for index in 0..self.stages.len() {
            let stage = &self.stages[index];
            let name = stage.name.clone();
            let schema = if let Kind::Fixpoint { start, .. } = &stage.kind {
                let start = self.inputs(&name).get(start).and_then(|relation| self.schema(relation));
                start.unwrap_or_else(|| Schema::empty().into())
            } else {
                let (schema, used) = self.plan_checked(state, &name, &params)?;
                uses.insert(name.clone(), used);
                schema
            };
            let by_day = stage.store != Store::Table
                && self.inputs(&name).values().any(|relation| self.by_day(relation));
            if stage.declares_columns() && columns_text(&stage.schema) != columns_text(&schema) {
                let message = "the SELECT gives other columns than the header declares";
                let help = format!(
                    "the header has {}; the SELECT gives {}; cast what differs",
                    columns_text(&stage.schema),
                    columns_text(&schema)
                );
                return Err(stage.sql.refuse(stage.header.place("columns"), message, help).into());
            }
            self.stages[index].schema = schema.clone();
            self.stages[index].by_day = by_day;
            let stage = &self.stages[index];
            stage.check_columns()?;
            stage.check_tags(&self.tags)?;
            if matches!(stage.kind, Kind::Fixpoint { .. }) {
                let (round, used) = self.plan_checked(state, &name, &params)?;
                uses.insert(name.clone(), used);
                if columns_text(&round) != columns_text(&schema) {
                    let message = "a round gives other columns than it starts from";
                    let help = format!(
                        "the start has {}; the SELECT gives {}; cast what differs",
                        columns_text(&schema),
                        columns_text(&round)
                    );
                    return Err(stage.sql.refuse(stage.header.place("start"), message, help).into());
                }
            }
        }
        self.uses = uses;
        for audit in &self.audits {
            self.plan_checked(state, &format!("audits.{}", audit.name), &params)?;
        }
        Ok(())
    }

    /// The columns of a stage or audit, and what its plan calls.
    fn plan_checked(&self, state: &SessionState, name: &str, params: &Params) -> Result<(SchemaRef, Uses)> {
        let sql = match (self.stage(name), self.audit(name)) {
            (Some(stage), _) => &stage.sql,
            (None, Some(audit)) => &audit.sql,
            (None, None) => return Err(Error::Usage(format!("there is no stage `{name}`"))),
        };
        lint_sql(sql)?;
        let plan = self.plan(state, name, params, &|relation| self.empty_table(relation))?;
        if self.stage(name).is_some() {
            lint_plan(sql, &plan)?;
        }
        let uses = Uses::of(&plan);
        let analyzed = state
            .analyzer()
            .execute_and_check(plan, state.config_options(), |_, _| {})
            .map_err(|error| super::plan::refuse_plan(sql, &error))?;
        Ok((stored_schema(analyzed.schema().as_arrow()), uses))
    }

    /// A relation without rows, for planning without data.
    pub fn empty_table(&self, relation: &Relation) -> Result<Arc<dyn TableProvider>> {
        let schema =
            self.schema(relation).ok_or_else(|| Error::other(format!("no schema for {relation:?}")))?;
        Ok(Arc::new(EmptyTable::new(schema)))
    }
}

fn columns_text(schema: &SchemaRef) -> String {
    let one = |field: &Arc<Field>| format!("{} {}", field.name(), field.data_type());
    schema.fields().iter().map(one).collect::<Vec<_>>().join(", ")
}

fn declared_columns(stage: &Stage, names: &PlanNames<'_>) -> Result<SchemaRef> {
    let declared = stage.header.get("columns").unwrap_or_default();
    columns_of(declared, names).ok_or_else(|| {
        let message = format!("`columns` is `{declared}`");
        let help = format!("write `NAME TYPE, ..`; {TYPES}");
        stage.sql.refuse(stage.header.place("columns"), message, help).into()
    })
}

/// Column types as files keep them: nullable, plain strings.
fn stored_schema(schema: &Schema) -> SchemaRef {
    let plain = |field: &Field| {
        let data_type = match field.data_type() {
            DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
            DataType::Null => DataType::Utf8,
            other => other.clone(),
        };
        Field::new(field.name(), data_type, true)
    };
    Arc::new(Schema::new(schema.fields().iter().map(|field| plain(field)).collect::<Vec<_>>()))
}
