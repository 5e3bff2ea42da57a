//! The `pgprism` program: what was typed goes to [`pgprism::cli`], its exit status comes back.

use std::process::ExitCode;

fn main() -> ExitCode {
    pgprism::cli::main()
}
