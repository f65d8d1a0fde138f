//! Strata turns raw customer data in object storage into a versioned, partitioned segment table.

pub mod bench;
pub mod cli;
pub mod cluster;
mod cpu;
pub mod engine;
mod error;
pub mod generate;
pub mod lake;
pub mod linkage;
pub mod project;
pub mod query;
pub mod run;
pub mod trainer;

pub use error::{Context, Error, Result};
