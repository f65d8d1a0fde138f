//! One data file, as the sink reports it, manifests keep it and Delta commits it.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use datafusion::common::DataFusionError;
use serde::{Deserialize, Serialize};

use crate::{Context, Error, Result};

/// A Parquet file, or the row groups of one that hold one partition value, and what is known of it without opening it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DataFile {
    /// Path relative to the lake, escapes included: what [`super::Lake::path`] takes.
    pub path: String,
    /// Whether it holds rejected rows, with the rule that rejected each.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quarantined: bool,
    /// Value of each partition column as the Delta protocol writes it. A good file that is whole does not store these
    /// columns.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub partition: BTreeMap<String, Option<String>>,
    /// Number of rows.
    pub rows: u64,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// First byte and the byte after the last of the row groups that are meant; `None` for a file that is whole. A
    /// file of several partition values stores the partition columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<(u64, u64)>,
    /// Number of input rows that these rows stand for; equal to `rows` when the stage declares no weight.
    pub weight: u64,
    /// For a quarantined file: `weight` by rule.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_rule: BTreeMap<String, u64>,
    /// The process that wrote it (`driver`, or the id of an executor) and, after a slash, its task (a UUID).
    pub writer: String,
    /// SHA-256 (hex) of the Parquet footer.
    pub footer: String,
    /// Statistics as JSON in the form of the Delta protocol (`numRecords`, `minValues`, `maxValues`, `nullCount`);
    /// empty for row groups of a file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stats: String,
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let field = |name: &str, data_type: DataType| Field::new(name, data_type, false);
    Arc::new(Schema::new(vec![
        field("path", DataType::Utf8),
        field("quarantined", DataType::Boolean),
        field("partition", DataType::Utf8),
        field("rows", DataType::UInt64),
        field("bytes", DataType::UInt64),
        field("range", DataType::Utf8),
        field("weight", DataType::UInt64),
        field("by_rule", DataType::Utf8),
        field("writer", DataType::Utf8),
        field("footer", DataType::Utf8),
        field("stats", DataType::Utf8),
    ]))
});

impl DataFile {
    /// The schema of the sink's output: one row a file; `partition`, `range`, `by_rule` and `stats` are JSON texts.
    pub fn schema() -> SchemaRef {
        SCHEMA.clone()
    }

    /// One row for each file, in the order given.
    pub(super) fn to_batch(files: &[DataFile]) -> Result<RecordBatch, DataFusionError> {
        let text = |value: fn(&DataFile) -> &str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(files.iter().map(value)))
        };
        let number = |value: fn(&DataFile) -> u64| -> ArrayRef {
            Arc::new(UInt64Array::from_iter_values(files.iter().map(value)))
        };
        let columns: Vec<ArrayRef> = vec![
            text(|f| &f.path),
            Arc::new(BooleanArray::from_iter(files.iter().map(|f| Some(f.quarantined)))),
            json(files, |f| &f.partition)?,
            number(|f| f.rows),
            number(|f| f.bytes),
            json(files, |f| &f.range)?,
            number(|f| f.weight),
            json(files, |f| &f.by_rule)?,
            text(|f| &f.writer),
            text(|f| &f.footer),
            text(|f| &f.stats),
        ];
        Ok(RecordBatch::try_new(Self::schema(), columns)?)
    }

    /// Reads what the sink returned, sorted by path.
    pub fn from_batches(batches: &[RecordBatch]) -> Result<Vec<DataFile>> {
        let mut files = Vec::new();
        for batch in batches {
            for row in 0..batch.num_rows() {
                files.push(from_row(batch, row)?);
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// Splits files by the value of one of their partition columns.
    pub fn group_by(files: Vec<DataFile>, column: &str) -> BTreeMap<Option<String>, Vec<DataFile>> {
        let mut groups = BTreeMap::<_, Vec<_>>::new();
        for file in files {
            let value = file.partition.get(column).cloned().flatten();
            groups.entry(value).or_default().push(file);
        }
        groups
    }
}

fn json<T: Serialize>(files: &[DataFile], value: fn(&DataFile) -> &T) -> Result<ArrayRef, DataFusionError> {
    let texts: Result<Vec<_>, _> = files.iter().map(|file| serde_json::to_string(value(file))).collect();
    let texts = texts.map_err(|e| DataFusionError::External(e.into()))?;
    Ok(Arc::new(StringArray::from(texts)))
}

fn from_row(batch: &RecordBatch, row: usize) -> Result<DataFile> {
    let column = |name: &str| {
        let found = batch.column_by_name(name).filter(|found| !found.is_null(row));
        found.ok_or_else(|| Error::other(format!("the sink's output lacks column `{name}`")))
    };
    let text = |name: &str| -> Result<String> {
        let found = column(name)?.as_string_opt::<i32>();
        found.map(|found| found.value(row).to_owned()).ok_or_else(|| wrong_type(name))
    };
    let number = |name: &str| -> Result<u64> {
        let found = column(name)?.as_primitive_opt::<UInt64Type>();
        found.map(|found| found.value(row)).ok_or_else(|| wrong_type(name))
    };
    let quarantined =
        column("quarantined")?.as_boolean_opt().ok_or_else(|| wrong_type("quarantined"))?.value(row);
    Ok(DataFile {
        path: text("path")?,
        quarantined,
        partition: serde_json::from_str(&text("partition")?).context("reading a file's partition")?,
        rows: number("rows")?,
        bytes: number("bytes")?,
        range: serde_json::from_str(&text("range")?).context("reading a file's range")?,
        weight: number("weight")?,
        by_rule: serde_json::from_str(&text("by_rule")?).context("reading a file's rejections")?,
        writer: text("writer")?,
        footer: text("footer")?,
        stats: text("stats")?,
    })
}

fn wrong_type(name: &str) -> Error {
    Error::other(format!("column `{name}` of the sink's output has another type than the sink writes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_survive_batches_and_json() {
        let file = |path: &str, day: Option<&str>| DataFile {
            path: path.to_owned(),
            quarantined: day.is_none(),
            partition: BTreeMap::from([("day".to_owned(), day.map(str::to_owned))]),
            rows: 3,
            bytes: 100,
            range: day.map(|_| (4, 90)),
            weight: 9,
            by_rule: BTreeMap::from([("late".to_owned(), 9)]),
            writer: "w".to_owned(),
            footer: "f".to_owned(),
            stats: r#"{"numRecords":3}"#.to_owned(),
        };
        let files = vec![file("a", Some("2025-01-01")), file("b", None), file("c", Some("2025-01-01"))];
        let batches = [DataFile::to_batch(&files[1..]).unwrap(), DataFile::to_batch(&files[..1]).unwrap()];
        assert_eq!(DataFile::from_batches(&batches).unwrap(), files);
        let json = serde_json::to_string(&files).unwrap();
        assert_eq!(serde_json::from_str::<Vec<DataFile>>(&json).unwrap(), files);
        let groups = DataFile::group_by(files, "day");
        assert_eq!(groups[&Some("2025-01-01".to_owned())].len(), 2);
        assert_eq!(groups[&None].len(), 1);
    }
}
