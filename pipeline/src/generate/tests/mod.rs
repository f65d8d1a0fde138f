//! Tests over whole small worlds, made in memory and read back from their Parquet files.

mod behaviour;
mod files;
mod identity;
mod more_rows;
mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{GenerateSummary, WorldSettings, generate};

/// A generated world: its files by path below the root.
struct Made {
    summary: GenerateSummary,
    files: BTreeMap<String, Bytes>,
}

async fn make(settings: &WorldSettings) -> Made {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let summary = generate(settings, store.clone(), &Path::from("lake")).await.unwrap();
    let mut files = BTreeMap::new();
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    for meta in listed {
        let bytes = store.get(&meta.location).await.unwrap().bytes().await.unwrap();
        let path = meta.location.as_ref().strip_prefix("lake/").unwrap().to_string();
        files.insert(path, bytes);
    }
    Made { summary, files }
}

fn decode(bytes: &Bytes) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap().build().unwrap();
    reader.map(Result::unwrap).collect()
}

impl Made {
    /// Files of a table (`raw/events`, `truth/mess`), with their paths.
    fn of<'a>(&'a self, table: &'a str) -> impl Iterator<Item = (&'a str, &'a Bytes)> {
        let (folder, file) = (format!("{table}/"), format!("{table}.parquet"));
        let mine = move |path: &str| path.starts_with(&folder) || path == file;
        self.files.iter().filter(move |(path, _)| mine(path)).map(|(path, bytes)| (path.as_str(), bytes))
    }

    /// All batches of a table.
    fn batches(&self, table: &str) -> Vec<RecordBatch> {
        self.of(table).flat_map(|(_, bytes)| decode(bytes)).collect()
    }

    /// A text column over the whole table.
    fn texts(&self, table: &str, column: &str) -> Vec<Option<String>> {
        let values = |batch: RecordBatch| {
            let column = batch.column_by_name(column).unwrap().as_string::<i32>().clone();
            column.iter().map(|value| value.map(str::to_string)).collect::<Vec<_>>()
        };
        self.batches(table).into_iter().flat_map(values).collect()
    }

    /// An integer or timestamp column over the whole table; -1 for NULL.
    fn longs(&self, table: &str, column: &str) -> Vec<i64> {
        let values = |batch: RecordBatch| longs(&batch, column);
        self.batches(table).into_iter().flat_map(values).collect()
    }
}

fn longs(batch: &RecordBatch, column: &str) -> Vec<i64> {
    let column = batch.column_by_name(column).unwrap();
    if let Some(times) = column.as_primitive_opt::<TimestampMicrosecondType>() {
        return times.values().to_vec();
    }
    let column = arrow::compute::cast(column, &arrow::datatypes::DataType::Int64).unwrap();
    let column = column.as_primitive::<Int64Type>();
    (0..column.len()).map(|row| if column.is_null(row) { -1 } else { column.value(row) }).collect()
}
