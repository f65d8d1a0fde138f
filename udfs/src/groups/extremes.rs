//! `min_by` and `max_by`: the value of the row with the smallest or largest key, such as the first or last by time.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::Documentation;
use datafusion_macros::user_doc;

use super::aggregate::{Aggregate, Constants, Measure};
use super::entries::{Entry, Folding, Taken};
use super::keys::Keys;
use crate::args::expect_arity;

#[user_doc(
    doc_section(label = "Groups"),
    description = "The value of the row with the smallest key, such as the first by time; of several the smallest value. Rows where the value or the key is NULL are ignored; NULL when none remain.",
    syntax_example = "min_by(value, key)",
    sql_example = "```sql\nselect customer_id, min_by(channel, ordered_at) as first_channel from orders group by customer_id;\n```",
    argument(name = "value", description = "A number, text, date or timestamp."),
    argument(name = "key", description = "A number, date or timestamp.")
)]
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct MinBy;

#[user_doc(
    doc_section(label = "Groups"),
    description = "The value of the row with the largest key, such as the last by time; of several the smallest value. Rows where the value or the key is NULL are ignored; NULL when none remain.",
    syntax_example = "max_by(value, key)",
    sql_example = "```sql\nselect customer_id, max_by(channel, ordered_at) as last_channel from orders group by customer_id;\n```",
    argument(name = "value", description = "A number, text, date or timestamp."),
    argument(name = "key", description = "A number, date or timestamp.")
)]
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct MaxBy;

impl Aggregate for MinBy {
    type Measure = Extreme;
    const NAME: &'static str = "min_by";

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }

    fn coerce(types: &[DataType]) -> Result<Vec<DataType>> {
        coerce(Self::NAME, types)
    }

    fn measure(types: &[DataType], _: &Constants) -> Result<Extreme> {
        Ok(Extreme { values: Keys::new(&types[0]), ranks: Keys::new(&types[1]), largest: false })
    }
}

impl Aggregate for MaxBy {
    type Measure = Extreme;
    const NAME: &'static str = "max_by";

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }

    fn coerce(types: &[DataType]) -> Result<Vec<DataType>> {
        coerce(Self::NAME, types)
    }

    fn measure(types: &[DataType], _: &Constants) -> Result<Extreme> {
        Ok(Extreme { values: Keys::new(&types[0]), ranks: Keys::new(&types[1]), largest: true })
    }
}

fn coerce(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    expect_arity(function, types, &["value", "key"])?;
    match Keys::coerced(function, "key", &types[1])? {
        DataType::Utf8 if !types[1].is_null() => {
            plan_err!("{function}: argument key must be a number, date or timestamp, not {}", types[1])
        }
        DataType::Utf8 => Ok(vec![Keys::coerced(function, "value", &types[0])?, DataType::Int64]),
        key => Ok(vec![Keys::coerced(function, "value", &types[0])?, key]),
    }
}

/// The best row of each group: its value is the entry's key, its key the entry's value.
#[derive(Debug)]
pub struct Extreme {
    values: Keys,
    ranks: Keys,
    largest: bool,
}

impl Measure for Extreme {
    type Value = i64;
    const FOLDING: Folding = Folding::Groups;

    fn fresh(&self) -> Self {
        Self { values: self.values.fresh(), ranks: self.ranks.fresh(), largest: self.largest }
    }

    fn read(&mut self, columns: &[ArrayRef], mut add: impl FnMut(usize, i64, i64)) -> Result<()> {
        let [values, keys] = columns else { return internal_err!("expected values and keys") };
        let mut at = vec![None; keys.len()];
        self.ranks.read(keys, |row, key| at[row] = Some(key))?;
        self.values.read(values, |row, value| {
            if let Some(key) = at[row] {
                add(row, value, key);
            }
        })
    }

    fn fold(&self, last: &mut Entry<i64>, next: &Entry<i64>) -> bool {
        let order = match self.largest {
            false => next.value.cmp(&last.value),
            true => last.value.cmp(&next.value),
        };
        if order.then_with(|| self.values.compare(next.key, last.key)).is_lt() {
            (last.key, last.value) = (next.key, next.value);
        }
        true
    }

    fn result(&self, groups: &Taken<i64>) -> Result<ArrayRef> {
        let values: Vec<_> = groups.each().map(|group| group.first().map(|entry| entry.key)).collect();
        self.values.decode_options(&values)
    }

    fn keys(&self) -> &Keys {
        &self.values
    }

    fn keys_mut(&mut self) -> &mut Keys {
        &mut self.values
    }
}
