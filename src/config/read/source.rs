//! The source of a setting: the default, a line of the file or an environment variable.

use std::fmt;
use std::sync::Arc;

/// The source of one setting. Displays as `default`, `nexo.toml:3` or the variable's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Not set.
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

/// The prefix of every environment variable for a setting.
pub const PREFIX: &str = "NEXO_";

/// Returns the environment variable that overrides `path`: `NEXO_SERVER__LISTEN` for `server.listen`.
pub fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "__").to_uppercase())
}
