//! `wilson_interval` and `newcombe_interval`: where a proportion, or the difference of two, may lie.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Float64Builder, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::proportions::{newcombe_interval, two_proportion_p, wilson_interval};
use crate::args::{column, evaluate, expect_arity, float_type, nullable_fields};

#[user_doc(
    doc_section(label = "Numbers"),
    description = "The interval in which the proportion behind a count may lie, as a struct of low and high: Wilson's score interval without continuity correction (Wilson 1927; method 3 of Newcombe 1998), with the same bits on every machine. NULL where successes are below 0 or above the trials, or there are none.",
    syntax_example = "wilson_interval(successes, trials, z)",
    sql_example = "```sql\nselect wilson_interval(81, 263, 1.959964);  -- {low: 0.2553, high: 0.3662}\n```",
    argument(name = "successes", description = "How many have it; NULL gives NULL."),
    argument(name = "trials", description = "Of how many; NULL gives NULL."),
    argument(name = "z", description = "Standard errors to each side: 1.959964 for 95 %."),
    related_udf(name = "newcombe_interval"),
    related_udf(name = "two_proportion_p")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct WilsonInterval {
    signature: Signature,
}

#[user_doc(
    doc_section(label = "Numbers"),
    description = "The interval in which the difference of two proportions may lie, the first minus the second, as a struct of low and high: from the Wilson interval of each (method 10 of Newcombe 1998), with the same bits on every machine. NULL where successes are below 0 or above the trials, or there are none.",
    syntax_example = "newcombe_interval(successes, trials, other_successes, other_trials, z)",
    sql_example = "```sql\nselect newcombe_interval(56, 70, 48, 80, 1.959964);  -- {low: 0.0524, high: 0.3339}\n```",
    argument(name = "successes", description = "How many of the first have it; NULL gives NULL."),
    argument(name = "trials", description = "Of how many."),
    argument(name = "other_successes", description = "How many of the second have it."),
    argument(name = "other_trials", description = "Of how many."),
    argument(name = "z", description = "Standard errors to each side: 1.959964 for 95 %."),
    related_udf(name = "wilson_interval"),
    related_udf(name = "two_proportion_p")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct NewcombeInterval {
    signature: Signature,
}

#[user_doc(
    doc_section(label = "Numbers"),
    description = "The two-sided p-value of the z test that two proportions are one, with the pooled variance and without continuity correction: its square is Pearson's chi-squared of the 2 x 2 table, and the normal tail is that of pure-Rust libm, the same on every machine. 1 where both are 0 or both 1; NULL where successes are below 0 or above the trials, or there are none. Not for few cases: each of the four counts should be 5 or more.",
    syntax_example = "two_proportion_p(successes, trials, other_successes, other_trials)",
    sql_example = "```sql\nselect two_proportion_p(15, 50, 25, 50);  -- 0.04123\n```",
    argument(name = "successes", description = "How many of the first have it; NULL gives NULL."),
    argument(name = "trials", description = "Of how many."),
    argument(name = "other_successes", description = "How many of the second have it."),
    argument(name = "other_trials", description = "Of how many."),
    related_udf(name = "newcombe_interval")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct TwoProportionP {
    signature: Signature,
}

const WILSON: [&str; 3] = ["successes", "trials", "z"];
const NEWCOMBE: [&str; 5] = ["successes", "trials", "other_successes", "other_trials", "z"];

impl Default for WilsonInterval {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl Default for NewcombeInterval {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl Default for TwoProportionP {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for WilsonInterval {
    fn name(&self) -> &str {
        "wilson_interval"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        numbers(self.name(), types, &WILSON)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(interval_type())
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&args, |rows| {
            let intervals = each_row(&args, rows, |[successes, trials, z]: [f64; 3]| {
                wilson_interval(successes, trials, z)
            })?;
            Ok(structs(intervals))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

impl ScalarUDFImpl for NewcombeInterval {
    fn name(&self) -> &str {
        "newcombe_interval"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        numbers(self.name(), types, &NEWCOMBE)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(interval_type())
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&args, |rows| {
            let intervals =
                each_row(&args, rows, |[successes, trials, other, other_trials, z]: [f64; 5]| {
                    newcombe_interval((successes, trials), (other, other_trials), z)
                })?;
            Ok(structs(intervals))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

impl ScalarUDFImpl for TwoProportionP {
    fn name(&self) -> &str {
        "two_proportion_p"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        numbers(self.name(), types, &NEWCOMBE[..4])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&args, |rows| {
            let values = each_row(&args, rows, |[successes, trials, other, other_trials]: [f64; 4]| {
                two_proportion_p((successes, trials), (other, other_trials))
            })?;
            Ok(Arc::new(Float64Array::from(values)) as ArrayRef)
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn numbers(function: &str, types: &[DataType], names: &[&str]) -> Result<Vec<DataType>> {
    expect_arity(function, types, names)?;
    types.iter().zip(names).map(|(data_type, name)| float_type(function, name, data_type)).collect()
}

fn interval_type() -> DataType {
    DataType::Struct(nullable_fields(&[("low", DataType::Float64), ("high", DataType::Float64)]))
}

/// What the kernel gives for each row; nothing where an argument is NULL.
fn each_row<const N: usize, T>(
    args: &ScalarFunctionArgs,
    rows: usize,
    kernel: impl Fn([f64; N]) -> Option<T>,
) -> Result<Vec<Option<T>>> {
    let arrays = (0..N).map(|index| column(args, index, rows)).collect::<Result<Vec<_>>>()?;
    let columns: Vec<&Float64Array> =
        arrays.iter().filter_map(|array| array.as_primitive_opt::<Float64Type>()).collect();
    if columns.len() != N {
        return internal_err!("expected {N} columns of Float64");
    }
    let of_row = |row: usize| {
        let known = columns.iter().all(|column| column.is_valid(row));
        known.then(|| kernel(std::array::from_fn(|index| columns[index].value(row)))).flatten()
    };
    Ok((0..rows).map(of_row).collect())
}

fn structs(intervals: Vec<Option<(f64, f64)>>) -> ArrayRef {
    let (mut lows, mut highs) =
        (Float64Builder::with_capacity(intervals.len()), Float64Builder::with_capacity(intervals.len()));
    let nulls: NullBuffer = intervals.iter().map(Option::is_some).collect();
    for interval in intervals {
        lows.append_option(interval.map(|(low, _)| low));
        highs.append_option(interval.map(|(_, high)| high));
    }
    let fields = nullable_fields(&[("low", DataType::Float64), ("high", DataType::Float64)]);
    Arc::new(StructArray::new(fields, vec![Arc::new(lows.finish()), Arc::new(highs.finish())], Some(nulls)))
}
