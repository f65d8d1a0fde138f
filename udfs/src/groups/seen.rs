//! `first_seen` and `hours_seen`: since when, or in which hours of the day, a group has had each of its values.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::{Result, exec_err, internal_err, plan_err};
use datafusion::logical_expr::Documentation;
use datafusion_macros::user_doc;

use super::aggregate::{Aggregate, Constants, Measure, lists};
use super::entries::{Entry, Folding, Taken};
use super::keys::{Keys, whole};
use crate::args::{expect_arity, nullable_fields};
use crate::time::timestamp_type;

const HOURS: std::ops::Range<i64> = 0..24;

#[user_doc(
    doc_section(label = "Groups"),
    description = "The distinct values of a group, each with the earliest of its instants: a list of {value, first_at} in the order of the values, texts in the order of their bytes. Rows where the value or the instant is NULL are ignored; a group without any has an empty list.",
    syntax_example = "first_seen(value, instant)",
    sql_example = "```sql\nselect device_id, first_seen(product_id, event_time) as products from views group by device_id;\n```",
    argument(name = "value", description = "A number, text, date or timestamp."),
    argument(name = "instant", description = "A timestamp.")
)]
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct FirstSeen;

#[user_doc(
    doc_section(label = "Groups"),
    description = "The distinct values of a group, each with the hours in which it came: a list of {value, hours} in the order of the values, texts in the order of their bytes; bit h of `hours` is set for hour h. Rows where the value or the hour is NULL are ignored; a group without any has an empty list.",
    syntax_example = "hours_seen(value, hour)",
    sql_example = "```sql\nselect device_id, hours_seen(place, local_hour(event_time, 'Asia/Shanghai')) as places from visits group by device_id;\n```",
    argument(name = "value", description = "A number, text, date or timestamp."),
    argument(name = "hour", description = "An integer from 0 to 23.")
)]
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct HoursSeen;

impl Aggregate for FirstSeen {
    type Measure = Seen;
    const NAME: &'static str = "first_seen";

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }

    fn coerce(types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(Self::NAME, types, &["value", "instant"])?;
        timestamp_type(Self::NAME, "instant", &types[1])?;
        let value = Keys::coerced(Self::NAME, "value", &types[0])?;
        Ok(vec![value, DataType::Timestamp(TimeUnit::Microsecond, None)])
    }

    fn returns(types: &[DataType]) -> Result<DataType> {
        Ok(list_of(&types[0], Wanted::First))
    }

    fn measure(types: &[DataType], _: &Constants) -> Result<Seen> {
        Ok(Seen { keys: Keys::new(&types[0]), wanted: Wanted::First })
    }
}

impl Aggregate for HoursSeen {
    type Measure = Seen;
    const NAME: &'static str = "hours_seen";

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }

    fn coerce(types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(Self::NAME, types, &["value", "hour"])?;
        if !types[1].is_integer() && !types[1].is_null() {
            return plan_err!("hours_seen: argument hour must be an integer, not {}", types[1]);
        }
        Ok(vec![Keys::coerced(Self::NAME, "value", &types[0])?, DataType::Int64])
    }

    fn returns(types: &[DataType]) -> Result<DataType> {
        Ok(list_of(&types[0], Wanted::Hours))
    }

    fn measure(types: &[DataType], _: &Constants) -> Result<Seen> {
        Ok(Seen { keys: Keys::new(&types[0]), wanted: Wanted::Hours })
    }
}

fn list_of(values: &DataType, wanted: Wanted) -> DataType {
    let pair = nullable_fields(&[("value", values.clone()), wanted.field()]);
    DataType::List(Arc::new(Field::new_list_field(DataType::Struct(pair), true)))
}

/// What is known of each value.
#[derive(Debug)]
pub struct Seen {
    keys: Keys,
    wanted: Wanted,
}

#[derive(Debug, Clone, Copy)]
enum Wanted {
    /// The earliest instant.
    First,
    /// Bits of hours.
    Hours,
}

impl Wanted {
    fn field(self) -> (&'static str, DataType) {
        match self {
            Self::First => ("first_at", DataType::Timestamp(TimeUnit::Microsecond, None)),
            Self::Hours => ("hours", DataType::Int64),
        }
    }
}

impl Measure for Seen {
    type Value = i64;
    const FOLDING: Folding = Folding::Keys;

    fn fresh(&self) -> Self {
        Self { keys: self.keys.fresh(), wanted: self.wanted }
    }

    fn read(&mut self, columns: &[ArrayRef], mut add: impl FnMut(usize, i64, i64)) -> Result<()> {
        let [values, when] = columns else { return internal_err!("expected values and when they came") };
        let when = whole(when)?;
        if matches!(self.wanted, Wanted::Hours)
            && let Some(hour) = when.iter().flatten().find(|hour| !HOURS.contains(hour))
        {
            return exec_err!("hours_seen: an hour is from 0 to 23, not {hour}");
        }
        let wanted = self.wanted;
        self.keys.read(values, |row, code| {
            if when.is_valid(row) {
                let known = when.value(row);
                add(row, code, if matches!(wanted, Wanted::Hours) { 1 << known } else { known });
            }
        })
    }

    fn fold(&self, last: &mut Entry<i64>, next: &Entry<i64>) -> bool {
        last.fold_same_key(next, |a, b| match self.wanted {
            Wanted::First => a.min(b),
            Wanted::Hours => a | b,
        })
    }

    fn result(&self, groups: &Taken<i64>) -> Result<ArrayRef> {
        let mut entries: Vec<Entry<i64>> = groups.entries.clone();
        if matches!(self.keys, Keys::Text(_)) {
            // codes of texts are not in the order of texts
            for range in groups.ranges() {
                entries[range].sort_unstable_by(|a, b| self.keys.compare(a.key, b.key));
            }
        }
        let values = self.keys.decode(entries.iter().map(|entry| entry.key))?;
        let (name, known) = self.wanted.field();
        let column = cast(&Int64Array::from_iter_values(entries.iter().map(|entry| entry.value)), &known)?;
        let fields = nullable_fields(&[("value", values.data_type().clone()), (name, known)]);
        let pairs = StructArray::try_new(fields, vec![values, column], None)?;
        lists(groups.lengths(), Arc::new(pairs))
    }

    fn keys(&self) -> &Keys {
        &self.keys
    }

    fn keys_mut(&mut self) -> &mut Keys {
        &mut self.keys
    }
}
