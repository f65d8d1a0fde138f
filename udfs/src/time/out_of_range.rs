//! `out_of_range`: whether a date or an instant is one that no record can have.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DataType, Date32Type};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::DAY_US;
use super::timestamps::to_micros_within;
use crate::args::{column, evaluate};

#[user_doc(
    doc_section(label = "Time"),
    description = "Whether one of the values lies before the first day or from the last day on (at midnight UTC). Values that are NULL are in range; so the answer is never NULL.",
    syntax_example = "out_of_range(first_day, last_day, value [, ...])",
    sql_example = "```sql\nselect out_of_range('1900-01-01', '2200-01-01', timestamp '0001-01-01 00:00:00');  -- true\n```",
    argument(name = "first_day", description = "A date, or its text: the first that is in range."),
    argument(
        name = "last_day",
        description = "A date, or its text: the first after `first_day` that is not in range."
    ),
    argument(name = "value", description = "Dates and timestamps of any unit.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct OutOfRange {
    signature: Signature,
}

impl Default for OutOfRange {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for OutOfRange {
    fn name(&self) -> &str {
        "out_of_range"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [first, last, values @ ..] = types else {
            return plan_err!("out_of_range(first_day, last_day, value, ...) lacks arguments");
        };
        if values.is_empty() {
            return plan_err!("out_of_range(first_day, last_day, value, ...) lacks a value");
        }
        for (name, limit) in [("first_day", first), ("last_day", last)] {
            if !matches!(limit, DataType::Date32 | DataType::Date64) && !crate::args::is_text(limit) {
                return plan_err!("out_of_range: argument {name} must be a date, not {limit}");
            }
        }
        let known = |value: &DataType| match value {
            DataType::Date32 | DataType::Timestamp(_, _) => Ok(value.clone()),
            DataType::Date64 | DataType::Null => Ok(DataType::Date32),
            other => plan_err!("out_of_range: a value must be a date or a timestamp, not {other}"),
        };
        let limits = [Ok(DataType::Date32), Ok(DataType::Date32)];
        limits.into_iter().chain(values.iter().map(known)).collect()
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&args, |rows| {
            let (first, last) = (limits(&args, 0, rows)?, limits(&args, 1, rows)?);
            let mut out = vec![false; rows];
            for place in 2..args.args.len() {
                let values = column(&args, place, rows)?;
                mark(&values, &first, &last, &mut out)?;
            }
            Ok(Arc::new(BooleanArray::from(out)) as ArrayRef)
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// The days of a limit as instants: one for all rows where they are the same.
fn limits(args: &ScalarFunctionArgs, place: usize, rows: usize) -> Result<Vec<i64>> {
    let constant = matches!(args.args[place], ColumnarValue::Scalar(_));
    let days = column(args, place, if constant { rows.min(1) } else { rows })?;
    let days = days.as_primitive::<Date32Type>();
    if days.null_count() > 0 {
        return exec_err!("out_of_range: a limit is NULL");
    }
    Ok(days.values().iter().map(|day| i64::from(*day).saturating_mul(DAY_US)).collect())
}

/// Marks the rows whose value is below the first limit, or not below the last.
fn mark(values: &ArrayRef, first: &[i64], last: &[i64], out: &mut [bool]) -> Result<()> {
    let at = |limits: &[i64], row: usize| limits[row.min(limits.len() - 1)];
    let instants = to_micros_within(values)?;
    for (row, (out, instant)) in out.iter_mut().zip(instants.values()).enumerate() {
        *out |= instants.is_valid(row) && (*instant < at(first, row) || *instant >= at(last, row));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Date32Array, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
        TimestampSecondArray,
    };

    use super::*;

    fn marked(values: ArrayRef) -> Vec<bool> {
        let mut out = vec![false; values.len()];
        // 1900-01-01 and 2200-01-01
        mark(&values, &[-25_567 * DAY_US], &[84_006 * DAY_US], &mut out).unwrap();
        out
    }

    #[test]
    fn limits_and_the_ends_of_every_type() {
        let (first, last) = (-25_567, 84_006);
        let days =
            [Some(first), Some(first - 1), Some(last - 1), Some(last), None, Some(i32::MIN), Some(i32::MAX)];
        let expected = [false, true, false, true, false, true, true];
        assert_eq!(marked(Arc::new(Date32Array::from(days.to_vec()))), expected);
        let ends = |per_day: i64| {
            vec![
                Some(i64::from(first) * per_day),
                Some(i64::from(first) * per_day - 1),
                Some(i64::from(last) * per_day - 1),
                Some(i64::from(last) * per_day),
                None,
                Some(i64::MIN),
                Some(i64::MAX),
            ]
        };
        assert_eq!(marked(Arc::new(TimestampSecondArray::from(ends(86_400)))), expected);
        assert_eq!(marked(Arc::new(TimestampMillisecondArray::from(ends(86_400_000)))), expected);
        assert_eq!(marked(Arc::new(TimestampMicrosecondArray::from(ends(DAY_US)))), expected);
        let nanos = marked(Arc::new(TimestampNanosecondArray::from(ends(DAY_US * 1000))));
        assert_eq!(nanos, expected);
    }
}
