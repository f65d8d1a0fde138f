//! Orders, lines and returns as columns, in the order of ingestion.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};

use super::events::{ascii, by_ingestion};
use super::orders::{CHANNELS, ItemRow, OrderRow, REASONS, ReturnRow, STATUSES};
use super::products::Catalogue;
use super::world::{World, account_text, device_text};
use super::write;
use crate::{Context, Result};

/// Rows in the order of ingestion.
struct Sorted<'a, T> {
    world: &'a World,
    rows: Vec<&'a T>,
}

impl<'a, T> Sorted<'a, T> {
    fn new(world: &'a World, rows: &'a [T], ingested: impl Fn(&T) -> i64) -> Self {
        Sorted { world, rows: by_ingestion(rows.iter().map(ingested)).map(|index| &rows[index]).collect() }
    }

    fn longs(&self, value: impl Fn(&T) -> i64) -> ArrayRef {
        Arc::new(self.rows.iter().map(|row| value(row)).collect::<Int64Array>())
    }

    fn ints(&self, value: impl Fn(&T) -> i32) -> ArrayRef {
        Arc::new(self.rows.iter().map(|row| value(row)).collect::<Int32Array>())
    }

    fn floats(&self, value: impl Fn(&T) -> f64) -> ArrayRef {
        Arc::new(self.rows.iter().map(|row| value(row)).collect::<Float64Array>())
    }

    fn texts(&self, value: impl Fn(&T) -> &'static str) -> ArrayRef {
        Arc::new(self.rows.iter().map(|row| Some(value(row))).collect::<StringArray>())
    }

    fn accounts(&self, value: impl Fn(&T) -> u64) -> ArrayRef {
        let texts: Vec<_> = self.rows.iter().map(|row| account_text(value(row))).collect();
        Arc::new(texts.iter().map(|text| Some(ascii(text))).collect::<StringArray>())
    }

    fn devices(&self, value: impl Fn(&T) -> Option<u64>) -> ArrayRef {
        let texts: Vec<_> = self.rows.iter().map(|row| value(row).map(device_text)).collect();
        Arc::new(texts.iter().map(|text| text.as_ref().map(|text| ascii(text))).collect::<StringArray>())
    }

    fn times(&self, value: impl Fn(&T) -> i64) -> ArrayRef {
        let utc = self.rows.iter().map(|row| self.world.utc(value(row)));
        Arc::new(utc.collect::<Vec<i64>>().into_iter().map(Some).collect::<TimestampMicrosecondArray>())
    }
}

fn batch(table: &str, rows: usize, columns: Vec<ArrayRef>) -> Result<Option<RecordBatch>> {
    if rows == 0 {
        return Ok(None);
    }
    RecordBatch::try_new(write::schema(table), columns).map(Some).context(format!("building {table}"))
}

/// Rows of `orders`; `None` when there are none.
///
/// # Errors
/// When Arrow refuses the columns, which would be a defect.
pub fn orders(world: &World, rows: &[OrderRow]) -> Result<Option<RecordBatch>> {
    let sorted = Sorted::new(world, rows, |row| row.ingested);
    let columns = vec![
        sorted.longs(|row| row.id),
        sorted.accounts(|row| row.account),
        sorted.devices(|row| row.device),
        sorted.texts(|row| CHANNELS[usize::from(row.channel)]),
        sorted.texts(|row| STATUSES[usize::from(row.status)]),
        sorted.times(|row| row.time),
        sorted.floats(|row| row.discount),
        sorted.times(|row| row.ingested),
    ];
    batch("orders", rows.len(), columns)
}

/// Rows of `order_items`; `None` when there are none.
///
/// # Errors
/// When Arrow refuses the columns, which would be a defect.
pub fn items(world: &World, rows: &[ItemRow]) -> Result<Option<RecordBatch>> {
    let sorted = Sorted::new(world, rows, |row| row.ingested);
    let columns = vec![
        sorted.longs(|row| row.order),
        sorted.ints(|row| row.line),
        sorted.longs(|row| Catalogue::id(row.product)),
        sorted.ints(|row| row.quantity),
        sorted.floats(|row| row.price),
        sorted.times(|row| row.ingested),
    ];
    batch("order_items", rows.len(), columns)
}

/// Rows of `returns`; `None` when there are none.
///
/// # Errors
/// When Arrow refuses the columns, which would be a defect.
pub fn returns(world: &World, rows: &[ReturnRow]) -> Result<Option<RecordBatch>> {
    let sorted = Sorted::new(world, rows, |row| row.ingested);
    let columns = vec![
        sorted.longs(|row| row.id),
        sorted.longs(|row| row.order),
        sorted.ints(|row| row.line),
        sorted.accounts(|row| row.account),
        sorted.ints(|row| row.quantity),
        sorted.floats(|row| row.amount),
        sorted.texts(|row| REASONS[usize::from(row.reason)]),
        sorted.times(|row| row.time),
        sorted.times(|row| row.ingested),
    ];
    batch("returns", rows.len(), columns)
}
