//! Trains a k-means model: the number of segments chosen, several starts, the best of them polished, its segments
//! matched with those of the model before, ordered and named.

use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::SendableRecordBatchStream;
use strata_udfs::model::KmeansModel;

use super::drift::{drift, remember};
use super::init::{Random, starting_centroids};
use super::lloyd::{Fit, assign, lloyd};
use super::matching::{Before, by_id, continued_ids};
use super::preparation::Scale;
use super::quality::KmeansQuality;
use super::sample::{Sample, SampleRow, collect};
use super::scale::{distinct_rows, learn_scaling};
use super::screen::Screen;
use super::selection::{JUDGED_ROWS, Selection, choose};
use super::settings::KmeansSettings;
use crate::cpu::Meter;
use crate::{Context, Error, Result};

/// So many of the best starts are polished. Starts end at a tolerance, where a better optimum may still look
/// the worse: the two best optima of iris differ by less than the tolerance.
const POLISHED: usize = 4;

/// A trained model and its figures.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedKmeans {
    /// The model. Segments that follow no model are numbered by falling size in the sample, ties by their centroids' values.
    pub model: KmeansModel,
    /// Its figures.
    pub quality: KmeansQuality,
}

/// What becomes of a model that an earlier run left.
#[derive(Debug, Clone, PartialEq)]
pub enum Followed {
    /// The population is as it was: the model stays.
    Kept,
    /// A new model, and why, where the stage says `refit: drifted`.
    Trained(Box<TrainedKmeans>, Option<String>),
}

/// Trains k-means on a stream of rows: the first column is the unique key, the others are the features. NULL and
/// NaN features lie at the feature's centre. The model depends on the settings, on the set of rows and on the model
/// before only: not on the rows' order, their batches or the number of threads.
///
/// Start: k-means|| (Bahmani et al. 2012); iteration: Lloyd with fixed-point sums. Starts are tried on the first
/// [`JUDGED_ROWS`] rows of the sample, and the one of the lowest inertia goes on over all of it (as Bradley and Fayyad 1998
/// refine starts by small samples). A segment takes the id of the segment of the model before whose rows it has.
///
/// # Errors
/// [`Error::Usage`] for columns or settings that do not fit; [`Error::Contract`] for a NULL or repeated key,
/// features that cannot be scaled, or fewer different rows than segments.
pub async fn train_kmeans(
    settings: &KmeansSettings,
    rows: SendableRecordBatchStream,
    before: Option<&KmeansModel>,
) -> Result<TrainedKmeans> {
    match follow_kmeans(settings, rows, before, false, 0).await? {
        Followed::Trained(trained, _) => Ok(*trained),
        Followed::Kept => Err(Error::other("a model was kept that was to be trained")),
    }
}

/// As [`train_kmeans`], but keeps the model before when `unless_drifted` and its population has not drifted. Segments that
/// continue none get ids from `ids_from` on.
///
/// # Errors
/// Those of [`train_kmeans`].
pub async fn follow_kmeans(
    settings: &KmeansSettings,
    rows: SendableRecordBatchStream,
    before: Option<&KmeansModel>,
    unless_drifted: bool,
    ids_from: i32,
) -> Result<Followed> {
    let sample = collect(rows, settings.sample_rows, &settings.naming.tags).await?;
    let (settings, before) = (settings.clone(), before.cloned());
    let work = move || {
        let why = match &before {
            Some(before) if unless_drifted => match drift(before, &sample, &settings.drift, settings.threads)
            {
                None => return Ok(Followed::Kept),
                why => why,
            },
            _ => None,
        };
        Ok(Followed::Trained(Box::new(fit(&settings, &sample, before.as_ref(), ids_from)?), why))
    };
    SpawnedTask::spawn_blocking(work).await.context("train k-means")?
}

/// Trains on a sample that is in its canonical order.
fn fit(
    settings: &KmeansSettings,
    sample: &Sample,
    before: Option<&KmeansModel>,
    ids_from: i32,
) -> Result<TrainedKmeans> {
    let (scaling, points) = learn_scaling(&settings.preparation, sample, settings.threads)?;
    let judged = points.first_rows(JUDGED_ROWS);
    let fewest = *settings.k.start();
    let distinct = distinct_rows(&judged, fewest);
    if distinct < fewest {
        return Err(Error::Contract(format!(
            "the training rows hold {distinct} different feature vectors, too few for `k: {fewest}`: set `k` to \
             {distinct} or less, or train on more rows",
        )));
    }
    let hashes: Vec<u64> = sample.rows.iter().map(|row| row.hash).collect();
    let Selection { candidates, chosen, fit: best } = choose(settings, &judged, &hashes)?;
    let stability = candidates[chosen].stability;
    let screen = Screen::new(&points);
    let best = match judged.len() == points.len() {
        true => best,
        false => {
            let fit = lloyd(&screen, best.centroids, settings.max_iterations, None, settings.threads)?;
            Fit { iterations: fit.iterations + best.iterations, ..fit }
        }
    };
    let ordered = assign(&screen, canonical(&best, points.width), settings.threads)?;
    let ordered = Fit { iterations: best.iterations, ..ordered };
    let (ordered, segments, next_segment) = with_ids(ordered, sample, (before, ids_from), points.width);
    let unscaled = settings.preparation.scale == Scale::None;
    let quality = KmeansQuality { stability, ..KmeansQuality::of(&points, &ordered, sample.seen, unscaled) };
    let labels: Vec<Option<u32>> = ordered.labels.iter().map(|label| Some(*label)).collect();
    let [names, names_zh] = settings.naming.names(sample, &points, &labels, &ordered.centroids)?;
    let mut model = KmeansModel {
        scaling,
        segments,
        next_segment,
        names,
        names_zh,
        selection: candidates,
        ..KmeansModel::default()
    };
    model.centroids = ordered.centroids;
    remember(&mut model, sample, settings.threads)?;
    model.validate().context("check the trained model")?;
    Ok(TrainedKmeans { model, quality })
}

/// Gives each cluster its segment's id and orders them by it: (fit, ids, the first id unused).
fn with_ids(
    fit: Fit,
    sample: &Sample,
    (before, ids_from): (Option<&KmeansModel>, i32),
    width: usize,
) -> (Fit, Vec<i32>, i32) {
    let k = fit.centroids.len() / width;
    let places = before.map(|before| places_in(before, sample)).unwrap_or_default();
    let ids = before.map(|before| (&before.segments[..], before.next_segment));
    let known = Before::of(ids, ids_from, &places);
    let labels: Vec<Option<u32>> = fit.labels.iter().map(|label| Some(*label)).collect();
    let (ids, next) = continued_ids(&known, &labels, k);
    let (order, ranks) = by_id(&ids);
    let centroids =
        order.iter().flat_map(|c| fit.centroids[c * width..(c + 1) * width].iter().copied()).collect();
    let labels = fit.labels.iter().map(|label| ranks[*label as usize]).collect();
    (Fit { centroids, labels, ..fit }, order.iter().map(|cluster| ids[*cluster]).collect(), next)
}

/// The place of each row's segment in a model before; empty when that has other features.
fn places_in(before: &KmeansModel, sample: &Sample) -> Vec<Option<usize>> {
    if before.scaling.features != sample.features {
        return Vec::new();
    }
    let mut scaled = vec![0.0; before.d()];
    let place = |row: &SampleRow| {
        before.scaling.scale_into(row.values.iter().copied().map(Some), &mut scaled);
        Some(before.nearest_two(&scaled).0)
    };
    sample.rows.iter().map(place).collect()
}

/// The best of `starts` starts, as they end at the tolerance.
pub(crate) fn best_start(
    settings: &KmeansSettings,
    k: usize,
    starts: usize,
    screen: &Screen,
    hashes: &[u64],
) -> Result<Fit> {
    let best = all_starts(settings, k, starts, screen, hashes)?.into_iter().next();
    best.ok_or_else(no_starts)
}

/// Runs all starts, then polishes the best few until no row changes its cluster.
pub(crate) fn best_fit(settings: &KmeansSettings, k: usize, screen: &Screen, hashes: &[u64]) -> Result<Fit> {
    let mut starts = all_starts(settings, k, settings.starts, screen, hashes)?;
    starts.dedup_by(|later, earlier| later.centroids == earlier.centroids);
    starts.truncate(POLISHED);
    let polished = side_by_side(starts.len(), settings.threads, |i, threads| {
        let fit = lloyd(screen, starts[i].centroids.clone(), settings.max_iterations, None, threads)?;
        Ok(Fit { iterations: fit.iterations + starts[i].iterations, ..fit })
    })?;
    polished.into_iter().min_by_key(|fit| fit.inertia).ok_or_else(no_starts)
}

/// The starts by rising inertia; of equal ones the first leads. They hold no labels.
fn all_starts(
    settings: &KmeansSettings,
    k: usize,
    starts: usize,
    screen: &Screen,
    hashes: &[u64],
) -> Result<Vec<Fit>> {
    let KmeansSettings { seed, max_iterations, tolerance, threads, .. } = *settings;
    let mut fits = side_by_side(starts, threads, |start, threads| {
        let centroids =
            starting_centroids(screen.points(), hashes, k, Random::new(seed, start as u64), threads);
        let fit = lloyd(screen, centroids, max_iterations, Some(tolerance), threads)?;
        Ok(Fit { labels: Vec::new(), ..fit })
    })?;
    fits.sort_by_key(|fit| fit.inertia);
    Ok(fits)
}

fn no_starts() -> Error {
    Error::Usage("header `starts: 0`: give a whole number from 1".into())
}

/// Runs `count` jobs, each told how many threads it may use itself; results come in job order.
pub(super) fn side_by_side<T: Send>(
    count: usize,
    threads: usize,
    job: impl Fn(usize, usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let workers = threads.clamp(1, count.max(1));
    let inner = (threads / workers).max(1);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= count {
                return done;
            }
            done.push((i, job(i, inner)));
        }
    };
    let meter = Meter::current();
    let mut results: Vec<(usize, Result<T>)> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(|| meter.run(work))).collect();
        handles
            .into_iter()
            .flat_map(|h| h.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    results.sort_by_key(|(i, _)| *i);
    results.into_iter().map(|(_, result)| result).collect()
}

/// The centroids by falling cluster size, ties by their values in feature order.
fn canonical(fit: &Fit, width: usize) -> Vec<f64> {
    let centroids: Vec<&[f64]> = fit.centroids.chunks_exact(width).collect();
    let mut sizes = vec![0u64; centroids.len()];
    fit.labels.iter().for_each(|l| sizes[*l as usize] += 1);
    let mut order: Vec<usize> = (0..centroids.len()).collect();
    order.sort_by(|a, b| {
        let values = centroids[*a].iter().zip(centroids[*b]).map(|(x, y)| x.total_cmp(y));
        sizes[*b].cmp(&sizes[*a]).then_with(|| values.into_iter().find(|o| o.is_ne()).unwrap_or(a.cmp(b)))
    });
    order.into_iter().flat_map(|c| centroids[c].iter().copied()).collect()
}
