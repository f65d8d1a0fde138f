//! Starting centroids by k-means|| (Bahmani, Moseley, Vattani, Kumar, Vassilvitskii 2012), reduced by weighted
//! k-means++ (Arthur, Vassilvitskii 2007). Random numbers are functions of (seed, start, round, row), so that
//! no row's luck depends on another row.

use pulp::Arch;
use strata_udfs::model::{GRID, squared_steps};

use super::lloyd::{Centroids, parallel, useful_threads};
use super::sample::mix;
use super::scale::Matrix;

/// Rounds of oversampling, as in Spark MLlib.
const ROUNDS: u64 = 2;

/// Expected candidates a round, in multiples of k, as in Spark MLlib.
const OVERSAMPLING: f64 = 2.0;

/// Round number of the weighted k-means++ draws.
const REDUCTION: u64 = 1 << 32;

/// The random numbers of one start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Random {
    start_seed: u64,
}

impl Random {
    pub fn new(seed: u64, start: u64) -> Self {
        Random { start_seed: mix(mix(seed) ^ start) }
    }

    fn bits(&self, round: u64, counter: u64) -> u64 {
        mix(mix(self.start_seed ^ round) ^ counter)
    }

    /// Uniform in [0, 1), 53 bits.
    fn uniform(&self, round: u64, counter: u64) -> f64 {
        (self.bits(round, counter) >> 11) as f64 / 9_007_199_254_740_992.0
    }
}

/// Chooses k starting centroids among the rows; `hashes` are the rows' hashes. There must be at least k
/// different rows. Returns k x width values.
pub(crate) fn starting_centroids(
    points: &Matrix,
    hashes: &[u64],
    k: usize,
    random: Random,
    threads: usize,
) -> Vec<f64> {
    let mut candidates = Candidates::first(points, hashes, random, useful_threads(points, threads));
    for round in 1..=ROUNDS {
        candidates.oversample(hashes, k, random, round);
    }
    candidates.fill(k);
    let chosen = reduce(&candidates.centroids(), points.width, &candidates.weights(), k, random);
    chosen.into_iter().flat_map(|c| points.row(candidates.rows[c]).iter().copied()).collect()
}

/// The rows chosen so far, and how far every row is from the nearest of them.
struct Candidates<'a> {
    points: &'a Matrix,
    threads: usize,
    rows: Vec<usize>,
    nearest: Vec<u32>,
    distances: Vec<f64>,
    /// Sum of the distances, in grid steps.
    total: i128,
}

impl<'a> Candidates<'a> {
    fn first(points: &'a Matrix, hashes: &[u64], random: Random, threads: usize) -> Self {
        let n = points.len();
        let first = (0..n).min_by_key(|i| random.bits(0, hashes[*i])).unwrap_or(0);
        let (nearest, distances) = (vec![0; n], vec![f64::INFINITY; n]);
        let mut candidates = Candidates { points, threads, rows: Vec::new(), nearest, distances, total: 0 };
        candidates.add(vec![first]);
        candidates
    }

    fn add(&mut self, rows: Vec<usize>) {
        let points = self.points;
        let before = self.rows.len() as u32;
        let flat: Vec<f64> = rows.iter().flat_map(|r| points.row(*r).iter().copied()).collect();
        let added = Centroids::new(&flat, points.width);
        let totals =
            parallel((&mut self.nearest, &mut self.distances), self.threads, |range, nearest, distances| {
                Arch::new().dispatch(|| {
                    let mut total = 0;
                    for ((i, nearest), distance) in range.zip(nearest).zip(distances) {
                        let (candidate, squared) = added.nearest(points.row(i));
                        if squared < *distance {
                            (*nearest, *distance) = (before + candidate, squared);
                        }
                        total += squared_steps(*distance);
                    }
                    total
                })
            });
        self.rows.extend(rows);
        self.total = totals.into_iter().sum();
    }

    /// Takes each row with probability `OVERSAMPLING` k d² / total.
    fn oversample(&mut self, hashes: &[u64], k: usize, random: Random, round: u64) {
        let factor = OVERSAMPLING * k as f64 / (self.total as f64 / GRID);
        let taken: Vec<usize> = (0..self.points.len())
            .filter(|i| {
                self.distances[*i] > 0.0 && random.uniform(round, hashes[*i]) < self.distances[*i] * factor
            })
            .collect();
        if !taken.is_empty() {
            self.add(taken);
        }
    }

    /// Adds the farthest row (the first of equals) until there are k different candidates.
    fn fill(&mut self, k: usize) {
        while self.distinct() < k {
            let mut farthest = 0;
            for (i, distance) in self.distances.iter().enumerate() {
                if *distance > self.distances[farthest] {
                    farthest = i;
                }
            }
            if self.distances[farthest] == 0.0 {
                return;
            }
            self.add(vec![farthest]);
        }
    }

    /// Candidates that are nearest to some row: equal candidates count once, since the first takes all.
    fn distinct(&self) -> usize {
        self.weights().iter().filter(|w| **w > 0).count()
    }

    fn centroids(&self) -> Vec<f64> {
        self.rows.iter().flat_map(|r| self.points.row(*r).iter().copied()).collect()
    }

    /// Rows to which each candidate is the nearest.
    fn weights(&self) -> Vec<u64> {
        let mut weights = vec![0; self.rows.len()];
        for nearest in &self.nearest {
            weights[*nearest as usize] += 1;
        }
        weights
    }
}

/// Weighted k-means++: draws k of the candidates (fewer when fewer differ), each with probability in proportion
/// to its weight times the squared distance to those drawn before.
fn reduce(candidates: &[f64], width: usize, weights: &[u64], k: usize, random: Random) -> Vec<usize> {
    let mut share: Vec<f64> = weights.iter().map(|w| *w as f64).collect();
    let mut distances = vec![f64::INFINITY; weights.len()];
    let mut chosen = Vec::with_capacity(k);
    while chosen.len() < k {
        let Some(next) = draw(&share, random.uniform(REDUCTION, chosen.len() as u64)) else { break };
        chosen.push(next);
        let drawn = Centroids::new(&candidates[next * width..(next + 1) * width], width);
        for (c, row) in candidates.chunks_exact(width).enumerate() {
            distances[c] = drawn.nearest(row).1.min(distances[c]);
            share[c] = weights[c] as f64 * distances[c];
        }
    }
    chosen
}

/// The entry into which `uniform` of the total falls; none when all shares are zero.
fn draw(share: &[f64], uniform: f64) -> Option<usize> {
    let total: f64 = share.iter().sum();
    let mut sum = 0.0;
    for (i, s) in share.iter().enumerate() {
        sum += s;
        if *s > 0.0 && sum > uniform * total {
            return Some(i);
        }
    }
    // Rounding may leave the sum just under the total: then the last entry with a share.
    share.iter().rposition(|s| *s > 0.0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::scale::distinct_rows;
    use super::*;

    fn blobs(n: usize) -> (Matrix, Vec<u64>) {
        let hashes: Vec<u64> = (0..n as u64).map(|i| mix(i ^ 77)).collect();
        let values = hashes.iter().flat_map(|h| [(h % 5) as f64 * 100.0, (h >> 40) as f64 / GRID]).collect();
        (Matrix { values, width: 2 }, hashes)
    }

    #[test]
    fn finds_separated_blobs_nearly_always() {
        let (points, hashes) = blobs(2000);
        let all = (0..50).filter(|start| {
            let centroids = starting_centroids(&points, &hashes, 5, Random::new(1, *start), 1);
            let blobs: HashSet<u64> = centroids.chunks(2).map(|c| c[0] as u64).collect();
            blobs.len() == 5
        });
        assert!(all.count() >= 48);
    }

    #[test]
    fn depends_on_seed_and_start_only() {
        let (points, hashes) = blobs(40_000);
        let start =
            |seed, start, threads| starting_centroids(&points, &hashes, 5, Random::new(seed, start), threads);
        assert_eq!(start(1, 0, 1), start(1, 0, 2));
        assert_ne!(start(1, 0, 1), start(1, 1, 1));
        assert_ne!(start(1, 0, 1), start(2, 0, 1));
    }

    #[test]
    fn k_different_rows_however_rare() {
        let mut values = vec![0.0; 1000];
        (values[10], values[500], values[999]) = (1.0 / GRID, -3.0, 7.0);
        let points = Matrix { values, width: 1 };
        let hashes: Vec<u64> = (0..1000).map(mix).collect();
        for start in 0..50 {
            let values = starting_centroids(&points, &hashes, 4, Random::new(5, start), 1);
            assert_eq!(distinct_rows(&Matrix { values, width: 1 }, 10), 4);
        }
    }

    #[test]
    fn uniform_is_uniform() {
        let random = Random::new(3, 4);
        let n = 100_000;
        let mut buckets = [0; 10];
        (0..n).for_each(|i| buckets[(random.uniform(1, i) * 10.0) as usize] += 1);
        assert!(buckets.iter().all(|b| (*b as i64 - 10_000).abs() < 500), "{buckets:?}");
        assert_eq!(draw(&[0.0, 1.0, 0.0, 3.0], 0.2), Some(1));
        assert_eq!(draw(&[0.0, 1.0, 0.0, 3.0], 0.25), Some(3));
        assert_eq!(draw(&[0.0, 1.0, 0.0], 1.0), Some(1));
        assert_eq!(draw(&[0.0, 0.0], 0.5), None);
    }
}
