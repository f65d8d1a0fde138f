//! The rows of the side that is looked up, and where each key stands among them.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::compute::concat_batches;
use arrow::datatypes::{
    DataType, Date32Type, Int32Type, Int64Type, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::common::utils::memory::RecordBatchMemoryCounter;
use datafusion::common::{Result, internal_err, resources_datafusion_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_expr::PhysicalExprRef;
use datafusion::physical_plan::metrics::Time;
use futures::StreamExt;

/// Stands for no row.
pub(super) const NONE: u32 = u32::MAX;

/// The seed is fixed, so that a join takes its rows in the same order every time.
const HASHES: RandomState = RandomState::with_seed(0x5374_7261_7461);

/// All rows of one side in memory. A slot holds the upper half of a key's hash above the number of its first row, from 1.
pub(super) struct Table {
    pub(super) rows: RecordBatch,
    keys: Vec<Key>,
    slots: Vec<u64>,
    /// The next row with the key of each, in the order of rows; empty where every key stands once.
    next: Vec<u32>,
    /// Whether no row has a key.
    pub(super) is_empty: bool,
    /// Gives back what was taken when the table is dropped.
    memory: MemoryReservation,
}

/// A column of keys by how its values are compared.
pub(super) enum Key {
    Text(StringArray),
    Narrow(ScalarBuffer<i32>),
    Wide(ScalarBuffer<i64>),
}

impl Key {
    pub(super) fn takes(data_type: &DataType) -> bool {
        use DataType::{Date32, Int32, Int64, Timestamp, Utf8};
        matches!(data_type, Utf8 | Int32 | Int64 | Date32 | Timestamp(TimeUnit::Microsecond, _))
    }

    fn of(values: &ArrayRef) -> Result<Key> {
        Ok(match values.data_type() {
            DataType::Utf8 => Key::Text(values.as_string().clone()),
            DataType::Int32 => Key::Narrow(values.as_primitive::<Int32Type>().values().clone()),
            DataType::Date32 => Key::Narrow(values.as_primitive::<Date32Type>().values().clone()),
            DataType::Int64 => Key::Wide(values.as_primitive::<Int64Type>().values().clone()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Key::Wide(values.as_primitive::<TimestampMicrosecondType>().values().clone())
            }
            other => return internal_err!("a key of type {other} cannot be looked up"),
        })
    }

    fn equal(&self, row: usize, other: &Key, other_row: usize) -> bool {
        match (self, other) {
            (Key::Text(a), Key::Text(b)) => same(a.value(row).as_bytes(), b.value(other_row).as_bytes()),
            (Key::Narrow(a), Key::Narrow(b)) => a[row] == b[other_row],
            (Key::Wide(a), Key::Wide(b)) => a[row] == b[other_row],
            _ => false,
        }
    }
}

/// The keys of a batch: their values, their hashes, and which rows have a key at all.
struct Keys {
    values: Vec<Key>,
    hashes: Vec<u64>,
    valid: Option<NullBuffer>,
}

impl Keys {
    fn of(batch: &RecordBatch, on: &[PhysicalExprRef]) -> Result<Keys> {
        let evaluate = |expr: &PhysicalExprRef| expr.evaluate(batch)?.into_array(batch.num_rows());
        let arrays = on.iter().map(evaluate).collect::<Result<Vec<ArrayRef>>>()?;
        let mut hashes = vec![0; batch.num_rows()];
        create_hashes(&arrays, &HASHES, &mut hashes)?;
        let valid = arrays.iter().fold(None, |valid, array| NullBuffer::union(valid.as_ref(), array.nulls()));
        Ok(Keys { values: arrays.iter().map(Key::of).collect::<Result<_>>()?, hashes, valid })
    }

    fn has(&self, row: usize) -> bool {
        self.valid.as_ref().is_none_or(|valid| valid.is_valid(row))
    }
}

/// Compares texts by words of eight bytes: keys are short, and a call for each would take longer.
fn same(a: &[u8], b: &[u8]) -> bool {
    let ((a_words, a_rest), (b_words, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    a.len() == b.len()
        && a_words.iter().zip(b_words).all(|(a, b)| u64::from_le_bytes(*a) == u64::from_le_bytes(*b))
        && a_rest.iter().zip(b_rest).all(|(a, b)| a == b)
}

fn equal(a: &[Key], row: usize, b: &[Key], other_row: usize) -> bool {
    a.iter().zip(b).all(|(a, b)| a.equal(row, b, other_row))
}

impl Table {
    /// Reads a side to its end.
    pub(super) async fn read(
        mut side: SendableRecordBatchStream,
        schema: SchemaRef,
        on: &[PhysicalExprRef],
        memory: MemoryReservation,
        time: Time,
    ) -> Result<Table> {
        let (mut batches, mut held) = (Vec::new(), RecordBatchMemoryCounter::new());
        while let Some(batch) = side.next().await {
            let batch = batch?;
            memory.try_grow(held.count_batch(&batch))?;
            batches.push(batch);
        }
        let _timer = time.timer();
        let rows = concat_batches(&schema, &batches)?;
        drop(batches);
        Table::of(rows, on, memory)
    }

    fn of(rows: RecordBatch, on: &[PhysicalExprRef], memory: MemoryReservation) -> Result<Table> {
        if rows.num_rows() >= NONE as usize {
            return Err(resources_datafusion_err!("{} rows are too many to be looked up", rows.num_rows()));
        }
        // at least a quarter of the slots is free
        let slots = (rows.num_rows() * 4 / 3 + 1).next_power_of_two();
        let hashes = rows.num_rows() * size_of::<u64>();
        memory.try_grow(slots * size_of::<u64>() + rows.num_rows() * size_of::<u32>() + hashes)?;
        let keys = Keys::of(&rows, on)?;
        let mut table =
            Table { rows, slots: vec![0; slots], next: Vec::new(), keys: Vec::new(), is_empty: true, memory };
        // from the last row to the first, so that rows with the same key are linked in their order
        for row in (0..table.rows.num_rows()).rev().filter(|row| keys.has(*row)) {
            table.insert(row, &keys);
            table.is_empty = false;
        }
        table.keys = keys.values;
        table.memory.shrink(hashes);
        Ok(table)
    }

    fn insert(&mut self, row: usize, keys: &Keys) {
        let entry = entry(keys.hashes[row], row);
        let mut place = self.place(keys.hashes[row]);
        loop {
            let slot = self.slots[place];
            if slot == 0 {
                break;
            }
            if same_tag(slot, entry) && equal(&keys.values, row, &keys.values, number(slot) as usize) {
                self.next.resize(self.rows.num_rows(), NONE);
                self.next[row] = number(slot);
                break;
            }
            place = (place + 1) & (self.slots.len() - 1);
        }
        self.slots[place] = entry;
    }

    fn place(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    /// The first row with the key of each row of `batch`, or [`NONE`].
    pub(super) fn find(&self, batch: &RecordBatch, on: &[PhysicalExprRef]) -> Result<Vec<u32>> {
        let keys = Keys::of(batch, on)?;
        // all slots are fetched before any is judged: most are in no cache, and so they are waited for together
        let first: Vec<u64> = keys.hashes.iter().map(|hash| self.slots[self.place(*hash)]).collect();
        Ok(match (&keys.values[..], &self.keys[..]) {
            ([Key::Text(a)], [Key::Text(b)]) => self
                .judge(&keys, &first, |row, there| same(a.value(row).as_bytes(), b.value(there).as_bytes())),
            (a, b) => self.judge(&keys, &first, |row, there| equal(a, row, b, there)),
        })
    }

    fn judge(&self, keys: &Keys, first: &[u64], equal: impl Fn(usize, usize) -> bool) -> Vec<u32> {
        let judge = |(row, (hash, first)): (usize, (&u64, &u64))| {
            let (mut slot, mut place) = (*first, self.place(*hash));
            while slot != 0 && keys.has(row) {
                let there = number(slot);
                if same_tag(slot, *hash) && equal(row, there as usize) {
                    return there;
                }
                place = (place + 1) & (self.slots.len() - 1);
                slot = self.slots[place];
            }
            NONE
        };
        keys.hashes.iter().zip(first).enumerate().map(judge).collect()
    }

    /// The next row with the same key, or [`NONE`].
    pub(super) fn after(&self, row: u32) -> u32 {
        self.next.get(row as usize).copied().unwrap_or(NONE)
    }

    /// Whether every key stands once.
    pub(super) fn is_unique(&self) -> bool {
        self.next.is_empty()
    }
}

fn entry(hash: u64, row: usize) -> u64 {
    (hash & !u64::from(u32::MAX)) | (row as u64 + 1)
}

fn number(slot: u64) -> u32 {
    (slot & u64::from(u32::MAX)) as u32 - 1
}

fn same_tag(a: u64, b: u64) -> bool {
    (a ^ b) >> 32 == 0
}
