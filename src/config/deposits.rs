//! `[deposits]`: how customers top up, and by whose word a bank transfer counts.

use std::fmt;

use nexo_domain::billing::deposit::VndRate;
use nexo_domain::billing::vietqr::BankAccount;
use nexo_domain::money::Micros;

use super::read::error::ConfigError;
use super::read::section::{MASK, Reader};

/// `[deposits]`.
#[derive(Debug, Clone)]
pub struct DepositsConfig {
    /// The account that customers transfer to; without one they ask an operator.
    pub bank: Option<BankAccount>,
    /// What a dollar costs. A top-up keeps the rate of the moment in which it is asked for.
    pub rate: VndRate,
    /// The smallest top-up.
    pub least: Micros,
    /// What the bank's notifications are signed with; without one they are not taken.
    pub notification_secret: Option<NotificationSecret>,
}

/// The key of the signature on bank notifications. Never shown.
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

/// Whoever knows the secret gives credit: it must not be guessed.
const SHORTEST_SECRET: usize = 16;

impl DepositsConfig {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("deposits")?;
        let bin = section.parsed(
            "bank_bin",
            "",
            r#"the bank's 6 digits by NAPAS, such as "970436", or "" for no bank transfers"#,
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
        let rate = section.whole("vnd_per_usd", 26_000, 1..=1_000_000)?;
        let least = section.parsed(
            "least_usd",
            "5.00",
            r#"an amount in quotes, more than zero, such as "5.00""#,
            |text| text.parse().ok().filter(|least| *least > Micros::ZERO),
        )?;
        let notification_secret = section.masked(
            "notification_secret",
            "",
            "at least 16 characters, or \"\" to take no notifications",
            |text| match text.len() {
                0 => Some(None),
                SHORTEST_SECRET.. => Some(Some(NotificationSecret(text.to_owned()))),
                _ => None,
            },
            |text| {
                if text.is_empty() {
                    String::new()
                } else {
                    MASK.to_owned()
                }
            },
        )?;
        for (key, missing) in [("bank_account", &number), ("bank_holder", &holder)] {
            if !bin.is_empty() && missing.is_empty() {
                let path = format!("deposits.{key}");
                return Err(reader.refuse(&path, "something, where bank_bin names a bank"));
            }
        }
        Ok(Self {
            bank: (!bin.is_empty()).then_some(BankAccount {
                bin,
                number,
                holder,
            }),
            rate: VndRate::per_dollar(rate).expect("the range is that of a rate"),
            least,
            notification_secret,
        })
    }
}
