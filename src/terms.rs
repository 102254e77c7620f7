//! What an OTP costs, and how its code is read where the account chose nothing else. A reload replaces both.

use std::sync::Arc;

use arc_swap::ArcSwap;
use nexo_domain::money::Micros;
use nexo_domain::otp::Reading;

use crate::config::Config;

/// The terms in force.
#[derive(Debug)]
pub struct Terms(ArcSwap<TermsNow>);

/// The terms at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TermsNow {
    /// Of one accepted OTP.
    pub price: Micros,
    /// What a new account's wallet holds.
    pub free_credit: Micros,
    pub reading: Reading,
}

impl Terms {
    pub fn of(config: &Config) -> Arc<Terms> {
        Arc::new(Terms(ArcSwap::from_pointee(TermsNow::of(config))))
    }

    pub fn now(&self) -> TermsNow {
        **self.0.load()
    }

    /// For the requests that come from here on.
    pub fn replace(&self, config: &Config) {
        self.0.store(Arc::new(TermsNow::of(config)));
    }
}

impl TermsNow {
    fn of(config: &Config) -> TermsNow {
        let price = config.billing.price_usd;
        let free_otps = i64::from(config.billing.signup_free_otps);
        TermsNow {
            price,
            free_credit: price.checked_mul(free_otps).unwrap_or(Micros::ZERO),
            reading: Reading {
                language: config.calls.language,
                repeat: config.calls.repeat,
                digit_gap_ms: config.calls.digit_gap_ms,
            },
        }
    }
}
