//! The fixed-point grid on which k-means adds: whole numbers of steps, whose sums do not depend on the order of the rows.

/// Steps of the grid per unit: 2^32.
pub const GRID: f64 = 4_294_967_296.0;

/// The nearest value on the grid, so that floating and fixed point see the same number; -0 becomes 0. From
/// 2^21 on every double lies on the grid already.
#[inline]
pub fn on_grid(value: f64) -> f64 {
    /// What is added to it has no digit behind the point, and rounds as doubles do: to the nearest, of two the even.
    const POINT: f64 = 1.5 * (1u64 << 52) as f64;
    let steps = value * GRID;
    let whole = match steps.abs() < (1u64 << 51) as f64 {
        true => steps + POINT - POINT,
        false => steps.round_ties_even(),
    };
    whole / GRID + 0.0
}

/// A value as a whole number of steps. Exact for every value below 2^30 that [`on_grid`] returned.
#[inline]
pub fn steps(value: f64) -> i64 {
    (value * GRID) as i64
}

/// A squared distance in steps.
#[inline]
pub fn squared_steps(squared: f64) -> i128 {
    // The i64 path holds whatever clipped features give and is many times faster.
    if squared < 1_073_741_824.0 { i128::from((squared * GRID) as i64) } else { (squared * GRID) as i128 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_step_of_any_value() {
        let values = (-60..60)
            .flat_map(|size| [1.0, 1.25, 1.5, -1.75, 1.999_999_999, -1.1].map(|m| m * 2f64.powi(size)));
        let halves = [0.5, 1.5, 2.5, -0.5, -1.5, -2.5].map(|steps| steps / GRID);
        for value in values.chain(halves).chain([0.0, -0.0, f64::MAX]) {
            let expected = (value * GRID).round_ties_even() / GRID + 0.0;
            assert_eq!(on_grid(value).to_bits(), expected.to_bits(), "{value}");
        }
    }
}
