//! `[verify]`: the secret of the installation, from which the codes of verifications are computed.

use nexo_domain::installation_secret::InstallationSecret;

use super::read::error::ConfigError;
use super::read::section::{Reader, mask_all};

/// `[verify]`.
#[derive(Debug, Clone)]
pub struct VerifyConfig {
    /// The same on all nodes. Without it, an SQLite database has a file beside it with one, and verifications on
    /// PostgreSQL are refused.
    pub secret: Option<InstallationSecret>,
}

impl VerifyConfig {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("verify")?;
        Ok(Self {
            secret: section.masked(
                "secret",
                "",
                "empty, or 64 hexadecimal digits, as `openssl rand -hex 32` prints them",
                |text| match text {
                    "" => Some(None),
                    text => InstallationSecret::from_hex(text).ok().map(Some),
                },
                mask_all,
            )?,
        })
    }
}
