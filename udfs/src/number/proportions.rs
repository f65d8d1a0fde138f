//! What counts say of the proportions behind them: Wilson's score interval, Newcombe's of a difference, and the z test.

/// Whether so many of so many are a proportion.
fn is_proportion(successes: f64, trials: f64) -> bool {
    trials > 0.0 && (0.0..=trials).contains(&successes)
}

/// Bounds of Wilson's score interval, without continuity correction, for `z` standard errors; `None` where the
/// counts are no proportion.
///
/// Wilson 1927; method 3 of Newcombe 1998, Statistics in Medicine 17:857-872.
pub fn wilson_interval(successes: f64, trials: f64, z: f64) -> Option<(f64, f64)> {
    if !is_proportion(successes, trials) {
        return None;
    }
    let share = successes / trials;
    let square = z * z;
    let centre = 2.0 * successes + square;
    let half = z * (square + 4.0 * successes * (1.0 - share)).sqrt();
    let scale = 2.0 * (trials + square);
    // rounding must not leave the range, nor move the bound of none or of all off its end
    let low = if successes == 0.0 { 0.0 } else { ((centre - half) / scale).max(0.0) };
    let high = if successes == trials { 1.0 } else { ((centre + half) / scale).min(1.0) };
    Some((low, high))
}

/// Bounds of the difference of two proportions, the first minus the second, from Wilson's interval of each; `None` where
/// counts are no proportion.
///
/// Method 10 of Newcombe 1998, Statistics in Medicine 17:873-890.
pub fn newcombe_interval(first: (f64, f64), second: (f64, f64), z: f64) -> Option<(f64, f64)> {
    let (low, high) = wilson_interval(first.0, first.1, z)?;
    let (other_low, other_high) = wilson_interval(second.0, second.1, z)?;
    let (share, other_share) = (first.0 / first.1, second.0 / second.1);
    let length = |a: f64, b: f64| (a * a + b * b).sqrt();
    let difference = share - other_share;
    Some((
        difference - length(share - low, other_high - other_share),
        difference + length(high - share, other_share - other_low),
    ))
}

/// The two-sided p-value of the z test that two proportions are one, with the pooled variance and without continuity
/// correction (its square is Pearson's chi-squared of the 2 x 2 table); 1 where both are 0 or both 1, `None` where counts are
/// no proportion.
pub fn two_proportion_p(first: (f64, f64), second: (f64, f64)) -> Option<f64> {
    if !is_proportion(first.0, first.1) || !is_proportion(second.0, second.1) {
        return None;
    }
    let pooled = (first.0 + second.0) / (first.1 + second.1);
    let variance = pooled * (1.0 - pooled) * (1.0 / first.1 + 1.0 / second.1);
    if variance <= 0.0 {
        return Some(1.0);
    }
    let z = (first.0 / first.1 - second.0 / second.1) / variance.sqrt();
    Some(libm::erfc(z.abs() / std::f64::consts::SQRT_2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const Z: f64 = 1.959_963_984_540_054;

    fn assert_interval(found: Option<(f64, f64)>, expected: (f64, f64), within: f64) {
        let (low, high) = found.unwrap();
        assert!((low - expected.0).abs() < within && (high - expected.1).abs() < within, "{low} {high}");
    }

    #[test]
    fn wilson_as_published() {
        // Newcombe 1998, table I, method 3
        for (successes, trials, expected) in [
            (81.0, 263.0, (0.2553, 0.3662)),
            (15.0, 148.0, (0.0624, 0.1605)),
            (0.0, 20.0, (0.0, 0.1611)),
            (1.0, 29.0, (0.0061, 0.1718)),
        ] {
            assert_interval(wilson_interval(successes, trials, Z), expected, 5e-5);
        }
        for (successes, trials) in [(0.0, 0.0), (3.0, 2.0), (-1.0, 2.0), (f64::NAN, 2.0), (1.0, f64::NAN)] {
            assert_eq!(wilson_interval(successes, trials, Z), None);
        }
        for trials in 1..200 {
            let trials = f64::from(trials);
            assert_eq!(wilson_interval(0.0, trials, Z).unwrap().0, 0.0);
            assert_eq!(wilson_interval(trials, trials, Z).unwrap().1, 1.0);
        }
    }

    #[test]
    fn newcombe_as_published() {
        // Newcombe 1998, table II, method 10
        for (first, second, expected) in [
            ((56.0, 70.0), (48.0, 80.0), (0.0524, 0.3339)),
            ((9.0, 10.0), (3.0, 10.0), (0.1705, 0.8090)),
            ((10.0, 10.0), (0.0, 20.0), (0.6791, 1.0)),
        ] {
            assert_interval(newcombe_interval(first, second, Z), expected, 5e-5);
        }
        assert_eq!(newcombe_interval((1.0, 2.0), (0.0, 0.0), Z), None);
    }

    #[test]
    fn p_values() {
        // R: prop.test(c(15, 25), c(50, 50), correct = FALSE): X-squared = 4.1667, p-value = 0.04123
        let p = two_proportion_p((15.0, 50.0), (25.0, 50.0)).unwrap();
        assert!((p - 0.041_226_8).abs() < 1e-7, "{p}");
        assert_eq!(two_proportion_p((25.0, 50.0), (15.0, 50.0)), Some(p));
        assert_eq!(two_proportion_p((5.0, 10.0), (50.0, 100.0)), Some(1.0));
        assert_eq!(two_proportion_p((0.0, 10.0), (0.0, 100.0)), Some(1.0));
        assert_eq!(two_proportion_p((10.0, 10.0), (100.0, 100.0)), Some(1.0));
        assert_eq!(two_proportion_p((0.0, 0.0), (1.0, 100.0)), None);
        assert_eq!(two_proportion_p((0.0, 1e6), (1e6, 1e6)), Some(0.0));
    }

    #[test]
    fn bits_are_pinned() {
        let p = two_proportion_p((15.0, 50.0), (25.0, 50.0)).unwrap();
        assert_eq!(format!("{p:e}"), "4.1226833337163704e-2");
    }
}
