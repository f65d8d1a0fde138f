//! `session_count`: visits that a time without anything separates.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::Documentation;
use datafusion_macros::user_doc;

use super::aggregate::{Aggregate, Constants, Measure};
use super::entries::{Entry, Folding, Taken};
use super::keys::Keys;
use crate::args::expect_arity;
use crate::time::timestamp_type;

#[user_doc(
    doc_section(label = "Groups"),
    description = "How many sessions a group's instants form: an instant that follows the last one after `gap` or more starts a new session. The rows come in any order: a group holds the first and last instant of each session, and two of them join when something lies between. NULL is ignored.",
    syntax_example = "session_count(instant, gap)",
    sql_example = "```sql\nselect device_id, session_count(event_time, interval '30 minutes') as sessions from visits group by device_id;\n```",
    argument(name = "instant", description = "A timestamp."),
    argument(name = "gap", description = "A constant interval above zero, without months.")
)]
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct SessionCount;

impl Aggregate for SessionCount {
    type Measure = Sessions;
    const NAME: &'static str = "session_count";

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }

    fn coerce(types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(Self::NAME, types, &["instant", "gap"])?;
        timestamp_type(Self::NAME, "instant", &types[0])?;
        Ok(vec![
            DataType::Timestamp(TimeUnit::Microsecond, None),
            DataType::Interval(IntervalUnit::MonthDayNano),
        ])
    }

    fn returns(_: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn measure(types: &[DataType], constants: &Constants) -> Result<Sessions> {
        Ok(Sessions { instants: Keys::new(&types[0]), gap: constants.duration(1, "gap")? })
    }
}

/// Sessions: the key of an entry is the first instant, its value the last.
#[derive(Debug)]
pub struct Sessions {
    instants: Keys,
    gap: i64,
}

impl Measure for Sessions {
    type Value = i64;
    const FOLDING: Folding = Folding::Neighbours;

    fn fresh(&self) -> Self {
        Self { instants: self.instants.fresh(), gap: self.gap }
    }

    fn read(&mut self, columns: &[ArrayRef], mut add: impl FnMut(usize, i64, i64)) -> Result<()> {
        let Some(instants) = columns.first() else { return internal_err!("expected instants") };
        self.instants.read(instants, |row, instant| add(row, instant, instant))
    }

    fn fold(&self, last: &mut Entry<i64>, next: &Entry<i64>) -> bool {
        let joined = next.key < last.value.saturating_add(self.gap);
        if joined {
            last.value = last.value.max(next.value);
        }
        joined
    }

    fn result(&self, groups: &Taken<i64>) -> Result<ArrayRef> {
        let counts = groups.lengths().into_iter().map(|sessions| sessions as i64);
        Ok(Arc::new(Int64Array::from_iter_values(counts)))
    }

    fn keys(&self) -> &Keys {
        &self.instants
    }

    fn keys_mut(&mut self) -> &mut Keys {
        &mut self.instants
    }
}
