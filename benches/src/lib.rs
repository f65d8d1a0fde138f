//! What the measurements share: the binary, and the peers' packages.

pub mod binary;
pub mod python;
