//! Secrets: from the environment, a file or a command, never from the command line itself. No message repeats one.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use strata_udfs::text::{LEAST_KEY_BYTES, PseudonymKey};

use crate::engine::{ClusterSecret, LEAST_SECRET_BYTES};
use crate::{Error, Result};

/// The variable that holds the key of pseudonyms.
const PSEUDONYM_KEY: &str = "STRATA_PSEUDONYM_KEY";

/// The variable that holds the secret of a cluster.
const CLUSTER_SECRET: &str = "STRATA_CLUSTER_SECRET";

/// Where the key of pseudonyms comes from; without either option, from STRATA_PSEUDONYM_KEY.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct PseudonymArgs {
    /// File with the key from which pseudonyms are derived, a secret of at least 16 bytes; instead of STRATA_PSEUDONYM_KEY.
    #[arg(long, value_name = "FILE", conflicts_with = "pseudonym_key_command")]
    pseudonym_key_file: Option<PathBuf>,
    /// Shell command that writes that key to its standard output.
    #[arg(long, value_name = "COMMAND")]
    pseudonym_key_command: Option<String>,
}

impl PseudonymArgs {
    /// The key, if one is given.
    ///
    /// # Errors
    /// [`Error::Usage`] when it cannot be read, or is shorter than [`LEAST_KEY_BYTES`].
    pub fn key(&self) -> Result<Option<PseudonymKey>> {
        let (from, bytes) = match (&self.pseudonym_key_file, &self.pseudonym_key_command) {
            (Some(file), _) => ("--pseudonym-key-file", Some(of_file("--pseudonym-key-file", file)?)),
            (_, Some(command)) => ("--pseudonym-key-command", Some(of_command(command)?)),
            (None, None) => (PSEUDONYM_KEY, of_environment(PSEUDONYM_KEY)),
        };
        let Some(bytes) = bytes else { return Ok(None) };
        PseudonymKey::new(&bytes).map(Some).ok_or_else(|| {
            Error::Usage(format!(
                "{from}: a key of {} bytes can be guessed\nhelp: take at least {LEAST_KEY_BYTES}, such as those of \
                 `openssl rand -base64 32`",
                bytes.len()
            ))
        })
    }
}

/// Where the secret of a cluster comes from; without the option, from STRATA_CLUSTER_SECRET.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SecretArgs {
    /// File with the secret that all processes of a cluster share, at least 16 bytes; instead of STRATA_CLUSTER_SECRET.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

impl SecretArgs {
    /// The secret, if one is given.
    ///
    /// # Errors
    /// [`Error::Usage`] when it cannot be read, or is shorter than [`LEAST_SECRET_BYTES`].
    pub fn secret(&self) -> Result<Option<ClusterSecret>> {
        let (from, bytes) = match &self.secret_file {
            Some(file) => ("--secret-file", Some(of_file("--secret-file", file)?)),
            None => (CLUSTER_SECRET, of_environment(CLUSTER_SECRET)),
        };
        let Some(bytes) = bytes else { return Ok(None) };
        ClusterSecret::new(&bytes).map(Some).ok_or_else(|| {
            Error::Usage(format!(
                "{from}: a secret of {} bytes can be guessed\nhelp: take at least {LEAST_SECRET_BYTES}, such as those of \
                 `openssl rand -base64 32`",
                bytes.len()
            ))
        })
    }
}

/// The secret in a variable of the environment; one that is empty counts as not set.
fn of_environment(variable: &str) -> Option<Vec<u8>> {
    std::env::var_os(variable).map(OsString::into_vec).map(trimmed).filter(|secret| !secret.is_empty())
}

/// The secret in a file, without the end of its line.
fn of_file(option: &str, file: &Path) -> Result<Vec<u8>> {
    let read = std::fs::read(file);
    read.map(trimmed).map_err(|error| Error::Usage(format!("{option} {}: {error}", file.display())))
}

/// What a shell command writes to its standard output, without the end of its line.
fn of_command(command: &str) -> Result<Vec<u8>> {
    let ran = Command::new("sh").args(["-c", command]).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let ran = ran.map_err(|error| Error::Usage(format!("--pseudonym-key-command: {error}")))?;
    if !ran.status.success() {
        return Err(Error::Usage(format!(
            "--pseudonym-key-command: `{command}` ended with {}\nhelp: it must write the key to its standard output",
            ran.status
        )));
    }
    Ok(trimmed(ran.stdout))
}

fn trimmed(mut secret: Vec<u8>) -> Vec<u8> {
    while secret.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        secret.pop();
    }
    secret
}
