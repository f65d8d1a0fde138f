//! What the tests share: the built binary, small worlds, table hashes, shuffled rows, Python.

#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod process;
pub mod project;
pub mod python;
pub mod shuffle;
pub mod world;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The `strata` binary of this build. `STRATA_BIN` names another; else it is built here, in the profile of the tests.
pub fn strata_bin() -> &'static Path {
    static BIN: OnceLock<PathBuf> = OnceLock::new();
    BIN.get_or_init(|| {
        if let Some(path) = std::env::var_os("STRATA_BIN") {
            return PathBuf::from(path);
        }
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "-p", "strata", "--bin", "strata"])
            .current_dir(repository())
            .status()
            .expect("cargo runs");
        assert!(built.success(), "the strata binary does not build");
        let test = std::env::current_exe().expect("this test has a path");
        let folder = test.parent().and_then(Path::parent).expect("target/PROFILE/deps");
        folder.join("strata")
    })
}

/// The root of the checkout.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the checkout").to_path_buf()
}

/// A command of the binary, with a quiet environment.
pub fn strata(args: &[&str]) -> Command {
    let mut command = Command::new(strata_bin());
    command.args(args).env_remove("STRATA_LAKE").env_remove("STRATA_PROJECT").current_dir(repository());
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
