//! The manual page, made from what the commands say of themselves.

use std::io::Write;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// One page in roff: the program, and each command with its options.
///
/// # Errors
/// What writing fails with; in memory nothing does.
pub fn page(mut program: Command) -> std::io::Result<String> {
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
        describe(command, "nexo", &mut commands);
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

/// What clap does not know.
const SECTIONS: &[(&str, &str)] = &[
    (
        "SIGNALS",
        "serve: SIGHUP reloads carriers, prices and limits without dropping a call; a bad file is refused and \
         the older settings stay. SIGTERM and SIGINT take no more OTPs, finish the calls in progress and their \
         webhooks within 90 s, and end; a second one ends at once.",
    ),
    (
        "EXIT STATUS",
        "0 on success, 2 on bad usage, 1 otherwise, with one line on standard error that names the mend.",
    ),
    (
        "FILES",
        "nexo.toml in the working directory is the configuration, where no --config names another one.",
    ),
    (
        "ENVIRONMENT",
        "NEXO_SECTION__KEY overrides a key of the configuration, such as NEXO_DATABASE__URL. RUST_LOG chooses \
         what is logged. OTEL_EXPORTER_OTLP_HEADERS is sent along to the collector of traces.",
    ),
];

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
}

fn describe(command: &Command, path: &str, page: &mut Roff) {
    let name = format!("{path} {}", command.get_name());
    page.control("TP", []);
    let arguments: Vec<String> = command
        .get_arguments()
        .filter(|argument| !argument.is_global_set() && argument.get_id() != "help")
        .map(ToString::to_string)
        .collect();
    page.text([
        bold(name.clone()),
        roman(format!(" {}", arguments.join(" "))),
    ]);
    let about = command.get_about().map(ToString::to_string);
    page.text([roman(about.unwrap_or_default())]);
    for sub in visible(command) {
        describe(sub, &name, page);
    }
}
