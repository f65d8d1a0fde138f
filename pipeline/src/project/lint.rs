//! What stage SQL may not contain, because its answer would depend on more than the rows.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr as PlanExpr, ExprSchemable, LogicalPlan};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArgumentClause, FunctionArguments, Query, Select, SelectItem, Spanned, TableFactor,
    Visit, Visitor, WindowType,
};

use super::diagnostic::{Diagnostic, Place};
use super::sql::{StageSql, ident_text, name_text};
use crate::Result;

const CLOCKS: &[&str] = &[
    "now", "current_date", "current_time", "current_timestamp", "today", "localtime", "localtimestamp",
];
const DICE: &[&str] = &["random", "rand", "uuid", "gen_random_uuid"];
const ORDERED: &[&str] = &["array_agg", "string_agg", "first_value", "last_value", "nth_value"];
const FLOAT_SUMS: &[&str] = &["sum", "avg", "mean"];
const FLOAT_MOMENTS: &[&str] = &["var", "stddev", "corr", "covar", "regr_"];

/// Refuses clocks, dice, sketches, unordered collections, LIMIT without ORDER BY and `select *` over a stage.
pub fn lint_sql(sql: &StageSql) -> Result<()> {
    let mut linter = Linter { sql, ctes: BTreeSet::new() };
    match sql.query.visit(&mut linter) {
        ControlFlow::Break(refusal) => Err((*refusal).into()),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Refuses sums, averages and moments of floats, which depend on the order of rows.
pub fn lint_plan(sql: &StageSql, plan: &LogicalPlan) -> Result<()> {
    let mut found: Option<String> = None;
    let walked = plan.apply_with_subqueries(|node| {
        let input_schema = node.inputs().first().map(|input| input.schema().clone());
        node.apply_expressions(|expr| {
            expr.apply(|inner| {
                let (name, args) = match inner {
                    PlanExpr::AggregateFunction(f) => (f.func.name().to_string(), &f.params.args),
                    PlanExpr::WindowFunction(f) => (f.fun.name().to_string(), &f.params.args),
                    _ => return Ok(TreeNodeRecursion::Continue),
                };
                let is_float = |arg: &PlanExpr| {
                    let schema = input_schema.as_ref().unwrap_or(node.schema());
                    matches!(
                        arg.get_type(schema.as_ref()),
                        Ok(DataType::Float64 | DataType::Float32 | DataType::Float16)
                    )
                };
                let whole = |arg: &PlanExpr| {
                    let schema = input_schema.as_ref().unwrap_or(node.schema());
                    arg.get_type(schema.as_ref()).is_ok_and(|t| t.is_integer())
                };
                let moments = FLOAT_MOMENTS.iter().any(|prefix| name.starts_with(prefix));
                let sums = FLOAT_SUMS.contains(&name.as_str());
                let average_of_integers = (name == "avg" || name == "mean") && args.iter().any(whole);
                if moments || average_of_integers || (sums && args.iter().any(is_float)) {
                    found = Some(name);
                    return Ok(TreeNodeRecursion::Stop);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    walked.map_err(|error| super::plan::refuse_plan(sql, &error))?;
    match found {
        None => Ok(()),
        Some(name) => Err(sql
            .refuse(
                Place::find(&sql.text, &format!("{name}(")),
                format!("`{name}` adds floating-point numbers, so its result depends on the order of rows"),
                "cast the argument to decimal or to an integer in fixed point first",
            )
            .into()),
    }
}

struct Linter<'a> {
    sql: &'a StageSql,
    ctes: BTreeSet<String>,
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
            return refuse("gives another answer each time", "derive the value from a key, as with `row_hash(key)`");
        }
        if name.starts_with("approx_") {
            return refuse("depends on the order of rows", "use the exact function");
        }
        let ordered_by_window = match &function.over {
            Some(WindowType::WindowSpec(spec)) => !spec.order_by.is_empty(),
            Some(WindowType::NamedWindow(_)) => true,
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
            return refuse(
                "without ORDER BY depends on the order of rows",
                "add ORDER BY over columns that leave no ties, inside the call",
            );
        }
        ControlFlow::Continue(())
    }

    fn check_wildcard(&self, select: &Select) -> Refusal {
        let from_stage = select.from.iter().flat_map(|from| {
            std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation))
        });
        let crosses = from_stage.clone().any(|factor| match factor {
            TableFactor::Table { name, .. } => !self.ctes.contains(&name_text(name)),
            _ => false,
        });
        let wildcard = select.projection.iter().find(|item| {
            matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(_, _))
        });
        match wildcard {
            Some(item) if crosses => self.refuse(
                item.span().into(),
                "`select *` across a stage boundary changes with its input".into(),
                "name the columns",
            ),
            _ => ControlFlow::Continue(()),
        }
    }
}

impl Visitor for Linter<'_> {
    type Break = Box<Diagnostic>;

    fn pre_visit_query(&mut self, query: &Query) -> Refusal {
        if let Some(with) = &query.with {
            self.ctes.extend(with.cte_tables.iter().map(|cte| ident_text(&cte.alias.name)));
        }
        if (query.limit_clause.is_some() || query.fetch.is_some()) && query.order_by.is_none() {
            let place = Place::find(&self.sql.text, if query.fetch.is_some() { "fetch" } else { "limit" });
            return self.refuse(
                place,
                "LIMIT without ORDER BY takes whichever rows come first".into(),
                "add ORDER BY over columns that leave no ties",
            );
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> Refusal {
        self.check_wildcard(select)
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Refusal {
        match expr {
            Expr::Function(function) => self.check_function(function),
            Expr::Identifier(ident) if CLOCKS.contains(&ident_text(ident).as_str()) && ident.quote_style.is_none() => {
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
