//! Filters go down to where rows come from, but not below an aggregate that gives a row for no rows.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::error::Result as PlanResult;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::{Optimizer, OptimizerConfig, OptimizerRule};

/// DataFusion's logical rules, with [`KeepAboveTotals`] in place of its push-down of filters.
pub(super) fn logical_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let inner = PushDownFilter::new();
    let name = inner.name().to_string();
    let mut rules = Optimizer::new().rules;
    if let Some(rule) = rules.iter_mut().find(|rule| rule.name() == name) {
        *rule = Arc::new(KeepAboveTotals(inner));
    }
    rules
}

/// DataFusion 55 pushes a filter that names no column, as one on a constant of a `union all` becomes, below any
/// aggregate. Below one without keys it turns the row into a total of nothing instead of taking it away.
#[derive(Debug)]
struct KeepAboveTotals(PushDownFilter);

impl OptimizerRule for KeepAboveTotals {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> PlanResult<Transformed<LogicalPlan>> {
        match &plan {
            LogicalPlan::Filter(filter) if gives_totals(&filter.input) => Ok(Transformed::no(plan)),
            _ => self.0.rewrite(plan, config),
        }
    }
}

/// Whether a plan aggregates without keys, or by sets of keys of which one may be empty.
fn gives_totals(plan: &LogicalPlan) -> bool {
    match plan {
        // the push-down joins two filters into one, and goes on with that
        LogicalPlan::Filter(filter) => gives_totals(&filter.input),
        LogicalPlan::Aggregate(aggregate) => {
            let keys = &aggregate.group_expr;
            keys.is_empty() || keys.iter().any(|key| matches!(key, Expr::GroupingSet(_)))
        }
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::prelude::SessionContext;

    use crate::engine::planning_state;

    async fn rows(sql: &str) -> String {
        let context = SessionContext::new_with_state(planning_state().unwrap());
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        pretty_format_batches(&batches).unwrap().to_string()
    }

    #[tokio::test]
    async fn a_filter_takes_totals_away_and_does_not_empty_them() {
        let counts = "select 'kept' as action, count(*) as n from (values (1), (2)) as t (a)
            union all
            select 'rejected' as action, sum(a) as n from (values (3), (4)) as t (a)";
        let found = rows(&format!("select action, n from ({counts}) where action <> 'kept'")).await;
        let expected = "\
+----------+---+
| action   | n |
+----------+---+
| rejected | 7 |
+----------+---+";
        assert_eq!(found, expected);
        let none =
            rows(&format!("select n from (select action, n from ({counts}) where n > 0) where action = ''"))
                .await;
        assert!(!none.contains('0'), "{none}");
        let sets = "select a, count(*) as n from (values (1), (2)) as t (a) group by grouping sets ((a), ())";
        let found = rows(&format!("select n from ({sets}) where a = 1")).await;
        assert_eq!(found.matches("| 1").count(), 1, "{found}");
        assert!(!found.contains("| 2"), "{found}");
    }
}
