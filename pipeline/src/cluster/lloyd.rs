//! Lloyd's iteration with fixed-point sums: the same bits for any split of the rows over threads.

use std::ops::Range;

use pulp::Arch;
use strata_udfs::model::{GRID, squared_steps, steps};

use super::scale::Matrix;
use super::screen::{BLOCK, Rough, Screen, UNSURE};
use crate::cpu::Meter;
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
    #[inline(always)]
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

/// Centroids to which rows are assigned: by their rough distances, by the exact ones where those do not tell.
#[derive(Debug)]
pub struct Assigner<'a> {
    points: &'a Matrix,
    rough: Rough<'a>,
    exact: Centroids,
}

impl<'a> Assigner<'a> {
    /// `flat`: centroid after centroid.
    pub fn new(screen: &'a Screen<'a>, flat: &[f64]) -> Self {
        let points = screen.points();
        Assigner { points, rough: screen.centroids(flat), exact: Centroids::new(flat, points.width) }
    }

    /// The nearest centroid (the first of equals) of each of consecutive rows; the first is a multiple of [`BLOCK`].
    pub fn assign(&self, rows: Range<usize>, nearest: &mut [u32]) {
        self.rough.nearest(rows.start, nearest);
        for (i, nearest) in rows.zip(nearest).filter(|(_, nearest)| **nearest == UNSURE) {
            *nearest = self.exact.nearest(self.points.row(i)).0;
        }
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
    let step = rows.div_ceil(threads).next_multiple_of(BLOCK);
    let meter = Meter::current();
    std::thread::scope(|scope| {
        let (work, meter) = (&work, &meter);
        let parts = a.chunks_mut(step).zip(b.chunks_mut(step)).enumerate();
        let handles: Vec<_> = parts
            .map(|(i, (a, b))| scope.spawn(move || meter.run(|| work(i * step..i * step + a.len(), a, b))))
            .collect();
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
pub struct Fit {
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
pub fn lloyd(
    screen: &Screen,
    centroids: Vec<f64>,
    max_iterations: usize,
    tolerance: Option<f64>,
    threads: usize,
) -> Result<Fit> {
    let mut state = State::new(screen, centroids, threads);
    let mut previous: Option<f64> = None;
    let mut iterations = 0;
    loop {
        let changed = state.assign()?;
        iterations += 1;
        let spread = state.spread();
        let settled = !state.fill_empty()? && changed == 0;
        let slow = match (previous, tolerance) {
            (Some(before), Some(t)) => before - spread <= t * before,
            _ => false,
        };
        if settled || slow || iterations >= max_iterations {
            return state.end(iterations);
        }
        previous = Some(spread);
        state.update();
    }
}

/// Assigns every row to the nearest of given centroids, once.
pub(crate) fn assign(screen: &Screen, centroids: Vec<f64>, threads: usize) -> Result<Fit> {
    let mut state = State::new(screen, centroids, threads);
    state.assign()?;
    state.end(1)
}

struct State<'a> {
    points: &'a Matrix,
    screen: &'a Screen<'a>,
    threads: usize,
    centroids: Vec<f64>,
    labels: Vec<u32>,
    /// What a pass finds, before labels change.
    found: Vec<u32>,
    /// k x width fixed-point sums and k counts of the rows as labelled.
    sums: Vec<i128>,
    counts: Vec<i64>,
}

/// What one thread's rows change: since sums are exact, moving only the rows that changed cluster gives the
/// same sums as adding all rows anew.
struct Partial {
    changed: u64,
    sums: Vec<i128>,
    counts: Vec<i64>,
}

impl<'a> State<'a> {
    fn new(screen: &'a Screen<'a>, centroids: Vec<f64>, threads: usize) -> Self {
        let points = screen.points();
        State {
            points,
            screen,
            threads: useful_threads(points, threads),
            labels: vec![NONE; points.len()],
            found: vec![NONE; points.len()],
            sums: vec![0; centroids.len()],
            counts: vec![0; centroids.len() / points.width],
            centroids,
        }
    }

    /// Gives every row its nearest centroid; says how many rows changed.
    fn assign(&mut self) -> Result<u64> {
        let (points, k) = (self.points, self.counts.len());
        let assigner = Assigner::new(self.screen, &self.centroids);
        let partials = parallel((&mut self.labels, &mut self.found), self.threads, |rows, labels, found| {
            assigner.assign(rows.clone(), found);
            let mut partial = Partial { changed: 0, sums: vec![0; k * points.width], counts: vec![0; k] };
            for ((i, label), nearest) in rows.zip(labels).zip(found) {
                if nearest != label {
                    let row = points.row(i);
                    partial.changed += 1;
                    shift(&mut partial.sums, &mut partial.counts, *label, row, -1);
                    shift(&mut partial.sums, &mut partial.counts, *nearest, row, 1);
                    *label = *nearest;
                }
            }
            partial
        });
        let mut changed = 0;
        for partial in partials {
            changed += partial.changed;
            for (sum, delta) in self.sums.iter_mut().zip(partial.sums) {
                *sum = sum.checked_add(delta).ok_or_else(overflow)?;
            }
            for (count, delta) in self.counts.iter_mut().zip(partial.counts) {
                *count += delta;
            }
        }
        Ok(changed)
    }

    /// Inertia but for rounding, from the sums alone: the squares of all rows, less what their clusters explain. The
    /// sums are exact, so it is the same for any split of the rows.
    fn spread(&self) -> f64 {
        let width = self.points.width;
        let mut explained = 0.0;
        for (c, count) in self.counts.iter().enumerate() {
            for (f, origin) in self.screen.origin().iter().enumerate() {
                let sum = self.sums[c * width + f] - i128::from(*count) * i128::from(steps(*origin));
                let centroid = self.centroids[c * width + f] - origin;
                explained += centroid * (2.0 * (sum as f64 / GRID) - *count as f64 * centroid);
            }
        }
        (self.screen.squares() - explained).max(0.0)
    }

    /// The squared distance of each row to its nearest centroid, and their sum in grid steps.
    fn distances(&self) -> Result<(Vec<f64>, i128)> {
        let (points, exact) = (self.points, Centroids::new(&self.centroids, self.points.width));
        let (mut distances, mut nothing) = (vec![0.0; self.labels.len()], vec![(); self.labels.len()]);
        let totals = parallel((&mut distances, &mut nothing), self.threads, |rows, distances, _| {
            Arch::new().dispatch(|| {
                let mut total = 0;
                for (i, distance) in rows.zip(distances) {
                    *distance = exact.nearest(points.row(i)).1;
                    total += squared_steps(*distance);
                }
                total
            })
        });
        let add = |sum: i128, total| sum.checked_add(total).ok_or_else(overflow);
        Ok((distances, totals.into_iter().try_fold(0, add)?))
    }

    /// The fit as it stands.
    fn end(self, iterations: usize) -> Result<Fit> {
        let (_, inertia) = self.distances()?;
        Ok(Fit { centroids: self.centroids, labels: self.labels, inertia, iterations })
    }

    /// Gives each empty cluster the farthest row (the first of equals) of a cluster that can spare one.
    /// Says whether there was an empty cluster.
    fn fill_empty(&mut self) -> Result<bool> {
        let empty: Vec<usize> = (0..self.counts.len()).filter(|c| self.counts[*c] == 0).collect();
        if empty.is_empty() {
            return Ok(false);
        }
        let (mut distances, _) = self.distances()?;
        for cluster in empty {
            let mut farthest: Option<usize> = None;
            for (i, distance) in distances.iter().enumerate() {
                let spare = self.counts[self.labels[i] as usize] > 1;
                if spare && farthest.is_none_or(|f| *distance > distances[f]) {
                    farthest = Some(i);
                }
            }
            let Some(i) = farthest else {
                return Err(Error::Contract("fewer training rows than segments: lower `k`".into()));
            };
            let row = self.points.row(i);
            shift(&mut self.sums, &mut self.counts, self.labels[i], row, -1);
            shift(&mut self.sums, &mut self.counts, cluster as u32, row, 1);
            self.labels[i] = cluster as u32;
            distances[i] = 0.0;
        }
        Ok(true)
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

    fn run(points: &Matrix, centroids: Vec<f64>, threads: usize) -> Fit {
        lloyd(&Screen::new(points), centroids, 20, None, threads).unwrap()
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
        let one = run(&points, start.clone(), 1);
        assert_eq!(useful_threads(&points, 3), 3);
        for threads in [2, 3, 16] {
            let many = run(&points, start.clone(), threads);
            assert_eq!(
                (&one.centroids, &one.labels, one.inertia),
                (&many.centroids, &many.labels, many.inertia)
            );
        }
    }

    #[test]
    fn moved_sums_equal_fresh_sums() {
        let points = random(500, 3);
        let screen = Screen::new(&points);
        let mut state = State::new(&screen, points.values[..12].to_vec(), 1);
        for _ in 0..5 {
            state.assign().unwrap();
            let mut fresh = State::new(&screen, state.centroids.clone(), 1);
            fresh.assign().unwrap();
            assert_eq!((&fresh.sums, &fresh.counts), (&state.sums, &state.counts));
            let (_, inertia) = state.distances().unwrap();
            let inertia = inertia as f64 / GRID;
            assert!((state.spread() - inertia).abs() < 1e-9 * inertia);
            state.update();
        }
    }

    #[test]
    fn empty_clusters_take_the_farthest_row() {
        let points = Matrix { values: vec![0.0, 1.0, 2.0, 50.0, 60.0], width: 1 };
        let fit = run(&points, vec![1.0, 1e6, 1e6], 1);
        assert_eq!(fit.labels, [0, 0, 0, 2, 1]);
        assert_eq!(fit.centroids, [1.0, 60.0, 50.0]);
        assert_eq!(fit.inertia_units(), 2.0);
    }
}
