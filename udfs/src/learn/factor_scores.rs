//! `factor_scores`: where a vector lies on each factor.

use std::sync::Arc;

use arrow::array::{Array, Float64Builder, ListArray, ListBuilder};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::{each_scaled, of_vectors, vector_and_model};
use crate::args::float_list;
use crate::model::FactorScorer;

#[user_doc(
    doc_section(label = "Models"),
    description = "The scores of a vector on the factors of a model, a list of one number each. Principal components without rotation: the projection on each component, whose variance is the component's eigenvalue, so that distances between rows are kept as far as the components explain them. Rotated components: standardised scores, uncorrelated and of variance 1. Factors: the expected factor of such a row (the regression method). NULL or NaN entries count as the feature's centre. A vector of another length than the model's features is an error.",
    syntax_example = "factor_scores(vector, model)",
    sql_example = "```sql\nselect factor_scores([recency, frequency, monetary], $behaviour_factors)[1] from features;\n```",
    argument(
        name = "vector",
        description = "A list of numbers in the order of the model's features; NULL gives NULL."
    ),
    argument(name = "model", description = "A factors model, constant; NULL gives NULL.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct FactorScores {
    signature: Signature,
}

impl Default for FactorScores {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for FactorScores {
    fn name(&self) -> &str {
        "factor_scores"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        vector_and_model::<FactorScorer>(self.name(), types)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(float_list())
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        of_vectors(self.name(), &args, |vectors, model| Ok(Arc::new(score(vectors, model)?)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// The scores of each vector (a list of d Float64): lists of m Float64.
fn score(vectors: &ListArray, model: &FactorScorer) -> Result<ListArray> {
    let values = Float64Builder::with_capacity(vectors.len() * model.m());
    let mut scores = ListBuilder::with_capacity(values, vectors.len());
    each_scaled(vectors, model, |prepared| {
        if let Some(prepared) = prepared {
            model.scores(prepared).for_each(|score| scores.values().append_value(score));
        }
        scores.append(prepared.is_some());
    })?;
    Ok(scores.finish())
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Float64Type;

    use super::*;
    use crate::learn::kmeans_assign::tests::vectors;
    use crate::model::factors::tests::model;

    #[test]
    fn a_list_each_row() {
        // prepared: (x - 10) / 5 and (log1p(x) - 1) / 2, clipped at 3; means .5 and 0; weights 1, 2 and -1, 0
        let rows = vectors(vec![
            Some(vec![Some(12.5), Some(0.0)]),
            None,
            Some(vec![Some(1e12), None]),
            Some(vec![Some(f64::NAN), Some(f64::INFINITY)]),
        ]);
        let scores = score(&rows, &model().scorer).unwrap();
        assert_eq!(scores.data_type(), &float_list());
        let of = |row: usize| scores.value(row).as_primitive::<Float64Type>().values().to_vec();
        assert_eq!(of(0), [-1.0, 0.0]);
        assert!(scores.is_null(1));
        assert_eq!(of(2), [2.5, -2.5]);
        assert_eq!(of(3), [5.5, 0.5]);
        let part = score(&rows.slice(2, 1), &model().scorer).unwrap();
        assert_eq!(part.value(0).as_primitive::<Float64Type>().values().to_vec(), of(2));
        let short = score(&vectors(vec![Some(vec![Some(1.0)])]), &model().scorer).unwrap_err().to_string();
        assert!(short.contains("1 entries") && short.contains("orders, spend"), "{short}");
    }
}
