//! The effective configuration as TOML and as JSON, with secrets masked, for `nexo config print` and reloads.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Map, Value as Json};

use super::section::{EffectiveSetting, MASK, without_indices};
use super::source::Source;

/// All effective settings with their sources.
#[derive(Debug, Clone)]
pub struct EffectiveConfig {
    settings: Vec<EffectiveSetting>,
}

impl EffectiveConfig {
    pub fn new(settings: Vec<EffectiveSetting>) -> Self {
        Self { settings }
    }

    /// Returns the keys whose values differ in `other`, or that only one of the two has. A changed secret is not
    /// noticed, because its mask is the same.
    pub fn differences(&self, other: &EffectiveConfig) -> Vec<String> {
        let value = |config: &EffectiveConfig, path: &str| {
            let setting = config.settings.iter().find(|s| s.path == path);
            setting.map(|s| s.shown.clone())
        };
        let all = self.settings.iter().chain(&other.settings);
        let mut paths: Vec<String> = all.map(|s| s.path.clone()).collect();
        paths.sort_unstable();
        paths.dedup();
        paths.retain(|path| value(self, path) != value(other, path));
        paths
    }

    /// Returns the configuration files that contain a secret.
    pub fn files_with_secrets(&self) -> BTreeSet<&str> {
        let files = self.settings.iter().filter_map(|key| match &key.source {
            Source::File { name, .. } => key.shown.to_string().contains(MASK).then_some(&**name),
            Source::Default | Source::Variable(_) => None,
        });
        files.collect()
    }

    /// Returns a `nexo.toml`, valid except for masked secrets, with each key's source as a comment.
    pub fn to_toml(&self) -> String {
        let lines: Vec<String> = self.settings.iter().map(assignment).collect();
        let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        let mut section = "";
        for (key, line) in self.settings.iter().zip(&lines) {
            let (path, _) = split(&key.path);
            if path != section {
                let gap = if section.is_empty() { "" } else { "\n" };
                let header = match path.ends_with(']') {
                    true => format!("[[{}]]", without_indices(path)),
                    false => format!("[{path}]"),
                };
                // Writing to a String does not fail.
                let _ = writeln!(text, "{gap}{header}");
                section = path;
            }
            let _ = writeln!(text, "{line:<width$}  # {}", key.source);
        }
        text
    }

    /// Returns the configuration as one object, with the source of each key under `sources`.
    pub fn to_json(&self) -> Json {
        let mut config = Json::Object(Map::new());
        let mut sources = Map::new();
        for key in &self.settings {
            let (path, name) = split(&key.path);
            // Strings, integers, booleans and arrays of strings convert without loss.
            let value = serde_json::to_value(&key.shown).unwrap_or(Json::Null);
            table_at(&mut config, path)[name] = value;
            sources.insert(key.path.clone(), key.source.to_string().into());
        }
        if config.get("carriers").is_none() {
            config["carriers"] = Json::Array(Vec::new());
        }
        config["sources"] = Json::Object(sources);
        config
    }
}

fn assignment(key: &EffectiveSetting) -> String {
    format!("{} = {}", split(&key.path).1, key.shown)
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

/// Returns the object at `path` and creates it if it is missing. The tables of an array come in order.
fn table_at<'j>(config: &'j mut Json, path: &str) -> &'j mut Json {
    path.split('.').fold(config, |table, step| {
        let (name, index) = match step.split_once('[') {
            None => return &mut table[step],
            Some((name, index)) => (name, index.trim_end_matches(']').parse().unwrap_or(0)),
        };
        if table[name].is_null() {
            table[name] = Json::Array(Vec::new());
        }
        let Json::Array(list) = &mut table[name] else {
            unreachable!("a path is either a table or an array");
        };
        while list.len() <= index {
            list.push(Json::Object(Map::new()));
        }
        &mut list[index]
    })
}
