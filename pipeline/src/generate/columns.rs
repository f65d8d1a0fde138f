//! Rows of a table as columns, in the order of ingestion.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use chrono::NaiveDate;

use super::events::{ascii, by_ingestion};
use super::world::{World, account_text, device_text};
use super::write;
use crate::{Context, Result};

/// Rows in the order of ingestion.
pub struct Sorted<'a, T> {
    world: &'a World,
    rows: Vec<&'a T>,
}

impl<'a, T> Sorted<'a, T> {
    /// Sorts rows that are ingested on one local day.
    pub fn by(world: &'a World, rows: &'a [T], ingested: impl Fn(&T) -> i64) -> Self {
        Sorted { world, rows: by_ingestion(rows.iter().map(ingested)).map(|index| &rows[index]).collect() }
    }

    /// A column of 64-bit integers.
    pub fn longs(&self, value: impl Fn(&T) -> i64) -> ArrayRef {
        self.optional_longs(|row| Some(value(row)))
    }

    /// A column of 64-bit integers, some missing.
    pub fn optional_longs(&self, value: impl Fn(&T) -> Option<i64>) -> ArrayRef {
        Arc::new(self.rows.iter().map(|row| value(row)).collect::<Int64Array>())
    }

    /// A column of 32-bit integers.
    pub fn ints(&self, value: impl Fn(&T) -> i32) -> ArrayRef {
        self.optional_ints(|row| Some(value(row)))
    }

    /// A column of 32-bit integers, some missing.
    pub fn optional_ints(&self, value: impl Fn(&T) -> Option<i32>) -> ArrayRef {
        Arc::new(self.rows.iter().map(|row| value(row)).collect::<Int32Array>())
    }

    /// A column of numbers.
    pub fn floats(&self, value: impl Fn(&T) -> f64) -> ArrayRef {
        self.optional_floats(|row| Some(value(row)))
    }

    /// A column of numbers, some missing.
    pub fn optional_floats(&self, value: impl Fn(&T) -> Option<f64>) -> ArrayRef {
        Arc::new(self.rows.iter().map(|row| value(row)).collect::<Float64Array>())
    }

    /// A column of fixed texts.
    pub fn texts(&self, value: impl Fn(&T) -> &'static str) -> ArrayRef {
        Arc::new(self.rows.iter().map(|row| Some(value(row))).collect::<StringArray>())
    }

    /// A column of texts made for each row, some missing.
    pub fn made_texts(&self, value: impl Fn(&T) -> Option<String>) -> ArrayRef {
        Arc::new(self.rows.iter().map(|row| value(row)).collect::<StringArray>())
    }

    /// A column of account ids by account number.
    pub fn accounts(&self, value: impl Fn(&T) -> u64) -> ArrayRef {
        let texts: Vec<_> = self.rows.iter().map(|row| account_text(value(row))).collect();
        Arc::new(texts.iter().map(|text| Some(ascii(text))).collect::<StringArray>())
    }

    /// A column of device ids by device number, some missing.
    pub fn devices(&self, value: impl Fn(&T) -> Option<u64>) -> ArrayRef {
        let texts: Vec<_> = self.rows.iter().map(|row| value(row).map(device_text)).collect();
        Arc::new(texts.iter().map(|text| text.as_ref().map(|text| ascii(text))).collect::<StringArray>())
    }

    /// A column of instants by world time.
    pub fn times(&self, value: impl Fn(&T) -> i64) -> ArrayRef {
        self.optional_times(|row| Some(value(row)))
    }

    /// A column of instants by world time, some missing.
    pub fn optional_times(&self, value: impl Fn(&T) -> Option<i64>) -> ArrayRef {
        let utc = self.rows.iter().map(|row| value(row).map(|time| self.world.utc(time)));
        Arc::new(utc.collect::<TimestampMicrosecondArray>())
    }

    /// A column of local dates by day.
    pub fn dates(&self, value: impl Fn(&T) -> i64) -> ArrayRef {
        let first = self.world.date(0).signed_duration_since(NaiveDate::default()).num_days();
        Arc::new(self.rows.iter().map(|row| Some((first + value(row)) as i32)).collect::<Date32Array>())
    }
}

/// The batch of a table; `None` when there are no rows.
///
/// # Errors
/// When Arrow refuses the columns, which would be a defect.
pub fn batch(table: &str, rows: usize, columns: Vec<ArrayRef>) -> Result<Option<RecordBatch>> {
    if rows == 0 {
        return Ok(None);
    }
    RecordBatch::try_new(write::schema(table), columns).map(Some).context(format!("building {table}"))
}
