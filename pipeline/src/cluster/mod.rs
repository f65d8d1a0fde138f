//! Segment learning: sample, scale, choose k, train, keep ids, name.

mod density;
mod drift;
mod factors;
mod header;
mod hungarian;
mod init;
mod lloyd;
mod matching;
mod naming;
mod polish;
mod preparation;
mod quality;
mod quantiles;
mod radix;
mod sample;
mod scale;
mod screen;
mod selection;
mod settings;
mod stability;
mod tally;
#[cfg(test)]
mod tests;
mod train;

pub use density::{
    DensityGate, DensityQuality, DensitySettings, Membership, TrainedDensity, density_gate, train_density,
};
pub use factors::{FactorsSettings, Method, Rotation, TrainedFactors, train_factors};
pub use header::ByFeature;
pub use lloyd::{Assigner, Fit, lloyd};
pub use naming::Naming;
pub(crate) use polish::polish;
pub use preparation::{Preparation, Scale};
pub use quality::{KmeansQuality, gate};
pub use quantiles::train_reference;
pub use scale::Matrix;
pub use screen::{BLOCK, Screen};
pub use settings::{ChooseBy, DriftLimits, Gate, KmeansSettings, ReferenceSettings};
pub use tally::{outgrown, tally};
pub use train::{Followed, TrainedKmeans, follow_kmeans, train_kmeans};
