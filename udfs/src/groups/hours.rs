//! `week_hours`: when in the week a group's instants lie.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::{Result, internal_err, plan_datafusion_err};
use datafusion::logical_expr::Documentation;
use datafusion_macros::user_doc;

use super::aggregate::{Aggregate, Constants, Measure, lists};
use super::entries::{Entry, Folding, Taken};
use super::keys::Keys;
use crate::args::{expect_arity, text_type};
use crate::time::{LocalField, ZoneOffsets, timestamp_type};

const HOURS: usize = 7 * 24;

#[user_doc(
    doc_section(label = "Groups"),
    description = "How many instants of a group lie in each hour of the local week: a list of 168 counts, the first of Monday 00:00 to 01:00. NULL is ignored.",
    syntax_example = "week_hours(instant, zone)",
    sql_example = "```sql\nselect customer_id, week_hours(event_time, 'Asia/Shanghai') from visits group by customer_id;\n```",
    argument(name = "instant", description = "A timestamp in UTC."),
    argument(name = "zone", description = "A constant: an IANA zone name.")
)]
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct WeekHours;

impl Aggregate for WeekHours {
    type Measure = Hours;
    const NAME: &'static str = "week_hours";

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }

    fn coerce(types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(Self::NAME, types, &["instant", "zone"])?;
        timestamp_type(Self::NAME, "instant", &types[0])?;
        Ok(vec![DataType::Timestamp(TimeUnit::Microsecond, None), text_type(Self::NAME, "zone", &types[1])?])
    }

    fn returns(_: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true))))
    }

    fn keys(_: &[DataType]) -> DataType {
        DataType::Int64
    }

    fn measure(types: &[DataType], constants: &Constants) -> Result<Hours> {
        let zone = ZoneOffsets::of(&constants.text(1, "zone")?)
            .map_err(|error| plan_datafusion_err!("week_hours: {}", error.strip_backtrace()))?;
        Ok(Hours { instants: Keys::new(&types[0]), hours: Keys::new(&DataType::Int64), zone })
    }
}

/// Counts by the hour of the week.
#[derive(Debug)]
pub struct Hours {
    instants: Keys,
    hours: Keys,
    zone: Arc<ZoneOffsets>,
}

impl Measure for Hours {
    type Value = i64;
    const FOLDING: Folding = Folding::Keys;

    fn fresh(&self) -> Self {
        Self { instants: self.instants.fresh(), hours: self.hours.fresh(), zone: self.zone.clone() }
    }

    fn read(&mut self, columns: &[ArrayRef], mut add: impl FnMut(usize, i64, i64)) -> Result<()> {
        let Some(instants) = columns.first() else { return internal_err!("expected instants") };
        let mut span = self.zone.span_at(0);
        self.instants.read(instants, |row, instant| {
            if !span.contains(instant) {
                span = self.zone.span_at(instant);
            }
            let local = instant.saturating_add(span.offset);
            let day = i64::from(LocalField::DayOfWeek.of(local) - 1);
            add(row, day * 24 + i64::from(LocalField::Hour.of(local)), 1);
        })
    }

    fn fold(&self, last: &mut Entry<i64>, next: &Entry<i64>) -> bool {
        last.fold_same_key(next, |a, b| a + b)
    }

    fn result(&self, groups: &Taken<i64>) -> Result<ArrayRef> {
        let mut counts = vec![0; groups.groups() * HOURS];
        for (group, entries) in groups.each().enumerate() {
            for entry in entries {
                counts[group * HOURS + entry.key as usize] = entry.value;
            }
        }
        lists(vec![HOURS; groups.groups()], Arc::new(Int64Array::from(counts)))
    }

    fn keys(&self) -> &Keys {
        &self.hours
    }

    fn keys_mut(&mut self) -> &mut Keys {
        &mut self.hours
    }
}
