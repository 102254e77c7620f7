//! `nexo ports`.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use nexo_actors::clock::unix_ms;
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::{Carrier, CarrierPlan};
use nexo_domain::phone::portability::PortTable;
use serde_json::json;

use crate::cli::database;
use crate::cli::output::Answer;
use crate::config::Config;

/// What can be done with ported numbers.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Replace all ported numbers with those of a CSV file
    Import {
        /// Rows `phone,carrier`, such as +84981234567,mobifone; a header row may come first
        #[arg(value_name = "FILE.csv")]
        file: PathBuf,
    },
}

/// Runs it.
///
/// # Errors
/// In one line, with the mend. Then the older numbers stay in force.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<Answer> {
    let Command::Import { file } = command;
    let store = database::open(config).await?;
    let table = read(&file)?;
    store.replace_ports(&table, unix_ms()).await?;
    let rows = table.len();
    let text = format!(
        "Imported {rows} ported numbers in place of the older ones; a running gateway routes by them within a second."
    );
    Ok(Answer::new(text, json!({ "rows": rows })))
}

fn read(path: &Path) -> anyhow::Result<PortTable> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
    let rows = rows(file).with_context(|| format!("{shown}: nothing was imported"))?;
    PortTable::of(rows).with_context(|| format!("{shown}: nothing was imported"))
}

fn rows(file: impl std::io::Read) -> anyhow::Result<Vec<(Phone, Carrier)>> {
    let plan = CarrierPlan::vietnam();
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(file);
    let (mut rows, mut record) = (Vec::new(), csv::StringRecord::new());
    let mut is_first = true;
    while reader.read_record(&mut record)? {
        let line = record.position().map_or(0, csv::Position::line);
        let is_header = std::mem::take(&mut is_first)
            && record.iter().map(without_mark).eq(["phone", "carrier"]);
        if is_header {
            continue;
        }
        rows.push(row(&record, &plan).with_context(|| format!("line {line}"))?);
    }
    Ok(rows)
}

/// Without the byte order mark that spreadsheets write first.
fn without_mark(text: &str) -> &str {
    text.trim_start_matches('\u{feff}')
}

fn row(record: &csv::StringRecord, plan: &CarrierPlan) -> anyhow::Result<(Phone, Carrier)> {
    if record.len() != 2 {
        bail!("a row is phone,carrier, such as +84981234567,mobifone");
    }
    let (phone, name) = (without_mark(&record[0]), &record[1]);
    let phone = Phone::parse(phone, plan)?;
    let carrier = Carrier::named(name).with_context(|| {
        let known: Vec<&str> = Carrier::all().map(Carrier::name).collect();
        format!("{name:?} is no carrier: allowed are {}", known.join(", "))
    })?;
    Ok((phone, carrier))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, &'static str)>, String> {
        match rows(text.as_bytes()) {
            Ok(rows) => Ok(rows
                .iter()
                .map(|(p, c)| (p.to_string(), c.name()))
                .collect()),
            Err(error) => Err(format!("{error:#}")),
        }
    }

    #[test]
    fn rows_are_read_with_and_without_a_header_and_whatever_wrote_them() {
        let expected = vec![
            ("+84981234567".to_owned(), "mobifone"),
            ("+84912345678".to_owned(), "itel"),
        ];
        for text in [
            "+84981234567,mobifone\n+84912345678,itel\n",
            "phone,carrier\n+84981234567,mobifone\n+84912345678,itel",
            "\u{feff}phone,carrier\r\n\"+84981234567\", mobifone\r\n\r\n+84912345678,itel\r\n",
        ] {
            assert_eq!(read(text), Ok(expected.clone()), "{text:?}");
        }
        assert_eq!(read(""), Ok(vec![]));
        assert_eq!(read("phone,carrier\n"), Ok(vec![]));
    }

    #[test]
    fn a_bad_row_is_named_with_what_is_allowed() {
        for (text, message) in [
            (
                "+84981234567,mobifone\n0981234567,itel",
                "line 2: a phone starts with +84",
            ),
            ("+84981234567", "line 1: a row is phone,carrier, such as"),
            (
                "+84981234567,Mobifone",
                "line 1: \"Mobifone\" is no carrier: allowed are viettel,",
            ),
            ("+84981234567,itel,x", "line 1: a row is phone,carrier"),
            (
                "phone,carrier\nphone,carrier",
                "line 2: a phone starts with +84",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
