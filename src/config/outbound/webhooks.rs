//! `[webhooks]`: the timeout and the allowed addresses of customers' webhook receivers.

use crate::config::read::error::ConfigError;
use crate::config::read::section::Reader;

/// `[webhooks]`.
#[derive(Debug, Clone)]
pub struct WebhooksConfig {
    /// The timeout for name resolution, connecting, TLS and the response head together.
    pub timeout_ms: u64,
    /// Allows webhooks to private addresses. For development only.
    pub allow_private: bool,
    /// Allows webhooks over plain HTTP. For development only.
    pub allow_http: bool,
}

impl WebhooksConfig {
    pub(in crate::config) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("webhooks")?;
        Ok(Self {
            timeout_ms: section.integer("timeout_ms", 5_000, 1..=60_000)?,
            allow_private: section.flag("allow_private", false)?,
            allow_http: section.flag("allow_http", false)?,
        })
    }
}
