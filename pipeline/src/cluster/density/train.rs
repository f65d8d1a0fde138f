//! Trains a density model: HDBSCAN on the sample, core points of what it finds, their radii and names.

use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::SendableRecordBatchStream;
use strata_udfs::model::DensityModel;

use super::super::naming::{Language, deviations, segment_names};
use super::super::preparation::Scale;
use super::super::quality::spread;
use super::super::sample::{Sample, collect};
use super::super::scale::{Matrix, learn_scaling};
use super::condensed::{Chosen, condense};
use super::core_distances::core_distances;
use super::cover::{core_rows, nearest, radii};
use super::hierarchy::hierarchy;
use super::quality::DensityQuality;
use super::settings::DensitySettings;
use super::spanning_tree::spanning_tree;
use super::tiles::{TILE, tiles};
use crate::{Context, Error, Result};

/// A trained model, its figures, and what HDBSCAN says of the sample.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedDensity {
    /// The model: segments by falling size in the sample, ties by the first of their rows in the sample's order.
    pub model: DensityModel,
    /// Its figures.
    pub quality: DensityQuality,
    /// The rows of the sample, in its order.
    pub sample: Vec<Membership>,
}

/// A row of the sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Membership {
    /// The row's key.
    pub key: String,
    /// Its segment; none for noise.
    pub segment: Option<u32>,
    /// How deep in its segment it lies, from 0 (noise) to 1: scikit-learn's `probabilities_`.
    pub probability: f64,
}

/// Trains HDBSCAN on a stream of rows: the first column is the unique key, the others are the features. NULL and NaN
/// features lie at the feature's centre. The model depends on the settings and on the set of rows only: not on their order,
/// their batches or the number of threads. Takes time of the square of the sample, and memory of the sample.
///
/// # Errors
/// [`Error::Usage`] for columns or transforms that do not fit; [`Error::Contract`] for a NULL or repeated key, features
/// that cannot be scaled, fewer rows than a segment needs, or no segment at all.
pub async fn train_density(
    settings: &DensitySettings,
    rows: SendableRecordBatchStream,
) -> Result<TrainedDensity> {
    let sample = collect(rows, settings.sample_rows).await?;
    let settings = settings.clone();
    SpawnedTask::spawn_blocking(move || fit(&settings, sample)).await.context("train hdbscan")?
}

/// Trains on a sample that is in its canonical order.
fn fit(settings: &DensitySettings, sample: Sample) -> Result<TrainedDensity> {
    let needed = settings.min_cluster_size.max(settings.min_samples);
    if sample.rows.len() < needed {
        return Err(Error::Contract(format!(
            "the training rows are {}, too few for `min_cluster_size: {}` and `min_samples: {}`: lower both, or train \
             on more rows",
            sample.rows.len(),
            settings.min_cluster_size,
            settings.min_samples
        )));
    }
    let threads = settings.threads;
    let (scaling, points) = learn_scaling(&settings.preparation, &sample, threads)?;
    let tiles = tiles(&points, TILE);
    let core = core_distances(&points, &tiles, settings.min_samples, threads)?;
    let edges = spanning_tree(&points, &tiles, &core, threads)?;
    let tree = condense(points.len(), &hierarchy(points.len(), &edges), settings.min_cluster_size);
    let chosen = tree.choose(settings.allow_single_cluster);
    refuse_none_and_too_many(settings, chosen.sizes.len())?;

    let kept = core_rows(&points, &chosen.labels, &core, &chosen.sizes, settings.core_points, threads)?;
    let segments =
        kept.iter().enumerate().flat_map(|(segment, rows)| rows.iter().map(move |_| segment as i32));
    let rows = kept.concat();
    let mut model = DensityModel {
        scaling,
        points: rows.iter().flat_map(|row| points.row(*row).iter().copied()).collect(),
        segments: segments.collect(),
        radii: vec![0.0; rows.len()],
        names: names(&points, &chosen, &sample.features),
    };
    let nearest = nearest(&model, &points, threads)?;
    model.radii = radii(&model.segments, &rows, &core, &chosen.labels, &nearest);
    model.validate().context("check the trained model")?;
    let unscaled = settings.preparation.scale == Scale::None;
    let quality = quality(&model, &chosen, &nearest, sample.seen, unscaled.then(|| spread(&points)));
    let members = sample.rows.into_iter().zip(chosen.labels.iter().zip(&chosen.probabilities));
    let sample = members
        .map(|(row, (segment, probability))| Membership {
            key: row.key,
            segment: *segment,
            probability: *probability,
        })
        .collect();
    Ok(TrainedDensity { model, quality, sample })
}

fn refuse_none_and_too_many(settings: &DensitySettings, segments: usize) -> Result<()> {
    if segments == 0 {
        return Err(Error::Contract(format!(
            "no {} training rows or more lie denser than what is around them and apart from others: lower \
             `min_cluster_size` or `min_samples`, or set `allow_single_cluster: true`",
            settings.min_cluster_size
        )));
    }
    if segments > settings.core_points {
        return Err(Error::Contract(format!(
            "the training rows fall into {segments} segments, more than `core_points: {}`: raise `min_cluster_size`",
            settings.core_points
        )));
    }
    Ok(())
}

/// Names after the segments' means. A single segment is told from the noise, which is not everyone either.
fn names(points: &Matrix, chosen: &Chosen, features: &[String]) -> Vec<String> {
    let k = chosen.sizes.len();
    let mut sums = vec![0.0; (k + 1) * points.width];
    let mut sizes = vec![0u64; k + 1];
    for (row, label) in points.rows().zip(&chosen.labels) {
        let group = label.map_or(k, |label| label as usize);
        sizes[group] += 1;
        let sums = &mut sums[group * points.width..];
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    let named = if k == 1 && sizes[k] > 0 { k + 1 } else { k };
    let means = sums.chunks_exact(points.width).zip(&sizes).take(named);
    let means: Vec<f64> = means.flat_map(|(sum, size)| sum.iter().map(|sum| sum / *size as f64)).collect();
    let mut names = segment_names(&deviations(points, &means), features, Language::English);
    names.truncate(k);
    names
}

fn quality(
    model: &DensityModel,
    chosen: &Chosen,
    nearest: &[(usize, f64)],
    rows: u64,
    unscaled_spread: Option<f64>,
) -> DensityQuality {
    let n = chosen.labels.len();
    let members: u64 = chosen.sizes.iter().sum();
    let noise = n as u64 - members;
    let (mut members_kept, mut noise_kept) = (0u64, 0u64);
    let mut probabilities = vec![0.0; chosen.sizes.len()];
    for (row, (point, squared)) in nearest.iter().enumerate() {
        let segment = model.covers(*point, *squared).then(|| model.segments[*point] as u32);
        match chosen.labels[row] {
            Some(label) => {
                probabilities[label as usize] += chosen.probabilities[row];
                members_kept += u64::from(segment == Some(label));
            }
            None => noise_kept += u64::from(segment.is_none()),
        }
    }
    probabilities.iter_mut().zip(&chosen.sizes).for_each(|(sum, size)| *sum /= *size as f64);
    let share = |part: u64, of: u64| if of == 0 { 1.0 } else { part as f64 / of as f64 };
    DensityQuality {
        rows,
        sample_rows: n as u64,
        stabilities: chosen.stabilities.clone(),
        probabilities,
        noise_share: share(noise, n as u64),
        largest_share: share(chosen.sizes.iter().copied().max().unwrap_or(0), n as u64),
        core_points: model.segments.len(),
        members_kept: share(members_kept, members),
        noise_kept: share(noise_kept, noise),
        unscaled_spread,
        sizes: chosen.sizes.clone(),
    }
}
