//! What does not fit in memory is done again with joins that sort.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::{JoinType, LogicalPlan, LogicalPlanBuilder};

use super::*;

const ROWS: i64 = 1_280_000;

/// Every row of one table with its only partner in the other.
fn joined() -> LogicalPlan {
    let scan = |name: &str, key: fn(i64) -> i64| {
        let keys = Int64Array::from_iter_values((0..ROWS).map(key));
        let texts: StringArray = keys.iter().map(|key| key.map(|key| format!("{key:0100}"))).collect();
        let columns: [(_, ArrayRef); 2] = [(name, Arc::new(keys)), ("text", Arc::new(texts))];
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        let batches = (0..160).map(|i| rows.slice(i * 8_000, 8_000)).collect();
        let table = MemTable::try_new(rows.schema(), vec![batches]).unwrap();
        LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(table)), None).unwrap()
    };
    let reversed = scan("there", |i| ROWS - 1 - i).build().unwrap();
    let on = (vec!["here.here"], vec!["there.there"]);
    let rows = scan("here", |i| i).join(reversed, JoinType::Inner, on, None).unwrap();
    rows.sort(vec![datafusion::prelude::col("here.here").sort(true, false)]).unwrap().build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_does_not_fit_is_sorted() {
    let lake = Lake::open("memory://").unwrap();
    let options = EngineOptions { memory_bytes: 160 << 20, threads: 2, ..EngineOptions::default() };
    let engine = Engine::local(&lake, options).unwrap();
    let plan = joined();
    let hashed = engine.physical_plan(&plan).await.unwrap();
    let error = engine.gather(hashed).await.unwrap_err();
    assert!(error.to_string().contains("does not fit in --memory 160MiB"), "{error}");
    let found = engine.collect(&plan).await.unwrap();
    let keys = found.iter().flat_map(|batch| batch.column(2).as_primitive::<Int64Type>().values().to_vec());
    assert!(keys.eq(0..ROWS));
}
