//! Configuration errors: the source, the key, its value and the allowed values in one line, without secrets.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::source::{Source, variable};

/// Why a configuration is invalid. Each message is one line and shows no secret.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("cannot read {}: {source}; give --config a file that this user can read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{at}: {message}")]
    Syntax { at: Source, message: String },
    #[error("{at}: unknown key {key}{}", Hint { at, nearest: nearest.as_deref() })]
    UnknownKey {
        at: Source,
        key: String,
        /// The most similar known key.
        nearest: Option<String>,
    },
    #[error("{at}: {key} is {value}; expected {expected}")]
    Invalid {
        at: Source,
        key: String,
        /// As TOML; masked if it is a secret.
        value: String,
        /// The allowed values.
        expected: String,
    },
    #[error("{at}: {key} is missing; expected {expected}")]
    Missing { at: Source, key: String, expected: String },
}

/// Suggests the nearest key, as a variable's name if the unknown key is a variable.
struct Hint<'a> {
    at: &'a Source,
    nearest: Option<&'a str>,
}

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.nearest, self.at) {
            (Some(key), Source::Variable(_)) if key.starts_with("carriers.") => {
                f.write_str("; carriers are set as one TOML array in NEXO_CARRIERS")
            }
            (Some(key), Source::Variable(_)) => write!(f, "; did you mean {}?", variable(key)),
            (Some(key), Source::File { .. } | Source::Default) => {
                write!(f, "; did you mean {key}?")
            }
            (None, _) => f.write_str("; `nexo config print` lists every key"),
        }
    }
}
