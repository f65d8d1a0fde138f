//! What the header of a stage of `kind: hdbscan` may say.

use super::super::header::{Header, number, refuse_unknown, share};
use super::super::naming::Naming;
use super::super::preparation::Preparation;
use super::super::settings::{Gate, bootstraps};
use crate::{Error, Result};

/// The most core points of a model.
const CORE_POINTS: usize = 2000;

/// The most rows: time grows with their square.
const SAMPLE_ROWS: usize = 65_536;

/// The keys of a stage's header besides those of the preparation.
const OWN: [&str; 10] = [
    "allow_single_cluster",
    "bootstraps",
    "core_points",
    "max_noise",
    "max_share",
    "max_spread",
    "min_cluster_size",
    "min_samples",
    "min_stability",
    "sample_rows",
];

/// The limits beyond which a model is degenerate and must not be published.
#[derive(Debug, Clone, PartialEq)]
pub struct DensityGate {
    /// Largest share of the sample that one segment may hold. Header key `max_share`, .8 by default.
    pub max_share: f64,
    /// Largest share of the sample that may be noise. Header key `max_noise`, .5 by default.
    pub max_noise: f64,
    /// Least mean adjusted Rand index between the segments and those of halves of the sample. Header key `min_stability`, .6.
    pub min_stability: f64,
    /// With `scale: none` only: largest ratio between the standard deviations of two features. Header key
    /// `max_spread`, 10 by default.
    pub max_spread: f64,
}

/// The settings of a density model stage.
#[derive(Debug, Clone, PartialEq)]
pub struct DensitySettings {
    /// Fewest rows of the sample that make a segment. Header key `min_cluster_size`, required, from 2.
    pub min_cluster_size: usize,
    /// Rows within the core distance of a row, itself included. Header key `min_samples`; `min_cluster_size` by default.
    pub min_samples: usize,
    /// Whether all rows may be one segment. Header key `allow_single_cluster`, false by default.
    pub allow_single_cluster: bool,
    /// Most rows trained on, those with the smallest hashes of their keys. Header key `sample_rows`, 16,384, at most
    /// 65,536.
    pub sample_rows: usize,
    /// Most core points that the model keeps. Header key `core_points`, 2,000, which is the most.
    pub core_points: usize,
    /// Halves of the sample that stability is the mean of. Header key `bootstraps`, 4 by default, which take as long as the
    /// whole; 0: not measured.
    pub bootstraps: usize,
    /// What segments are named after.
    pub naming: Naming,
    /// How features are prepared, as for k-means.
    pub preparation: Preparation,
    /// When to refuse the result.
    pub gate: DensityGate,
    /// Threads to train with: never changes the result, and no header key. All cores by default.
    pub threads: usize,
}

impl DensitySettings {
    /// Defaults for segments of `min_cluster_size` rows of the sample.
    pub fn new(min_cluster_size: usize) -> Self {
        let Gate { max_share, min_stability, max_spread, .. } = Gate::default();
        DensitySettings {
            min_cluster_size,
            min_samples: min_cluster_size,
            allow_single_cluster: false,
            sample_rows: 16_384,
            core_points: CORE_POINTS,
            bootstraps: 4,
            naming: Naming::default(),
            preparation: Preparation::default(),
            gate: DensityGate { max_share, max_noise: 0.5, min_stability, max_spread },
            threads: std::thread::available_parallelism().map_or(1, |n| n.get()),
        }
    }

    /// Reads the settings from those keys of a stage's header that are not the stage's own.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown key, a value that cannot be read or is out of range, a missing
    /// `min_cluster_size`.
    pub fn from_header(header: &Header) -> Result<Self> {
        let mut known: Vec<&str> = OWN.into_iter().chain(Naming::KEYS).chain(Preparation::KEYS).collect();
        known.sort_unstable();
        refuse_unknown(header, "hdbscan", &known)?;
        if !header.contains_key("min_cluster_size") {
            return Err(Error::Usage(
                "a hdbscan stage needs the fewest rows that make a segment: add `min_cluster_size: 100` to its header"
                    .into(),
            ));
        }
        let rows =
            |key, default, most, remedy| number(header, key, default, |n| (2..=most).contains(n), remedy);
        let min_cluster_size = rows(
            "min_cluster_size",
            2,
            SAMPLE_ROWS,
            "a whole number of rows of the sample, from 2 to 65536",
        )?;
        let default = Self::new(min_cluster_size);
        let Gate { max_share, min_stability, max_spread, .. } = Gate::from_header(header)?;
        Ok(DensitySettings {
            min_samples: number(
                header,
                "min_samples",
                min_cluster_size,
                |n| (1..=SAMPLE_ROWS).contains(n),
                "a whole number of rows of the sample, from 1 to 65536",
            )?,
            allow_single_cluster: number(header, "allow_single_cluster", false, |_| true, "true or false")?,
            sample_rows: rows(
                "sample_rows",
                default.sample_rows,
                SAMPLE_ROWS,
                "a whole number from 2 to 65536 (the time that training takes grows with its square)",
            )?,
            core_points: number(
                header,
                "core_points",
                CORE_POINTS,
                |n| (1..=CORE_POINTS).contains(n),
                "a whole number from 1 to 2000",
            )?,
            bootstraps: bootstraps(header, default.bootstraps)?,
            naming: Naming::from_header(header)?,
            gate: DensityGate {
                max_share,
                max_noise: share(header, "max_noise", default.gate.max_noise)?,
                min_stability,
                max_spread,
            },
            preparation: Preparation::from_header(header)?,
            ..default
        })
    }

    /// Every setting that the result depends on, one line.
    pub fn describe(&self) -> String {
        // every field is named here, so that a new one cannot be forgotten
        let DensitySettings {
            min_cluster_size,
            min_samples,
            allow_single_cluster,
            sample_rows,
            core_points,
            bootstraps,
            naming,
            preparation,
            gate: DensityGate { max_share, max_noise, min_stability, max_spread },
            threads: _, // never changes the result
        } = self;
        format!(
            "hdbscan min_cluster_size={min_cluster_size} min_samples={min_samples} \
             allow_single_cluster={allow_single_cluster} {} sample_rows={sample_rows} core_points={core_points} \
             bootstraps={bootstraps} {} max_share={max_share} max_noise={max_noise} min_stability={min_stability} \
             max_spread={max_spread}",
            preparation.describe(),
            naming.describe(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<DensitySettings> {
        DensitySettings::from_header(&pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect())
    }

    #[test]
    fn reads_every_key() {
        let s = read(&[
            ("min_cluster_size", "100"),
            ("transform", "log1p, recency_days = none"),
            ("scale", "standard"),
            ("sample_rows", "32_768"),
            ("allow_single_cluster", "true"),
            ("max_share", ".7"),
            ("bootstraps", "2"),
            ("min_stability", ".7"),
            ("titles_zh", "orders=订单数"),
        ])
        .unwrap();
        assert_eq!(
            (s.min_cluster_size, s.min_samples, s.sample_rows, s.core_points),
            (100, 100, 32_768, 2000)
        );
        assert_eq!((s.allow_single_cluster, s.gate.max_share, s.gate.max_noise), (true, 0.7, 0.5));
        assert!(
            s.describe().contains("transform=log1p,recency_days=none scale=standard clip=8 "),
            "{}",
            s.describe()
        );
        assert!(s.describe().contains(" bootstraps=2 tags= titles_zh=,orders=订单数 "), "{}", s.describe());
        assert!(s.describe().contains(" min_stability=0.7 "), "{}", s.describe());
        let s = read(&[("min_cluster_size", "30"), ("min_samples", "5")]).unwrap();
        assert_eq!((s.min_cluster_size, s.min_samples, s.sample_rows), (30, 5, 16_384));
        assert_eq!((s.bootstraps, s.gate.min_stability), (4, 0.6));
    }

    #[test]
    fn refuses_with_key_value_and_remedy() {
        let size = ("min_cluster_size", "10");
        for (pairs, expected) in [
            (vec![], "add `min_cluster_size: 100`"),
            (vec![("min_cluster_size", "1")], "header `min_cluster_size: 1`: give a whole number of rows"),
            (
                vec![size, ("k", "3")],
                "a hdbscan stage has no setting `k`; it has allow_single_cluster, bootstraps, clip,",
            ),
            (
                vec![size, ("sample_rows", "100000")],
                "`sample_rows: 100000`: give a whole number from 2 to 65536",
            ),
            (vec![size, ("core_points", "2001")], "from 1 to 2000"),
            (vec![size, ("bootstraps", "1001")], "a whole number, 0 to 1000"),
            (vec![size, ("min_stability", "2")], "a number from 0 to 1"),
            (vec![size, ("max_noise", "50 %")], "header `max_noise: 50 %`"),
            (vec![size, ("allow_single_cluster", "yes")], "true or false"),
            (vec![size, ("scale", "minmax")], "header `scale: minmax`: give none, standard or robust"),
        ] {
            let message = read(&pairs).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
