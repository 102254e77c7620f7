//! The effective configuration for people and for programs, secrets masked.

use std::fmt::Write;

use serde_json::{Map, Value as Json};

use super::section::{Effective, without_places};

/// All effective settings, each with where it comes from.
#[derive(Debug, Clone)]
pub struct EffectiveConfig {
    pub(in crate::config) keys: Vec<Effective>,
}

impl EffectiveConfig {
    /// The keys whose values are not the same in `other`, or that only one of both has. A secret that was
    /// replaced by another looks the same.
    pub fn differences(&self, other: &EffectiveConfig) -> Vec<String> {
        let value = |config: &EffectiveConfig, path: &str| {
            let key = config.keys.iter().find(|key| key.path == path);
            key.map(|key| key.shown.clone())
        };
        let all = self.keys.iter().chain(&other.keys);
        let mut paths: Vec<String> = all.map(|key| key.path.clone()).collect();
        paths.sort_unstable();
        paths.dedup();
        paths.retain(|path| value(self, path) != value(other, path));
        paths
    }

    /// A valid `nexo.toml` (but for masked secrets) with each key's source as a comment.
    pub fn to_toml(&self) -> String {
        let lines: Vec<String> = self.keys.iter().map(assignment).collect();
        let width = lines
            .iter()
            .map(|line| line.chars().count())
            .max()
            .unwrap_or(0);
        let mut text = String::new();
        let mut section = "";
        for (key, line) in self.keys.iter().zip(&lines) {
            let (path, _) = split(&key.path);
            if path != section {
                let gap = if section.is_empty() { "" } else { "\n" };
                let header = match path.ends_with(']') {
                    true => format!("[[{}]]", without_places(path)),
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

    /// The configuration itself as one object, and under `sources` where each key comes from.
    pub fn to_json(&self) -> Json {
        let mut config = Json::Object(Map::new());
        let mut sources = Map::new();
        for key in &self.keys {
            let (path, name) = split(&key.path);
            // A TOML value of strings, numbers, flags and lists of strings is always one of JSON's.
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

fn assignment(key: &Effective) -> String {
    format!("{} = {}", split(&key.path).1, key.shown)
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

/// The object at `path`, made where it is not there yet. Tables of an array come in order.
fn table_at<'j>(config: &'j mut Json, path: &str) -> &'j mut Json {
    path.split('.').fold(config, |table, step| {
        let (name, place) = match step.split_once('[') {
            None => return &mut table[step],
            Some((name, place)) => (name, place.trim_end_matches(']').parse().unwrap_or(0)),
        };
        if table[name].is_null() {
            table[name] = Json::Array(Vec::new());
        }
        let Json::Array(list) = &mut table[name] else {
            unreachable!("a path is either a table's or an array's");
        };
        while list.len() <= place {
            list.push(Json::Object(Map::new()));
        }
        &mut list[place]
    })
}
