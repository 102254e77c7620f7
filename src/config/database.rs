//! `[database]` and `[cluster]`: the database, and this node's name among the nodes that share it.

use std::fmt;

use nexo_entities::store::DEFAULT_LIST_CONNECTIONS;
use nexo_entities::store::connection::preflight::is_database_url;

use super::read::error::ConfigError;
use super::read::section::{MASK, Reader};

const URL: &str = "sqlite://FILE or postgres://USER:PASSWORD@HOST/DATABASE, with special characters of the name and \
                   password percent-encoded: %23 for #, %2F for /, %3F for ?, %25 for %";

/// `[database]`.
#[derive(Clone)]
pub struct DatabaseConfig {
    /// `sqlite://FILE`, relative to the working directory, for one node; `postgres://…` for many.
    /// May hold a password: show [`DatabaseConfig::masked_url`].
    pub url: String,
    /// Read connections for lists and pages. One account uses at most `server.reads_per_account` of them.
    pub list_connections: u32,
}

/// `[cluster]`.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// This node's name, unique among the nodes that share a PostgreSQL database. A second node with the same name
    /// cannot start while the first one runs.
    pub node: String,
}

impl DatabaseConfig {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("database")?;
        Ok(Self {
            url: section.masked("url", "sqlite://data/nexo.db", URL, parse_url, masked)?,
            list_connections: section.integer(
                "list_connections",
                i64::from(DEFAULT_LIST_CONNECTIONS),
                2..=64,
            )?,
        })
    }

    /// Returns the URL with its password masked.
    pub fn masked_url(&self) -> String {
        masked(&self.url)
    }

    /// Returns the file of an SQLite database.
    pub fn sqlite_file(&self) -> Option<&str> {
        sqlite_file(&self.url)
    }
}

impl fmt::Debug for DatabaseConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseConfig")
            .field("url", &self.masked_url())
            .field("list_connections", &self.list_connections)
            .finish()
    }
}

impl ClusterConfig {
    /// Returns the configured name, or `nexo` if there is none.
    pub fn node_name(&self) -> &str {
        match self.node.as_str() {
            "" => "nexo",
            name => name,
        }
    }

    pub(super) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("cluster")?;
        Ok(Self {
            node: section.parsed(
                "node",
                "",
                "empty, or at most 64 letters, digits, dots and hyphens",
                |text| {
                    let is_valid = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
                    (text.len() <= 64 && text.chars().all(is_valid)).then(|| text.to_owned())
                },
            )?,
        })
    }
}

fn sqlite_file(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("sqlite:")?;
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (file, _) = rest.split_once('?').unwrap_or((rest, ""));
    Some(file)
}

fn parse_url(text: &str) -> Option<String> {
    let is_unnamed = sqlite_file(text).is_some_and(str::is_empty);
    (!is_unnamed && is_database_url(text)).then(|| text.to_owned())
}

/// Masks everything between the user name and the host, and a password in the parameters. Text that is not a URL is
/// masked completely, because it may contain a password.
fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return match url.starts_with("sqlite:") {
            true => url.to_owned(),
            false => MASK.to_owned(),
        };
    };
    // The password ends at the last @, because it may contain an unescaped one.
    let rest = match rest.rsplit_once('@') {
        None if may_be_password(rest) && !url.starts_with("sqlite:") => {
            let (start, _) = rest.split_once(':').unwrap_or_default();
            return format!("{scheme}://{start}:{MASK}");
        }
        None => rest.to_owned(),
        Some((credentials, rest)) => match credentials.split_once(':') {
            Some((user, _)) => format!("{user}:{MASK}@{rest}"),
            None => format!("{credentials}@{rest}"),
        },
    };
    let Some((address, parameters)) = rest.split_once('?') else {
        return format!("{scheme}://{rest}");
    };
    let parameters: Vec<String> = parameters
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if name.to_lowercase().contains("password") => {
                format!("{name}={MASK}")
            }
            _ => parameter.to_owned(),
        })
        .collect();
    format!("{scheme}://{address}?{}", parameters.join("&"))
}

/// Whether what follows the first colon is no port, as in `nexo:s3cret` without its host.
fn may_be_password(rest: &str) -> bool {
    let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    !rest.starts_with('[') && authority.split_once(':').is_some_and(|(_, port)| !is_port(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_url_is_shown_without_its_password() {
        for (url, shown) in [
            ("sqlite://data/nexo.db", "sqlite://data/nexo.db"),
            ("sqlite:nexo.db", "sqlite:nexo.db"),
            ("postgres://nexo@db/nexo", "postgres://nexo@db/nexo"),
            ("postgres://nexo:s3cret@db:5432/nexo", "postgres://nexo:********@db:5432/nexo"),
            ("postgres://nexo:s3:cr@et@db/nexo", "postgres://nexo:********@db/nexo"),
            ("postgres://nexo:s3/cr?et@db/nexo", "postgres://nexo:********@db/nexo"),
            (
                "postgres://db/nexo?user=nexo&password=s3cret&sslmode=require",
                "postgres://db/nexo?user=nexo&password=********&sslmode=require",
            ),
            ("postgres://db:5432/nexo?sslmode=require", "postgres://db:5432/nexo?sslmode=require"),
            ("postgres://[::1]:5432/nexo", "postgres://[::1]:5432/nexo"),
            ("postgres://nexo:s3cr#et@db/nexo", "postgres://nexo:********@db/nexo"),
            ("postgres://nexo:s3cret", "postgres://nexo:********"),
            ("nexo:s3cret@db", "********"),
        ] {
            let database = DatabaseConfig { url: url.into(), list_connections: 4 };
            assert_eq!(database.masked_url(), shown);
            assert!(!format!("{database:?}").contains("s3"));
        }
    }

    #[test]
    fn the_file_of_an_sqlite_url_is_found() {
        assert_eq!(sqlite_file("sqlite://data/nexo.db"), Some("data/nexo.db"));
        assert_eq!(sqlite_file("sqlite:///var/nexo.db?mode=rwc"), Some("/var/nexo.db"));
        assert_eq!(sqlite_file("sqlite:nexo.db"), Some("nexo.db"));
        assert_eq!(sqlite_file("postgres://db/nexo"), None);
    }
}
