//! One call as the endpoint holds it: its machine, its audio, and what its report will say.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use nexo_domain::call::{Call, CallEnd, CallState};
use tokio::sync::mpsc;

use super::{CallNews, CallOrder, CallReport};
use crate::g711::Codec;
use crate::rtp::clock::{Playing, Reserved};
use crate::sip::sdp::Audio;

/// A call that has not been reported yet.
pub(super) struct LiveCall {
    /// The number by which its [`super::CallEvents`] know it.
    pub number: u64,
    pub machine: Call,
    pub order: Box<CallOrder>,
    pub stream: Reserved,
    /// The far end's audio, once it has answered.
    pub remote: Option<(Audio, Codec)>,
    /// The audio that is being sent.
    pub playing: Option<Playing>,
    pub report: CallReport,
    /// The deadline that the desk has noted.
    pub noted: Option<Instant>,
    news: mpsc::UnboundedSender<CallNews>,
}

impl LiveCall {
    pub fn new(
        number: u64,
        machine: Call,
        order: Box<CallOrder>,
        stream: Reserved,
        news: mpsc::UnboundedSender<CallNews>,
    ) -> LiveCall {
        LiveCall {
            number,
            machine,
            order,
            stream,
            remote: None,
            playing: None,
            report: CallReport::start(),
            noted: None,
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

    /// Takes the far end's answer: whether its audio can be used. The first of its codecs that was
    /// offered is.
    pub fn answered(&mut self, audio: Option<Audio>) -> bool {
        self.report.answered_at_ms = Some(unix_ms());
        let offered = &self.order.codecs;
        let usable = audio.and_then(|audio| {
            let codec = audio.codecs.iter().find(|codec| offered.contains(codec));
            codec.copied().map(|codec| (audio, codec))
        });
        self.report.codec = usable.as_ref().map(|(_, codec)| *codec);
        self.remote = usable;
        self.remote.is_some()
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
