//! What an endpoint is asked and what it tells: one call's order, its news, and its report.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nexo_domain::call::{CallEnd, CallLimits, Refusal};
use nexo_domain::otp::{Code, Reading};
use tokio::sync::mpsc;

use super::inbox::{Mailbox, Order};
use super::live_call::unix_ms;
use super::meters::CountedAs;
use super::trace::Trace;
use crate::audio::g711::Codec;
use crate::rtp::receive::quality::mean_opinion_score;
use crate::rtp::send::clock::StreamFigures;
use crate::sip::message::hop::Hop;
use crate::sip::user_agent::digest::Credentials;

/// Who calls, and how that is shown (RFC 3323, RFC 3325).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The number that is shown, or `anonymous`.
    pub number: String,
    /// What From holds instead of the number.
    pub from_user: Option<String>,
    /// The domain of From and of the asserted identity. `None`: our own address.
    pub domain: Option<String>,
    /// Whether P-Asserted-Identity holds the number.
    pub asserts_identity: bool,
    /// Whether the callee is kept from seeing the number.
    pub is_private: bool,
}

impl Caller {
    /// One that only shows a number.
    pub fn showing(number: &str) -> Caller {
        Caller {
            number: number.to_owned(),
            from_user: None,
            domain: None,
            asserts_identity: false,
            is_private: false,
        }
    }

    /// From's URI. RFC 3323 §4.1.1.3 for a caller who is not to be known, or has no number.
    pub(super) fn uri(&self, local: SocketAddr) -> String {
        let user = self.from_user.as_ref().unwrap_or(&self.number);
        match user.as_str() {
            _ if self.is_private => ANONYMOUS_URI.to_owned(),
            "anonymous" => ANONYMOUS_URI.to_owned(),
            user => format!("sip:{user}@{}", self.domain_of(local)),
        }
    }

    /// The header fields by which the gateway, and it alone, learns the number.
    pub(super) fn fields(&self, local: SocketAddr) -> Vec<(&'static str, String)> {
        let mut fields = Vec::new();
        if self.asserts_identity && self.number != "anonymous" {
            let (number, domain) = (&self.number, self.domain_of(local));
            fields.push(("P-Asserted-Identity", format!("<sip:{number}@{domain}>")));
        }
        if self.is_private {
            fields.push(("Privacy", "id".to_owned()));
        }
        fields
    }

    fn domain_of(&self, local: SocketAddr) -> String {
        match (&self.domain, local) {
            (Some(domain), _) => domain.clone(),
            (None, SocketAddr::V4(local)) => local.ip().to_string(),
            (None, SocketAddr::V6(local)) => format!("[{}]", local.ip()),
        }
    }
}

const ANONYMOUS_URI: &str = "sip:anonymous@anonymous.invalid";

/// A call to be placed. Deliberately without `Debug`: it holds a phone number.
pub struct CallOrder {
    /// Unique among all calls.
    pub call_id: String,
    /// Where its figures are counted.
    pub counted_as: CountedAs,
    pub gateway: Hop,
    /// Who we are to the gateway, should it ask.
    pub credentials: Option<Arc<Credentials>>,
    /// Host and port as they stand in SIP URIs.
    pub gateway_host: String,
    /// In the gateway's number format: digits with an optional leading plus.
    pub number: String,
    pub caller: Caller,
    /// What is offered, the preferred one first.
    pub codecs: Vec<Codec>,
    pub code: Code,
    pub reading: Reading,
    pub gateway_timeout: Duration,
    pub limits: CallLimits,
    /// Whether the audio must be protected: a far end that would not is hung up, and hears nothing.
    pub srtp: bool,
    /// How long a far end that has been heard may fall silent, RTCP included. 0: for ever.
    pub media_timeout: Duration,
    /// Whether every step is told. Otherwise only those by which the call's outcome is known, should the
    /// endpoint die: each one told wakes whoever follows the call.
    pub every_step: bool,
    /// Where the call's messages are told.
    pub trace: Option<Trace>,
    /// Who is asked, last of all, whether the INVITE may still be sent. `None`: nobody.
    pub permit: Option<Arc<dyn Permit>>,
}

/// Knows whether we may dial at this moment.
pub trait Permit: Send + Sync {
    fn may_dial(&self) -> bool;
}

/// News of a call. [`CallNews::Ended`] comes exactly once, and last.
#[derive(Clone, Debug, PartialEq)]
pub enum CallNews {
    /// The INVITE is on its way.
    Dialled,
    /// The carrier took the call, with this code.
    Accepted {
        sip_code: u16,
    },
    Ringing,
    Answered {
        codec: Codec,
    },
    /// The callee pressed a key. Which one is the callee's business.
    KeyPressed,
    /// A digit has been said; both count from 0.
    DigitSpoken {
        reading: u8,
        position: u8,
    },
    /// A reading has been said to its last digit.
    CodeRead {
        reading: u8,
    },
    /// Boxed, so that all other news are small.
    Ended(Box<CallReport>),
}

impl CallNews {
    /// Whether the call moves on by it: digits are too many to tell everybody.
    pub(super) fn is_decisive(&self) -> bool {
        match self {
            CallNews::Accepted { .. }
            | CallNews::Ringing
            | CallNews::Answered { .. }
            | CallNews::KeyPressed
            | CallNews::CodeRead { .. }
            | CallNews::Ended(_) => true,
            CallNews::Dialled | CallNews::DigitSpoken { .. } => false,
        }
    }
}

/// How good the audio was, both ways. From what the far end reported and what was received of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Of our packets so many were lost, from 0 to 1.
    pub loss: f64,
    /// Of our packets, as the far end saw it.
    pub jitter: Duration,
    /// The way there and back. `None`: the far end does not say.
    pub round_trip: Option<Duration>,
    /// What a listener would think of it, from 1 to 4.5 (ITU-T G.107).
    pub mos: f64,
}

impl Quality {
    /// `None` where the far end has reported nothing.
    pub(super) fn of(figures: &StreamFigures) -> Option<Quality> {
        let sent = figures.packets_sent.max(1) as f64;
        let loss = (f64::from(figures.packets_lost?) / sent).clamp(0.0, 1.0);
        let jitter = Duration::from_secs_f64(f64::from(figures.jitter?) / 8000.0);
        let round_trip = figures.round_trip;
        Some(Quality {
            loss,
            jitter,
            round_trip,
            mos: mean_opinion_score(loss, jitter, round_trip.unwrap_or_default()),
        })
    }
}

/// What became of a call. Times are Unix milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct CallReport {
    pub end: CallEnd,
    /// The last status code that the gateway sent for the INVITE.
    pub sip_code: Option<u16>,
    pub codec: Option<Codec>,
    pub packets_sent: u64,
    pub packets_received: u64,
    /// As the far end reported last, in 1/256.
    pub fraction_lost: Option<u8>,
    /// As the far end reported last, in timestamp units.
    pub jitter: Option<u32>,
    pub quality: Option<Quality>,
    /// Whether the audio was protected.
    pub is_protected: bool,
    pub started_at_ms: i64,
    pub accepted_at_ms: Option<i64>,
    pub ringing_at_ms: Option<i64>,
    pub answered_at_ms: Option<i64>,
    pub ended_at_ms: i64,
}

impl CallReport {
    /// The report of a call that starts now.
    pub(super) fn start() -> CallReport {
        CallReport {
            end: CallEnd::NotAccepted(Refusal::TransportLost),
            sip_code: None,
            codec: None,
            packets_sent: 0,
            packets_received: 0,
            fraction_lost: None,
            jitter: None,
            quality: None,
            is_protected: false,
            started_at_ms: unix_ms(),
            accepted_at_ms: None,
            ringing_at_ms: None,
            answered_at_ms: None,
            ended_at_ms: 0,
        }
    }
}

/// The news of one call. Dropping it gives the call up.
pub struct CallEvents {
    news: mpsc::UnboundedReceiver<CallNews>,
    /// What to report should the endpoint die with the call; `None` once the end was told.
    so_far: Option<CallReport>,
    call: u64,
    mailbox: Option<Arc<Mailbox>>,
}

impl CallEvents {
    /// A call's news and who tells them, for something other than an endpoint that places calls.
    /// Dropping the sender before the end loses the call.
    pub fn channel() -> (mpsc::UnboundedSender<CallNews>, CallEvents) {
        let (tell, news) = mpsc::unbounded_channel();
        let events = CallEvents {
            news,
            so_far: Some(CallReport::start()),
            call: 0,
            mailbox: None,
        };
        (tell, events)
    }

    /// The news of a call that `mailbox` was asked for by this number.
    pub(super) fn of(
        call: u64,
        news: mpsc::UnboundedReceiver<CallNews>,
        mailbox: Arc<Mailbox>,
    ) -> CallEvents {
        CallEvents {
            news,
            so_far: Some(CallReport::start()),
            call,
            mailbox: Some(mailbox),
        }
    }

    /// The next news. `None` after the end. When the endpoint dies, its calls end here, as the
    /// transport's loss ends a call.
    pub async fn next(&mut self) -> Option<CallNews> {
        let news = self.news.recv().await;
        let Some(so_far) = &mut self.so_far else {
            return news;
        };
        let now = unix_ms();
        match &news {
            None => {
                let mut report = self.so_far.take()?;
                report.ended_at_ms = now;
                self.mailbox = None;
                return Some(CallNews::Ended(Box::new(report)));
            }
            Some(CallNews::Ended(_)) => {
                self.so_far = None;
                self.mailbox = None;
            }
            Some(CallNews::Accepted { sip_code }) => {
                so_far.sip_code = Some(*sip_code);
                so_far.accepted_at_ms = Some(now);
                so_far.end = CallEnd::TransportLost;
            }
            Some(CallNews::Ringing) => so_far.ringing_at_ms = Some(now),
            Some(CallNews::Answered { codec }) => {
                so_far.codec = Some(*codec);
                so_far.answered_at_ms = Some(now);
            }
            Some(CallNews::CodeRead { .. }) => so_far.end = CallEnd::Delivered,
            Some(CallNews::Dialled | CallNews::KeyPressed | CallNews::DigitSpoken { .. }) => {}
        }
        news
    }
}

impl Drop for CallEvents {
    fn drop(&mut self) {
        if let Some(mailbox) = self.mailbox.take() {
            mailbox.post(Order::Abandon(self.call));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn end_after(told: &[CallNews]) -> CallReport {
        let (tell, mut events) = CallEvents::channel();
        for news in told {
            tell.send(news.clone()).unwrap();
        }
        drop(tell);
        for news in told {
            assert_eq!(events.next().await.as_ref(), Some(news));
        }
        let Some(CallNews::Ended(report)) = events.next().await else {
            panic!("no end");
        };
        assert_eq!(events.next().await, None, "the end comes once");
        *report
    }

    #[tokio::test]
    async fn a_call_whose_endpoint_dies_ends_as_far_as_it_came() {
        let accepted = CallNews::Accepted { sip_code: 183 };
        let answered = CallNews::Answered { codec: Codec::Pcmu };
        let read = CallNews::CodeRead { reading: 0 };
        let report = end_after(&[]).await;
        let not_accepted = CallEnd::NotAccepted(Refusal::TransportLost);
        assert_eq!((report.end, report.sip_code), (not_accepted, None));
        let report = end_after(&[CallNews::Dialled, accepted.clone()]).await;
        assert_eq!(report.end, CallEnd::TransportLost);
        assert_eq!(report.sip_code, Some(183));
        let report = end_after(&[accepted, answered, read]).await;
        assert_eq!(report.end, CallEnd::Delivered);
        assert_eq!(report.codec, Some(Codec::Pcmu));
        assert!(report.answered_at_ms.is_some() && report.ended_at_ms > 0);
    }

    #[tokio::test]
    async fn nothing_follows_the_end() {
        let (tell, mut events) = CallEvents::channel();
        let ended = CallNews::Ended(Box::new(CallReport::start()));
        tell.send(ended.clone()).unwrap();
        drop(tell);
        assert_eq!(events.next().await, Some(ended));
        assert_eq!(events.next().await, None);
    }
}
