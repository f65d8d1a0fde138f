//! `fixed_sum`: the sum of doubles in fixed point, the same in every order.

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Field, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_err, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::frame::{Framed, States, keeps, refuse_distinct};
use crate::args::{expect_arity, float_type};

/// Steps of 2^-32: 2.3e-10.
const STEPS: f64 = (1u64 << 32) as f64;
/// Values from 2^53 are refused; of all others 2^41 and more can be summed in 126 bits, which 38 digits hold.
const LIMIT: f64 = (1u64 << 53) as f64;
const LARGEST: i128 = 1 << 126;
const STATE: DataType = DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0);

#[user_doc(
    doc_section(label = "Groups"),
    description = "The sum of doubles, each rounded to a multiple of 2^-32 (2.3e-10), summed exactly: the same bytes in every order, on any number of partitions. NULL is ignored; NULL when no values remain. NaN, infinity and values from 2^53 are errors.",
    syntax_example = "fixed_sum(value)",
    sql_example = "```sql\nselect customer_id, fixed_sum(affinity) from visits group by customer_id;\n```",
    argument(name = "value", description = "A number, taken as double.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct FixedSum {
    signature: Signature,
}

impl Default for FixedSum {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for FixedSum {
    fn name(&self) -> &str {
        "fixed_sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["value"])?;
        Ok(vec![float_type(self.name(), "value", &types[0])?])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "steps"), STATE, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        refuse_distinct(self.name(), &args)?;
        Ok(Box::new(Framed(FixedSums::default())))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        refuse_distinct(self.name(), &args)?;
        Ok(Box::new(Framed(FixedSums::default())))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// The sum of each group in steps, `None` where nothing was added.
#[derive(Debug, Default)]
struct FixedSums {
    sums: Vec<Option<i128>>,
}

impl FixedSums {
    #[inline]
    fn add(&mut self, group: usize, steps: i128) -> Result<()> {
        // two numbers below 2^126 have a sum
        let sum = self.sums[group].unwrap_or_default() + steps;
        if !(-LARGEST..LARGEST).contains(&sum) {
            return exec_err!("fixed_sum: a sum exceeds 2^94");
        }
        self.sums[group] = Some(sum);
        Ok(())
    }
}

/// The nearest multiple of a step, of two the even one.
#[inline]
fn steps_of(value: f64) -> i128 {
    /// What is added to it has no digit behind the point, and rounds as doubles do.
    const POINT: f64 = 1.5 * (1u64 << 52) as f64;
    let steps = value * STEPS;
    if steps.abs() < (1u64 << 51) as f64 {
        return i128::from((steps + POINT - POINT) as i64);
    }
    match steps.abs() < (1u64 << 62) as f64 {
        true => i128::from(steps.round_ties_even() as i64),
        false => steps as i128,
    }
}

fn double(steps: i128) -> f64 {
    steps as f64 / STEPS
}

impl States for FixedSums {
    fn fresh(&self) -> Self {
        Self::default()
    }

    fn read(
        &mut self,
        columns: &[ArrayRef],
        group: impl Fn(usize) -> usize,
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        let Some(values) = columns.first().and_then(|column| column.as_primitive_opt::<Float64Type>()) else {
            return internal_err!("fixed_sum: expected Float64");
        };
        for row in (0..values.len()).filter(|row| values.is_valid(*row) && keeps(filter, *row)) {
            let value = values.value(row);
            if value.is_nan() || value.abs() >= LIMIT {
                return exec_err!("fixed_sum: {value} cannot be summed; values must be below 2^53");
            }
            self.add(group(row), steps_of(value))?;
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], group: impl Fn(usize) -> usize) -> Result<()> {
        let Some(steps) = states.first().and_then(|state| state.as_primitive_opt::<Decimal128Type>()) else {
            return internal_err!("fixed_sum: expected Decimal128");
        };
        for row in (0..steps.len()).filter(|row| steps.is_valid(*row)) {
            self.add(group(row), steps.value(row))?;
        }
        Ok(())
    }

    fn grow(&mut self, groups: usize) -> Result<()> {
        self.sums.resize(groups.max(self.sums.len()), None);
        Ok(())
    }

    fn take_states(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let steps: Decimal128Array = emit.take_needed(&mut self.sums).into_iter().collect();
        Ok(vec![Arc::new(steps.with_data_type(STATE))])
    }

    fn take_results(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let sums = emit.take_needed(&mut self.sums);
        Ok(Arc::new(sums.into_iter().map(|sum| sum.map(double)).collect::<Float64Array>()))
    }

    fn result(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.sums[0].map(double)))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.sums.capacity() * size_of::<Option<i128>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_rounded_to_even_at_any_size() {
        for size in -40..53 {
            for mantissa in [1.0, 1.25, 1.5, 1.999_999_999_999_7, -1.0, -1.123_456_789_012_3] {
                let value = mantissa * 2f64.powi(size);
                assert_eq!(steps_of(value), (value * STEPS).round_ties_even() as i128, "{value}");
            }
        }
        for (halves, steps) in [(1, 0), (3, 2), (5, 2), (-1, 0), (-3, -2)] {
            assert_eq!(steps_of(f64::from(halves) / 2.0 / STEPS), steps);
        }
    }
}
