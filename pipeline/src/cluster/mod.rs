//! Segment learning: sample, scale, train, name.

mod density;
mod init;
mod lloyd;
mod naming;
mod polish;
mod quality;
mod quantiles;
mod radix;
mod sample;
mod scale;
mod screen;
mod settings;
#[cfg(test)]
mod tests;
mod train;

pub use density::{
    DensityGate, DensityQuality, DensitySettings, Membership, TrainedDensity, density_gate, train_density,
};
pub use lloyd::{Assigner, Fit, lloyd};
pub(crate) use polish::polish;
pub use quality::{KmeansQuality, gate};
pub use quantiles::train_reference;
pub use scale::Matrix;
pub use screen::{BLOCK, Screen};
pub use settings::{Gate, KmeansSettings, ReferenceSettings, Scale};
pub use train::{TrainedKmeans, train_kmeans};
