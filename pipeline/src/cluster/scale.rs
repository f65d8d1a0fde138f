//! Brings the features of the sample to a common unit and onto the fixed-point grid.

use std::collections::HashSet;

use strata_udfs::groups::quantile_rank;
use strata_udfs::model::{KNOTS, Scaling, Transform, on_grid};

use super::lloyd::parallel;
use super::preparation::{Preparation, Scale};
use super::sample::Sample;
use super::train::side_by_side;
use crate::{Error, Result};

/// Bound of an unscaled value, 2^30: below it a fixed-point value fits an i64, and the squared distance of two
/// rows, in grid steps and over all features and rows, an i128.
pub(crate) const UNSCALED_BOUND: f64 = 1_073_741_824.0;

/// Rows of equal width, one after the other.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// Row after row.
    pub values: Vec<f64>,
    /// Values of a row.
    pub width: usize,
}

impl Matrix {
    pub(crate) fn len(&self) -> usize {
        self.values.len() / self.width
    }

    pub(crate) fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.width..(i + 1) * self.width]
    }

    /// A copy of the first rows, at most so many.
    pub(crate) fn first_rows(&self, most: usize) -> Matrix {
        let rows = self.len().min(most);
        Matrix { values: self.values[..rows * self.width].to_vec(), width: self.width }
    }

    /// Mean and standard deviation (divisor n) of each column: as [`mean_and_deviation`], all columns in two passes.
    pub(crate) fn moments(&self) -> Vec<(f64, f64)> {
        let Some(first) = self.rows().next() else { return vec![(0.0, 0.0); self.width] };
        let n = self.len() as f64;
        let mut sums = vec![0.0; self.width];
        for row in self.rows() {
            sums.iter_mut().zip(row).zip(first).for_each(|((sum, v), first)| *sum += v - first);
        }
        let means: Vec<f64> = first.iter().zip(&sums).map(|(first, sum)| first + sum / n).collect();
        sums.fill(0.0);
        for row in self.rows() {
            sums.iter_mut().zip(row).zip(&means).for_each(|((sum, v), mean)| *sum += (v - mean) * (v - mean));
        }
        means.into_iter().zip(sums).map(|(mean, sum)| (mean, (sum / n).sqrt())).collect()
    }

    pub(crate) fn rows(&self) -> std::slice::ChunksExact<'_, f64> {
        self.values.chunks_exact(self.width)
    }
}

/// Learns centre and scale of each feature from the sample's known values. Returns the scaling, and the sample as it scales
/// it.
///
/// # Errors
/// [`Error::Usage`] for settings of a feature that does not exist; [`Error::Contract`] when infinite values
/// leave no centre or scale, or under `scale: none` for a value of 2^30 or more.
pub(crate) fn learn_scaling(
    preparation: &Preparation,
    sample: &Sample,
    threads: usize,
) -> Result<(Scaling, Matrix)> {
    preparation.check(&sample.features)?;
    let unscaled = preparation.scale == Scale::None;
    let features = sample.features.iter();
    let mut scaling = Scaling {
        features: sample.features.clone(),
        transforms: features.clone().map(|f| *preparation.transform.of(f)).collect(),
        clips: features
            .clone()
            .map(|f| if unscaled { UNSCALED_BOUND } else { *preparation.clip.of(f) })
            .collect(),
        weights: features.map(|f| preparation.weight_of(f, &sample.features)).collect(),
        ..Scaling::default()
    };
    let ranked: Vec<usize> =
        (0..sample.features.len()).filter(|f| scaling.transforms[*f] == Transform::Rank).collect();
    let knots = side_by_side(ranked.len(), threads, |i, _| Ok(knots(known_values(sample, ranked[i]))))?;
    scaling.knots = knots.concat();
    let learned = side_by_side(sample.features.len(), threads, |f, _| {
        let mut known = known_values(sample, f);
        known.iter_mut().for_each(|value| *value = scaling.transform_value(f, *value));
        if unscaled {
            refuse_beyond_bound(sample, &scaling, f)?;
        }
        let (centre, scale) = centre_and_scale(preparation.scale, known);
        if !centre.is_finite() || !scale.is_finite() {
            return Err(Error::Contract(format!(
                "feature `{}` has too many infinite or too widely spread values to be scaled: make them NULL \
                 (log1p is infinite from -1 down)",
                sample.features[f]
            )));
        }
        Ok((centre, scale))
    })?;
    (scaling.centre, scaling.scale) = learned.into_iter().unzip();
    let width = sample.features.len();
    let mut values = vec![0.0; sample.rows.len() * width];
    let mut places: Vec<&mut [f64]> = values.chunks_exact_mut(width).collect();
    parallel((&mut places, &mut vec![(); sample.rows.len()]), threads, |rows, places, _| {
        for (row, place) in sample.rows[rows].iter().zip(places) {
            for (f, (x, scaled)) in row.values.iter().zip(place.iter_mut()).enumerate() {
                *scaled = on_grid(scaling.scale_value(f, Some(*x)));
            }
        }
    });
    Ok((scaling, Matrix { values, width }))
}

/// The values of one feature that are not NULL, in the sample's order. Infinite ones stay: they have a rank, and are
/// clipped in the end.
pub(crate) fn known_values(sample: &Sample, feature: usize) -> Vec<f64> {
    // NaN stands for NULL
    sample.rows.iter().map(|row| row.values[feature]).filter(|value| !value.is_nan()).collect()
}

/// The values at evenly spaced ranks, from the smallest to the largest finite one, linear between two; all zero when
/// nothing is known.
fn knots(mut known: Vec<f64>) -> [f64; KNOTS] {
    known.retain(|value| value.is_finite());
    known.sort_unstable_by(f64::total_cmp);
    let last = known.len().saturating_sub(1);
    std::array::from_fn(|i| {
        let (at, part) = (i * last / (KNOTS - 1), i * last % (KNOTS - 1));
        let value = |at: usize| known.get(at).copied().unwrap_or(0.0);
        if part == 0 {
            value(at)
        } else {
            value(at) + part as f64 / (KNOTS - 1) as f64 * (value(at + 1) - value(at))
        }
    })
}

fn refuse_beyond_bound(sample: &Sample, scaling: &Scaling, feature: usize) -> Result<()> {
    for row in sample.rows.iter().filter(|row| !row.values[feature].is_nan()) {
        let value = scaling.transform_value(feature, row.values[feature]) * scaling.weights[feature];
        if value.abs() >= UNSCALED_BOUND {
            return Err(Error::Contract(format!(
                "feature `{}` is {} for key `{}`, too large to cluster with `scale: none`: declare \
                 `scale: robust`, or make it NULL",
                sample.features[feature], row.values[feature], row.key
            )));
        }
    }
    Ok(())
}

/// Centre and scale of one feature's known values. A scale of zero becomes 1.
fn centre_and_scale(scale: Scale, mut known: Vec<f64>) -> (f64, f64) {
    if known.is_empty() || scale == Scale::None {
        return (0.0, 1.0);
    }
    let finite: Vec<f64> = known.iter().copied().filter(|v| v.is_finite()).collect();
    let (mean, deviation) = mean_and_deviation(&finite);
    match scale {
        Scale::None => (0.0, 1.0),
        Scale::Standard => (mean, positive(deviation, mean).unwrap_or(1.0)),
        Scale::Robust => {
            let [lower, median, upper] = quantiles(&mut known, [0.25, 0.5, 0.75]);
            let scale = positive(upper - lower, median).or(positive(deviation, median)).unwrap_or(1.0);
            (median, scale)
        }
    }
}

/// The observed values at rising probabilities (inverse CDF) of at least one value; the order of the values changes.
pub(crate) fn quantiles<const N: usize>(values: &mut [f64], probabilities: [f64; N]) -> [f64; N] {
    let n = values.len() as u64;
    // what lies before a quantile is below it
    let mut from = 0;
    probabilities.map(|p| {
        let rank = quantile_rank(p, n) as usize - 1;
        let quantile = *values[from..].select_nth_unstable_by(rank - from, f64::total_cmp).1;
        from = rank;
        quantile
    })
}

/// A spread that is more than the rounding of values around `centre`.
fn positive(spread: f64, centre: f64) -> Option<f64> {
    (spread > 1e-12 * centre.abs()).then_some(spread)
}

/// Mean and standard deviation (divisor n), two passes around the first value. The order of the values matters
/// to the last bit: callers pass them in the sample's own order.
pub(crate) fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let Some(first) = values.first() else { return (0.0, 0.0) };
    let n = values.len() as f64;
    let mean = first + values.iter().map(|v| v - first).sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

/// Number of different rows, counted no further than `enough`.
pub(crate) fn distinct_rows(points: &Matrix, enough: usize) -> usize {
    let mut seen = HashSet::new();
    for row in points.rows() {
        seen.insert(row.iter().map(|v| v.to_bits()).collect::<Vec<_>>());
        if seen.len() >= enough {
            break;
        }
    }
    seen.len()
}

#[cfg(test)]
pub(crate) mod tests {
    use strata_udfs::model::{GRID, steps};

    use super::super::header::ByFeature;
    use super::super::sample::SampleRow;
    use super::*;

    /// A sample of one row per entry, keyed by its position, in that order.
    pub(crate) fn sample(features: &[&str], rows: &[&[f64]]) -> Sample {
        let row = |(i, values): (usize, &&[f64])| SampleRow {
            hash: i as u64,
            key: i.to_string(),
            values: values.to_vec().into_boxed_slice(),
            tags: Box::default(),
        };
        Sample {
            features: features.iter().map(|f| f.to_string()).collect(),
            tags: Vec::new(),
            rows: rows.iter().enumerate().map(row).collect(),
            seen: rows.len() as u64,
        }
    }

    fn settings(scale: Scale) -> Preparation {
        Preparation { scale, ..Preparation::default() }
    }

    fn one(values: &[f64]) -> Sample {
        let rows: Vec<&[f64]> = values.chunks(1).collect();
        sample(&["x"], &rows)
    }

    #[test]
    fn robust_uses_observed_quantiles_and_falls_back() {
        let (s, m) = learn_scaling(&settings(Scale::Robust), &one(&[1.0, 2.0, 3.0, 4.0, 100.0]), 2).unwrap();
        assert_eq!((s.centre[0], s.scale[0]), (3.0, 2.0));
        assert_eq!(m.values, [-1.0, -0.5, 0.0, 0.5, 8.0]);
        let (s, _) = learn_scaling(&settings(Scale::Robust), &one(&[0.0, 0.0, 0.0, 0.0, 10.0]), 2).unwrap();
        assert_eq!((s.centre[0], s.scale[0]), (0.0, 4.0));
        let (s, m) = learn_scaling(&settings(Scale::Robust), &one(&[0.1; 7]), 2).unwrap();
        assert_eq!((s.centre[0], s.scale[0]), (0.1, 1.0));
        assert_eq!(m.values, [0.0; 7]);
    }

    #[test]
    fn standard_is_population_deviation() {
        let (s, m) = learn_scaling(&settings(Scale::Standard), &one(&[1.0, 3.0]), 2).unwrap();
        assert_eq!((s.centre[0], s.scale[0]), (2.0, 1.0));
        assert_eq!(m.values, [-1.0, 1.0]);
        let (s, _) = learn_scaling(&settings(Scale::Standard), &one(&[0.1; 7]), 2).unwrap();
        assert_eq!((s.centre[0], s.scale[0]), (0.1, 1.0));
    }

    #[test]
    fn nulls_lie_at_the_centre_and_count_for_nothing() {
        let nan = f64::NAN;
        let (s, m) = learn_scaling(&settings(Scale::Standard), &one(&[1.0, nan, 3.0, nan]), 2).unwrap();
        assert_eq!((s.centre[0], s.scale[0]), (2.0, 1.0));
        assert_eq!(m.values, [-1.0, 0.0, 1.0, 0.0]);
        let (s, m) = learn_scaling(&settings(Scale::Robust), &one(&[nan, nan]), 2).unwrap();
        assert_eq!((s.centre[0], s.scale[0]), (0.0, 1.0));
        assert_eq!(m.values, [0.0, 0.0]);
    }

    #[test]
    fn ranks_are_even_whatever_the_values() {
        let ranked = Preparation { transform: ByFeature::all(Transform::Rank), ..settings(Scale::None) };
        let (s, m) = learn_scaling(&ranked, &one(&[1e12, 0.0, 5.0, -3.0, 7.0]), 2).unwrap();
        assert_eq!(m.values, [1.0, 0.25, 0.5, 0.0, 0.75]);
        assert!(s.validate("test").is_ok());
        let (s, m) = learn_scaling(&ranked, &one(&[f64::NAN]), 2).unwrap();
        assert_eq!((s.knots.len(), m.values), (KNOTS, vec![0.0]));
    }

    #[test]
    fn weights_of_features_and_groups() {
        let weights = ByFeature { default: 1.0, named: vec![("b".into(), 2.0)] };
        let groups = ByFeature {
            default: String::new(),
            named: vec![("b".into(), "g".into()), ("c".into(), "g".into())],
        };
        let weighed = Preparation { weights, groups, ..settings(Scale::None) };
        let (_, m) = learn_scaling(&weighed, &sample(&["a", "b", "c"], &[&[1.0, 1.0, 1.0]]), 2).unwrap();
        assert_eq!(m.values, [1.0, on_grid(2f64.sqrt()), on_grid(0.5f64.sqrt())]);
    }

    #[test]
    fn log1p_is_applied_before_scaling() {
        let settings = Preparation { transform: ByFeature::all(Transform::Log1p), ..settings(Scale::None) };
        let (_, m) = learn_scaling(&settings, &one(&[0.0, 1.5, 1e9]), 2).unwrap();
        assert_eq!(m.values, [0.0, on_grid(0.9162907318741551), on_grid(20.72326583794641)]);
    }

    #[test]
    fn infinite_values_are_clipped() {
        let inf = f64::INFINITY;
        for scale in [Scale::Robust, Scale::Standard] {
            let (s, m) = learn_scaling(&settings(scale), &one(&[0.0, inf, 1.0, 2.0, -inf]), 2).unwrap();
            assert_eq!((m.values[1], m.values[4], s.centre[0]), (8.0, -8.0, 1.0));
        }
    }

    #[test]
    fn refuses_what_it_cannot_hold() {
        let error = learn_scaling(&settings(Scale::None), &one(&[1.0, 2e9]), 2).unwrap_err().to_string();
        assert!(
            error.contains("`x` is 2000000000 for key `1`") && error.contains("`scale: robust`"),
            "{error}"
        );
        let error =
            learn_scaling(&settings(Scale::Robust), &one(&[-1.7e308, -1.6e308, 1.7e308]), 2).unwrap_err();
        assert!(error.to_string().contains("too widely spread"), "{error}");
        let log = Preparation { transform: ByFeature::all(Transform::Log1p), ..settings(Scale::Robust) };
        let error = learn_scaling(&log, &one(&[-2.0, -3.0, 1.0]), 2).unwrap_err();
        assert!(error.to_string().contains("from -1 down"), "{error}");
        let named = ByFeature { default: Transform::None, named: vec![("y".into(), Transform::Log1p)] };
        let wrong = Preparation { transform: named, ..settings(Scale::Robust) };
        let error = learn_scaling(&wrong, &one(&[1.0]), 2).unwrap_err().to_string();
        assert!(error.contains("no feature `y`; they have x"), "{error}");
    }

    #[test]
    fn grid_is_exact_both_ways() {
        for v in [0.0, -0.0, 1.0 / 3.0, -7.999_999, 123_456.789, -987_654_321.123_456, UNSCALED_BOUND] {
            let q = on_grid(v);
            assert!((q - v).abs() <= 0.5 / GRID);
            assert_eq!(steps(q) as i128, (q * GRID) as i128);
            assert_eq!(q.to_bits(), (steps(q) as f64 / GRID).to_bits());
        }
    }

    #[test]
    fn counts_distinct_rows() {
        let m = Matrix { values: vec![1.0, 2.0, 1.0, 2.0, 2.0, 1.0, 0.0, 0.0], width: 2 };
        assert_eq!((distinct_rows(&m, 10), distinct_rows(&m, 2)), (3, 2));
    }
}
