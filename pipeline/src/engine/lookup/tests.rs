use std::sync::Arc;

use arrow::util::pretty::pretty_format_batches;
use datafusion::common::config::ConfigNonZeroUsize;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::{ExecutionPlan, collect, displayable};
use datafusion::prelude::SessionContext;

use super::LookupJoins;
use crate::engine::session::planning_state;

/// Rows of each side: keys that repeat, keys of one side only, and NULLs.
const SIDES: &str = "
    l as (select column1 as k, column2 as n, column3 as x from (values
        ('ada', 1, 10), ('ada', 1, 20), ('bo', 1, 30), ('bo', 2, 40), (null, 1, 50), ('cy', null, 60), ('eve', 3, 70))),
    r as (select column1 as k, column2 as n, column3 as y from (values
        ('bo', 2, 1), ('ada', 1, 2), ('dan', 1, 3), (null, 1, 4), ('ada', 1, 25), ('cy', null, 6), ('eve', 3, 7),
        ('bo', 1, 8)))";

async fn rows(plan: Arc<dyn ExecutionPlan>, context: &SessionContext) -> Vec<String> {
    let batches = collect(plan, context.task_ctx()).await.unwrap();
    let mut rows: Vec<String> =
        pretty_format_batches(&batches).unwrap().to_string().lines().map(str::to_owned).collect();
    rows.sort();
    rows
}

#[tokio::test]
async fn rows_that_are_looked_up_are_those_of_a_hash_join() {
    for (partitions, batch_rows) in [(1, 8192), (3, 2), (1, 1)] {
        let mut state = planning_state().unwrap();
        state.config_mut().options_mut().execution.target_partitions = partitions;
        state.config_mut().options_mut().execution.batch_size =
            ConfigNonZeroUsize::try_new(batch_rows).unwrap();
        let context = SessionContext::new_with_state(state);
        let mut looked_up = 0;
        for query in [
            "select l.x, r.y, l.k from l join r on l.k = r.k",
            "select r.y, l.x from l join r on l.k = r.k and l.n = r.n",
            "select l.k, r.k, l.x, r.y from l right join r on l.k = r.k and l.n = r.n",
            "select l.x, r.y from l right join r on l.k = r.k and l.x > r.y",
            "select l.x, r.y from l join r on l.n = r.n and l.x < r.y + 15",
            "select r.y, r.k from r left join (select distinct k, n from l) l on l.k = r.k and l.n = r.n",
            "select y from r where exists (select 1 from l where l.k = r.k and l.x > r.y + 12)",
            "select y from r where not exists (select 1 from l where l.k = r.k and l.n = r.n)",
            "select count(*) from l join r on l.k = r.k",
            "select a.x, b.x, r.y from l a join l b on a.k = b.k join r on r.k = b.k",
            "select l.x, r.y from l right join r on l.k = r.k and l.x > 25 and r.y < 8",
            "select y from r where not exists (select 1 from l where l.k = r.k and l.x > r.y + 12)",
            "select r.y, l.x from r join (select cast(null as varchar) as k, x from l) l on l.k = r.k",
            "select r.y, l.x from r left join (select * from l where x > 1000) l on l.k = r.k",
            "select r.y, l.x from r join (select * from l where x > 1000) l on l.k = r.k",
        ] {
            let sql = format!("with {SIDES} {query}");
            let plan = async || context.sql(&sql).await.unwrap().create_physical_plan().await.unwrap();
            let options = context.copied_config();
            let mine = LookupJoins.optimize(plan().await, options.options()).unwrap();
            looked_up +=
                usize::from(displayable(mine.as_ref()).indent(false).to_string().contains("looked up"));
            assert_eq!(rows(mine, &context).await, rows(plan().await, &context).await, "{query}");
        }
        assert!(looked_up >= 8, "{looked_up} of the joins were looked up");
    }
}
