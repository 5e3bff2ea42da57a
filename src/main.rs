//! The `pgprism` program: what was typed goes to [`pgprism::cli`], its exit status comes back.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Under churn it gives back what is freed: `make soak` sees memory stay where it is. With the C library's own allocator
/// it rose by some 5 MB an hour although nothing more was held.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    pgprism::cli::main()
}
