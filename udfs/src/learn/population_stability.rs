//! `population_stability`: how far counts have moved away from the shares that were expected.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Float64Builder};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::args::{evaluate, expect_arity, list_column, vector_type};

/// A share below this counts as this: an empty bin says much, but not everything.
const LEAST_SHARE: f64 = 1e-4;

#[user_doc(
    doc_section(label = "Models"),
    description = "The population stability index: the sum over bins of (actual - expected) * ln(actual / expected) of the shares, where a share below .0001 counts as .0001. Below .1 a population is called stable, from .25 on it has moved. NULL where nothing is counted.",
    syntax_example = "population_stability(shares, counts)",
    sql_example = "```sql\nselect population_stability([.5, .5], [60, 40]);\n```",
    argument(name = "shares", description = "A list of the expected share of each bin."),
    argument(name = "counts", description = "A list of the rows counted in each bin, of the same length.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PopulationStability {
    signature: Signature,
}

impl Default for PopulationStability {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for PopulationStability {
    fn name(&self) -> &str {
        "population_stability"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["shares", "counts"])?;
        Ok(vec![
            vector_type(self.name(), "shares", &types[0])?,
            vector_type(self.name(), "counts", &types[1])?,
        ])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&args, |rows| {
            let (shares, counts) = (list_column(&args, 0, rows)?, list_column(&args, 1, rows)?);
            let mut indices = Float64Builder::with_capacity(rows);
            for row in 0..rows {
                if shares.is_null(row) || counts.is_null(row) {
                    indices.append_null();
                    continue;
                }
                let (shares, counts) = (shares.value(row), counts.value(row));
                let (Some(shares), Some(counts)) =
                    (shares.as_primitive_opt::<Float64Type>(), counts.as_primitive_opt::<Float64Type>())
                else {
                    return internal_err!("expected lists of Float64");
                };
                if shares.len() != counts.len() || shares.null_count() + counts.null_count() > 0 {
                    return exec_err!(
                        "population_stability: {} shares and {} counts; give as many of both, without NULL",
                        shares.len(),
                        counts.len()
                    );
                }
                indices.append_option(population_stability(shares.values(), counts.values()));
            }
            Ok(Arc::new(indices.finish()))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// The index of counts beside expected shares, an entry a bin each; `None` when nothing is counted.
pub fn population_stability(shares: &[f64], counts: &[f64]) -> Option<f64> {
    let all: f64 = counts.iter().sum();
    let of_bin = |(expected, count): (&f64, &f64)| {
        let (expected, actual) = (expected.max(LEAST_SHARE), (count / all).max(LEAST_SHARE));
        (actual - expected) * libm::log(actual / expected)
    };
    (all > 0.0).then(|| shares.iter().zip(counts).map(of_bin).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // .1 ln 1.2 + .1 ln 1.25
        let index = population_stability(&[0.5, 0.5], &[60.0, 40.0]).unwrap();
        assert!((index - 0.040_546_510_810_816_44).abs() < 1e-15, "{index}");
        assert_eq!(population_stability(&[0.5, 0.5], &[7.0, 7.0]), Some(0.0));
        assert_eq!(population_stability(&[0.5, 0.5], &[0.0, 0.0]), None);
        // (1 - .5) ln 2 + (.0001 - .5) ln .0002
        let emptied = population_stability(&[0.5, 0.5], &[9.0, 0.0]).unwrap();
        assert!((emptied - 4.604_318_6).abs() < 1e-6, "{emptied}");
    }
}
