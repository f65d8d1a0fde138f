//! Rows in tiles that stay in the cache while others are compared with them, feature by feature.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::super::scale::Matrix;

/// Rows whose distances are summed side by side; a multiple of every machine's vector.
pub(super) const LANES: usize = 16;

/// Rows of a tile.
pub(super) const TILE: usize = 2048;

/// Consecutive rows. Their number is padded with infinity to a multiple of [`LANES`].
#[derive(Debug)]
pub(super) struct Tile {
    pub rows: Range<usize>,
    /// [`LANES`] rows side by side, feature by feature.
    blocks: Vec<f64>,
}

/// All rows, in tiles of `size`.
pub(super) fn tiles(points: &Matrix, size: usize) -> Vec<Tile> {
    let tile = |start: usize| {
        let rows = start..(start + size).min(points.len());
        let mut blocks = vec![f64::INFINITY; rows.len().next_multiple_of(LANES) * points.width];
        for (i, row) in rows.clone().map(|row| points.row(row)).enumerate() {
            for (f, value) in row.iter().enumerate() {
                blocks[(i / LANES * points.width + f) * LANES + i % LANES] = *value;
            }
        }
        Tile { rows, blocks }
    };
    (0..points.len()).step_by(size).map(tile).collect()
}

impl Tile {
    /// Rows with their padding.
    pub fn padded(&self) -> usize {
        self.rows.len().next_multiple_of(LANES)
    }

    /// The squared distance of each row to `row`, summed in feature order; infinite for padding.
    pub fn squares(&self, row: &[f64], squares: &mut [f64]) {
        Arch::new().dispatch(Squares { blocks: &self.blocks, row, squares });
    }
}

struct Squares<'a> {
    blocks: &'a [f64],
    row: &'a [f64],
    squares: &'a mut [f64],
}

impl WithSimd for Squares<'_> {
    type Output = ();

    /// Adds and multiplies apart, never fused, so that every machine rounds alike.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let blocks = self.blocks.chunks_exact(LANES * self.row.len());
        for (block, squares) in blocks.zip(self.squares.chunks_exact_mut(LANES)) {
            let mut sums = [0.0; LANES];
            for (x, values) in self.row.iter().zip(block.chunks_exact(LANES)) {
                for (sum, value) in sums.iter_mut().zip(values) {
                    let difference = x - value;
                    *sum += difference * difference;
                }
            }
            squares.copy_from_slice(&sums);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_and_padding() {
        let points = Matrix { values: vec![0.0, 0.0, 3.0, 4.0, 1.0, 1.0], width: 2 };
        let tiles = tiles(&points, 2);
        assert_eq!(tiles.iter().map(|tile| tile.rows.clone()).collect::<Vec<_>>(), [0..2, 2..3]);
        let mut squares = [0.0; LANES];
        tiles[0].squares(&[0.0, 0.0], &mut squares);
        assert_eq!(squares[..2], [0.0, 25.0]);
        assert!(squares[2..].iter().all(|square| *square == f64::INFINITY));
        tiles[1].squares(&[0.0, 0.0], &mut squares);
        assert_eq!(squares[0], 2.0);
    }
}
