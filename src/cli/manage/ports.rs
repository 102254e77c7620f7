//! `nexo ports`: imports the table of ported numbers from a CSV file, completely or not at all.

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
use crate::cli::output::CommandOutput;
use crate::config::Config;

/// The subcommands of `nexo ports`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Replace all ported numbers with those in a CSV file
    Import {
        /// Rows `phone,carrier`, such as +84981234567,mobifone; a header row is optional
        #[arg(value_name = "FILE.csv")]
        file: PathBuf,
    },
}

/// Runs the command.
///
/// # Errors
/// One line that names the remedy. The previous numbers then stay in effect.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<CommandOutput> {
    let Command::Import { file } = command;
    let store = database::open(config).await?;
    let table = read(&file)?;
    store.operations().replace_ported_numbers(&table, unix_ms()).await?;
    let rows = table.len();
    let text = format!(
        "Imported {rows} ported numbers; they replace all previous ones. A running gateway uses them within a second."
    );
    Ok(CommandOutput::new(text, json!({ "rows": rows })))
}

fn read(path: &Path) -> anyhow::Result<PortTable> {
    let path_text = path.display();
    let file = File::open(path).with_context(|| format!("cannot read {path_text}"))?;
    let rows = rows(file).with_context(|| format!("{path_text}: nothing was imported"))?;
    PortTable::of(rows).with_context(|| format!("{path_text}: nothing was imported"))
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
            && record.iter().map(without_bom).eq(["phone", "carrier"]);
        if is_header {
            continue;
        }
        rows.push(row(&record, &plan).with_context(|| format!("line {line}"))?);
    }
    Ok(rows)
}

/// Strips the byte order mark that spreadsheets write at the start of a file.
fn without_bom(text: &str) -> &str {
    text.trim_start_matches('\u{feff}')
}

fn row(record: &csv::StringRecord, plan: &CarrierPlan) -> anyhow::Result<(Phone, Carrier)> {
    if record.len() != 2 {
        bail!("expected phone,carrier, such as +84981234567,mobifone");
    }
    let (phone, name) = (without_bom(&record[0]), &record[1]);
    let phone = Phone::parse(phone, plan)?;
    let carrier = Carrier::named(name).with_context(|| {
        let known: Vec<&str> = Carrier::all().map(Carrier::name).collect();
        format!("no carrier {name:?}; available: {}", known.join(", "))
    })?;
    Ok((phone, carrier))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, &'static str)>, String> {
        match rows(text.as_bytes()) {
            Ok(rows) => Ok(rows.iter().map(|(p, c)| (p.to_string(), c.name())).collect()),
            Err(error) => Err(format!("{error:#}")),
        }
    }

    #[test]
    fn rows_are_read_with_or_without_header_byte_order_mark_and_quotes() {
        let expected =
            vec![("+84981234567".to_owned(), "mobifone"), ("+84912345678".to_owned(), "itel")];
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
    fn an_invalid_row_is_reported_with_its_line() {
        for (text, message) in [
            ("+84981234567,mobifone\n0981234567,itel", "line 2: a phone number starts with +84"),
            ("+84981234567", "line 1: expected phone,carrier, such as"),
            ("+84981234567,Mobifone", "line 1: no carrier \"Mobifone\"; available: viettel,"),
            ("+84981234567,itel,x", "line 1: expected phone,carrier"),
            ("phone,carrier\nphone,carrier", "line 2: a phone number starts with +84"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
