//! `match_weights`: what each compared field says for or against two records being one person's.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Builder, ListArray, ListBuilder, NullBufferBuilder, StructArray,
    new_null_array,
};
use arrow::datatypes::{DataType, Field, Fields, Float64Type, Int32Type};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::args::{constant, evaluate, expect_arity, float_list, list_column, nullable_fields, vector_type};
use crate::model::{LinkageModel, MatchWeights, linkage_model_type, model_argument_type};

#[user_doc(
    doc_section(label = "Models"),
    description = "The weights of a pair of records by the model of Fellegi and Sunter (1969), in bits: a struct of `total`, the log2 odds that the two are one person's, and of the lists `against_strangers` and `against_household`. Each list holds the log2 odds before anything is compared, then for each field the log2 of how much more often its level of agreement occurs among records of one person than among those of two strangers, or of two members of a household. The odds against both together are `total`; `against_household` is empty where the model knows no households.",
    syntax_example = "match_weights(levels, chances, model)",
    sql_example = "```sql\nselect match_weights([name, phone], [name_share, null], $link_model)['total'] from identity.levels;\n```",
    argument(
        name = "levels",
        description = "List of integers: the level of agreement of each of the model's fields, from 0; NULL where they cannot be compared, which weighs nothing."
    ),
    argument(
        name = "chances",
        description = "List of numbers: the share of records that have the value on which both agree, which then takes the place of how often the field agrees by chance, and within a household of how often it agrees there if that is less; NULL where both are to stay."
    ),
    argument(name = "model", description = "A linkage model, constant; NULL gives NULL.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct MatchWeightsFunction {
    signature: Signature,
}

impl Default for MatchWeightsFunction {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

/// The fields of the result.
fn weight_fields() -> Fields {
    nullable_fields(&[
        ("total", DataType::Float64),
        ("against_strangers", float_list()),
        ("against_household", float_list()),
    ])
}

/// A list of nullable Int32, item field named `item`.
fn level_list() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Int32, true)))
}

impl ScalarUDFImpl for MatchWeightsFunction {
    fn name(&self) -> &str {
        "match_weights"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        expect_arity(self.name(), types, &["levels", "chances", "model"])?;
        let levels = match &types[0] {
            DataType::Null => level_list(),
            DataType::List(item) if item.data_type().is_integer() || item.data_type().is_null() => {
                level_list()
            }
            other => {
                return plan_err!("match_weights: argument levels must be a list of integers, not {other}");
            }
        };
        Ok(vec![
            levels,
            vector_type(self.name(), "chances", &types[1])?,
            model_argument_type(self.name(), &types[2], &linkage_model_type())?,
        ])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(weight_fields()))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let model = constant(self.name(), "model", &args, 2)?;
        evaluate(&args, |rows| {
            if model.is_null() {
                return Ok(new_null_array(&DataType::Struct(weight_fields()), rows));
            }
            let (levels, chances) = (list_column(&args, 0, rows)?, list_column(&args, 1, rows)?);
            weights(&LinkageModel::from_scalar(model)?, &levels, &chances)
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn weights(model: &LinkageModel, levels: &ListArray, chances: &ListArray) -> Result<ArrayRef> {
    let (Some(level), Some(chance)) =
        (levels.values().as_primitive_opt::<Int32Type>(), chances.values().as_primitive_opt::<Float64Type>())
    else {
        return internal_err!("match_weights reads lists of Int32 and Float64");
    };
    let mut totals = Float64Builder::with_capacity(levels.len());
    let mut lists = [ListBuilder::new(Float64Builder::new()), ListBuilder::new(Float64Builder::new())];
    let mut valid = NullBufferBuilder::new(levels.len());
    let (mut of_row, mut chances_of_row, mut weights) = (Vec::new(), Vec::new(), MatchWeights::default());
    let weigher = model.weigher();
    for row in 0..levels.len() {
        valid.append(levels.is_valid(row) && chances.is_valid(row));
        if levels.is_null(row) || chances.is_null(row) {
            totals.append_null();
            lists.iter_mut().for_each(ListBuilder::append_null);
            continue;
        }
        let range = |list: &ListArray| {
            let first = list.value_offsets()[row] as usize;
            first..first + list.value_length(row) as usize
        };
        of_row.clear();
        of_row.extend(range(levels).map(|at| level.is_valid(at).then(|| level.value(at))));
        chances_of_row.clear();
        chances_of_row.extend(range(chances).map(|at| chance.is_valid(at).then(|| chance.value(at))));
        weigher.weigh(&of_row, &chances_of_row, &mut weights)?;
        totals.append_value(weights.total);
        for (list, values) in lists.iter_mut().zip([&weights.against_strangers, &weights.against_household]) {
            list.values().append_slice(values);
            list.append(true);
        }
    }
    let [mut strangers, mut household] = lists;
    let columns: Vec<ArrayRef> =
        vec![Arc::new(totals.finish()), Arc::new(strangers.finish()), Arc::new(household.finish())];
    Ok(Arc::new(StructArray::try_new(weight_fields(), columns, valid.finish())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_every_row() {
        let model = LinkageModel {
            fields: vec!["name".into(), "phone".into()],
            levels: vec![2, 2],
            m: vec![0.25, 0.75, 0.5, 0.5],
            u: vec![0.5, 0.5, 0.75, 0.25],
            h: vec![0.5, 0.5, 0.5, 0.5],
            prior: 0.2,
            household_prior: 0.0,
        };
        let levels = ListArray::from_iter_primitive::<Int32Type, _, _>([
            Some(vec![Some(0), Some(1)]),
            Some(vec![None, Some(1)]),
            None,
        ]);
        let chances = ListArray::from_iter_primitive::<Float64Type, _, _>([
            Some(vec![Some(0.1), None]),
            Some(vec![None, Some(0.125)]),
            Some(vec![None, None]),
        ]);
        let found = weights(&model, &levels, &chances).unwrap();
        let found = found.as_struct();
        assert_eq!(found.null_count(), 1);
        let totals: Vec<_> = found.column(0).as_primitive::<Float64Type>().iter().collect();
        assert_eq!(totals, [Some(-2.0), Some(0.0), None]);
        let expected = ListArray::from_iter_primitive::<Float64Type, _, _>([
            Some(vec![Some(-2.0), Some(-1.0), Some(1.0)]),
            Some(vec![Some(-2.0), Some(0.0), Some(2.0)]),
            None,
        ]);
        assert_eq!(found.column(1).as_list::<i32>(), &expected);
        assert_eq!(found.column(2).as_list::<i32>().value(0).len(), 0);
        let short = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(0)])]);
        let error = weights(&model, &short, &chances.slice(0, 1)).unwrap_err().to_string();
        assert!(error.contains("1 levels and 2 chances were given"), "{error}");
    }
}
