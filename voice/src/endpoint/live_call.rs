//! One call as the endpoint holds it: its machine, its audio, and what its report will say.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use nexo_domain::call::{Call, CallEnd, CallState};
use tokio::sync::mpsc;

use super::call_events::Quality;
use super::meters::Tally;
use super::{CallNews, CallOrder, CallReport};
use crate::rtp::send::clock::{Moved, Playing, Reserved};
use crate::sip::sdp::sdp;
use crate::sip::sdp::sdp::{Agreed, Audio};

/// A call that has not been reported yet.
pub(super) struct LiveCall {
    /// The number by which its [`super::CallEvents`] know it.
    pub number: u64,
    pub machine: Call,
    pub order: Box<CallOrder>,
    pub stream: Reserved,
    /// Our audio, as it was offered.
    offer: Audio,
    /// What was agreed, once the far end has answered.
    pub agreed: Option<Agreed>,
    /// The audio that is being sent.
    pub playing: Option<Playing>,
    pub report: CallReport,
    /// The deadline that the desk has noted.
    pub noted: Option<Instant>,
    /// Where it is counted.
    pub tally: Tally,
    news: mpsc::UnboundedSender<CallNews>,
}

impl LiveCall {
    pub fn new(
        number: u64,
        machine: Call,
        order: Box<CallOrder>,
        stream: Reserved,
        offer: Audio,
        news: mpsc::UnboundedSender<CallNews>,
        tally: Tally,
    ) -> LiveCall {
        LiveCall {
            number,
            machine,
            order,
            stream,
            offer,
            agreed: None,
            playing: None,
            report: CallReport::start(),
            noted: None,
            tally,
            news,
        }
    }

    /// Tells whoever follows the call, if that is for them. Nobody may any more: dropping the news gives
    /// the call up.
    pub fn tell(&self, news: CallNews) {
        if self.order.every_step || news.is_decisive() {
            let _ = self.news.send(news);
        }
    }

    /// Tells that the call was accepted, by the answer noted last.
    pub fn accepted(&mut self) {
        self.report.accepted_at_ms = Some(unix_ms());
        let sip_code = self.report.sip_code.unwrap_or_default();
        self.tell(CallNews::Accepted { sip_code });
    }

    /// Tells of the first ringing.
    pub fn note_ringing(&mut self) {
        if self.machine.state() == CallState::Ringing && self.report.ringing_at_ms.is_none() {
            self.report.ringing_at_ms = Some(unix_ms());
            self.tell(CallNews::Ringing);
        }
    }

    /// Takes the far end's answer: whether its audio can be used.
    pub fn answered(&mut self, description: &[u8]) -> bool {
        self.report.answered_at_ms = Some(unix_ms());
        let agreed = sdp::agree(description, &self.offer);
        if let Err(error) = &agreed {
            tracing::debug!(call_id = self.order.call_id, %error, "the answer cannot be used");
        }
        self.agreed = agreed.ok();
        self.report.codec = self.agreed.as_ref().map(|agreed| agreed.codec);
        self.report.is_protected = self.agreed.as_ref().is_some_and(|a| a.keys.is_some());
        self.agreed.is_some()
    }

    /// Takes what the far end says of its audio in mid-call: how the stream goes on. A codec stays as
    /// it is while the far end takes it: what is being said is encoded in it.
    pub fn moved(&mut self, description: &[u8]) -> Option<Moved> {
        let playing = self.playing.as_ref()?;
        let before = self.agreed.as_ref()?;
        let own = Audio {
            codecs: vec![before.codec],
            ..self.offer.clone()
        };
        let agreed = match sdp::agree(description, &own) {
            Ok(agreed) => agreed,
            // An address of zeros: a hold. Another codec alone: nothing that could be sent.
            Err(_) => {
                playing.hold(true);
                return None;
            }
        };
        playing.hold(!agreed.direction.listens());
        let moved = Moved {
            remote: agreed.rtp,
            remote_rtcp: agreed.rtcp,
            codec: agreed.codec,
            telephone_event: agreed.telephone_event,
            their_key: agreed.keys.as_ref().map(|keys| keys.theirs.clone()),
        };
        self.agreed = Some(agreed);
        Some(moved)
    }

    /// Stops the audio and tells of the end, with what the stream came to.
    pub fn close(mut self, end: CallEnd) -> CallReport {
        let figures = self.playing.take().map(|playing| playing.figures());
        let figures = figures.unwrap_or_default();
        let report = CallReport {
            end,
            packets_sent: figures.packets_sent,
            packets_received: figures.packets_received,
            fraction_lost: figures.fraction_lost,
            jitter: figures.jitter,
            quality: Quality::of(&figures),
            ended_at_ms: unix_ms(),
            ..self.report.clone()
        };
        self.tell(CallNews::Ended(Box::new(report.clone())));
        report
    }
}

/// Milliseconds since 1970, UTC.
pub(super) fn unix_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}
