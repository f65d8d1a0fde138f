//! Factor analysis by maximum likelihood.

use super::super::scale::Matrix;
use super::eigen::eigen;
use crate::Result;

/// Least share of a feature's variance that is its own, as in R's `factanal`: a Heywood case ends here, not at 0.
const LEAST_UNIQUENESS: f64 = 0.005;

/// Change of all uniquenesses, in shares of the variance, at which the search ends.
const SETTLED: f64 = 1e-10;

/// Rounds of the search, two or three eigenvalue decompositions each; tens are usual.
const MAX_ROUNDS: usize = 1000;

/// What the features of a covariance matrix have in common, one vector over the features each factor.
#[derive(Debug)]
pub(crate) struct CommonFactors {
    pub loadings: Vec<Vec<f64>>,
    /// What a feature adds to the expected factor of a row: regression scores.
    pub weights: Vec<Vec<f64>>,
    /// Whether the likelihood reached its maximum.
    pub settled: bool,
}

/// The most factors that the covariances of `d` features determine: (d - m)^2 >= d + m (Lawley and Maxwell 1971).
pub(crate) fn most_factors(d: usize) -> usize {
    (0..d).rev().find(|m| (d - m) * (d - m) >= d + m).unwrap_or(0)
}

/// Maximises the likelihood of m normal factors with independent remainders. The step is that of scikit-learn's
/// `FactorAnalysis` (Barber, Bayesian Reasoning and Machine Learning, algorithm 21.1): loadings that are best for the
/// uniquenesses, then uniquenesses that are best for the loadings. It is extrapolated by SQUAREM (Varadhan and Roland
/// 2008, scheme S3) wherever that does not lower the likelihood. `covariance` has a positive diagonal.
///
/// # Errors
/// Those of [`eigen`].
pub(crate) fn maximum_likelihood(covariance: &Matrix, m: usize) -> Result<CommonFactors> {
    let variances: Vec<f64> = (0..covariance.width).map(|i| covariance.row(i)[i]).collect();
    let mut at = variances.clone();
    let mut step = Step::from(covariance, &variances, &at, m)?;
    for _ in 0..MAX_ROUNDS {
        let moved = step.next.iter().zip(&at).zip(&variances).map(|((next, at), v)| (next - at).abs() / v);
        if moved.fold(0.0, f64::max) <= SETTLED {
            return Ok(step.factors(true));
        }
        let second = Step::from(covariance, &variances, &step.next, m)?;
        let far = extrapolate(&at, &step.next, &second.next, &variances);
        let there = Step::from(covariance, &variances, &far, m)?;
        if there.cost <= second.cost {
            (at, step) = (far, there);
        } else {
            (at, step) = (step.next, second);
        }
    }
    Ok(step.factors(false))
}

/// Where two steps lead if they go on as they began, within what uniquenesses can be.
fn extrapolate(from: &[f64], first: &[f64], second: &[f64], variances: &[f64]) -> Vec<f64> {
    let (mut steps, mut bends) = (0.0, 0.0);
    for (i, v) in variances.iter().enumerate() {
        let (step, bend) = ((first[i] - from[i]) / v, (second[i] - 2.0 * first[i] + from[i]) / v);
        steps += step * step;
        bends += bend * bend;
    }
    let length = if bends > 0.0 { (steps / bends).sqrt().max(1.0) } else { 1.0 };
    let of_feature = |(i, v): (usize, &f64)| {
        let (step, bend) = (first[i] - from[i], second[i] - 2.0 * first[i] + from[i]);
        (from[i] + 2.0 * length * step + length * length * bend).clamp(LEAST_UNIQUENESS * v, *v)
    };
    variances.iter().enumerate().map(of_feature).collect()
}

/// The best loadings for given uniquenesses, and the best uniquenesses for these.
#[derive(Debug)]
struct Step {
    uniquenesses: Vec<f64>,
    loadings: Vec<Vec<f64>>,
    /// Eigenvalues of the covariances in units of the uniquenesses, one a factor.
    eigenvalues: Vec<f64>,
    next: Vec<f64>,
    /// Twice the negative log-likelihood of a row, up to a constant.
    cost: f64,
}

impl Step {
    fn from(covariance: &Matrix, variances: &[f64], uniquenesses: &[f64], m: usize) -> Result<Self> {
        let d = covariance.width;
        let roots: Vec<f64> = uniquenesses.iter().map(|u| u.sqrt()).collect();
        let mut values = covariance.values.clone();
        for (row, of_row) in values.chunks_exact_mut(d).zip(&roots) {
            row.iter_mut().zip(&roots).for_each(|(value, root)| *value /= of_row * root);
        }
        let (eigenvalues, vectors) = eigen(&Matrix { values, width: d })?;
        let mut cost: f64 = uniquenesses.iter().map(|u| libm::log(*u)).sum();
        let mut loadings = Vec::with_capacity(m);
        for (k, value) in eigenvalues.iter().enumerate() {
            // a factor whose eigenvalue is below 1 explains nothing
            cost += if k < m && *value > 1.0 { 1.0 + libm::log(*value) } else { *value };
            if k < m {
                let length = (value - 1.0).max(0.0).sqrt();
                loadings.push(vectors.row(k).iter().zip(&roots).map(|(v, root)| length * v * root).collect());
            }
        }
        let left = |(i, v): (usize, &f64)| {
            let common: f64 = loadings.iter().map(|factor: &Vec<f64>| factor[i] * factor[i]).sum();
            (v - common).max(LEAST_UNIQUENESS * v)
        };
        let next = variances.iter().enumerate().map(left).collect();
        let eigenvalues = eigenvalues.into_iter().take(m).collect();
        Ok(Step { uniquenesses: uniquenesses.to_vec(), loadings, eigenvalues, next, cost })
    }

    fn factors(self, settled: bool) -> CommonFactors {
        let weights = self.loadings.iter().zip(&self.eigenvalues).map(|(loadings, value)| {
            loadings.iter().zip(&self.uniquenesses).map(|(loading, u)| loading / (u * value)).collect()
        });
        CommonFactors { weights: weights.collect(), loadings: self.loadings, settled }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_factors_as_are_determined() {
        // R's factanal: "2 factors are too many for 4 variables"
        let most: Vec<usize> = [1, 2, 3, 4, 5, 6, 10, 13].map(most_factors).to_vec();
        assert_eq!(most, [0, 0, 1, 1, 2, 3, 6, 8]);
    }

    #[test]
    fn one_factor_of_three_features_by_hand() {
        // r12 = ab, r13 = ac, r23 = bc determine a = .9, b = .8, c = .7
        let values = vec![1.0, 0.72, 0.63, 0.72, 1.0, 0.56, 0.63, 0.56, 1.0];
        let found = maximum_likelihood(&Matrix { values, width: 3 }, 1).unwrap();
        assert!(found.settled);
        for (loading, expected) in found.loadings[0].iter().zip([0.9, 0.8, 0.7]) {
            assert!((loading.abs() - expected).abs() < 1e-8, "{:?}", found.loadings);
        }
        // weights: loading / uniqueness / (1 + sum of loading^2 / uniqueness)
        let sum: f64 = [0.9, 0.8, 0.7f64].iter().map(|l| l * l / (1.0 - l * l)).sum();
        let expected = 0.9 / 0.19 / (1.0 + sum);
        assert!((found.weights[0][0].abs() - expected).abs() < 1e-7, "{:?}", found.weights);
    }
}
