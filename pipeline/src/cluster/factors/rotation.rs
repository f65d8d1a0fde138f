//! Turning factors until each feature loads on few of them.

/// Angle, in radians, below which a pair of factors stands.
const STANDS: f64 = 1e-12;

/// Sweeps over all pairs of factors; 5 to 20 are usual.
const MAX_SWEEPS: usize = 1000;

/// Turns factors by varimax (Kaiser, The varimax criterion for analytic rotation in factor analysis, 1958): planar
/// rotations, pair by pair, that maximise the sum over factors of the variance of squared loadings. `weights`, a vector
/// each factor, turn along. With `normalise` each feature's loadings are divided by the root of its communality while
/// angles are sought (Kaiser normalisation, the default of R's `varimax` and of SPSS), so that features weigh alike.
pub(crate) fn varimax(loadings: &mut [Vec<f64>], weights: &mut [Vec<f64>], normalise: bool) {
    let features = loadings.first().map_or(0, Vec::len);
    let mut sought = loadings.to_vec();
    if normalise {
        for f in 0..features {
            let length = loadings.iter().map(|factor| factor[f] * factor[f]).sum::<f64>().sqrt();
            if length > 0.0 {
                sought.iter_mut().for_each(|factor| factor[f] /= length);
            }
        }
    }
    for _ in 0..MAX_SWEEPS {
        let mut stands = true;
        for p in 0..loadings.len() {
            for q in p + 1..loadings.len() {
                let angle = best_angle(&sought[p], &sought[q]);
                if angle.abs() > STANDS {
                    stands = false;
                    let (sine, cosine) = libm::sincos(angle);
                    for factors in [&mut sought[..], &mut *loadings, &mut *weights] {
                        turn(factors, p, q, sine, cosine);
                    }
                }
            }
        }
        if stands {
            return;
        }
    }
}

/// The angle by which two factors are turned to the maximum of their criterion; at most a quarter of pi.
fn best_angle(x: &[f64], y: &[f64]) -> f64 {
    let [mut sum_u, mut sum_v, mut squares, mut products] = [0.0; 4];
    for (x, y) in x.iter().zip(y) {
        let (u, v) = (x * x - y * y, 2.0 * x * y);
        sum_u += u;
        sum_v += v;
        squares += u * u - v * v;
        products += u * v;
    }
    let p = x.len() as f64;
    let (up, along) = (2.0 * (products - sum_u * sum_v / p), squares - (sum_u * sum_u - sum_v * sum_v) / p);
    // what is left of a pair that any angle serves is rounding
    let size = x.iter().zip(y).map(|(x, y)| x * x + y * y).fold(0.0, f64::max);
    if up.abs().max(along.abs()) <= 1e-14 * p * size * size {
        return 0.0;
    }
    libm::atan2(up, along) / 4.0
}

fn turn(factors: &mut [Vec<f64>], p: usize, q: usize, sine: f64, cosine: f64) {
    let (before, after) = factors.split_at_mut(q);
    for (x, y) in before[p].iter_mut().zip(&mut after[0]) {
        (*x, *y) = (cosine * *x + sine * *y, cosine * *y - sine * *x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simple_structure_is_found_again() {
        // two factors that load on features of their own, turned by 30 degrees
        let simple = [vec![0.9, 0.7, 0.0, 0.0], vec![0.0, 0.0, 0.8, 0.5]];
        let (sine, cosine) = (0.5, 0.75f64.sqrt());
        for normalise in [true, false] {
            let mut loadings = simple.to_vec();
            turn(&mut loadings, 0, 1, sine, cosine);
            let mut weights = loadings.clone();
            varimax(&mut loadings, &mut weights, normalise);
            for (found, expected) in loadings.iter().zip(&simple) {
                assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{loadings:?}");
            }
            assert_eq!(loadings, weights);
        }
    }

    #[test]
    fn one_factor_and_pairs_that_any_angle_serves_stay() {
        let mut one = vec![vec![0.3, -0.4]];
        varimax(&mut one, &mut [vec![1.0, 2.0]], true);
        assert_eq!(one, [[0.3, -0.4]]);
        let corners = [vec![1.0, 0.0, -1.0, 0.0, 0.0], vec![0.0, 1.0, 0.0, -1.0, 0.0]];
        let mut turned = corners.to_vec();
        varimax(&mut turned, &mut [vec![0.0], vec![0.0]], true);
        assert_eq!(turned, corners);
        let mut none = vec![vec![0.0, 0.0]; 2];
        varimax(&mut none, &mut [vec![0.0], vec![0.0]], true);
        assert_eq!(none, [[0.0, 0.0]; 2]);
    }
}
