//! Trains a factors model: the sample prepared, its correlations taken apart, the factors turned, ordered and named.

use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::SendableRecordBatchStream;
use strata_udfs::model::{FactorScorer, FactorVariance, FactorsModel, Loading};

use super::super::preparation::Scale;
use super::super::sample::{Sample, collect};
use super::super::scale::{Matrix, learn_scaling};
use super::eigen::eigen;
use super::likelihood::{maximum_likelihood, most_factors};
use super::moments::Moments;
use super::report::{notes, report};
use super::rotation::varimax;
use super::settings::{FactorsSettings, Method, Rotation};
use crate::{Context, Error, Result};

/// Most features: beyond, decompositions take minutes.
const MAX_FEATURES: usize = 500;

/// Below this share of the largest eigenvalue there is only rounding.
const NOTHING: f64 = 1e-12;

/// Eigenvalues that exceed the mean one by less are equal to it but for rounding.
const ABOVE_MEAN: f64 = 1.0 + 1e-9;

/// Least absolute correlation of a feature and a factor for the factor's name, and most features in it.
const NOTABLE: f64 = 0.5;
const IN_NAME: usize = 3;

/// A trained model and what its user should know.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedFactors {
    pub model: FactorsModel,
    /// A line each constant feature, pair of redundant features, and search that did not end.
    pub notes: Vec<String>,
}

/// Learns factors from a stream of rows: the first column is the unique key, the others are the features. NULL and NaN
/// lie at the feature's centre. The model depends on the settings and on the set of rows only: not on their order, their
/// batches or the number of threads.
///
/// Under `scale: standard` the correlations of the prepared features are analysed, else their covariances (divisor n).
/// Principal components are eigenvectors, loadings their multiples by the roots of the eigenvalues; factor analysis is by
/// maximum likelihood. Factors stand by falling variance that they explain; the largest loading of each is positive.
/// Features of one value take no part: their loadings and weights are 0.
///
/// # Errors
/// [`Error::Usage`] for columns, transforms or numbers of features that do not fit; [`Error::Contract`] for a NULL or
/// repeated key, features that cannot be scaled, fewer than two rows, features that all stay the same, and more
/// components than there can be.
pub async fn train_factors(
    settings: &FactorsSettings,
    rows: SendableRecordBatchStream,
) -> Result<TrainedFactors> {
    let sample = collect(rows, settings.sample_rows, &[]).await?;
    let settings = settings.clone();
    SpawnedTask::spawn_blocking(move || fit(&settings, &sample)).await.context("train factors")?
}

/// Factors over the features that vary: a vector over these each factor.
struct Factors {
    loadings: Vec<Vec<f64>>,
    weights: Vec<Vec<f64>>,
}

/// Learns from a sample that is in its canonical order.
pub(super) fn fit(settings: &FactorsSettings, sample: &Sample) -> Result<TrainedFactors> {
    if sample.features.len() > MAX_FEATURES {
        return Err(Error::Usage(format!(
            "the training rows have {} features: at most {MAX_FEATURES} can be taken apart, so select fewer",
            sample.features.len()
        )));
    }
    if sample.rows.len() < 2 {
        return Err(Error::Contract(format!(
            "factors are learned from what differs between rows, but there are {} training rows: train on more",
            sample.rows.len()
        )));
    }
    let (scaling, points) = learn_scaling(&settings.preparation, sample, 1)?;
    let moments = Moments::of(&points);
    let mut notes = notes(&sample.features, &moments);
    let varying: Vec<usize> = (0..points.width).filter(|f| moments.variance(*f) > 0.0).collect();
    if varying.is_empty() {
        return Err(Error::Contract(
            "every feature of the training rows is the same for all of them: there is nothing to take apart"
                .into(),
        ));
    }
    // what each feature is divided by once more, so that clipped and missing values leave a variance of 1
    let units: Vec<f64> = match settings.preparation.scale {
        Scale::Standard => varying.iter().map(|f| moments.variance(*f).sqrt()).collect(),
        Scale::None | Scale::Robust => vec![1.0; varying.len()],
    };
    let matrix = analysed(&moments, &varying, &units);
    let (eigenvalues, vectors) = eigen(&matrix)?;
    let m = components(settings, &eigenvalues)?;
    let mut factors = match settings.method {
        Method::Pca => principal(&eigenvalues, &vectors, m, settings.rotation),
        Method::Factor => {
            let found = maximum_likelihood(&matrix, m)?;
            if !found.settled {
                notes.push("the factors' likelihood still grew when the search for its maximum ended".into());
            }
            Factors { loadings: found.loadings, weights: found.weights }
        }
    };
    match settings.rotation {
        Rotation::None => {}
        Rotation::Varimax => varimax(&mut factors.loadings, &mut factors.weights, true),
        Rotation::RawVarimax => varimax(&mut factors.loadings, &mut factors.weights, false),
    }
    let factors = canonical(factors);
    let features: Vec<&String> = varying.iter().map(|f| &sample.features[*f]).collect();
    let names: Vec<String> = factors.loadings.iter().map(|of| name(of, &matrix, &features)).collect();
    let mut weights = vec![0.0; m * points.width];
    for (row, of) in weights.chunks_exact_mut(points.width).zip(&factors.weights) {
        varying.iter().zip(of).zip(&units).for_each(|((f, weight), unit)| row[*f] = weight / unit);
    }
    let report = report(sample, &moments);
    let scorer = FactorScorer { scaling, means: moments.means, weights, names };
    scorer.validate().context("check the trained model")?;
    let model = FactorsModel {
        loadings: loadings(&factors.loadings, &matrix, &varying, &sample.features),
        variances: variances(&factors.loadings, &eigenvalues, &scorer.names),
        scorer,
        report,
    };
    Ok(TrainedFactors { model, notes })
}

/// Covariances of the varying features in their units. In units of their own deviations the diagonal is exactly 1.
fn analysed(moments: &Moments, varying: &[usize], units: &[f64]) -> Matrix {
    let entry = |(i, a): (usize, &usize), (j, b): (usize, &usize)| {
        let covariance = moments.covariance.row(*a)[*b];
        if i == j { covariance / (units[i] * units[i]) } else { covariance / (units[i] * units[j]) }
    };
    let rows = varying.iter().enumerate();
    let values = rows.flat_map(|a| varying.iter().enumerate().map(move |b| entry(a, b))).collect();
    Matrix { values, width: varying.len() }
}

/// How many factors to keep.
fn components(settings: &FactorsSettings, eigenvalues: &[f64]) -> Result<usize> {
    let d = eigenvalues.len();
    let rank = eigenvalues.iter().filter(|value| **value > NOTHING * eigenvalues[0]).count();
    let (most, reason) = match settings.method {
        Method::Pca => (rank, format!("the training rows vary in {rank} directions")),
        Method::Factor => {
            let most = most_factors(d);
            (most, format!("{d} features that vary determine at most {most} by their correlations"))
        }
    };
    match settings.components {
        Some(wanted) if wanted > most => Err(Error::Contract(format!(
            "header `components: {wanted}`: {reason}; set `components` to {most} or less, or select other features"
        ))),
        Some(wanted) => Ok(wanted),
        None if most == 0 => {
            Err(Error::Contract(format!("{reason}: use `method: pca`, or select more features")))
        }
        None => {
            let mean = eigenvalues.iter().sum::<f64>() / d as f64;
            let above = eigenvalues.iter().filter(|value| **value > mean * ABOVE_MEAN).count();
            Ok(above.clamp(1, most))
        }
    }
}

/// The first m principal components. Components that will be turned are standardised, so that scores stay uncorrelated.
fn principal(eigenvalues: &[f64], vectors: &Matrix, m: usize, rotation: Rotation) -> Factors {
    let mut factors = Factors { loadings: Vec::new(), weights: Vec::new() };
    for (vector, value) in vectors.rows().zip(eigenvalues).take(m) {
        let root = value.sqrt();
        factors.loadings.push(vector.iter().map(|v| v * root).collect());
        let unit = if rotation == Rotation::None { 1.0 } else { root };
        factors.weights.push(vector.iter().map(|v| v / unit).collect());
    }
    factors
}

/// By falling explained variance, equal ones as they come; the first of the largest loadings is positive.
fn canonical(factors: Factors) -> Factors {
    let mut pairs: Vec<(Vec<f64>, Vec<f64>)> = factors.loadings.into_iter().zip(factors.weights).collect();
    pairs.sort_by(|(a, _), (b, _)| explained(b).total_cmp(&explained(a)));
    for (loadings, weights) in &mut pairs {
        let largest =
            loadings.iter().copied().reduce(|best, next| if next.abs() > best.abs() { next } else { best });
        if largest.is_some_and(|loading| loading < 0.0) {
            // 0 - x, so that no zero becomes a negative one
            loadings.iter_mut().chain(weights).for_each(|value| *value = 0.0 - *value);
        }
    }
    let (loadings, weights) = pairs.into_iter().unzip();
    Factors { loadings, weights }
}

fn explained(loadings: &[f64]) -> f64 {
    loadings.iter().map(|loading| loading * loading).sum()
}

/// Up to three features that correlate most with the factor, as in `high orders, low recency_days`.
fn name(loadings: &[f64], matrix: &Matrix, features: &[&String]) -> String {
    let correlations = loadings.iter().enumerate().map(|(i, loading)| (i, loading / matrix.row(i)[i].sqrt()));
    let mut by_size: Vec<(usize, f64)> = correlations.collect();
    by_size.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
    let notable = by_size.iter().filter(|(_, r)| r.abs() >= NOTABLE).count().clamp(1, IN_NAME);
    let words = by_size.iter().take(notable);
    let words: Vec<String> =
        words.map(|(i, r)| format!("{} {}", if *r < 0.0 { "low" } else { "high" }, features[*i])).collect();
    words.join(", ")
}

fn loadings(factors: &[Vec<f64>], matrix: &Matrix, varying: &[usize], features: &[String]) -> Vec<Loading> {
    let mut rows = Vec::with_capacity(factors.len() * features.len());
    for (number, factor) in (1..).zip(factors) {
        for (f, feature) in features.iter().enumerate() {
            let at = varying.binary_search(&f).ok();
            let common = |i: usize| factors.iter().map(|factor| factor[i] * factor[i]).sum::<f64>();
            rows.push(Loading {
                factor: number,
                feature: feature.clone(),
                loading: at.map_or(0.0, |i| factor[i]),
                communality: at.map_or(0.0, |i| common(i) / matrix.row(i)[i]),
            });
        }
    }
    rows
}

fn variances(factors: &[Vec<f64>], eigenvalues: &[f64], names: &[String]) -> Vec<FactorVariance> {
    let total: f64 = eigenvalues.iter().sum();
    let mut cumulative = 0.0;
    let of_eigenvalue = |((at, number), eigenvalue): ((usize, i32), &f64)| {
        let variance = factors.get(at).map(|factor| explained(factor));
        cumulative += variance.unwrap_or(0.0) / total;
        FactorVariance {
            factor: number,
            name: names.get(at).cloned(),
            // rounding leaves what is nothing on either side of 0
            eigenvalue: eigenvalue.max(0.0),
            eigenvalue_share: eigenvalue.max(0.0) / total,
            variance: variance.map(|variance| (variance, variance / total)),
            cumulative_share: variance.map(|_| cumulative),
        }
    };
    (0..).zip(1..).zip(eigenvalues).map(of_eigenvalue).collect()
}
