//! Where a setting comes from.

use std::fmt;
use std::sync::Arc;

/// The origin of one setting, as an operator finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nothing sets it.
    Default,
    /// A line of the configuration file.
    File { name: Arc<str>, line: usize },
    /// An environment variable.
    Variable(Arc<str>),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File { name, line } => write!(f, "{name}:{line}"),
            Source::Variable(name) => f.write_str(name),
        }
    }
}

/// The prefix of every variable that sets something.
pub(in crate::config) const PREFIX: &str = "NEXO_";

/// The variable that overrides `path`: `NEXO_SERVER__LISTEN` for `server.listen`.
pub(in crate::config) fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "__").to_uppercase())
}
