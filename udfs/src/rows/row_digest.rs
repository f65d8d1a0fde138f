//! `row_digest`: an order-free digest of the row hashes of a table.

use std::mem::size_of_val;

use arrow::array::{ArrayRef, AsArray, UInt64Array};
use arrow::datatypes::{DataType, Field, FieldRef, UInt64Type};
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Documentation, Signature, Volatility};
use datafusion_macros::user_doc;

use crate::args::expect_arity;

#[user_doc(
    doc_section(label = "Rows"),
    description = "A digest of row hashes that does not depend on the order of the rows: 48 hexadecimal digits, 16 each for the sum (modulo 2^64), the exclusive or and the count. Two tables with the same rows, as often, have the same digest. NULL is not counted; of no rows the digest is all zeros.",
    syntax_example = "row_digest(hash)",
    sql_example = "```sql\nselect row_digest(row_hash(order_id, amount)) from orders;\n```",
    argument(name = "hash", description = "The result of row_hash.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct RowDigest {
    signature: Signature,
}

impl Default for RowDigest {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for RowDigest {
    fn name(&self) -> &str {
        "row_digest"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["hash"])?;
        match types[0] {
            DataType::UInt64 | DataType::Null => Ok(vec![DataType::UInt64]),
            ref other => plan_err!("row_digest: argument hash must be the result of row_hash, not {other}"),
        }
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn default_value(&self, _data_type: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::from(Digest::default().to_hex()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field = |part| Field::new(format_state_name(args.name, part), DataType::UInt64, false).into();
        Ok(["sum", "xor", "count"].map(field).to_vec())
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return plan_err!("row_digest(distinct ...) is not supported; select distinct rows first");
        }
        Ok(Box::new(Digest::default()))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// Sum (modulo 2^64), exclusive or and count of hashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest {
    /// The sum modulo 2^64.
    pub sum: u64,
    /// The exclusive or.
    pub xor: u64,
    /// How many hashes there are.
    pub count: u64,
}

impl Digest {
    /// The digest of one row.
    pub fn of(hash: u64) -> Self {
        Self { sum: hash, xor: hash, count: 1 }
    }

    /// Adds the rows of another digest.
    pub fn merge(&mut self, other: Self) {
        self.sum = self.sum.wrapping_add(other.sum);
        self.xor ^= other.xor;
        self.count = self.count.wrapping_add(other.count);
    }

    /// 48 hexadecimal digits: sum, exclusive or, count.
    pub fn to_hex(self) -> String {
        format!("{:016x}{:016x}{:016x}", self.sum, self.xor, self.count)
    }
}

impl Accumulator for Digest {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for hash in hashes(values, 0)?.iter().flatten() {
            self.merge(Self::of(hash));
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (sums, xors, counts) = (hashes(states, 0)?, hashes(states, 1)?, hashes(states, 2)?);
        for ((sum, xor), count) in sums.values().iter().zip(xors.values()).zip(counts.values()) {
            self.merge(Self { sum: *sum, xor: *xor, count: *count });
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok([self.sum, self.xor, self.count].map(ScalarValue::from).to_vec())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::from(self.to_hex()))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

fn hashes(columns: &[ArrayRef], index: usize) -> Result<&UInt64Array> {
    match columns.get(index).and_then(|column| column.as_primitive_opt::<UInt64Type>()) {
        Some(hashes) => Ok(hashes),
        None => internal_err!("row_digest: column {index} must be UInt64"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::tests::every_split;

    #[test]
    fn every_split_and_order_gives_the_same_digest() {
        let column =
            |hashes: &[u64]| vec![std::sync::Arc::new(UInt64Array::from(hashes.to_vec())) as ArrayRef];
        let forward = column(&[3, 3, u64::MAX, 0, 1 << 63, 77]);
        let backward = column(&[77, 1 << 63, 0, u64::MAX, 3, 3]);
        let results = every_split(&forward, || Box::new(Digest::default()));
        let reversed = every_split(&backward, || Box::new(Digest::default()));
        let expected = ScalarValue::from(format!(
            "{:016x}{:016x}{:016x}",
            (1u64 << 63) + 82,
            (1u64 << 63 ^ 77) ^ u64::MAX,
            6
        ));
        assert!(results.iter().chain(&reversed).all(|result| *result == expected), "{results:?}");
    }

    #[test]
    fn repeated_rows_count_and_null_does_not() {
        let digest = |hashes: Vec<Option<u64>>| {
            let mut digest = Digest::default();
            digest.update_batch(&[std::sync::Arc::new(UInt64Array::from(hashes))]).unwrap();
            digest
        };
        assert_ne!(digest(vec![Some(7)]), digest(vec![Some(7), Some(7), Some(7)]));
        assert_eq!(digest(vec![None, Some(7)]), digest(vec![Some(7)]));
        assert_eq!(digest(vec![]).to_hex(), "0".repeat(48));
    }
}
