//! `value_set` and `active_days`: distinct values of a group, exact and mergeable.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::Documentation;
use datafusion_macros::user_doc;

use super::aggregate::{Aggregate, Constants, Measure, items, lists, places};
use super::entries::{Entry, Folding, Taken};
use super::keys::Keys;
use crate::args::expect_arity;

#[user_doc(
    doc_section(label = "Groups"),
    description = "The distinct values of a group as an ascending list, exact. Values may come one by one or as such lists, so the sets of days merge into the set of a year. NULL is ignored; a group without values has an empty list. `cardinality` counts them.",
    syntax_example = "value_set(value)",
    sql_example = "```sql\nselect account_id, cardinality(value_set(products)) as viewed_products from facts.daily_activity group by account_id;\n```",
    argument(
        name = "value",
        description = "A number, text, date or timestamp, or a list of them; integers are taken as bigint, other numbers as double."
    )
)]
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct ValueSet;

impl Aggregate for ValueSet {
    type Measure = Set;
    const NAME: &'static str = "value_set";

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }

    fn coerce(types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(Self::NAME, types, &["value"])?;
        Ok(vec![match &types[0] {
            DataType::List(item) | DataType::LargeList(item) => {
                let item = Keys::coerced(Self::NAME, "value", item.data_type())?;
                DataType::List(Arc::new(Field::new_list_field(item, true)))
            }
            value => Keys::coerced(Self::NAME, "value", value)?,
        }])
    }

    fn returns(types: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(Arc::new(Field::new_list_field(Self::keys(types), true))))
    }

    fn keys(types: &[DataType]) -> DataType {
        match types.first() {
            Some(DataType::List(item)) => item.data_type().clone(),
            Some(value) => value.clone(),
            None => DataType::Int64,
        }
    }

    fn measure(types: &[DataType], _: &Constants) -> Result<Set> {
        Ok(Set { keys: Keys::new(&Self::keys(types)) })
    }
}

/// Distinct values.
#[derive(Debug)]
pub struct Set {
    keys: Keys,
}

impl Measure for Set {
    type Value = ();
    const FOLDING: Folding = Folding::Keys;

    fn fresh(&self) -> Self {
        Self { keys: self.keys.fresh() }
    }

    fn read(&mut self, columns: &[ArrayRef], mut add: impl FnMut(usize, i64, ())) -> Result<()> {
        let [values] = columns else { return internal_err!("value_set takes one column") };
        let Some(each) = values.as_list_opt::<i32>() else {
            return self.keys.read(values, |row, code| add(row, code, ()));
        };
        let items = items(each);
        let mut codes = vec![None; items.len()];
        self.keys.read(&items, |place, code| codes[place] = Some(code))?;
        for (row, places) in places(each) {
            codes[places].iter().flatten().for_each(|code| add(row, *code, ()));
        }
        Ok(())
    }

    fn fold(&self, last: &mut Entry<()>, next: &Entry<()>) -> bool {
        last.key == next.key
    }

    fn result(&self, groups: &Taken<()>) -> Result<ArrayRef> {
        let codes = |group: &[Entry<()>]| group.iter().map(|entry| entry.key).collect::<Vec<_>>();
        let values = match &self.keys {
            // codes of texts are not in the order of texts
            keys @ Keys::Text(_) => {
                let sorted = groups.each().flat_map(|group| {
                    let mut codes = codes(group);
                    codes.sort_unstable_by(|a, b| keys.compare(*a, *b));
                    codes
                });
                keys.decode(sorted)?
            }
            keys => keys.decode(groups.entries.iter().map(|entry| entry.key))?,
        };
        lists(groups.lengths(), values)
    }

    fn keys(&self) -> &Keys {
        &self.keys
    }

    fn keys_mut(&mut self) -> &mut Keys {
        &mut self.keys
    }
}

#[user_doc(
    doc_section(label = "Groups"),
    description = "How many distinct days a group has, exact. The days are kept as a bitmap, so a year takes six words a group. NULL is ignored.",
    syntax_example = "active_days(day)",
    sql_example = "```sql\nselect customer_id, active_days(event_date) filter (where views > 0) from visits group by customer_id;\n```",
    argument(name = "day", description = "A date.")
)]
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct ActiveDays;

impl Aggregate for ActiveDays {
    type Measure = Days;
    const NAME: &'static str = "active_days";

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }

    fn coerce(types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(Self::NAME, types, &["day"])?;
        match &types[0] {
            DataType::Date32 | DataType::Null => Ok(vec![DataType::Date32]),
            other => plan_err!("active_days: argument day must be a date, not {other}; local_date gives one"),
        }
    }

    fn returns(_: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn keys(_: &[DataType]) -> DataType {
        DataType::Int64
    }

    fn measure(_: &[DataType], _: &Constants) -> Result<Days> {
        Ok(Days { words: Keys::new(&DataType::Int64), days: Keys::new(&DataType::Date32) })
    }
}

/// Days in words of 64.
#[derive(Debug)]
pub struct Days {
    words: Keys,
    days: Keys,
}

impl Measure for Days {
    type Value = i64;
    const FOLDING: Folding = Folding::Keys;

    fn fresh(&self) -> Self {
        Self { words: self.words.fresh(), days: self.days.fresh() }
    }

    fn read(&mut self, columns: &[ArrayRef], mut add: impl FnMut(usize, i64, i64)) -> Result<()> {
        let [days] = columns else { return internal_err!("active_days takes one column") };
        self.days.read(days, |row, day| add(row, day.div_euclid(64), 1 << day.rem_euclid(64)))
    }

    fn fold(&self, last: &mut Entry<i64>, next: &Entry<i64>) -> bool {
        last.fold_same_key(next, |a, b| a | b)
    }

    fn result(&self, groups: &Taken<i64>) -> Result<ArrayRef> {
        let days = |group: &[Entry<i64>]| group.iter().map(|word| i64::from(word.value.count_ones())).sum();
        Ok(Arc::new(groups.each().map(days).map(Some).collect::<Int64Array>()))
    }

    fn keys(&self) -> &Keys {
        &self.words
    }

    fn keys_mut(&mut self) -> &mut Keys {
        &mut self.words
    }
}
