//! The binary that is measured.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

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
