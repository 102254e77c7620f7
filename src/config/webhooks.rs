//! `[webhooks]`: how long a customer's server may take, and where it may be.

use super::read::error::ConfigError;
use super::read::section::Reader;

/// `[webhooks]`.
#[derive(Debug, Clone)]
pub struct WebhooksConfig {
    /// How long name resolution, connecting, TLS and the answer's head may take together.
    pub timeout_ms: u64,
    /// Lets customers have this machine call its own network. For development only.
    pub allow_private: bool,
    /// Lets events travel unencrypted. For development only.
    pub allow_http: bool,
}

impl WebhooksConfig {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("webhooks")?;
        Ok(Self {
            timeout_ms: section.whole("timeout_ms", 5_000, 1..=60_000)?,
            allow_private: section.flag("allow_private", false)?,
            allow_http: section.flag("allow_http", false)?,
        })
    }
}
