//! `row_hash`: a stable 64-bit hash of any columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt64Array};
use arrow::datatypes::DataType;
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::{check_hashable, slot_hasher};
use crate::args::evaluate;

#[user_doc(
    doc_section(label = "Rows"),
    description = "A 64-bit hash of the values of one or more columns, the same on every machine and in every version: a chain of XXH64 over the canonical bytes of each value. NULL differs from the empty text, 1 from 1.0; the width of an integer and the width of text offsets make no difference. Booleans, numbers, decimals, text, binary, dates, timestamps, and lists and structs of them.",
    syntax_example = "row_hash(column, ...)",
    sql_example = "```sql\nselect row_digest(row_hash(order_id, amount)) from orders;\n```",
    argument(name = "column", description = "Any values; the order of the columns counts."),
    related_udf(name = "row_digest")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct RowHash {
    signature: Signature,
}

impl Default for RowHash {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for RowHash {
    fn name(&self) -> &str {
        "row_hash"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if types.is_empty() {
            return plan_err!("row_hash(column, ...) takes at least one argument");
        }
        types.iter().try_for_each(check_hashable)?;
        Ok(types.to_vec())
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&args, |rows| {
            let columns: Vec<_> = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<_>>()?;
            Ok(Arc::new(UInt64Array::from(row_hashes(&columns, rows)?)))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// The hash of each of `rows` rows over columns of that length, from the first column to the last.
pub fn row_hashes(columns: &[ArrayRef], rows: usize) -> Result<Vec<u64>> {
    let mut hashes = vec![0; rows];
    for column in columns {
        let hasher = slot_hasher(column)?;
        for (row, hash) in hashes.iter_mut().enumerate() {
            *hash = hasher(row, *hash);
        }
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use arrow::array::*;
    use arrow::compute::cast;
    use arrow::datatypes::{DataType, Field, Float64Type, Int32Type};

    use super::*;

    fn hashes(column: ArrayRef) -> Vec<u64> {
        let rows = column.len();
        row_hashes(&[column], rows).unwrap()
    }

    #[test]
    fn values_are_pinned() {
        // python: xxhash.xxh64(payload, seed=hash + tag).intdigest()
        assert_eq!(hashes(Arc::new(StringArray::from(vec!["abc"]))), [0x9e75_5206_1566_76d7]);
        assert_eq!(
            hashes(Arc::new(Int32Array::from(vec![Some(-1), None]))),
            [0xe911_4e3f_accf_6470, 0xef46_db37_51d8_e999]
        );
    }

    #[test]
    fn widths_and_encodings_make_no_difference() {
        let small: ArrayRef = Arc::new(Int8Array::from(vec![Some(1), None, Some(-7)]));
        for wide in [DataType::Int16, DataType::Int32, DataType::Int64] {
            assert_eq!(hashes(small.clone()), hashes(cast(&small, &wide).unwrap()), "{wide}");
        }
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some(""), Some("王")]));
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        for other in [DataType::LargeUtf8, DataType::Utf8View, dictionary] {
            assert_eq!(hashes(text.clone()), hashes(cast(&text, &other).unwrap()), "{other}");
        }
        let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![5, u64::MAX]));
        let signed: ArrayRef = Arc::new(Int64Array::from(vec![5, -1]));
        assert_eq!(hashes(unsigned.clone())[0], hashes(signed.clone())[0]);
        assert_ne!(hashes(unsigned)[1], hashes(signed)[1]);
    }

    #[test]
    fn different_values_differ() {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec![Some(""), None, Some("1"), Some("true")])),
            Arc::new(Int64Array::from(vec![0, 1])),
            Arc::new(Float64Array::from(vec![0.0, -0.0, 1.0, f64::NAN])),
            Arc::new(BooleanArray::from(vec![false, true])),
            Arc::new(Date32Array::from(vec![0, 1])),
            Arc::new(TimestampMicrosecondArray::from(vec![0, 1])),
            Arc::new(TimestampNanosecondArray::from(vec![0, 1])),
            Arc::new(Decimal128Array::from(vec![0, 1]).with_precision_and_scale(18, 2).unwrap()),
            Arc::new(Decimal128Array::from(vec![0, 1]).with_precision_and_scale(18, 3).unwrap()),
        ];
        let all: Vec<u64> = columns.into_iter().flat_map(hashes).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        let nan = f64::from_bits(0xfff8_0000_0000_0001);
        assert_eq!(
            hashes(Arc::new(Float64Array::from(vec![nan]))),
            hashes(Arc::new(Float64Array::from(vec![f64::NAN])))
        );
    }

    #[test]
    fn columns_do_not_run_together() {
        let text = |value: &str| Arc::new(StringArray::from(vec![value])) as ArrayRef;
        let two = |a: &str, b: &str| row_hashes(&[text(a), text(b)], 1).unwrap();
        assert_ne!(two("ab", "c"), two("a", "bc"));
        assert_ne!(two("a", "b"), two("b", "a"));
        let list = |rows: Vec<Option<Vec<Option<i32>>>>| {
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(rows)) as ArrayRef
        };
        let (short, long) = (list(vec![Some(vec![Some(1)])]), list(vec![Some(vec![Some(2), Some(3)])]));
        let (longer, shorter) = (list(vec![Some(vec![Some(1), Some(2)])]), list(vec![Some(vec![Some(3)])]));
        assert_ne!(row_hashes(&[short, long], 1).unwrap(), row_hashes(&[longer, shorter], 1).unwrap());
        assert_ne!(hashes(list(vec![Some(vec![])])), hashes(list(vec![None])));
        assert_ne!(hashes(list(vec![Some(vec![None])])), hashes(list(vec![Some(vec![])])));
    }

    #[test]
    fn slices_hash_as_their_rows() {
        let lists = ListArray::from_iter_primitive::<Float64Type, _, _>(vec![
            Some(vec![Some(1.0)]),
            None,
            Some(vec![Some(2.0), None]),
            Some(vec![]),
        ]);
        let fixed = FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(
            vec![Some(vec![Some(1), None]), None, Some(vec![Some(3), Some(4)]), Some(vec![Some(5), Some(6)])],
            2,
        );
        let fields = vec![
            (Arc::new(Field::new("a", lists.data_type().clone(), true)), Arc::new(lists.clone()) as ArrayRef),
            (Arc::new(Field::new("b", fixed.data_type().clone(), true)), Arc::new(fixed.clone()) as ArrayRef),
        ];
        let columns: Vec<ArrayRef> =
            vec![Arc::new(lists.clone()), Arc::new(fixed.clone()), Arc::new(StructArray::from(fields))];
        for column in columns {
            let all = hashes(column.clone());
            assert_eq!(all.iter().collect::<HashSet<_>>().len(), 4, "{}", column.data_type());
            assert_eq!(hashes(column.slice(2, 2)), all[2..], "{}", column.data_type());
            assert!(hashes(column.slice(1, 0)).is_empty());
        }
        // a list of fixed size is a list
        let as_list =
            cast(&(Arc::new(fixed.clone()) as ArrayRef), &DataType::new_list(DataType::Int32, true)).unwrap();
        assert_eq!(hashes(as_list), hashes(Arc::new(fixed)));
    }

    #[test]
    fn other_types_are_refused_with_a_remedy() {
        let message =
            check_hashable(&DataType::new_list(DataType::Duration(arrow::datatypes::TimeUnit::Second), true));
        assert!(message.unwrap_err().to_string().contains("cast them"));
        let durations: ArrayRef = Arc::new(DurationSecondArray::from(vec![1]));
        assert!(row_hashes(&[durations], 1).is_err());
    }
}
