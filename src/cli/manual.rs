//! Generates the manual page from the clap definitions; a test does the same for `docs/CLI.md`.

use std::io::Write;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// Returns the manual page in roff: the program, and each command with its options.
///
/// # Errors
/// Writing to memory does not fail; the writers' signatures require a result.
pub fn man_page(mut program: Command) -> std::io::Result<String> {
    program.build();
    let man = Man::new(program.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut commands = Roff::new();
    commands.control("SH", ["COMMANDS"]);
    for command in visible(&program) {
        write_command(command, "nexo", &mut commands);
    }
    commands.to_writer(&mut page)?;
    for (title, text) in SECTIONS {
        let mut section = Roff::new();
        section.control("SH", [*title]);
        section.text([roman(*text)]);
        section.to_writer(&mut page)?;
    }
    page.flush()?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// The sections that clap cannot generate.
const SECTIONS: &[(&str, &str)] = &[
    (
        "SIGNALS",
        "serve: SIGHUP reloads carriers, prices and limits without dropping a call; an invalid file is rejected and \
         the previous settings stay in effect. After SIGTERM or SIGINT, new OTPs are rejected; the process finishes \
         the calls in progress and their webhooks within 90 s, and exits. A second signal stops it immediately.",
    ),
    (
        "EXIT STATUS",
        "0 on success, 2 on a usage error, 1 on any other error, with one line on standard error that names the remedy.",
    ),
    (
        "FILES",
        "nexo.toml in the working directory is the configuration file, unless --config names another one.",
    ),
    (
        "ENVIRONMENT",
        "NEXO_SECTION__KEY overrides a key of the configuration, such as NEXO_DATABASE__URL. RUST_LOG sets \
         the log filter. OTEL_EXPORTER_OTLP_HEADERS sets headers for the trace collector.",
    ),
];

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
}

fn write_command(command: &Command, path: &str, page: &mut Roff) {
    let name = format!("{path} {}", command.get_name());
    page.control("TP", []);
    let arguments: Vec<String> = command
        .get_arguments()
        .filter(|argument| !argument.is_global_set() && argument.get_id() != "help")
        .map(ToString::to_string)
        .collect();
    page.text([bold(name.clone()), roman(format!(" {}", arguments.join(" ")))]);
    let about = command.get_about().map(ToString::to_string);
    page.text([roman(about.unwrap_or_default())]);
    for sub in visible(command) {
        write_command(sub, &name, page);
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// If this variable is set, the test writes `docs/CLI.md` instead of comparing it.
    const UPDATE: &str = "NEXO_UPDATE_DOCS";

    #[test]
    fn the_documented_commands_are_those_of_the_program() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CLI.md");
        let generated = markdown(crate::cli::Cli::command());
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(file, &generated).unwrap();
        }
        let committed = std::fs::read_to_string(file).unwrap_or_default();
        assert!(
            committed == generated,
            "docs/CLI.md is out of date; update it with {UPDATE}=1 cargo test --lib cli::manual"
        );
    }

    /// Returns `docs/CLI.md`: a section for each command with its long help.
    fn markdown(mut program: Command) -> String {
        program.build();
        let mut text = format!(
            "# Command line\n\nA unit test of `src/cli/manual.rs` compares this file with the program. To update it:\n\
             `{UPDATE}=1 cargo test --lib cli::manual`.\n\n```text\n{}```\n",
            long_help(&program)
        );
        for command in visible(&program) {
            write_section(command, "nexo", &mut text);
        }
        text
    }

    fn write_section(command: &Command, path: &str, text: &mut String) {
        let name = format!("{path} {}", command.get_name());
        let help = long_help(command);
        text.push_str(&format!("\n## {name}\n\n```text\n{help}```\n"));
        for sub in visible(command) {
            write_section(sub, &name, text);
        }
    }

    /// The long help without white space at the ends of lines.
    fn long_help(command: &Command) -> String {
        let help = command.clone().term_width(100).render_long_help();
        let text = help.to_string();
        let lines = text.trim_end().lines();
        lines.map(|line| format!("{}\n", line.trim_end())).collect()
    }
}
