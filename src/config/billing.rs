//! `[billing]`: what an OTP costs and when its price goes back.

use nexo_domain::call::outcome::RefundPolicy;
use nexo_domain::money::Micros;

use super::read::error::ConfigError;
use super::read::section::Reader;

/// `[billing]`.
#[derive(Debug, Clone)]
pub struct BillingConfig {
    /// The price of one accepted OTP in US dollars.
    pub price_usd: Micros,
    /// How many OTPs a new account may send for nothing.
    pub signup_free_otps: u32,
    /// Which failed OTPs are refunded: what the carrier or we could not do (`carrier`), none
    /// (`never`), or whatever was not delivered (`undelivered`).
    pub refund: RefundPolicy,
}

impl BillingConfig {
    pub(super) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let mut section = reader.section("billing")?;
        Ok(Self {
            price_usd: section.parsed(
                "price_usd",
                "0.022",
                r#"an amount in quotes, more than zero, with at most six decimals, such as "0.022""#,
                |text| text.parse().ok().filter(|price| *price > Micros::ZERO),
            )?,
            signup_free_otps: section.whole("signup_free_otps", 5, 0..=1_000)?,
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
