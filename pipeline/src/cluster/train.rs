//! Trains a k-means model: several starts, the best of them polished, its segments ordered and named.

use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::SendableRecordBatchStream;
use strata_udfs::model::KmeansModel;

use super::init::{Random, starting_centroids};
use super::lloyd::{Fit, assign, lloyd};
use super::naming::segment_names;
use super::quality::KmeansQuality;
use super::sample::{Sample, collect};
use super::scale::{distinct_rows, learn_scaling};
use super::screen::Screen;
use super::settings::{KmeansSettings, Scale};
use crate::cpu::Meter;
use crate::{Context, Error, Result};

/// So many of the best starts are polished. Starts end at a tolerance, where a better optimum may still look
/// the worse: the two best optima of iris differ by less than the tolerance.
const POLISHED: usize = 4;

/// A trained model and its figures.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedKmeans {
    /// The model: segments by falling size in the sample, ties by their centroids' values.
    pub model: KmeansModel,
    /// Its figures.
    pub quality: KmeansQuality,
}

/// Trains k-means on a stream of rows: the first column is the unique key, the others are the features. NULL and
/// NaN features lie at the feature's centre. The model depends on the settings and on the set of rows only: not
/// on their order, their batches or the number of threads.
///
/// Start: k-means|| (Bahmani et al. 2012); iteration: Lloyd with fixed-point sums; the lowest inertia wins.
///
/// # Errors
/// [`Error::Usage`] for columns or transforms that do not fit; [`Error::Contract`] for a NULL or repeated key,
/// features that cannot be scaled, or fewer different rows than segments.
pub async fn train_kmeans(
    settings: &KmeansSettings,
    rows: SendableRecordBatchStream,
) -> Result<TrainedKmeans> {
    let sample = collect(rows, settings.sample_rows).await?;
    let settings = settings.clone();
    SpawnedTask::spawn_blocking(move || fit(&settings, sample)).await.context("train k-means")?
}

/// Trains on a sample that is in its canonical order.
fn fit(settings: &KmeansSettings, sample: Sample) -> Result<TrainedKmeans> {
    let (mut model, points) = learn_scaling(settings, &sample)?;
    let distinct = distinct_rows(&points, settings.k);
    if distinct < settings.k {
        return Err(Error::Contract(format!(
            "the training rows hold {distinct} different feature vectors, too few for `k: {}`: set `k` to \
             {distinct} or less, or train on more rows",
            settings.k
        )));
    }
    let hashes: Vec<u64> = sample.rows.iter().map(|row| row.hash).collect();
    let screen = Screen::new(&points);
    let best = best_fit(settings, &screen, &hashes)?;
    let ordered = assign(&screen, canonical(&best, points.width), settings.threads)?;
    let ordered = Fit { iterations: best.iterations, ..ordered };
    model.names = segment_names(&points, &ordered.centroids, &sample.features);
    let quality = KmeansQuality::of(&points, &ordered, sample.seen, settings.scale == Scale::None);
    model.centroids = ordered.centroids;
    model.validate().context("check the trained model")?;
    Ok(TrainedKmeans { model, quality })
}

/// Runs all starts, then polishes the best few until no row changes its cluster.
fn best_fit(settings: &KmeansSettings, screen: &Screen, hashes: &[u64]) -> Result<Fit> {
    let KmeansSettings { k, seed, max_iterations, tolerance, threads, .. } = *settings;
    let mut starts = side_by_side(settings.starts, threads, |start, threads| {
        let centroids =
            starting_centroids(screen.points(), hashes, k, Random::new(seed, start as u64), threads);
        let fit = lloyd(screen, centroids, max_iterations, Some(tolerance), threads)?;
        Ok(Fit { labels: Vec::new(), ..fit })
    })?;
    // Stable: of equal starts the first leads.
    starts.sort_by_key(|fit| fit.inertia);
    starts.dedup_by(|later, earlier| later.centroids == earlier.centroids);
    starts.truncate(POLISHED);
    let polished = side_by_side(starts.len(), threads, |i, threads| {
        let fit = lloyd(screen, starts[i].centroids.clone(), max_iterations, None, threads)?;
        Ok(Fit { iterations: fit.iterations + starts[i].iterations, ..fit })
    })?;
    let best = polished.into_iter().min_by_key(|fit| fit.inertia);
    best.ok_or_else(|| Error::Usage("header `starts: 0`: give a whole number from 1".into()))
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
