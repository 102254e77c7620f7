//! An active call of the endpoint: its state machine, its audio, and its report so far.

use std::net::IpAddr;
use std::time::Instant;

use nexo_domain::call::{Call, CallEnd, CallState};
use tokio::sync::mpsc;

use super::keys::KeyPresses;
use super::order::CallOrder;
use super::report::{CallClock, CallEvent, CallReport, Quality};
use crate::endpoint::meters::CallMetersId;
use crate::rtp::send::clock::{ReservedStream, StreamHandle, StreamUpdate};
use crate::sip::sdp::{self, Agreed, Audio, SdpError};

/// Whether audio can be sent, according to the far end's last description.
pub(crate) enum MediaPath {
    Ready,
    /// The far end holds the call, or has no address yet.
    Held,
    /// The address of this host must be looked up first.
    Unresolved {
        host: String,
        agreed: Box<Agreed>,
    },
}

/// A call that has not ended.
pub(crate) struct LiveCall {
    /// Identifies the call in [`Command::Abandon`](crate::endpoint::inbox::Command).
    pub number: u64,
    pub machine: Call,
    pub order: Box<CallOrder>,
    pub stream: ReservedStream,
    /// Our offer.
    offer: Audio,
    /// The result of the last offer and answer that can be used.
    pub agreed: Option<Agreed>,
    /// The result of a later one whose media host is being looked up.
    pub lookup: Option<Agreed>,
    /// Whether the far end holds the call, so that no audio is sent.
    pub is_held: bool,
    has_reported_answer: bool,
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
            lookup: None,
            is_held: false,
            has_reported_answer: false,
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

    /// Reports the answer, once it has a codec.
    pub fn check_answered(&mut self) {
        if let Some(codec) = self.report.codec.filter(|_| !self.has_reported_answer) {
            self.has_reported_answer = true;
            self.emit(CallEvent::Answered { codec });
        }
    }

    /// Notes the first ringing.
    pub fn check_ringing(&mut self) {
        if self.machine.state() == CallState::Ringing && self.report.ringing_at_ms.is_none() {
            self.report.ringing_at_ms = Some(self.clock.now_ms());
            self.emit(CallEvent::Ringing);
        }
    }

    /// Whether a description of a provisional response lets expect that no answer can be used: its SRTP keys are of a
    /// kind that we do not support. Everything else may differ in the answer.
    pub fn rejects_early(&self, description: &[u8]) -> Option<SdpError> {
        match sdp::agree(description, &self.offer) {
            Err(error @ SdpError::Crypto(_)) => Some(error),
            Ok(_) | Err(_) => None,
        }
    }

    /// Takes the answer.
    ///
    /// # Errors
    /// If its audio cannot be used.
    pub fn handle_answer(&mut self, description: &[u8]) -> Result<MediaPath, SdpError> {
        self.report.answered_at_ms = Some(self.clock.now_ms());
        match sdp::agree(description, &self.offer) {
            Ok(agreed) => Ok(self.adopt(agreed)),
            // A stream that is rejected now may be offered again.
            Err(SdpError::Rejected) => Ok(MediaPath::Held),
            Err(error) => Err(error),
        }
    }

    /// Takes a new description of the far end during the call. The codec and the SRTP suite stay: the current script is
    /// encoded in the one, and our key belongs to the other.
    pub fn handle_new_description(&mut self, description: &[u8]) -> MediaPath {
        let codecs = match (&self.playing, &self.agreed) {
            (Some(_), Some(before)) => vec![before.format.codec],
            (_, _) => self.offer.codecs.clone(),
        };
        let keys = self.agreed.as_ref().and_then(|before| before.srtp_keys.as_ref());
        let crypto = match keys {
            Some(keys) => self.offer.crypto.of_suite(keys.ours.suite()),
            None => self.offer.crypto.clone(),
        };
        let own = Audio { codecs, crypto, ..self.offer.clone() };
        match sdp::agree(description, &own) {
            Ok(agreed) => self.adopt(agreed),
            // Without a stream or the current codec nothing can be sent.
            Err(_) => {
                self.lookup = None;
                self.hold(true);
                MediaPath::Held
            }
        }
    }

    /// Whether the call waits for the address of this media host.
    pub fn awaits(&self, host: &str) -> bool {
        let awaited = self.lookup.as_ref().and_then(|agreed| agreed.host.as_deref());
        awaited == Some(host)
    }

    /// Takes the IP address of the media host that the call waits for.
    pub fn handle_media_host(&mut self, ip: IpAddr) -> Option<MediaPath> {
        let mut agreed = self.lookup.take()?;
        agreed.resolve(ip);
        Some(self.adopt(agreed))
    }

    /// Takes what the far end's description means for our audio.
    fn adopt(&mut self, agreed: Agreed) -> MediaPath {
        self.lookup = None;
        self.report.codec = Some(agreed.format.codec);
        self.report.is_protected = agreed.srtp_keys.is_some();
        if let Some(host) = agreed.host.clone() {
            self.hold(self.is_held || !agreed.direction.receives());
            return MediaPath::Unresolved { host, agreed: Box::new(agreed) };
        }
        let is_held = agreed.is_held();
        self.hold(is_held);
        // While the far end has no address, its last one is kept: nothing is sent to it.
        let before = self.agreed.as_ref();
        if agreed.has_address() || before.is_none_or(|before| !before.has_address()) {
            self.agreed = Some(agreed);
        }
        match is_held {
            true => MediaPath::Held,
            false => MediaPath::Ready,
        }
    }

    fn hold(&mut self, is_held: bool) {
        self.is_held = is_held;
        if let Some(playing) = &self.playing {
            playing.hold(is_held);
        }
    }

    /// What a playing stream must be told after a new description.
    pub fn stream_update(&self) -> Option<StreamUpdate> {
        let agreed = self.agreed.as_ref().filter(|_| self.playing.is_some())?;
        Some(StreamUpdate {
            remote: agreed.rtp,
            remote_rtcp: agreed.rtcp,
            format: agreed.format,
            event_types: agreed.event_types,
            their_key: agreed.srtp_keys.as_ref().map(|keys| keys.theirs.clone()),
        })
    }

    /// Records why the far end's media cannot be used, for the operator.
    pub fn reject_media(&mut self, error: &dyn std::fmt::Display) {
        let (call_id, gateway) = (&self.order.call_id, &self.order.gateway_host);
        tracing::warn!(call_id, gateway, %error, "the media of a call cannot be used");
        self.report.media_error = Some(error.to_string());
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
