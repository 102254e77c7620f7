//! An active call of the endpoint: its state machine, its audio, and its report so far.

use std::time::Instant;

use nexo_domain::call::{Call, CallEnd, CallState};
use tokio::sync::mpsc;

use super::keys::KeyPresses;
use super::order::CallOrder;
use super::report::{CallClock, CallEvent, CallReport, Quality};
use crate::endpoint::meters::CallMetersId;
use crate::rtp::send::clock::{ReservedStream, StreamHandle, StreamUpdate};
use crate::sip::sdp::{self, Agreed, Audio};

/// A call that has not ended.
pub(crate) struct LiveCall {
    /// Identifies the call in [`Command::Abandon`](crate::endpoint::inbox::Command).
    pub number: u64,
    pub machine: Call,
    pub order: Box<CallOrder>,
    pub stream: ReservedStream,
    /// Our offer.
    offer: Audio,
    /// The result of the offer, after the answer.
    pub agreed: Option<Agreed>,
    /// Whether the far end holds the call, so that no audio is sent.
    pub is_held: bool,
    /// The keys that the callee has pressed.
    pub keys: KeyPresses,
    /// The audio stream, once it has started.
    pub playing: Option<StreamHandle>,
    pub report: CallReport,
    pub clock: CallClock,
    /// The deadline that the event loop has scheduled.
    pub scheduled: Option<Instant>,
    pub meters_id: CallMetersId,
    events: mpsc::UnboundedSender<CallEvent>,
}

impl LiveCall {
    pub fn new(
        number: u64,
        machine: Call,
        order: Box<CallOrder>,
        stream: ReservedStream,
        offer: Audio,
        events: mpsc::UnboundedSender<CallEvent>,
        meters_id: CallMetersId,
    ) -> LiveCall {
        let report = CallReport::start();
        LiveCall {
            clock: CallClock::of(&report),
            report,
            number,
            machine,
            order,
            stream,
            offer,
            agreed: None,
            is_held: false,
            keys: KeyPresses::default(),
            playing: None,
            scheduled: None,
            meters_id,
            events,
        }
    }

    /// Delivers an event, if the order asks for it.
    pub fn emit(&self, event: CallEvent) {
        if self.order.wants_all_events || event.is_decisive() {
            // Without a receiver, the call is being abandoned.
            let _ = self.events.send(event);
        }
    }

    /// Notes that the call was accepted by the last response.
    pub fn accepted(&mut self) {
        self.report.accepted_at_ms = Some(self.clock.now_ms());
        let sip_code = self.report.sip_code.unwrap_or_default();
        self.emit(CallEvent::Accepted { sip_code });
    }

    /// Notes the first ringing.
    pub fn check_ringing(&mut self) {
        if self.machine.state() == CallState::Ringing && self.report.ringing_at_ms.is_none() {
            self.report.ringing_at_ms = Some(self.clock.now_ms());
            self.emit(CallEvent::Ringing);
        }
    }

    /// Takes the answer. Returns whether its audio can be used.
    pub fn handle_answer(&mut self, description: &[u8]) -> bool {
        self.report.answered_at_ms = Some(self.clock.now_ms());
        let agreed = sdp::agree(description, &self.offer);
        if let Err(error) = &agreed {
            tracing::debug!(call_id = self.order.call_id, %error, "the SDP answer cannot be used");
        }
        self.agreed = agreed.ok();
        self.is_held = self.agreed.as_ref().is_some_and(|agreed| !agreed.direction.receives());
        self.report.codec = self.agreed.as_ref().map(|agreed| agreed.codec);
        self.report.is_protected = self.agreed.as_ref().is_some_and(|a| a.srtp_keys.is_some());
        self.agreed.is_some()
    }

    /// Takes a new description of the far end during the call. Returns the new destination of the stream. The
    /// codec stays as long as the far end accepts it: the current script is encoded in it.
    pub fn handle_new_description(&mut self, description: &[u8]) -> Option<StreamUpdate> {
        let playing = self.playing.as_ref()?;
        let before = self.agreed.as_ref()?;
        let own = Audio { codecs: vec![before.codec], ..self.offer.clone() };
        let agreed = match sdp::agree(description, &own) {
            Ok(agreed) => agreed,
            // The address 0.0.0.0 is a hold. Without the current codec nothing can be sent.
            Err(_) => {
                playing.hold(true);
                self.is_held = true;
                return None;
            }
        };
        self.is_held = !agreed.direction.receives();
        playing.hold(self.is_held);
        let moved = StreamUpdate {
            remote: agreed.rtp,
            remote_rtcp: agreed.rtcp,
            codec: agreed.codec,
            event_types: agreed.event_types,
            their_key: agreed.srtp_keys.as_ref().map(|keys| keys.theirs.clone()),
        };
        self.agreed = Some(agreed);
        Some(moved)
    }

    /// Stops the audio, and emits and returns the report.
    pub fn finish(mut self, end: CallEnd) -> CallReport {
        let figures = self.playing.take().map(|playing| playing.stats());
        let figures = figures.unwrap_or_default();
        let report = CallReport {
            end,
            packets_sent: figures.packets_sent,
            packets_received: figures.packets_received,
            fraction_lost: figures.fraction_lost,
            jitter: figures.jitter,
            quality: Quality::from_figures(&figures),
            ended_at_ms: self.clock.now_ms(),
            ..self.report.clone()
        };
        self.emit(CallEvent::Ended(Box::new(report.clone())));
        report
    }
}
