//! What a model stage's header says about its features before anything is learned from them.

use std::fmt::Display;

use strata_udfs::model::Transform;

use super::header::{ByFeature, Header, bad, parse_number};
use crate::Result;

/// How features are brought to a common unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// As they are. For features that already share a unit.
    None,
    /// (x - mean) / standard deviation, with divisor n as in scikit-learn's `StandardScaler`.
    Standard,
    /// (x - median) / interquartile range, both observed values (inverse CDF). A range of zero, as of a
    /// feature that is zero for most rows, gives way to the standard deviation.
    Robust,
}

impl Display for Scale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Scale::None => "none",
            Scale::Standard => "standard",
            Scale::Robust => "robust",
        })
    }
}

/// How features are prepared: each is transformed, centred, scaled, bounded and weighed, in this order.
#[derive(Debug, Clone, PartialEq)]
pub struct Preparation {
    /// Header key `transform`: `log1p, recency_days=none`; `none` by default.
    pub transform: ByFeature<Transform>,
    /// Header key `scale`: `none`, `standard` or `robust` (the default).
    pub scale: Scale,
    /// Bound of |scaled value|, in scaled units; without effect under `scale: none`. Header key `clip`, 8.
    pub clip: ByFeature<f64>,
    /// By what the scaled value is multiplied: a feature of weight 2 counts four times in a squared distance. Header key
    /// `weights`: `orders=2`; 1 by default.
    pub weights: ByFeature<f64>,
    /// Features of one group share the weight of one feature: each of g is divided by the square root of g. Header key
    /// `groups`: `orders=purchases, avg_order_value=purchases`; none by default.
    pub groups: ByFeature<String>,
}

impl Default for Preparation {
    fn default() -> Self {
        Preparation {
            transform: ByFeature::all(Transform::None),
            scale: Scale::Robust,
            clip: ByFeature::all(8.0),
            weights: ByFeature::all(1.0),
            groups: ByFeature::all(String::new()),
        }
    }
}

impl Preparation {
    /// The header keys that it reads.
    pub(crate) const KEYS: [&'static str; 5] = ["clip", "groups", "scale", "transform", "weights"];

    /// Reads its keys.
    ///
    /// # Errors
    /// [`Error::Usage`] for a value that cannot be read or is out of range.
    pub fn from_header(header: &Header) -> Result<Self> {
        let default = Self::default();
        let scale = match header.get("scale").map(|s| s.trim()) {
            None => default.scale,
            Some("robust") => Scale::Robust,
            Some("standard") => Scale::Standard,
            Some("none") => Scale::None,
            Some(other) => return Err(bad("scale", other, "none, standard or robust")),
        };
        let within = |text: &str, from: f64, to: f64| parse_number(text).filter(|x| *x >= from && *x <= to);
        let group = |name: &str| (!name.is_empty()).then(|| name.to_string());
        let groups = ByFeature::from_header(header, "groups", String::new(), group, "group")?;
        if !groups.default.is_empty() {
            return Err(bad(
                "groups",
                &groups.default,
                "`feature=group`: a group without a feature means nothing",
            ));
        }
        Ok(Preparation {
            transform: ByFeature::from_header(
                header,
                "transform",
                Transform::None,
                |word| Transform::parse(word).ok(),
                "log1p`, `feature=rank` or `feature=none",
            )?,
            scale,
            clip: ByFeature::from_header(
                header,
                "clip",
                8.0,
                |text| within(text, 1.0, 1e6),
                "a number from 1 to 1000000",
            )?,
            weights: ByFeature::from_header(
                header,
                "weights",
                1.0,
                |text| within(text, 0.001, 1000.0),
                "a number from .001 to 1000",
            )?,
            groups,
        })
    }

    /// Everything that a result depends on, in one line.
    pub fn describe(&self) -> String {
        let Preparation { transform, scale, clip, weights, groups } = self;
        format!("transform={transform} scale={scale} clip={clip} weights={weights} groups={groups}")
    }

    /// Refuses what names no feature of the training rows.
    ///
    /// # Errors
    /// [`Error::Usage`] names the key and the features that there are.
    pub(crate) fn check(&self, features: &[String]) -> Result<()> {
        self.transform.check("transform", features)?;
        self.clip.check("clip", features)?;
        self.weights.check("weights", features)?;
        self.groups.check("groups", features)
    }

    /// The weight of a feature, its group considered.
    pub(crate) fn weight_of(&self, feature: &str, features: &[String]) -> f64 {
        let group = self.groups.of(feature);
        let members =
            features.iter().filter(|other| !group.is_empty() && self.groups.of(other) == group).count();
        self.weights.of(feature) / (members.max(1) as f64).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    fn read(pairs: &[(&str, &str)]) -> Result<Preparation> {
        Preparation::from_header(&pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect())
    }

    #[test]
    fn reads_what_differs_by_feature() {
        let prepared = read(&[
            ("transform", "log1p, recency_days = none, spend=rank"),
            ("clip", "6.5, spend=3"),
            ("weights", "orders=2"),
            ("groups", "spend=money, orders=money"),
        ])
        .unwrap();
        assert_eq!(*prepared.transform.of("recency_days"), Transform::None);
        assert_eq!(*prepared.transform.of("spend"), Transform::Rank);
        assert_eq!(*prepared.transform.of("frequency"), Transform::Log1p);
        assert_eq!((*prepared.clip.of("spend"), *prepared.clip.of("orders")), (3.0, 6.5));
        let features = ["spend", "orders", "visits"].map(String::from);
        let weights = features.each_ref().map(|feature| prepared.weight_of(feature, &features));
        assert_eq!(weights, [1.0 / 2f64.sqrt(), 2.0 / 2f64.sqrt(), 1.0]);
        assert!(
            prepared
                .describe()
                .contains("transform=log1p,recency_days=none,spend=rank scale=robust clip=6.5,spend=3")
        );
    }

    #[test]
    fn refuses_with_key_value_and_remedy() {
        for (key, value, expected) in [
            ("scale", "minmax", "header `scale: minmax`: give none, standard or robust"),
            ("clip", "NaN", "header `clip: NaN`"),
            ("clip", "8, 9", "a value alone goes for every feature not named"),
            ("transform", "frequency=sqrt", "`feature=log1p`"),
            ("transform", "a=none, a=log1p", "each feature once"),
            ("transform", "none, log1p", "header `transform: none, log1p`"),
            ("weights", "orders=0", "header `weights: orders=0`"),
            ("groups", "money", "a group without a feature"),
        ] {
            let error = read(&[(key, value)]).unwrap_err();
            assert!(matches!(&error, Error::Usage(m) if m.contains(expected)), "{error} lacks {expected}");
        }
        let unknown = read(&[("weights", "y=2")]).unwrap().check(&["x".into()]).unwrap_err().to_string();
        assert!(unknown.contains("no feature `y`; they have x"), "{unknown}");
    }
}
