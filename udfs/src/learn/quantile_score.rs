//! `quantile_score`: the rank of a value among frozen cut points.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Float64Array, Int32Array, new_null_array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::args::{TextArgument, column, constant, evaluate, expect_arity, float_type, text_type};
use crate::model::{ReferenceModel, model_argument_type, reference_model_type};

#[user_doc(
    doc_section(label = "Models"),
    description = "The score of a value among the frozen cut points of a column: 1, and one more for each cut point strictly below the value, so 1 to 5 with the four quintile cuts. Equal values get equal scores. NULL for NULL, NaN and a column whose reference population had no value; an unknown column is an error.",
    syntax_example = "quantile_score(value, model, column)",
    sql_example = "```sql\nselect 6 - quantile_score(recency_days, $rfm_reference, 'recency_days') as r from rfm;\n```",
    argument(name = "value", description = "Any number."),
    argument(name = "model", description = "A reference model, constant; NULL gives NULL."),
    argument(name = "column", description = "The name of one of the model's columns."),
    related_udf(name = "reference_mean")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct QuantileScore {
    signature: Signature,
}

impl Default for QuantileScore {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for QuantileScore {
    fn name(&self) -> &str {
        "quantile_score"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["value", "model", "column"])?;
        Ok(vec![
            float_type(self.name(), "value", &types[0])?,
            model_argument_type(self.name(), &types[1], &reference_model_type())?,
            text_type(self.name(), "column", &types[2])?,
        ])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int32)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let model = constant(self.name(), "model", &args, 1)?;
        let columns = TextArgument::read(&args, 2)?;
        evaluate(&args, |rows| {
            if model.is_null() {
                return Ok(new_null_array(&DataType::Int32, rows));
            }
            let array = column(&args, 0, rows)?;
            let Some(values) = array.as_primitive_opt::<Float64Type>() else {
                return internal_err!("quantile_score: expected Float64, found {}", array.data_type());
            };
            Ok(Arc::new(scores(values, &ReferenceModel::from_scalar(model)?, &columns)?))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn scores(values: &Float64Array, model: &ReferenceModel, columns: &TextArgument) -> Result<Int32Array> {
    if let TextArgument::Constant(name) = columns {
        let column = name.as_deref().map(|name| model.column(name)).transpose()?;
        return Ok(values.iter().map(|value| model.score(column?, value?)).collect());
    }
    let mut scores = Int32Array::builder(values.len());
    for (row, value) in values.iter().enumerate() {
        let column = columns.get(row).map(|name| model.column(name)).transpose()?;
        scores.append_option(column.zip(value).and_then(|(column, value)| model.score(column, value)));
    }
    Ok(scores.finish())
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;

    use super::*;

    fn model() -> ReferenceModel {
        ReferenceModel {
            columns: vec!["a".into(), "b".into()],
            quantiles: vec![0.25, 0.75],
            cuts: vec![Some(1.0), Some(3.0), None, None],
            means: vec![Some(2.0), None],
            shares: vec![0.0; 8],
        }
    }

    #[test]
    fn constant_and_varying_columns() {
        let values = Float64Array::from(vec![Some(1.0), None, Some(2.0), Some(f64::NAN), Some(9.0)]);
        let a = TextArgument::Constant(Some("a".into()));
        let expected = Int32Array::from(vec![Some(1), None, Some(2), None, Some(3)]);
        assert_eq!(scores(&values, &model(), &a).unwrap(), expected);
        assert_eq!(scores(&values.slice(2, 3), &model(), &a).unwrap(), expected.slice(2, 3));
        let columns = StringArray::from(vec![Some("a"), Some("a"), None, Some("a"), Some("b")]);
        let varying = scores(&values, &model(), &TextArgument::Column(columns)).unwrap();
        assert_eq!(varying, Int32Array::from(vec![Some(1), None, None, None, None]));
        assert_eq!(scores(&values, &model(), &TextArgument::Constant(None)).unwrap().null_count(), 5);
    }

    #[test]
    fn an_unknown_column_is_an_error() {
        let unknown = TextArgument::Constant(Some("c".into()));
        assert!(scores(&Float64Array::from(vec![1.0]), &model(), &unknown).is_err());
    }
}
