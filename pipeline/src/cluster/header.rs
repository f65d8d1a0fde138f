//! Reading settings from a stage's header: each complaint names key, value and remedy.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::{Error, Result};

pub(crate) type Header = BTreeMap<String, String>;

pub(crate) fn bad(key: &str, value: &str, remedy: &str) -> Error {
    Error::Usage(format!("header `{key}: {value}`: give {remedy}"))
}

pub(crate) fn refuse_unknown(header: &Header, kind: &str, known: &[&str]) -> Result<()> {
    let unknown = header.iter().find(|(key, _)| !known.contains(&key.as_str()));
    match unknown {
        None => Ok(()),
        Some((key, value)) => Err(Error::Usage(format!(
            "header `{key}: {value}`: a {kind} stage has no setting `{key}`; it has {}",
            known.join(", ")
        ))),
    }
}

/// A number, digits grouped by `_` if the writer likes.
pub(crate) fn number<T: FromStr>(
    header: &Header,
    key: &str,
    default: T,
    valid: impl Fn(&T) -> bool,
    remedy: &str,
) -> Result<T> {
    match header.get(key) {
        None => Ok(default),
        Some(text) => parse_number(text).filter(|value| valid(value)).ok_or_else(|| bad(key, text, remedy)),
    }
}

/// A share of a whole, both ends included.
pub(crate) fn share(header: &Header, key: &str, default: f64) -> Result<f64> {
    number(header, key, default, |share| (0.0..=1.0).contains(share), "a number from 0 to 1")
}

pub(crate) fn parse_number<T: FromStr>(text: &str) -> Option<T> {
    text.trim().replace('_', "").parse().ok()
}

/// Values that may differ from feature to feature.
#[derive(Debug, Clone, PartialEq)]
pub struct ByFeature<T> {
    /// For every feature that is not named.
    pub default: T,
    /// Feature and value, in the order of the header.
    pub named: Vec<(String, T)>,
}

impl<T> ByFeature<T> {
    /// The same for every feature.
    pub fn all(default: T) -> Self {
        ByFeature { default, named: Vec::new() }
    }

    /// The value of a feature.
    pub fn of(&self, feature: &str) -> &T {
        self.named.iter().find(|(name, _)| name == feature).map_or(&self.default, |(_, value)| value)
    }

    /// Reads `value, feature=value, ...`: a value alone goes for every feature not named, each feature stands once.
    pub(crate) fn from_header(
        header: &Header,
        key: &str,
        default: T,
        parse: impl Fn(&str) -> Option<T>,
        remedy: &str,
    ) -> Result<Self> {
        let mut read = ByFeature::all(default);
        let Some(text) = header.get(key) else { return Ok(read) };
        let remedy = format!(
            "`feature={remedy}`, separated by commas; a value alone goes for every feature not named; each feature once"
        );
        let mut alone = false;
        for part in text.split(',') {
            let (feature, word) = match part.split_once('=') {
                Some((feature, word)) => (Some(feature.trim()), word.trim()),
                None => (None, part.trim()),
            };
            let Some(value) = parse(word) else { return Err(bad(key, text, &remedy)) };
            match feature {
                None if !alone => (read.default, alone) = (value, true),
                Some(f) if !f.is_empty() && read.named.iter().all(|(name, _)| name != f) => {
                    read.named.push((f.to_string(), value));
                }
                _ => return Err(bad(key, text, &remedy)),
            }
        }
        Ok(read)
    }

    /// Refuses names that are no features.
    pub(crate) fn check(&self, key: &str, features: &[String]) -> Result<()> {
        match self.named.iter().find(|(name, _)| !features.contains(name)) {
            None => Ok(()),
            Some((name, _)) => Err(Error::Usage(format!(
                "header `{key}: {name}=...`: the training rows have no feature `{name}`; they have {}",
                features.join(", ")
            ))),
        }
    }
}

impl<T: std::fmt::Display> std::fmt::Display for ByFeature<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.default)?;
        self.named.iter().try_for_each(|(feature, value)| write!(f, ",{feature}={value}"))
    }
}
