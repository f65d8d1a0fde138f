//! From a stage's SQL to a logical plan: names resolve to the tables given, parameters to typed values.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::catalog::TableProvider;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{ParamValues, TableReference, plan_datafusion_err};
use datafusion::datasource::provider_as_source;
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::execution::SessionState;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner, TypePlanner};
use datafusion::logical_expr::{
    AggregateUDF, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF,
};
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use datafusion::sql::planner::{PlannerContext, SqlToRel};
use datafusion::sql::sqlparser::ast::Statement;

use super::diagnostic::Place;
use super::source::parser_options;
use super::sql::{StageSql, lower_first};
use crate::Result;

/// Values (and so the types) of the parameters a stage may name.
pub type Params = BTreeMap<String, ScalarValue>;

/// The names a SELECT may use: the session's functions and the relations given.
pub struct PlanNames<'a> {
    state: &'a SessionState,
    tables: BTreeMap<String, Arc<dyn TableSource>>,
}

impl<'a> PlanNames<'a> {
    /// Functions of `state`, and relations by their full name.
    pub fn new(
        state: &'a SessionState,
        tables: impl IntoIterator<Item = (String, Arc<dyn TableProvider>)>,
    ) -> Self {
        let tables = tables.into_iter().map(|(name, table)| (name, provider_as_source(table))).collect();
        PlanNames { state, tables }
    }
}

/// Plans one SELECT. A mistake in it is shown with its line.
pub fn plan_select(sql: &StageSql, names: &PlanNames<'_>, params: &Params) -> Result<LogicalPlan> {
    let fields: Vec<FieldRef> = params
        .iter()
        .map(|(name, value)| Arc::new(Field::new(name, value.data_type(), true)) as FieldRef)
        .collect();
    let mut context =
        PlannerContext::new().with_prepare_param_data_types(fields.into_iter().map(Some).collect::<Vec<_>>());
    let planner = SqlToRel::new_with_options(names, parser_options());
    let values = ParamValues::List(params.values().cloned().map(Into::into).collect());
    planner
        .sql_statement_to_plan_with_context(Statement::Query(sql.query.clone()), &mut context)
        .and_then(|plan| plan.replace_params_with_values(&values))
        .map_err(|error| refuse_plan(sql, &error))
}

/// A planning error as a refusal at the place the planner names.
pub fn refuse_plan(sql: &StageSql, error: &DataFusionError) -> crate::Error {
    let (message, meant) = tidy(&error.strip_backtrace());
    let diagnostic = error.diagnostic();
    let place =
        diagnostic.and_then(|d| d.span).map(Place::from).unwrap_or_else(|| quoted_place(sql, &message));
    let help = meant
        .or_else(|| diagnostic.and_then(|d| d.helps.first().map(|help| lower_first(&help.message))))
        .map(|help| help.replace("like ANY_VALUE(", "like min("))
        .unwrap_or_else(|| "`strata explain STAGE` shows the columns and types of a stage's inputs".into());
    sql.refuse(place, message, help).into()
}

/// The planner's message without its kind, and what it thinks was meant.
fn tidy(said: &str) -> (String, Option<String>) {
    let kinds = ["Error during planning: ", "Schema error: ", "SQL error: ", "type_coercion", "caused by"];
    let mut message = said.trim();
    while let Some(rest) = kinds.iter().find_map(|kind| message.strip_prefix(kind)) {
        message = rest.trim_start();
    }
    let message =
        message.replace("This feature is not implemented: ", "not supported: ").replace(['\n', '\t'], " ");
    match message.split_once("Did you mean ") {
        Some((before, meant)) => {
            (lower_first(before.trim_end_matches(['.', ' '])), Some(format!("did you mean {meant}")))
        }
        None => (lower_first(&message), None),
    }
}

/// Where the first quoted name of a message stands in the file.
fn quoted_place(sql: &StageSql, message: &str) -> Place {
    message
        .split(['\'', '`', '"'])
        .skip(1)
        .step_by(2)
        .map(|name| Place::find(&sql.text, name.rsplit('.').next().unwrap_or(name)))
        .find(|place| *place != Place::TOP)
        .unwrap_or(Place::TOP)
}

impl ContextProvider for PlanNames<'_> {
    fn get_table_source(&self, name: TableReference) -> PlanResult<Arc<dyn TableSource>> {
        let full = match &name {
            TableReference::Bare { table } => table.to_string(),
            TableReference::Partial { schema, table } => format!("{schema}.{table}"),
            TableReference::Full { .. } => name.to_string(),
        };
        self.tables.get(&full).cloned().ok_or_else(|| plan_datafusion_err!("there is no relation `{full}`"))
    }

    /// Table functions are those of the session (`unnest`, `generate_series`, `range`).
    fn get_table_function_source(
        &self,
        name: &str,
        args: Vec<datafusion::logical_expr::Expr>,
    ) -> PlanResult<Arc<dyn TableSource>> {
        let context = SessionContext::new_with_state(self.state.clone());
        let function = context.table_function(name)?;
        let args = datafusion::catalog::TableFunctionArgs::new(&args, self.state);
        Ok(provider_as_source(function.create_table_provider_with_args(args)?))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        self.state.relation_planners()
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        None
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.state.scalar_functions().get(name).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _variable_names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.state.window_functions().keys().cloned().collect()
    }
}
