//! What a leg may touch of its user agent while it takes a message or the time.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rand::RngExt;
use rand::rngs::StdRng;

use super::call::{CallHandle, Kind, SipAnswer, SipEvent, Transmit};
use super::dialog::Identity;
use super::digest::{Answer, Authorizer};
use super::transaction::Timers;
use crate::sip::message::hop::Hop;
use crate::sip::message::message::{Method, Response};

/// For the gateways that know us by a name and a password: by where they are and name.
pub(in crate::sip) type Authorizers = HashMap<(Hop, Arc<str>), Authorizer>;

/// What all legs of a user agent share.
pub(in crate::sip) struct Outbox {
    pub user_agent: String,
    pub timers: Timers,
    pub random: StdRng,
    pub transmits: VecDeque<Transmit>,
    pub events: VecDeque<(CallHandle, SipEvent)>,
    pub answers: VecDeque<(CallHandle, SipAnswer)>,
    pub authorizers: Authorizers,
    /// Our last address, as it is written: it hardly ever changes.
    pub written: Option<(SocketAddr, Arc<str>)>,
}

impl Outbox {
    pub fn outlet(&mut self, now: Instant, call: CallHandle) -> Outlet<'_> {
        Outlet {
            call,
            now,
            timers: self.timers,
            user_agent: &self.user_agent,
            transmits: &mut self.transmits,
            events: &mut self.events,
            answers: &mut self.answers,
            authorizers: &mut self.authorizers,
            written: &mut self.written,
            random: &mut self.random,
        }
    }

    /// A new tag.
    pub fn tag(&mut self) -> String {
        format!("{:016x}", self.random.random::<u64>())
    }
}

/// Where a leg puts what it sends and tells, and what it takes its randomness from.
pub(in crate::sip) struct Outlet<'a> {
    pub call: CallHandle,
    pub now: Instant,
    pub timers: Timers,
    /// The User-Agent header field.
    pub user_agent: &'a str,
    transmits: &'a mut VecDeque<Transmit>,
    events: &'a mut VecDeque<(CallHandle, SipEvent)>,
    answers: &'a mut VecDeque<(CallHandle, SipAnswer)>,
    authorizers: &'a mut Authorizers,
    written: &'a mut Option<(SocketAddr, Arc<str>)>,
    random: &'a mut StdRng,
}

impl Outlet<'_> {
    /// Sends a request for the first time.
    pub fn send(&mut self, to: Hop, method: Method, bytes: &Arc<[u8]>) {
        self.push(to, Kind::Request(method), bytes, false);
    }

    /// Sends the same request once more.
    pub fn send_again(&mut self, to: Hop, method: Method, bytes: &Arc<[u8]>) {
        self.push(to, Kind::Request(method), bytes, true);
    }

    /// Answers a request. Nothing is remembered of it, so that no answer counts as a repeated one.
    pub fn respond(&mut self, to: Hop, code: u16, bytes: &Arc<[u8]>) {
        self.push(to, Kind::Response(code), bytes, false);
    }

    fn push(&mut self, to: Hop, kind: Kind, bytes: &Arc<[u8]>, is_repeat: bool) {
        self.transmits.push_back(Transmit {
            to,
            bytes: Arc::clone(bytes),
            call: Some(self.call),
            kind,
            is_repeat,
        });
    }

    /// An address of ours, as it is written into messages.
    pub fn written(&mut self, local: SocketAddr) -> Arc<str> {
        match self.written {
            Some((known, written)) if *known == local => Arc::clone(written),
            _ => {
                let text: Arc<str> = local.to_string().into();
                *self.written = Some((local, Arc::clone(&text)));
                text
            }
        }
    }

    pub fn tell(&mut self, event: SipEvent) {
        self.events.push_back((self.call, event));
    }

    /// Tells what became of a question.
    pub fn reply(&mut self, answer: SipAnswer) {
        self.answers.push_back((self.call, answer));
    }

    /// The header fields that authorize a request to the gateway.
    pub fn authorize(
        &mut self,
        identity: &Identity,
        method: Method,
        uri: &str,
        body: &[u8],
    ) -> Vec<Answer> {
        match self.authorizer(identity) {
            Some(authorizer) => authorizer.authorize(method, uri, body),
            None => Vec::new(),
        }
    }

    /// Takes a 401 or 407 of the gateway: whether its challenge can be answered, and is about an old
    /// nonce only. `None` where it cannot.
    pub fn challenged(&mut self, identity: &Identity, response: &Response) -> Option<bool> {
        self.authorizer(identity)?;
        let (credentials, gateway) = (identity.credentials.as_ref()?, identity.gateway);
        let key = (gateway, Arc::clone(&credentials.username));
        let authorizer = self.authorizers.get_mut(&key)?;
        authorizer.challenged(response, self.random).ok()
    }

    fn authorizer(&mut self, identity: &Identity) -> Option<&mut Authorizer> {
        let credentials = identity.credentials.as_ref()?;
        let key = (identity.gateway, Arc::clone(&credentials.username));
        let fresh = || Authorizer::new(Arc::clone(credentials));
        let authorizer = self.authorizers.entry(key).or_insert_with(fresh);
        if !authorizer.is_for(credentials) {
            *authorizer = fresh();
        }
        Some(authorizer)
    }

    /// A new branch. RFC 3261 §8.1.1.7: the cookie says that it is unique.
    pub fn branch(&mut self) -> String {
        format!("z9hG4bK{:016x}", self.random.random::<u64>())
    }
}
