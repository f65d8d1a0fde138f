//! How features are brought into the space that models measure distances in.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::DataType;
use datafusion::common::{Result, plan_err};

use super::kmeans::Transform;
use super::{Fieldwise, one_number_list, one_text_list};
use crate::args::{float_list, text_list};

/// Transform, centre, scale and bound of each of d features.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaling {
    /// The names of the d features, in the order of the vector.
    pub features: Vec<String>,
    /// The transform of each feature.
    pub transforms: Vec<Transform>,
    /// What is subtracted from each transformed feature.
    pub centre: Vec<f64>,
    /// By what each centred feature is divided; above 0.
    pub scale: Vec<f64>,
    /// The bound of the absolute scaled value; above 0.
    pub clip: f64,
}

impl Scaling {
    /// The fields that a model's struct has of its scaling, in order.
    pub(crate) fn fields() -> [(&'static str, DataType); 5] {
        [
            ("features", text_list()),
            ("transforms", text_list()),
            ("centre", float_list()),
            ("scale", float_list()),
            ("clip", DataType::Float64),
        ]
    }

    /// Reads the fields of [`Scaling::fields`].
    pub(super) fn read(fields: &Fieldwise) -> Result<Self> {
        let transforms = fields.texts("transforms")?;
        Ok(Self {
            features: fields.texts("features")?,
            transforms: transforms.iter().map(|name| Transform::parse(name)).collect::<Result<_>>()?,
            centre: fields.numbers("centre")?,
            scale: fields.numbers("scale")?,
            clip: fields.number("clip")?,
        })
    }

    /// One row of each of the columns of [`Scaling::fields`].
    pub(super) fn columns(&self) -> Vec<ArrayRef> {
        let transforms: Vec<String> = self.transforms.iter().map(Transform::to_string).collect();
        vec![
            one_text_list(&self.features),
            one_text_list(&transforms),
            one_number_list(self.centre.iter().copied().map(Some)),
            one_number_list(self.scale.iter().copied().map(Some)),
            Arc::new(Float64Array::from(vec![self.clip])),
        ]
    }

    /// Refuses parts that do not fit together or hold impossible numbers; `kind` names the model.
    pub fn validate(&self, kind: &str) -> Result<()> {
        let d = self.d();
        if d == 0 {
            return plan_err!("a {kind} model needs at least one feature");
        }
        let parts = [
            ("transforms", self.transforms.len()),
            ("centre", self.centre.len()),
            ("scale", self.scale.len()),
        ];
        for (part, length) in parts {
            if length != d {
                return plan_err!("the {kind} model has {d} features, but {length} entries of {part}");
            }
        }
        if !(self.clip > 0.0 && self.clip.is_finite()) {
            return plan_err!("the clip of the {kind} model must be above 0 and finite, not {}", self.clip);
        }
        for (feature, (centre, scale)) in self.features.iter().zip(self.centre.iter().zip(&self.scale)) {
            if !(*scale > 0.0 && scale.is_finite() && centre.is_finite()) {
                return plan_err!(
                    "feature '{feature}' of the {kind} model has centre {centre} and scale {scale}"
                );
            }
        }
        Ok(())
    }

    /// The number of features.
    pub fn d(&self) -> usize {
        self.features.len()
    }

    /// The scaled value of one feature: `clamp((t(x) - centre) / scale, -clip, clip)`; 0 for a missing value,
    /// which NaN is too.
    #[inline]
    pub fn scale_value(&self, feature: usize, value: Option<f64>) -> f64 {
        match value {
            Some(x) if !x.is_nan() => {
                let centred = self.transforms[feature].apply(x) - self.centre[feature];
                (centred / self.scale[feature]).clamp(-self.clip, self.clip)
            }
            _ => 0.0,
        }
    }
}
