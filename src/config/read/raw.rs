//! The settings of the file and the environment by path, before their types and values are checked.
//!
//! The path of a key is `section.key`; tables of an array have an index, as in `carriers[0].gateways[1].uri`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::source::{PREFIX, Source};

/// The only setting outside a section.
const CARRIERS: &str = "carriers";

/// An unchecked value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawValue {
    String(String),
    Integer(String),
    Boolean(bool),
    Array(Vec<RawValue>),
    /// A table; its keys have entries of their own.
    Table,
    /// A float or a date, which no key accepts.
    Other(String),
    /// The text of an environment variable; its type depends on the key.
    Variable(String),
}

impl RawValue {
    fn from_toml(value: &DeValue<'_>) -> RawValue {
        match value {
            DeValue::String(text) => RawValue::String(text.to_string()),
            DeValue::Integer(number) => RawValue::Integer(number.to_string()),
            DeValue::Float(number) => RawValue::Other(number.to_string()),
            DeValue::Boolean(flag) => RawValue::Boolean(*flag),
            DeValue::Datetime(date) => RawValue::Other(date.to_string()),
            DeValue::Array(list) => RawValue::Array(RawValue::items(list)),
            DeValue::Table(_) => RawValue::Table,
        }
    }

    fn items(list: &[Spanned<DeValue<'_>>]) -> Vec<RawValue> {
        let items = list.iter().map(|item| RawValue::from_toml(item.get_ref()));
        items.collect()
    }

    /// Returns an array. A variable contains it as a TOML array.
    pub fn as_array(&self) -> Option<Vec<RawValue>> {
        match self {
            RawValue::Array(list) => Some(list.clone()),
            RawValue::Variable(text) => match DeValue::parse(text).ok()?.get_ref() {
                DeValue::Array(list) => Some(RawValue::items(list)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns a string. A variable contains it with or without TOML quotes.
    pub fn as_string(&self) -> Option<String> {
        match self {
            RawValue::String(text) => Some(text.clone()),
            RawValue::Variable(text) if text.starts_with(['"', '\'']) => {
                match DeValue::parse(text).ok()?.get_ref() {
                    DeValue::String(text) => Some(text.to_string()),
                    _ => None,
                }
            }
            RawValue::Variable(text) => Some(text.clone()),
            _ => None,
        }
    }

    pub fn as_integer(&self) -> Option<i64> {
        match self {
            RawValue::Integer(text) | RawValue::Variable(text) => {
                text.trim().replace('_', "").parse().ok()
            }
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self {
            RawValue::Boolean(flag) => Some(*flag),
            RawValue::Variable(text) => text.trim().parse().ok(),
            _ => None,
        }
    }
}

/// Formats as TOML, for error messages.
impl fmt::Display for RawValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RawValue::String(text) | RawValue::Variable(text) => {
                toml::Value::String(text.clone()).fmt(f)
            }
            RawValue::Integer(text) | RawValue::Other(text) => f.write_str(text),
            RawValue::Boolean(flag) => flag.fmt(f),
            RawValue::Array(list) => {
                f.write_str("[")?;
                for (index, item) in list.iter().enumerate() {
                    write!(f, "{}{item}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            RawValue::Table => f.write_str("a table"),
        }
    }
}

/// A value and its source.
#[derive(Debug, Clone)]
pub struct RawSetting {
    pub value: RawValue,
    pub source: Source,
}

/// All settings; a later source overrides an earlier one.
#[derive(Debug, Default)]
pub struct RawSettings {
    by_path: BTreeMap<String, RawSetting>,
    /// Variables with the prefix but without a section: a typing error, or another program's variable.
    without_section: Vec<String>,
}

impl RawSettings {
    /// Adds the settings of a file.
    pub fn add_file(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        let lines = Lines::new(name, text);
        let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
            at: lines.at(error.span().map_or(0, |span| span.start)),
            message: first_line(error.message()),
        })?;
        self.add_table("", table.get_ref(), &|at| lines.at(at));
        Ok(())
    }

    /// Adds the settings of the environment. Ignores variables without the prefix.
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
                let path = key.to_lowercase().replace("__", ".");
                let source = Source::Variable(name.as_str().into());
                self.insert(&path, RawValue::Variable(value), source);
            } else {
                self.without_section.push(name);
            }
        }
        Ok(())
    }

    /// Adds the carriers of a variable, which replace all carriers of the file.
    fn add_carriers(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        let source = Source::Variable(name.into());
        let parsed = DeValue::parse(value).map_err(|error| ConfigError::Syntax {
            at: source.clone(),
            message: first_line(error.message()),
        })?;
        self.by_path.retain(|path, _| path != CARRIERS && !path.starts_with("carriers["));
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
                // The span of a table is that of its first key; the header's key has the line of the header.
                DeValue::Table(table) => {
                    self.insert(&path, RawValue::Table, source(key.span().start));
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
                for (index, item) in list.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    let raw = RawValue::from_toml(item.get_ref());
                    self.insert(&path, raw, source(item.span().start));
                    if let DeValue::Table(table) = item.get_ref() {
                        self.add_table(&path, table, source);
                    }
                }
            }
            other => {
                let raw = RawValue::from_toml(other);
                self.insert(path, raw, source(value.span().start));
            }
        }
    }

    fn insert(&mut self, path: &str, value: RawValue, source: Source) {
        let setting = RawSetting { value, source };
        self.by_path.insert(path.to_owned(), setting);
    }

    pub fn get(&self, path: &str) -> Option<&RawSetting> {
        self.by_path.get(path)
    }

    /// Every path that is set, in alphabetical order.
    pub fn all(&self) -> impl Iterator<Item = (&str, &RawSetting)> {
        self.by_path.iter().map(|(path, setting)| (path.as_str(), setting))
    }

    pub fn without_section(&self) -> &[String] {
        &self.without_section
    }
}

/// Converts byte offsets in a file to line numbers.
struct Lines<'t> {
    name: Arc<str>,
    text: &'t str,
}

impl<'t> Lines<'t> {
    fn new(name: &str, text: &'t str) -> Self {
        Self { name: name.into(), text }
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
    message.lines().next().unwrap_or("invalid TOML").to_owned()
}
