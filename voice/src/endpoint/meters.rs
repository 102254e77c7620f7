//! What the endpoint counts, registered once. What belongs to a call is counted under its [`Tally`].

use metrics::{Counter, Histogram};

use super::CallReport;
use crate::sip::user_agent::Dropped;

/// G.711's timestamp units.
const UNITS_A_SECOND: f64 = 8000.0;

/// Under which names a call's figures are counted. Few of them, and nothing of the number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CountedAs {
    /// Such as `viettel`.
    pub carrier: &'static str,
    /// `live`, or `test` for what never leaves the sandbox.
    pub realm: &'static str,
}

/// The place of a [`CountedAs`] among those that have been seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tally(usize);

pub(super) struct Meters {
    /// Few: a carrier and realm each.
    tallies: Vec<CallMeters>,
    send_errors: Counter,
    dropped: [Counter; 3],
    dropped_before: Dropped,
}

/// The figures of one carrier's calls.
struct CallMeters {
    counted_as: CountedAs,
    placed: Counter,
    answered: Counter,
    /// By status code, 100 to 699; registered when it first comes.
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
            tallies: Vec::new(),
            send_errors: metrics::counter!("nexo_sip_send_errors_total"),
            dropped: [dropped("foreign"), dropped("garbage"), dropped("stray")],
            dropped_before: Dropped::default(),
        }
    }

    /// Where calls of this kind are counted; registered when the first one comes.
    pub fn tally(&mut self, counted_as: CountedAs) -> Tally {
        let known = self
            .tallies
            .iter()
            .position(|tally| tally.counted_as == counted_as);
        Tally(known.unwrap_or_else(|| {
            self.tallies.push(CallMeters::new(counted_as));
            self.tallies.len() - 1
        }))
    }

    pub fn placed(&self, tally: Tally) {
        self.tallies[tally.0].placed.increment(1);
    }

    pub fn answered(&self, tally: Tally) {
        self.tallies[tally.0].answered.increment(1);
    }

    pub fn response(&mut self, tally: Tally, code: u16) {
        let meters = &mut self.tallies[tally.0];
        let CountedAs { carrier, realm } = meters.counted_as;
        let place = usize::from(code).wrapping_sub(100);
        if let Some(slot) = meters.responses.get_mut(place) {
            let new = || {
                metrics::counter!(
                    "nexo_sip_responses_total",
                    "carrier" => carrier, "realm" => realm, "code" => code.to_string()
                )
            };
            slot.get_or_insert_with(new).increment(1);
        }
    }

    /// The code's first digit has been said. `since_answer_ms`: since the call was answered.
    pub fn first_digit(&self, tally: Tally, since_answer_ms: i64) {
        let meters = &self.tallies[tally.0];
        meters.first_digit.record(seconds(since_answer_ms));
    }

    pub fn send_error(&self) {
        self.send_errors.increment(1);
    }

    pub fn dropped(&mut self, now: Dropped) {
        let before = std::mem::replace(&mut self.dropped_before, now);
        if before != now {
            self.dropped[0].increment(now.foreign - before.foreign);
            self.dropped[1].increment(now.garbage - before.garbage);
            self.dropped[2].increment(now.stray - before.stray);
        }
    }

    pub fn ended(&self, tally: Tally, report: &CallReport) {
        self.tallies[tally.0].ended(report);
    }
}

impl CallMeters {
    fn new(counted_as: CountedAs) -> CallMeters {
        let CountedAs { carrier, realm } = counted_as;
        let counter =
            |name: &'static str| metrics::counter!(name, "carrier" => carrier, "realm" => realm);
        let histogram =
            |name: &'static str| metrics::histogram!(name, "carrier" => carrier, "realm" => realm);
        CallMeters {
            counted_as,
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
            self.call_seconds
                .record(seconds(report.ended_at_ms - answered));
        }
        if let Some(lost) = report.fraction_lost {
            self.loss.record(f64::from(lost) / 256.0);
        }
        if let Some(jitter) = report.jitter {
            self.jitter.record(f64::from(jitter) / UNITS_A_SECOND);
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

fn describe() {
    use metrics::{describe_counter, describe_histogram};

    describe_counter!(
        "nexo_call_attempts_total",
        "Calls placed on a gateway, by carrier. Attempts, for the answer-seizure ratio."
    );
    describe_counter!(
        "nexo_calls_answered_total",
        "Calls that somebody answered, by carrier."
    );
    describe_counter!(
        "nexo_sip_responses_total",
        "Answers of gateways to INVITE, by carrier and status code."
    );
    describe_counter!(
        "nexo_sip_send_errors_total",
        "SIP datagrams that could not be sent."
    );
    describe_counter!(
        "nexo_sip_dropped_total",
        "SIP datagrams dropped, by reason: foreign (from no gateway), garbage, stray (of no call)."
    );
    describe_histogram!(
        "nexo_call_accept_seconds",
        "From INVITE to the answer by which the carrier took the call."
    );
    describe_histogram!(
        "nexo_call_post_dial_delay_seconds",
        "Post-dial delay: from INVITE to ringing."
    );
    describe_histogram!(
        "nexo_call_first_digit_seconds",
        "From the answer to the end of the code's first digit."
    );
    describe_histogram!(
        "nexo_call_seconds",
        "Call length: from the answer to the end."
    );
    describe_histogram!(
        "nexo_rtcp_loss_ratio",
        "Share of our packets that were lost, as the far end reported last (RTCP)."
    );
    describe_histogram!(
        "nexo_rtcp_jitter_seconds",
        "Jitter of our packets, as the far end reported last (RTCP)."
    );
    describe_histogram!(
        "nexo_rtcp_round_trip_seconds",
        "The way to the far end and back, by its reports (RTCP)."
    );
    describe_histogram!(
        "nexo_call_mean_opinion_score",
        "What a listener would think of the audio, 1 to 4.5, estimated by ITU-T G.107."
    );
    describe_counter!("nexo_rtp_packets_sent_total", "RTP packets sent.");
    describe_counter!(
        "nexo_rtp_packets_received_total",
        "RTP packets received from the far ends."
    );
    describe_counter!(
        "nexo_rtp_packets_dropped_total",
        "RTP packets from strangers, and garbage."
    );
    describe_counter!(
        "nexo_rtp_send_errors_total",
        "RTP packets that could not be sent."
    );
    describe_counter!(
        "nexo_rtp_late_ticks_total",
        "Ticks of the media clock that came 5 ms late or more."
    );
    describe_histogram!(
        "nexo_rtp_tick_lateness_seconds",
        "How late the media clock's ticks come: audio is sent so much after its time."
    );
}
