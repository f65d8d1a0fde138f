//! `density_explain`: which features decided the dense segment of a vector.

use std::sync::Arc;

use arrow::array::ListArray;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::kmeans_explain::{explanation_type, explanations, shares_into};
use super::{of_vectors, vector_and_model};
use crate::model::{CorePoints, DensityModel, on_grid};

#[user_doc(
    doc_section(label = "Models"),
    description = "How much each feature speaks for what density_assign says: a list of structs of `feature` and `contribution`, largest first, ties in the order of the features. For a member of a segment it is the feature's share of the squared distance to the nearest core point of the runner-up minus that to the nearest core point, in scaled space; by definition the contributions sum to that difference. NULL for a member when the model has one segment. For noise it is the feature's share of the squared distance to the nearest core point, to which the contributions sum.",
    syntax_example = "density_explain(vector, model)",
    sql_example = "```sql\nselect density_explain([recency, frequency, monetary], $dense_model)[1]['feature'] from features;\n```",
    argument(
        name = "vector",
        description = "A list of numbers in the order of the model's features; NULL gives NULL."
    ),
    argument(name = "model", description = "A density model (`kind: hdbscan`), constant; NULL gives NULL."),
    related_udf(name = "density_assign")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct DensityExplain {
    signature: Signature,
}

impl Default for DensityExplain {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for DensityExplain {
    fn name(&self) -> &str {
        "density_explain"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        vector_and_model::<DensityModel>(self.name(), types)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(explanation_type())
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        of_vectors(self.name(), &args, |vectors, model| Ok(Arc::new(explain(vectors, model)?)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn explain(vectors: &ListArray, model: &DensityModel) -> Result<ListArray> {
    let core = CorePoints::new(model);
    explanations(vectors, model, |scaled, shares| {
        let scaled: Vec<f64> = scaled.iter().copied().map(on_grid).collect();
        let nearest = core.nearest(&scaled);
        let near = model.point(nearest.point);
        if !model.covers(nearest.point, nearest.squared) {
            // Noise is nowhere but where it is itself.
            shares_into(&scaled, &scaled, near, shares);
        } else if let Some((other, _)) = nearest.other {
            shares_into(&scaled, near, model.point(other), shares);
        }
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::Float64Type;

    use super::super::kmeans_assign::tests::vectors;
    use super::*;
    use crate::model::density_tests::{model, one_segment};

    fn explanation(list: &ListArray, row: usize) -> Vec<(String, f64)> {
        let items = list.value(row);
        let items = items.as_struct();
        let features = items.column(0).as_string::<i32>();
        let contributions = items.column(1).as_primitive::<Float64Type>();
        (0..items.len()).map(|i| (features.value(i).to_string(), contributions.value(i))).collect()
    }

    #[test]
    fn contributions_sum_to_the_difference() {
        let scaled = [[4.5, 1.0], [1.0, 8.0], [8.0, 3.0]];
        let mut rows: Vec<_> =
            scaled.iter().map(|row| Some(row.iter().copied().map(Some).collect())).collect();
        rows.push(None);
        let result = explain(&vectors(rows), &model()).unwrap();
        // (4.5, 1) is near (4, 0) and has (0, 10) as the nearest of the other segment: x 20.25 - .25, y 81 - 1.
        assert_eq!(explanation(&result, 0), [("y".to_string(), 80.0), ("x".to_string(), 20.0)]);
        assert_eq!(explanation(&result, 1), [("y".to_string(), 60.0), ("x".to_string(), 0.0)]);
        // Noise beside (8, 0).
        assert_eq!(explanation(&result, 2), [("y".to_string(), 9.0), ("x".to_string(), 0.0)]);
        assert!(result.is_null(3));
        let model = model();
        let core = CorePoints::new(&model);
        for (row, scaled) in scaled.iter().enumerate() {
            let nearest = core.nearest(scaled);
            let member = model.covers(nearest.point, nearest.squared);
            let expected = if member { nearest.other.unwrap().1 - nearest.squared } else { nearest.squared };
            let sum: f64 = explanation(&result, row).iter().map(|(_, share)| share).sum();
            assert_eq!(sum, expected);
        }
    }

    #[test]
    fn a_member_of_the_only_segment_has_nothing_to_explain() {
        let rows = vectors(vec![Some(vec![Some(0.0), Some(0.0)]), Some(vec![Some(0.0), Some(5.0)])]);
        let result = explain(&rows, &one_segment()).unwrap();
        assert!(result.is_null(0));
        assert_eq!(explanation(&result, 1)[0], ("y".to_string(), 25.0));
    }
}
