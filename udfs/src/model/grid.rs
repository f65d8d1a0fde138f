//! The fixed-point grid on which k-means adds: whole numbers of steps, whose sums do not depend on the order of the rows.

/// Steps of the grid per unit: 2^32.
pub const GRID: f64 = 4_294_967_296.0;

/// The nearest value on the grid, so that floating and fixed point see the same number; -0 becomes 0. From
/// 2^21 on every double lies on the grid already.
pub fn on_grid(value: f64) -> f64 {
    (value * GRID).round_ties_even() / GRID + 0.0
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
