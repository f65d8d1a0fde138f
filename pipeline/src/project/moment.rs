//! When a row happened or became known, as the header of its source says: a column, or an expression of columns.

use arrow::datatypes::{DataType, TimeUnit};
use chrono_tz::Tz;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, plan_datafusion_err};
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::logical_expr::planner::ContextProvider;
use datafusion::logical_expr::{Expr, ExprSchemable, Volatility, cast, lit};
use datafusion::sql::planner::{PlannerContext, SqlToRel};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::plan::PlanNames;
use super::source::parser_options;

/// An instant that every row of a source tells of itself.
#[derive(Debug, Clone)]
pub struct Moment {
    /// As the header says it.
    pub text: String,
    /// In µs without a zone; of a date the first instant of that day in the project's time zone.
    pub instant: Expr,
    /// Whether it is a date, so that what happened on one day cannot be told apart.
    pub day_only: bool,
}

/// What is wrong with an expression that should say when.
pub(super) enum WrongMoment {
    /// It is of another type than a date or an instant.
    NoTime,
    /// It cannot be read, or depends on more than the row.
    Refused(String),
}

impl From<DataFusionError> for WrongMoment {
    fn from(error: DataFusionError) -> WrongMoment {
        WrongMoment::Refused(error.strip_backtrace())
    }
}

impl Moment {
    /// Reads an expression over the columns of a source.
    pub(super) fn parse(
        text: &str,
        schema: &DFSchema,
        names: &PlanNames<'_>,
        zone: Tz,
    ) -> Result<Moment, WrongMoment> {
        let expr = plan(text, schema, names)?;
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let (instant, day_only) = match expr.get_type(schema)? {
            found if found == micros => (expr, false),
            DataType::Timestamp(_, _) => (cast(expr, micros), false),
            DataType::Date32 => {
                let day_start = names.get_function_meta("day_start");
                let day_start = day_start.ok_or_else(|| plan_datafusion_err!("there is no `day_start`"))?;
                (day_start.call(vec![expr, lit(zone.name())]), true)
            }
            _ => return Err(WrongMoment::NoTime),
        };
        Ok(Moment { text: text.to_string(), instant, day_only })
    }

    /// The TIMESTAMP column that it is, of which files may keep statistics.
    pub fn column(&self) -> Option<&str> {
        match &self.instant {
            Expr::Column(column) => Some(&column.name),
            Expr::Cast(cast) => match cast.expr.as_ref() {
                Expr::Column(column) => Some(&column.name),
                _ => None,
            },
            _ => None,
        }
    }
}

fn plan(text: &str, schema: &DFSchema, names: &PlanNames<'_>) -> PlanResult<Expr> {
    let parsed = Parser::new(&GenericDialect {}).try_with_sql(text).and_then(|mut parser| {
        let expr = parser.parse_expr()?;
        parser.expect_token(&Token::EOF)?;
        Ok(expr)
    });
    let parsed = parsed.map_err(|error| plan_datafusion_err!("{error}"))?;
    let planner = SqlToRel::new_with_options(names, parser_options());
    let expr = planner.sql_to_expr(parsed, schema, &mut PlannerContext::new())?;
    let of_more_than_the_row = expr.exists(|part| {
        Ok(match part {
            Expr::ScalarFunction(call) => call.func.signature().volatility != Volatility::Immutable,
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) | Expr::Placeholder(_) => true,
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) => true,
            _ => false,
        })
    })?;
    match of_more_than_the_row {
        true => Err(plan_datafusion_err!("it depends on more than the row's own columns")),
        false => Ok(expr),
    }
}
