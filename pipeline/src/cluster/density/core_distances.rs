//! How dense it is around each row: the distance to its m-th nearest neighbour.

use std::collections::BinaryHeap;

use super::super::scale::Matrix;
use super::super::train::side_by_side;
use super::tiles::{LANES, Tile};
use crate::Result;

/// Rows that look for their neighbours in one tile together.
const SEEKERS: usize = 64;

/// The squared distance of each row to its `neighbours`-th nearest row, itself counted as the first, as scikit-learn's
/// `HDBSCAN` counts. `tiles` are of `points`, which must be `neighbours` or more.
pub(super) fn core_distances(
    points: &Matrix,
    tiles: &[Tile],
    neighbours: usize,
    threads: usize,
) -> Result<Vec<f64>> {
    let jobs = points.len().div_ceil(SEEKERS);
    let parts = side_by_side(jobs, threads, |job, _| {
        let rows = job * SEEKERS..((job + 1) * SEEKERS).min(points.len());
        let mut nearest: Vec<Smallest> = rows.clone().map(|_| Smallest::new(neighbours)).collect();
        let mut squares = Vec::new();
        for tile in tiles {
            squares.resize(tile.padded(), 0.0);
            for (row, nearest) in rows.clone().zip(&mut nearest) {
                tile.squares(points.row(row), &mut squares);
                nearest.offer(&squares[..tile.padded()]);
            }
        }
        Ok(nearest.iter().map(Smallest::largest).collect::<Vec<f64>>())
    })?;
    Ok(parts.concat())
}

/// The smallest numbers offered so far. As bits: those of numbers from 0 are in the numbers' order.
struct Smallest {
    limit: usize,
    heap: BinaryHeap<u64>,
}

impl Smallest {
    fn new(limit: usize) -> Self {
        Smallest { limit, heap: BinaryHeap::with_capacity(limit) }
    }

    /// `numbers`: a multiple of [`LANES`]; infinite ones do not count.
    fn offer(&mut self, numbers: &[f64]) {
        let mut bound = if self.heap.len() < self.limit { f64::INFINITY } else { self.largest() };
        for numbers in numbers.chunks_exact(LANES) {
            // All are looked at, so that one instruction looks at several.
            if !numbers.iter().fold(false, |any, number| any | (*number < bound)) {
                continue;
            }
            for number in numbers.iter().filter(|number| number.is_finite()) {
                if self.heap.len() < self.limit {
                    self.heap.push(number.to_bits());
                } else if *number < self.largest()
                    && let Some(mut largest) = self.heap.peek_mut()
                {
                    *largest = number.to_bits();
                }
            }
            bound = if self.heap.len() < self.limit { f64::INFINITY } else { self.largest() };
        }
    }

    fn largest(&self) -> f64 {
        self.heap.peek().map_or(0.0, |bits| f64::from_bits(*bits))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tiles::tiles;
    use super::*;

    #[test]
    fn the_row_itself_is_the_first_neighbour() {
        let points = Matrix { values: vec![0.0, 1.0, 3.0, 7.0, 15.0], width: 1 };
        for size in [1, 2, 5] {
            let of = |neighbours| core_distances(&points, &tiles(&points, size), neighbours, 2).unwrap();
            assert_eq!(of(1), [0.0; 5]);
            assert_eq!(of(2), [1.0, 1.0, 4.0, 16.0, 64.0]);
            assert_eq!(of(3), [9.0, 4.0, 9.0, 36.0, 144.0]);
            assert_eq!(of(5), [225.0, 196.0, 144.0, 64.0, 225.0]);
        }
    }
}
