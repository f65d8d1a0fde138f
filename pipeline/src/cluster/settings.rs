//! What a model stage's header may say about its trainer: parsed, checked, with its defaults.

use std::ops::RangeInclusive;

use super::header::{Header, bad, number, parse_number, refuse_unknown, share};
use super::naming::Naming;
use super::preparation::Preparation;
use crate::{Error, Result};

/// The limits beyond which a model is degenerate and must not be published.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// Largest share of the sample that one segment may hold. Header key `max_share`, .8 by default.
    pub max_share: f64,
    /// Smallest share of the sample that a segment may hold. Header key `min_share`, .001 by default.
    pub min_share: f64,
    /// Least mean adjusted Rand index between the model and models of bootstrap samples. Header key `min_stability`, .6.
    pub min_stability: f64,
    /// With `scale: none` only: largest ratio between the standard deviations of two features. Header key
    /// `max_spread`, 10 by default.
    pub max_spread: f64,
}

impl Default for Gate {
    fn default() -> Self {
        Gate { max_share: 0.8, min_share: 0.001, min_stability: 0.6, max_spread: 10.0 }
    }
}

impl Gate {
    /// Reads the limits from a stage's header.
    pub(super) fn from_header(header: &Header) -> Result<Self> {
        let default = Self::default();
        Ok(Gate {
            max_share: number(
                header,
                "max_share",
                default.max_share,
                |share| *share > 0.0 && *share <= 1.0,
                "a share above 0 and up to 1",
            )?,
            min_share: share(header, "min_share", default.min_share)?,
            min_stability: share(header, "min_stability", default.min_stability)?,
            max_spread: number(header, "max_spread", default.max_spread, |r| *r >= 1.0, "a ratio from 1")?,
        })
    }
}

/// When a model that follows its population is trained anew.
#[derive(Debug, Clone, PartialEq)]
pub struct DriftLimits {
    /// Largest population stability index of a feature. Header key `max_drift`, .25 by default.
    pub max_drift: f64,
    /// Least mean margin, as a share of what it was when the model was trained. Header key `min_margin`, .75.
    pub min_margin: f64,
}

impl Default for DriftLimits {
    fn default() -> Self {
        DriftLimits { max_drift: 0.25, min_margin: 0.75 }
    }
}

/// By which figure the number of segments is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChooseBy {
    /// The highest mean silhouette.
    Silhouette,
    /// The highest Calinski-Harabasz index.
    CalinskiHarabasz,
    /// The lowest Davies-Bouldin index.
    DaviesBouldin,
    /// The fewest segments whose gap is at least that of one more, less its standard error.
    Gap,
    /// The highest bootstrap stability.
    Stability,
    /// The most segments; fewer are tried only while the model must not be published.
    Most,
}

impl ChooseBy {
    pub(crate) const ALL: [(&'static str, ChooseBy); 6] = [
        ("silhouette", ChooseBy::Silhouette),
        ("calinski_harabasz", ChooseBy::CalinskiHarabasz),
        ("davies_bouldin", ChooseBy::DaviesBouldin),
        ("gap", ChooseBy::Gap),
        ("stability", ChooseBy::Stability),
        ("most", ChooseBy::Most),
    ];

    /// Its word in headers and in `model_selection`.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, by)| *by == self).map_or("", |(word, _)| word)
    }
}

/// The settings of a k-means model stage.
#[derive(Debug, Clone, PartialEq)]
pub struct KmeansSettings {
    /// Numbers of segments to choose from. Header key `k`: `8`, or `4..12` for all from 4 to 12; required.
    pub k: RangeInclusive<usize>,
    /// Header key `choose_by`: `silhouette` (the default), `calinski_harabasz`, `davies_bouldin`, `gap`, `stability`,
    /// `most`.
    pub choose_by: ChooseBy,
    /// How features are prepared.
    pub preparation: Preparation,
    /// Seed of the random numbers that choose the starting centroids. Header key `seed`, 1 by default.
    pub seed: u64,
    /// Independent starts on the first 16,384 rows of the sample, of which the best goes on over all of it. Header key
    /// `starts`, 16 by default.
    pub starts: usize,
    /// Lloyd steps of a start, and again of the final polish. Header key `max_iterations`, 100 by default.
    pub max_iterations: usize,
    /// Relative change of inertia at which a start ends. Header key `tolerance`, 1e-4 by default.
    pub tolerance: f64,
    /// Most rows trained on, those with the smallest hashes of their keys. Header key `sample_rows`, 262,144.
    pub sample_rows: usize,
    /// Lloyd steps over all rows, when the sample does not hold them all. Header key `polish`, 0 by default; with
    /// `algorithm: full` as many as `max_iterations`, or until no centroid moves.
    pub polish: usize,
    /// Bootstrap samples that stability is the mean of. Header key `bootstraps`, 10 by default; 0: not measured.
    pub bootstraps: usize,
    /// What segments are named after.
    pub naming: Naming,
    /// When to refuse the result.
    pub gate: Gate,
    /// When a stage that says `refit: drifted` trains anew.
    pub drift: DriftLimits,
    /// Threads to train with: never changes the result, and no header key. All cores by default.
    pub threads: usize,
}

const KMEANS_KEYS: [&str; 16] = [
    "algorithm",
    "bootstraps",
    "choose_by",
    "k",
    "max_drift",
    "max_iterations",
    "max_share",
    "max_spread",
    "min_margin",
    "min_share",
    "min_stability",
    "polish",
    "sample_rows",
    "seed",
    "starts",
    "tolerance",
];

impl KmeansSettings {
    /// Defaults for `k` segments.
    pub fn new(k: usize) -> Self {
        KmeansSettings {
            k: k..=k,
            choose_by: ChooseBy::Silhouette,
            preparation: Preparation::default(),
            seed: 1,
            starts: 16,
            max_iterations: 100,
            tolerance: 1e-4,
            sample_rows: 262_144,
            polish: 0,
            bootstraps: 10,
            naming: Naming::default(),
            gate: Gate::default(),
            drift: DriftLimits::default(),
            threads: std::thread::available_parallelism().map_or(1, |n| n.get()),
        }
    }

    /// Reads the settings from those keys of a stage's header that are not the stage's own.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown key, a value that cannot be read or is out of range, a missing `k`.
    pub fn from_header(header: &Header) -> Result<Self> {
        let known: Vec<&str> = KMEANS_KEYS.into_iter().chain(Naming::KEYS).chain(Preparation::KEYS).collect();
        refuse_unknown(header, "kmeans", &known)?;
        let default = Self::new(2);
        let positive = "a whole number from 1";
        let max_iterations = number(header, "max_iterations", default.max_iterations, |n| *n > 0, positive)?;
        let polish = number(header, "polish", default.polish, |n| *n <= 1000, "a whole number, 0 to 1000")?;
        let polish = match header.get("algorithm").map(|word| word.trim()) {
            None | Some("sample") => polish,
            Some("full") => max_iterations,
            Some(other) => return Err(bad("algorithm", other, "sample or full")),
        };
        Ok(KmeansSettings {
            k: numbers_of_segments(header)?,
            choose_by: choose_by(header)?,
            preparation: Preparation::from_header(header)?,
            seed: number(header, "seed", default.seed, |_| true, "a whole number from 0")?,
            starts: number(
                header,
                "starts",
                default.starts,
                |n| (1..=1000).contains(n),
                "a whole number, 1 to 1000",
            )?,
            max_iterations,
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
            polish,
            bootstraps: bootstraps(header, default.bootstraps)?,
            naming: Naming::from_header(header)?,
            gate: Gate::from_header(header)?,
            drift: DriftLimits {
                max_drift: max_drift(header, default.drift.max_drift)?,
                min_margin: share(header, "min_margin", default.drift.min_margin)?,
            },
            threads: default.threads,
        })
    }

    /// Every setting that the result depends on, one line.
    pub fn describe(&self) -> String {
        // every field is named here, so that a new one cannot be forgotten
        let KmeansSettings {
            k,
            choose_by,
            preparation,
            seed,
            starts,
            max_iterations,
            tolerance,
            sample_rows,
            polish,
            bootstraps,
            naming,
            gate: Gate { max_share, min_share, min_stability, max_spread },
            drift: DriftLimits { max_drift, min_margin },
            threads: _, // never changes the result
        } = self;
        format!(
            "kmeans k={}..{} choose_by={} {} seed={seed} starts={starts} max_iterations={max_iterations} \
             tolerance={tolerance:e} sample_rows={sample_rows} polish={polish} bootstraps={bootstraps} {} \
             max_share={max_share} min_share={min_share} min_stability={min_stability} max_spread={max_spread} \
             max_drift={max_drift} min_margin={min_margin}",
            k.start(),
            k.end(),
            choose_by.word(),
            preparation.describe(),
            naming.describe(),
        )
    }
}

/// Largest population stability index at which a model is kept.
fn max_drift(header: &Header, default: f64) -> Result<f64> {
    number(header, "max_drift", default, |index| *index > 0.0, "a number above 0")
}

/// Samples that stability is the mean of.
pub(super) fn bootstraps(header: &Header, default: usize) -> Result<usize> {
    number(header, "bootstraps", default, |n| *n <= 1000, "a whole number, 0 to 1000")
}

fn numbers_of_segments(header: &Header) -> Result<RangeInclusive<usize>> {
    let Some(text) = header.get("k") else {
        let message =
            "a kmeans stage needs the number of segments: add `k: 8` to its header, or `k: 4..12` to choose";
        return Err(Error::Usage(message.into()));
    };
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    match (parse_number(from), parse_number(to)) {
        (Some(from), Some(to)) if 1 <= from && from <= to && to <= 1000 => Ok(from..=to),
        _ => Err(bad("k", text, "a whole number from 1 to 1000, or two of them, rising, as in `4..12`")),
    }
}

fn choose_by(header: &Header) -> Result<ChooseBy> {
    let Some(text) = header.get("choose_by") else { return Ok(ChooseBy::Silhouette) };
    let found = ChooseBy::ALL.iter().find(|(word, _)| *word == text.trim());
    let words = || ChooseBy::ALL.map(|(word, _)| word).join(", ");
    found.map(|(_, by)| *by).ok_or_else(|| bad("choose_by", text, &format!("one of {}", words())))
}

/// The settings of a reference model stage: frozen quantiles and means.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferenceSettings {
    /// Probabilities, ascending, each inside (0, 1). Header key `quantiles`, `.2, .4, .6, .8` by default.
    pub quantiles: Vec<f64>,
    /// Largest population stability index of a column's scores at which a reference is kept. Header key `max_drift`,
    /// .25 by default.
    pub max_drift: f64,
    /// Largest move of a column's mean, as a share of its value, at which a reference is kept. Header key `max_move`,
    /// .1 by default.
    pub max_move: f64,
}

impl Default for ReferenceSettings {
    fn default() -> Self {
        ReferenceSettings {
            quantiles: vec![0.2, 0.4, 0.6, 0.8],
            max_drift: DriftLimits::default().max_drift,
            max_move: 0.1,
        }
    }
}

impl ReferenceSettings {
    /// Reads the settings from those keys of a stage's header that are not the stage's own.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown key, for quantiles that are not ascending numbers inside (0, 1), for a `max_drift`
    /// that is not a number above 0, or for a `max_move` that is not a number from 0.
    pub fn from_header(header: &Header) -> Result<Self> {
        refuse_unknown(header, "reference", &["quantiles", "max_drift", "max_move"])?;
        let default = Self::default();
        let from_0 = |n: &f64| *n >= 0.0 && n.is_finite();
        let max_drift = max_drift(header, default.max_drift)?;
        let max_move = number(header, "max_move", default.max_move, from_0, "a number from 0")?;
        let Some(text) = header.get("quantiles") else {
            return Ok(ReferenceSettings { max_drift, max_move, ..default });
        };
        let quantiles: Option<Vec<f64>> = text.split(',').map(|q| q.trim().parse().ok()).collect();
        match quantiles {
            Some(q) if q.iter().all(|q| *q > 0.0 && *q < 1.0) && q.windows(2).all(|w| w[0] < w[1]) => {
                Ok(ReferenceSettings { quantiles: q, max_drift, max_move })
            }
            _ => Err(bad("quantiles", text, "ascending numbers between 0 and 1, like .2, .4, .6, .8")),
        }
    }

    /// Every setting that the result depends on, one line.
    pub fn describe(&self) -> String {
        let ReferenceSettings { quantiles, max_drift, max_move } = self;
        let quantiles: Vec<String> = quantiles.iter().map(f64::to_string).collect();
        format!("reference quantiles={} max_drift={max_drift} max_move={max_move}", quantiles.join(","))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use strata_udfs::model::Transform;

    use super::super::preparation::Scale;
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
            ("sample_rows", "50_000"),
            ("max_share", ".7"),
        ]))
        .unwrap();
        assert_eq!((s.k.clone(), s.preparation.scale, s.sample_rows), (8..=8, Scale::Standard, 50_000));
        assert_eq!(*s.preparation.transform.of("frequency"), Transform::Log1p);
        assert_eq!((s.starts, s.max_iterations, s.tolerance, s.polish), (16, 100, 1e-4, 0));
        assert_eq!((s.gate.max_share, s.gate.min_share), (0.7, 0.001));
        assert!(s.describe().contains("transform=log1p,recency_days=none scale=standard"));
        let s = KmeansSettings::from_header(&header(&[
            ("k", "4..12"),
            ("choose_by", "gap"),
            ("algorithm", "full"),
            ("max_iterations", "30"),
            ("titles_zh", "orders=订单数"),
        ]))
        .unwrap();
        assert_eq!((s.k.clone(), s.choose_by, s.polish), (4..=12, ChooseBy::Gap, 30));
        assert_eq!(s.naming.titles_zh.of("orders"), "订单数");
    }

    #[test]
    fn refuses_with_key_value_and_remedy() {
        let k = ("k", "3");
        for (pairs, expected) in [
            (vec![], "add `k: 8`"),
            (vec![("k", "0")], "header `k: 0`: give a whole number from 1 to 1000"),
            (vec![("k", "9..4")], "header `k: 9..4`"),
            (vec![k, ("choose_by", "luck")], "one of silhouette,"),
            (vec![k, ("algorithm", "all")], "give sample or full"),
            (vec![("k", "3.5")], "`k: 3.5`"),
            (vec![k, ("clusters", "3")], "no setting `clusters`; it has algorithm,"),
            (vec![k, ("max_share", "80 %")], "header `max_share: 80 %`"),
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
