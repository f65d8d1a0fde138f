//! `reference_mean`: the mean of a column in the reference population.

use std::sync::Arc;

use arrow::array::{Float64Array, new_null_array};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::args::{TextArgument, constant, evaluate, expect_arity, text_type};
use crate::model::{ReferenceModel, model_argument_type, reference_model_type};

#[user_doc(
    doc_section(label = "Models"),
    description = "The mean of a column in the reference population of a model. NULL when that population had no value; an unknown column is an error.",
    syntax_example = "reference_mean(model, column)",
    argument(name = "model", description = "A reference model, constant; NULL gives NULL."),
    argument(name = "column", description = "The name of one of the model's columns; NULL gives NULL."),
    related_udf(name = "quantile_score")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ReferenceMean {
    signature: Signature,
}

impl Default for ReferenceMean {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ReferenceMean {
    fn name(&self) -> &str {
        "reference_mean"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["model", "column"])?;
        Ok(vec![
            model_argument_type(self.name(), &types[0], &reference_model_type())?,
            text_type(self.name(), "column", &types[1])?,
        ])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let model = constant(self.name(), "model", &args, 0)?;
        let columns = TextArgument::read(&args, 1)?;
        evaluate(&args, |rows| {
            if model.is_null() {
                return Ok(new_null_array(&DataType::Float64, rows));
            }
            Ok(Arc::new(means(rows, &ReferenceModel::from_scalar(model)?, &columns)?))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn means(rows: usize, model: &ReferenceModel, columns: &TextArgument) -> Result<Float64Array> {
    (0..rows)
        .map(|row| columns.get(row).map(|name| Ok(model.means[model.column(name)?])).transpose())
        .map(|mean| mean.map(Option::flatten))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_of_known_columns_only() {
        let model = ReferenceModel {
            columns: vec!["a".into(), "b".into()],
            quantiles: vec![],
            cuts: vec![],
            means: vec![Some(2.0), None],
            shares: vec![0.0; 4],
        };
        let mean = |name: Option<&str>| means(1, &model, &TextArgument::Constant(name.map(str::to_string)));
        assert_eq!(mean(Some("a")).unwrap(), Float64Array::from(vec![2.0]));
        assert_eq!(mean(Some("b")).unwrap(), Float64Array::from(vec![None]));
        assert_eq!(mean(None).unwrap(), Float64Array::from(vec![None]));
        assert!(mean(Some("c")).is_err());
    }
}
