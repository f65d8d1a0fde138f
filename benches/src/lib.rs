//! What the measurements share: the binary, the peers' packages, and features with planted segments.

pub mod binary;
pub mod features;
pub mod python;
