//! Lloyd's iteration with fixed-point sums: the same bits for any split of the rows over threads.

use std::ops::Range;

use strata_udfs::model::{GRID, squared_steps, steps};

use super::scale::Matrix;
use crate::{Error, Result};

/// Centroids that one instruction stream compares at once.
const LANES: usize = 8;

/// Below this many values a pass is done before threads have started.
const SERIAL_VALUES: usize = 1 << 16;

/// No centroid yet.
pub(crate) const NONE: u32 = u32::MAX;

/// Centroids laid out for the kernel: blocks of [`LANES`], feature by feature, padded with infinity.
#[derive(Debug)]
pub(crate) struct Centroids {
    blocks: Vec<f64>,
    width: usize,
}

impl Centroids {
    /// `flat`: centroid after centroid, `width` values each.
    pub fn new(flat: &[f64], width: usize) -> Self {
        let k = flat.len() / width;
        let mut blocks = vec![f64::INFINITY; k.div_ceil(LANES) * LANES * width];
        for (c, centroid) in flat.chunks_exact(width).enumerate() {
            for (f, value) in centroid.iter().enumerate() {
                blocks[(c / LANES * width + f) * LANES + c % LANES] = *value;
            }
        }
        Centroids { blocks, width }
    }

    /// The nearest centroid (the first of equals) and its squared Euclidean distance, summed in feature order.
    #[inline]
    pub fn nearest(&self, row: &[f64]) -> (u32, f64) {
        let mut best = (NONE, f64::INFINITY);
        for (b, block) in self.blocks.chunks_exact(self.width * LANES).enumerate() {
            let mut sums = [0.0; LANES];
            for (x, centroids) in row.iter().zip(block.chunks_exact(LANES)) {
                for (sum, c) in sums.iter_mut().zip(centroids) {
                    *sum += (x - c) * (x - c);
                }
            }
            for (lane, sum) in sums.iter().enumerate() {
                if *sum < best.1 {
                    best = ((b * LANES + lane) as u32, *sum);
                }
            }
        }
        best
    }
}

/// Runs `work` on consecutive ranges of rows, one a thread, each with its own part of two per-row slices;
/// results come in row order.
pub(crate) fn parallel<A: Send, B: Send, T: Send>(
    (a, b): (&mut [A], &mut [B]),
    threads: usize,
    work: impl Fn(Range<usize>, &mut [A], &mut [B]) -> T + Sync,
) -> Vec<T> {
    let rows = a.len();
    if threads <= 1 || rows == 0 {
        return vec![work(0..rows, a, b)];
    }
    let step = rows.div_ceil(threads);
    std::thread::scope(|scope| {
        let work = &work;
        let parts = a.chunks_mut(step).zip(b.chunks_mut(step)).enumerate();
        let handles: Vec<_> =
            parts.map(|(i, (a, b))| scope.spawn(move || work(i * step..i * step + a.len(), a, b))).collect();
        handles
            .into_iter()
            .map(|h| h.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// Threads worth starting for a pass over these rows.
pub(crate) fn useful_threads(points: &Matrix, threads: usize) -> usize {
    threads.min(points.values.len().div_ceil(SERIAL_VALUES)).max(1)
}

/// What a run of Lloyd's iteration ends with.
#[derive(Debug, Clone)]
pub(crate) struct Fit {
    /// k x width, centroid after centroid.
    pub centroids: Vec<f64>,
    /// The nearest of these centroids for each row.
    pub labels: Vec<u32>,
    /// Sum of squared distances to the nearest centroid, in grid steps.
    pub inertia: i128,
    /// Passes over the rows.
    pub iterations: usize,
}

impl Fit {
    /// Inertia in (scaled) units.
    pub fn inertia_units(&self) -> f64 {
        self.inertia as f64 / GRID
    }
}

/// Iterates from `centroids` (k x width) until no row changes its cluster, `max_iterations` passes are done, or
/// inertia falls by no more than the share `tolerance` (when given). A cluster that loses all rows takes over
/// the row farthest from its own centroid.
///
/// # Errors
/// [`Error::Contract`] when a fixed-point sum overflows, which needs more than 2^64 rows.
pub(crate) fn lloyd(
    points: &Matrix,
    centroids: Vec<f64>,
    max_iterations: usize,
    tolerance: Option<f64>,
    threads: usize,
) -> Result<Fit> {
    let mut state = State::new(points, centroids, useful_threads(points, threads));
    let mut previous: Option<i128> = None;
    let mut iterations = 0;
    loop {
        let pass = state.assign()?;
        iterations += 1;
        let settled = !state.fill_empty()? && pass.changed == 0;
        let slow = match (previous, tolerance) {
            (Some(before), Some(t)) => (before - pass.inertia) as f64 <= t * before as f64,
            _ => false,
        };
        if settled || slow || iterations >= max_iterations {
            let State { centroids, labels, .. } = state;
            return Ok(Fit { centroids, labels, inertia: pass.inertia, iterations });
        }
        previous = Some(pass.inertia);
        state.update();
    }
}

/// Assigns every row to the nearest of given centroids, once.
pub(crate) fn assign(points: &Matrix, centroids: Vec<f64>, threads: usize) -> Result<Fit> {
    let mut state = State::new(points, centroids, useful_threads(points, threads));
    let pass = state.assign()?;
    Ok(Fit { centroids: state.centroids, labels: state.labels, inertia: pass.inertia, iterations: 1 })
}

struct State<'a> {
    points: &'a Matrix,
    threads: usize,
    centroids: Vec<f64>,
    labels: Vec<u32>,
    /// Squared distance to the own centroid.
    distances: Vec<f64>,
    /// k x width fixed-point sums and k counts of the rows as labelled.
    sums: Vec<i128>,
    counts: Vec<i64>,
}

/// What one thread's rows change: since sums are exact, moving only the rows that changed cluster gives the
/// same sums as adding all rows anew.
struct Partial {
    inertia: i128,
    changed: u64,
    sums: Vec<i128>,
    counts: Vec<i64>,
}

struct Pass {
    inertia: i128,
    changed: u64,
}

impl<'a> State<'a> {
    fn new(points: &'a Matrix, centroids: Vec<f64>, threads: usize) -> Self {
        let (k, rows) = (centroids.len() / points.width, points.len());
        State {
            points,
            threads,
            labels: vec![NONE; rows],
            distances: vec![0.0; rows],
            sums: vec![0; centroids.len()],
            counts: vec![0; k],
            centroids,
        }
    }

    fn assign(&mut self) -> Result<Pass> {
        let (points, k) = (self.points, self.counts.len());
        let centroids = Centroids::new(&self.centroids, points.width);
        let partials =
            parallel((&mut self.labels, &mut self.distances), self.threads, |rows, labels, distances| {
                let mut partial =
                    Partial { inertia: 0, changed: 0, sums: vec![0; k * points.width], counts: vec![0; k] };
                for ((i, label), distance) in rows.zip(labels).zip(distances) {
                    let row = points.row(i);
                    let (nearest, squared) = centroids.nearest(row);
                    *distance = squared;
                    partial.inertia += squared_steps(squared);
                    if nearest != *label {
                        partial.changed += 1;
                        shift(&mut partial.sums, &mut partial.counts, *label, row, -1);
                        shift(&mut partial.sums, &mut partial.counts, nearest, row, 1);
                        *label = nearest;
                    }
                }
                partial
            });
        let mut pass = Pass { inertia: 0, changed: 0 };
        for partial in partials {
            pass.inertia = pass.inertia.checked_add(partial.inertia).ok_or_else(overflow)?;
            pass.changed += partial.changed;
            for (sum, delta) in self.sums.iter_mut().zip(partial.sums) {
                *sum = sum.checked_add(delta).ok_or_else(overflow)?;
            }
            for (count, delta) in self.counts.iter_mut().zip(partial.counts) {
                *count += delta;
            }
        }
        Ok(pass)
    }

    /// Gives each empty cluster the farthest row (the first of equals) of a cluster that can spare one.
    /// Says whether there was an empty cluster.
    fn fill_empty(&mut self) -> Result<bool> {
        let empty: Vec<usize> = (0..self.counts.len()).filter(|c| self.counts[*c] == 0).collect();
        for cluster in &empty {
            let mut farthest: Option<usize> = None;
            for (i, distance) in self.distances.iter().enumerate() {
                let spare = self.counts[self.labels[i] as usize] > 1;
                if spare && farthest.is_none_or(|f| *distance > self.distances[f]) {
                    farthest = Some(i);
                }
            }
            let Some(i) = farthest else {
                return Err(Error::Contract("fewer training rows than segments: lower `k`".into()));
            };
            let row = self.points.row(i);
            shift(&mut self.sums, &mut self.counts, self.labels[i], row, -1);
            shift(&mut self.sums, &mut self.counts, *cluster as u32, row, 1);
            self.labels[i] = *cluster as u32;
            self.distances[i] = 0.0;
        }
        Ok(!empty.is_empty())
    }

    /// Moves every centroid to the mean of its rows.
    fn update(&mut self) {
        let width = self.points.width;
        for (c, count) in self.counts.iter().enumerate() {
            for f in c * width..(c + 1) * width {
                self.centroids[f] = self.sums[f] as f64 / (*count as f64 * GRID);
            }
        }
    }
}

/// Adds a row to a cluster's sums (`sign` 1) or takes it away (-1). Values are below 2^63 grid steps, so that
/// the i128 sums of one pass hold 2^64 rows.
fn shift(sums: &mut [i128], counts: &mut [i64], cluster: u32, row: &[f64], sign: i64) {
    if cluster == NONE {
        return;
    }
    let cluster = cluster as usize;
    counts[cluster] += sign;
    for (sum, value) in sums[cluster * row.len()..].iter_mut().zip(row) {
        *sum += i128::from(sign * steps(*value));
    }
}

fn overflow() -> Error {
    Error::Contract("the fixed-point sums of k-means overflow: train on fewer rows, see `sample_rows`".into())
}

#[cfg(test)]
mod tests {
    use super::super::sample::mix;
    use super::*;

    /// Random rows on the grid.
    fn random(rows: usize, width: usize) -> Matrix {
        let value = |i: usize| (mix(i as u64) >> 20) as f64 / GRID - 512.0;
        Matrix { values: (0..rows * width).map(value).collect(), width }
    }

    #[test]
    fn kernel_equals_the_plain_loop() {
        for (k, width) in [(1, 1), (3, 4), (8, 12), (9, 5), (17, 2)] {
            let points = random(200, width);
            let centroids = random(k, width).values;
            let kernel = Centroids::new(&centroids, width);
            for row in points.rows() {
                let mut best = (NONE, f64::INFINITY);
                for (c, centroid) in centroids.chunks(width).enumerate() {
                    let squared = row.iter().zip(centroid).fold(0.0, |s, (x, y)| s + (x - y) * (x - y));
                    if squared < best.1 {
                        best = (c as u32, squared);
                    }
                }
                assert_eq!(kernel.nearest(row), best);
            }
        }
    }

    #[test]
    fn threads_do_not_matter() {
        let points = random(20_000, 7);
        let start = points.values[..7 * 5].to_vec();
        let one = lloyd(&points, start.clone(), 20, None, 1).unwrap();
        assert_eq!(useful_threads(&points, 3), 3);
        for threads in [2, 3, 16] {
            let many = lloyd(&points, start.clone(), 20, None, threads).unwrap();
            assert_eq!(
                (&one.centroids, &one.labels, one.inertia),
                (&many.centroids, &many.labels, many.inertia)
            );
        }
    }

    #[test]
    fn moved_sums_equal_fresh_sums() {
        let points = random(500, 3);
        let mut state = State::new(&points, points.values[..12].to_vec(), 1);
        for _ in 0..5 {
            state.assign().unwrap();
            let mut fresh = State::new(&points, state.centroids.clone(), 1);
            fresh.assign().unwrap();
            assert_eq!((&fresh.sums, &fresh.counts), (&state.sums, &state.counts));
            state.update();
        }
    }

    #[test]
    fn empty_clusters_take_the_farthest_row() {
        let points = Matrix { values: vec![0.0, 1.0, 2.0, 50.0, 60.0], width: 1 };
        let fit = lloyd(&points, vec![1.0, 1e6, 1e6], 20, None, 1).unwrap();
        assert_eq!(fit.labels, [0, 0, 0, 2, 1]);
        assert_eq!(fit.centroids, [1.0, 60.0, 50.0]);
        assert_eq!(fit.inertia_units(), 2.0);
    }
}
