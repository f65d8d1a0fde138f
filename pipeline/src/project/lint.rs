//! What stage SQL may not contain, because its answer would depend on more than the rows.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{
    Expr as PlanExpr, ExprSchemable, LogicalPlan, Volatility, WindowFunctionDefinition,
};
use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, Function, FunctionArgumentClause, FunctionArguments, Ident, LimitClause,
    NamedWindowDefinition, NamedWindowExpr, ObjectNamePart, Query, Select, SelectFlavor, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, Spanned, TableFactor, TableWithJoins, Visit, Visitor,
    WindowSpec, WindowType,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::diagnostic::{Diagnostic, Place};
use super::sql::{StageSql, ident_text, name_text};
use crate::Result;

const CLOCKS: &[&str] =
    &["now", "current_date", "current_time", "current_timestamp", "today", "localtime", "localtimestamp"];
const DICE: &[&str] = &["random", "rand", "uuid", "gen_random_uuid"];
const ORDERED: &[&str] = &[
    "array_agg",
    "string_agg",
    "first_value",
    "last_value",
    "nth_value",
    "row_number",
    "ntile",
    "lag",
    "lead",
];
const FLOAT_SUMS: &[&str] = &["sum", "avg", "mean"];
const FLOAT_MOMENTS: &[&str] = &["var", "stddev", "corr", "covar", "regr_"];

/// Refuses clocks, dice, sketches, unordered collections, LIMIT without ORDER BY and `select *` over a stage.
pub fn lint_sql(sql: &StageSql) -> Result<()> {
    let mut linter = Linter { sql, ctes: BTreeSet::new(), windows: BTreeMap::new() };
    match sql.query.visit(&mut linter) {
        ControlFlow::Break(refusal) => Err((*refusal).into()),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Refuses what only types tell: sums, averages and moments of floats, which depend on the order of rows, and
/// functions of more than their arguments.
pub fn lint_plan(sql: &StageSql, plan: &LogicalPlan) -> Result<()> {
    let mut found: Option<Diagnostic> = None;
    let walked = plan.apply_with_subqueries(|node| {
        let schema = node.inputs().first().map_or(node.schema(), |input| input.schema()).clone();
        node.apply_expressions(|expr| {
            expr.apply(|inner| {
                found = refuse_call(sql, inner, &schema);
                Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })
        })
    });
    walked.map_err(|error| super::plan::refuse_plan(sql, &error))?;
    found.map_or(Ok(()), |refusal| Err(refusal.into()))
}

fn refuse_call(sql: &StageSql, expr: &PlanExpr, schema: &DFSchema) -> Option<Diagnostic> {
    let (name, aliases, args) = match expr {
        PlanExpr::AggregateFunction(f) => (f.func.name(), f.func.aliases().to_vec(), &f.params.args),
        PlanExpr::WindowFunction(f) => {
            let aliases = match &f.fun {
                WindowFunctionDefinition::AggregateUDF(udf) => udf.aliases().to_vec(),
                WindowFunctionDefinition::WindowUDF(udf) => udf.aliases().to_vec(),
            };
            (f.fun.name(), aliases, &f.params.args)
        }
        PlanExpr::ScalarFunction(f) if f.func.signature().volatility != Volatility::Immutable => {
            let (written, place) = place_of_call(sql, f.name(), f.func.aliases(), &f.args);
            let message = format!("`{written}` depends on more than its arguments");
            return Some(sql.refuse(place, message, "derive the value from the row's own columns"));
        }
        _ => return None,
    };
    let of_type =
        |wanted: fn(&DataType) -> bool| args.iter().any(|arg| arg.get_type(schema).is_ok_and(|t| wanted(&t)));
    let is_moment = FLOAT_MOMENTS.iter().any(|prefix| name.starts_with(prefix));
    let is_average = name == "avg" || name == "mean";
    let adds_floats = FLOAT_SUMS.contains(&name) && of_type(DataType::is_floating);
    if !(is_moment || adds_floats || (is_average && of_type(DataType::is_integer))) {
        return None;
    }
    let (written, place) = place_of_call(sql, name, &aliases, args);
    let message =
        format!("`{written}` adds floating-point numbers, so its result depends on the order of rows");
    let help = if is_moment {
        "compute it from sums and products of decimals or of integers"
    } else {
        "cast the argument to decimal or to an integer in fixed point first"
    };
    Some(sql.refuse(place, message, help))
}

/// How a call is written, by its name or an alias, and where: the last such name before the first column in it.
fn place_of_call(sql: &StageSql, name: &str, aliases: &[String], args: &[PlanExpr]) -> (String, Place) {
    let columns = args.iter().flat_map(PlanExpr::column_refs);
    let column = columns.filter_map(|column| column.spans().first()).map(Place::from).min();
    let names = std::iter::once(name).chain(aliases.iter().map(String::as_str));
    let calls =
        names.flat_map(|name| Place::calls(&sql.text, name).into_iter().map(move |place| (place, name)));
    let mut calls: Vec<(Place, &str)> = calls.collect();
    calls.sort();
    let before = calls.iter().rev().find(|(place, _)| column.is_some_and(|column| *place < column));
    match before.or(calls.first()) {
        Some((place, written)) => (written.to_string(), *place),
        None => (name.to_string(), column.unwrap_or(Place::code(&sql.text))),
    }
}

struct Linter<'a> {
    sql: &'a StageSql,
    ctes: BTreeSet<String>,
    /// Named windows, and whether each has an ORDER BY.
    windows: BTreeMap<String, bool>,
}

type Refusal = ControlFlow<Box<Diagnostic>>;

impl Linter<'_> {
    fn refuse(&self, place: Place, message: String, help: &str) -> Refusal {
        ControlFlow::Break(Box::new(self.sql.refuse(place, message, help)))
    }

    fn check_function(&self, function: &Function) -> Refusal {
        let name = name_text(&function.name);
        let place: Place = function.name.span().into();
        let refuse = |why: &str, help: &str| self.refuse(place, format!("`{name}` {why}"), help);
        if CLOCKS.contains(&name.as_str()) {
            return refuse("depends on when the stage runs", "use the parameter `$as_of`");
        }
        if DICE.contains(&name.as_str()) {
            return refuse(
                "gives another answer each time",
                "derive the value from a key, as with `row_hash(key)`",
            );
        }
        if name.starts_with("approx_") {
            return refuse("depends on the order of rows", "use the exact function");
        }
        if name == "any_value" {
            return refuse("takes whichever row comes first", "use min or max, or first_value with ORDER BY");
        }
        let ordered_by_window = match &function.over {
            Some(WindowType::WindowSpec(spec)) => self.is_ordered(spec),
            Some(WindowType::NamedWindow(name)) => self.is_ordered_window(name),
            None => false,
        };
        let ordered_within = !function.within_group.is_empty()
            || match &function.args {
                FunctionArguments::List(list) => {
                    list.clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)))
                }
                _ => false,
            };
        if ORDERED.contains(&name.as_str()) && !ordered_by_window && !ordered_within {
            let help = match &function.over {
                Some(_) => "add ORDER BY over columns that leave no ties to the window",
                None => "add ORDER BY over columns that leave no ties, inside the call",
            };
            return refuse("without ORDER BY depends on the order of rows", help);
        }
        ControlFlow::Continue(())
    }

    fn is_ordered(&self, spec: &WindowSpec) -> bool {
        !spec.order_by.is_empty()
            || spec.window_name.as_ref().is_some_and(|name| self.is_ordered_window(name))
    }

    fn is_ordered_window(&self, name: &Ident) -> bool {
        self.windows.get(&ident_text(name)).copied().unwrap_or(false)
    }

    /// A window's name may be used again in another SELECT: it counts as ordered when it is so everywhere.
    fn learn_windows(&mut self, select: &Select) {
        for NamedWindowDefinition(name, definition) in &select.named_window {
            let ordered = match definition {
                NamedWindowExpr::WindowSpec(spec) => self.is_ordered(spec),
                NamedWindowExpr::NamedWindow(other) => self.is_ordered_window(other),
            };
            self.windows.entry(ident_text(name)).and_modify(|known| *known &= ordered).or_insert(ordered);
        }
    }

    fn check_wildcard(&self, select: &Select) -> Refusal {
        let mut stages = Vec::new();
        for from in &select.from {
            self.stages_in(from, &mut stages);
        }
        let refuse = |place: Place| {
            let message = "`select *` across a stage boundary changes with its input".into();
            self.refuse(place, message, "name the columns")
        };
        for item in &select.projection {
            match item {
                SelectItem::Wildcard(_) if !stages.is_empty() => return refuse(item.span().into()),
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _)
                    if stages.iter().any(|stage| name_text(name).ends_with(stage)) =>
                {
                    return refuse(item.span().into());
                }
                _ => {}
            }
        }
        match select.flavor {
            SelectFlavor::FromFirstNoSelect if !stages.is_empty() => refuse(Place::code(&self.sql.text)),
            _ => ControlFlow::Continue(()),
        }
    }

    /// The names by which a FROM item's stages are called in its SELECT.
    fn stages_in(&self, from: &TableWithJoins, found: &mut Vec<String>) {
        for factor in std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)) {
            match factor {
                TableFactor::Table { name, alias, .. } if !self.ctes.contains(&name_text(name)) => {
                    let called = alias.as_ref().map(|alias| ident_text(&alias.name));
                    let stem = || name.0.last().and_then(ObjectNamePart::as_ident).map(ident_text);
                    found.extend(called.or_else(stem));
                }
                TableFactor::NestedJoin { table_with_joins, .. } => self.stages_in(table_with_joins, found),
                _ => {}
            }
        }
    }
}

impl Visitor for Linter<'_> {
    type Break = Box<Diagnostic>;

    fn pre_visit_query(&mut self, query: &Query) -> Refusal {
        if let Some(with) = &query.with {
            self.ctes.extend(with.cte_tables.iter().map(|cte| ident_text(&cte.alias.name)));
        }
        if query.order_by.is_some() {
            return ControlFlow::Continue(());
        }
        let (what, place) = match (&query.limit_clause, &query.fetch, query.body.as_ref()) {
            (Some(LimitClause::LimitOffset { limit: None, offset: Some(offset), .. }), _, _) => {
                ("OFFSET", offset.span())
            }
            (Some(LimitClause::LimitOffset { limit: Some(limit), .. }), _, _) => ("LIMIT", limit.span()),
            (Some(limit), _, _) => ("LIMIT", limit.span()),
            (None, Some(fetch), _) => ("FETCH", fetch.span()),
            (None, None, SetExpr::Select(select)) => match &select.distinct {
                Some(Distinct::On(columns)) => {
                    ("DISTINCT ON", Span::union_iter(columns.iter().map(Spanned::span)))
                }
                _ => return ControlFlow::Continue(()),
            },
            _ => return ControlFlow::Continue(()),
        };
        let message = format!("{what} without ORDER BY takes whichever rows come first");
        self.refuse(place.into(), message, "add ORDER BY over columns that leave no ties")
    }

    fn pre_visit_select(&mut self, select: &Select) -> Refusal {
        self.learn_windows(select);
        self.check_wildcard(select)
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Refusal {
        match factor {
            TableFactor::Table { name, sample: Some(_), .. } => {
                let message = "TABLESAMPLE takes other rows each time".into();
                self.refuse(
                    name.span().into(),
                    message,
                    "choose rows by a key, as with `row_hash(key) % 10 = 0`",
                )
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Refusal {
        match expr {
            Expr::Function(function) => self.check_function(function),
            Expr::Identifier(ident)
                if CLOCKS.contains(&ident_text(ident).as_str()) && ident.quote_style.is_none() =>
            {
                self.refuse(
                    ident.span.into(),
                    format!("`{}` depends on when the stage runs", ident.value),
                    "use the parameter `$as_of`",
                )
            }
            _ => ControlFlow::Continue(()),
        }
    }
}
