//! `interval_index`: in which interval between sorted instants an instant lies.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Array, Int64Array, ListArray};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::timestamps::{timestamp_type, to_micros};
use crate::args::{column, evaluate, expect_arity, list_column};

#[user_doc(
    doc_section(label = "Time"),
    description = "How many entries of an ascending list of instants are at or before an instant: 0 before the first, the length from the last on. A NULL list counts as empty; NULL entries are not counted.",
    syntax_example = "interval_index(bounds, instant)",
    sql_example = "```sql\nselect interval_index([timestamp '2025-01-01', timestamp '2025-02-01'], timestamp '2025-01-15');  -- 1\n```",
    argument(name = "bounds", description = "A list of timestamps in ascending order."),
    argument(name = "instant", description = "A timestamp; NULL gives NULL.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct IntervalIndex {
    signature: Signature,
}

impl Default for IntervalIndex {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for IntervalIndex {
    fn name(&self) -> &str {
        "interval_index"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["bounds", "instant"])?;
        let bound = match &types[0] {
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                item.data_type()
            }
            DataType::Null => &DataType::Null,
            other => {
                return plan_err!(
                    "interval_index: argument bounds must be a list of timestamps, not {other}"
                );
            }
        };
        let bound = timestamp_type(self.name(), "bounds", bound)?;
        let list = DataType::List(Arc::new(Field::new_list_field(bound, true)));
        Ok(vec![list, timestamp_type(self.name(), "instant", &types[1])?])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&args, |rows| {
            let lists = list_column(&args, 0, rows)?;
            let instants = to_micros(&column(&args, 1, rows)?)?;
            Ok(Arc::new(interval_indexes(&lists, &instants)?) as ArrayRef)
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn interval_indexes(lists: &ListArray, instants: &Int64Array) -> Result<Int32Array> {
    let bounds = to_micros(lists.values())?;
    let offsets = lists.value_offsets();
    let index = |row: usize, instant: i64| {
        if lists.is_null(row) {
            return 0;
        }
        let (from, to) = (offsets[row] as usize, offsets[row + 1] as usize);
        if bounds.null_count() == 0 {
            return count_until(&bounds.values()[from..to], instant);
        }
        (from..to).filter(|&at| bounds.is_valid(at) && bounds.value(at) <= instant).count() as i32
    };
    Ok(instants.iter().enumerate().map(|(row, instant)| instant.map(|instant| index(row, instant))).collect())
}

/// The number of entries of an ascending slice that are at or before `instant`.
pub fn count_until(bounds: &[i64], instant: i64) -> i32 {
    // a list array has at most i32::MAX entries
    bounds.partition_point(|&bound| bound <= instant) as i32
}

#[cfg(test)]
mod tests {
    use arrow::array::{ListBuilder, TimestampMicrosecondBuilder};

    use super::*;

    fn lists(rows: &[Option<&[Option<i64>]>]) -> ListArray {
        let mut builder = ListBuilder::new(TimestampMicrosecondBuilder::new());
        for row in rows {
            builder.append_option(row.map(|entries| entries.iter().copied()));
        }
        builder.finish()
    }

    #[test]
    fn counts_entries_at_or_before() {
        assert_eq!(count_until(&[], 5), 0);
        for (instant, expected) in [(9, 0), (10, 1), (19, 1), (20, 3), (i64::MAX, 4), (i64::MIN, 0)] {
            assert_eq!(count_until(&[10, 20, 20, 30], instant), expected, "{instant}");
        }
    }

    #[test]
    fn nulls_and_slices() {
        let rows = lists(&[
            Some(&[Some(1), Some(2)]),
            None,
            Some(&[]),
            Some(&[None, Some(3), Some(9)]),
            Some(&[Some(1)]),
        ]);
        let instants = Int64Array::from(vec![Some(2), Some(2), Some(2), Some(3), None]);
        let expected = Int32Array::from(vec![Some(2), Some(0), Some(0), Some(1), None]);
        assert_eq!(interval_indexes(&rows, &instants).unwrap(), expected);
        let part = interval_indexes(&rows.slice(2, 3), &instants.slice(2, 3)).unwrap();
        assert_eq!(part, expected.slice(2, 3));
        assert_eq!(interval_indexes(&rows.slice(0, 0), &instants.slice(0, 0)).unwrap().len(), 0);
    }
}
