//! Publishing: versions, idempotence, races, schema changes, and the files as readers of Delta see them.

use std::collections::BTreeSet;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::prelude::SessionContext;
use object_store::ObjectStoreExt;

use super::*;
use crate::lake::{SinkSpec, write_batches};

/// Rows with every type that is published, NULLs included, and text that folder names cannot hold.
const ROWS: &str = "
    select
        v as id,
        case v % 5 when 0 then 'a/b=c%d:e' when 1 then '中文 ☃' when 2 then null when 3 then ' ' else 'plain' end as segment,
        case when v % 3 > 0 then date '2025-01-01' + cast(v % 3 as int) end as as_of,
        case when v % 4 > 0 then cast(v as decimal(18, 2)) / 4 end as amount,
        arrow_cast(1735689600000123 + v * 1000000, 'Timestamp(Microsecond, None)') as at,
        case when v % 7 > 0 then named_struct('name', concat('n', v), 'score', v * 0.5) end as best,
        case when v % 6 > 0 then make_array(v, null, v + 1) end as near,
        v % 2 = 0 as even,
        case when v % 8 > 0 then cast(v as double) / 3 end as share,
        arrow_cast(v, 'UInt64') as rank
    from generate_series(1, 400) as t(v)";

async fn query(sql: &str) -> (SchemaRef, Vec<RecordBatch>) {
    let frame = SessionContext::new().sql(sql).await.unwrap();
    (frame.schema().inner().clone(), frame.collect().await.unwrap())
}

async fn files_of(lake: &Lake, name: &str, by: &[String], sql: &str) -> (SchemaRef, Vec<DataFile>) {
    let (schema, rows) = query(sql).await;
    let prefix = format!("{}/{}", table_prefix(name), uuid::Uuid::new_v4());
    let spec = SinkSpec { partition_by: by.to_vec(), delta_types: true, ..SinkSpec::new(lake, prefix) };
    let files = write_batches(lake, spec, schema.clone(), rows).await.unwrap();
    (schema, files)
}

fn write<'a>(
    name: &'a str,
    schema: &'a SchemaRef,
    by: &'a [String],
    files: &'a [DataFile],
) -> TableWrite<'a> {
    TableWrite { name, schema, partition_by: by, files, txn: ("test", 1), allow_breaking: false }
}

/// Publishes on top of the newest version, as it is.
async fn publish(lake: &Lake, write: &TableWrite<'_>, replace: &Replace) -> Result<i64> {
    let base = files_at(lake, write.name, None).await?;
    Publication::prepare(lake, write, replace, base.as_ref())?.commit(async || Ok(())).await
}

async fn append(lake: &Lake, write: &TableWrite<'_>) -> Result<i64> {
    let base = table_version(lake, write.name).await?;
    super::append(lake, write, base, async || Ok(())).await
}

fn lake() -> (tempfile::TempDir, Lake) {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(dir.path().join("a lake").to_str().unwrap()).unwrap();
    (dir, lake)
}

fn day(value: &str) -> Replace {
    Replace::Partition { column: "as_of".into(), value: Some(value.into()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_holds_exactly_what_was_published() {
    let (_dir, lake) = lake();
    let by = ["as_of".to_owned(), "segment".to_owned()];
    assert_eq!(table_version(&lake, "segments").await.unwrap(), None);
    assert!(files_at(&lake, "segments", None).await.unwrap().is_none());
    let (schema, files) = files_of(&lake, "segments", &by, ROWS).await;
    assert_eq!(files.len(), 15);
    assert_eq!(publish(&lake, &write("segments", &schema, &by, &files), &Replace::All).await.unwrap(), 0);
    // the same again changes nothing
    assert_eq!(publish(&lake, &write("segments", &schema, &by, &files), &Replace::All).await.unwrap(), 0);
    let table = files_at(&lake, "segments", None).await.unwrap().unwrap();
    assert_eq!((table.version, &table.partition_by[..]), (0, &by[..]));
    assert_eq!(table.files, files);
    let names =
        |schema: &SchemaRef| schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
    assert_eq!(names(&table.schema), names(&schema));
    assert_eq!(table.schema.field_with_name("at").unwrap().data_type().to_string(), "Timestamp(µs, \"UTC\")");
    for file in &table.files {
        let found = lake.store().head(&lake.path(&file.path)).await.unwrap();
        assert_eq!(found.size, file.bytes, "{}", file.path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_partition_is_replaced_and_old_versions_stay() {
    let (_dir, lake) = lake();
    let by = ["as_of".to_owned()];
    let (schema, files) = files_of(&lake, "t", &by, ROWS).await;
    publish(&lake, &write("t", &schema, &by, &files), &Replace::All).await.unwrap();
    let again = format!("select * from ({ROWS}) where as_of = date '2025-01-02' and id > 100");
    let (_, newer) = files_of(&lake, "t", &by, &again).await;
    let version = publish(&lake, &write("t", &schema, &by, &newer), &day("2025-01-02")).await.unwrap();
    assert_eq!(version, 1);
    assert_eq!(publish(&lake, &write("t", &schema, &by, &newer), &day("2025-01-02")).await.unwrap(), 1);
    let paths = |files: &[DataFile]| files.iter().map(|file| file.path.clone()).collect::<BTreeSet<_>>();
    let table = files_at(&lake, "t", Some(1)).await.unwrap().unwrap();
    let kept: Vec<DataFile> = files
        .iter()
        .filter(|file| file.partition["as_of"].as_deref() != Some("2025-01-02"))
        .chain(&newer)
        .cloned()
        .collect();
    assert_eq!(paths(&table.files), paths(&kept));
    let old = files_at(&lake, "t", Some(0)).await.unwrap().unwrap();
    assert_eq!(paths(&old.files), paths(&files));
    let gone = files_at(&lake, "t", Some(9)).await.unwrap_err();
    assert!(gone.exit_code() == 1 && gone.to_string().contains("00000000000000000002.json"), "{gone}");
    // rows of another day cannot be slipped in
    assert!(publish(&lake, &write("t", &schema, &by, &files), &day("2025-01-02")).await.is_err());
    // an empty day removes its rows
    assert_eq!(publish(&lake, &write("t", &schema, &by, &[]), &day("2025-01-02")).await.unwrap(), 2);
    assert_eq!(files_at(&lake, "t", None).await.unwrap().unwrap().files.len(), files.len() - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_publishers_one_loses() {
    let (_dir, lake) = lake();
    let (schema, files) = files_of(&lake, "t", &[], "select 1 as x").await;
    publish(&lake, &write("t", &schema, &[], &files), &Replace::All).await.unwrap();
    let table = Table::at(&lake, "t").unwrap();
    let read = table.load(None).await.unwrap().unwrap();
    let (_, newer) = files_of(&lake, "t", &[], "select 2 as x").await;
    publish(&lake, &write("t", &schema, &[], &newer), &Replace::All).await.unwrap();
    // a commit on top of what was read before
    let operation = deltalake_core::protocol::DeltaOperation::Write {
        mode: deltalake_core::protocol::SaveMode::Append,
        partition_by: None,
        predicate: None,
    };
    let lost = table.commit(Some(&read), Vec::new(), operation, ("test", 2)).await.unwrap_err();
    assert_eq!(lost.exit_code(), 75, "{lost}");
    // and two that create a table
    let (_, one) = files_of(&lake, "u", &[], "select 1 as x").await;
    let (_, two) = files_of(&lake, "u", &[], "select 2 as x").await;
    let (one, two) = (write("u", &schema, &[], &one), write("u", &schema, &[], &two));
    let (a, b) = tokio::join!(publish(&lake, &one, &Replace::All), publish(&lake, &two, &Replace::All));
    let lost: Vec<_> = [a, b].into_iter().filter_map(Result::err).map(|error| error.exit_code()).collect();
    let table = files_at(&lake, "u", None).await.unwrap().unwrap();
    assert_eq!(table.files.len(), 1);
    assert!(lost.is_empty() && table.version == 1 || lost == [75] && table.version == 0, "{lost:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_replaces_what_others_left_unless_they_came_later() {
    let (_dir, lake) = lake();
    let (schema, files) = files_of(&lake, "t", &[], "select 1 as x").await;
    publish(&lake, &write("t", &schema, &[], &files), &Replace::All).await.unwrap();
    let base = files_at(&lake, "t", None).await.unwrap();
    let (wider, theirs) = files_of(&lake, "t", &[], "select 2 as x, 'extra' as y").await;
    let now = async || files_at(&lake, "t", None).await.unwrap().unwrap();
    for their_epoch in [2, 4] {
        let (_, ours) = files_of(&lake, "t", &[], "select 3 as x").await;
        let stale = TableWrite { txn: ("test", their_epoch), ..write("t", &wider, &[], &theirs) };
        let mine = TableWrite { txn: ("test", 3), ..write("t", &schema, &[], &ours) };
        let ready = Publication::prepare(&lake, &mine, &Replace::All, base.as_ref()).unwrap();
        // they commit after our look at the table, before our commit
        let committed = ready.commit(async || publish(&lake, &stale, &Replace::All).await.map(drop)).await;
        if their_epoch < 3 {
            committed.unwrap();
            let table = now().await;
            assert_eq!((table.files, table.schema.fields().len()), (ours.clone(), 1));
        } else {
            assert_eq!(committed.unwrap_err().exit_code(), 75);
            assert_eq!(now().await.files, theirs);
        }
    }
    // nothing is committed when the fence is gone
    let late = TableWrite { txn: ("test", 9), ..write("t", &schema, &[], &files) };
    let ready = Publication::prepare(&lake, &late, &Replace::All, base.as_ref()).unwrap();
    let fenced = ready.commit(async || Err(crate::Error::Locked("another".into()))).await;
    assert_eq!(fenced.unwrap_err().exit_code(), 75);
    assert_eq!(now().await.files, theirs);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_gone_are_found_before_the_commit() {
    let (_dir, lake) = lake();
    let (schema, files) = files_of(&lake, "t", &[], "select 1 as x").await;
    let write = write("t", &schema, &[], &files);
    let ready = Publication::prepare(&lake, &write, &Replace::All, None).unwrap();
    ready.check().await.unwrap();
    lake.delete(&files[0].path).await.unwrap();
    let refused = ready.check().await.unwrap_err().to_string();
    assert!(refused.contains(&files[0].path), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_grow_gently() {
    let (_dir, lake) = lake();
    let (schema, files) = files_of(&lake, "t", &[], "select 1 as a, 'x' as b").await;
    publish(&lake, &write("t", &schema, &[], &files), &Replace::All).await.unwrap();
    let publish_as = async |sql: &str, allow_breaking: bool| {
        let (schema, files) = files_of(&lake, "t", &[], sql).await;
        let write = TableWrite { allow_breaking, ..write("t", &schema, &[], &files) };
        publish(&lake, &write, &Replace::All).await
    };
    assert_eq!(publish_as("select 1 as a, 'x' as b, 2.5 as c", false).await.unwrap(), 1);
    let refused = publish_as("select 'one' as a, 'x' as b", false).await.unwrap_err();
    let text = refused.to_string();
    assert_eq!(refused.exit_code(), 2);
    assert!(
        text.contains("drop column `c`") && text.contains("change column `a` from long to string"),
        "{text}"
    );
    assert_eq!(table_version(&lake, "t").await.unwrap(), Some(1));
    assert_eq!(publish_as("select 'one' as a, 'x' as b", true).await.unwrap(), 2);
    let table = files_at(&lake, "t", None).await.unwrap().unwrap();
    assert_eq!(table.schema.fields().len(), 2);
    let before = files_at(&lake, "t", Some(1)).await.unwrap().unwrap();
    assert_eq!(before.schema.fields().len(), 3);
    for bad in ["select 1 as \"a b\"", "select null as a"] {
        let (schema, _) = query(bad).await;
        let refused = publish(&lake, &write("u", &schema, &[], &[]), &Replace::All).await.unwrap_err();
        assert_eq!(refused.exit_code(), 2, "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retyping_needs_the_whole_table() {
    let (_dir, lake) = lake();
    let by = ["k".to_owned()];
    let (schema, files) = files_of(&lake, "t", &by, "select 'x' as k, 1 as a").await;
    publish(&lake, &write("t", &schema, &by, &files), &Replace::All).await.unwrap();
    let (schema, files) = files_of(&lake, "t", &by, "select 'x' as k, 'one' as a").await;
    let write = TableWrite { allow_breaking: true, ..write("t", &schema, &by, &files) };
    let part = Replace::Partition { column: "k".into(), value: Some("x".into()) };
    let refused = publish(&lake, &write, &part).await.unwrap_err();
    assert!(refused.to_string().contains("publish all of it"), "{refused}");
    assert_eq!(publish(&lake, &write, &Replace::All).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_happen_once_and_checkpoints_come() {
    let (dir, lake) = lake();
    for run in 0..23 {
        let (schema, files) =
            files_of(&lake, "runs", &[], &format!("select {run} as run, 'ok' as outcome")).await;
        let once = TableWrite { txn: ("runs", run), ..write("runs", &schema, &[], &files) };
        assert_eq!(append(&lake, &once).await.unwrap(), run);
        assert_eq!(append(&lake, &once).await.unwrap(), run);
    }
    let (schema, files) = files_of(&lake, "runs", &[], "select 3 as run, 'stale' as outcome").await;
    let stale = TableWrite { txn: ("runs", 3), ..write("runs", &schema, &[], &files) };
    assert_eq!(append(&lake, &stale).await.unwrap_err().exit_code(), 75);
    let table = files_at(&lake, "runs", None).await.unwrap().unwrap();
    assert_eq!((table.version, table.files.len()), (22, 23));
    assert!(
        table.files.iter().all(|file| file.rows == 1 && !file.footer.is_empty() && !file.writer.is_empty())
    );
    let log = dir.path().join("a lake/published/runs/_delta_log");
    for version in [9, 19] {
        assert!(log.join(format!("{version:020}.checkpoint.parquet")).exists(), "checkpoint {version}");
    }
    assert_eq!(files_at(&lake, "runs", Some(5)).await.unwrap().unwrap().files.len(), 6);
}

#[test]
fn names_of_tables_are_checked() {
    let (_dir, lake) = lake();
    for name in ["", "a/b", "..", "a b", "a%2F"] {
        assert!(Table::at(&lake, name).is_err(), "{name}");
    }
}
