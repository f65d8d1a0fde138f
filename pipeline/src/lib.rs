//! Strata turns raw customer data in object storage into a versioned, partitioned segment table.

pub mod cli;
pub mod cluster;
pub mod engine;
mod error;
pub mod generate;
pub mod lake;
pub mod project;
pub mod query;
pub mod run;

pub use error::{Context, Error, Result};
