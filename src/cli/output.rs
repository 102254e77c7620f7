//! What a command answers: text for people or one JSON object for programs, and an exit code.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// A command's whole answer.
#[derive(Debug, Default)]
pub struct Answer {
    text: String,
    json: String,
    failed: bool,
    /// Why it failed, for standard error.
    failure: Option<String>,
}

impl Answer {
    /// `text` for people, `json` for programs.
    pub fn new(text: impl Into<String>, json: serde_json::Value) -> Self {
        Self::with_json_text(text, json.to_string())
    }

    /// As [`Answer::new`], with JSON that is written already: amounts keep their decimals.
    pub fn with_json_text(text: impl Into<String>, json: String) -> Self {
        Self {
            text: text.into(),
            json,
            failed: false,
            failure: None,
        }
    }

    /// The answer of a command that has told people everything already; programs get `json`.
    pub fn said(right: bool, json: serde_json::Value) -> Self {
        Self {
            json: json.to_string(),
            failed: !right,
            ..Self::default()
        }
    }

    /// The same answer to a command that found something wrong.
    pub fn failed(mut self, why: Option<String>) -> Self {
        self.failed = true;
        self.failure = why;
        self
    }

    /// Prints it and gives the process's exit code.
    pub fn print(self, as_json: bool) -> ExitCode {
        let text = if as_json { &self.json } else { &self.text };
        print_line(text);
        if let Some(why) = &self.failure {
            eprintln!("error: {}", one_line(why));
        }
        match self.failed {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        }
    }
}

/// Prints `text` and the end of its line at once. A reader that has gone, as `head` does, is no error.
pub fn print_line(text: &str) {
    let text = text.trim_end_matches('\n');
    if text.is_empty() {
        return;
    }
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        eprintln!("error: cannot write the answer: {error}");
    }
}

/// An error's text without its line breaks.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An error and its causes in one line. Many errors repeat their cause: it is said once.
pub fn causes(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if said.is_empty() {
            said = cause;
        } else if !said.contains(&cause) {
            said.push_str(": ");
            said.push_str(&cause);
        }
    }
    one_line(&said)
}

/// Rows under their headers, in aligned columns.
pub fn table<const N: usize>(headers: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = headers.map(|header| header.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; N]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(headers)];
    lines.extend(
        rows.iter()
            .map(|row| line(row.each_ref().map(String::as_str))),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            ["a".to_owned(), "đường dài".to_owned(), String::new()],
            ["bcd".to_owned(), "x".to_owned(), "y".to_owned()],
        ];
        assert_eq!(
            table(["ID", "NAME", "Z"], &rows),
            "ID   NAME       Z\na    đường dài\nbcd  x          y"
        );
    }

    #[test]
    fn an_error_is_one_line() {
        assert_eq!(one_line("a\n  b\t c\r\n"), "a b c");
    }

    #[test]
    fn a_cause_that_was_said_is_not_said_again() {
        let full = || anyhow::Error::new(io::Error::other("disk\nfull"));
        let error = full().context("cannot write x: disk\nfull; make room");
        assert_eq!(causes(&error), "cannot write x: disk full; make room");
        let error = full().context("cannot write x");
        assert_eq!(causes(&error), "cannot write x: disk full");
    }
}
