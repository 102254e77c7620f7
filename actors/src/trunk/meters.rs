//! The metrics of a carrier's OTPs and of its gateways, registered once so that counting formats no labels.

use std::time::Duration;

use metrics::{Counter, Gauge};
use nexo_domain::call::outcome::{ERROR_CODES, Outcome, Status};

/// The answer to a request for an OTP, as a metric label.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Accepted,
    FundsShort,
    WindowHeld,
    Throttled,
    NoRoute,
    Overloaded,
    AccountClosed,
    Lost,
}

const VERDICTS: [(Verdict, &str); 8] = [
    (Verdict::Accepted, "accepted"),
    (Verdict::FundsShort, "insufficient_balance"),
    (Verdict::WindowHeld, "rate_limited"),
    (Verdict::Throttled, "throttled"),
    (Verdict::NoRoute, "no_route"),
    (Verdict::Overloaded, "overloaded"),
    (Verdict::AccountClosed, "account_closed"),
    (Verdict::Lost, "lost"),
];

/// The value of the label `realm`: who answers the calls, so that calls of the sandbox are not taken for real ones.
pub fn realm_label(is_sandbox: bool) -> &'static str {
    if is_sandbox { "sandbox" } else { "live" }
}

/// One carrier's counters, apart for OTPs over its trunk and for OTPs that the built-in sandbox answers.
pub struct CarrierMeters {
    live: OtpMeters,
    sandbox: OtpMeters,
}

impl CarrierMeters {
    /// Registers the counters of the carrier of this name.
    pub fn new(carrier: &'static str) -> Self {
        Self {
            live: OtpMeters::new(carrier, realm_label(false)),
            sandbox: OtpMeters::new(carrier, realm_label(true)),
        }
    }

    pub fn of(&self, is_sandbox: bool) -> &OtpMeters {
        if is_sandbox { &self.sandbox } else { &self.live }
    }
}

/// The counters of one carrier and realm.
pub struct OtpMeters {
    verdicts: [Counter; VERDICTS.len()],
    delivered: Counter,
    failed: [Counter; ERROR_CODES.len()],
    refunded: Counter,
    window_rejections: Counter,
}

impl OtpMeters {
    fn new(carrier: &'static str, realm: &'static str) -> Self {
        let otp = |outcome: &'static str, error_code: &'static str| {
            metrics::counter!(
                "nexo_otps_total",
                "carrier" => carrier, "realm" => realm,
                "outcome" => outcome, "error_code" => error_code
            )
        };
        Self {
            verdicts: VERDICTS.map(|(_, name)| {
                metrics::counter!(
                    "nexo_otp_requests_total",
                    "carrier" => carrier, "realm" => realm, "verdict" => name
                )
            }),
            delivered: otp("delivered", ""),
            failed: ERROR_CODES.map(|code| otp("failed", code)),
            refunded: metrics::counter!(
                "nexo_otp_refunds_total", "carrier" => carrier, "realm" => realm
            ),
            window_rejections: metrics::counter!(
                "nexo_phone_window_rejections_total", "carrier" => carrier, "realm" => realm
            ),
        }
    }

    /// Counts an answer.
    pub fn answered(&self, verdict: Verdict) {
        if verdict == Verdict::WindowHeld {
            self.window_rejections.increment(1);
        }
        let index = VERDICTS.iter().position(|(known, _)| *known == verdict);
        if let Some(index) = index {
            self.verdicts[index].increment(1);
        }
    }

    /// Counts a final state.
    pub fn ended(&self, outcome: &Outcome) {
        if outcome.refund {
            self.refunded.increment(1);
        }
        match outcome.status {
            Status::Delivered => self.delivered.increment(1),
            Status::Sent | Status::Failed => {
                let index = ERROR_CODES.iter().position(|code| Some(*code) == outcome.error_code);
                if let Some(index) = index {
                    self.failed[index].increment(1);
                }
            }
        }
    }
}

/// The gauges of one gateway.
#[derive(Debug)]
pub(super) struct GatewayMeters {
    up: Gauge,
    /// Present only if the gateway needs a registration.
    registered: Option<Gauge>,
    /// Present only if the gateway is probed.
    round_trip: Option<Gauge>,
}

impl GatewayMeters {
    pub fn new(
        carrier: &'static str,
        gateway: &str,
        needs_registration: bool,
        is_probed: bool,
    ) -> Self {
        let label = || gateway.to_owned();
        Self {
            up: metrics::gauge!("nexo_gateway_up", "carrier" => carrier, "gateway" => label()),
            registered: needs_registration.then(
                || metrics::gauge!("nexo_gateway_registered", "carrier" => carrier, "gateway" => label()),
            ),
            round_trip: is_probed.then(
                || metrics::gauge!("nexo_gateway_round_trip_seconds", "carrier" => carrier, "gateway" => label()),
            ),
        }
    }

    pub fn update(&self, is_up: bool, is_registered: bool, round_trip: Option<Duration>) {
        let flag = |is_set: bool| f64::from(u8::from(is_set));
        self.up.set(flag(is_up));
        if let Some(gauge) = &self.registered {
            gauge.set(flag(is_registered));
        }
        if let (Some(gauge), Some(round_trip)) = (&self.round_trip, round_trip) {
            gauge.set(round_trip.as_secs_f64());
        }
    }

    /// Publishes no value.
    pub fn clear(self) {
        let gauges = [Some(self.up), self.registered, self.round_trip];
        for gauge in gauges.into_iter().flatten() {
            gauge.set(f64::NAN);
        }
    }
}
