//! How features are brought into the space that models measure distances in.

use std::fmt::{Display, Formatter};

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::{Result, plan_err};

use super::{Fieldwise, one_number_list, one_text_list};
use crate::args::{float_list, text_list};

/// Knots of a rank: the smallest value, the percentiles and the largest value.
pub const KNOTS: usize = 101;

/// What is done to a feature before it is centred and scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transform {
    /// Nothing.
    None,
    /// `log1p(max(x, -1))`, for counts and money.
    Log1p,
    /// The share of the training sample below the value, from 0 to 1, by the scaling's knots.
    Rank,
}

impl Transform {
    /// The transform of this name: `none`, `log1p` or `rank`.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "none" => Ok(Self::None),
            "log1p" => Ok(Self::Log1p),
            "rank" => Ok(Self::Rank),
            other => plan_err!("transform '{other}' is not known; use none, log1p or rank"),
        }
    }

    /// The transformed value; `knots` are the feature's, for a rank.
    #[inline]
    pub fn apply(self, x: f64, knots: &[f64]) -> f64 {
        match self {
            Self::None => x,
            Self::Log1p => libm::log1p(x.max(-1.0)),
            Self::Rank => rank(x, knots),
        }
    }
}

impl Display for Transform {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Log1p => "log1p",
            Self::Rank => "rank",
        })
    }
}

/// Where `x` lies among ascending knots, from 0 to 1: linear between two of them, the middle of knots that equal it,
/// 0 below the first and 1 above the last. .5 without knots.
fn rank(x: f64, knots: &[f64]) -> f64 {
    let Some(last) = knots.len().checked_sub(1).filter(|last| *last > 0) else { return 0.5 };
    let below = knots.partition_point(|knot| *knot < x);
    let not_above = knots.partition_point(|knot| *knot <= x);
    let position = if not_above > below {
        (below + not_above - 1) as f64 / 2.0
    } else if below == 0 {
        0.0
    } else if below > last {
        last as f64
    } else {
        let (from, to) = (knots[below - 1], knots[below]);
        // an infinite end of the piece leaves its middle
        let within = (x - from) / (to - from);
        (below - 1) as f64 + if within.is_finite() { within } else { 0.5 }
    };
    position / last as f64
}

/// Transform, centre, scale, bound and weight of each of d features.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scaling {
    /// The names of the d features, in the order of the vector.
    pub features: Vec<String>,
    /// The transform of each feature.
    pub transforms: Vec<Transform>,
    /// [`KNOTS`] ascending numbers for each feature whose transform is a rank, one feature after the other.
    pub knots: Vec<f64>,
    /// What is subtracted from each transformed feature.
    pub centre: Vec<f64>,
    /// By what each centred feature is divided; above 0.
    pub scale: Vec<f64>,
    /// The bound of each feature's absolute scaled value; above 0.
    pub clips: Vec<f64>,
    /// By what each bounded value is multiplied; above 0.
    pub weights: Vec<f64>,
}

impl Scaling {
    /// The fields that a model's struct has of its scaling, in order.
    pub(crate) fn fields() -> [(&'static str, DataType); 7] {
        [
            ("features", text_list()),
            ("transforms", text_list()),
            ("knots", float_list()),
            ("centre", float_list()),
            ("scale", float_list()),
            ("clips", float_list()),
            ("weights", float_list()),
        ]
    }

    /// Reads the fields of [`Scaling::fields`].
    pub(super) fn read(fields: &Fieldwise) -> Result<Self> {
        let transforms = fields.texts("transforms")?;
        Ok(Self {
            features: fields.texts("features")?,
            transforms: transforms.iter().map(|name| Transform::parse(name)).collect::<Result<_>>()?,
            knots: fields.numbers("knots")?,
            centre: fields.numbers("centre")?,
            scale: fields.numbers("scale")?,
            clips: fields.numbers("clips")?,
            weights: fields.numbers("weights")?,
        })
    }

    /// One row of each of the columns of [`Scaling::fields`].
    pub(super) fn columns(&self) -> Vec<ArrayRef> {
        let numbers = |values: &[f64]| one_number_list(values.iter().copied().map(Some));
        let transforms: Vec<String> = self.transforms.iter().map(Transform::to_string).collect();
        vec![
            one_text_list(&self.features),
            one_text_list(&transforms),
            numbers(&self.knots),
            numbers(&self.centre),
            numbers(&self.scale),
            numbers(&self.clips),
            numbers(&self.weights),
        ]
    }

    /// Refuses parts that do not fit together or hold impossible numbers; `kind` names the model.
    pub fn validate(&self, kind: &str) -> Result<()> {
        let d = self.d();
        if d == 0 {
            return plan_err!("a {kind} model needs at least one feature");
        }
        let ranked = self.transforms.iter().filter(|transform| **transform == Transform::Rank).count();
        let parts = [
            ("transforms", self.transforms.len(), d),
            ("knots", self.knots.len(), ranked * KNOTS),
            ("centre", self.centre.len(), d),
            ("scale", self.scale.len(), d),
            ("clips", self.clips.len(), d),
            ("weights", self.weights.len(), d),
        ];
        for (part, length, expected) in parts {
            if length != expected {
                return plan_err!("the {kind} model has {length} entries of {part}, expected {expected}");
            }
        }
        for (f, feature) in self.features.iter().enumerate() {
            let positive = [("scale", self.scale[f]), ("clip", self.clips[f]), ("weight", self.weights[f])];
            for (part, number) in positive {
                if !(number > 0.0 && number.is_finite()) {
                    return plan_err!("feature '{feature}' of the {kind} model has {part} {number}");
                }
            }
            if !self.centre[f].is_finite() {
                return plan_err!("feature '{feature}' of the {kind} model has centre {}", self.centre[f]);
            }
        }
        Ok(())
    }

    /// The number of features.
    pub fn d(&self) -> usize {
        self.features.len()
    }

    /// The knots of one feature; none unless its transform is a rank.
    fn knots_of(&self, feature: usize) -> &[f64] {
        if self.transforms[feature] != Transform::Rank {
            return &[];
        }
        let before = self.transforms[..feature].iter().filter(|t| **t == Transform::Rank).count();
        self.knots.get(before * KNOTS..(before + 1) * KNOTS).unwrap_or_default()
    }

    /// One feature's transformed value, before it is centred.
    #[inline]
    pub fn transform_value(&self, feature: usize, x: f64) -> f64 {
        match self.transforms[feature] {
            Transform::Rank => Transform::Rank.apply(x, self.knots_of(feature)),
            transform => transform.apply(x, &[]),
        }
    }

    /// The scaled value of one feature: `clamp((t(x) - centre) / scale, -clip, clip) * weight`; 0 for a missing value,
    /// which NaN is too.
    #[inline]
    pub fn scale_value(&self, feature: usize, value: Option<f64>) -> f64 {
        match value {
            Some(x) if !x.is_nan() => {
                let centred = self.transform_value(feature, x) - self.centre[feature];
                let clip = self.clips[feature];
                (centred / self.scale[feature]).clamp(-clip, clip) * self.weights[feature]
            }
            _ => 0.0,
        }
    }

    /// Scales a row of d features into `out`; entries beyond the shorter of both are left alone.
    pub fn scale_into(&self, row: impl IntoIterator<Item = Option<f64>>, out: &mut [f64]) {
        for (feature, (value, scaled)) in row.into_iter().zip(out).take(self.d()).enumerate() {
            *scaled = self.scale_value(feature, value);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Scales x by (x - centre) / scale within ±clip.
    pub(crate) fn plain(features: &[&str], centre: &[f64], scale: &[f64], clip: f64) -> Scaling {
        Scaling {
            features: features.iter().map(|name| name.to_string()).collect(),
            transforms: vec![Transform::None; features.len()],
            knots: Vec::new(),
            centre: centre.to_vec(),
            scale: scale.to_vec(),
            clips: vec![clip; features.len()],
            weights: vec![1.0; features.len()],
        }
    }

    #[test]
    fn scaling_clips_weighs_and_fills() {
        let mut scaling = plain(&["orders", "spend"], &[10.0, 1.0], &[5.0, 2.0], 3.0);
        scaling.transforms[1] = Transform::Log1p;
        let mut out = [9.0; 2];
        scaling.scale_into([Some(15.0), Some(0.0)], &mut out);
        assert_eq!(out, [1.0, -0.5]);
        scaling.scale_into([Some(f64::INFINITY), Some(-5.0)], &mut out);
        assert_eq!(out, [3.0, -3.0]);
        scaling.scale_into([None, Some(f64::NAN)], &mut out);
        assert_eq!(out, [0.0, 0.0]);
        scaling.scale_into([], &mut out);
        (scaling.weights[0], scaling.clips[1]) = (2.0, 0.25);
        scaling.scale_into([Some(15.0), Some(0.0)], &mut out);
        assert_eq!(out, [2.0, -0.25]);
    }

    #[test]
    fn ranks_between_on_and_beyond_knots() {
        let knots = [0.0, 0.0, 0.0, 10.0, 20.0];
        let ranks = [-1.0, 0.0, 5.0, 10.0, 12.5, 20.0, 99.0].map(|x| Transform::Rank.apply(x, &knots));
        assert_eq!(ranks, [0.0, 0.25, 0.625, 0.75, 0.8125, 1.0, 1.0]);
        assert_eq!(Transform::Rank.apply(3.0, &[0.0, f64::INFINITY]), 0.0);
        assert_eq!(Transform::Rank.apply(3.0, &[f64::NEG_INFINITY, 5.0]), 0.5);
        assert_eq!(Transform::Rank.apply(3.0, &[]), 0.5);
        // the second feature's knots follow the first one's
        let mut scaling = plain(&["a", "b"], &[0.0; 2], &[1.0; 2], 8.0);
        scaling.transforms = vec![Transform::Rank; 2];
        scaling.knots = (0..2 * KNOTS).map(|i| i as f64).collect();
        assert_eq!(scaling.transform_value(0, 50.0), 0.5);
        assert_eq!(scaling.transform_value(1, KNOTS as f64 + 50.0), 0.5);
        assert!(scaling.validate("test").is_ok());
        scaling.knots.pop();
        assert!(scaling.validate("test").unwrap_err().to_string().contains("knots"));
    }
}
