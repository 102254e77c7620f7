//! The metrics of the endpoint. Metrics of calls are labelled with their [`CallLabels`].

use std::time::{Duration, Instant};

use metrics::{Counter, Histogram};

use super::call::order::CallLabels;
use super::call::report::CallReport;
use crate::sip::message::hop::Hop;
use crate::sip::user_agent::DropCounts;

/// The RTP clock rate of G.711.
const CLOCK_RATE: f64 = 8000.0;
/// The interval between log lines about odd lines.
const ODD_LINES_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The index of the metrics for one [`CallLabels`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct CallMetersId(usize);

pub(super) struct Meters {
    /// One for each carrier and realm.
    by_labels: Vec<CallMeters>,
    send_errors: Counter,
    dropped: [Counter; 3],
    last_drop_counts: DropCounts,
    odd_lines: Counter,
    last_odd_lines: u64,
    odd_lines_logged_at: Option<Instant>,
}

/// The metrics of the calls with one set of labels.
struct CallMeters {
    labels: CallLabels,
    placed: Counter,
    answered: Counter,
    /// By status code, 100 to 699. Registered at the first response with the code.
    responses: Vec<Option<Counter>>,
    accept_seconds: Histogram,
    post_dial_delay: Histogram,
    first_digit: Histogram,
    call_seconds: Histogram,
    loss: Histogram,
    jitter: Histogram,
    round_trip: Histogram,
    opinion: Histogram,
}

impl Meters {
    pub fn new() -> Self {
        describe();
        let dropped =
            |reason: &'static str| metrics::counter!("nexo_sip_dropped_total", "reason" => reason);
        Self {
            by_labels: Vec::new(),
            send_errors: metrics::counter!("nexo_sip_send_errors_total"),
            dropped: [dropped("foreign"), dropped("garbage"), dropped("stray")],
            last_drop_counts: DropCounts::default(),
            odd_lines: metrics::counter!("nexo_sip_odd_lines_total"),
            last_odd_lines: 0,
            odd_lines_logged_at: None,
        }
    }

    /// The metrics with these labels. Registered at their first use.
    pub fn for_labels(&mut self, labels: CallLabels) -> CallMetersId {
        let known = self.by_labels.iter().position(|m| m.labels == labels);
        CallMetersId(known.unwrap_or_else(|| {
            self.by_labels.push(CallMeters::new(labels));
            self.by_labels.len() - 1
        }))
    }

    pub fn placed(&self, id: CallMetersId) {
        self.by_labels[id.0].placed.increment(1);
    }

    pub fn answered(&self, id: CallMetersId) {
        self.by_labels[id.0].answered.increment(1);
    }

    pub fn response(&mut self, id: CallMetersId, code: u16) {
        let meters = &mut self.by_labels[id.0];
        let CallLabels { carrier, realm } = meters.labels;
        let index = usize::from(code).wrapping_sub(100);
        if let Some(slot) = meters.responses.get_mut(index) {
            let new = || {
                metrics::counter!(
                    "nexo_sip_responses_total",
                    "carrier" => carrier, "realm" => realm, "code" => code.to_string()
                )
            };
            slot.get_or_insert_with(new).increment(1);
        }
    }

    /// The first digit has been spoken, `since_answer_ms` after the answer.
    pub fn first_digit(&self, id: CallMetersId, since_answer_ms: i64) {
        let meters = &self.by_labels[id.0];
        meters.first_digit.record(seconds(since_answer_ms));
    }

    pub fn send_error(&self) {
        self.send_errors.increment(1);
    }

    /// Takes the user agent's current counts of dropped messages.
    pub fn dropped(&mut self, now: DropCounts) {
        let before = std::mem::replace(&mut self.last_drop_counts, now);
        if before != now {
            self.dropped[0].increment(now.foreign - before.foreign);
            self.dropped[1].increment(now.garbage - before.garbage);
            self.dropped[2].increment(now.stray - before.stray);
        }
    }

    /// Takes the user agent's current number of skipped lines, after a message from `from`. Logged at most once a
    /// minute, without the lines: they may contain anything.
    pub fn odd_lines(&mut self, now: u64, from: Hop) {
        let lines = now - std::mem::replace(&mut self.last_odd_lines, now);
        if lines == 0 {
            return;
        }
        self.odd_lines.increment(lines);
        if self.odd_lines_logged_at.is_none_or(|at| at.elapsed() >= ODD_LINES_LOG_INTERVAL) {
            self.odd_lines_logged_at = Some(Instant::now());
            tracing::debug!(%from, lines, "skipped lines of a SIP message that are not header fields");
        }
    }

    pub fn ended(&self, id: CallMetersId, report: &CallReport) {
        self.by_labels[id.0].ended(report);
    }
}

impl CallMeters {
    fn new(labels: CallLabels) -> CallMeters {
        let CallLabels { carrier, realm } = labels;
        let counter =
            |name: &'static str| metrics::counter!(name, "carrier" => carrier, "realm" => realm);
        let histogram =
            |name: &'static str| metrics::histogram!(name, "carrier" => carrier, "realm" => realm);
        CallMeters {
            labels,
            placed: counter("nexo_call_attempts_total"),
            answered: counter("nexo_calls_answered_total"),
            responses: vec![None; 600],
            accept_seconds: histogram("nexo_call_accept_seconds"),
            post_dial_delay: histogram("nexo_call_post_dial_delay_seconds"),
            first_digit: histogram("nexo_call_first_digit_seconds"),
            call_seconds: histogram("nexo_call_seconds"),
            loss: histogram("nexo_rtcp_loss_ratio"),
            jitter: histogram("nexo_rtcp_jitter_seconds"),
            round_trip: histogram("nexo_rtcp_round_trip_seconds"),
            opinion: histogram("nexo_call_mean_opinion_score"),
        }
    }

    fn ended(&self, report: &CallReport) {
        let since_start = |at: i64| seconds(at - report.started_at_ms);
        if let Some(accepted) = report.accepted_at_ms {
            self.accept_seconds.record(since_start(accepted));
        }
        if let Some(ringing) = report.ringing_at_ms {
            self.post_dial_delay.record(since_start(ringing));
        }
        if let Some(answered) = report.answered_at_ms {
            self.call_seconds.record(seconds(report.ended_at_ms - answered));
        }
        if let Some(lost) = report.fraction_lost {
            self.loss.record(f64::from(lost) / 256.0);
        }
        if let Some(jitter) = report.jitter {
            self.jitter.record(f64::from(jitter) / CLOCK_RATE);
        }
        if let Some(quality) = report.quality {
            self.opinion.record(quality.mos);
            if let Some(round_trip) = quality.round_trip {
                self.round_trip.record(round_trip);
            }
        }
    }
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// The counters with their descriptions.
const COUNTERS: [(&str, &str); 11] = [
    (
        "nexo_call_attempts_total",
        "Calls placed on a gateway, by carrier. The attempts of the answer-seizure ratio.",
    ),
    ("nexo_calls_answered_total", "Answered calls, by carrier."),
    ("nexo_sip_responses_total", "Responses of gateways to INVITE, by carrier and status code."),
    ("nexo_sip_send_errors_total", "SIP messages that could not be sent."),
    (
        "nexo_sip_dropped_total",
        "SIP messages dropped, by reason: foreign (not from a gateway), garbage (not SIP), stray (of no call).",
    ),
    (
        "nexo_sip_odd_lines_total",
        "Lines of gateways' SIP messages that were skipped because they are not header fields, and unusable Content-Lengths.",
    ),
    ("nexo_rtp_packets_sent_total", "RTP packets sent."),
    ("nexo_rtp_packets_received_total", "RTP packets received from the far ends."),
    (
        "nexo_rtp_packets_dropped_total",
        "Received packets that are not RTP or not from the far end.",
    ),
    ("nexo_rtp_send_errors_total", "RTP packets that could not be sent."),
    ("nexo_rtp_late_ticks_total", "Ticks of the media clock that were at least 5 ms late."),
];

/// The histograms with their descriptions.
const HISTOGRAMS: [(&str, &str); 9] = [
    ("nexo_call_accept_seconds", "From INVITE to the response that accepts the call."),
    ("nexo_call_post_dial_delay_seconds", "Post-dial delay: from INVITE to ringing."),
    ("nexo_call_first_digit_seconds", "From the answer to the end of the code's first digit."),
    ("nexo_call_seconds", "Call duration: from the answer to the end."),
    (
        "nexo_rtcp_loss_ratio",
        "Share of our packets that were lost, as the far end reported last (RTCP).",
    ),
    ("nexo_rtcp_jitter_seconds", "Jitter of our packets, as the far end reported last (RTCP)."),
    ("nexo_rtcp_round_trip_seconds", "Round-trip time to the far end, from its reports (RTCP)."),
    (
        "nexo_call_mean_opinion_score",
        "Estimated mean opinion score of the audio, 1 to 4.5 (ITU-T G.107).",
    ),
    (
        "nexo_rtp_tick_lateness_seconds",
        "Lateness of the media clock's ticks, which is that of the sent audio.",
    ),
];

fn describe() {
    for (name, description) in COUNTERS {
        metrics::describe_counter!(name, description);
    }
    for (name, description) in HISTOGRAMS {
        metrics::describe_histogram!(name, description);
    }
}
