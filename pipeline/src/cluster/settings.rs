//! What a model stage's header may say about its trainer: parsed, checked, with its defaults.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use strata_udfs::model::Transform;

use crate::{Error, Result};

/// How features are brought to a common unit before clustering.
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

/// The limits beyond which a model is degenerate and must not be published.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// Largest share of the sample that one segment may hold. Header key `max_share`, .8 by default.
    pub max_share: f64,
    /// Fewest sample rows that a segment may hold. Header key `min_size`, 1 by default.
    pub min_size: u64,
    /// With `scale: none` only: largest ratio between the standard deviations of two features. Header key
    /// `max_spread`, 10 by default.
    pub max_spread: f64,
}

impl Default for Gate {
    fn default() -> Self {
        Gate { max_share: 0.8, min_size: 1, max_spread: 10.0 }
    }
}

/// The settings of a k-means model stage.
#[derive(Debug, Clone, PartialEq)]
pub struct KmeansSettings {
    /// Number of segments. Header key `k`, required.
    pub k: usize,
    /// Transform of each feature named in the header; see [`KmeansSettings::transform_of`]. Header key
    /// `transform`: `frequency=log1p, recency_days=none`; a transform alone goes for every other feature.
    pub transform: Vec<(String, Transform)>,
    /// Transform of every feature not named in `transform`.
    pub default_transform: Transform,
    /// Header key `scale`: `none`, `standard` or `robust` (the default).
    pub scale: Scale,
    /// Bound of |scaled value|, in scaled units; without effect under `scale: none`. Header key `clip`, 8.
    pub clip: f64,
    /// Seed of the random numbers that choose the starting centroids. Header key `seed`, 1 by default.
    pub seed: u64,
    /// Independent starts, of which the best stays. Header key `starts`, 16 by default.
    pub starts: usize,
    /// Lloyd steps of a start, and again of the final polish. Header key `max_iterations`, 100 by default.
    pub max_iterations: usize,
    /// Relative change of inertia at which a start ends. Header key `tolerance`, 1e-4 by default.
    pub tolerance: f64,
    /// Most rows trained on, those with the smallest hashes of their keys. Header key `sample_rows`, 200,000.
    pub sample_rows: usize,
    /// Lloyd steps over all rows, when the sample does not hold them all. Header key `polish`, 0 by default.
    pub polish: usize,
    /// When to refuse the result.
    pub gate: Gate,
    /// Threads to train with: never changes the result, and no header key. All cores by default.
    pub threads: usize,
}

const KMEANS_KEYS: [&str; 13] = [
    "clip",
    "k",
    "max_iterations",
    "max_share",
    "max_spread",
    "min_size",
    "polish",
    "sample_rows",
    "scale",
    "seed",
    "starts",
    "tolerance",
    "transform",
];

impl KmeansSettings {
    /// Defaults for `k` segments.
    pub fn new(k: usize) -> Self {
        KmeansSettings {
            k,
            transform: Vec::new(),
            default_transform: Transform::None,
            scale: Scale::Robust,
            clip: 8.0,
            seed: 1,
            starts: 16,
            max_iterations: 100,
            tolerance: 1e-4,
            sample_rows: 200_000,
            polish: 0,
            gate: Gate::default(),
            threads: std::thread::available_parallelism().map_or(1, |n| n.get()),
        }
    }

    /// Reads the settings from those keys of a stage's header that are not the stage's own.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown key, a value that cannot be read or is out of range, a missing `k`.
    pub fn from_header(header: &BTreeMap<String, String>) -> Result<Self> {
        refuse_unknown(header, "kmeans", &KMEANS_KEYS)?;
        if !header.contains_key("k") {
            return Err(Error::Usage(
                "a kmeans stage needs the number of segments: add `k: 8` to its header".into(),
            ));
        }
        let default = Self::new(2);
        let (transform, default_transform) = transforms(header)?;
        let positive = "a whole number from 1";
        Ok(KmeansSettings {
            k: number(header, "k", default.k, |k| (1..=1000).contains(k), "a whole number from 1 to 1000")?,
            transform,
            default_transform,
            scale: scale(header)?,
            clip: number(
                header,
                "clip",
                default.clip,
                |c| (1.0..=1e6).contains(c),
                "a number from 1 to 1000000",
            )?,
            seed: number(header, "seed", default.seed, |_| true, "a whole number from 0")?,
            starts: number(
                header,
                "starts",
                default.starts,
                |n| (1..=1000).contains(n),
                "a whole number, 1 to 1000",
            )?,
            max_iterations: number(header, "max_iterations", default.max_iterations, |n| *n > 0, positive)?,
            tolerance: number(
                header,
                "tolerance",
                default.tolerance,
                |t| (0.0..1.0).contains(t),
                "a number in [0, 1)",
            )?,
            sample_rows: number(
                header,
                "sample_rows",
                default.sample_rows,
                |n| (1..=10_000_000).contains(n),
                "a whole number from 1 to 10000000 (the sample is held in memory)",
            )?,
            polish: number(header, "polish", default.polish, |n| *n <= 1000, "a whole number, 0 to 1000")?,
            gate: Gate {
                max_share: number(
                    header,
                    "max_share",
                    default.gate.max_share,
                    |s| (0.0..=1.0).contains(s) && *s > 0.0,
                    "a share above 0 and up to 1",
                )?,
                min_size: number(
                    header,
                    "min_size",
                    default.gate.min_size,
                    |_| true,
                    "a whole number from 0",
                )?,
                max_spread: number(
                    header,
                    "max_spread",
                    default.gate.max_spread,
                    |r| *r >= 1.0,
                    "a ratio from 1",
                )?,
            },
            threads: default.threads,
        })
    }

    /// The transform of a feature.
    pub fn transform_of(&self, feature: &str) -> Transform {
        self.transform.iter().find(|(name, _)| name == feature).map_or(self.default_transform, |(_, t)| *t)
    }

    /// Every setting that the result depends on, one line.
    pub fn describe(&self) -> String {
        let mut transforms = vec![self.default_transform.to_string()];
        transforms.extend(self.transform.iter().map(|(feature, t)| format!("{feature}={t}")));
        format!(
            "kmeans k={} transform={} scale={} clip={} seed={} starts={} max_iterations={} tolerance={:e} \
             sample_rows={} polish={} max_share={} min_size={} max_spread={}",
            self.k,
            transforms.join(","),
            self.scale,
            self.clip,
            self.seed,
            self.starts,
            self.max_iterations,
            self.tolerance,
            self.sample_rows,
            self.polish,
            self.gate.max_share,
            self.gate.min_size,
            self.gate.max_spread
        )
    }
}

/// The settings of a reference model stage: frozen quantiles and means.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferenceSettings {
    /// Probabilities, ascending, each inside (0, 1). Header key `quantiles`, `.2, .4, .6, .8` by default.
    pub quantiles: Vec<f64>,
}

impl Default for ReferenceSettings {
    fn default() -> Self {
        ReferenceSettings { quantiles: vec![0.2, 0.4, 0.6, 0.8] }
    }
}

impl ReferenceSettings {
    /// Reads the settings from those keys of a stage's header that are not the stage's own.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown key or for quantiles that are not ascending numbers inside (0, 1).
    pub fn from_header(header: &BTreeMap<String, String>) -> Result<Self> {
        refuse_unknown(header, "reference", &["quantiles"])?;
        let Some(text) = header.get("quantiles") else { return Ok(Self::default()) };
        let quantiles: Option<Vec<f64>> = text.split(',').map(|q| q.trim().parse().ok()).collect();
        match quantiles {
            Some(q) if q.iter().all(|q| *q > 0.0 && *q < 1.0) && q.windows(2).all(|w| w[0] < w[1]) => {
                Ok(ReferenceSettings { quantiles: q })
            }
            _ => Err(bad("quantiles", text, "ascending numbers between 0 and 1, like .2, .4, .6, .8")),
        }
    }

    /// Every setting that the result depends on, one line.
    pub fn describe(&self) -> String {
        let quantiles: Vec<String> = self.quantiles.iter().map(f64::to_string).collect();
        format!("reference quantiles={}", quantiles.join(","))
    }
}

fn bad(key: &str, value: &str, remedy: &str) -> Error {
    Error::Usage(format!("header `{key}: {value}`: give {remedy}"))
}

pub(super) fn refuse_unknown(header: &BTreeMap<String, String>, kind: &str, known: &[&str]) -> Result<()> {
    let unknown = header.iter().find(|(key, _)| !known.contains(&key.as_str()));
    match unknown {
        None => Ok(()),
        Some((key, value)) => Err(Error::Usage(format!(
            "header `{key}: {value}`: a {kind} stage has no setting `{key}`; it has {}",
            known.join(", ")
        ))),
    }
}

/// A number of the header, digits grouped by `_` if the writer likes.
pub(super) fn number<T: FromStr>(
    header: &BTreeMap<String, String>,
    key: &str,
    default: T,
    valid: impl Fn(&T) -> bool,
    remedy: &str,
) -> Result<T> {
    let Some(text) = header.get(key) else { return Ok(default) };
    match text.trim().replace('_', "").parse() {
        Ok(value) if valid(&value) => Ok(value),
        _ => Err(bad(key, text, remedy)),
    }
}

fn scale(header: &BTreeMap<String, String>) -> Result<Scale> {
    match header.get("scale").map(|s| s.trim()) {
        None | Some("robust") => Ok(Scale::Robust),
        Some("standard") => Ok(Scale::Standard),
        Some("none") => Ok(Scale::None),
        Some(other) => Err(bad("scale", other, "none, standard or robust")),
    }
}

fn transforms(header: &BTreeMap<String, String>) -> Result<(Vec<(String, Transform)>, Transform)> {
    let (mut named, mut default) = (Vec::<(String, Transform)>::new(), None);
    let Some(text) = header.get("transform") else { return Ok((named, Transform::None)) };
    let remedy = "`feature=log1p` or `feature=none`, separated by commas; one of the two words alone goes for \
                  every feature not named; each feature once";
    for part in text.split(',') {
        let (feature, word) = match part.split_once('=') {
            Some((feature, word)) => (Some(feature.trim()), word.trim()),
            None => (None, part.trim()),
        };
        let Ok(transform) = Transform::parse(word) else { return Err(bad("transform", text, remedy)) };
        match feature {
            None if default.is_none() => default = Some(transform),
            Some(f) if !f.is_empty() && named.iter().all(|(n, _)| n != f) => {
                named.push((f.to_string(), transform))
            }
            _ => return Err(bad("transform", text, remedy)),
        }
    }
    Ok((named, default.unwrap_or(Transform::None)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    fn usage(result: Result<impl std::fmt::Debug>) -> String {
        match result {
            Err(Error::Usage(message)) => message,
            other => panic!("expected a usage error, got {other:?}"),
        }
    }

    #[test]
    fn reads_every_key() {
        let s = KmeansSettings::from_header(&header(&[
            ("k", "8"),
            ("transform", "log1p, recency_days = none"),
            ("scale", "standard"),
            ("clip", "6.5"),
            ("sample_rows", "50_000"),
            ("max_share", ".7"),
        ]))
        .unwrap();
        assert_eq!(
            (s.k, s.scale, s.clip, s.sample_rows, s.gate.max_share),
            (8, Scale::Standard, 6.5, 50_000, 0.7)
        );
        assert_eq!(s.transform_of("recency_days"), Transform::None);
        assert_eq!(s.transform_of("frequency"), Transform::Log1p);
        assert_eq!((s.starts, s.max_iterations, s.tolerance, s.gate.min_size), (16, 100, 1e-4, 1));
        assert!(s.describe().contains("transform=log1p,recency_days=none scale=standard clip=6.5"));
    }

    #[test]
    fn refuses_with_key_value_and_remedy() {
        let k = ("k", "3");
        for (pairs, expected) in [
            (vec![], "add `k: 8`"),
            (vec![("k", "0")], "header `k: 0`: give a whole number from 1 to 1000"),
            (vec![("k", "3.5")], "`k: 3.5`"),
            (vec![k, ("clusters", "3")], "no setting `clusters`; it has clip, k,"),
            (vec![k, ("scale", "minmax")], "header `scale: minmax`: give none, standard or robust"),
            (vec![k, ("clip", "NaN")], "header `clip: NaN`"),
            (vec![k, ("max_share", "80 %")], "header `max_share: 80 %`"),
            (vec![k, ("transform", "frequency=sqrt")], "`feature=log1p`"),
            (vec![k, ("transform", "a=none, a=log1p")], "each feature once"),
            (vec![k, ("transform", "none, log1p")], "header `transform: none, log1p`"),
        ] {
            let message = usage(KmeansSettings::from_header(&header(&pairs)));
            assert!(message.contains(expected), "{message} lacks {expected}");
        }
    }

    #[test]
    fn quantiles() {
        let read = |q: &str| ReferenceSettings::from_header(&header(&[("quantiles", q)]));
        assert_eq!(read(".25, 0.5").unwrap().quantiles, [0.25, 0.5]);
        assert_eq!(ReferenceSettings::from_header(&header(&[])).unwrap().quantiles, [0.2, 0.4, 0.6, 0.8]);
        for text in ["", ".5, .5", "0, .5", ".5, 1", ".5; .6", "NaN"] {
            assert!(usage(read(text)).contains(&format!("`quantiles: {text}`")));
        }
        assert!(usage(ReferenceSettings::from_header(&header(&[("k", "3")]))).contains("no setting `k`"));
    }
}
