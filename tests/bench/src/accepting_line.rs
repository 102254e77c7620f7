//! A line that accepts every call immediately, without SIP.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nexo_actors::clock::unix_ms;
use nexo_actors::trunk::carrier::Line;
use nexo_domain::call::CallEnd;
use nexo_voice::audio::g711::Codec;
use nexo_voice::endpoint::{CallEvent, CallEvents, CallOrder, CallReport};
use tokio::sync::mpsc::UnboundedSender;

/// How often ended calls are reported.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Calls in the order of their ends. All calls have the same duration.
type Calls = Mutex<VecDeque<(Instant, i64, UnboundedSender<CallEvent>)>>;

/// Accepts every call. Each is delivered after the same time.
pub struct AcceptingLine {
    calls: Arc<Calls>,
    duration: Duration,
}

impl AcceptingLine {
    pub fn start(duration: Duration) -> AcceptingLine {
        let calls = Arc::new(Calls::default());
        let shared = Arc::clone(&calls);
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(POLL_INTERVAL);
                end_due(&shared);
            }
        });
        AcceptingLine { calls, duration }
    }
}

impl Line for AcceptingLine {
    fn place(&self, _: CallOrder) -> CallEvents {
        let (sender, events) = CallEvents::channel();
        let _ = sender.send(CallEvent::Accepted { sip_code: 180 });
        let end = (Instant::now() + self.duration, unix_ms(), sender);
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push_back(end);
        events
    }
}

fn end_due(calls: &Calls) {
    let now = Instant::now();
    let due: Vec<_> = {
        let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
        let due = calls.partition_point(|(end, _, _)| *end <= now);
        calls.drain(..due).collect()
    };
    for (_, started_at_ms, sender) in due {
        let _ = sender.send(CallEvent::Ended(Box::new(delivered(started_at_ms))));
    }
}

fn delivered(started_at_ms: i64) -> CallReport {
    CallReport {
        end: CallEnd::Delivered,
        sip_code: Some(200),
        codec: Some(Codec::Pcma),
        packets_sent: 600,
        packets_received: 600,
        fraction_lost: None,
        jitter: None,
        quality: None,
        media_error: None,
        is_protected: false,
        started_at_ms,
        accepted_at_ms: Some(started_at_ms),
        ringing_at_ms: Some(started_at_ms),
        answered_at_ms: Some(started_at_ms),
        ended_at_ms: unix_ms(),
    }
}
