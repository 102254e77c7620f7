//! `[billing]`: the price of an OTP and the refund policy.

use nexo_domain::call::outcome::RefundPolicy;
use nexo_domain::money::Micros;

use super::read::error::ConfigError;
use super::read::section::Reader;

/// `[billing]`.
#[derive(Debug, Clone)]
pub struct BillingConfig {
    /// The price of one accepted OTP in US dollars.
    pub price_usd: Micros,
    /// The number of free OTPs of a new account.
    pub signup_free_otps: u32,
    /// Which OTPs are refunded: those that failed at the carrier or in the gateway (`carrier`), none (`never`), or
    /// all that were not delivered (`undelivered`).
    pub refund: RefundPolicy,
}

impl BillingConfig {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("billing")?;
        Ok(Self {
            price_usd: section.parsed(
                "price_usd",
                "0.022",
                r#"a quoted amount, more than zero, with at most six decimals, such as "0.022""#,
                |text| text.parse().ok().filter(|price| *price > Micros::ZERO),
            )?,
            signup_free_otps: section.integer("signup_free_otps", 5, 0..=1_000)?,
            refund: section.choice(
                "refund",
                "carrier",
                &[
                    ("carrier", RefundPolicy::Carrier),
                    ("never", RefundPolicy::Never),
                    ("undelivered", RefundPolicy::Undelivered),
                ],
            )?,
        })
    }
}
