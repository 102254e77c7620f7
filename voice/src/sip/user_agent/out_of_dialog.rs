//! A request of ours outside of any call, OPTIONS or REGISTER: sent, sent again, authorized once where
//! that is asked for, and answered or given up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::SipAnswer;
use super::context::Outlet;
use super::dialog::{self, Identity};
use super::digest::Credentials;
use super::transaction::{RequestState, RequestTransaction};
use crate::sip::message::header::{Name, NameAddr, param};
use crate::sip::message::hop::Hop;
use crate::sip::message::message::{Method, Response};
use crate::sip::message::write::Draft;

/// What is asked. Every URI is a whole `sip:` URI without brackets.
#[derive(Clone, Debug)]
pub struct Query {
    pub ask: Ask,
    pub call_id: String,
    /// The number of the first request; one that is authorized has the next.
    pub cseq: u32,
    pub gateway: Hop,
    pub credentials: Option<Arc<Credentials>>,
    /// Our address as the gateway is to see it.
    pub local: std::net::SocketAddr,
    pub request_uri: String,
    pub from_uri: String,
    pub to_uri: String,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// The kinds of questions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    /// Whether anybody is there (RFC 3261 §11).
    Options,
    /// To be reached as `user` for so long (§10.2); 0 s ends it.
    Register { user: String, expires_seconds: u32 },
}

impl Ask {
    fn method(&self) -> Method {
        match self {
            Ask::Options => Method::Options,
            Ask::Register { .. } => Method::Register,
        }
    }
}

/// A question on its way.
#[derive(Debug)]
pub(in crate::sip) struct Asking {
    identity: Identity,
    ask: Ask,
    request_uri: String,
    cseq: u32,
    transaction: RequestTransaction,
    sent_at: Instant,
    give_up: Instant,
    /// Challenges that were answered: a second one is taken only for an old nonce.
    challenges: u8,
    is_over: bool,
}

impl Asking {
    pub fn start(query: Query, local_tag: String, out: &mut Outlet<'_>) -> Asking {
        let identity = Identity {
            call_id: query.call_id.into(),
            from_uri: query.from_uri,
            to_uri: query.to_uri,
            local_tag,
            local: out.written(query.local),
            gateway: query.gateway,
            credentials: query.credentials,
        };
        let (ask, request_uri) = (query.ask, query.request_uri);
        let transaction = send(&identity, &ask, &request_uri, query.cseq, out);
        Asking {
            identity,
            ask,
            request_uri,
            cseq: query.cseq,
            transaction,
            sent_at: out.now,
            give_up: out.now + query.timeout,
            challenges: 0,
            is_over: false,
        }
    }

    pub fn call_id(&self) -> &Arc<str> {
        &self.identity.call_id
    }

    /// Whether an answer from there may be to this.
    pub fn expects(&self, from: Hop) -> bool {
        self.identity.gateway.canonical() == from.canonical()
    }

    /// Takes an answer: whether it is to this question.
    pub fn answered(&mut self, response: &Response, out: &mut Outlet<'_>) -> bool {
        let branch = response.via().and_then(|via| via.branch());
        if branch != Some(&self.transaction.branch) || self.is_over {
            return false;
        }
        let code = response.code();
        if !self.transaction.answered(code, out.now, out.timers) {
            return true;
        }
        if matches!(code, 401 | 407) && self.answer_challenge(response, out) {
            return true;
        }
        self.is_over = true;
        out.reply(SipAnswer::Answered {
            code,
            cseq: self.cseq,
            round_trip: out.now.saturating_duration_since(self.sent_at),
            expires_seconds: self.granted(response),
            min_expires_seconds: seconds(response.named("Min-Expires")),
            retry_after_seconds: response.retry_after_seconds(),
        });
        true
    }

    fn answer_challenge(&mut self, response: &Response, out: &mut Outlet<'_>) -> bool {
        let Some(is_stale) = out.challenged(&self.identity, response) else {
            return false;
        };
        if self.challenges > u8::from(is_stale) {
            return false;
        }
        self.challenges += 1;
        self.cseq += 1;
        let (identity, uri) = (&self.identity, &self.request_uri);
        self.transaction = send(identity, &self.ask, uri, self.cseq, out);
        self.sent_at = out.now;
        true
    }

    /// For how long we are registered (§10.2.4): what our own Contact says, else the whole answer.
    fn granted(&self, response: &Response) -> Option<u32> {
        let Ask::Register {
            user,
            expires_seconds,
        } = &self.ask
        else {
            return None;
        };
        let ours = dialog::contact(user, &self.identity.local, self.identity.gateway.transport);
        let ours = NameAddr::parse(&ours).map(|ours| ours.uri.to_owned());
        let contacts = || response.values(Name::Contact);
        let same = |contact: &&str| {
            let uri = NameAddr::parse(contact).map(|contact| contact.uri.to_owned());
            uri.is_some() && uri == ours
        };
        // A proxy in between may have rewritten it; where there is only one, it is ours.
        let own = contacts()
            .find(same)
            .or_else(|| contacts().next().filter(|_| contacts().count() == 1));
        let parameter = own.and_then(|own| {
            let params = own.rsplit_once('>').map_or(own, |(_, params)| params);
            seconds(param(params.trim_start_matches(';'), "expires"))
        });
        parameter
            .or_else(|| seconds(response.named("Expires")))
            .or(Some(*expires_seconds))
    }

    /// It could not be sent.
    pub fn transport_failed(&mut self, out: &mut Outlet<'_>) {
        if !self.is_over {
            self.is_over = true;
            out.reply(SipAnswer::TransportFailed { cseq: self.cseq });
        }
    }

    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// When [`Asking::tick`] is due.
    pub fn deadline(&self) -> Instant {
        let timers = self.transaction.deadline();
        timers.map_or(self.give_up, |timer| timer.min(self.give_up))
    }

    /// Takes the time.
    pub fn tick(&mut self, out: &mut Outlet<'_>) {
        let again = self.transaction.tick(out.now, out.timers);
        let is_dead = self.transaction.state == RequestState::Terminated;
        if is_dead || self.give_up <= out.now {
            self.is_over = true;
            out.reply(SipAnswer::Silent { cseq: self.cseq });
        } else if let Some(bytes) = again {
            out.send_again(self.identity.gateway, self.ask.method(), &bytes);
        }
    }
}

fn seconds(value: Option<&str>) -> Option<u32> {
    let digits = value?.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn send(
    identity: &Identity,
    ask: &Ask,
    request_uri: &str,
    cseq: u32,
    out: &mut Outlet<'_>,
) -> RequestTransaction {
    let (method, branch) = (ask.method(), out.branch());
    let (local, transport) = (identity.local.as_ref(), identity.gateway.transport);
    let mut draft = Draft::request(method, request_uri);
    dialog::via(&mut draft, local, transport, &branch);
    draft
        .field("Max-Forwards", 70)
        .field(
            "From",
            format_args!("<{}>;tag={}", identity.from_uri, identity.local_tag),
        )
        .field("To", format_args!("<{}>", identity.to_uri))
        .field("Call-ID", &identity.call_id)
        .field("CSeq", format_args!("{cseq} {}", method.name()));
    match ask {
        Ask::Options => draft
            .field("Contact", dialog::contact(dialog::USER, local, transport))
            .field("Accept", "application/sdp"),
        Ask::Register {
            user,
            expires_seconds,
        } => draft
            .field("Contact", dialog::contact(user, local, transport))
            .field("Expires", expires_seconds),
    };
    draft.field("User-Agent", out.user_agent);
    for (name, value) in out.authorize(identity, method, request_uri, b"") {
        draft.field(name, value);
    }
    let bytes: Arc<[u8]> = draft.bytes().into();
    out.send(identity.gateway, method, &bytes);
    RequestTransaction::start(out.now, branch, bytes, transport, out.timers)
}
