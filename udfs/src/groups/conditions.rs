//! Rows as instants and the conditions that they meet: what funnels and sequences read.

use std::fmt::Debug;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, internal_err, plan_err};

use super::aggregate::Measure;
use super::entries::{Entry, Folding, Taken};
use super::keys::Keys;
use crate::time::timestamp_type;

/// How many conditions there may be, as in ClickHouse.
pub const MAX_CONDITIONS: usize = 32;

/// What is asked of the rows of a group.
pub trait Question: Clone + Debug + Send + Sync + 'static {
    /// The place of the instants among the arguments; conditions follow.
    fn instants(&self) -> usize;

    /// Whether rows that meet no condition matter.
    fn wants_others(&self) -> bool;

    /// The answer for each group: instants (µs) with bits of the conditions that were met there, in order.
    fn answer<'a>(&self, groups: impl Iterator<Item = &'a [Entry<i64>]>) -> ArrayRef;
}

/// The types of an instant and conditions behind it.
pub fn coerce(function: &str, types: &[DataType], first: usize) -> Result<Vec<DataType>> {
    let Some((instant, conditions)) = types.get(first..).and_then(<[_]>::split_first) else {
        return plan_err!("{function}: argument instant is missing");
    };
    timestamp_type(function, "instant", instant)?;
    if conditions.is_empty() || conditions.len() > MAX_CONDITIONS {
        return plan_err!("{function} takes 1 to {MAX_CONDITIONS} conditions, {} given", conditions.len());
    }
    if let Some(other) = conditions.iter().find(|c| !matches!(c, DataType::Boolean | DataType::Null)) {
        return plan_err!(
            "{function}: a condition must be a boolean, such as event_type = 'view', not {other}"
        );
    }
    let instant = DataType::Timestamp(TimeUnit::Microsecond, None);
    Ok(std::iter::once(instant).chain(conditions.iter().map(|_| DataType::Boolean)).collect())
}

/// Rows in the order of their instants.
#[derive(Debug)]
pub struct Conditions<Q> {
    instants: Keys,
    question: Q,
}

impl<Q: Question> Conditions<Q> {
    /// For this question.
    pub fn new(question: Q) -> Self {
        Self { instants: Keys::new(&DataType::Int64), question }
    }
}

impl<Q: Question> Measure for Conditions<Q> {
    type Value = i64;
    const FOLDING: Folding = Folding::Never;

    fn fresh(&self) -> Self {
        Self { instants: self.instants.fresh(), question: self.question.clone() }
    }

    fn read(&mut self, columns: &[ArrayRef], mut add: impl FnMut(usize, i64, i64)) -> Result<()> {
        let Some((instants, conditions)) =
            columns.get(self.question.instants()..).and_then(<[_]>::split_first)
        else {
            return internal_err!("expected instants and conditions");
        };
        let mut met = vec![0i64; instants.len()];
        for (bit, condition) in conditions.iter().enumerate() {
            let Some(condition) = condition.as_boolean_opt() else {
                return internal_err!("expected Boolean, not {}", condition.data_type());
            };
            for (row, met) in met.iter_mut().enumerate() {
                *met |= i64::from(condition.value(row) && condition.is_valid(row)) << bit;
            }
        }
        let others = self.question.wants_others();
        self.instants.read(instants, |row, instant| {
            if others || met[row] != 0 {
                add(row, instant, met[row]);
            }
        })
    }

    fn fold(&self, _: &mut Entry<i64>, _: &Entry<i64>) -> bool {
        false
    }

    fn result(&self, groups: &Taken<i64>) -> Result<ArrayRef> {
        Ok(self.question.answer(groups.each()))
    }

    fn keys(&self) -> &Keys {
        &self.instants
    }

    fn keys_mut(&mut self) -> &mut Keys {
        &mut self.instants
    }
}
