//! The `strata` command: see the library's `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    strata::cli::main()
}
