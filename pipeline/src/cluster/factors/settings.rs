//! What the header of a factors stage may say.

use std::fmt::Display;

use super::super::header::{Header, bad, number, refuse_unknown};
use super::super::preparation::{Preparation, Scale};
use crate::Result;

/// How factors are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Principal components: the directions of largest variance.
    Pca,
    /// Factor analysis by maximum likelihood: what features have in common, their own variance left aside.
    Factor,
}

impl Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Method::Pca => "pca",
            Method::Factor => "factor",
        })
    }
}

/// How factors are turned once they are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// They stay.
    None,
    /// Varimax with Kaiser normalisation.
    Varimax,
    /// Varimax on loadings as they are.
    RawVarimax,
}

impl Display for Rotation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Rotation::None => "none",
            Rotation::Varimax => "varimax",
            Rotation::RawVarimax => "raw_varimax",
        })
    }
}

/// The settings of a factors model stage.
#[derive(Debug, Clone, PartialEq)]
pub struct FactorsSettings {
    /// Header key `method`: `pca` (the default) or `factor`.
    pub method: Method,
    /// Number of factors; `None` for those whose eigenvalue is above the mean one, which is 1 for standardised features
    /// (Kaiser 1960). Header key `components`: a number or `kaiser` (the default).
    pub components: Option<usize>,
    /// Header key `rotation`: `none` (the default), `varimax` or `raw_varimax`.
    pub rotation: Rotation,
    /// As in a k-means stage, but `scale` is `standard` by default, so that correlations are analysed, else covariances.
    pub preparation: Preparation,
    /// Most rows learned from, those with the smallest hashes of their keys. Header key `sample_rows`, 262,144.
    pub sample_rows: usize,
}

const OWN_KEYS: [&str; 4] = ["components", "method", "rotation", "sample_rows"];

impl FactorsSettings {
    /// Reads the settings from those keys of a stage's header that are not the stage's own.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown key or a value that cannot be read or is out of range.
    pub fn from_header(header: &Header) -> Result<Self> {
        let known: Vec<&str> = OWN_KEYS.into_iter().chain(Preparation::KEYS).collect();
        refuse_unknown(header, "factors", &known)?;
        let preparation = Preparation::from_header(header)?;
        let scale = if header.contains_key("scale") { preparation.scale } else { Scale::Standard };
        Ok(FactorsSettings {
            method: match word(header, "method") {
                None | Some("pca") => Method::Pca,
                Some("factor") => Method::Factor,
                Some(other) => return Err(bad("method", other, "pca or factor")),
            },
            components: match word(header, "components") {
                None | Some("kaiser") => None,
                Some(number) => match number.parse() {
                    Ok(number) if (1..=1000).contains(&number) => Some(number),
                    _ => return Err(bad("components", number, "`kaiser` or a whole number from 1 to 1000")),
                },
            },
            rotation: match word(header, "rotation") {
                None | Some("none") => Rotation::None,
                Some("varimax") => Rotation::Varimax,
                Some("raw_varimax") => Rotation::RawVarimax,
                Some(other) => return Err(bad("rotation", other, "none, varimax or raw_varimax")),
            },
            preparation: Preparation { scale, ..preparation },
            sample_rows: number(
                header,
                "sample_rows",
                262_144,
                |n| (1..=10_000_000).contains(n),
                "a whole number from 1 to 10000000 (the sample is held in memory)",
            )?,
        })
    }

    /// Every setting that the result depends on, one line.
    pub fn describe(&self) -> String {
        let FactorsSettings { method, components, rotation, preparation, sample_rows } = self;
        format!(
            "factors method={method} components={} rotation={rotation} {} sample_rows={sample_rows}",
            components.map_or("kaiser".to_owned(), |number| number.to_string()),
            preparation.describe(),
        )
    }
}

fn word<'a>(header: &'a Header, key: &str) -> Option<&'a str> {
    header.get(key).map(|value| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<FactorsSettings> {
        FactorsSettings::from_header(&pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect())
    }

    #[test]
    fn reads_every_key() {
        let defaults = read(&[]).unwrap();
        assert_eq!(
            (defaults.method, defaults.components, defaults.rotation),
            (Method::Pca, None, Rotation::None)
        );
        assert_eq!((defaults.preparation.scale, defaults.sample_rows), (Scale::Standard, 262_144));
        let all = read(&[
            ("method", "factor"),
            ("components", "3"),
            ("rotation", "varimax"),
            ("transform", "log1p, share=none"),
            ("scale", "robust"),
            ("clip", "6"),
            ("sample_rows", "5_000"),
        ])
        .unwrap();
        assert_eq!((all.method, all.components, all.rotation), (Method::Factor, Some(3), Rotation::Varimax));
        assert_eq!((all.preparation.scale, *all.preparation.clip.of("x")), (Scale::Robust, 6.0));
        assert_eq!(
            all.describe(),
            "factors method=factor components=3 rotation=varimax transform=log1p,share=none scale=robust clip=6 \
             weights=1 groups= sample_rows=5000"
        );
    }

    #[test]
    fn refuses_with_key_value_and_remedy() {
        for (pair, expected) in [
            (("k", "3"), "a factors stage has no setting `k`; it has components, method,"),
            (("method", "ica"), "header `method: ica`: give pca or factor"),
            (("components", "0"), "header `components: 0`: give `kaiser` or a whole number"),
            (("rotation", "oblimin"), "header `rotation: oblimin`: give none, varimax or raw_varimax"),
            (("scale", "minmax"), "header `scale: minmax`: give none, standard or robust"),
        ] {
            let message = read(&[pair]).unwrap_err().to_string();
            assert!(message.contains(expected), "{message} lacks {expected}");
        }
    }
}
