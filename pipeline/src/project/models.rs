//! The models that a run uses, as the parameter `$models`: a list of structs, see [`models_type`].

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, Float64Array, ListArray, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use datafusion::scalar::ScalarValue;

use super::{Kind, Refit, Stage};

/// The parameter that holds the models of a run.
pub const MODELS: &str = "models";

/// A model that a run uses, and when it was trained.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelUse {
    /// The name of its parameter.
    pub model: String,
    /// The `kind` of its stage.
    pub kind: String,
    pub refit: Refit,
    /// The population stability index beyond which it is retrained, where the stage may tell.
    pub max_drift: Option<f64>,
    /// The move of a mean, as a share of its value, beyond which it is retrained; of references only.
    pub max_move: Option<f64>,
    /// The `as_of` of the run that trained it, µs since 1970 UTC.
    pub trained_as_of: Option<i64>,
    /// The same of the model whose segment ids it continues.
    pub follows_as_of: Option<i64>,
}

impl ModelUse {
    /// The model of a stage; `None` for a stage without one.
    pub fn of(stage: &Stage, trained_as_of: Option<i64>, follows_as_of: Option<i64>) -> Option<ModelUse> {
        let Kind::Model { trainer, refit } = &stage.kind else { return None };
        Some(ModelUse {
            model: stage.stem.clone(),
            kind: trainer.kind().into(),
            refit: *refit,
            max_drift: trainer.max_drift(),
            max_move: trainer.max_move(),
            trained_as_of,
            follows_as_of,
        })
    }
}

static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    let instant = DataType::Timestamp(TimeUnit::Microsecond, None);
    Fields::from(vec![
        Field::new("model", DataType::Utf8, true),
        Field::new("kind", DataType::Utf8, true),
        Field::new("refit", DataType::Utf8, true),
        Field::new("max_drift", DataType::Float64, true),
        Field::new("max_move", DataType::Float64, true),
        Field::new("trained_as_of", instant.clone(), true),
        Field::new("follows_as_of", instant, true),
    ])
});

/// The type of `$models`: a list of structs of `model`, `kind`, `refit`, `max_drift`, `max_move`, `trained_as_of` and
/// `follows_as_of`; [`ModelUse`] says what they mean.
pub fn models_type() -> DataType {
    DataType::new_list(DataType::Struct(FIELDS.clone()), true)
}

/// Models as one value of [`models_type`], in their order.
pub fn models_value(models: &[ModelUse]) -> ScalarValue {
    let text =
        |of: fn(&ModelUse) -> &str| Arc::new(models.iter().map(|m| Some(of(m))).collect::<StringArray>());
    let number = |of: fn(&ModelUse) -> Option<f64>| Arc::new(models.iter().map(of).collect::<Float64Array>());
    let instant = |of: fn(&ModelUse) -> Option<i64>| {
        Arc::new(models.iter().map(of).collect::<TimestampMicrosecondArray>())
    };
    let columns: Vec<ArrayRef> = vec![
        text(|m| &m.model),
        text(|m| &m.kind),
        text(|m| m.refit.word()),
        number(|m| m.max_drift),
        number(|m| m.max_move),
        instant(|m| m.trained_as_of),
        instant(|m| m.follows_as_of),
    ];
    let rows = StructArray::new(FIELDS.clone(), columns, None);
    let element = Arc::new(Field::new_list_field(rows.data_type().clone(), true));
    let list = ListArray::new(element, OffsetBuffer::from_lengths([models.len()]), Arc::new(rows), None);
    ScalarValue::List(Arc::new(list))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_one_typed_value() {
        let model = ModelUse {
            model: "m".into(),
            kind: "reference".into(),
            refit: Refit::Drifted,
            max_drift: Some(0.25),
            max_move: None,
            trained_as_of: Some(1),
            follows_as_of: None,
        };
        for models in [vec![], vec![model.clone()], vec![model.clone(), model]] {
            let value = models_value(&models);
            assert_eq!(value.data_type(), models_type());
            let ScalarValue::List(list) = value else { panic!("no list") };
            assert_eq!(list.value(0).len(), models.len());
        }
    }
}
