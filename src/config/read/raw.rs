//! What the file and the environment set, key by key, before anything is understood.
//!
//! A key's path is `section.key`; tables of an array are numbered, `carriers[0].gateways[1].uri`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::source::{PREFIX, Source};

/// The one setting that is no key of a section.
const CARRIERS: &str = "carriers";

/// A value as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) enum Written {
    Text(String),
    Whole(String),
    Flag(bool),
    List(Vec<Written>),
    /// A table itself; its keys stand beside it with their own paths.
    Table,
    /// A float or a date, which no key takes.
    Other(String),
    /// A variable's text, which is read as the key wants it.
    Bare(String),
}

impl Written {
    fn from_toml(value: &DeValue<'_>) -> Written {
        match value {
            DeValue::String(text) => Written::Text(text.to_string()),
            DeValue::Integer(number) => Written::Whole(number.to_string()),
            DeValue::Float(number) => Written::Other(number.to_string()),
            DeValue::Boolean(flag) => Written::Flag(*flag),
            DeValue::Datetime(date) => Written::Other(date.to_string()),
            DeValue::Array(list) => Written::List(
                list.iter()
                    .map(|item| Written::from_toml(item.get_ref()))
                    .collect(),
            ),
            DeValue::Table(_) => Written::Table,
        }
    }

    /// A variable's text as a list: a TOML array.
    pub fn as_list(&self) -> Option<Vec<Written>> {
        match self {
            Written::List(list) => Some(list.clone()),
            Written::Bare(text) => match DeValue::parse(text).ok()?.get_ref() {
                DeValue::Array(list) => Some(
                    list.iter()
                        .map(|item| Written::from_toml(item.get_ref()))
                        .collect(),
                ),
                _ => None,
            },
            _ => None,
        }
    }

    /// Text. A variable's text may stand bare or as a TOML string.
    pub fn as_text(&self) -> Option<String> {
        match self {
            Written::Text(text) => Some(text.clone()),
            Written::Bare(text) if text.starts_with(['"', '\'']) => {
                match DeValue::parse(text).ok()?.get_ref() {
                    DeValue::String(text) => Some(text.to_string()),
                    _ => None,
                }
            }
            Written::Bare(text) => Some(text.clone()),
            _ => None,
        }
    }

    pub fn as_whole(&self) -> Option<i64> {
        match self {
            Written::Whole(text) | Written::Bare(text) => text.trim().replace('_', "").parse().ok(),
            _ => None,
        }
    }

    pub fn as_flag(&self) -> Option<bool> {
        match self {
            Written::Flag(flag) => Some(*flag),
            Written::Bare(text) => text.trim().parse().ok(),
            _ => None,
        }
    }
}

/// Writes it as TOML does, for the eyes of whoever wrote it.
impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Written::Text(text) | Written::Bare(text) => toml::Value::String(text.clone()).fmt(f),
            Written::Whole(text) | Written::Other(text) => f.write_str(text),
            Written::Flag(flag) => flag.fmt(f),
            Written::List(list) => {
                f.write_str("[")?;
                for (place, item) in list.iter().enumerate() {
                    write!(f, "{}{item}", if place == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Written::Table => f.write_str("a table"),
        }
    }
}

/// One value and where it stands.
#[derive(Debug, Clone)]
pub(in crate::config) struct Given {
    pub written: Written,
    pub source: Source,
}

/// Everything that is set, a later source over an earlier one.
#[derive(Debug, Default)]
pub(in crate::config) struct AllGiven {
    by_path: BTreeMap<String, Given>,
    /// Variables of our prefix without a section: perhaps a slip, perhaps nothing of ours.
    strays: Vec<String>,
}

impl AllGiven {
    /// Takes what a file sets.
    pub fn add_file(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        let lines = Lines::new(name, text);
        let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
            at: lines.at(error.span().map_or(0, |span| span.start)),
            message: first_line(error.message()),
        })?;
        self.add_table("", table.get_ref(), &|at| lines.at(at));
        Ok(())
    }

    /// Takes what the environment sets. Variables of other programs are passed over.
    pub fn add_variables(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        for (name, value) in variables {
            let Some(key) = name.strip_prefix(PREFIX) else {
                continue;
            };
            if key.to_lowercase() == CARRIERS {
                self.add_carriers(&name, &value)?;
            } else if key.contains("__") {
                let given = Given {
                    written: Written::Bare(value),
                    source: Source::Variable(name.as_str().into()),
                };
                let path = key.to_lowercase().replace("__", ".");
                self.by_path.insert(path, given);
            } else {
                self.strays.push(name);
            }
        }
        Ok(())
    }

    /// The carriers of a variable replace all of the file's.
    fn add_carriers(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        let source = Source::Variable(name.into());
        let parsed = DeValue::parse(value).map_err(|error| ConfigError::Syntax {
            at: source.clone(),
            message: first_line(error.message()),
        })?;
        self.by_path
            .retain(|path, _| path != CARRIERS && !path.starts_with("carriers["));
        self.add_value(CARRIERS, &parsed, &|_| source.clone());
        Ok(())
    }

    fn add_table(&mut self, path: &str, table: &DeTable<'_>, source: &dyn Fn(usize) -> Source) {
        for (key, value) in table {
            let path = match path {
                "" => key.get_ref().to_string(),
                path => format!("{path}.{}", key.get_ref()),
            };
            match value.get_ref() {
                // A header's own span is that of its first key.
                DeValue::Table(table) => {
                    self.insert(&path, Written::Table, source(key.span().start));
                    self.add_table(&path, table, source);
                }
                _ => self.add_value(&path, value, source),
            }
        }
    }

    fn add_value(
        &mut self,
        path: &str,
        value: &Spanned<DeValue<'_>>,
        source: &dyn Fn(usize) -> Source,
    ) {
        match value.get_ref() {
            DeValue::Array(list) if list.iter().any(|item| item.get_ref().is_table()) => {
                for (place, item) in list.iter().enumerate() {
                    let path = format!("{path}[{place}]");
                    let written = Written::from_toml(item.get_ref());
                    self.insert(&path, written, source(item.span().start));
                    if let DeValue::Table(table) = item.get_ref() {
                        self.add_table(&path, table, source);
                    }
                }
            }
            other => {
                let written = Written::from_toml(other);
                self.insert(path, written, source(value.span().start));
            }
        }
    }

    fn insert(&mut self, path: &str, written: Written, source: Source) {
        self.by_path
            .insert(path.to_owned(), Given { written, source });
    }

    pub fn get(&self, path: &str) -> Option<&Given> {
        self.by_path.get(path)
    }

    /// Every path that is set, in order of the alphabet.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Given)> {
        self.by_path
            .iter()
            .map(|(path, given)| (path.as_str(), given))
    }

    pub fn strays(&self) -> &[String] {
        &self.strays
    }
}

/// From offsets in a file to its lines.
struct Lines<'t> {
    name: Arc<str>,
    text: &'t str,
}

impl<'t> Lines<'t> {
    fn new(name: &str, text: &'t str) -> Self {
        Self {
            name: name.into(),
            text,
        }
    }

    fn at(&self, offset: usize) -> Source {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        Source::File {
            name: Arc::clone(&self.name),
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
        }
    }
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or("not TOML").to_owned()
}
