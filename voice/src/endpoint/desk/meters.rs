//! What the endpoint counts, registered once.

use metrics::{Counter, Histogram};

use super::super::CallReport;
use super::super::live_call::unix_ms;
use crate::sip::user_agent::Dropped;

pub(super) struct Meters {
    placed: Counter,
    answered: Counter,
    /// By status code, 100 to 699; registered when it first comes.
    responses: Vec<Option<Counter>>,
    send_errors: Counter,
    dropped: [Counter; 3],
    dropped_before: Dropped,
    first_answer: Histogram,
    post_dial_delay: Histogram,
    call_seconds: Histogram,
}

impl Meters {
    pub fn new() -> Self {
        let dropped =
            |reason: &'static str| metrics::counter!("nexo_sip_dropped_total", "reason" => reason);
        Self {
            placed: metrics::counter!("nexo_call_attempts_total"),
            answered: metrics::counter!("nexo_calls_answered_total"),
            responses: vec![None; 600],
            send_errors: metrics::counter!("nexo_sip_send_errors_total"),
            dropped: [dropped("foreign"), dropped("garbage"), dropped("stray")],
            dropped_before: Dropped::default(),
            first_answer: metrics::histogram!("nexo_call_accept_seconds"),
            post_dial_delay: metrics::histogram!("nexo_call_post_dial_delay_seconds"),
            call_seconds: metrics::histogram!("nexo_call_seconds"),
        }
    }

    pub fn placed(&self) {
        self.placed.increment(1);
    }

    pub fn response(&mut self, code: u16) {
        let Some(slot) = self
            .responses
            .get_mut(usize::from(code.saturating_sub(100)))
        else {
            return;
        };
        slot.get_or_insert_with(
            || metrics::counter!("nexo_sip_responses_total", "code" => code.to_string()),
        )
        .increment(1);
    }

    pub fn send_error(&self) {
        self.send_errors.increment(1);
    }

    pub fn first_answer(&self, started_at_ms: i64) {
        self.first_answer.record(seconds(unix_ms() - started_at_ms));
    }

    pub fn dropped(&mut self, now: Dropped) {
        let before = std::mem::replace(&mut self.dropped_before, now);
        self.dropped[0].increment(now.foreign - before.foreign);
        self.dropped[1].increment(now.garbage - before.garbage);
        self.dropped[2].increment(now.stray - before.stray);
    }

    pub fn ended(&self, report: &CallReport) {
        if let Some(ringing) = report.ringing_at_ms {
            self.post_dial_delay
                .record(seconds(ringing - report.started_at_ms));
        }
        if let Some(answered) = report.answered_at_ms {
            self.answered.increment(1);
            self.call_seconds.record(seconds(unix_ms() - answered));
        }
    }
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
