//! The price of an OTP, and how its code is read unless the account chose otherwise. A reload replaces both.

use std::sync::Arc;

use arc_swap::ArcSwap;
use nexo_domain::money::Micros;
use nexo_domain::otp::Reading;

use crate::config::Config;

/// The terms in force.
#[derive(Debug)]
pub struct Terms(ArcSwap<CurrentTerms>);

/// The terms at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CurrentTerms {
    /// The price of one accepted OTP.
    pub price: Micros,
    /// The free credit of a new account.
    pub free_credit: Micros,
    pub reading: Reading,
}

impl Terms {
    pub fn of(config: &Config) -> Arc<Terms> {
        Arc::new(Terms(ArcSwap::from_pointee(CurrentTerms::of(config))))
    }

    pub fn current(&self) -> CurrentTerms {
        **self.0.load()
    }

    /// Replaces the terms of later requests.
    pub fn replace(&self, config: &Config) {
        self.0.store(Arc::new(CurrentTerms::of(config)));
    }
}

impl CurrentTerms {
    fn of(config: &Config) -> CurrentTerms {
        let price = config.billing.price_usd;
        let free_otps = i64::from(config.billing.signup_free_otps);
        CurrentTerms {
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
