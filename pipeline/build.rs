//! Hashes the function crate, the trainers and the lock file, so that results computed by other code get other
//! fingerprints.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

fn main() -> std::io::Result<()> {
    let mut files = vec![PathBuf::from("../Cargo.lock")];
    for folder in ["../udfs/src", "src/cluster", "src/engine"] {
        println!("cargo:rerun-if-changed={folder}");
        collect(Path::new(folder), &mut files)?;
    }
    println!("cargo:rerun-if-changed=../Cargo.lock");
    println!("cargo:rerun-if-changed=../sql");
    files.sort();
    let mut hasher = Sha256::new();
    for file in &files {
        hasher.update(file.display().to_string().as_bytes());
        hasher.update(std::fs::read(file)?);
    }
    let hash: String = hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    println!("cargo:rustc-env=STRATA_ENGINE_HASH={hash}");
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
