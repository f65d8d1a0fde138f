//! Orders, lines and returns as columns, in the order of ingestion.

use arrow::array::RecordBatch;

use super::columns::{Sorted, batch};
use super::orders::{CHANNELS, ItemRow, OrderRow, REASONS, ReturnRow, STATUSES};
use super::products::Catalogue;
use super::world::World;
use crate::Result;

/// Rows of `orders`; `None` when there are none.
///
/// # Errors
/// When Arrow refuses the columns, which would be a defect.
pub fn orders(world: &World, rows: &[OrderRow]) -> Result<Option<RecordBatch>> {
    let sorted = Sorted::by(world, rows, |row| row.ingested);
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
    let sorted = Sorted::by(world, rows, |row| row.ingested);
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
    let sorted = Sorted::by(world, rows, |row| row.ingested);
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
