//! A rough look at all rows: distances in single precision, wide vectors, with a bound on their error. Where the
//! nearest centroid leads by more than the bound it is the nearest; the few other rows are looked at exactly. So the
//! answer is the exact one on every machine, whatever its vectors.

use std::mem::size_of;

use pulp::{Arch, Simd, WithSimd};
use strata_udfs::model::on_grid;

use super::scale::Matrix;

/// Rows that lie together, feature by feature; a multiple of every machine's vector.
pub const BLOCK: usize = 16;

/// Stands for a row that must be looked at exactly.
pub(crate) const UNSURE: u32 = u32::MAX - 1;

/// Centroids whose distances are summed side by side.
const TOGETHER: usize = 4;

/// The rounding of single precision.
const UNIT: f64 = 1.0 / (1 << 24) as f64;

/// Rows, and the same about their mean in single precision, in blocks.
#[derive(Debug)]
pub struct Screen<'a> {
    points: &'a Matrix,
    /// Feature after feature, [`BLOCK`] rows each; the last block is padded with zeros.
    blocks: Vec<f32>,
    /// The length of each row, rounded up.
    lengths: Vec<f32>,
    /// Roughly the mean of the rows, on the grid.
    origin: Vec<f64>,
    /// What subtracting the origin may have cost in each coordinate.
    slack: f64,
    /// The sum of the rows' squared lengths.
    squares: f64,
}

impl<'a> Screen<'a> {
    /// Of all rows; values must be below 2^30 and finite.
    pub fn new(points: &'a Matrix) -> Self {
        let (width, rows) = (points.width, points.len());
        let mut origin = vec![0.0; width];
        for row in points.rows() {
            origin.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        origin.iter_mut().for_each(|sum| *sum = on_grid(*sum / rows.max(1) as f64));
        let largest = points.values.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        let mut screen = Screen {
            points,
            blocks: vec![0.0; rows.div_ceil(BLOCK) * BLOCK * width],
            lengths: vec![0.0; rows.div_ceil(BLOCK) * BLOCK],
            origin,
            slack: 2.0 * f64::EPSILON * largest,
            squares: 0.0,
        };
        for (i, row) in points.rows().enumerate() {
            let mut squared = 0.0;
            for (f, (value, origin)) in row.iter().zip(&screen.origin).enumerate() {
                let value = value - origin;
                squared += value * value;
                screen.blocks[(i / BLOCK * width + f) * BLOCK + i % BLOCK] = value as f32;
            }
            screen.squares += squared;
            screen.lengths[i] = (squared.sqrt() * (1.0 + 4.0 * UNIT)) as f32;
        }
        screen
    }

    /// The rows as they are.
    pub fn points(&self) -> &'a Matrix {
        self.points
    }

    /// What the rows are seen from.
    pub(crate) fn origin(&self) -> &[f64] {
        &self.origin
    }

    /// The sum of the squared distances from the origin, added in the order of the rows.
    pub(crate) fn squares(&self) -> f64 {
        self.squares
    }

    /// Centroids (k x width) that rows may be compared with.
    pub(crate) fn centroids(&self, flat: &[f64]) -> Rough<'_> {
        let width = self.points.width;
        let groups = (flat.len() / width).div_ceil(TOGETHER);
        let mut rough = Rough {
            screen: self,
            doubled: vec![0.0; groups * TOGETHER * width],
            squares: vec![f32::INFINITY; groups * TOGETHER],
            slope: 0.0,
            fixed: 0.0,
        };
        let mut longest = 0.0f64;
        for (c, centroid) in flat.chunks_exact(width).enumerate() {
            let mut squared = 0.0;
            for (f, (value, origin)) in centroid.iter().zip(&self.origin).enumerate() {
                let value = value - origin;
                squared += value * value;
                rough.doubled[(c / TOGETHER * width + f) * TOGETHER + c % TOGETHER] = (-2.0 * value) as f32;
            }
            rough.squares[c] = squared as f32;
            longest = longest.max(squared.sqrt());
        }
        // A score |c|² - 2 x·c of d products, each of two rounded numbers, is off by no more than (d + 4) units of
        // |c|² + 2|x||c| (Higham 2002, section 3.1), a difference of two by twice that; the bound is twice as wide.
        let unit = 4.0 * (width as f64 + 4.0) * UNIT;
        let slack = 8.0 * self.slack * (width as f64).sqrt();
        rough.slope = round_up(unit * 2.0 * longest + slack);
        rough.fixed = round_up((unit * longest + slack) * longest);
        rough
    }
}

fn round_up(value: f64) -> f32 {
    (value * (1.0 + 4.0 * UNIT)) as f32 + f32::MIN_POSITIVE
}

/// Centroids in single precision, and how far scores may be off.
#[derive(Debug)]
pub(crate) struct Rough<'a> {
    screen: &'a Screen<'a>,
    /// -2 times each, [`TOGETHER`] side by side, feature after feature.
    doubled: Vec<f32>,
    /// Squared lengths; infinity for what pads the last group.
    squares: Vec<f32>,
    /// A lead is sure above `fixed` plus `slope` times the length of the row.
    slope: f32,
    fixed: f32,
}

impl Rough<'_> {
    /// The nearest centroid of each row from `first`, a multiple of [`BLOCK`], or [`UNSURE`].
    pub fn nearest(&self, first: usize, nearest: &mut [u32]) {
        Arch::new().dispatch(Nearest { rough: self, first, nearest });
    }
}

struct Nearest<'a> {
    rough: &'a Rough<'a>,
    first: usize,
    nearest: &'a mut [u32],
}

impl WithSimd for Nearest<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Rough { screen, doubled, squares, slope, fixed } = self.rough;
        let width = screen.points.width;
        let vectors = BLOCK * size_of::<f32>() / size_of::<S::f32s>();
        let infinity = simd.splat_f32s(f32::INFINITY);
        let (slope, fixed) = (simd.splat_f32s(*slope), simd.splat_f32s(*fixed));
        let blocks = screen.blocks[self.first * width..].chunks_exact(BLOCK * width);
        let lengths = screen.lengths[self.first..].chunks_exact(BLOCK);
        for ((block, lengths), out) in blocks.zip(lengths).zip(self.nearest.chunks_mut(BLOCK)) {
            let mut found = [0; BLOCK];
            let (rows, lengths) = (S::as_simd_f32s(block).0, S::as_simd_f32s(lengths).0);
            let found_vectors = S::as_mut_simd_u32s(&mut found).0;
            for v in 0..vectors {
                let (mut best, mut second) = (infinity, infinity);
                let mut place = simd.splat_u32s(0);
                let groups = doubled.chunks_exact(TOGETHER * width).zip(squares.chunks_exact(TOGETHER));
                for (g, (group, squares)) in groups.enumerate() {
                    let mut scores = [infinity; TOGETHER];
                    for (score, squared) in scores.iter_mut().zip(squares) {
                        *score = simd.splat_f32s(*squared);
                    }
                    for (f, values) in group.chunks_exact(TOGETHER).enumerate() {
                        let row = rows[f * vectors + v];
                        for (score, value) in scores.iter_mut().zip(values) {
                            *score = simd.mul_add_e_f32s(row, simd.splat_f32s(*value), *score);
                        }
                    }
                    for (j, score) in scores.into_iter().enumerate() {
                        let centroid = simd.splat_u32s((g * TOGETHER + j) as u32);
                        place = simd.select_u32s(simd.less_than_f32s(score, best), centroid, place);
                        second = simd.min_f32s(second, simd.max_f32s(score, best));
                        best = simd.min_f32s(score, best);
                    }
                }
                let lead = simd.sub_f32s(second, best);
                let sure = simd.less_than_f32s(simd.mul_add_e_f32s(lengths[v], slope, fixed), lead);
                found_vectors[v] = simd.select_u32s(sure, place, simd.splat_u32s(UNSURE));
            }
            let rows = out.len();
            out.copy_from_slice(&found[..rows]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lloyd::Centroids;
    use super::super::sample::mix;
    use super::*;

    /// Rows of a normal-like cloud, some of them twice, some amid two centroids.
    fn cloud(rows: usize, width: usize, size: f64, offset: f64) -> Matrix {
        let part = |i: u64| (mix(i) >> 40) as f64 / (1u64 << 24) as f64 - 0.5;
        let value = |i: usize| on_grid((part(i as u64) + part(i as u64 + (1 << 40))) * size + offset);
        let mut values: Vec<f64> = (0..rows * width).map(value).collect();
        let half = rows / 2 * width;
        values.copy_within(0..width * 20, half);
        for f in 0..width {
            values[width * 40 + f] = on_grid((values[f] + values[width + f]) / 2.0);
        }
        Matrix { values, width }
    }

    #[test]
    fn sure_rows_are_right_and_nearly_all_are_sure() {
        for (width, k, size, offset) in [
            (1, 2, 4.0, 0.0),
            (3, 5, 4.0, 0.0),
            (10, 8, 4.0, 2.5),
            (32, 12, 10.0, 0.0),
            (33, 40, 1e-3, 1.0),
            (4, 7, 1e6, 1e9),
            (2, 3, 1.0, 1e9),
            (7, 1, 4.0, 0.0),
        ] {
            let points = cloud(5003, width, size, offset);
            let centroids = points.values[..k * width].to_vec();
            let exact = Centroids::new(&centroids, width);
            let screen = Screen::new(&points);
            let rough = screen.centroids(&centroids);
            let mut nearest = vec![0; points.len()];
            let (front, rest) = nearest.split_at_mut(160);
            rough.nearest(0, front);
            rough.nearest(160, rest);
            let unsure = nearest.iter().filter(|label| **label == UNSURE).count();
            assert!(unsure < 60, "{width} x {k}: {unsure} rows unsure");
            for (i, label) in nearest.iter().enumerate().filter(|(_, label)| **label != UNSURE) {
                assert_eq!(*label, exact.nearest(points.row(i)).0, "{width} x {k}: row {i}");
            }
        }
    }

    #[test]
    fn equal_centroids_are_never_sure() {
        let points = cloud(100, 3, 4.0, 0.0);
        let twice = [&points.values[..3], &points.values[..3]].concat();
        let screen = Screen::new(&points);
        let mut nearest = vec![0; points.len()];
        screen.centroids(&twice).nearest(0, &mut nearest);
        assert!(nearest.iter().all(|label| *label == UNSURE));
    }

    #[test]
    fn any_vectors_say_the_same_of_sure_rows() {
        let points = cloud(1000, 9, 4.0, 0.0);
        let screen = Screen::new(&points);
        let rough = screen.centroids(&points.values[..9 * 6]);
        let (mut wide, mut plain) = (vec![0; 1000], vec![0; 1000]);
        rough.nearest(0, &mut wide);
        Nearest { rough: &rough, first: 0, nearest: &mut plain }.with_simd(pulp::Scalar::new());
        let differ =
            wide.iter().zip(&plain).filter(|(a, b)| a != b && **a != UNSURE && **b != UNSURE).count();
        assert_eq!(differ, 0);
    }
}
