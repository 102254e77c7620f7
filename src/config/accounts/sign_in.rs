//! `[sign_in]`: sessions and the second factor.

use crate::config::read::error::ConfigError;
use crate::config::read::section::Reader;

/// `[sign_in]`.
#[derive(Debug, Clone)]
pub struct SignInConfig {
    /// A session ends this many days after its sign-in, however often it is used.
    pub session_max_days: u32,
    /// Whether an operator without a second factor must set it up before anything else.
    pub operators_need_second_factor: bool,
}

impl SignInConfig {
    pub(in crate::config) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("sign_in")?;
        Ok(Self {
            session_max_days: section.integer("session_max_days", 30, 1..=365)?,
            operators_need_second_factor: section.flag("operators_need_second_factor", false)?,
        })
    }
}
