//! The peers that are Python packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The folder of their scripts.
pub fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// The interpreter of an environment with the peers' packages, which is made on first use.
pub fn environment() -> Result<PathBuf> {
    let scripts = scripts();
    let wanted = std::fs::read_to_string(scripts.join("requirements.txt"))?;
    let this = std::env::current_exe()?;
    let venv = this.ancestors().nth(2).context("target/PROFILE/peers")?.join("peers-venv");
    let (python, stamp) = (venv.join("bin/python"), venv.join("packages"));
    if std::fs::read_to_string(&stamp).is_ok_and(|there| there == wanted) {
        return Ok(python);
    }
    let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv).status()?.success()
        && Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--requirement"])
            .arg(scripts.join("requirements.txt"))
            .status()?
            .success();
    if !made {
        bail!("the peers cannot be installed into {}; python3 with venv is needed", venv.display());
    }
    std::fs::write(&stamp, wanted)?;
    Ok(python)
}
