//! Keys that the far end reports by INFO, in the bodies that gateways have used since RFC 2976.
//!
//! | body | example |
//! |---|---|
//! | `application/dtmf-relay` | `Signal=5`, and `Duration=160` in ms on another line |
//! | `application/dtmf` | `5` |
//!
//! Each is also accepted under the other's type. A signal is a key, or its event code from 10 for `*`.

use std::time::Duration;

use crate::rtp::wire::telephone_event::DtmfKey;
use crate::sip::message::Request;
use crate::sip::message::header::Name;

/// The bodies that are understood, for the Accept field of a 415.
pub(super) const ACCEPTED_BODIES: &str = "application/dtmf-relay, application/dtmf";

/// Reads an INFO: the key, and how long it was held, zero if the body does not say. `None`: it reports no
/// key, such as one that only refreshes the call.
///
/// # Errors
/// The status code for a body that is not understood (RFC 2976 §2.2), or for an info package, because we
/// announce none (RFC 6086 §4.2.2).
pub(super) fn read(request: &Request) -> Result<Option<(DtmfKey, Duration)>, u16> {
    let body = request.body();
    let kind = request.value(Name::ContentType).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let mut accepted = ACCEPTED_BODIES.split(", ");
    match accepted.any(|accepted| kind.eq_ignore_ascii_case(accepted)) {
        // A key is taken whatever package it claims to belong to.
        true => Ok(std::str::from_utf8(body).ok().and_then(read_key)),
        false if request.named("Info-Package").is_some() => Err(469),
        false if body.is_empty() => Ok(None),
        false => Err(415),
    }
}

fn read_key(text: &str) -> Option<(DtmfKey, Duration)> {
    let field = |name: &str| {
        text.split(['\r', '\n']).find_map(|line| {
            let (key, value) = line.split_once(['=', ':'])?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let key = key_of(field("signal").unwrap_or(text.trim()))?;
    let held_ms = field("duration").and_then(|value| value.parse().ok()).unwrap_or(0);
    Some((key, Duration::from_millis(held_ms)))
}

fn key_of(signal: &str) -> Option<DtmfKey> {
    let mut characters = signal.chars();
    match (characters.next(), characters.next()) {
        (Some(key), None) => DtmfKey::from_char(key.to_ascii_uppercase()),
        _ => DtmfKey::from_code(signal.parse().ok().filter(|code| *code >= 10)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Option<(char, u128)> {
        read_key(text).map(|(key, held)| (key.as_char(), held.as_millis()))
    }

    #[test]
    fn a_key_is_read_from_every_usual_body() {
        for (body, expected) in [
            ("Signal=5\r\nDuration=160\r\n", Some(('5', 160))),
            ("Signal= 5\r\nDuration= 160", Some(('5', 160))),
            ("signal = 5 \n", Some(('5', 0))),
            ("Duration=250\r\nSignal=#", Some(('#', 250))),
            ("Signal: 7\r\n", Some(('7', 0))),
            ("Signal=*", Some(('*', 0))),
            ("Signal=10", Some(('*', 0))),
            ("Signal=11\r\nDuration=soon", Some(('#', 0))),
            ("Signal=d", Some(('D', 0))),
            ("5", Some(('5', 0))),
            (" *\r\n", Some(('*', 0))),
            ("11", Some(('#', 0))),
            ("Duration=99999999999999999999\r\nSignal=1", Some(('1', 0))),
        ] {
            assert_eq!(key(body), expected, "{body:?}");
        }
    }

    #[test]
    fn what_is_no_key_is_none() {
        for body in
            ["", "Signal=", "Signal=16", "Signal=E", "Signal=55", "Duration=5", "hello", "-1", "05"]
        {
            assert_eq!(key(body), None, "{body:?}");
        }
    }
}
