//! Bad input: refused with the file, the column or value and the remedy, or set apart row by row; nothing is published.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use crate::support::process::Running;
use crate::support::world::{files, rows, small_lake};
use crate::support::{fails, ok, text};

/// The first file of a source's folder, or of a day's folder in it.
fn first(lake: &Path, folder: &str) -> PathBuf {
    files(&lake.join("raw").join(folder)).remove(0)
}

fn read(file: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap();
    let schema = reader.schema().clone();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

/// Replaces a file (it may have other names that must keep their content).
fn write(file: &Path, rows: &RecordBatch) {
    std::fs::remove_file(file).ok();
    let plain =
        WriterProperties::builder().set_compression(Compression::UNCOMPRESSED).set_dictionary_enabled(false);
    let target = File::create_new(file).unwrap();
    let mut writer = ArrowWriter::try_new(target, rows.schema(), Some(plain.build())).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
}

fn write_bytes(file: &Path, bytes: &[u8]) {
    std::fs::remove_file(file).ok();
    std::fs::write(file, bytes).unwrap();
}

/// The rows with one column replaced, its type included.
fn with_column(rows: &RecordBatch, name: &str, column: ArrayRef) -> RecordBatch {
    let index = rows.schema().index_of(name).unwrap();
    let mut fields: Vec<Field> = rows.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    fields[index] = Field::new(name, column.data_type().clone(), true);
    let mut columns = rows.columns().to_vec();
    columns[index] = column;
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// The run must end with exit code 3, say all of this and a remedy, and publish nothing.
pub fn refused_of(lake: &Path, args: &[&str], words: &[&str]) {
    let said = fails(3, &[&["run", "--lake", text(lake)], args].concat());
    for word in words {
        assert!(said.contains(word), "no word of `{word}`:\n{said}");
    }
    assert!(said.contains("help: "), "no remedy:\n{said}");
    assert!(fails(2, &["sql", "--lake", text(lake), "select 1"]).contains("no finished run"));
}

fn refused(lake: &Path, words: &[&str]) {
    refused_of(lake, &[], words);
}

/// A path as messages name it: below the lake.
fn below(lake: &Path, file: &Path) -> String {
    text(file.strip_prefix(lake).unwrap()).to_string()
}

#[test]
fn a_truncated_file() {
    let lake = small_lake();
    let file = first(lake.path(), "events/event_date=2025-01-20");
    let whole = std::fs::read(&file).unwrap();
    for kept in [whole.len() / 2, whole.len() - 1, 3, 0] {
        write_bytes(&file, &whole[..kept]);
        refused(lake.path(), &["raw.events", &below(lake.path(), &file), "truncated", "deliver it again"]);
    }
    // delivered again, the run goes on
    write_bytes(&file, &whole);
    ok(&["run", "--lake", text(lake.path())]);
}

#[test]
fn a_page_overwritten_within_a_file() {
    let lake = small_lake();
    let file = first(lake.path(), "events/event_date=2025-01-20");
    let mut bytes = std::fs::read(&file).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&file).unwrap()).unwrap();
    let group = reader.metadata().row_group(0);
    let chunk = group.columns().iter().find(|column| column.column_path().string() == "device_id").unwrap();
    let (start, length) = chunk.byte_range();
    bytes[start as usize..(start + length) as usize].fill(0xff);
    write_bytes(&file, &bytes);
    refused(lake.path(), &["raw.events", &below(lake.path(), &file), "`device_id`", "cannot be decoded"]);
}

#[test]
fn a_file_outside_a_days_folder() {
    let lake = small_lake();
    let file = first(lake.path(), "events/event_date=2025-01-20");
    let stray = lake.path().join("raw/events/stray.parquet");
    std::fs::copy(&file, &stray).unwrap();
    refused(lake.path(), &["raw.events", "raw/events/stray.parquet", "event_date=YYYY-MM-DD"]);
}

#[test]
fn a_missing_column() {
    let lake = small_lake();
    let file = first(lake.path(), "orders/order_date=2025-01-20");
    let rows = read(&file);
    let status = rows.schema().index_of("status").unwrap();
    let others: Vec<usize> = (0..rows.num_columns()).filter(|index| *index != status).collect();
    write(&file, &rows.project(&others).unwrap());
    refused(
        lake.path(),
        &["raw.orders", &below(lake.path(), &file), "lacks column `status`", "ordered_at", "orders.sql"],
    );
}

#[test]
fn a_changed_type() {
    let lake = small_lake();
    let file = first(lake.path(), "orders/order_date=2025-01-20");
    let good = read(&file);
    let changed = |column: &str, to: &DataType| {
        let old = good.column_by_name(column).unwrap();
        write(&file, &with_column(&good, column, cast(old, to).unwrap()));
    };
    let name = below(lake.path(), &file);
    changed("discount", &DataType::Utf8);
    refused(lake.path(), &["raw.orders", &name, "`discount` as Utf8", "Float64", "orders.sql"]);
    // a time of another zone would be read as another instant
    changed("ordered_at", &DataType::Int64);
    refused(lake.path(), &["raw.orders", &name, "`ordered_at` as Int64", "Timestamp", "orders.sql"]);
    // what loses nothing is read: whole numbers of fewer bits, milliseconds
    changed("ordered_at", &DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, None));
    ok(&["run", "--lake", text(lake.path())]);
}

#[test]
fn an_empty_source() {
    let lake = small_lake();
    for file in files(&lake.path().join("raw/orders")) {
        write(&file, &read(&file).slice(0, 0));
    }
    refused(lake.path(), &["raw.orders", "hold no row", "may_be_empty", "absent"]);
}

#[test]
fn a_source_without_a_folder() {
    let lake = small_lake();
    let folder = lake.path().join("raw/orders");
    std::fs::remove_dir_all(&folder).unwrap();
    refused(lake.path(), &["raw.orders", "no files", text(&folder), "absent", "orders.sql"]);
    std::fs::create_dir(&folder).unwrap();
    refused(lake.path(), &["raw.orders", "no files", text(&folder)]);
}

#[test]
fn keys_that_are_null() {
    let lake = small_lake();
    let customers = files(&lake.path().join("raw/crm_customers"));
    let empty = |file: &Path| {
        let rows = read(file);
        write(file, &with_column(&rows, "account_id", new_null_array(&DataType::Utf8, rows.num_rows())));
    };
    // in one file: rows are set apart
    let emptied = read(&customers[1]).num_rows();
    empty(&customers[1]);
    ok(&["run", "--lake", text(lake.path())]);
    let set_apart =
        rows(lake.path(), "select count(*) as n from quarantine.customers where rule = 'missing_key'");
    assert_eq!(set_apart[0]["n"], emptied);
    // in all files: no source of customers
    let lake = small_lake();
    files(&lake.path().join("raw/crm_customers")).iter().for_each(|file| empty(file));
    refused(lake.path(), &["raw.crm_customers", "`account_id` is NULL in every row", "crm_customers.sql"]);
}

#[test]
fn text_that_is_not_utf8() {
    let lake = small_lake();
    for (folder, column) in [("crm_customers", "full_name"), ("events/event_date=2025-01-20", "device_id")] {
        let file = first(lake.path(), folder);
        let whole = std::fs::read(&file).unwrap();
        let rows = read(&file);
        let marker = "a-text-like-no-other";
        let old = rows.column_by_name(column).unwrap();
        let texts = old.as_any().downcast_ref::<StringArray>().unwrap();
        let texts = texts.iter().enumerate().map(|(row, text)| if row == 0 { Some(marker) } else { text });
        let texts: StringArray = texts.collect();
        write(&file, &with_column(&rows, column, Arc::new(texts)));
        // Latin-1 in place of UTF-8, of the same length
        let mut bytes = std::fs::read(&file).unwrap();
        let at: Vec<usize> = bytes
            .windows(marker.len())
            .enumerate()
            .filter(|(_, b)| *b == marker.as_bytes())
            .map(|(at, _)| at)
            .collect();
        assert!(!at.is_empty());
        at.iter().for_each(|at| bytes[at + 2] = 0xe9);
        write_bytes(&file, &bytes);
        refused(lake.path(), &[&below(lake.path(), &file), &format!("column `{column}`"), "UTF-8"]);
        write_bytes(&file, &whole);
    }
    ok(&["run", "--lake", text(lake.path())]);
}

#[test]
fn a_price_that_is_no_number() {
    let lake = small_lake();
    let day = "order_items/order_date=2025-01-20";
    let file = first(lake.path(), day);
    let items = read(&file);
    let old = items.column_by_name("unit_price").unwrap();
    let old = old.as_any().downcast_ref::<Float64Array>().unwrap();
    assert!(old.value(0) > 0.0 && old.value(1) > 0.0);
    let mut prices: Vec<f64> = old.values().to_vec();
    (prices[0], prices[1]) = (f64::NAN, f64::INFINITY);
    write(&file, &with_column(&items, "unit_price", Arc::new(Float64Array::from(prices))));
    ok(&["run", "--lake", text(lake.path())]);
    let id = |row: usize| {
        let ids = items
            .column_by_name("order_id")
            .unwrap()
            .as_any()
            .downcast_ref::<Int64Array>()
            .unwrap()
            .value(row);
        let lines = items
            .column_by_name("line_no")
            .unwrap()
            .as_any()
            .downcast_ref::<Int32Array>()
            .unwrap()
            .value(row);
        format!("order_id = {ids} and line_no = {lines}")
    };
    for row in [0, 1] {
        let found = rows(lake.path(), &format!("select rule from quarantine.order_lines where {}", id(row)))
            .into_iter()
            .map(|row| row["rule"].as_str().unwrap_or_default().to_string())
            .collect::<Vec<_>>();
        assert_eq!(found, ["invalid_price"]);
        let kept =
            rows(lake.path(), &format!("select count(*) as n from staging.order_lines where {}", id(row)));
        assert_eq!(kept[0]["n"], 0);
    }
}

#[test]
fn an_instant_before_all_data() {
    let lake = small_lake();
    refused_of(
        lake.path(),
        &["--as-of", "2020-01-01"],
        &["2019-12-31T16:00:00Z", "held no row", "became known at 2024-12-31", "--as-of"],
    );
}

#[test]
fn a_lake_that_cannot_be_written() {
    // the kernel lets nobody create files there, root included
    let closed = Path::new("/sys/kernel");
    let said = fails(3, &["run", "--lake", text(closed)]);
    assert!(
        said.contains("/sys/kernel") && said.contains("permission denied") && said.contains("--lake"),
        "{said}"
    );
    for folder in ["locks", "stages", "published"] {
        let lake = small_lake();
        std::os::unix::fs::symlink(closed, lake.path().join(folder)).unwrap();
        let said = fails(3, &["run", "--lake", text(lake.path())]);
        assert!(
            said.contains(&format!("/{folder}/")) && said.contains("permission denied"),
            "{folder}: {said}"
        );
        assert!(said.contains("write access"), "{folder}: {said}");
    }
    let lake = small_lake();
    let file = first(lake.path(), "products");
    let said = fails(2, &["run", "--lake", text(&file)]);
    assert!(said.contains(text(&file)) && said.contains("choose another --lake"), "{said}");
}

/// A day of events of one device, every other one under the account that logged in on it.
fn flood(device: &str, account: &str, count: i64) -> RecordBatch {
    let start = 1_738_548_000_000_000_i64; // 2025-02-03T02:00:00Z
    let ids = Int64Array::from_iter_values((0..count).map(|n| 9_000_000_000_000_000 + n));
    let accounts = StringArray::from_iter((0..count).map(|n| (n % 2 == 0).then_some(account)));
    let rows = count as usize;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("event_id", Arc::new(ids)),
        ("device_id", Arc::new(StringArray::from(vec![device; rows]))),
        ("account_id", Arc::new(accounts)),
        ("event_type", Arc::new(StringArray::from(vec!["view"; rows]))),
        ("product_id", new_null_array(&DataType::Int64, rows)),
        ("query", new_null_array(&DataType::Utf8, rows)),
        ("dwell_ms", new_null_array(&DataType::Int32, rows)),
        ("place", new_null_array(&DataType::Utf8, rows)),
        (
            "event_time",
            Arc::new(TimestampMicrosecondArray::from_iter_values((0..count).map(|n| start + n * 30_000))),
        ),
        ("ingested_at", Arc::new(TimestampMicrosecondArray::from(vec![start + 12 * 3_600_000_000; rows]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .unwrap()
}

#[test]
fn a_customer_with_a_million_events() {
    let lake = small_lake();
    let logins = read(&first(lake.path(), "devices/login_date=2025-02-03"));
    let of = |column: &str| {
        let texts = logins.column_by_name(column).unwrap();
        texts.as_any().downcast_ref::<StringArray>().unwrap().value(0).to_string()
    };
    let (device, account) = (of("device_id"), of("account_id"));
    let events = flood(&device, &account, 1_000_000);
    write(&lake.path().join("raw/events/event_date=2025-02-03/flood.parquet"), &events);
    let mut run =
        Running::start(&["run", "--lake", text(lake.path()), "--memory", "384MiB", "--threads", "2"]);
    let mut peak = 0;
    while run.ended().is_none() {
        peak = peak.max(peak_kib(run.id()).unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(run.wait().success(), "{}", run.said());
    // the allocator keeps some of what was freed
    assert!(peak > 0 && peak <= 432 << 10, "peak resident memory {peak} KiB");
    // one row for what was done under the account, one for what was done anonymously
    let query = format!(
        "select account_id, events from facts.daily_activity where event_date = date '2025-02-03'
        and device_id = '{device}' and events >= 500000 order by account_id nulls last"
    );
    let days = rows(lake.path(), &query);
    assert_eq!(days.len(), 2, "{days:?}");
    assert_eq!(days[0]["account_id"], account.as_str());
    let query = format!("select a.events from features.activity as a
        inner join identity.account_person as p on a.customer_id = p.customer_id where p.account_id = '{account}'");
    assert!(rows(lake.path(), &query)[0]["events"].as_u64().unwrap() >= 500_000);
}

/// Peak resident memory of a process, while it lives.
fn peak_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
