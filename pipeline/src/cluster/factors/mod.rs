//! Principal components and factor analysis of the sample, and what its features hold.

mod eigen;
mod likelihood;
mod moments;
mod report;
mod rotation;
mod settings;
#[cfg(test)]
mod tests;
mod train;

pub use settings::{FactorsSettings, Method, Rotation};
pub use train::{TrainedFactors, train_factors};
