//! The outcome of an OTP: its status, its final state, and whether it is refunded.

use std::borrow::Cow;

use crate::call::end::CallEnd;
use crate::schema::{schema, serialize_as_word, words};

/// The error code of an OTP that no gateway accepted. Its phone window is released.
pub const NO_ROUTE: &str = "no_route";

/// Every error code of a delivery.
pub const ERROR_CODES: [&str; 9] = [
    "partial_playback",
    "busy",
    "declined",
    "no_answer",
    "unreachable",
    "invalid_number",
    "carrier_error",
    "interrupted",
    NO_ROUTE,
];

/// The schema of a delivery's error code.
pub struct ErrorCode;

schema!(ErrorCode, "DeliveryErrorCode", words("Why an OTP failed.", ERROR_CODES));

/// The status of a delivery, as in the API.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Status {
    /// Accepted; the call is in progress. The only state that is not final.
    Sent,
    /// The code was read to an answered call.
    Delivered,
    /// The code was not read completely.
    Failed,
}

impl Status {
    pub const ALL: [Status; 3] = [Status::Sent, Status::Delivered, Status::Failed];

    /// The status with this name: `sent`, `delivered` or `failed`.
    pub fn named(name: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|s| s.as_str() == name)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Status::Sent => "sent",
            Status::Delivered => "delivered",
            Status::Failed => "failed",
        }
    }
}

schema!(
    Status,
    "DeliveryStatus",
    words(
        "`sent` while the call is in progress; `delivered` and `failed` are final.",
        Status::ALL.map(Status::as_str)
    )
);
serialize_as_word!(Status, Status::as_str);

/// When a failed OTP is refunded (`[billing] refund`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RefundPolicy {
    /// Failures of the carrier or of the product are refunded. Failures caused by the callee are not.
    #[default]
    Carrier,
    /// Nothing is refunded once the call was accepted.
    Never,
    /// Every OTP that was not delivered is refunded.
    Undelivered,
}

/// The final state of a delivery.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    pub status: Status,
    pub error_code: Option<&'static str>,
    pub carrier_status: Cow<'static, str>,
    pub refund: bool,
}

/// How a delivery ended, regardless of the refund policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    /// With the end of its call.
    Call(CallEnd),
    /// The process died during the call, or abandoned it.
    Interrupted,
}

/// Who caused a failure. Decides the refund under the default policy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Callee,
    Carrier,
}

impl Outcome {
    /// The final state of an accepted OTP.
    ///
    /// | event | error_code | carrier_status | refunded by default |
    /// |---|---|---|---|
    /// | read at least once | none | success | no |
    /// | hung up before the first reading's end | partial_playback | hangup | no |
    /// | 486, 600 | busy | busy | no |
    /// | 603, 403, 433, 607 | declined | declined | no |
    /// | ring timeout; 408, 480, 487 after ringing | no_answer | no_answer | no |
    /// | 480 without ringing, 410 | unreachable | unreachable | yes |
    /// | 404, 484, 604 | invalid_number | invalid_number | yes |
    /// | any other rejection, media or transport lost | carrier_error | the SIP code, or `media_lost`, `transport_lost` | yes |
    /// | the process died, or the call's time was over before the first reading's end | interrupted | interrupted | yes |
    pub fn of(ending: &Ending, policy: RefundPolicy) -> Outcome {
        let (error_code, carrier_status, fault) = match ending {
            Ending::Interrupted | Ending::Call(CallEnd::Abandoned | CallEnd::TimeLimit) => {
                named("interrupted", Fault::Carrier)
            }
            Ending::Call(CallEnd::Delivered) => return Outcome::delivered(),
            Ending::Call(CallEnd::PartialPlayback) => {
                ("partial_playback", Cow::Borrowed("hangup"), Fault::Callee)
            }
            Ending::Call(CallEnd::NoAnswer) => named("no_answer", Fault::Callee),
            Ending::Call(CallEnd::MediaLost) => carrier_error(Cow::Borrowed("media_lost")),
            Ending::Call(CallEnd::TransportLost) => carrier_error(Cow::Borrowed("transport_lost")),
            Ending::Call(CallEnd::NotAccepted(_)) => carrier_error(Cow::Borrowed("not_accepted")),
            Ending::Call(CallEnd::Rejected { code, after_ringing }) => {
                of_rejection(*code, *after_ringing)
            }
        };
        Outcome {
            status: Status::Failed,
            error_code: Some(error_code),
            carrier_status,
            refund: match policy {
                RefundPolicy::Carrier => fault == Fault::Carrier,
                RefundPolicy::Never => false,
                RefundPolicy::Undelivered => true,
            },
        }
    }

    fn delivered() -> Outcome {
        Outcome {
            status: Status::Delivered,
            error_code: None,
            carrier_status: Cow::Borrowed("success"),
            refund: false,
        }
    }
}

type Verdict = (&'static str, Cow<'static, str>, Fault);

fn named(name: &'static str, fault: Fault) -> Verdict {
    (name, Cow::Borrowed(name), fault)
}

fn carrier_error(carrier_status: Cow<'static, str>) -> Verdict {
    ("carrier_error", carrier_status, Fault::Carrier)
}

fn of_rejection(code: u16, after_ringing: bool) -> Verdict {
    match (code, after_ringing) {
        (486 | 600, _) => named("busy", Fault::Callee),
        (603 | 403 | 433 | 607, _) => named("declined", Fault::Callee),
        (408 | 480 | 487, true) => named("no_answer", Fault::Callee),
        (480, false) | (410, _) => named("unreachable", Fault::Carrier),
        (404 | 484 | 604, _) => named("invalid_number", Fault::Carrier),
        _ => carrier_error(Cow::Owned(code.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(code: u16, after_ringing: bool) -> Ending {
        Ending::Call(CallEnd::Rejected { code, after_ringing })
    }

    #[test]
    fn every_final_state_is_as_documented() {
        let kept = false;
        let refunded = true;
        for (ending, error_code, carrier_status, refund) in [
            (Ending::Call(CallEnd::PartialPlayback), "partial_playback", "hangup", kept),
            (rejected(486, true), "busy", "busy", kept),
            (rejected(600, false), "busy", "busy", kept),
            (rejected(603, true), "declined", "declined", kept),
            (rejected(403, false), "declined", "declined", kept),
            (rejected(433, false), "declined", "declined", kept),
            (rejected(607, true), "declined", "declined", kept),
            (Ending::Call(CallEnd::NoAnswer), "no_answer", "no_answer", kept),
            (rejected(408, true), "no_answer", "no_answer", kept),
            (rejected(480, true), "no_answer", "no_answer", kept),
            (rejected(480, false), "unreachable", "unreachable", refunded),
            (rejected(410, true), "unreachable", "unreachable", refunded),
            (rejected(404, false), "invalid_number", "invalid_number", refunded),
            (rejected(484, true), "invalid_number", "invalid_number", refunded),
            (rejected(604, false), "invalid_number", "invalid_number", refunded),
            (rejected(503, false), "carrier_error", "503", refunded),
            (rejected(408, false), "carrier_error", "408", refunded),
            (rejected(302, true), "carrier_error", "302", refunded),
            (Ending::Call(CallEnd::MediaLost), "carrier_error", "media_lost", refunded),
            (Ending::Interrupted, "interrupted", "interrupted", refunded),
            (Ending::Call(CallEnd::TimeLimit), "interrupted", "interrupted", refunded),
        ] {
            let outcome = Outcome::of(&ending, RefundPolicy::Carrier);
            assert_eq!(outcome.status, Status::Failed, "{ending:?}");
            assert!(ERROR_CODES.contains(&error_code), "{error_code}");
            assert_eq!(outcome.error_code, Some(error_code), "{ending:?}");
            assert_eq!(outcome.carrier_status, carrier_status, "{ending:?}");
            assert_eq!(outcome.refund, refund, "{ending:?}");
            assert!(!Outcome::of(&ending, RefundPolicy::Never).refund);
            assert!(Outcome::of(&ending, RefundPolicy::Undelivered).refund);
        }
    }

    #[test]
    fn a_delivered_code_is_never_refunded() {
        for policy in [RefundPolicy::Carrier, RefundPolicy::Never, RefundPolicy::Undelivered] {
            let outcome = Outcome::of(&Ending::Call(CallEnd::Delivered), policy);
            assert_eq!(outcome.status, Status::Delivered);
            assert_eq!(outcome.error_code, None);
            assert_eq!(outcome.carrier_status, "success");
            assert!(!outcome.refund);
        }
    }
}
