//! The canonical bytes of values and their hash. A value is one step
//! `h = XXH64(payload, seed = h + tag)` from the hash `h` so far; a list is a step for its length and one
//! for each entry, a struct a step and one for each field. So a hash depends on nothing but the values and
//! can be recomputed by any implementation of XXH64.
//!
//! | value | tag | payload |
//! |---|---|---|
//! | NULL of any type | 0 | none |
//! | boolean | 1 | one byte |
//! | integer of any width | 2 | 8 bytes, two's complement (unsigned above the signed range: tag 3) |
//! | float | 4 | 8 bytes of the double; every NaN is the same, -0 is not 0 |
//! | decimal | 5 | unscaled number, 16 bytes, and scale, 1 byte (256 bits: 32 and 1, tag 6) |
//! | text | 7 | its UTF-8 bytes |
//! | binary | 8 | its bytes |
//! | date | 9 | days, 8 bytes (milliseconds: tag 10) |
//! | timestamp | 11 s, 12 ms, 13 us, 14 ns | 8 bytes; the zone of the type does not count |
//! | list | 15 | length, 8 bytes |
//! | struct | 16 | none |
//!
//! Numbers are little-endian.

use arrow::array::types::*;
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, GenericListArray, OffsetSizeTrait};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, plan_err};
use twox_hash::XxHash64;

const NULL: u64 = 0;
const BOOLEAN: u64 = 1;
const INTEGER: u64 = 2;
const LARGE_UNSIGNED: u64 = 3;
const FLOAT: u64 = 4;
const DECIMAL: u64 = 5;
const DECIMAL_256: u64 = 6;
const TEXT: u64 = 7;
const BINARY: u64 = 8;
const DATE: u64 = 9;
const DATE_MILLIS: u64 = 10;
const TIMESTAMP: u64 = 11;
const LIST: u64 = 15;
const STRUCT: u64 = 16;

/// Takes the index of a value and the hash so far, gives the hash with that value.
pub type SlotHasher<'a> = Box<dyn Fn(usize, u64) -> u64 + 'a>;

/// Refuses types that have no canonical bytes.
pub fn check_hashable(data_type: &DataType) -> Result<()> {
    use DataType::*;
    match data_type {
        Null | Boolean | Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView
        | FixedSizeBinary(_) => Ok(()),
        Date32 | Date64 | Timestamp(_, _) => Ok(()),
        number if number.is_numeric() => Ok(()),
        List(item) | LargeList(item) | FixedSizeList(item, _) => check_hashable(item.data_type()),
        Struct(fields) => fields.iter().try_for_each(|field| check_hashable(field.data_type())),
        Dictionary(_, value) => check_hashable(value),
        other => plan_err!("row_hash: values of type {other} cannot be hashed; cast them to varchar"),
    }
}

#[inline]
fn step(hash: u64, tag: u64, payload: &[u8]) -> u64 {
    XxHash64::oneshot(hash.wrapping_add(tag), payload)
}

/// The hasher of the values of an array.
pub fn slot_hasher(array: &dyn Array) -> Result<SlotHasher<'_>> {
    use DataType::*;
    let hasher: SlotHasher<'_> = match array.data_type() {
        Null => Box::new(|_, hash| step(hash, NULL, &[])),
        Boolean => {
            let values = array.as_boolean();
            nullable(array, move |slot, hash| step(hash, BOOLEAN, &[u8::from(values.value(slot))]))
        }
        Int8 => integers::<Int8Type>(array),
        Int16 => integers::<Int16Type>(array),
        Int32 => integers::<Int32Type>(array),
        Int64 => integers::<Int64Type>(array),
        UInt8 => integers::<UInt8Type>(array),
        UInt16 => integers::<UInt16Type>(array),
        UInt32 => integers::<UInt32Type>(array),
        UInt64 => primitive::<UInt64Type>(array, |value, hash| {
            let tag = if i64::try_from(value).is_ok() { INTEGER } else { LARGE_UNSIGNED };
            step(hash, tag, &value.to_le_bytes())
        }),
        Float16 => primitive::<Float16Type>(array, |value, hash| float(f64::from(value), hash)),
        Float32 => primitive::<Float32Type>(array, |value, hash| float(f64::from(value), hash)),
        Float64 => primitive::<Float64Type>(array, float),
        Decimal32(_, scale) => decimals::<Decimal32Type>(array, *scale),
        Decimal64(_, scale) => decimals::<Decimal64Type>(array, *scale),
        Decimal128(_, scale) => decimals::<Decimal128Type>(array, *scale),
        Decimal256(_, scale) => decimals_256(array, *scale),
        Date32 => fixed::<Date32Type>(array, DATE),
        Date64 => fixed::<Date64Type>(array, DATE_MILLIS),
        Timestamp(TimeUnit::Second, _) => fixed::<TimestampSecondType>(array, TIMESTAMP),
        Timestamp(TimeUnit::Millisecond, _) => fixed::<TimestampMillisecondType>(array, TIMESTAMP + 1),
        Timestamp(TimeUnit::Microsecond, _) => fixed::<TimestampMicrosecondType>(array, TIMESTAMP + 2),
        Timestamp(TimeUnit::Nanosecond, _) => fixed::<TimestampNanosecondType>(array, TIMESTAMP + 3),
        Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => bytes(array)?,
        List(_) => lists(array.as_list::<i32>())?,
        LargeList(_) => lists(array.as_list::<i64>())?,
        FixedSizeList(_, size) => {
            let list = array.as_fixed_size_list();
            let (size, item) = (usize::try_from(*size).unwrap_or(0), slot_hasher(list.values())?);
            let first = list.value_offset(0).max(0) as usize;
            nullable(array, move |slot, hash| hash_list(first + slot * size, size, &item, hash))
        }
        Struct(_) => structs(array.as_struct().columns(), array)?,
        Dictionary(_, _) => dictionary(array)?,
        other => return check_hashable(other).map(|()| nullable(array, |_, hash| hash)),
    };
    Ok(hasher)
}

fn nullable<'a>(array: &'a dyn Array, value: impl Fn(usize, u64) -> u64 + 'a) -> SlotHasher<'a> {
    match array.nulls() {
        None => Box::new(value),
        Some(nulls) => Box::new(
            move |slot, hash| if nulls.is_null(slot) { step(hash, NULL, &[]) } else { value(slot, hash) },
        ),
    }
}

fn primitive<'a, T: ArrowPrimitiveType>(
    array: &'a dyn Array,
    value: impl Fn(T::Native, u64) -> u64 + 'a,
) -> SlotHasher<'a> {
    let values = array.as_primitive::<T>().values();
    nullable(array, move |slot, hash| value(values[slot], hash))
}

fn integers<'a, T: ArrowPrimitiveType<Native: Into<i64>>>(array: &'a dyn Array) -> SlotHasher<'a> {
    fixed::<T>(array, INTEGER)
}

fn fixed<'a, T: ArrowPrimitiveType<Native: Into<i64>>>(array: &'a dyn Array, tag: u64) -> SlotHasher<'a> {
    primitive::<T>(array, move |value, hash| {
        let value: i64 = value.into();
        step(hash, tag, &value.to_le_bytes())
    })
}

fn float(value: f64, hash: u64) -> u64 {
    let canonical = if value.is_nan() { f64::NAN } else { value };
    step(hash, FLOAT, &canonical.to_bits().to_le_bytes())
}

fn decimals<'a, T: ArrowPrimitiveType<Native: Into<i128>>>(
    array: &'a dyn Array,
    scale: i8,
) -> SlotHasher<'a> {
    primitive::<T>(array, move |value, hash| {
        let (unscaled, mut payload): (i128, _) = (value.into(), [0; 17]);
        payload[..16].copy_from_slice(&unscaled.to_le_bytes());
        payload[16] = scale.to_le_bytes()[0];
        step(hash, DECIMAL, &payload)
    })
}

fn decimals_256(array: &dyn Array, scale: i8) -> SlotHasher<'_> {
    primitive::<Decimal256Type>(array, move |value, hash| {
        let mut payload = [0; 33];
        payload[..32].copy_from_slice(&value.to_le_bytes());
        payload[32] = scale.to_le_bytes()[0];
        step(hash, DECIMAL_256, &payload)
    })
}

fn bytes(array: &dyn Array) -> Result<SlotHasher<'_>> {
    use DataType::*;
    Ok(match array.data_type() {
        Utf8 => {
            let values = array.as_string::<i32>();
            nullable(array, move |slot, hash| step(hash, TEXT, values.value(slot).as_bytes()))
        }
        LargeUtf8 => {
            let values = array.as_string::<i64>();
            nullable(array, move |slot, hash| step(hash, TEXT, values.value(slot).as_bytes()))
        }
        Utf8View => {
            let values = array.as_string_view();
            nullable(array, move |slot, hash| step(hash, TEXT, values.value(slot).as_bytes()))
        }
        Binary => {
            let values = array.as_binary::<i32>();
            nullable(array, move |slot, hash| step(hash, BINARY, values.value(slot)))
        }
        LargeBinary => {
            let values = array.as_binary::<i64>();
            nullable(array, move |slot, hash| step(hash, BINARY, values.value(slot)))
        }
        BinaryView => {
            let values = array.as_binary_view();
            nullable(array, move |slot, hash| step(hash, BINARY, values.value(slot)))
        }
        _ => {
            let values = array.as_fixed_size_binary();
            nullable(array, move |slot, hash| step(hash, BINARY, values.value(slot)))
        }
    })
}

fn hash_list(from: usize, length: usize, item: &SlotHasher<'_>, hash: u64) -> u64 {
    let hash = step(hash, LIST, &(length as u64).to_le_bytes());
    (from..from + length).fold(hash, |hash, slot| item(slot, hash))
}

fn lists<O: OffsetSizeTrait>(list: &GenericListArray<O>) -> Result<SlotHasher<'_>> {
    let (offsets, item) = (list.value_offsets(), slot_hasher(list.values())?);
    Ok(nullable(list, move |slot, hash| {
        let (from, to) = (offsets[slot].as_usize(), offsets[slot + 1].as_usize());
        hash_list(from, to - from, &item, hash)
    }))
}

fn structs<'a>(columns: &'a [ArrayRef], array: &'a dyn Array) -> Result<SlotHasher<'a>> {
    let fields: Vec<_> = columns.iter().map(|column| slot_hasher(column)).collect::<Result<_>>()?;
    Ok(nullable(array, move |slot, hash| {
        fields.iter().fold(step(hash, STRUCT, &[]), |hash, field| field(slot, hash))
    }))
}

fn dictionary(array: &dyn Array) -> Result<SlotHasher<'_>> {
    let dictionary = array.as_any_dictionary();
    let (keys, value) = (dictionary.normalized_keys(), slot_hasher(dictionary.values())?);
    Ok(nullable(array, move |slot, hash| value(keys[slot], hash)))
}
