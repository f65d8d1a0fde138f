//! A project's stages over tables that a test gives: each is computed by its own SQL from what is given.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use chrono_tz::Tz;
use datafusion::catalog::TableProvider;
use datafusion::catalog::view::ViewTable;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::MemTable;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, col};
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use strata::engine::planning_state;
use strata::project::{Kind, Params, PlanNames, Project, Relation, StageSql, nearest, plan_select};
use strata::run::day_start;

use super::slt::{Rows, Runner};

/// A table that a test gives.
struct Given {
    /// All columns of the relation; those that are not given are NULL.
    table: Arc<dyn TableProvider>,
    columns: BTreeSet<String>,
}

/// A project whose stages are computed from given tables.
pub struct Stages {
    project: Project,
    state: SessionState,
    /// The same with one row a batch.
    single: SessionState,
    given: BTreeMap<String, Given>,
    params: Params,
    /// The parameters that were set.
    set: BTreeSet<String>,
}

type Outcome<T> = Result<T, String>;

/// A statement's SQL without its end and its comments.
fn bare(sql: &str) -> String {
    let lines = sql.lines().filter(|line| !line.trim_start().starts_with("--"));
    lines.collect::<Vec<_>>().join("\n").trim().trim_end_matches(';').to_string()
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Stages {
    /// The project in a folder, or a built-in one.
    pub fn new(project: &str) -> Stages {
        let state = planning_state().expect("a state");
        let project = Project::load(project, &state).expect("a project");
        let mut config = state.config().clone();
        config = config.with_batch_size(1);
        let single = SessionStateBuilder::new_from_existing(state.clone()).with_config(config).build();
        let params = project.example_params();
        Stages { project, state, single, given: BTreeMap::new(), params, set: BTreeSet::new() }
    }

    /// What a name in a test's SQL stands for.
    fn relation(&self, name: &str) -> Outcome<Relation> {
        let stages = &self.project.stages;
        if self.project.sources.contains_key(name) {
            return Ok(Relation::Source(name.to_string()));
        }
        if self.project.stage(name).is_some() {
            return Ok(Relation::Stage(name.to_string()));
        }
        let rejected = |stem: &str| stages.iter().find(|s| s.stem == stem && s.quarantine.is_some());
        if let Some(stage) = name.strip_prefix("quarantine.").and_then(rejected) {
            return Ok(Relation::Quarantine(stage.name.clone()));
        }
        if let Some(stem) = name.strip_prefix("former.")
            && let Some(stage) = stages.iter().find(|s| s.stem == stem)
        {
            return Ok(Relation::Former(stage.name.clone()));
        }
        if let Some(stage) = stages.iter().find(|s| s.stem == name && s.publish.is_some()) {
            return Ok(Relation::Carried(stage.name.clone()));
        }
        let known =
            stages.iter().map(|s| s.name.as_str()).chain(self.project.sources.keys().map(String::as_str));
        let help = nearest(name, known).map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
        Err(format!("the project has no relation `{name}`{help}"))
    }

    /// The rows of a relation: those given, else what its stage computes; none of raw tables and of what earlier runs published.
    fn table(
        &self,
        used: &str,
        relation: &Relation,
        reader: &str,
        plans: &mut BTreeMap<String, LogicalPlan>,
    ) -> Outcome<Arc<dyn TableProvider>> {
        if let Some(given) = self.given.get(used) {
            return Ok(given.table.clone());
        }
        match relation {
            Relation::Stage(name) => Ok(Arc::new(ViewTable::new(self.stage_plan(name, plans)?, None))),
            Relation::Source(_) | Relation::Carried(_) | Relation::Former(_) => {
                self.project.empty_table(relation).map_err(said)
            }
            _ => Err(format!(
                "{reader} reads `{used}`: create that table, or one between it and what is asked"
            )),
        }
    }

    fn stage_plan(&self, name: &str, plans: &mut BTreeMap<String, LogicalPlan>) -> Outcome<LogicalPlan> {
        if let Some(plan) = plans.get(name) {
            return Ok(plan.clone());
        }
        let stage = self.project.stage(name).expect("a stage of the project");
        if matches!(stage.kind, Kind::Fixpoint { .. }) {
            return Err(format!(
                "`{name}` is computed in rounds: create that table, or one between it and what is asked"
            ));
        }
        let plan = self.select(&stage.sql, self.project.inputs(name), name, Vec::new(), plans)?;
        let plan = match &stage.quarantine {
            None => plan,
            Some(rule) => {
                let kept = stage.result_schema();
                let columns = kept.fields().iter().map(|field| col(format!("\"{}\"", field.name())));
                LogicalPlanBuilder::from(plan)
                    .filter(col(format!("\"{rule}\"")).is_null())
                    .and_then(|rows| rows.project(columns.collect::<Vec<_>>()))
                    .and_then(LogicalPlanBuilder::build)
                    .map_err(said)?
            }
        };
        plans.insert(name.to_string(), plan.clone());
        Ok(plan)
    }

    fn select(
        &self,
        sql: &StageSql,
        inputs: &BTreeMap<String, Relation>,
        reader: &str,
        mut tables: Vec<(String, Arc<dyn TableProvider>)>,
        plans: &mut BTreeMap<String, LogicalPlan>,
    ) -> Outcome<LogicalPlan> {
        for (used, relation) in inputs {
            tables.push((used.clone(), self.table(used, relation, reader, plans)?));
        }
        plan_select(sql, &PlanNames::new(&self.state, tables), &self.params).map_err(said)
    }

    /// All stages that relations lead to through what is not given.
    fn reached(&self, relations: &BTreeMap<String, Relation>) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open: Vec<(String, Relation)> = relations.clone().into_iter().collect();
        while let Some((used, relation)) = open.pop() {
            if let Relation::Stage(name) = relation
                && !self.given.contains_key(&used)
                && found.insert(name.clone())
            {
                open.extend(self.project.inputs(&name).clone());
            }
        }
        found
    }

    /// Trains the models that `params` name and that no test set, on what is given.
    async fn train(&mut self, params: BTreeSet<String>) -> Outcome<()> {
        for param in params {
            let Some((_, stage)) = self.project.models().find(|(name, _)| *name == param) else { continue };
            if self.set.contains(&param) {
                continue;
            }
            let Kind::Model { trainer, .. } = stage.kind.clone() else { continue };
            let (sql, name) = (stage.sql.clone(), stage.name.clone());
            let inputs = self.project.inputs(&name).clone();
            let columns: Vec<String> = stage.schema.fields().iter().map(|f| f.name().clone()).collect();
            Box::pin(self.train_for(&sql, &inputs)).await?;
            let plan = self.select(&sql, &inputs, &name, Vec::new(), &mut BTreeMap::new())?;
            self.check_given(&plan)?;
            let context = SessionContext::new_with_state(self.state.clone());
            let open = || async {
                let rows = context.execute_logical_plan(plan.clone()).await;
                let rows = rows.map_err(strata::Error::other)?;
                rows.execute_stream().await.map_err(strata::Error::other)
            };
            let trained = trainer.train(&columns, open, None).await.map_err(|e| format!("{name}: {e}"))?;
            self.params.insert(param, trained.model);
        }
        Ok(())
    }

    /// Trains the models that a SELECT leads to.
    async fn train_for(&mut self, sql: &StageSql, inputs: &BTreeMap<String, Relation>) -> Outcome<()> {
        let mut params: BTreeSet<String> = sql.params.iter().map(|(name, _)| name.clone()).collect();
        for stage in self.reached(inputs) {
            let stage = self.project.stage(&stage).expect("a stage of the project");
            params.extend(stage.sql.params.iter().map(|(name, _)| name.clone()));
        }
        if params.contains("as_of") && !self.set.contains("as_of") {
            return Err("`$as_of` is used: `set as_of = '2025-03-01'` first".into());
        }
        self.train(params).await
    }

    /// Refuses a plan that reads columns of given tables that are not given.
    fn check_given(&self, plan: &LogicalPlan) -> Outcome<()> {
        let optimized = self.state.optimize(plan).map_err(said)?;
        let mut lacking: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        optimized
            .apply_with_subqueries(|node| {
                if let LogicalPlan::TableScan(scan) = node
                    && let Some(given) = self.given.get(&scan.table_name.to_string())
                {
                    let read = scan.projected_schema.fields().iter().map(|field| field.name().clone());
                    let not_given: BTreeSet<String> =
                        read.filter(|name| !given.columns.contains(name)).collect();
                    if !not_given.is_empty() {
                        lacking.entry(scan.table_name.to_string()).or_default().extend(not_given);
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            })
            .map_err(said)?;
        if lacking.is_empty() {
            return Ok(());
        }
        let one = |(table, columns): (&String, &BTreeSet<String>)| {
            format!("`{table}` lacks {}", columns.iter().cloned().collect::<Vec<_>>().join(", "))
        };
        Err(format!(
            "columns are read that were not given: {}",
            lacking.iter().map(one).collect::<Vec<_>>().join("; ")
        ))
    }

    /// The rows of a SELECT of a test, computed with whole batches and with one row a batch.
    async fn rows(&mut self, text: &str) -> Outcome<RecordBatch> {
        let sql = StageSql::parse("case", text).map_err(said)?;
        let (mut inputs, mut audits) = (BTreeMap::new(), Vec::new());
        for (name, _) in &sql.relations {
            match self.project.audit(name) {
                Some(audit) => audits.push((name.clone(), audit.sql.clone())),
                None => {
                    inputs.insert(name.clone(), self.relation(name)?);
                }
            }
        }
        let mut tables = Vec::new();
        for (name, audit) in audits {
            let inputs = self.project.inputs(&name).clone();
            self.train_for(&audit, &inputs).await?;
            let plan = self.select(&audit, &inputs, &name, Vec::new(), &mut BTreeMap::new())?;
            tables.push((name, Arc::new(ViewTable::new(plan, None)) as Arc<dyn TableProvider>));
        }
        self.train_for(&sql, &inputs).await?;
        let plan = self.select(&sql, &inputs, "the query", tables, &mut BTreeMap::new())?;
        self.check_given(&plan)?;
        let mut found: Option<RecordBatch> = None;
        for state in [&self.state, &self.single] {
            let rows = SessionContext::new_with_state(state.clone()).execute_logical_plan(plan.clone()).await;
            let rows = rows.map_err(said)?;
            let schema = Arc::new(rows.schema().as_arrow().clone());
            let batch = concat_batches(&schema, &rows.collect().await.map_err(said)?).map_err(said)?;
            if let Some(first) = &found {
                let sorted = |batch: &RecordBatch| {
                    let mut rows = shown(batch);
                    rows.sort();
                    rows
                };
                if sorted(first) != sorted(&batch) {
                    return Err(format!("one row a batch gives\n    {}", shown(&batch).join("\n    ")));
                }
            } else {
                found = Some(batch);
            }
        }
        Ok(found.expect("it was computed"))
    }

    /// `NAME [(COLUMNS)] as SELECT`: the rows of a relation of the project, by the types it has there, in the place of what was
    /// given before.
    async fn create(&mut self, rest: &str) -> Outcome<()> {
        let form = "write `create table LAYER.NAME [(a, b)] as select ...` or `as values ...`";
        let end = rest.find(|c: char| c.is_whitespace() || c == '(').ok_or(form)?;
        let (name, rest) = rest.split_at(end);
        let (columns, rest) = match rest.trim_start().strip_prefix('(') {
            Some(inner) => inner.split_once(')').ok_or(form)?,
            None => ("", rest),
        };
        let query = rest.trim_start().strip_prefix("as").ok_or(form)?;
        let relation = self.relation(name)?;
        let batch = self.rows(query).await?;
        let names: Vec<String> = match columns.trim() {
            "" => batch.schema().fields().iter().map(|field| field.name().clone()).collect(),
            columns => columns.split(',').map(|column| column.trim().to_string()).collect(),
        };
        if names.len() != batch.num_columns() {
            return Err(format!("`{name}` has {} columns, its rows {}", names.len(), batch.num_columns()));
        }
        let schema = self.project.schema(&relation).expect("a relation of the project");
        let known: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        if let Some(column) = names.iter().find(|column| !known.contains(&column.as_str())) {
            return Err(format!("`{name}` has no column `{column}`; its columns are {}", known.join(", ")));
        }
        let values: Outcome<Vec<ArrayRef>> = schema
            .fields()
            .iter()
            .map(|field| match names.iter().position(|name| name == field.name()) {
                None => Ok(new_null_array(field.data_type(), batch.num_rows())),
                Some(at) => {
                    let options = arrow::compute::CastOptions { safe: false, ..Default::default() };
                    arrow::compute::cast_with_options(batch.column(at), field.data_type(), &options)
                        .map_err(|error| format!("`{name}`, column `{}`: {error}", field.name()))
                }
            })
            .collect();
        let batch = RecordBatch::try_new(schema.clone(), values?).map_err(said)?;
        let table = MemTable::try_new(schema, vec![vec![batch]]).map_err(said)?;
        let given = Given { table: Arc::new(table), columns: names.into_iter().collect() };
        self.given.insert(name.to_string(), given);
        Ok(())
    }

    /// `NAME = VALUE`: a setting, `as_of` (a date or an instant with its offset), or another parameter, a model too.
    async fn set(&mut self, rest: &str) -> Outcome<()> {
        let (name, value) = rest.split_once('=').ok_or("write `set NAME = VALUE`")?;
        let name = name.trim().trim_start_matches("strata.");
        let Some(example) = self.params.get(name) else {
            let help = nearest(name, self.params.keys().map(String::as_str));
            let help = help.map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
            return Err(format!("there is no parameter `{name}`{help}"));
        };
        let data_type = example.data_type();
        let batch = self.rows(&format!("select {value}")).await?;
        let value = ScalarValue::try_from_array(batch.column(0), 0).map_err(said)?;
        let value = match name {
            "as_of" => self.instant(&value.to_string())?,
            _ => value.cast_to(&data_type).map_err(|error| format!("`{name}` is {data_type}: {error}"))?,
        };
        self.params.insert(name.to_string(), value);
        self.set.insert(name.to_string());
        Ok(())
    }

    fn instant(&self, text: &str) -> Outcome<ScalarValue> {
        let zone = self.params.get("time_zone").map(ToString::to_string).unwrap_or_default();
        let zone: Tz = zone.parse().map_err(said)?;
        let date = text.parse::<NaiveDate>().map(|date| day_start(date, zone));
        let instant = |_| DateTime::parse_from_rfc3339(text).map(|at| at.to_utc());
        let plain = |_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").map(|at| at.and_utc());
        let instant = date.or_else(instant).or_else(plain).map_err(|_| {
            format!("as_of `{text}` is no date, nor an instant like 2025-03-01T04:00:00Z or 2025-03-01 04:00:00 (UTC)")
        })?;
        Ok(ScalarValue::TimestampMicrosecond(Some(instant.timestamp_micros()), None))
    }
}

impl Runner for Stages {
    async fn statement(&mut self, sql: &str) -> Outcome<()> {
        let sql = bare(sql);
        let after = |start: &str| sql.strip_prefix(start).map(str::trim_start);
        if let Some(rest) = after("create or replace table ").or(after("create table ")) {
            self.create(rest).await
        } else if let Some(rest) = after("set ") {
            self.set(rest).await
        } else if let Some(name) = after("drop table ") {
            self.given.remove(name).map(|_| ()).ok_or_else(|| format!("there is no table `{name}`"))
        } else {
            Err("statements are `create [or replace] table`, `drop table` and `set NAME = VALUE`".into())
        }
    }

    async fn query(&mut self, sql: &str) -> Outcome<Rows> {
        let batch = self.rows(&bare(sql)).await?;
        let letter = |data_type: &DataType| match data_type {
            DataType::Boolean => 'B',
            DataType::Date32 => 'D',
            DataType::Timestamp(..) => 'P',
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => 'T',
            other if other.is_integer() => 'I',
            other if other.is_numeric() => 'R',
            _ => '?',
        };
        let types = batch.schema().fields().iter().map(|field| letter(field.data_type())).collect();
        Ok(Rows { types, rows: shown(&batch) })
    }
}

/// Rows as text, values set apart by spaces.
fn shown(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let columns: Vec<ArrayRef> = batch
        .columns()
        .iter()
        .map(|column| match column.data_type() {
            DataType::Utf8View => cast(column, &DataType::Utf8).expect("text"),
            _ => column.clone(),
        })
        .collect();
    let formats: Vec<ArrayFormatter<'_>> = columns
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).expect("a format"))
        .collect();
    let value = |format: &ArrayFormatter<'_>, row| match format.value(row).to_string() {
        text if text.is_empty() => "(empty)".to_string(),
        text => text.replace('\n', "\\n"),
    };
    let row = |row| formats.iter().map(|format| value(format, row)).collect::<Vec<_>>().join(" ");
    (0..batch.num_rows()).map(row).collect()
}
