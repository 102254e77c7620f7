//! Bad usage: clap's explanation in one line, exit code 2. Help and version are no errors.

use std::process::ExitCode;

use super::output::one_line;

/// The exit code of a command that was used wrongly.
const BAD_USAGE: u8 = 2;

/// Prints what clap has to say.
pub fn report(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Whoever asked for help may stop reading it.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    eprintln!("{}", explanation(&error.render().to_string()));
    ExitCode::from(BAD_USAGE)
}

/// The paragraphs up to the usage and the hint at `--help`, joined.
fn explanation(rendered: &str) -> String {
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
    fn what_is_wrong_and_the_usage_come_in_one_line() {
        let rendered = "error: the following required arguments were not provided:\n  \
                        --email <EMAIL>\n\nUsage: nexo account create --email <EMAIL>\n\n\
                        For more information, try '--help'.\n";
        assert_eq!(
            explanation(rendered),
            "error: the following required arguments were not provided: --email <EMAIL>; \
             usage: nexo account create --email <EMAIL>"
        );
    }
}
