//! What the endpoint counts, registered once.

use metrics::{Counter, Histogram};

use super::CallReport;
use crate::sip::user_agent::Dropped;

/// G.711's timestamp units.
const UNITS_A_SECOND: f64 = 8000.0;

pub(super) struct Meters {
    placed: Counter,
    answered: Counter,
    /// By status code, 100 to 699; registered when it first comes.
    responses: Vec<Option<Counter>>,
    send_errors: Counter,
    dropped: [Counter; 3],
    dropped_before: Dropped,
    accept_seconds: Histogram,
    post_dial_delay: Histogram,
    call_seconds: Histogram,
    loss: Histogram,
    jitter: Histogram,
}

impl Meters {
    pub fn new() -> Self {
        describe();
        let dropped =
            |reason: &'static str| metrics::counter!("nexo_sip_dropped_total", "reason" => reason);
        Self {
            placed: metrics::counter!("nexo_call_attempts_total"),
            answered: metrics::counter!("nexo_calls_answered_total"),
            responses: vec![None; 600],
            send_errors: metrics::counter!("nexo_sip_send_errors_total"),
            dropped: [dropped("foreign"), dropped("garbage"), dropped("stray")],
            dropped_before: Dropped::default(),
            accept_seconds: metrics::histogram!("nexo_call_accept_seconds"),
            post_dial_delay: metrics::histogram!("nexo_call_post_dial_delay_seconds"),
            call_seconds: metrics::histogram!("nexo_call_seconds"),
            loss: metrics::histogram!("nexo_rtcp_loss_ratio"),
            jitter: metrics::histogram!("nexo_rtcp_jitter_seconds"),
        }
    }

    pub fn placed(&self) {
        self.placed.increment(1);
    }

    pub fn answered(&self) {
        self.answered.increment(1);
    }

    pub fn response(&mut self, code: u16) {
        let place = usize::from(code).wrapping_sub(100);
        if let Some(slot) = self.responses.get_mut(place) {
            let new = || metrics::counter!("nexo_sip_responses_total", "code" => code.to_string());
            slot.get_or_insert_with(new).increment(1);
        }
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

    pub fn ended(&self, report: &CallReport) {
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
    }
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn describe() {
    use metrics::{describe_counter, describe_histogram};

    describe_counter!("nexo_call_attempts_total", "Calls placed on a gateway.");
    describe_counter!("nexo_calls_answered_total", "Calls answered.");
    describe_counter!(
        "nexo_sip_responses_total",
        "Answers to INVITE, by status code."
    );
    describe_counter!(
        "nexo_sip_send_errors_total",
        "SIP datagrams that could not be sent."
    );
    describe_counter!(
        "nexo_sip_dropped_total",
        "SIP datagrams dropped, by reason."
    );
    describe_histogram!(
        "nexo_call_accept_seconds",
        "From INVITE to the carrier's first answer."
    );
    describe_histogram!(
        "nexo_call_post_dial_delay_seconds",
        "From INVITE to ringing."
    );
    describe_histogram!("nexo_call_seconds", "From answer to the end of the call.");
    describe_histogram!(
        "nexo_rtcp_loss_ratio",
        "Packets lost, as the far end reported last."
    );
    describe_histogram!(
        "nexo_rtcp_jitter_seconds",
        "Jitter, as the far end reported last."
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
}
