//! `mode_by_weight` and `top_n`: the values of a group by their total weight.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, StructArray};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, internal_err, plan_err};
use datafusion::logical_expr::Documentation;
use datafusion_macros::user_doc;

use super::aggregate::{Aggregate, Constants, Measure, lists};
use super::entries::{Entry, Folding, Taken};
use super::keys::{Keys, whole};
use crate::args::{expect_arity, nullable_fields};

#[user_doc(
    doc_section(label = "Groups"),
    description = "The value with the largest total weight in a group; of several the smallest, texts in the order of their bytes. Rows where the value or the weight is NULL are ignored; NULL when none remain. With weight 1 it is the mode.",
    syntax_example = "mode_by_weight(value, weight)",
    sql_example = "```sql\nselect customer_id, mode_by_weight(category, quantity) from purchases group by customer_id;\n```",
    argument(name = "value", description = "A number, text, date or timestamp."),
    argument(name = "weight", description = "An integer.")
)]
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct ModeByWeight;

impl Aggregate for ModeByWeight {
    type Measure = Totals;
    const NAME: &'static str = "mode_by_weight";

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }

    fn coerce(types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(Self::NAME, types, &["value", "weight"])?;
        weighted(Self::NAME, types)
    }

    fn measure(types: &[DataType], _: &Constants) -> Result<Totals> {
        Ok(Totals { keys: Keys::new(&types[0]), wanted: Wanted::Mode })
    }
}

#[user_doc(
    doc_section(label = "Groups"),
    description = "The values with the largest total weights in a group, with those totals: a list of {value, total}, the largest first, of equal totals the smaller value first. All totals are exact. Rows where the value or the weight is NULL are ignored; a group without any has an empty list.",
    syntax_example = "top_n(value, weight, n)",
    sql_example = "```sql\nselect customer_id, top_n(category, quantity, 3) from purchases group by customer_id;\n```",
    argument(name = "value", description = "A number, text, date or timestamp."),
    argument(name = "weight", description = "An integer; 1 counts rows."),
    argument(name = "n", description = "How many values at most: a constant from 1.")
)]
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct TopN;

impl Aggregate for TopN {
    type Measure = Totals;
    const NAME: &'static str = "top_n";

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }

    fn coerce(types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(Self::NAME, types, &["value", "weight", "n"])?;
        let mut coerced = weighted(Self::NAME, types)?;
        coerced.push(DataType::Int64);
        Ok(coerced)
    }

    fn returns(types: &[DataType]) -> Result<DataType> {
        let pair = nullable_fields(&[("value", Self::keys(types)), ("total", DataType::Int64)]);
        Ok(DataType::List(Arc::new(Field::new_list_field(DataType::Struct(pair), true))))
    }

    fn measure(types: &[DataType], constants: &Constants) -> Result<Totals> {
        match constants.get(2, "n")? {
            ScalarValue::Int64(Some(n)) if *n > 0 => {
                Ok(Totals { keys: Keys::new(&types[0]), wanted: Wanted::Top(*n as usize) })
            }
            other => plan_err!("top_n: argument n must be an integer from 1, not {other}"),
        }
    }
}

fn weighted(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    if !types[1].is_integer() && !types[1].is_null() {
        return plan_err!("{function}: argument weight must be an integer, not {}", types[1]);
    }
    Ok(vec![Keys::coerced(function, "value", &types[0])?, DataType::Int64])
}

/// The total weight of each value.
#[derive(Debug)]
pub struct Totals {
    keys: Keys,
    wanted: Wanted,
}

#[derive(Debug, Clone, Copy)]
enum Wanted {
    Mode,
    Top(usize),
}

impl Totals {
    /// The order of entries by their totals, the largest first.
    fn by_total(&self, a: &Entry<i128>, b: &Entry<i128>) -> Ordering {
        b.value.cmp(&a.value).then_with(|| self.keys.compare(a.key, b.key))
    }
}

impl Measure for Totals {
    type Value = i128;
    const FOLDING: Folding = Folding::Keys;

    fn fresh(&self) -> Self {
        Self { keys: self.keys.fresh(), wanted: self.wanted }
    }

    fn read(&mut self, columns: &[ArrayRef], mut add: impl FnMut(usize, i64, i128)) -> Result<()> {
        let [values, weights, ..] = columns else { return internal_err!("expected values and weights") };
        let weights = whole(weights)?;
        self.keys.read(values, |row, code| {
            if weights.is_valid(row) {
                add(row, code, i128::from(weights.value(row)));
            }
        })
    }

    /// A sum of 64-bit weights fits 128 bits.
    fn fold(&self, last: &mut Entry<i128>, next: &Entry<i128>) -> bool {
        last.fold_same_key(next, |a, b| a + b)
    }

    fn result(&self, groups: &Taken<i128>) -> Result<ArrayRef> {
        let Wanted::Top(n) = self.wanted else {
            let first =
                |group: &[Entry<i128>]| group.iter().min_by(|a, b| self.by_total(a, b)).map(|e| e.key);
            return self.keys.decode_options(&groups.each().map(first).collect::<Vec<_>>());
        };
        let mut lengths = Vec::with_capacity(groups.groups());
        let mut top: Vec<Entry<i128>> = Vec::new();
        for group in groups.each() {
            let mut sorted = group.to_vec();
            sorted.sort_unstable_by(|a, b| self.by_total(a, b));
            sorted.truncate(n);
            lengths.push(sorted.len());
            top.append(&mut sorted);
        }
        let total = |entry: &Entry<i128>| {
            i64::try_from(entry.value)
                .map_err(|_| exec_datafusion_err!("top_n: a total of {} does not fit a bigint", entry.value))
        };
        let totals = top.iter().map(total).collect::<Result<Vec<_>>>()?;
        let values = self.keys.decode(top.iter().map(|entry| entry.key))?;
        let fields = nullable_fields(&[("value", values.data_type().clone()), ("total", DataType::Int64)]);
        let pairs = StructArray::try_new(fields, vec![values, Arc::new(Int64Array::from(totals))], None)?;
        lists(lengths, Arc::new(pairs))
    }

    fn keys(&self) -> &Keys {
        &self.keys
    }

    fn keys_mut(&mut self) -> &mut Keys {
        &mut self.keys
    }
}
