//! The engine's two kinds of accumulators, of many groups and of one, over one way to keep groups.

use std::fmt::Debug;

use arrow::array::{Array, ArrayRef, BooleanArray};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

/// What an aggregate knows of its groups.
pub trait States: Debug + Send + Sync + 'static {
    /// The same, without any group.
    fn fresh(&self) -> Self;

    /// Makes room for this many groups in all.
    fn grow(&mut self, groups: usize) -> Result<()>;

    /// Reads rows that a filter keeps into the groups of their places.
    fn read(
        &mut self,
        columns: &[ArrayRef],
        group: impl Fn(usize) -> usize,
        filter: Option<&BooleanArray>,
    ) -> Result<()>;

    /// Reads states into the groups of their places.
    fn merge(&mut self, states: &[ArrayRef], group: impl Fn(usize) -> usize) -> Result<()>;

    /// The states of the first groups, which are taken away; those behind them move to the front.
    fn take_states(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>>;

    /// The results of the first groups, which are taken away; those behind them move to the front.
    fn take_results(&mut self, emit: EmitTo) -> Result<ArrayRef>;

    /// The result of the only group, which stays.
    fn result(&mut self) -> Result<ScalarValue>;

    /// The bytes they hold.
    fn size(&self) -> usize;
}

/// Accumulators of the engine.
#[derive(Debug)]
pub struct Framed<S>(pub S);

/// Refuses `name(distinct ...)`.
pub fn refuse_distinct(name: &str, args: &AccumulatorArgs) -> Result<()> {
    match args.is_distinct {
        true => plan_err!("{name}(distinct ...) is not supported; select distinct rows first"),
        false => Ok(()),
    }
}

/// Refuses more groups than 32 bits count.
pub fn expect_countable(groups: usize) -> Result<()> {
    match u32::try_from(groups) {
        Ok(_) => Ok(()),
        Err(_) => exec_err!("more than 4 billion groups in one partition; use more partitions"),
    }
}

/// Whether a filter keeps a row.
pub fn keeps(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.value(row) && filter.is_valid(row))
}

impl<S: States> GroupsAccumulator for Framed<S> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.0.grow(total_num_groups)?;
        self.0.read(values, |row| group_indices[row], opt_filter)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.0.grow(total_num_groups)?;
        self.0.merge(values, |row| group_indices[row])
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        self.0.take_results(emit_to)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.0.take_states(emit_to)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let mut rows = self.0.fresh();
        rows.grow(values.first().map_or(0, |column| column.len()))?;
        rows.read(values, |row| row, opt_filter)?;
        rows.take_states(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}

impl<S: States> Accumulator for Framed<S> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.grow(1)?;
        self.0.read(values, |_| 0, None)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.grow(1)?;
        self.0.merge(states, |_| 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.grow(1)?;
        let states = self.0.take_states(EmitTo::All)?;
        states.iter().map(|state| ScalarValue::try_from_array(state, 0)).collect()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        // a window asks again after more rows
        self.0.grow(1)?;
        self.0.result()
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}
