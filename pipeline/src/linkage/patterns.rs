//! Patterns of agreement: how many pairs of each set agree alike.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};

use super::{ALL, CANDIDATES};
use crate::{Context, Error, Result};

/// Pairs that agree alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    /// Which set they are of.
    pub set: usize,
    /// The level of each field; `None` where it is not compared.
    pub levels: Vec<Option<usize>>,
    pub pairs: f64,
}

/// All patterns, in an order that does not depend on that of the rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Patterns {
    pub fields: Vec<String>,
    /// Levels of each field.
    pub levels: Vec<usize>,
    /// Names of the sets but [`CANDIDATES`] and [`ALL`], sorted.
    pub sets: Vec<String>,
    pub patterns: Vec<Pattern>,
    /// Those of the set [`CANDIDATES`].
    pub candidates: Vec<Pattern>,
    /// Pairs that all records make.
    pub all: f64,
}

/// Reads and checks rows of patterns, as [`super::train_linkage`] describes them.
///
/// # Errors
/// [`Error::Usage`] for columns of other types; [`Error::Contract`] for a row without a set or a number of pairs.
pub fn patterns(fields: Vec<String>, batches: &[RecordBatch]) -> Result<Patterns> {
    if fields.is_empty() {
        return Err(Error::Usage(
            "a linkage model learns from the columns set, pairs and one for each field; there is no field"
                .into(),
        ));
    }
    let mut counts: BTreeMap<(String, Vec<Option<usize>>), u64> = BTreeMap::new();
    for batch in batches {
        let sets = cast(batch.column(0), &DataType::Utf8).context("read the set of pairs")?;
        let sets = sets.as_string::<i32>();
        let numbers = (1..batch.num_columns())
            .map(|column| integers(batch, column))
            .collect::<Result<Vec<Int64Array>>>()?;
        for row in 0..batch.num_rows() {
            let at = |column: &Int64Array| column.is_valid(row).then(|| column.value(row));
            let level = |(column, field): (&Int64Array, &String)| match at(column).map(usize::try_from) {
                Some(Err(_)) => Err(Error::Contract(format!(
                    "column `{field}`: a level of agreement is {}; levels count from 0",
                    column.value(row)
                ))),
                level => Ok(level.and_then(std::result::Result::ok)),
            };
            let levels = numbers[1..].iter().zip(&fields).map(level).collect::<Result<Vec<_>>>()?;
            let pairs = at(&numbers[0]).and_then(|pairs| u64::try_from(pairs).ok());
            let (Some(pairs), true) = (pairs, sets.is_valid(row)) else {
                return Err(Error::Contract(
                    "a pattern of agreement has no set, or no number of pairs".into(),
                ));
            };
            *counts.entry((sets.value(row).to_owned(), levels)).or_default() += pairs;
        }
    }
    let all: u64 = counts.iter().filter(|((set, _), _)| set == ALL).map(|(_, pairs)| pairs).sum();
    counts.retain(|(set, _), pairs| set != ALL && *pairs > 0);
    let sets: BTreeSet<&String> =
        counts.keys().map(|(set, _)| set).filter(|set| *set != CANDIDATES).collect();
    let sets: Vec<String> = sets.into_iter().cloned().collect();
    let most = |field: usize| counts.keys().filter_map(|(_, levels)| levels[field]).max().unwrap_or(0);
    let levels = (0..fields.len()).map(|field| most(field).max(1) + 1).collect();
    let (mut patterns, mut candidates) = (Vec::new(), Vec::new());
    for ((set, levels), pairs) in counts {
        let pairs = pairs as f64;
        match sets.iter().position(|known| *known == set) {
            Some(set) => patterns.push(Pattern { set, levels, pairs }),
            None => candidates.push(Pattern { set: sets.len(), levels, pairs }),
        }
    }
    Ok(Patterns { fields, levels, patterns, candidates, sets, all: all as f64 })
}

fn integers(batch: &RecordBatch, column: usize) -> Result<Int64Array> {
    let (schema, values) = (batch.schema(), batch.column(column));
    if !values.data_type().is_integer() && !values.data_type().is_null() {
        return Err(Error::Usage(format!(
            "column `{}` of the patterns of agreement must be an integer, not {}",
            schema.field(column).name(),
            values.data_type()
        )));
    }
    let values = cast(values, &DataType::Int64).context("read the patterns of agreement")?;
    Ok(values.as_primitive::<Int64Type>().clone())
}
