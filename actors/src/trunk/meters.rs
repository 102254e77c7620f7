//! The figures of a carrier's OTPs, registered once so that counting costs no formatting.

use metrics::Counter;
use nexo_domain::call::outcome::{Outcome, Status};

/// What a customer was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Accepted,
    FundsShort,
    WindowClosed,
    Throttled,
    NoRoute,
    Overloaded,
    AccountClosed,
    Lost,
}

const VERDICTS: [(Verdict, &str); 8] = [
    (Verdict::Accepted, "accepted"),
    (Verdict::FundsShort, "insufficient_balance"),
    (Verdict::WindowClosed, "rate_limited"),
    (Verdict::Throttled, "throttled"),
    (Verdict::NoRoute, "no_route"),
    (Verdict::Overloaded, "overloaded"),
    (Verdict::AccountClosed, "account_closed"),
    (Verdict::Lost, "lost"),
];

/// The error codes that an ended OTP may carry; the last stands for "none".
const ENDINGS: [&str; 9] = [
    "partial_playback",
    "busy",
    "declined",
    "no_answer",
    "unreachable",
    "invalid_number",
    "carrier_error",
    "interrupted",
    "no_route",
];

/// One carrier's counters.
pub struct CarrierMeters {
    verdicts: [Counter; VERDICTS.len()],
    delivered: Counter,
    failed: [Counter; ENDINGS.len()],
    refunded: Counter,
    window_rejections: Counter,
}

impl CarrierMeters {
    /// Registers the counters of the carrier of this name.
    pub fn new(carrier: &'static str) -> Self {
        let otp = |outcome: &'static str, error_code: &'static str| {
            metrics::counter!(
                "nexo_otps_total",
                "carrier" => carrier, "outcome" => outcome, "error_code" => error_code
            )
        };
        Self {
            verdicts: VERDICTS.map(|(_, name)| {
                metrics::counter!(
                    "nexo_otp_requests_total",
                    "carrier" => carrier, "verdict" => name
                )
            }),
            delivered: otp("delivered", ""),
            failed: ENDINGS.map(|code| otp("failed", code)),
            refunded: metrics::counter!("nexo_otp_refunds_total", "carrier" => carrier),
            window_rejections: metrics::counter!(
                "nexo_phone_window_rejections_total", "carrier" => carrier
            ),
        }
    }

    /// Counts what a customer was told.
    pub fn answered(&self, verdict: Verdict) {
        if verdict == Verdict::WindowClosed {
            self.window_rejections.increment(1);
        }
        let place = VERDICTS.iter().position(|(known, _)| *known == verdict);
        if let Some(place) = place {
            self.verdicts[place].increment(1);
        }
    }

    /// Counts a terminal state.
    pub fn ended(&self, outcome: &Outcome) {
        if outcome.refund {
            self.refunded.increment(1);
        }
        match outcome.status {
            Status::Delivered => self.delivered.increment(1),
            Status::Sent | Status::Failed => {
                let place = ENDINGS
                    .iter()
                    .position(|code| Some(*code) == outcome.error_code);
                if let Some(place) = place {
                    self.failed[place].increment(1);
                }
            }
        }
    }
}
