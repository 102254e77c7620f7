//! The `nexo` binary.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    nexo_route::process::prepare();
    // The reader of the configuration refuses values that are not Unicode, and names their key.
    let variables = std::env::vars_os().map(|(name, value)| {
        let text = |part: std::ffi::OsString| part.to_string_lossy().into_owned();
        (text(name), text(value))
    });
    nexo_route::cli::main(std::env::args_os().collect(), variables.collect())
}
