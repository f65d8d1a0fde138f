//! The k-means model: how features are scaled and where the centroids lie.

use std::fmt::{Display, Formatter};
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};

use super::{Fieldwise, one_number_list, one_struct, one_text_list};
use crate::args::{float_list, nullable_fields, text_list};

static MODEL_TYPE: LazyLock<DataType> = LazyLock::new(|| {
    DataType::Struct(nullable_fields(&[
        ("features", text_list()),
        ("transforms", text_list()),
        ("centre", float_list()),
        ("scale", float_list()),
        ("clip", DataType::Float64),
        ("centroids", float_list()),
        ("names", text_list()),
    ]))
});

/// The Arrow type of a k-means model: a struct of `features`, `transforms`, `centre`, `scale` (a list entry
/// each feature), `clip`, `centroids` (k times d numbers, centroid by centroid) and `names` (k).
pub fn kmeans_model_type() -> DataType {
    MODEL_TYPE.clone()
}

/// What is done to a feature before it is centred and scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transform {
    /// Nothing.
    None,
    /// `log1p(max(x, -1))`, for counts and money.
    Log1p,
}

impl Transform {
    /// The transform of this name, `none` or `log1p`.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "none" => Ok(Self::None),
            "log1p" => Ok(Self::Log1p),
            other => plan_err!("transform '{other}' is not known; use none or log1p"),
        }
    }

    /// The transformed value.
    #[inline]
    pub fn apply(self, x: f64) -> f64 {
        match self {
            Self::None => x,
            Self::Log1p => libm::log1p(x.max(-1.0)),
        }
    }
}

impl Display for Transform {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Log1p => "log1p",
        })
    }
}

/// A fitted k-means model over d features with k segments.
#[derive(Debug, Clone, PartialEq)]
pub struct KmeansModel {
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
    /// k times d numbers in scaled space, centroid by centroid.
    pub centroids: Vec<f64>,
    /// The names of the k segments.
    pub names: Vec<String>,
}

impl KmeansModel {
    /// Parses and checks a struct of [`kmeans_model_type`].
    pub fn from_scalar(value: &ScalarValue) -> Result<Self> {
        let fields = Fieldwise::of("k-means", value)?;
        let transforms = fields.texts("transforms")?;
        let model = Self {
            features: fields.texts("features")?,
            transforms: transforms.iter().map(|name| Transform::parse(name)).collect::<Result<_>>()?,
            centre: fields.numbers("centre")?,
            scale: fields.numbers("scale")?,
            clip: fields.number("clip")?,
            centroids: fields.numbers("centroids")?,
            names: fields.texts("names")?,
        };
        model.validate()?;
        Ok(model)
    }

    /// The model as a struct of [`kmeans_model_type`].
    pub fn to_scalar(&self) -> ScalarValue {
        let transforms: Vec<String> = self.transforms.iter().map(Transform::to_string).collect();
        let columns: Vec<ArrayRef> = vec![
            one_text_list(&self.features),
            one_text_list(&transforms),
            one_number_list(self.centre.iter().copied().map(Some)),
            one_number_list(self.scale.iter().copied().map(Some)),
            Arc::new(Float64Array::from(vec![self.clip])),
            one_number_list(self.centroids.iter().copied().map(Some)),
            one_text_list(&self.names),
        ];
        one_struct(&MODEL_TYPE, columns)
    }

    /// Refuses a model whose parts do not fit together or hold impossible numbers.
    pub fn validate(&self) -> Result<()> {
        let (d, k) = (self.features.len(), self.names.len());
        if d == 0 || k == 0 {
            return plan_err!("a k-means model needs at least one feature and one segment");
        }
        let parts = [
            ("transforms", self.transforms.len()),
            ("centre", self.centre.len()),
            ("scale", self.scale.len()),
        ];
        for (part, length) in parts {
            if length != d {
                return plan_err!("the k-means model has {d} features, but {length} entries of {part}");
            }
        }
        if self.centroids.len() != d * k {
            return plan_err!(
                "the k-means model has {} centroid numbers, expected {d} features times {k} names",
                self.centroids.len()
            );
        }
        if !(self.clip > 0.0 && self.clip.is_finite()) {
            return plan_err!("the clip of the k-means model must be above 0 and finite, not {}", self.clip);
        }
        for (feature, (centre, scale)) in self.features.iter().zip(self.centre.iter().zip(&self.scale)) {
            if !(*scale > 0.0 && scale.is_finite() && centre.is_finite()) {
                return plan_err!(
                    "feature '{feature}' of the k-means model has centre {centre} and scale {scale}"
                );
            }
        }
        match self.centroids.iter().all(|x| x.is_finite()) {
            true => Ok(()),
            false => plan_err!("the k-means model has a centroid that is not finite"),
        }
    }

    /// The number of features.
    pub fn d(&self) -> usize {
        self.features.len()
    }

    /// The number of segments.
    pub fn k(&self) -> usize {
        self.names.len()
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

    /// Scales a row of d features into `out`; entries beyond the shorter of both are left alone.
    pub fn scale_into(&self, row: &[Option<f64>], out: &mut [f64]) {
        for (feature, (value, scaled)) in row.iter().zip(out).take(self.d()).enumerate() {
            *scaled = self.scale_value(feature, *value);
        }
    }

    /// One centroid, d numbers in scaled space.
    pub fn centroid(&self, segment: usize) -> &[f64] {
        &self.centroids[segment * self.d()..(segment + 1) * self.d()]
    }

    /// The nearest centroid and its squared distance, and the next one, if there is more than one. Ties go
    /// to the lower index; squares are summed from the first feature to the last.
    pub fn nearest_two(&self, scaled: &[f64]) -> (usize, f64, Option<(usize, f64)>) {
        let mut winner = (0, f64::INFINITY);
        let mut runner_up = None;
        for (segment, centroid) in self.centroids.chunks_exact(self.d().max(1)).enumerate() {
            let squared = squared_distance(scaled, centroid);
            if segment == 0 {
                winner = (segment, squared);
            } else if squared < winner.1 {
                runner_up = Some(winner);
                winner = (segment, squared);
            } else if runner_up.is_none_or(|(_, best)| squared < best) {
                runner_up = Some((segment, squared));
            }
        }
        (winner.0, winner.1, runner_up)
    }

    /// The name of a segment.
    pub fn name(&self, segment: i32) -> Result<&str> {
        match usize::try_from(segment).ok().and_then(|index| self.names.get(index)) {
            Some(name) => Ok(name),
            None => {
                exec_err!("segment {segment} is not in the k-means model, which has 0 to {}", self.k() - 1)
            }
        }
    }
}

/// The squared Euclidean distance, summed from the first entry to the last.
#[inline]
pub fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (x, y)| sum + (x - y) * (x - y))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> KmeansModel {
        KmeansModel {
            features: vec!["orders".into(), "spend".into()],
            transforms: vec![Transform::None, Transform::Log1p],
            centre: vec![10.0, 1.0],
            scale: vec![5.0, 2.0],
            clip: 3.0,
            centroids: vec![0.0, 0.0, 2.0, 0.0, -2.0, 0.0],
            names: vec!["a".into(), "b".into(), "c".into()],
        }
    }

    #[test]
    fn survives_the_scalar() {
        let scalar = model().to_scalar();
        assert_eq!(scalar.data_type(), kmeans_model_type());
        assert_eq!(KmeansModel::from_scalar(&scalar).unwrap(), model());
    }

    #[test]
    fn scaling_clips_and_fills() {
        let mut out = [9.0; 2];
        model().scale_into(&[Some(15.0), Some(0.0)], &mut out);
        assert_eq!(out, [1.0, -0.5]);
        model().scale_into(&[Some(f64::INFINITY), Some(-5.0)], &mut out);
        assert_eq!(out, [3.0, -3.0]);
        model().scale_into(&[None, Some(f64::NAN)], &mut out);
        assert_eq!(out, [0.0, 0.0]);
        model().scale_into(&[], &mut out);
    }

    #[test]
    fn ties_go_to_the_lower_index() {
        assert_eq!(model().nearest_two(&[1.0, 0.0]), (0, 1.0, Some((1, 1.0))));
        assert_eq!(model().nearest_two(&[0.0, 0.0]), (0, 0.0, Some((1, 4.0))));
        assert_eq!(model().nearest_two(&[-1.5, 0.0]), (2, 0.25, Some((0, 2.25))));
        let mut one = model();
        one.names.truncate(1);
        one.centroids.truncate(2);
        assert_eq!(one.nearest_two(&[3.0, 4.0]), (0, 25.0, None));
    }

    #[test]
    fn impossible_models_are_refused() {
        type Break = fn(&mut KmeansModel);
        let breaks: [(&str, Break); 7] = [
            ("spend", |m| m.scale[1] = 0.0),
            ("orders", |m| m.centre[0] = f64::NAN),
            ("clip", |m| m.clip = f64::INFINITY),
            ("transforms", |m| m.transforms.clear()),
            ("centroid numbers", |m| m.names.truncate(2)),
            ("at least one", |m| m.features.clear()),
            ("finite", |m| m.centroids[3] = f64::INFINITY),
        ];
        for (word, damage) in breaks {
            let mut broken = model();
            damage(&mut broken);
            let message = broken.validate().unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
            assert!(KmeansModel::from_scalar(&broken.to_scalar()).is_err());
        }
        assert!(KmeansModel::from_scalar(&ScalarValue::Null).is_err());
        let null = ScalarValue::try_from(&kmeans_model_type()).unwrap();
        assert!(KmeansModel::from_scalar(&null).is_err());
    }

    #[test]
    fn names_of_segments() {
        assert_eq!(model().name(2).unwrap(), "c");
        assert!(model().name(3).is_err());
        assert!(model().name(-1).is_err());
    }
}
