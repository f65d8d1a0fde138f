//! Models as typed parameters: Arrow structs in SQL, parsed and checked structs in Rust.

mod core_points;
mod density;
pub(crate) mod factors;
mod grid;
mod ids;
pub(crate) mod kmeans;
mod linkage;
mod nearest;
mod reference;
pub(crate) mod scaling;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int32Array, ListArray, StringArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields, Float64Type, Int32Type};
use datafusion::common::{Result, ScalarValue, plan_err};

pub use core_points::{CorePoints, Nearest};
#[cfg(test)]
pub(crate) use density::tests as density_tests;
pub use density::{DensityModel, SegmentQuality, density_model_type};
pub use factors::{FactorScorer, FactorVariance, FactorsModel, FeatureReport, Loading, factors_model_type};
pub use grid::{GRID, on_grid, squared_steps, steps};
pub use kmeans::{BINS, Candidate, KmeansModel, kmeans_model_type};
pub use linkage::{LinkageModel, MatchWeights, Weigher, linkage_model_type};
pub use nearest::NearestCentroids;
pub use reference::{ReferenceModel, reference_model_type};
pub use scaling::{KNOTS, Scaling, Transform};

/// The type to which a model argument is cast: `expected`, when the names and order of its fields match.
pub(crate) fn model_argument_type(function: &str, given: &DataType, expected: &DataType) -> Result<DataType> {
    let names = |data_type: &DataType| match data_type {
        DataType::Struct(fields) => fields.iter().map(|field| field.name().clone()).collect::<Vec<_>>(),
        _ => Vec::new(),
    };
    if given.is_null() || names(given) == names(expected) {
        return Ok(expected.clone());
    }
    plan_err!(
        "{function}: argument model must be a struct of the fields {}, not {given}; pass the result of a model stage",
        names(expected).join(", ")
    )
}

/// The fields of the one row of a model, by name.
struct Fieldwise<'a> {
    kind: &'static str,
    row: &'a StructArray,
}

impl<'a> Fieldwise<'a> {
    /// Reads a scalar that holds a `kind` model; NULL is refused.
    fn of(kind: &'static str, value: &'a ScalarValue) -> Result<Self> {
        match value {
            ScalarValue::Struct(row) if row.len() == 1 && row.is_valid(0) => Ok(Self { kind, row }),
            ScalarValue::Struct(_) => plan_err!("the {kind} model is NULL"),
            other => plan_err!("a {kind} model must be a struct, found {}", other.data_type()),
        }
    }

    fn field(&self, name: &str) -> Result<&'a ArrayRef> {
        match self.row.column_by_name(name) {
            Some(column) => Ok(column),
            None => plan_err!("the {} model has no field '{name}'", self.kind),
        }
    }

    fn list(&self, name: &str) -> Result<ArrayRef> {
        match self.field(name)?.as_list_opt::<i32>() {
            Some(lists) if lists.is_valid(0) => Ok(lists.value(0)),
            Some(_) => plan_err!("field '{name}' of the {} model is NULL", self.kind),
            None => plan_err!("field '{name}' of the {} model must be a list", self.kind),
        }
    }

    fn texts(&self, name: &str) -> Result<Vec<String>> {
        let list = self.list(name)?;
        match list.as_string_opt::<i32>() {
            Some(texts) if texts.null_count() == 0 => {
                Ok(texts.iter().flatten().map(str::to_string).collect())
            }
            _ => plan_err!("field '{name}' of the {} model must be a list of text without NULL", self.kind),
        }
    }

    /// Numbers of a list, `None` for NULL.
    fn optional_numbers(&self, name: &str) -> Result<Vec<Option<f64>>> {
        let list = self.list(name)?;
        match list.as_primitive_opt::<Float64Type>() {
            Some(numbers) => Ok(numbers.iter().collect()),
            None => plan_err!("field '{name}' of the {} model must be a list of double", self.kind),
        }
    }

    fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        let numbers = self.optional_numbers(name)?;
        match numbers.iter().all(|number| number.is_some_and(f64::is_finite)) {
            true => Ok(numbers.into_iter().flatten().collect()),
            false => plan_err!(
                "field '{name}' of the {} model holds NULL or a number that is not finite",
                self.kind
            ),
        }
    }

    fn integers(&self, name: &str) -> Result<Vec<i32>> {
        let list = self.list(name)?;
        match list.as_primitive_opt::<Int32Type>() {
            Some(numbers) if numbers.null_count() == 0 => Ok(numbers.values().to_vec()),
            _ => plan_err!("field '{name}' of the {} model must be a list of int without NULL", self.kind),
        }
    }

    fn integer(&self, name: &str) -> Result<i32> {
        match self.field(name)?.as_primitive_opt::<Int32Type>() {
            Some(number) if number.is_valid(0) => Ok(number.value(0)),
            _ => plan_err!("field '{name}' of the {} model must be an int", self.kind),
        }
    }

    fn optional_number(&self, name: &str) -> Result<Option<f64>> {
        match self.field(name)?.as_primitive_opt::<Float64Type>() {
            Some(number) => Ok(number.is_valid(0).then(|| number.value(0))),
            None => plan_err!("field '{name}' of the {} model must be a double", self.kind),
        }
    }

    fn number(&self, name: &str) -> Result<f64> {
        match self.field(name)?.as_primitive_opt::<Float64Type>() {
            Some(number) if number.is_valid(0) => Ok(number.value(0)),
            _ => plan_err!("field '{name}' of the {} model must be a double", self.kind),
        }
    }
}

/// A list array of one row.
fn one_list(items: ArrayRef) -> ArrayRef {
    let item = Arc::new(Field::new_list_field(items.data_type().clone(), true));
    Arc::new(ListArray::new(item, OffsetBuffer::from_lengths([items.len()]), items, None))
}

fn one_text_list(texts: &[String]) -> ArrayRef {
    one_list(Arc::new(StringArray::from_iter_values(texts)))
}

fn one_number_list(numbers: impl IntoIterator<Item = Option<f64>>) -> ArrayRef {
    one_list(Arc::new(numbers.into_iter().collect::<Float64Array>()))
}

fn one_integer_list(numbers: &[i32]) -> ArrayRef {
    one_list(Arc::new(Int32Array::from(numbers.to_vec())))
}

/// A struct scalar from columns of one row each.
fn one_struct(model_type: &DataType, columns: Vec<ArrayRef>) -> ScalarValue {
    let fields = match model_type {
        DataType::Struct(fields) => fields.clone(),
        _ => Fields::empty(),
    };
    ScalarValue::Struct(Arc::new(StructArray::new(fields, columns, None)))
}
