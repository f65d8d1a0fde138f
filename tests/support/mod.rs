//! What the tests share: the built binary, small worlds, table hashes, shuffled rows, Python.

#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod cluster;
pub mod extremes;
pub mod place;
pub mod process;
pub mod project;
pub mod python;
pub mod s3;
pub mod shuffle;
pub mod slt;
pub mod stages;
pub mod store;
pub mod world;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use strata_udfs::text::{PseudonymKey, PseudonymKeys};

/// The `strata` binary, which cargo builds before these tests.
pub fn strata_bin() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_strata"))
}

/// The root of the checkout.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the checkout").to_path_buf()
}

thread_local! {
    /// What the commands that this test starts find in their environment besides.
    static ENVIRONMENT: RefCell<Vec<(String, String)>> = const { RefCell::new(Vec::new()) };
}

/// Sets variables for all commands that this test starts from now on.
pub fn set_environment(variables: Vec<(String, String)>) {
    ENVIRONMENT.set(variables);
}

/// The key of the pseudonyms of all lakes that tests run on, but those of the demo.
pub const PSEUDONYM_KEY: &str = "the pseudonym key of tests";

/// That key, as sessions of the tests' own hold it.
pub fn pseudonym_keys() -> PseudonymKeys {
    PseudonymKeys::of(PseudonymKey::new(PSEUDONYM_KEY.as_bytes()))
}

/// A command of the binary, with a quiet environment.
pub fn strata(args: &[&str]) -> Command {
    let mut command = Command::new(strata_bin());
    command.env("STRATA_PSEUDONYM_KEY", PSEUDONYM_KEY).env("STRATA_FSYNC", "off");
    for name in ["STRATA_LAKE", "STRATA_PROJECT", "STRATA_ENGINE", "STRATA_LOCK_TIMEOUT"] {
        command.env_remove(name);
    }
    command.args(args).current_dir(repository());
    ENVIRONMENT.with_borrow(|variables| command.envs(variables.iter().cloned()));
    command
}

/// Runs the binary to its end.
pub fn run(args: &[&str]) -> Output {
    strata(args).output().expect("strata starts")
}

/// Runs the binary, which must succeed, and returns its standard output.
pub fn ok(args: &[&str]) -> String {
    let output = run(args);
    assert!(
        output.status.success(),
        "strata {args:?} ended with {}:\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("output is UTF-8")
}

/// Runs the binary, which must end with `code`, and returns its standard error.
pub fn fails(code: i32, args: &[&str]) -> String {
    let output = run(args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "strata {args:?} said:\n{said}");
    said
}

/// A path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("the path is UTF-8")
}

/// Whether a dry run says that every stage is there.
pub fn nothing_to_compute(said: &str) -> bool {
    let is_stage = |line: &&str| line.split(' ').next().is_some_and(|name| name.contains('.'));
    let mut stages = said.lines().filter(is_stage).peekable();
    stages.peek().is_some() && stages.all(|line| line.contains(" 0 of "))
}
