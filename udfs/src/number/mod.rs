//! Numbers: money, logarithms and exponentials that are the same on every machine, proportions.

mod elementary;
mod intervals;
mod power;
mod proportions;
mod suppressed_cells;
mod to_money;

pub use elementary::{Elementary, ElementaryFunction};
pub use intervals::{NewcombeInterval, TwoProportionP, WilsonInterval};
pub use power::{Log, Power, logarithm};
pub use proportions::{newcombe_interval, two_proportion_p, wilson_interval};
pub use suppressed_cells::{SuppressedCells, suppressed_cells};
pub use to_money::{ToMoney, float_to_cents, text_to_cents};
