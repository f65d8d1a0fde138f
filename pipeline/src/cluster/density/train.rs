//! Trains a density model: HDBSCAN on the sample, core points of what it finds, their radii and names.

use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::SendableRecordBatchStream;
use strata_udfs::model::{DensityModel, SegmentQuality};

use super::super::matching::{Before, by_id, continued_ids};
use super::super::naming::Naming;
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
use super::stability::stability;
use super::tiles::{TILE, tiles};
use crate::{Context, Error, Result};

/// A trained model, its figures, and what HDBSCAN says of the sample.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedDensity {
    /// The model. Segments that follow no model are numbered by falling size in the sample, ties by the first of their rows
    /// in the sample's order.
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
    /// The id of its segment; none for noise.
    pub segment: Option<i32>,
    /// How deep in its segment it lies, from 0 (noise) to 1: scikit-learn's `probabilities_`.
    pub probability: f64,
}

/// Trains HDBSCAN on a stream of rows: the first column is the unique key, the others are the features. NULL and NaN
/// features lie at the feature's centre. The model depends on the settings, on the set of rows and on the model before only:
/// not on the rows' order, their batches or the number of threads. Takes time of the square of the sample, and memory of the
/// sample. A segment takes the id of the segment of the model before whose rows it has, or one from `ids_from` on.
///
/// # Errors
/// [`Error::Usage`] for columns or transforms that do not fit; [`Error::Contract`] for a NULL or repeated key, features
/// that cannot be scaled, fewer rows than a segment needs, or no segment at all.
pub async fn train_density(
    settings: &DensitySettings,
    rows: SendableRecordBatchStream,
    before: Option<&DensityModel>,
    ids_from: i32,
) -> Result<TrainedDensity> {
    let sample = collect(rows, settings.sample_rows, &settings.naming.tags).await?;
    let (settings, before) = (settings.clone(), before.cloned());
    let work = move || fit(&settings, sample, before.as_ref(), ids_from);
    SpawnedTask::spawn_blocking(work).await.context("train hdbscan")?
}

/// Trains on a sample that is in its canonical order.
fn fit(
    settings: &DensitySettings,
    sample: Sample,
    before: Option<&DensityModel>,
    ids_from: i32,
) -> Result<TrainedDensity> {
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
    let (chosen, core) = hdbscan(settings, &points, threads)?;
    refuse_none_and_too_many(settings, chosen.sizes.len())?;
    let hashes: Vec<u64> = sample.rows.iter().map(|row| row.hash).collect();
    let bootstrap_stability = stability(settings, &points, &hashes, &chosen.labels)?;
    let (chosen, segments, next_segment) = with_ids(chosen, &sample, (before, ids_from), threads)?;

    let kept = core_rows(&points, &chosen.labels, &core, &chosen.sizes, settings.core_points, threads)?;
    let places = kept.iter().enumerate().flat_map(|(place, rows)| rows.iter().map(move |_| place as i32));
    let rows = kept.concat();
    let [names, names_zh] = names(&settings.naming, &sample, &points, &chosen)?;
    let mut model = DensityModel {
        scaling,
        points: rows.iter().flat_map(|row| points.row(*row).iter().copied()).collect(),
        places: places.collect(),
        radii: vec![0.0; rows.len()],
        segments,
        next_segment,
        names,
        names_zh,
        ..DensityModel::default()
    };
    let nearest = nearest(&model, &points, threads)?;
    model.radii = radii(&model.places, &rows, &core, &chosen.labels, &nearest);
    let unscaled = settings.preparation.scale == Scale::None;
    let quality = DensityQuality {
        bootstrap_stability,
        unscaled_spread: unscaled.then(|| spread(&points)),
        ..quality(&model, &chosen, &nearest, sample.seen)
    };
    remember(&mut model, &quality);
    model.validate().context("check the trained model")?;
    let members = sample.rows.into_iter().zip(chosen.labels.iter().zip(&chosen.probabilities));
    let sample = members
        .map(|(row, (segment, probability))| Membership {
            key: row.key,
            segment: segment.map(|place| model.segments[place as usize]),
            probability: *probability,
        })
        .collect();
    Ok(TrainedDensity { model, quality, sample })
}

/// What HDBSCAN says of points, and the squared core distance of each.
pub(super) fn hdbscan(
    settings: &DensitySettings,
    points: &Matrix,
    threads: usize,
) -> Result<(Chosen, Vec<f64>)> {
    let tiles = tiles(points, TILE);
    let core = core_distances(points, &tiles, settings.min_samples, threads)?;
    let edges = spanning_tree(points, &tiles, &core, threads)?;
    let tree = condense(points.len(), &hierarchy(points.len(), &edges), settings.min_cluster_size);
    Ok((tree.choose(settings.allow_single_cluster), core))
}

/// Gives each segment its id and orders them by it: (segments, ids, the first id unused).
fn with_ids(
    chosen: Chosen,
    sample: &Sample,
    (before, ids_from): (Option<&DensityModel>, i32),
    threads: usize,
) -> Result<(Chosen, Vec<i32>, i32)> {
    let places = match before {
        Some(before) => places_in(before, sample, threads)?,
        None => Vec::new(),
    };
    let ids = before.map(|before| (&before.segments[..], before.next_segment));
    let known = Before::of(ids, ids_from, &places);
    let (ids, next) = continued_ids(&known, &chosen.labels, chosen.sizes.len());
    let (order, ranks) = by_id(&ids);
    let segments = order.iter().map(|segment| ids[*segment]).collect();
    Ok((chosen.ordered(&order, &ranks), segments, next))
}

/// The place of the segment to which a model before assigns each row, none for noise; empty when that has other features.
fn places_in(before: &DensityModel, sample: &Sample, threads: usize) -> Result<Vec<Option<usize>>> {
    if before.scaling.features != sample.features {
        return Ok(Vec::new());
    }
    let width = before.d();
    let mut values = vec![0.0; sample.rows.len() * width];
    for (row, scaled) in sample.rows.iter().zip(values.chunks_exact_mut(width)) {
        before.scaling.scale_into(row.values.iter().copied().map(Some), scaled);
    }
    let nearest = nearest(before, &Matrix { values, width }, threads)?;
    let place =
        |(point, squared): (usize, f64)| before.covers(point, squared).then(|| before.places[point] as usize);
    Ok(nearest.into_iter().map(place).collect())
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

/// English and Chinese names after the segments' means. A single segment is told from the noise, which is not everyone
/// either.
fn names(naming: &Naming, sample: &Sample, points: &Matrix, chosen: &Chosen) -> Result<[Vec<String>; 2]> {
    let k = chosen.sizes.len();
    let mut sums = vec![0.0; (k + 1) * points.width];
    let mut sizes = vec![0u64; k + 1];
    let groups: Vec<Option<u32>> = chosen.labels.iter().map(|label| label.or(Some(k as u32))).collect();
    for (row, group) in points.rows().zip(groups.iter().flatten()) {
        sizes[*group as usize] += 1;
        let sums = &mut sums[*group as usize * points.width..];
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    let named = if k == 1 && sizes[k] > 0 { k + 1 } else { k };
    let means = sums.chunks_exact(points.width).zip(&sizes).take(named);
    let means: Vec<f64> = means.flat_map(|(sum, size)| sum.iter().map(|sum| sum / *size as f64)).collect();
    let mut names = naming.names(sample, points, &groups, &means)?;
    names.iter_mut().for_each(|names| names.truncate(k));
    Ok(names)
}

/// Writes down how good the segments are.
fn remember(model: &mut DensityModel, quality: &DensityQuality) {
    model.noise_share = quality.noise_share;
    model.largest_share = quality.largest_share;
    model.bootstrap_stability = quality.bootstrap_stability;
    let figures = quality.sizes.iter().zip(quality.stabilities.iter().zip(&quality.probabilities));
    let figures = model.segments.iter().zip(figures);
    model.quality = figures
        .map(|(segment, (rows, (stability, probability)))| SegmentQuality {
            segment: *segment,
            rows: *rows as i64,
            stability: *stability,
            probability: *probability,
        })
        .collect();
}

/// All figures but stability and spread.
fn quality(model: &DensityModel, chosen: &Chosen, nearest: &[(usize, f64)], rows: u64) -> DensityQuality {
    let n = chosen.labels.len();
    let members: u64 = chosen.sizes.iter().sum();
    let noise = n as u64 - members;
    let (mut members_kept, mut noise_kept) = (0u64, 0u64);
    let mut probabilities = vec![0.0; chosen.sizes.len()];
    for (row, (point, squared)) in nearest.iter().enumerate() {
        let segment = model.covers(*point, *squared).then(|| model.places[*point] as u32);
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
        bootstrap_stability: None,
        core_points: model.places.len(),
        members_kept: share(members_kept, members),
        noise_kept: share(noise_kept, noise),
        unscaled_spread: None,
        sizes: chosen.sizes.clone(),
    }
}
