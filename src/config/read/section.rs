//! Reading keys: each is named once, with its default and what is allowed, where it is read.
//!
//! The reader remembers every key that was asked for. What is set and was never asked for is no key,
//! and what was asked for is what `config print` shows.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use toml::Value;

use super::error::ConfigError;
use super::raw::{AllGiven, Given, Written};
use super::source::{PREFIX, Source, variable};

/// What stands for a secret wherever one would be shown.
pub(in crate::config) const MASK: &str = "********";

/// One key's effective value.
#[derive(Debug, Clone)]
pub(in crate::config) struct Effective {
    pub path: String,
    /// As it is shown: a secret is masked.
    pub shown: Value,
    pub source: Source,
}

/// Reads what is given, and remembers what was asked for.
#[derive(Debug)]
pub(in crate::config) struct Reader {
    given: AllGiven,
    effective: Vec<Effective>,
    tables: BTreeSet<String>,
}

impl Reader {
    pub fn new(given: AllGiven) -> Self {
        Self {
            given,
            effective: Vec::new(),
            tables: BTreeSet::new(),
        }
    }

    /// The section `[name]`, which need not be there.
    pub fn section(&mut self, name: &str) -> Result<Section<'_>, ConfigError> {
        self.tables.insert(name.to_owned());
        let doubled = format!("{name}[0]");
        let wrong = self
            .given
            .get(name)
            .filter(|given| given.written != Written::Table)
            .or_else(|| self.given.get(&doubled));
        match wrong {
            Some(given) => Err(not_allowed(name, given, &format!("one section [{name}]"))),
            None => Ok(Section {
                path: name.to_owned(),
                reader: self,
            }),
        }
    }

    /// The tables `[[path]]` in order, as paths for [`Reader::table`].
    pub fn tables(&mut self, path: &str) -> Result<Vec<String>, ConfigError> {
        self.tables.insert(path.to_owned());
        if let Some(given) = self.given.get(path)
            && given.written != Written::List(Vec::new())
        {
            let header = without_places(path);
            return Err(not_allowed(path, given, &format!("tables [[{header}]]")));
        }
        let mut tables = Vec::new();
        loop {
            let path = format!("{path}[{}]", tables.len());
            match self.given.get(&path) {
                None => return Ok(tables),
                Some(given) if given.written != Written::Table => {
                    return Err(not_allowed(&path, given, "a table"));
                }
                Some(_) => {
                    self.tables.insert(path.clone());
                    tables.push(path);
                }
            }
        }
    }

    /// One of the tables that [`Reader::tables`] found.
    pub fn table(&mut self, path: &str) -> Section<'_> {
        Section {
            path: path.to_owned(),
            reader: self,
        }
    }

    /// Where `path`, which was read, is set.
    pub fn source(&self, path: &str) -> Source {
        self.given
            .get(path)
            .map_or(Source::Default, |given| given.source.clone())
    }

    /// The refusal of a key that is fine by itself but not beside another one.
    pub fn refuse(&self, path: &str, allowed: impl Into<String>) -> ConfigError {
        let shown = self.effective.iter().find(|key| key.path == path);
        ConfigError::NotAllowed {
            at: self.source(path),
            key: path.to_owned(),
            given: shown.map_or_else(|| "missing".to_owned(), |key| key.shown.to_string()),
            allowed: allowed.into(),
        }
    }

    /// Everything that was read, in the order in which it was.
    ///
    /// # Errors
    /// [`ConfigError::UnknownKey`] when something is set that nobody read.
    pub fn finish(self) -> Result<Vec<Effective>, ConfigError> {
        let read: BTreeSet<&str> = self.effective.iter().map(|k| k.path.as_str()).collect();
        let is_known = |path: &str| read.contains(path) || self.tables.contains(path);
        if let Some((path, given)) = self.given.all().find(|(path, _)| !is_known(path)) {
            return Err(ConfigError::UnknownKey {
                at: given.source.clone(),
                key: path.to_owned(),
                nearest: self.nearest(path),
            });
        }
        for name in self.given.strays() {
            self.check_stray(name)?;
        }
        Ok(self.effective)
    }

    /// `NEXO_DATABASE_URL` is a slip of the pen; `NEXO_KEY` is the user's own.
    fn check_stray(&self, name: &str) -> Result<(), ConfigError> {
        let sections = self.tables.iter().map(|table| without_places(table));
        let slip = sections
            .map(|section| format!("{PREFIX}{}_", section.to_uppercase()))
            .any(|start| name.starts_with(&start));
        if !slip {
            return Ok(());
        }
        let meant = self
            .effective
            .iter()
            .find(|key| variable(&key.path).replace("__", "_") == name);
        let key = name[PREFIX.len()..].to_lowercase();
        Err(ConfigError::UnknownKey {
            at: Source::Variable(name.into()),
            nearest: meant
                .map(|key| key.path.clone())
                .or_else(|| self.nearest(&key)),
            key,
        })
    }

    /// The known key most like `unknown`: of the same name in another section, or a typing slip away.
    fn nearest(&self, unknown: &str) -> Option<String> {
        let unknown = without_places(unknown);
        let name = unknown.rsplit('.').next().unwrap_or(&unknown);
        let known: BTreeSet<String> = self
            .effective
            .iter()
            .map(|key| without_places(&key.path))
            .chain(self.tables.iter().map(|table| without_places(table)))
            .collect();
        let elsewhere = known
            .iter()
            .find(|key| key.rsplit('.').next() == Some(name));
        if let Some(key) = elsewhere {
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

/// One section or table, whose keys are read.
pub(in crate::config) struct Section<'r> {
    path: String,
    reader: &'r mut Reader,
}

impl Section<'_> {
    /// Text that `parse` understands; `default` is one such text.
    pub fn parsed<T>(
        &mut self,
        key: &str,
        default: &str,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        self.text(key, Some(default), allowed, parse, None)
    }

    /// Text that must be given.
    pub fn required<T>(
        &mut self,
        key: &str,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        self.text(key, None, allowed, parse, None)
    }

    /// Text that holds a secret, or none; `mask` makes of it what may be seen.
    pub fn masked<T>(
        &mut self,
        key: &str,
        default: &str,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
        mask: fn(&str) -> String,
    ) -> Result<T, ConfigError> {
        self.text(key, Some(default), allowed, parse, Some(mask))
    }

    /// One of a few names.
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

    /// A list of texts, each understood by `parse`.
    pub fn list<T>(
        &mut self,
        key: &str,
        default: &[&str],
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, ConfigError> {
        let path = self.path_of(key);
        let (texts, source) = match self.reader.given.get(&path) {
            None => (
                default.iter().map(|&text| text.to_owned()).collect(),
                Source::Default,
            ),
            Some(given) => {
                let texts: Option<Vec<String>> = given
                    .written
                    .as_list()
                    .and_then(|list| list.iter().map(Written::as_text).collect());
                match texts {
                    Some(texts) => (texts, given.source.clone()),
                    None => return Err(not_allowed(&path, given, allowed)),
                }
            }
        };
        let mut values = Vec::with_capacity(texts.len());
        for text in &texts {
            match parse(text) {
                Some(value) => values.push(value),
                None => {
                    return Err(ConfigError::NotAllowed {
                        at: source,
                        key: path,
                        given: format!("{text:?} in its list"),
                        allowed: allowed.to_owned(),
                    });
                }
            }
        }
        let shown = Value::Array(texts.into_iter().map(Value::String).collect());
        self.note(path, shown, source);
        Ok(values)
    }

    /// A whole number within `range`.
    ///
    /// # Panics
    /// When `range` leaves `T`, which reading the defaults rules out.
    pub fn whole<T: TryFrom<i64>>(
        &mut self,
        key: &str,
        default: i64,
        range: RangeInclusive<i64>,
    ) -> Result<T, ConfigError> {
        let allowed = format!("a whole number from {} to {}", range.start(), range.end());
        let number = self.value(key, default, &allowed, |written| {
            written.as_whole().filter(|number| range.contains(number))
        })?;
        Ok(T::try_from(number)
            .ok()
            .expect("a range lies within its type"))
    }

    /// `true` or `false`.
    pub fn flag(&mut self, key: &str, default: bool) -> Result<bool, ConfigError> {
        self.value(key, default, "true or false", Written::as_flag)
    }

    /// The full path of one of its keys.
    pub fn path_of(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    fn value<T: Copy + Into<Value>>(
        &mut self,
        key: &str,
        default: T,
        allowed: &str,
        read: impl Fn(&Written) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let path = self.path_of(key);
        let (value, source) = match self.reader.given.get(&path) {
            None => (default, Source::Default),
            Some(given) => match read(&given.written) {
                Some(value) => (value, given.source.clone()),
                None => return Err(not_allowed(&path, given, allowed)),
            },
        };
        self.note(path, value.into(), source);
        Ok(value)
    }

    fn text<T>(
        &mut self,
        key: &str,
        default: Option<&str>,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
        mask: Option<fn(&str) -> String>,
    ) -> Result<T, ConfigError> {
        let path = self.path_of(key);
        let (text, source) = match (self.reader.given.get(&path), default) {
            (Some(given), _) => match given.written.as_text() {
                Some(text) => (text, given.source.clone()),
                None if mask.is_some() => return Err(hidden(path, given, allowed)),
                None => return Err(not_allowed(&path, given, allowed)),
            },
            (None, Some(default)) => (default.to_owned(), Source::Default),
            (None, None) => {
                return Err(ConfigError::Missing {
                    at: self.reader.source(&self.path),
                    key: path,
                    allowed: allowed.to_owned(),
                });
            }
        };
        let shown = Value::String(mask.map_or_else(|| text.clone(), |mask| mask(&text)));
        let Some(value) = parse(&text) else {
            return Err(ConfigError::NotAllowed {
                at: source,
                key: path,
                given: shown.to_string(),
                allowed: allowed.to_owned(),
            });
        };
        self.note(path, shown, source);
        Ok(value)
    }

    fn note(&mut self, path: String, shown: Value, source: Source) {
        self.reader.effective.push(Effective {
            path,
            shown,
            source,
        });
    }
}

fn not_allowed(path: &str, given: &Given, allowed: &str) -> ConfigError {
    ConfigError::NotAllowed {
        at: given.source.clone(),
        key: path.to_owned(),
        given: given.written.to_string(),
        allowed: allowed.to_owned(),
    }
}

fn hidden(key: String, given: &Given, allowed: &str) -> ConfigError {
    ConfigError::NotAllowed {
        at: given.source.clone(),
        key,
        given: "no text".to_owned(),
        allowed: allowed.to_owned(),
    }
}

/// `carriers.gateways.uri` for `carriers[0].gateways[1].uri`.
pub(in crate::config) fn without_places(path: &str) -> String {
    let mut inside = false;
    path.chars()
        .filter(|c| {
            inside = (inside || *c == '[') && *c != ']';
            !inside && *c != ']'
        })
        .collect()
}
