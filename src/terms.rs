//! The price of an OTP, how its code is read unless the account chose otherwise, and the rules for sessions. A reload
//! replaces them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use nexo_domain::money::Micros;
use nexo_domain::otp::Reading;

use crate::config::Config;

const DAY_MS: i64 = 86_400_000;

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
    /// The longest time in milliseconds from a sign-in to the end of its session.
    pub session_max_ms: i64,
    /// Whether an operator without a second factor must set it up before anything else.
    pub operators_need_second_factor: bool,
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
            session_max_ms: i64::from(config.sign_in.session_max_days) * DAY_MS,
            operators_need_second_factor: config.sign_in.operators_need_second_factor,
        }
    }
}
