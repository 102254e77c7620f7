//! Reports what clap returns instead of arguments: usage errors in one line with exit code 2, or the help and
//! version texts with exit code 0. `nexo` without arguments asks for the help.

use std::process::ExitCode;

use clap::error::ErrorKind;

use super::output::{one_line, print_line};

/// The exit code of a usage error.
const USAGE_ERROR: u8 = 2;

/// Prints the error, help or version.
pub fn report(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // A closed pipe is not an error.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        print_line(&error.render().to_string());
        return ExitCode::SUCCESS;
    }
    eprintln!("{}", message(&error.render().to_string()));
    ExitCode::from(USAGE_ERROR)
}

/// The paragraphs of the message in one line, without the hint to try `--help`, and the usage last.
fn message(rendered: &str) -> String {
    let mut paragraphs: Vec<String> = rendered
        .split("\n\n")
        .map(|paragraph| paragraph.trim())
        .take_while(|p| !p.starts_with("For more information"))
        .filter(|p| !p.is_empty() && !p.starts_with("Usage:"))
        .map(one_line)
        .collect();
    if let Some(usage) = rendered.lines().find_map(|l| l.strip_prefix("Usage: ")) {
        paragraphs.push(format!("usage: {usage}"));
    }
    paragraphs.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_and_the_usage_are_one_line() {
        let rendered = "error: the following required arguments were not provided:\n  \
                        --email <EMAIL>\n\nUsage: nexo account create --email <EMAIL>\n\n\
                        For more information, try '--help'.\n";
        assert_eq!(
            message(rendered),
            "error: the following required arguments were not provided: --email <EMAIL>; \
             usage: nexo account create --email <EMAIL>"
        );
    }
}
