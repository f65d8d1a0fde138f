//! Density-based segments: HDBSCAN on the sample, and core points that stand for it when all rows are assigned.
//!
//! Campello, Moulavi, Sander: Density-Based Clustering Based on Hierarchical Density Estimates (PAKDD 2013); the condensed
//! tree after McInnes, Healy: Accelerated Hierarchical Density Based Clustering (ICDMW 2017), with the conventions of
//! scikit-learn's `HDBSCAN`.

mod condensed;
mod core_distances;
mod cover;
mod hierarchy;
mod quality;
mod settings;
mod spanning_tree;
mod stability;
#[cfg(test)]
mod tests;
mod tiles;
mod train;

pub use quality::{DensityQuality, density_gate};
pub use settings::{DensityGate, DensitySettings};
pub use train::{Membership, TrainedDensity, train_density};
