//! The sink on local disk, driven by queries and read back by the engine's own Parquet reader.

use std::collections::{BTreeMap, BTreeSet};

use arrow::util::pretty::pretty_format_batches;
use datafusion::physical_plan::collect;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::ColumnChunkMetaData;
use serde_json::Value;

use super::*;
use crate::Error;

/// Days with a NULL, text with everything that a folder name cannot hold, and rejected rows.
const ROWS: &str = "
    select
        v as id,
        case v % 5 when 4 then null else date '2025-01-01' + cast(v % 5 as int) end as day,
        case v % 7
            when 0 then 'a/b=c%d:e' when 1 then ' ' when 2 then '中文 ☃' when 3 then '..'
            when 4 then null when 5 then '100%' else 'plain' end as place,
        cast(v as decimal(18, 2)) / 4 as amount,
        arrow_cast(v * 86400000001, 'Timestamp(Microsecond, None)') as at,
        case when v % 10 = 0 then 'too_late' when v % 33 = 1 then 'bad_price' end as rule,
        1 + v % 3 as stands_for
    from generate_series(1, 5000) as t(v)";

async fn context(lake: &Lake, partitions: usize) -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(partitions).with_batch_size(512);
    let context = SessionContext::new_with_config(config);
    context.register_object_store(lake.object_store_url().as_ref(), lake.store().clone());
    let rows = context.sql(ROWS).await.unwrap().collect().await.unwrap();
    let schema = rows[0].schema();
    let mut parts = vec![Vec::new(); partitions];
    for (at, batch) in rows.into_iter().enumerate() {
        parts[at % partitions].push(batch);
    }
    let table = datafusion::datasource::MemTable::try_new(schema, parts).unwrap();
    context.register_table("rows", Arc::new(table)).unwrap();
    context
}

async fn write(context: &SessionContext, spec: SinkSpec, query: &str) -> Vec<DataFile> {
    let state = context.state();
    let input = context.sql(query).await.unwrap().create_physical_plan().await.unwrap();
    let plan = plan_sink(input, spec, state.config_options()).unwrap();
    let batches = collect(plan.clone(), context.task_ctx()).await.unwrap();
    DataFile::from_batches(&batches).unwrap()
}

async fn text(context: &SessionContext, query: &str) -> String {
    let batches = context.sql(query).await.unwrap().collect().await.unwrap();
    pretty_format_batches(&batches).unwrap().to_string()
}

fn lake() -> (tempfile::TempDir, Lake) {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(dir.path().join("a lake").to_str().unwrap()).unwrap();
    (dir, lake)
}

fn spec(lake: &Lake, prefix: &str) -> SinkSpec {
    SinkSpec {
        partition_by: vec!["day".into(), "place".into()],
        sort_by: vec!["id".into()],
        quarantine: Some("rule".into()),
        weight: Some("stands_for".into()),
        ..SinkSpec::new(lake, prefix)
    }
}

/// What lies below the prefix, as the engine's listing table reads it, sorted by id.
async fn read_back(context: &SessionContext, lake: &Lake, prefix: &str) -> String {
    use arrow::datatypes::DataType::Utf8;
    let columns = vec![("day".to_owned(), Utf8), ("place".to_owned(), Utf8)];
    let options = ParquetReadOptions::default().table_partition_cols(columns);
    let folder = format!("{}{prefix}/", lake.url());
    context.deregister_table("written").unwrap();
    context.register_parquet("written", folder, options).await.unwrap();
    // the engine does not know the name of NULL folders
    let value = |column: &str| format!("nullif({column}, '{}')", crate::lake::NULL_PARTITION);
    let query = format!(
        "select id, cast({} as date) as day, {} as place, amount, at, stands_for from written order by id",
        value("day"),
        value("place")
    );
    text(context, &query).await
}

#[tokio::test]
async fn rows_come_back_whatever_the_partitions() {
    let (_dir, lake) = lake();
    for partitions in [1, 7] {
        let context = context(&lake, partitions).await;
        let prefix = format!("stages/x/y/data/{partitions}");
        let files = write(&context, spec(&lake, &prefix), "select * from rows").await;
        let (bad, good): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.quarantined);

        // the engine hides files below `_quarantine` and must decode every folder name
        let expected =
            "select id, day, place, amount, at, stands_for from rows where rule is null order by id";
        assert_eq!(read_back(&context, &lake, &prefix).await, text(&context, expected).await);

        let counted = |query: &'static str| async { text(&context, query).await };
        let all = counted("select count(*) from rows").await;
        let sum: u64 = files.iter().map(|file| file.rows).sum();
        assert!(all.contains(&sum.to_string()), "{all}");
        let weight: u64 = files.iter().map(|file| file.weight).sum();
        let all = counted("select sum(stands_for) from rows").await;
        assert!(all.contains(&weight.to_string()), "{all} {weight}");

        let late: u64 = bad.iter().filter_map(|file| file.by_rule.get("too_late")).sum();
        let all = counted("select sum(stands_for) from rows where rule = 'too_late'").await;
        assert!(all.contains(&late.to_string()), "{all} {late}");
        let values: BTreeSet<_> = good.iter().map(|file| &file.partition).collect();
        assert_eq!(values.len(), 35, "one folder a value pair");
        assert_eq!(good.len(), 35, "and one task writes each of them");
        let writers: BTreeSet<_> = files.iter().map(|file| &file.writer).collect();
        assert!(writers.len() <= partitions && (partitions == 1 || writers.len() > 1));
    }
}

#[tokio::test]
async fn files_are_sorted_described_and_nothing_else_remains() {
    let (dir, lake) = lake();
    let context = context(&lake, 2).await;
    let files = write(&context, spec(&lake, "p"), "select * from rows").await;
    for file in &files {
        let path = dir.path().join("a lake").join(&file.path);
        assert_eq!(path.metadata().unwrap().len(), file.bytes);
        assert_eq!(
            crate::lake::read_footer(lake.store().as_ref(), &lake.path(&file.path)).await.unwrap().0,
            file.footer
        );
        let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&path).unwrap()).unwrap();
        let group = reader.metadata().row_group(0);
        assert_eq!(group.sorting_columns().unwrap().len(), 1);
        assert_eq!(reader.metadata().file_metadata().created_by(), Some("strata"));
        assert_eq!(reader.schema().column_with_name("day").is_some(), file.quarantined);
        assert_eq!(reader.schema().column_with_name("rule").is_some(), file.quarantined);
        let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
        let ids: Vec<i64> = batches
            .iter()
            .flat_map(|batch| {
                let ids = batch.column_by_name("id").unwrap();
                arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(ids).values().to_vec()
            })
            .collect();
        assert!(ids.is_sorted());
        let stats: Value = serde_json::from_str(&file.stats).unwrap();
        assert_eq!(stats["numRecords"], file.rows);
        assert_eq!(stats["minValues"]["id"], ids[0]);
        assert_eq!(stats["maxValues"]["id"], *ids.last().unwrap());
        assert_eq!(stats["maxValues"]["amount"], *ids.last().unwrap() as f64 / 4.0);
        assert_eq!(stats["nullCount"]["amount"], 0);
    }
    let listed: Vec<_> = lake.list("").await.unwrap();
    assert_eq!(listed.len(), files.len());
}

#[tokio::test]
async fn only_lists_have_dictionaries_in_results_of_stages_and_all_columns_in_delta_tables() {
    let (dir, lake) = lake();
    let context = context(&lake, 1).await;
    for (prefix, delta_types, own) in [("stages/p", false, vec!["places"]), ("published/p", true, vec![])] {
        let spec = SinkSpec { delta_types, ..SinkSpec::new(&lake, prefix) };
        let query = "select id, place, at, cast(amount as decimal(18, 2)) as amount, cast(id as double) as share, make_array(place) as places from rows";
        let files = write(&context, spec, query).await;
        let path = dir.path().join("a lake").join(&files[0].path);
        let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap();
        let columns = reader.metadata().row_group(0).columns();
        let with = |test: fn(&ColumnChunkMetaData) -> bool| -> Vec<String> {
            columns
                .iter()
                .filter(|column| test(column))
                .map(|column| column.column_path().parts()[0].clone())
                .collect()
        };
        let all = ["id", "place", "at", "amount", "share", "places"];
        let dictionaries = if delta_types { &all[..] } else { &own[..] };
        assert_eq!(with(|column| column.dictionary_page_offset().is_some()), dictionaries);
        let statistics = if delta_types { &all[..] } else { &all[..5] };
        assert_eq!(with(|column| column.statistics().is_some()), statistics);
    }
}

#[tokio::test]
async fn files_and_row_groups_end_where_the_specification_says() {
    let (dir, lake) = lake();
    let context = context(&lake, 1).await;
    let spec = SinkSpec {
        sort_by: vec!["id".into()],
        max_file_rows: 2000,
        row_group_rows: 300,
        delta_types: true,
        ..SinkSpec::new(&lake, "p")
    };
    let files = write(&context, spec, "select id, at from rows").await;
    let mut rows: Vec<_> = files.iter().map(|file| file.rows).collect();
    rows.sort_unstable();
    assert_eq!(rows, [1000, 2000, 2000]);
    let first = files.iter().find(|file| file.rows == 2000).unwrap();
    let path = dir.path().join("a lake").join(&first.path);
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap();
    assert_eq!(reader.metadata().num_row_groups(), 7);
    assert_eq!(reader.schema().field(1).data_type().to_string(), "Timestamp(µs, \"UTC\")");
}

#[tokio::test]
async fn an_empty_input_writes_no_file() {
    let (_dir, lake) = lake();
    let context = context(&lake, 3).await;
    assert_eq!(write(&context, spec(&lake, "p"), "select * from rows where id < 0").await, []);
    assert!(lake.list("").await.unwrap().is_empty());
}

#[test]
fn a_failure_leaves_no_partial_file() {
    let (dir, lake) = lake();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let context = context(&lake, 2).await;
        let query = "select cast(arrow_cast(id, 'Utf8') || case when id = 4990 then 'x' else '' end as bigint) as n from rows";
        let input = context.sql(query).await.unwrap().create_physical_plan().await.unwrap();
        let plan = plan_sink(input, SinkSpec::new(&lake, "p"), context.state().config_options()).unwrap();
        let error = collect(plan, context.task_ctx()).await.unwrap_err();
        assert!(error.to_string().contains("4990x"), "{error}");
    });
    // a put of the other task may be under way: it ends with the runtime
    drop(runtime);
    let left = walk(dir.path());
    assert!(left.iter().all(|path| path.ends_with(".parquet")), "{left:?}");
}

fn walk(dir: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries
        .flat_map(|entry| {
            if entry.path().is_dir() { walk(&entry.path()) } else { vec![entry.path().display().to_string()] }
        })
        .collect()
}

#[tokio::test]
async fn a_weight_that_is_no_number_of_rows_is_refused() {
    let (_dir, lake) = lake();
    let context = context(&lake, 1).await;
    for query in ["select id, cast(null as bigint) as n from rows", "select id, -1 as n from rows"] {
        let spec = SinkSpec { weight: Some("n".into()), ..SinkSpec::new(&lake, "p") };
        let input = context.sql(query).await.unwrap().create_physical_plan().await.unwrap();
        let plan = plan_sink(input, spec, context.state().config_options()).unwrap();
        let error = collect(plan, context.task_ctx()).await.unwrap_err();
        assert!(error.to_string().contains("weight column `n`"), "{error}");
    }
}

#[tokio::test]
async fn columns_that_do_not_fit_are_refused_when_planning() {
    let (_dir, lake) = lake();
    let context = context(&lake, 1).await;
    let cases: [(SinkSpec, &str); 5] = [
        (
            SinkSpec { sort_by: vec!["nope".into()], ..SinkSpec::new(&lake, "p") },
            "sort column `nope` is not among",
        ),
        (
            SinkSpec { partition_by: vec!["nope".into()], ..SinkSpec::new(&lake, "p") },
            "partition column `nope`",
        ),
        (
            SinkSpec { quarantine: Some("id".into()), ..SinkSpec::new(&lake, "p") },
            "cannot quarantine by column `id`",
        ),
        (
            SinkSpec { weight: Some("rule".into()), ..SinkSpec::new(&lake, "p") },
            "cannot weigh by column `rule`",
        ),
        (
            SinkSpec { partition_by: vec!["id".into(), "rule".into()], ..SinkSpec::new(&lake, "p") },
            "no column is left",
        ),
    ];
    for (spec, message) in cases {
        let input =
            context.sql("select id, rule from rows").await.unwrap().create_physical_plan().await.unwrap();
        let refused = plan_sink(input, spec, context.state().config_options()).unwrap_err();
        assert!(matches!(&refused, Error::Usage(text) if text.contains(message)), "{refused}");
    }
}

#[tokio::test]
async fn the_sink_keeps_its_input_apart_and_asks_for_order() {
    let (_dir, lake) = lake();
    let context = context(&lake, 7).await;
    let input = context.sql("select * from rows").await.unwrap().create_physical_plan().await.unwrap();
    let clustered = plan_sink(input.clone(), spec(&lake, "p"), context.state().config_options()).unwrap();
    let shown = datafusion::physical_plan::displayable(clustered.as_ref()).indent(false).to_string();
    let nodes: Vec<_> = shown.lines().map(|line| line.trim().split(':').next().unwrap()).collect();
    assert_eq!(nodes, ["SinkExec", "SortExec", "RepartitionExec", "DataSourceExec"], "{shown}");
    assert!(shown.contains("preserve_partitioning=[true]"), "{shown}");
    let spread = SinkSpec { cluster_by_partition: false, ..spec(&lake, "p") };
    let spread = plan_sink(input, spread, context.state().config_options()).unwrap();
    assert_eq!(spread.output_partitioning().partition_count(), 7);
    assert!(spread.required_input_ordering()[0].is_some());
    let again = SinkExec::try_new(
        spread.children()[0].clone(),
        serde_json::from_str(
            &serde_json::to_string(spread.downcast_ref::<SinkExec>().unwrap().spec()).unwrap(),
        )
        .unwrap(),
    );
    assert_eq!(again.unwrap().spec(), spread.downcast_ref::<SinkExec>().unwrap().spec());
}

#[tokio::test]
async fn a_tight_memory_pool_ends_row_groups_early_and_loses_nothing() {
    use datafusion::execution::memory_pool::FairSpillPool;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    let (_dir, lake) = lake();
    let query = "select v, repeat(cast(v as varchar), 50) as filler from generate_series(1, 200000) as t(v)";
    let runtime =
        RuntimeEnvBuilder::new().with_memory_pool(Arc::new(FairSpillPool::new(4 << 20))).build_arc().unwrap();
    runtime.register_object_store(lake.object_store_url().as_ref(), lake.store().clone());
    let context = SessionContext::new_with_config_rt(SessionConfig::new().with_target_partitions(1), runtime);
    let files = write(&context, SinkSpec::new(&lake, "p"), query).await;
    assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), 200_000);
    context
        .register_parquet("written", format!("{}p/", lake.url()), ParquetReadOptions::default())
        .await
        .unwrap();
    let sum = text(&context, "select sum(v) as s, count(distinct v) as n from written").await;
    assert!(sum.contains("20000100000") && sum.contains("200000 "), "{sum}");
}

#[tokio::test]
async fn batches_in_memory_are_written_too() {
    let (_dir, lake) = lake();
    let context = context(&lake, 1).await;
    let rows = context.sql("select id, day from rows limit 10").await.unwrap().collect().await.unwrap();
    let spec = SinkSpec { partition_by: vec!["day".into()], ..SinkSpec::new(&lake, "p") };
    let files = write_batches(&lake, spec, rows[0].schema(), rows).await.unwrap();
    let days = DataFile::group_by(files, "day");
    let rows: BTreeMap<_, u64> = days.iter().map(|(day, files)| (day.as_deref(), files[0].rows)).collect();
    assert_eq!(rows.len(), 5);
    assert_eq!(rows[&Some("2025-01-02")], 2);
}
