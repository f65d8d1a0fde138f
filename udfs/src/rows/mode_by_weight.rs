//! `mode_by_weight`: the value of a group with the largest total weight.

use std::collections::HashMap;
use std::mem::{size_of, size_of_val};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, ListArray, StringArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Field, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err, internal_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Documentation, Signature, Volatility};
use datafusion_macros::user_doc;

use crate::args::{expect_arity, text_type};

/// The type in which totals travel between the phases of an aggregation.
const TOTAL_TYPE: DataType = DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0);
/// The first total that does not fit 38 digits.
const TOO_LARGE: i128 = 10i128.pow(DECIMAL128_MAX_PRECISION as u32);

#[user_doc(
    doc_section(label = "Rows"),
    description = "The value with the largest total weight in a group; of several the smallest, in the order of their bytes. Rows where the value or the weight is NULL are ignored; NULL when none remain. With weight 1 it is the mode.",
    syntax_example = "mode_by_weight(value, weight)",
    sql_example = "```sql\nselect customer_id, mode_by_weight(category, quantity) from purchases group by customer_id;\n```",
    argument(name = "value", description = "Any text."),
    argument(name = "weight", description = "An integer.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ModeByWeight {
    signature: Signature,
}

impl Default for ModeByWeight {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for ModeByWeight {
    fn name(&self) -> &str {
        "mode_by_weight"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["value", "weight"])?;
        if !types[1].is_integer() && !types[1].is_null() {
            return plan_err!("mode_by_weight: argument weight must be an integer, not {}", types[1]);
        }
        Ok(vec![text_type(self.name(), "value", &types[0])?, DataType::Int64])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let list = |part, item| {
            let name = format_state_name(args.name, part);
            Arc::new(Field::new_list(name, Field::new_list_field(item, true), true))
        };
        Ok(vec![list("values", DataType::Utf8), list("totals", TOTAL_TYPE)])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return plan_err!("mode_by_weight(distinct ...) is not supported; select distinct rows first");
        }
        Ok(Box::new(WeightTotals::default()))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// The total weight of each value.
#[derive(Debug, Default)]
pub struct WeightTotals {
    totals: HashMap<String, i128>,
    text_bytes: usize,
}

impl WeightTotals {
    /// Adds weight to a value.
    pub fn add(&mut self, value: &str, weight: i128) -> Result<()> {
        let Some(total) = self.totals.get_mut(value) else {
            let value = value.to_string();
            self.text_bytes += value.capacity();
            self.totals.insert(value, weight);
            return Ok(());
        };
        match total.checked_add(weight).filter(|sum| -TOO_LARGE < *sum && *sum < TOO_LARGE) {
            Some(sum) => *total = sum,
            None => return exec_err!("mode_by_weight: the total weight of '{value}' exceeds 38 digits"),
        }
        Ok(())
    }

    /// The value with the largest total; the smallest of several.
    pub fn mode(&self) -> Option<&str> {
        let heaviest = |a: &(&String, &i128), b: &(&String, &i128)| a.1.cmp(b.1).then_with(|| b.0.cmp(a.0));
        self.totals.iter().max_by(heaviest).map(|(value, _)| value.as_str())
    }
}

impl Accumulator for WeightTotals {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [texts, weights] = values else { return internal_err!("mode_by_weight takes two columns") };
        let (Some(texts), Some(weights)) =
            (texts.as_string_opt::<i32>(), weights.as_primitive_opt::<Int64Type>())
        else {
            return internal_err!("mode_by_weight: expected Utf8 and Int64");
        };
        for (text, weight) in texts.iter().zip(weights) {
            if let (Some(text), Some(weight)) = (text, weight) {
                self.add(text, i128::from(weight))?;
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [values, totals] = states else { return internal_err!("mode_by_weight has two state columns") };
        let (Some(values), Some(totals)) = (values.as_list_opt::<i32>(), totals.as_list_opt::<i32>()) else {
            return internal_err!("mode_by_weight: expected lists");
        };
        for (values, totals) in values.iter().zip(totals.iter()) {
            let (Some(values), Some(totals)) = (values, totals) else { continue };
            let (Some(values), Some(totals)) =
                (values.as_string_opt::<i32>(), totals.as_primitive_opt::<Decimal128Type>())
            else {
                return internal_err!("mode_by_weight: expected lists of Utf8 and Decimal128");
            };
            for (value, total) in values.iter().flatten().zip(totals.values()) {
                self.add(value, *total)?;
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let mut totals: Vec<(&String, &i128)> = self.totals.iter().collect();
        totals.sort_unstable();
        let values = StringArray::from_iter_values(totals.iter().map(|(value, _)| value));
        let totals = Decimal128Array::from_iter_values(totals.iter().map(|(_, total)| **total))
            .with_data_type(TOTAL_TYPE);
        Ok(vec![one_list(Arc::new(values))?, one_list(Arc::new(totals))?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Utf8(self.mode().map(str::to_string)))
    }

    fn size(&self) -> usize {
        // a table has up to 8/7 buckets of its capacity, each with one control byte
        let bucket = size_of::<(String, i128)>() + 1;
        size_of_val(self) + self.text_bytes + self.totals.capacity() * bucket * 8 / 7
    }
}

fn one_list(items: ArrayRef) -> Result<ScalarValue> {
    let field = Arc::new(Field::new_list_field(items.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths([items.len()]);
    Ok(ScalarValue::List(Arc::new(ListArray::try_new(field, offsets, items, None)?)))
}

#[cfg(test)]
pub(super) mod tests {
    use arrow::array::Int64Array;

    use super::*;

    /// The results of an aggregate over all ways to cut rows into consecutive batches: each batch updates
    /// one accumulator, or each its own, and those are merged forwards or backwards.
    pub(crate) fn every_split(
        columns: &[ArrayRef],
        new: impl Fn() -> Box<dyn Accumulator>,
    ) -> Vec<ScalarValue> {
        let rows = columns[0].len();
        let mut results = Vec::new();
        for cuts in 0..1usize << (rows - 1) {
            let ends = (1..=rows).filter(|end| *end == rows || cuts >> (end - 1) & 1 == 1);
            let mut from = 0;
            let mut batches: Vec<Vec<ArrayRef>> = ends
                .map(|to| {
                    let start = std::mem::replace(&mut from, to);
                    columns.iter().map(|column| column.slice(start, to - start)).collect()
                })
                .collect();
            let mut single = new();
            batches.iter().for_each(|batch| single.update_batch(batch).unwrap());
            results.push(single.evaluate().unwrap());
            for _ in 0..2 {
                let mut merged = new();
                for batch in &batches {
                    let mut part = new();
                    part.update_batch(batch).unwrap();
                    let state: Vec<ArrayRef> =
                        part.state().unwrap().iter().map(|value| value.to_array().unwrap()).collect();
                    merged.merge_batch(&state).unwrap();
                }
                let empty: Vec<ArrayRef> =
                    new().state().unwrap().iter().map(|value| value.to_array().unwrap()).collect();
                merged.merge_batch(&empty).unwrap();
                results.push(merged.evaluate().unwrap());
                batches.reverse();
            }
        }
        results
    }

    fn rows(pairs: &[(Option<&str>, Option<i64>)]) -> Vec<ArrayRef> {
        vec![
            Arc::new(pairs.iter().map(|(value, _)| *value).collect::<StringArray>()),
            Arc::new(pairs.iter().map(|(_, weight)| *weight).collect::<Int64Array>()),
        ]
    }

    #[test]
    fn every_split_gives_the_same_mode() {
        let columns = rows(&[
            (Some("b"), Some(2)),
            (None, Some(100)),
            (Some("a"), Some(1)),
            (Some("c"), None),
            (Some("a"), Some(1)),
            (Some("c"), Some(-5)),
            (Some("b"), Some(0)),
        ]);
        let results = every_split(&columns, || Box::new(WeightTotals::default()));
        assert_eq!(results.len(), 3 * 64);
        assert!(results.iter().all(|result| *result == ScalarValue::from("a")), "{results:?}");
    }

    #[test]
    fn nothing_is_null_and_negative_totals_compare() {
        let mode = |pairs: &[(Option<&str>, Option<i64>)]| {
            let mut totals = WeightTotals::default();
            totals.update_batch(&rows(pairs)).unwrap();
            totals.mode().map(str::to_string)
        };
        assert_eq!(mode(&[]), None);
        assert_eq!(mode(&[(None, Some(1)), (Some("a"), None)]), None);
        assert_eq!(mode(&[(Some("a"), Some(-2)), (Some("b"), Some(-1))]), Some("b".into()));
        assert_eq!(mode(&[(Some("a"), Some(i64::MAX)), (Some("a"), Some(i64::MAX))]), Some("a".into()));
    }

    #[test]
    fn an_overflow_is_an_error_that_names_the_value() {
        let mut totals = WeightTotals::default();
        totals.add("x", TOO_LARGE - 1).unwrap();
        assert!(totals.add("x", 1).unwrap_err().to_string().contains("'x'"));
    }

    #[test]
    fn size_grows_with_the_values() {
        let mut totals = WeightTotals::default();
        let empty = totals.size();
        (0..1000).for_each(|i| totals.add(&format!("value {i}"), 1).unwrap());
        assert!(totals.size() > empty + 1000 * 40);
    }
}
