//! A line whose gateway accepts in process, at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nexo_actors::clock::unix_ms;
use nexo_actors::trunk::carrier::Line;
use nexo_domain::call::CallEnd;
use nexo_voice::audio::g711::Codec;
use nexo_voice::endpoint::{CallEvents, CallNews, CallOrder, CallReport};
use tokio::sync::mpsc::UnboundedSender;

/// How often calls are looked at for their end.
const EVERY: Duration = Duration::from_millis(10);

/// Calls in the order of their ends, since all last equally long.
type Calls = Mutex<VecDeque<(Instant, i64, UnboundedSender<CallNews>)>>;

/// Accepts every call; each is delivered after the same time.
pub struct AcceptingLine {
    calls: Arc<Calls>,
    lasting: Duration,
}

impl AcceptingLine {
    pub fn start(lasting: Duration) -> AcceptingLine {
        let calls = Arc::new(Calls::default());
        let ending = Arc::clone(&calls);
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(EVERY);
                end_due(&ending);
            }
        });
        AcceptingLine { calls, lasting }
    }
}

impl Line for AcceptingLine {
    fn place(&self, _: CallOrder) -> CallEvents {
        let (tell, events) = CallEvents::channel();
        let _ = tell.send(CallNews::Accepted { sip_code: 180 });
        let end = (Instant::now() + self.lasting, unix_ms(), tell);
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
    for (_, started_at_ms, tell) in due {
        let _ = tell.send(CallNews::Ended(Box::new(delivered(started_at_ms))));
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
        is_protected: false,
        started_at_ms,
        accepted_at_ms: Some(started_at_ms),
        ringing_at_ms: Some(started_at_ms),
        answered_at_ms: Some(started_at_ms),
        ended_at_ms: unix_ms(),
    }
}
