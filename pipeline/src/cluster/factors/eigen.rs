//! Eigenvalues and eigenvectors of a symmetric matrix.

use super::super::scale::Matrix;
use crate::{Error, Result};

/// Sweeps after which rounding alone cannot explain what is left beside the diagonal; 6 to 10 are usual.
const MAX_SWEEPS: usize = 100;

/// The eigenvalues of a symmetric matrix, the largest first, and its eigenvectors of length 1 as the rows of a matrix.
/// Equal eigenvalues stand in the order in which they are found; a vector's sign is left as it comes.
///
/// Cyclic Jacobi by rows (Golub and Van Loan, Matrix Computations, 8.5): rotations in a fixed order of additions,
/// products and square roots, so that the result is the same on every machine.
///
/// # Errors
/// For a matrix with entries that are not finite.
pub(crate) fn eigen(matrix: &Matrix) -> Result<(Vec<f64>, Matrix)> {
    let d = matrix.width;
    let mut a = matrix.values.clone();
    let mut vectors = vec![0.0; d * d];
    (0..d).for_each(|i| vectors[i * d + i] = 1.0);
    let mut sweeps = 0;
    while !is_diagonal(&a, d) {
        if sweeps == MAX_SWEEPS {
            return Err(Error::other(format!(
                "the eigenvalues of a matrix of {d} features were not found in {MAX_SWEEPS} sweeps"
            )));
        }
        sweeps += 1;
        for p in 0..d {
            for q in p + 1..d {
                rotate(&mut a, &mut vectors, d, p, q);
            }
        }
    }
    let mut order: Vec<usize> = (0..d).collect();
    order.sort_by(|i, j| a[j * d + j].total_cmp(&a[i * d + i]).then(i.cmp(j)));
    let values = order.iter().map(|i| a[i * d + i]).collect();
    let rows = order.iter().flat_map(|i| vectors[i * d..(i + 1) * d].iter().copied()).collect();
    Ok((values, Matrix { values: rows, width: d }))
}

/// Whether what stands beside the diagonal is below the rounding of the whole.
fn is_diagonal(a: &[f64], d: usize) -> bool {
    let (mut beside, mut all) = (0.0, 0.0);
    for (i, row) in a.chunks_exact(d).enumerate() {
        for (j, value) in row.iter().enumerate() {
            all += value * value;
            beside += if i == j { 0.0 } else { value * value };
        }
    }
    beside <= all * (f64::EPSILON * f64::EPSILON)
}

/// Turns axes `p` and `q` so that their entry becomes zero. The matrix stays symmetric to the bit.
fn rotate(a: &mut [f64], vectors: &mut [f64], d: usize, p: usize, q: usize) {
    let beside = a[p * d + q];
    if beside == 0.0 {
        return;
    }
    let (at_p, at_q) = (a[p * d + p], a[q * d + q]);
    let theta = (at_q - at_p) / (2.0 * beside);
    let tangent = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
    let sine = tangent * cosine;
    turn(a, d, p, q, cosine, sine);
    for i in (0..d).filter(|i| *i != p && *i != q) {
        a[i * d + p] = a[p * d + i];
        a[i * d + q] = a[q * d + i];
    }
    a[p * d + p] = at_p - tangent * beside;
    a[q * d + q] = at_q + tangent * beside;
    a[p * d + q] = 0.0;
    a[q * d + p] = 0.0;
    turn(vectors, d, p, q, cosine, sine);
}

/// Rows `p < q` of a matrix become their combinations.
fn turn(matrix: &mut [f64], d: usize, p: usize, q: usize, cosine: f64, sine: f64) {
    let (before, after) = matrix.split_at_mut(q * d);
    for (x, y) in before[p * d..(p + 1) * d].iter_mut().zip(&mut after[..d]) {
        (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::sample::mix;
    use super::*;

    fn close(actual: &[f64], expected: &[f64]) {
        assert_eq!(actual.len(), expected.len());
        for (a, e) in actual.iter().zip(expected) {
            assert!((a - e).abs() < 1e-14, "{actual:?} is not {expected:?}");
        }
    }

    #[test]
    fn by_hand() {
        // eigenvalues of [[2, 1], [1, 2]] are 3 and 1, of [[2, -1, 0], [-1, 2, -1], [0, -1, 2]] 2 + sqrt 2, 2, 2 - sqrt 2
        let (values, vectors) = eigen(&Matrix { values: vec![2.0, 1.0, 1.0, 2.0], width: 2 }).unwrap();
        close(&values, &[3.0, 1.0]);
        let half = 0.5f64.sqrt();
        close(&vectors.values.iter().map(|v| v.abs()).collect::<Vec<_>>(), &[half; 4]);
        let chain = Matrix { values: vec![2.0, -1.0, 0.0, -1.0, 2.0, -1.0, 0.0, -1.0, 2.0], width: 3 };
        let (values, _) = eigen(&chain).unwrap();
        close(&values, &[2.0 + 2f64.sqrt(), 2.0, 2.0 - 2f64.sqrt()]);
    }

    #[test]
    fn equal_eigenvalues_keep_the_order_of_features_and_zeros_stay() {
        let matrix = Matrix { values: vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0], width: 3 };
        let (values, vectors) = eigen(&matrix).unwrap();
        assert_eq!(values, [1.0, 1.0, 0.0]);
        assert_eq!(vectors.values, [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn large_matrices_are_put_together_again() {
        let d = 60;
        let mut values = vec![0.0; d * d];
        for i in 0..d {
            for j in 0..=i {
                let value = (mix((i * d + j) as u64) >> 40) as f64 / 16_777_216.0 - 0.5;
                (values[i * d + j], values[j * d + i]) = (value, value);
            }
        }
        let matrix = Matrix { values, width: d };
        let (found, vectors) = eigen(&matrix).unwrap();
        assert!(found.windows(2).all(|w| w[0] >= w[1]));
        for i in 0..d {
            for j in 0..d {
                let dot: f64 = vectors.row(i).iter().zip(vectors.row(j)).map(|(x, y)| x * y).sum();
                assert!((dot - f64::from(i == j)).abs() < 1e-13, "vectors {i} and {j}: {dot}");
                let again: f64 = (0..d).map(|k| found[k] * vectors.row(k)[i] * vectors.row(k)[j]).sum();
                assert!((again - matrix.row(i)[j]).abs() < 1e-12, "entry {i}, {j}: {again}");
            }
        }
    }

    #[test]
    fn numbers_that_are_not_finite_end_in_an_error() {
        let error = eigen(&Matrix { values: vec![1.0, f64::NAN, f64::NAN, 1.0], width: 2 }).unwrap_err();
        assert!(error.to_string().contains("2 features"), "{error}");
    }
}
