//! What the measurements share: programs that are run and measured, clusters, the peers' packages.

pub mod binary;
pub mod python;
