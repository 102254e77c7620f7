//! The events of a call, and the report of its end.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nexo_domain::call::{CallEnd, Refusal};

use crate::audio::g711::Codec;
use crate::rtp::receive::quality::mean_opinion_score;
use crate::rtp::send::clock::StreamStats;

/// An event of a call. [`CallEvent::Ended`] occurs exactly once, as the last one.
#[derive(Clone, Debug, PartialEq)]
pub enum CallEvent {
    /// The INVITE was sent.
    Dialled,
    /// The carrier accepted the call with this response.
    Accepted {
        sip_code: u16,
    },
    Ringing,
    Answered {
        codec: Codec,
    },
    /// The callee pressed a key. For privacy, it does not say which one.
    KeyPressed,
    /// A digit has been spoken. Both numbers count from 0.
    DigitSpoken {
        reading: u8,
        position: u8,
    },
    /// A reading of the code has been completed.
    CodeRead {
        reading: u8,
    },
    /// Boxed to keep the other events small.
    Ended(Box<CallReport>),
}

impl CallEvent {
    /// Whether the event is delivered even without [`CallOrder::wants_all_events`](super::CallOrder).
    pub(super) fn is_decisive(&self) -> bool {
        match self {
            CallEvent::Accepted { .. }
            | CallEvent::Ringing
            | CallEvent::Answered { .. }
            | CallEvent::KeyPressed
            | CallEvent::CodeRead { .. }
            | CallEvent::Ended(_) => true,
            CallEvent::Dialled | CallEvent::DigitSpoken { .. } => false,
        }
    }
}

/// The quality of our audio, from the reports of the far end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// The share of our packets that was lost, from 0 to 1.
    pub loss: f64,
    /// The jitter of our packets at the far end.
    pub jitter: Duration,
    /// The round-trip time. `None`: not reported.
    pub round_trip: Option<Duration>,
    /// The estimated mean opinion score, from 1 to 4.5 (ITU-T G.107).
    pub mos: f64,
}

impl Quality {
    /// `None` if the far end has reported nothing.
    pub(super) fn from_figures(figures: &StreamStats) -> Option<Quality> {
        let sent = figures.packets_sent.max(1) as f64;
        let loss = (f64::from(figures.packets_lost?) / sent).clamp(0.0, 1.0);
        let jitter = Duration::from_secs_f64(f64::from(figures.jitter?) / 8000.0);
        let round_trip = figures.round_trip;
        Some(Quality {
            loss,
            jitter,
            round_trip,
            mos: mean_opinion_score(loss, jitter, round_trip.unwrap_or_default()),
        })
    }
}

/// The outcome of a call. Times are Unix milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct CallReport {
    pub end: CallEnd,
    /// The last status code of a response to the INVITE.
    pub sip_code: Option<u16>,
    pub codec: Option<Codec>,
    pub packets_sent: u64,
    pub packets_received: u64,
    /// The last reported loss, in 1/256.
    pub fraction_lost: Option<u8>,
    /// The last reported jitter, in timestamp units.
    pub jitter: Option<u32>,
    pub quality: Option<Quality>,
    /// Why the far end's media could not be used. Without secrets.
    pub media_error: Option<String>,
    /// Whether SRTP was used.
    pub is_protected: bool,
    pub started_at_ms: i64,
    pub accepted_at_ms: Option<i64>,
    pub ringing_at_ms: Option<i64>,
    pub answered_at_ms: Option<i64>,
    pub ended_at_ms: i64,
}

impl CallReport {
    /// The report of a call that starts now and has not been accepted.
    pub(super) fn start() -> CallReport {
        CallReport {
            end: CallEnd::NotAccepted(Refusal::TransportLost),
            sip_code: None,
            codec: None,
            packets_sent: 0,
            packets_received: 0,
            fraction_lost: None,
            jitter: None,
            quality: None,
            media_error: None,
            is_protected: false,
            started_at_ms: unix_ms(),
            accepted_at_ms: None,
            ringing_at_ms: None,
            answered_at_ms: None,
            ended_at_ms: 0,
        }
    }
}

/// The times of one call: the wall time at its start, and from then on the monotonic clock. Setting the wall clock
/// neither reverses nor stretches them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallClock {
    start_ms: i64,
    started: Instant,
}

impl CallClock {
    /// The clock of a call whose report starts now.
    pub fn of(report: &CallReport) -> CallClock {
        CallClock { start_ms: report.started_at_ms, started: Instant::now() }
    }

    /// Unix time in milliseconds.
    pub fn now_ms(&self) -> i64 {
        let passed = self.started.elapsed().as_millis();
        self.start_ms + i64::try_from(passed).unwrap_or(i64::MAX / 2)
    }
}

/// Unix time in milliseconds.
pub(crate) fn unix_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
