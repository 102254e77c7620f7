//! `[deposits]`: the bank account for top-ups, the exchange rate and the secret of the bank's notifications.

use std::fmt;

use nexo_domain::billing::deposit::VndRate;
use nexo_domain::billing::vietqr::BankAccount;
use nexo_domain::money::Micros;

use super::read::error::ConfigError;
use super::read::section::{Reader, mask_all};

/// `[deposits]`.
#[derive(Debug, Clone)]
pub struct DepositsConfig {
    /// The receiving account; `None` if an operator arranges payments.
    pub bank: Option<BankAccount>,
    /// The exchange rate of new top-ups. An open top-up keeps its rate.
    pub rate: VndRate,
    /// The smallest top-up.
    pub minimum: Micros,
    /// The signing secret of the bank's notifications; `None` if they are rejected.
    pub notification_secret: Option<NotificationSecret>,
}

/// The signing secret of bank notifications. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct NotificationSecret(String);

impl NotificationSecret {
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NotificationSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NotificationSecret(hidden)")
    }
}

/// The secret authorizes credit, so it must be hard to guess.
const MIN_SECRET_LENGTH: usize = 16;

impl DepositsConfig {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("deposits")?;
        let bin = section.parsed(
            "bank_bin",
            "",
            r#"the bank's 6 NAPAS digits, such as "970436", or "" for no bank transfers"#,
            |text| {
                let digits = text.len() == 6 && text.bytes().all(|b| b.is_ascii_digit());
                (text.is_empty() || digits).then(|| text.to_owned())
            },
        )?;
        let number = section.parsed(
            "bank_account",
            "",
            "the account's 6 to 19 letters or digits",
            |text| {
                let plain = text.bytes().all(|b| b.is_ascii_alphanumeric());
                (text.is_empty() || (plain && (6..=19).contains(&text.len())))
                    .then(|| text.to_owned())
            },
        )?;
        let holder = section.parsed("bank_holder", "", "the account holder's name", |text| {
            Some(text.trim().to_owned())
        })?;
        let rate = section.integer("vnd_per_usd", 26_000, 1..=1_000_000)?;
        let minimum = section.parsed(
            "least_usd",
            "5.00",
            r#"a quoted amount, more than zero, such as "5.00""#,
            |text| text.parse().ok().filter(|minimum| *minimum > Micros::ZERO),
        )?;
        let notification_secret = section.masked(
            "notification_secret",
            "",
            "at least 16 characters, or \"\" to reject notifications",
            |text| match text.len() {
                0 => Some(None),
                MIN_SECRET_LENGTH.. => Some(Some(NotificationSecret(text.to_owned()))),
                _ => None,
            },
            mask_all,
        )?;
        for (key, missing) in [("bank_account", &number), ("bank_holder", &holder)] {
            if !bin.is_empty() && missing.is_empty() {
                let path = format!("deposits.{key}");
                return Err(reader.invalid(&path, "a value, because bank_bin is set"));
            }
        }
        Ok(Self {
            bank: (!bin.is_empty()).then_some(BankAccount { bin, number, holder }),
            rate: VndRate::per_dollar(rate).expect("the range fits a rate"),
            minimum,
            notification_secret,
        })
    }
}
