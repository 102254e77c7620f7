//! Why a configuration is refused: the place, the key, what was given and what is allowed.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::source::{Source, variable};

/// A configuration that is refused. Each is one line; none shows a secret.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("cannot read {}: {source}; give --config a file that this user can read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{at}: {message}")]
    Syntax { at: Source, message: String },
    #[error("{at}: there is no key {key}{}", Hint { at, nearest: nearest.as_deref() })]
    UnknownKey {
        at: Source,
        key: String,
        /// The known key that is most like it.
        nearest: Option<String>,
    },
    #[error("{at}: {key} is {given}; allowed is {allowed}")]
    NotAllowed {
        at: Source,
        key: String,
        /// As TOML; `(hidden)` for a secret.
        given: String,
        allowed: String,
    },
    #[error("{at}: {key} is missing; it is {allowed}")]
    Missing {
        at: Source,
        key: String,
        allowed: String,
    },
}

/// Names the nearest key the way its place writes keys.
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
