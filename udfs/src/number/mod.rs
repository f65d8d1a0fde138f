//! Numbers: money, logarithms and exponentials that are the same on every machine.

mod elementary;
mod power;
mod to_money;

pub use elementary::{Elementary, ElementaryFunction};
pub use power::{Log, Power, logarithm};
pub use to_money::{ToMoney, float_to_cents, text_to_cents};
