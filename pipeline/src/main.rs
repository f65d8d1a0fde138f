//! The `strata` command: see the library's `cli`.

use std::process::ExitCode;

/// Many small, short-lived buffers on all cores: the allocator is a tenth of a run's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    strata::cli::main()
}
