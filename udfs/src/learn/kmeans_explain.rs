//! `kmeans_explain`: which features decided between the nearest segment and the next.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, Float64Builder, ListArray, NullBufferBuilder, StringBuilder, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::{VectorModel, each_scaled, of_vectors, vector_and_model};
use crate::args::nullable_fields;
use crate::model::KmeansModel;

static FIELDS: LazyLock<Fields> =
    LazyLock::new(|| nullable_fields(&[("feature", DataType::Utf8), ("contribution", DataType::Float64)]));

/// The type of an explanation: a list of structs of `feature` and `contribution`.
pub fn explanation_type() -> DataType {
    DataType::List(item_field())
}

fn item_field() -> Arc<Field> {
    Arc::new(Field::new_list_field(DataType::Struct(FIELDS.clone()), true))
}

#[user_doc(
    doc_section(label = "Models"),
    description = "How much each feature speaks for the nearest segment: the feature's share of the squared distance to the runner-up minus that to the nearest, in scaled space, largest first, ties in the order of the features. By definition the contributions sum to that difference. NULL when the model has one segment.",
    syntax_example = "kmeans_explain(vector, model)",
    sql_example = "```sql\nselect kmeans_explain([recency, frequency, monetary], $behaviour_model)[1]['feature'] from features;\n```",
    argument(
        name = "vector",
        description = "A list of numbers in the order of the model's features; NULL gives NULL."
    ),
    argument(name = "model", description = "A k-means model, constant; NULL gives NULL."),
    related_udf(name = "kmeans_assign")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct KmeansExplain {
    signature: Signature,
}

impl Default for KmeansExplain {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for KmeansExplain {
    fn name(&self) -> &str {
        "kmeans_explain"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        vector_and_model::<KmeansModel>(self.name(), types)
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

/// The contributions of the features of each vector; the result is of [`explanation_type`].
pub fn explain(vectors: &ListArray, model: &KmeansModel) -> Result<ListArray> {
    explanations(vectors, model, |scaled, shares| {
        if let (winner, _, Some((runner_up, _))) = model.nearest_two(scaled) {
            shares_into(scaled, model.centroid(winner), model.centroid(runner_up), shares);
        }
    })
}

/// What `contributions` finds for each vector, largest first, ties in the order of the features; NULL for no pairs.
pub(super) fn explanations<M: VectorModel>(
    vectors: &ListArray,
    model: &M,
    contributions: impl Fn(&[f64], &mut Vec<(usize, f64)>),
) -> Result<ListArray> {
    let (mut names, mut values) = (StringBuilder::new(), Float64Builder::new());
    let mut nulls = NullBufferBuilder::new(vectors.len());
    let mut lengths = Vec::with_capacity(vectors.len());
    let features = &model.scaling().features;
    let mut shares: Vec<(usize, f64)> = Vec::with_capacity(features.len());
    each_scaled(vectors, model, |scaled| {
        shares.clear();
        if let Some(scaled) = scaled {
            contributions(scaled, &mut shares);
        }
        // stable, so that ties stay in the order of the features
        shares.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap_or(std::cmp::Ordering::Equal));
        for (feature, share) in &shares {
            names.append_value(&features[*feature]);
            values.append_value(*share);
        }
        nulls.append(!shares.is_empty());
        lengths.push(shares.len());
    })?;
    let items = StructArray::try_new(
        FIELDS.clone(),
        vec![Arc::new(names.finish()), Arc::new(values.finish())],
        None,
    )?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(ListArray::try_new(item_field(), offsets, Arc::new(items), nulls.finish())?)
}

/// Each feature's share of the squared distance to `far` minus that to `near`.
pub(super) fn shares_into(scaled: &[f64], near: &[f64], far: &[f64], shares: &mut Vec<(usize, f64)>) {
    let squares = scaled.iter().zip(near.iter().zip(far));
    shares
        .extend(squares.map(|(x, (near, far))| (x - far) * (x - far) - (x - near) * (x - near)).enumerate());
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Float64Type;

    use super::super::kmeans_assign::tests::{model, one_segment, vectors};
    use super::*;

    fn explanation(list: &ListArray, row: usize) -> Vec<(String, f64)> {
        let items = list.value(row);
        let items = items.as_struct();
        let features = items.column(0).as_string::<i32>();
        let contributions = items.column(1).as_primitive::<Float64Type>();
        (0..items.len()).map(|i| (features.value(i).to_string(), contributions.value(i))).collect()
    }

    #[test]
    fn contributions_sum_to_the_difference() {
        let rows = vectors(vec![
            Some(vec![Some(1.0), Some(2.0)]),
            None,
            Some(vec![Some(3.0), Some(8.0)]),
            Some(vec![Some(1.5), None]),
        ]);
        let result = explain(&rows, &model()).unwrap();
        assert_eq!(explanation(&result, 0), [("y".to_string(), 8.0), ("x".to_string(), 3.0)]);
        assert!(result.is_null(1));
        assert_eq!(explanation(&result, 2), [("y".to_string(), 16.0), ("x".to_string(), 9.0)]);
        assert_eq!(explanation(&result, 3), [("y".to_string(), 16.0), ("x".to_string(), 0.0)]);
        for (row, scaled) in [(0, [1.0, 1.0]), (2, [3.0, 4.0])] {
            let (_, near, far) = model().nearest_two(&scaled);
            let sum: f64 = explanation(&result, row).iter().map(|(_, share)| share).sum();
            assert_eq!(sum, far.unwrap().1 - near);
        }
        assert_eq!(explanation(&explain(&rows.slice(2, 1), &model()).unwrap(), 0), explanation(&result, 2));
    }

    #[test]
    fn ties_keep_the_order_of_the_features_and_one_segment_gives_null() {
        let mut tied = model();
        tied.centroids = vec![0.0, 0.0, 2.0, 2.0, 9.0, 9.0];
        let result = explain(&vectors(vec![Some(vec![Some(0.0), Some(0.0)])]), &tied).unwrap();
        assert_eq!(explanation(&result, 0), [("x".to_string(), 4.0), ("y".to_string(), 4.0)]);
        let one = explain(&vectors(vec![Some(vec![Some(0.0), Some(0.0)])]), &one_segment()).unwrap();
        assert!(one.is_null(0));
    }
}
