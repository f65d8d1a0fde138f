//! What most aggregates here are made of: one way to read rows into entries of groups, to merge states and to emit.

use std::fmt::Debug;
use std::hash::Hash;
use std::mem::size_of;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Int64Array, ListArray, UInt32Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Field, FieldRef, Int64Type, UInt32Type,
};
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, Signature,
    Volatility,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;

use super::entries::{Entries, Entry, Folding, Taken};
use super::frame::{Framed, States, keeps, refuse_distinct};
use super::keys::Keys;
use crate::time::DAY_US;

/// What an aggregate function declares.
pub trait Aggregate: Debug + Default + Eq + Hash + Send + Sync + 'static {
    /// What it does with rows.
    type Measure: Measure;
    /// The name in SQL.
    const NAME: &'static str;

    /// The entry of the reference.
    fn documentation(&self) -> Option<&Documentation>;

    /// The types to which arguments are cast.
    fn coerce(types: &[DataType]) -> Result<Vec<DataType>>;

    /// The type of the result for arguments of the types that `coerce` gave: one of the values, unless said otherwise.
    fn returns(types: &[DataType]) -> Result<DataType> {
        Ok(Self::keys(types))
    }

    /// The type of what it tells apart within a group: the first argument, unless said otherwise.
    fn keys(types: &[DataType]) -> DataType {
        types[0].clone()
    }

    /// The measure for arguments of these types, some of which are constants.
    fn measure(types: &[DataType], constants: &Constants) -> Result<Self::Measure>;

    /// The function as the engine knows it.
    fn function() -> AggregateUDF {
        let signature = Signature::user_defined(Volatility::Immutable);
        AggregateUDF::new_from_impl(Function { aggregate: Self::default(), signature })
    }
}

/// What an aggregate does with rows: entries of its groups, how two of them become one, and what they come to.
pub trait Measure: Debug + Send + Sync + 'static {
    /// What is known of a key.
    type Value: Value;

    /// The same, without anything read.
    fn fresh(&self) -> Self;

    /// Calls `add` with row, key and value of everything that the columns hold.
    fn read(&mut self, columns: &[ArrayRef], add: impl FnMut(usize, i64, Self::Value)) -> Result<()>;

    /// Which entries `fold` takes together.
    const FOLDING: Folding;

    /// Takes the next entry of a group into the last, or returns false where both are kept.
    fn fold(&self, last: &mut Entry<Self::Value>, next: &Entry<Self::Value>) -> bool;

    /// The result of each group.
    fn result(&self, groups: &Taken<Self::Value>) -> Result<ArrayRef>;

    /// What keys stand for.
    fn keys(&self) -> &Keys;

    /// The same, to read more of them.
    fn keys_mut(&mut self) -> &mut Keys;
}

/// What is known of a key, and how it travels between the phases of an aggregation.
pub trait Value: Copy + Ord + Debug + Send + Sync + 'static {
    /// The type of the state, if there is one.
    const STATE: Option<DataType>;

    /// The state of values.
    fn state(values: impl Iterator<Item = Self>) -> Option<ArrayRef>;

    /// The values of a state of `rows` values.
    fn read(state: Option<&ArrayRef>, rows: usize) -> Result<Vec<Self>>;
}

impl Value for () {
    const STATE: Option<DataType> = None;

    fn state(_: impl Iterator<Item = Self>) -> Option<ArrayRef> {
        None
    }

    fn read(_: Option<&ArrayRef>, rows: usize) -> Result<Vec<Self>> {
        Ok(vec![(); rows])
    }
}

impl Value for i64 {
    const STATE: Option<DataType> = Some(DataType::Int64);

    fn state(values: impl Iterator<Item = Self>) -> Option<ArrayRef> {
        Some(Arc::new(Int64Array::from_iter_values(values)))
    }

    fn read(state: Option<&ArrayRef>, _: usize) -> Result<Vec<Self>> {
        match state.and_then(|state| state.as_primitive_opt::<Int64Type>()) {
            Some(values) => Ok(values.values().to_vec()),
            None => internal_err!("expected Int64 in a state"),
        }
    }
}

impl Value for u32 {
    const STATE: Option<DataType> = Some(DataType::UInt32);

    fn state(values: impl Iterator<Item = Self>) -> Option<ArrayRef> {
        Some(Arc::new(UInt32Array::from_iter_values(values)))
    }

    fn read(state: Option<&ArrayRef>, _: usize) -> Result<Vec<Self>> {
        match state.and_then(|state| state.as_primitive_opt::<UInt32Type>()) {
            Some(values) => Ok(values.values().to_vec()),
            None => internal_err!("expected UInt32 in a state"),
        }
    }
}

impl Value for i128 {
    const STATE: Option<DataType> = Some(DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0));

    fn state(values: impl Iterator<Item = Self>) -> Option<ArrayRef> {
        let decimals = Decimal128Array::from_iter_values(values);
        Some(Arc::new(decimals.with_data_type(DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0))))
    }

    fn read(state: Option<&ArrayRef>, _: usize) -> Result<Vec<Self>> {
        match state.and_then(|state| state.as_primitive_opt::<Decimal128Type>()) {
            Some(values) => Ok(values.values().to_vec()),
            None => internal_err!("expected Decimal128 in a state"),
        }
    }
}

/// The arguments that are constants.
#[derive(Debug)]
pub struct Constants<'a> {
    function: &'a str,
    arguments: &'a [Arc<dyn PhysicalExpr>],
}

impl<'a> Constants<'a> {
    /// Those of a function.
    pub fn new(function: &'a str, arguments: &'a [Arc<dyn PhysicalExpr>]) -> Self {
        Self { function, arguments }
    }

    /// The constant at a place.
    pub fn get(&self, place: usize, name: &str) -> Result<&ScalarValue> {
        match self.arguments.get(place).and_then(|argument| argument.downcast_ref::<Literal>()) {
            Some(literal) => Ok(literal.value()),
            None => plan_err!("{}: argument {name} must be a constant or a parameter", self.function),
        }
    }

    /// A text.
    pub fn text(&self, place: usize, name: &str) -> Result<String> {
        match self.get(place, name)?.try_as_str() {
            Some(Some(text)) => Ok(text.to_string()),
            _ => plan_err!("{}: argument {name} must be a text", self.function),
        }
    }

    /// An interval of hours, minutes, seconds or days of 24 hours, in microseconds, above zero.
    pub fn duration(&self, place: usize, name: &str) -> Result<i64> {
        let micros = match self.get(place, name)? {
            ScalarValue::IntervalMonthDayNano(Some(interval)) if interval.months == 0 => {
                Some(i64::from(interval.days) * DAY_US + interval.nanoseconds / 1000)
            }
            ScalarValue::IntervalDayTime(Some(interval)) => {
                Some(i64::from(interval.days) * DAY_US + i64::from(interval.milliseconds) * 1000)
            }
            _ => None,
        };
        match micros {
            Some(micros) if micros > 0 => Ok(micros),
            _ => plan_err!(
                "{}: argument {name} must be an interval above zero without months, such as interval '30 minutes'",
                self.function
            ),
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Function<A> {
    aggregate: A,
    signature: Signature,
}

fn types_of(fields: &[FieldRef]) -> Vec<DataType> {
    fields.iter().map(|field| field.data_type().clone()).collect()
}

impl<A: Aggregate> Function<A> {
    fn accumulate(&self, args: &AccumulatorArgs) -> Result<Framed<Groups<A::Measure>>> {
        refuse_distinct(A::NAME, args)?;
        let constants = Constants::new(A::NAME, args.exprs);
        let measure = A::measure(&types_of(args.expr_fields), &constants)?;
        Ok(Framed(Groups { measure, entries: Entries::new(A::Measure::FOLDING) }))
    }
}

impl<A: Aggregate> AggregateUDFImpl for Function<A> {
    fn name(&self) -> &str {
        A::NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        A::coerce(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        A::returns(types)
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        match data_type {
            DataType::Int64 => Ok(ScalarValue::Int64(Some(0))),
            DataType::Boolean => Ok(ScalarValue::Boolean(Some(false))),
            DataType::List(item) => Ok(ScalarValue::List(ScalarValue::new_list(&[], item.data_type(), true))),
            other => ScalarValue::try_from(other),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let keys = Keys::state_type(&A::keys(&types_of(args.input_fields)));
        let values = <A::Measure as Measure>::Value::STATE;
        let parts = std::iter::once(("keys", keys)).chain(values.map(|values| ("values", values)));
        Ok(parts
            .map(|(part, item)| {
                let name = format_state_name(args.name, part);
                Arc::new(Field::new_list(name, Field::new_list_field(item, true), true))
            })
            .collect())
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(self.accumulate(&args)?))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.accumulate(&args)?))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.aggregate.documentation()
    }
}

/// A measure and the entries of its groups.
#[derive(Debug)]
pub struct Groups<M: Measure> {
    measure: M,
    entries: Entries<M::Value>,
}

impl<M: Measure> Groups<M> {
    fn settle_some(&mut self) -> Result<()> {
        if self.entries.is_loose() {
            self.settle()?;
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        self.entries.settle(|last, next| self.measure.fold(last, next));
        self.shrink()
    }

    fn shrink(&mut self) -> Result<()> {
        if self.measure.keys().is_sparse(self.entries.len()) {
            self.entries.recode(|used| self.measure.keys_mut().forget(used))?;
        }
        Ok(())
    }

    fn take<T>(&mut self, emit: EmitTo, give: impl FnOnce(&M, &Taken<M::Value>) -> Result<T>) -> Result<T> {
        self.settle()?;
        let groups = match emit {
            EmitTo::All => self.entries.groups(),
            EmitTo::First(groups) => groups,
        };
        let taken = self.entries.take(groups);
        let given = give(&self.measure, &taken)?;
        self.shrink()?;
        Ok(given)
    }
}

/// The items of all lists, one after the other.
pub fn items(lists: &ListArray) -> ArrayRef {
    let (start, end) = (lists.value_offsets()[0] as usize, lists.value_offsets()[lists.len()] as usize);
    lists.values().slice(start, end - start)
}

/// Each row that has a list, with the places of its items in `items`.
pub fn places(lists: &ListArray) -> impl Iterator<Item = (usize, Range<usize>)> {
    let offsets = lists.value_offsets();
    let place = |row: usize| (offsets[row] - offsets[0]) as usize;
    (0..lists.len()).filter(|row| lists.is_valid(*row)).map(move |row| (row, place(row)..place(row + 1)))
}

/// Lists of these lengths, one after the other.
pub fn lists(lengths: Vec<usize>, items: ArrayRef) -> Result<ArrayRef> {
    let field = Arc::new(Field::new_list_field(items.data_type().clone(), true));
    Ok(Arc::new(ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), items, None)?))
}

impl<M: Measure> States for Groups<M> {
    fn fresh(&self) -> Self {
        Self { measure: self.measure.fresh(), entries: self.entries.fresh() }
    }

    fn grow(&mut self, groups: usize) -> Result<()> {
        self.entries.grow(groups)
    }

    fn read(
        &mut self,
        columns: &[ArrayRef],
        group: impl Fn(usize) -> usize,
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        let mut read = Vec::with_capacity(columns.first().map_or(0, |column| column.len()));
        self.measure.read(columns, |row, key, value| {
            if keeps(filter, row) {
                read.push((group(row), key, value));
            }
        })?;
        for (group, key, value) in read {
            self.entries.push(group, key, value, |last, next| self.measure.fold(last, next));
        }
        self.settle_some()
    }

    fn merge(&mut self, states: &[ArrayRef], group: impl Fn(usize) -> usize) -> Result<()> {
        let Some(keys) = states.first().and_then(|keys| keys.as_list_opt::<i32>()) else {
            return internal_err!("a state must have lists of keys");
        };
        let codes = self.measure.keys_mut().read_state(&items(keys))?;
        let values = states.get(1).and_then(|values| values.as_list_opt::<i32>()).map(items);
        let values = M::Value::read(values.as_ref(), codes.len())?;
        if values.len() != codes.len() {
            return internal_err!("a state has {} keys and {} values", codes.len(), values.len());
        }
        for (row, places) in places(keys) {
            for place in places {
                let fold = |last: &mut _, next: &_| self.measure.fold(last, next);
                self.entries.push(group(row), codes[place], values[place], fold);
            }
        }
        self.settle_some()
    }

    fn take_states(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        self.take(emit, |measure, taken| {
            let keys = measure.keys().state(taken.entries.iter().map(|entry| entry.key))?;
            let values = M::Value::state(taken.entries.iter().map(|entry| entry.value));
            std::iter::once(keys).chain(values).map(|items| lists(taken.lengths(), items)).collect()
        })
    }

    fn take_results(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        self.take(emit, |measure, taken| measure.result(taken))
    }

    fn result(&mut self) -> Result<ScalarValue> {
        self.settle()?;
        let taken = self.entries.take(1);
        let result = self.measure.result(&taken)?;
        self.entries.put_back(taken);
        ScalarValue::try_from_array(&result, 0)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.entries.size() + self.measure.keys().size()
    }
}
