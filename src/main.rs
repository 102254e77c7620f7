//! `nexo`, the one binary.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // A value that is not Unicode is rejected by the key that it sets.
    let variables = std::env::vars_os().map(|(name, value)| {
        let text = |part: std::ffi::OsString| part.to_string_lossy().into_owned();
        (text(name), text(value))
    });
    nexo_route::cli::main(std::env::args_os().collect(), variables.collect())
}
