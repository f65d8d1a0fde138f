//! Means and covariances of prepared features.

use super::super::scale::Matrix;

/// Rows whose products are added before they are added to the whole: rounding grows with the number of blocks and
/// of rows in a block, not with that of all rows.
const BLOCK_ROWS: usize = 1024;

/// Means and covariances (divisor n) of the columns of a matrix. Rows are added in their order, which the sample
/// fixes, so that the same set of rows gives the same bits.
#[derive(Debug, Clone)]
pub(crate) struct Moments {
    pub means: Vec<f64>,
    /// Symmetric; exactly zero for a column of one value.
    pub covariance: Matrix,
}

impl Moments {
    /// Two passes: means, then products of what differs from them. The matrix has at least one row.
    pub fn of(points: &Matrix) -> Self {
        let (n, d) = (points.len() as f64, points.width);
        // around the first row, so that a column of one value has exactly that mean
        let first = points.row(0);
        let mut sums = vec![0.0; d];
        for row in points.rows() {
            for ((sum, value), first) in sums.iter_mut().zip(row).zip(first) {
                *sum += value - first;
            }
        }
        let means: Vec<f64> = first.iter().zip(&sums).map(|(first, sum)| first + sum / n).collect();
        let mut products = vec![0.0; d * d];
        let mut of_block = vec![0.0; d * d];
        let mut centred = vec![0.0; d];
        for block in points.values.chunks(BLOCK_ROWS * d) {
            of_block.fill(0.0);
            for row in block.chunks_exact(d) {
                for ((out, value), mean) in centred.iter_mut().zip(row).zip(&means) {
                    *out = value - mean;
                }
                for (i, x) in centred.iter().enumerate() {
                    for (sum, y) in of_block[i * d + i..(i + 1) * d].iter_mut().zip(&centred[i..]) {
                        *sum += x * y;
                    }
                }
            }
            products.iter_mut().zip(&of_block).for_each(|(sum, part)| *sum += part);
        }
        for i in 0..d {
            for j in i..d {
                let covariance = products[i * d + j] / n;
                (products[i * d + j], products[j * d + i]) = (covariance, covariance);
            }
        }
        Moments { means, covariance: Matrix { values: products, width: d } }
    }

    /// The variance of a column.
    pub fn variance(&self, column: usize) -> f64 {
        self.covariance.row(column)[column]
    }

    /// The correlation of two columns, from -1 to 1; `None` when one of them has a single value.
    pub fn correlation(&self, a: usize, b: usize) -> Option<f64> {
        let (of_a, of_b) = (self.variance(a), self.variance(b));
        let varies = of_a > 0.0 && of_b > 0.0;
        varies.then(|| (self.covariance.row(a)[b] / (of_a.sqrt() * of_b.sqrt())).clamp(-1.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let points = Matrix { values: vec![1.0, 4.0, 0.1, 2.0, 2.0, 0.1, 6.0, 0.0, 0.1], width: 3 };
        let moments = Moments::of(&points);
        assert_eq!(moments.means, [3.0, 2.0, 0.1]);
        // deviations -2, -1, 3 and 2, 0, -2
        assert_eq!(moments.covariance.row(0), [14.0 / 3.0, -10.0 / 3.0, 0.0]);
        assert_eq!(moments.covariance.row(1), [-10.0 / 3.0, 8.0 / 3.0, 0.0]);
        assert_eq!(moments.covariance.row(2), [0.0; 3]);
        let expected = -10.0 / (14f64 * 8.0).sqrt();
        assert!((moments.correlation(0, 1).unwrap() - expected).abs() < 1e-15);
        assert_eq!(moments.correlation(0, 2), None);
    }

    #[test]
    fn blocks_make_one_whole() {
        let rows = 3 * BLOCK_ROWS + 7;
        let values = (0..rows).flat_map(|i| [(i % 2) as f64, -((i % 2) as f64) * 8.0]).collect();
        let moments = Moments::of(&Matrix { values, width: 2 });
        let p = (rows / 2) as f64 / rows as f64;
        assert!((moments.variance(0) - p * (1.0 - p)).abs() < 1e-13);
        assert!((moments.correlation(0, 1).unwrap() + 1.0).abs() < 1e-15);
    }
}
