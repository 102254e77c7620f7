//! The output of a command: text for people or one JSON object for programs, and an exit code. Every
//! command returns a [`CommandOutput`]; only `main` prints it.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use serde::Serialize;

/// The complete output of a command.
#[derive(Debug, Default)]
pub struct CommandOutput {
    text: String,
    json: String,
    failed: bool,
    /// The error message for standard error.
    error: Option<String>,
}

impl CommandOutput {
    /// `text` for people, `json` for programs. Amounts keep their digits in a serializable struct, but not in a
    /// `serde_json::Value`.
    pub fn new(text: impl Into<String>, json: impl Serialize) -> Self {
        Self {
            text: text.into(),
            json: serde_json::to_string(&json).expect("command output serializes"),
            ..Self::default()
        }
    }

    /// A list: a table for people, or `empty` if there are no items; an object with the one key `key` for programs.
    pub fn list<'a, T, J: Serialize, const N: usize>(
        key: &str,
        items: &'a [T],
        empty: &str,
        headers: [&str; N],
        row: impl Fn(&'a T) -> [String; N],
        json: impl Fn(&'a T) -> J,
    ) -> Self {
        let json: Vec<J> = items.iter().map(json).collect();
        let text = table_or(empty, headers, items, row);
        Self::new(text, BTreeMap::from([(key, json)]))
    }

    /// The same output with a non-zero exit code, and `error` on standard error.
    pub fn failed(mut self, error: Option<String>) -> Self {
        self.failed = true;
        self.error = error;
        self
    }

    /// Prints the output and returns the exit code of the process.
    pub fn print(self, as_json: bool) -> ExitCode {
        let text = if as_json { &self.json } else { &self.text };
        print_line(text);
        if let Some(error) = &self.error {
            eprintln!("error: {}", one_line(error));
        }
        match self.failed {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        }
    }
}

/// Prints `text` with one line end and flushes it. A closed pipe, as with `nexo … | head`, is not an error.
pub fn print_line(text: &str) {
    let text = text.trim_end_matches('\n');
    if text.is_empty() {
        return;
    }
    let mut out = io::stdout().lock();
    let result = writeln!(out, "{text}").and_then(|()| out.flush());
    if let Err(error) = result
        && error.kind() != ErrorKind::BrokenPipe
    {
        eprintln!("error: cannot write to standard output: {error}");
    }
}

/// Replaces line breaks and runs of white space by single spaces.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An error and its causes in one line. Many errors repeat their cause; each text appears once.
pub fn causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    one_line(&text)
}

/// A table with a row for each item, or `empty` if there are none.
pub fn table_or<'a, T, const N: usize>(
    empty: &str,
    headers: [&str; N],
    items: &'a [T],
    row: impl Fn(&'a T) -> [String; N],
) -> String {
    match items {
        [] => empty.to_owned(),
        _ => table(headers, &items.iter().map(row).collect::<Vec<_>>()),
    }
}

/// Rows under their headers, in aligned columns. On a terminal that is narrower, the words of the last column continue on
/// the next lines.
pub fn table<const N: usize>(headers: [&str; N], rows: &[[String; N]]) -> String {
    table_within(terminal_width(), headers, rows)
}

fn table_within<const N: usize>(
    width: Option<usize>,
    headers: [&str; N],
    rows: &[[String; N]],
) -> String {
    let mut widths = headers.map(|header| header.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let before_last: usize = widths.iter().take(N.saturating_sub(1)).map(|width| width + 2).sum();
    let room = width.map(|width| width.saturating_sub(before_last));
    let room = room.filter(|room| *room >= MIN_LAST_COLUMN);
    let line = |cells: [&str; N]| {
        let mut padded: Vec<String> =
            cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        if let (Some(room), Some(last), Some(cell)) = (room, padded.last_mut(), cells.last()) {
            *last = wrapped(cell, room).join(&format!("\n{:before_last$}", ""));
        }
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(headers)];
    lines.extend(rows.iter().map(|row| line(row.each_ref().map(String::as_str))));
    lines.join("\n")
}

/// The last column is not wrapped into fewer characters.
const MIN_LAST_COLUMN: usize = 20;

/// The columns of standard output, if it is a terminal.
fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// The words of `text` in lines of at most `room` characters. A longer word has a line of its own.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
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
    fn the_last_column_is_wrapped_on_a_narrow_terminal() {
        let rows = [
            ["ok".to_owned(), "no wallet is below zero, and none is lost".to_owned()],
            ["FAIL".to_owned(), "short".to_owned()],
        ];
        let narrow = table_within(Some(30), ["", "DETAILS"], &rows);
        assert_eq!(
            narrow,
            "      DETAILS\nok    no wallet is below zero,\n      and none is lost\nFAIL  short"
        );
        for width in [None, Some(10), Some(80)] {
            let table = table_within(width, ["", "DETAILS"], &rows);
            assert_eq!(table.lines().count(), 3, "{table}");
        }
    }

    #[test]
    fn a_list_without_items_prints_a_hint_and_an_empty_array() {
        let list = |items: &[&str]| {
            let row = |item: &&str| [(*item).to_owned()];
            CommandOutput::list("keys", items, "No keys yet.", ["NAME"], row, |item| *item)
        };
        let (empty, one) = (list(&[]), list(&["a"]));
        assert_eq!((empty.text.as_str(), empty.json.as_str()), ("No keys yet.", r#"{"keys":[]}"#));
        assert_eq!((one.text.as_str(), one.json.as_str()), ("NAME\na", r#"{"keys":["a"]}"#));
    }

    #[test]
    fn an_error_is_one_line() {
        assert_eq!(one_line("a\n  b\t c\r\n"), "a b c");
    }

    #[test]
    fn a_repeated_cause_is_printed_once() {
        let full = || anyhow::Error::new(io::Error::other("disk\nfull"));
        let error = full().context("cannot write x: disk\nfull; make room");
        assert_eq!(causes(&error), "cannot write x: disk full; make room");
        let error = full().context("cannot write x");
        assert_eq!(causes(&error), "cannot write x: disk full");
    }
}
