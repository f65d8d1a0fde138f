//! The binary that is measured, and its lakes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Builds the binary in the profile of this program. What `cargo run` tells this program of itself is kept from that
/// build: build scripts of dependencies would take it for a change and have nearly everything compiled again.
pub fn build_strata() -> Result<PathBuf> {
    let mut build = std::process::Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "-p", "strata", "--bin", "strata"]);
    build.current_dir(env!("CARGO_MANIFEST_DIR"));
    for (name, _) in std::env::vars_os() {
        let told = name.to_str().is_some_and(|name| {
            ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"]
                .iter()
                .any(|s| name.starts_with(s))
        });
        if told {
            build.env_remove(name);
        }
    }
    let built = build.status()?;
    if !built.success() {
        bail!("the strata binary does not build");
    }
    let this = std::env::current_exe()?;
    Ok(this.parent().context("target/PROFILE")?.join("strata"))
}

/// The arguments that make a world.
pub fn generate<'a>(scale: &'a str, lake: &'a str) -> [&'a str; 7] {
    ["generate", "--threads", "1", "--scale", scale, "--lake", lake]
}

/// Mebibytes.
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}

/// The manifest of the first run of a lake.
pub fn manifest(lake: &Path) -> Result<Value> {
    let manifest = std::fs::read_to_string(lake.join("stages/_runs/0000000001.json"))?;
    Ok(serde_json::from_str(&manifest)?)
}

/// The median; of an even number of values the higher of the middle two, 0 of none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// A path as an argument.
pub fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path is not UTF-8")
}
