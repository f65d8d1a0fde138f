//! Timestamps of any unit as UTC microseconds.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{
    DataType, Date32Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use datafusion::common::{Result, internal_err, plan_err};

use super::DAY_US;

/// The type to which a timestamp argument is cast: none, except that NULL becomes a timestamp. A zone in
/// the type says how to print the instant and changes nothing here.
pub(crate) fn timestamp_type(function: &str, name: &str, data_type: &DataType) -> Result<DataType> {
    match data_type {
        DataType::Timestamp(_, _) => Ok(data_type.clone()),
        DataType::Null => Ok(DataType::Timestamp(TimeUnit::Microsecond, None)),
        other => {
            plan_err!("{function}: argument {name} must be a timestamp, not {other}; cast it to timestamp")
        }
    }
}

/// Instants as UTC microseconds, rounded down; NULL where seconds or milliseconds do not fit.
pub(super) fn to_micros(array: &ArrayRef) -> Result<Int64Array> {
    Ok(match array.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            array.as_primitive::<TimestampMicrosecondType>().reinterpret_cast::<Int64Type>()
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            array.as_primitive::<TimestampNanosecondType>().unary(|nanos| nanos.div_euclid(1_000))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            array.as_primitive::<TimestampMillisecondType>().unary_opt(|millis| millis.checked_mul(1_000))
        }
        DataType::Timestamp(TimeUnit::Second, _) => {
            array.as_primitive::<TimestampSecondType>().unary_opt(|seconds| seconds.checked_mul(1_000_000))
        }
        other => return internal_err!("expected a timestamp, found {other}"),
    })
}

/// Dates (their midnight, UTC) and instants as microseconds, rounded down; the nearest end of the range where they do not fit.
pub(super) fn to_micros_within(array: &ArrayRef) -> Result<Int64Array> {
    Ok(match array.data_type() {
        DataType::Date32 => {
            array.as_primitive::<Date32Type>().unary(|day| i64::from(day).saturating_mul(DAY_US))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            array.as_primitive::<TimestampMillisecondType>().unary(|millis| millis.saturating_mul(1_000))
        }
        DataType::Timestamp(TimeUnit::Second, _) => {
            array.as_primitive::<TimestampSecondType>().unary(|seconds| seconds.saturating_mul(1_000_000))
        }
        _ => to_micros(array)?,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
    };

    use super::*;

    #[test]
    fn units_round_down_and_overflow_to_null() {
        let cases: [(ArrayRef, Vec<Option<i64>>); 4] = [
            (
                Arc::new(TimestampNanosecondArray::from(vec![Some(-1), Some(1_999), None])),
                vec![Some(-1), Some(1), None],
            ),
            (Arc::new(TimestampMicrosecondArray::from(vec![7]).with_timezone("+08:00")), vec![Some(7)]),
            (Arc::new(TimestampMillisecondArray::from(vec![2, i64::MAX])), vec![Some(2_000), None]),
            (Arc::new(TimestampSecondArray::from(vec![i64::MIN, -2])), vec![None, Some(-2_000_000)]),
        ];
        for (array, expected) in cases {
            assert_eq!(to_micros(&array).unwrap(), Int64Array::from(expected));
        }
    }
}
