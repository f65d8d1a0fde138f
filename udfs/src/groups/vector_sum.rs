//! `vector_sum`: the sum of lists of whole numbers, entry by entry.

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, ListArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Field, FieldRef, Int64Type,
};
use datafusion::common::{Result, ScalarValue, exec_err, internal_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::frame::{Framed, States, keeps, refuse_distinct};
use crate::args::expect_arity;

const SUM: DataType = DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0);
/// Beyond it 38 digits may not hold a sum.
const LARGEST: i128 = 1 << 126;

fn item() -> FieldRef {
    Arc::new(Field::new_list_field(SUM, true))
}

#[user_doc(
    doc_section(label = "Groups"),
    description = "The sum of lists of whole numbers, entry by entry, exact: a list of decimals. NULL lists are ignored, and NULL entries count as 0; NULL when no lists remain. Lists of different lengths are an error.",
    syntax_example = "vector_sum(vector)",
    sql_example = "```sql\nselect segment, vector_sum(make_array(orders, returns, visits)) from customers group by segment;\n```",
    argument(name = "vector", description = "A list of integers, as long in every row."),
    related_udf(name = "kmeans_grid")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct VectorSum {
    signature: Signature,
}

impl Default for VectorSum {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for VectorSum {
    fn name(&self) -> &str {
        "vector_sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["vector"])?;
        let integers = match &types[0] {
            DataType::Null => true,
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                item.data_type().is_integer() || item.data_type().is_null()
            }
            _ => false,
        };
        match integers {
            true => Ok(vec![DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true)))]),
            false => plan_err!(
                "vector_sum: argument vector must be a list of integers, not {}; cast its entries to bigint",
                types[0]
            ),
        }
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(item()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let sums = format_state_name(args.name, "sums");
        Ok(vec![Arc::new(Field::new(sums, DataType::List(item()), true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        refuse_distinct(self.name(), &args)?;
        Ok(Box::new(Framed(VectorSums::default())))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        refuse_distinct(self.name(), &args)?;
        Ok(Box::new(Framed(VectorSums::default())))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// The sums of each group.
#[derive(Debug, Default)]
struct VectorSums {
    /// The length of every list; 0 until one was seen.
    width: usize,
    /// Group after group, `width` sums each.
    sums: Vec<i128>,
    /// Whether a group has had a list.
    seen: Vec<bool>,
}

impl VectorSums {
    fn make_room(&mut self, groups: usize) {
        self.seen.resize(groups.max(self.seen.len()), false);
        self.sums.resize(self.seen.len() * self.width, 0);
    }

    /// Adds each list to the group of its row.
    fn add<T: ArrowPrimitiveType<Native: Into<i128>>>(
        &mut self,
        columns: &[ArrayRef],
        group: impl Fn(usize) -> usize,
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        let lists = columns.first().and_then(|column| column.as_list_opt::<i32>());
        let Some(lists) = lists else { return internal_err!("vector_sum: expected a list") };
        let Some(entries) = lists.values().as_primitive_opt::<T>() else {
            return internal_err!(
                "vector_sum: expected lists of {}, not {}",
                T::DATA_TYPE,
                lists.data_type()
            );
        };
        let nulls = entries.nulls();
        for (row, bounds) in lists.value_offsets().windows(2).enumerate() {
            if lists.is_null(row) || !keeps(filter, row) {
                continue;
            }
            let (from, length) = (bounds[0] as usize, (bounds[1] - bounds[0]) as usize);
            if self.width == 0 && length > 0 && !self.seen.contains(&true) {
                self.width = length;
                self.make_room(0);
            }
            if length != self.width {
                return exec_err!("vector_sum: a list has {length} entries, another {}", self.width);
            }
            let group = group(row);
            self.seen[group] = true;
            let sums = &mut self.sums[group * length..(group + 1) * length];
            for (at, sum) in (from..from + length).zip(sums) {
                // two numbers below 2^126 have a sum
                if nulls.is_none_or(|nulls| nulls.is_valid(at)) {
                    *sum += entries.values()[at].into();
                }
                if !(-LARGEST..LARGEST).contains(sum) {
                    return exec_err!("vector_sum: a sum exceeds 2^126");
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, emit_to: EmitTo) -> ListArray {
        let seen = emit_to.take_needed(&mut self.seen);
        let rest = self.sums.split_off(seen.len() * self.width);
        let sums = std::mem::replace(&mut self.sums, rest);
        let lengths = seen.iter().map(|_| self.width);
        ListArray::new(
            item(),
            OffsetBuffer::from_lengths(lengths),
            Arc::new(Decimal128Array::from(sums).with_data_type(SUM)),
            Some(NullBuffer::from(seen)),
        )
    }
}

impl States for VectorSums {
    fn fresh(&self) -> Self {
        Self::default()
    }

    fn grow(&mut self, groups: usize) -> Result<()> {
        self.make_room(groups);
        Ok(())
    }

    fn read(
        &mut self,
        columns: &[ArrayRef],
        group: impl Fn(usize) -> usize,
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        self.add::<Int64Type>(columns, group, filter)
    }

    fn merge(&mut self, states: &[ArrayRef], group: impl Fn(usize) -> usize) -> Result<()> {
        self.add::<Decimal128Type>(states, group, None)
    }

    fn take_states(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(self.take(emit))])
    }

    fn take_results(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        Ok(Arc::new(self.take(emit)))
    }

    fn result(&mut self) -> Result<ScalarValue> {
        let sums =
            Self { width: self.width, sums: self.sums.clone(), seen: self.seen.clone() }.take(EmitTo::All);
        Ok(ScalarValue::List(Arc::new(sums)))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.sums.capacity() * size_of::<i128>() + self.seen.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(rows: &[Option<Vec<Option<i64>>>]) -> ArrayRef {
        Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(rows.iter().cloned()))
    }

    fn sums(list: &ListArray, row: usize) -> Option<Vec<i128>> {
        list.is_valid(row).then(|| list.value(row).as_primitive::<Decimal128Type>().values().to_vec())
    }

    #[test]
    fn sums_of_groups_merge() {
        let large = i64::MAX;
        let rows = [
            Some(vec![Some(1), Some(large)]),
            None,
            Some(vec![Some(-5), None]),
            Some(vec![Some(2), Some(large)]),
            Some(vec![Some(7), Some(9)]),
        ];
        let (groups, keep) = ([0, 1, 2, 0, 1], BooleanArray::from(vec![true, true, true, true, false]));
        let expected = [Some(vec![3, 2 * i128::from(large)]), None, Some(vec![-5, 0])];
        for split in 0..=rows.len() {
            let mut whole = VectorSums::default();
            whole.grow(3).unwrap();
            for part in [0..split, split..rows.len()] {
                let mut partial = VectorSums::default();
                let filter = keep.slice(part.start, part.len());
                partial.grow(3).unwrap();
                let groups = &groups[part.clone()];
                partial.add::<Int64Type>(&[lists(&rows[part])], |row| groups[row], Some(&filter)).unwrap();
                let state = partial.take_states(EmitTo::All).unwrap();
                whole.merge(&state, |row| row).unwrap();
            }
            let first = whole.take(EmitTo::First(1));
            assert_eq!(sums(&first, 0), expected[0]);
            let rest = whole.take(EmitTo::All);
            assert_eq!([sums(&rest, 0), sums(&rest, 1)], expected[1..]);
        }
    }

    #[test]
    fn nothing_is_null_and_other_lengths_are_refused() {
        let mut none = Framed(VectorSums::default());
        assert!(Accumulator::evaluate(&mut none).unwrap().is_null());
        let rows = [lists(&[Some(vec![Some(1)]), Some(vec![Some(1), Some(2)])])];
        let message = Accumulator::update_batch(&mut none, &rows).unwrap_err().to_string();
        assert!(message.contains("2 entries, another 1"), "{message}");
    }
}
