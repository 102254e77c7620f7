//! The receiver of a call's events.

use std::sync::Arc;

use nexo_domain::call::CallEnd;
use tokio::sync::mpsc;

use super::report::{CallClock, CallEvent, CallReport};
use crate::endpoint::inbox::{Command, Inbox};

/// Receives the events of one call. Dropping it ends the call.
pub struct CallEvents {
    events: mpsc::UnboundedReceiver<CallEvent>,
    /// The report in case the endpoint fails. `None` after the end.
    so_far: Option<(CallReport, CallClock)>,
    call: u64,
    inbox: Option<Arc<Inbox>>,
}

impl CallEvents {
    /// A receiver with its sender, for calls that are not placed by an endpoint. Dropping the sender before the
    /// end counts as a failure of the transport.
    pub fn channel() -> (mpsc::UnboundedSender<CallEvent>, CallEvents) {
        let (sender, events) = mpsc::unbounded_channel();
        let events = CallEvents { events, so_far: Some(start()), call: 0, inbox: None };
        (sender, events)
    }

    /// The receiver of the call that was placed through `inbox` under this number.
    pub(crate) fn new(
        call: u64,
        events: mpsc::UnboundedReceiver<CallEvent>,
        inbox: Arc<Inbox>,
    ) -> CallEvents {
        CallEvents { events, so_far: Some(start()), call, inbox: Some(inbox) }
    }

    /// The next event. `None` after the end. If the endpoint fails, the call ends as with a lost transport.
    pub async fn next(&mut self) -> Option<CallEvent> {
        let event = self.events.recv().await;
        let Some(so_far) = &mut self.so_far else {
            return event;
        };
        let (so_far, clock) = so_far;
        let now = clock.now_ms();
        match &event {
            None => {
                let (mut report, _) = self.so_far.take()?;
                report.ended_at_ms = now;
                self.inbox = None;
                return Some(CallEvent::Ended(Box::new(report)));
            }
            Some(CallEvent::Ended(_)) => {
                self.so_far = None;
                self.inbox = None;
            }
            Some(CallEvent::Accepted { sip_code }) => {
                so_far.sip_code = Some(*sip_code);
                so_far.accepted_at_ms = Some(now);
                so_far.end = CallEnd::TransportLost;
            }
            Some(CallEvent::Ringing) => so_far.ringing_at_ms = Some(now),
            Some(CallEvent::Answered { codec }) => {
                so_far.codec = Some(*codec);
                so_far.answered_at_ms = Some(now);
            }
            Some(CallEvent::CodeRead { .. }) => so_far.end = CallEnd::Delivered,
            Some(CallEvent::Dialled | CallEvent::KeyPressed | CallEvent::DigitSpoken { .. }) => {}
        }
        event
    }
}

/// The report of a call that starts now, and the clock of its times.
fn start() -> (CallReport, CallClock) {
    let report = CallReport::start();
    let clock = CallClock::of(&report);
    (report, clock)
}

impl Drop for CallEvents {
    fn drop(&mut self) {
        if let Some(inbox) = self.inbox.take() {
            inbox.post(Command::Abandon(self.call));
        }
    }
}

#[cfg(test)]
mod tests {
    use nexo_domain::call::Refusal;

    use super::*;
    use crate::audio::g711::Codec;

    async fn report_after(sent: &[CallEvent]) -> CallReport {
        let (sender, mut events) = CallEvents::channel();
        for event in sent {
            sender.send(event.clone()).unwrap();
        }
        drop(sender);
        for event in sent {
            assert_eq!(events.next().await.as_ref(), Some(event));
        }
        let Some(CallEvent::Ended(report)) = events.next().await else {
            panic!("no end");
        };
        assert_eq!(events.next().await, None, "the end is reported once");
        *report
    }

    #[tokio::test]
    async fn a_call_of_a_failed_endpoint_ends_by_its_last_event() {
        let accepted = CallEvent::Accepted { sip_code: 183 };
        let answered = CallEvent::Answered { codec: Codec::Pcmu };
        let read = CallEvent::CodeRead { reading: 0 };
        let report = report_after(&[]).await;
        let not_accepted = CallEnd::NotAccepted(Refusal::TransportLost);
        assert_eq!((report.end, report.sip_code), (not_accepted, None));
        let report = report_after(&[CallEvent::Dialled, accepted.clone()]).await;
        assert_eq!(report.end, CallEnd::TransportLost);
        assert_eq!(report.sip_code, Some(183));
        let report = report_after(&[accepted, answered, read]).await;
        assert_eq!(report.end, CallEnd::Delivered);
        assert_eq!(report.codec, Some(Codec::Pcmu));
        assert!(report.answered_at_ms.is_some() && report.ended_at_ms > 0);
    }

    #[tokio::test]
    async fn no_event_follows_the_end() {
        let (sender, mut events) = CallEvents::channel();
        let ended = CallEvent::Ended(Box::new(CallReport::start()));
        sender.send(ended.clone()).unwrap();
        drop(sender);
        assert_eq!(events.next().await, Some(ended));
        assert_eq!(events.next().await, None);
    }
}
