//! Typed access to the settings: each key is read in one place, with its default and its allowed values.
//!
//! The reader records every key that is read. A key that is set but never read is unknown. `config print` shows the
//! recorded keys.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

use toml::Value;

use super::error::ConfigError;
use super::raw::{RawSetting, RawSettings, RawValue};
use super::source::{PREFIX, Source, variable};

/// Replaces a secret in all output.
pub const MASK: &str = "********";

/// The effective value of one key.
#[derive(Debug, Clone)]
pub struct EffectiveSetting {
    pub path: String,
    /// The value for output; a secret is masked.
    pub shown: Value,
    pub source: Source,
}

/// Reads settings and records which keys were read.
#[derive(Debug)]
pub struct Reader {
    raw: RawSettings,
    effective: Vec<EffectiveSetting>,
    tables: BTreeSet<String>,
}

impl Reader {
    pub fn new(raw: RawSettings) -> Self {
        Self { raw, effective: Vec::new(), tables: BTreeSet::new() }
    }

    /// Returns the section `[name]`, which may be missing.
    pub fn section(&mut self, name: &str) -> Result<Section<'_>, ConfigError> {
        self.tables.insert(name.to_owned());
        let array = format!("{name}[0]");
        let wrong = self
            .raw
            .get(name)
            .filter(|setting| setting.value != RawValue::Table)
            .or_else(|| self.raw.get(&array));
        match wrong {
            Some(RawSetting { value, source }) => {
                Err(invalid(source, name, value, format!("one [{name}] section")))
            }
            None => Ok(Section { path: name.to_owned(), reader: self }),
        }
    }

    /// Returns the paths of the tables `[[path]]` in order, for [`Reader::table`].
    pub fn tables(&mut self, path: &str) -> Result<Vec<String>, ConfigError> {
        self.tables.insert(path.to_owned());
        if let Some(setting) = self.raw.get(path)
            && setting.value != RawValue::Array(Vec::new())
        {
            let header = without_indices(path);
            let expected = format!("[[{header}]]");
            return Err(invalid(&setting.source, path, &setting.value, expected));
        }
        let mut tables = Vec::new();
        loop {
            let path = format!("{path}[{}]", tables.len());
            match self.raw.get(&path) {
                None => return Ok(tables),
                Some(setting) if setting.value != RawValue::Table => {
                    return Err(invalid(&setting.source, &path, &setting.value, "a table"));
                }
                Some(_) => {
                    self.tables.insert(path.clone());
                    tables.push(path);
                }
            }
        }
    }

    /// Returns one of the tables that [`Reader::tables`] found.
    pub fn table(&mut self, path: &str) -> Section<'_> {
        Section { path: path.to_owned(), reader: self }
    }

    /// Returns the source of `path`.
    pub fn source(&self, path: &str) -> Source {
        self.raw.get(path).map_or(Source::Default, |setting| setting.source.clone())
    }

    /// Returns the error for a key that is valid by itself, but not in combination with another one.
    pub fn invalid(&self, path: &str, expected: impl Into<String>) -> ConfigError {
        let shown = self.effective.iter().find(|key| key.path == path);
        let value = shown.map_or_else(|| "missing".to_owned(), |key| key.shown.to_string());
        invalid(&self.source(path), path, value, expected)
    }

    /// Returns all settings in the order in which they were read.
    ///
    /// # Errors
    /// [`ConfigError::UnknownKey`] if a key is set that was never read.
    pub fn finish(self) -> Result<Vec<EffectiveSetting>, ConfigError> {
        let read: BTreeSet<&str> = self.effective.iter().map(|k| k.path.as_str()).collect();
        let is_known = |path: &str| read.contains(path) || self.tables.contains(path);
        if let Some((path, setting)) = self.raw.all().find(|(path, _)| !is_known(path)) {
            return Err(ConfigError::UnknownKey {
                at: setting.source.clone(),
                key: path.to_owned(),
                nearest: self.nearest(path),
            });
        }
        for name in self.raw.without_section() {
            self.check_variable(name)?;
        }
        Ok(self.effective)
    }

    /// Rejects `NEXO_DATABASE_URL` as a typing error, because `database` is a section, but ignores `NEXO_KEY`.
    fn check_variable(&self, name: &str) -> Result<(), ConfigError> {
        let sections = self.tables.iter().map(|table| without_indices(table));
        let is_typing_error = sections
            .map(|section| format!("{PREFIX}{}_", section.to_uppercase()))
            .any(|start| name.starts_with(&start));
        if !is_typing_error {
            return Ok(());
        }
        let intended =
            self.effective.iter().find(|key| variable(&key.path).replace("__", "_") == name);
        let key = name[PREFIX.len()..].to_lowercase();
        Err(ConfigError::UnknownKey {
            at: Source::Variable(name.into()),
            nearest: intended.map(|key| key.path.clone()).or_else(|| self.nearest(&key)),
            key,
        })
    }

    /// Returns the known key most similar to `unknown`: one with the same name in another section, or one within a
    /// small edit distance.
    fn nearest(&self, unknown: &str) -> Option<String> {
        let unknown = without_indices(unknown);
        let name = unknown.rsplit('.').next().unwrap_or(&unknown);
        let known: BTreeSet<String> = self
            .effective
            .iter()
            .map(|key| without_indices(&key.path))
            .chain(self.tables.iter().map(|table| without_indices(table)))
            .collect();
        let same_name = known.iter().find(|key| key.rsplit('.').next() == Some(name));
        if let Some(key) = same_name {
            return Some(key.clone());
        }
        known
            .into_iter()
            .map(|key| (strsim::damerau_levenshtein(&key, &unknown), key))
            .filter(|(distance, _)| *distance <= 2 + name.len() / 4)
            .min()
            .map(|(_, key)| key)
    }
}

/// A section or table whose keys are being read.
pub struct Section<'r> {
    path: String,
    reader: &'r mut Reader,
}

impl Section<'_> {
    /// Reads a string that `parse` accepts, as it must accept `default`.
    pub fn parsed<T>(
        &mut self,
        key: &str,
        default: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        self.text(key, Some(default), expected, parse, None)
    }

    /// Reads a string without a default.
    pub fn required<T>(
        &mut self,
        key: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        self.text(key, None, expected, parse, None)
    }

    /// Reads any string; the default is empty.
    pub fn string(&mut self, key: &str, expected: &str) -> Result<String, ConfigError> {
        self.parsed(key, "", expected, |text| Some(text.to_owned()))
    }

    /// Reads a string that may contain a secret; `mask` returns it for output.
    pub fn masked<T>(
        &mut self,
        key: &str,
        default: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
        mask: fn(&str) -> String,
    ) -> Result<T, ConfigError> {
        self.text(key, Some(default), expected, parse, Some(mask))
    }

    /// Reads one of several names.
    pub fn choice<T: Copy>(
        &mut self,
        key: &str,
        default: &str,
        choices: &[(&str, T)],
    ) -> Result<T, ConfigError> {
        let names: Vec<String> = choices.iter().map(|(n, _)| format!("{n:?}")).collect();
        self.parsed(key, default, &names.join(" or "), |text| {
            choices.iter().find(|(n, _)| *n == text).map(|(_, c)| *c)
        })
    }

    /// Reads an array of strings that `parse` accepts.
    pub fn list<T>(
        &mut self,
        key: &str,
        default: &[&str],
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, ConfigError> {
        let path = self.path_of(key);
        let default: Vec<String> = default.iter().map(|&text| text.to_owned()).collect();
        let (texts, source) = self.get(&path, default, expected, |value| {
            value.as_array()?.iter().map(RawValue::as_string).collect()
        })?;
        let parse = |text: &String| {
            let value = || format!("{text:?} in its list");
            parse(text).ok_or_else(|| invalid(&source, &path, value(), expected))
        };
        let values = texts.iter().map(parse).collect::<Result<Vec<T>, _>>()?;
        let shown = Value::Array(texts.into_iter().map(Value::String).collect());
        self.record(path, shown, source);
        Ok(values)
    }

    /// Reads an integer within `range`.
    ///
    /// # Panics
    /// If `T` cannot hold every value of `range`.
    pub fn integer<T: TryFrom<i64>>(
        &mut self,
        key: &str,
        default: i64,
        range: RangeInclusive<i64>,
    ) -> Result<T, ConfigError> {
        let expected = format!("an integer from {} to {}", range.start(), range.end());
        let number = self.value(key, default, &expected, |value| {
            value.as_integer().filter(|number| range.contains(number))
        })?;
        Ok(T::try_from(number).ok().expect("the range fits the type"))
    }

    /// Reads `true` or `false`.
    pub fn flag(&mut self, key: &str, default: bool) -> Result<bool, ConfigError> {
        self.value(key, default, "true or false", RawValue::as_bool)
    }

    /// Returns the full path of a key.
    pub fn path_of(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    fn value<T: Copy + Into<Value>>(
        &mut self,
        key: &str,
        default: T,
        expected: &str,
        read: impl Fn(&RawValue) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let path = self.path_of(key);
        let (value, source) = self.get(&path, default, expected, read)?;
        self.record(path, value.into(), source);
        Ok(value)
    }

    /// Returns the value at `path` and its source, or the default.
    fn get<T>(
        &self,
        path: &str,
        default: T,
        expected: &str,
        read: impl Fn(&RawValue) -> Option<T>,
    ) -> Result<(T, Source), ConfigError> {
        let Some(setting) = self.reader.raw.get(path) else {
            return Ok((default, Source::Default));
        };
        match read(&setting.value) {
            Some(value) => Ok((value, setting.source.clone())),
            None => Err(invalid(&setting.source, path, &setting.value, expected)),
        }
    }

    fn text<T>(
        &mut self,
        key: &str,
        default: Option<&str>,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
        mask: Option<fn(&str) -> String>,
    ) -> Result<T, ConfigError> {
        let path = self.path_of(key);
        let source = self.reader.source(&path);
        let text = match (self.reader.raw.get(&path), default) {
            (None, Some(default)) => default.to_owned(),
            (None, None) => {
                return Err(ConfigError::Missing {
                    at: self.reader.source(&self.path),
                    key: path,
                    expected: expected.to_owned(),
                });
            }
            (Some(setting), _) => match setting.value.as_string() {
                Some(text) => text,
                // A secret without quotes must not be shown either.
                None if mask.is_some() => {
                    return Err(invalid(&source, &path, "not a string", expected));
                }
                None => return Err(invalid(&source, &path, &setting.value, expected)),
            },
        };
        let shown = Value::String(mask.map_or_else(|| text.clone(), |mask| mask(&text)));
        let value = parse(&text).ok_or_else(|| invalid(&source, &path, &shown, expected))?;
        self.record(path, shown, source);
        Ok(value)
    }

    fn record(&mut self, path: String, shown: Value, source: Source) {
        self.reader.effective.push(EffectiveSetting { path, shown, source });
    }
}

fn invalid(
    source: &Source,
    key: &str,
    value: impl Display,
    expected: impl Into<String>,
) -> ConfigError {
    ConfigError::Invalid {
        at: source.clone(),
        key: key.to_owned(),
        value: value.to_string(),
        expected: expected.into(),
    }
}

/// Masks a secret completely; an empty one stays empty.
pub fn mask_all(text: &str) -> String {
    if text.is_empty() { "" } else { MASK }.to_owned()
}

/// Removes the indices of a path: `carriers.gateways.uri` for `carriers[0].gateways[1].uri`.
pub fn without_indices(path: &str) -> String {
    let mut is_index = false;
    path.chars()
        .filter(|c| {
            is_index = (is_index || *c == '[') && *c != ']';
            !is_index && *c != ']'
        })
        .collect()
}
