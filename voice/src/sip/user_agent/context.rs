//! The part of the user agent that a leg uses while it handles a message or a timer.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use nexo_domain::call::WeakChallenge;
use rand::RngExt;
use rand::rngs::StdRng;

use super::call::{CallHandle, MessageKind, RequestOutcome, SipEvent, Transmit};
use super::dialog::Identity;
use super::digest::{AnsweredRealms, AuthField, Authorizer, DigestError};
use super::next_hop::{Lookups, NextHop};
use super::transaction::Timers;
use crate::sip::message::hop::Hop;
use crate::sip::message::{Method, Response};

/// The authorizer for each gateway and username.
pub(super) type Authorizers = HashMap<(Hop, Arc<str>), Authorizer>;

/// The state that all legs of a user agent share.
pub(super) struct SharedState {
    pub user_agent: String,
    pub timers: Timers,
    pub random: StdRng,
    pub transmits: VecDeque<Transmit>,
    pub events: VecDeque<(CallHandle, SipEvent)>,
    pub outcomes: VecDeque<(CallHandle, RequestOutcome)>,
    pub authorizers: Authorizers,
    pub lookups: Lookups,
    /// The last local address as text. It rarely changes.
    pub local_text: Option<(SocketAddr, Arc<str>)>,
}

impl SharedState {
    pub fn context(&mut self, now: Instant, call: CallHandle) -> Context<'_> {
        Context {
            call,
            now,
            timers: self.timers,
            user_agent: &self.user_agent,
            transmits: &mut self.transmits,
            events: &mut self.events,
            outcomes: &mut self.outcomes,
            authorizers: &mut self.authorizers,
            lookups: &mut self.lookups,
            local_text: &mut self.local_text,
            random: &mut self.random,
        }
    }

    /// A new tag.
    pub fn tag(&mut self) -> String {
        format!("{:016x}", self.random.random::<u64>())
    }
}

/// The output queues, the time, the random generator and the authorizers, for one call or request.
pub(super) struct Context<'a> {
    pub call: CallHandle,
    pub now: Instant,
    pub timers: Timers,
    /// The value of the User-Agent field.
    pub user_agent: &'a str,
    transmits: &'a mut VecDeque<Transmit>,
    events: &'a mut VecDeque<(CallHandle, SipEvent)>,
    outcomes: &'a mut VecDeque<(CallHandle, RequestOutcome)>,
    authorizers: &'a mut Authorizers,
    lookups: &'a mut Lookups,
    local_text: &'a mut Option<(SocketAddr, Arc<str>)>,
    random: &'a mut StdRng,
}

impl Context<'_> {
    /// Sends a request.
    pub fn send(&mut self, to: impl Into<NextHop>, method: Method, bytes: &Arc<[u8]>) {
        self.push(to.into(), MessageKind::Request(method), bytes, false);
    }

    /// Sends the same request again.
    pub fn retransmit(&mut self, to: impl Into<NextHop>, method: Method, bytes: &Arc<[u8]>) {
        self.push(to.into(), MessageKind::Request(method), bytes, true);
    }

    /// Sends a response. It never counts as a retransmission, because sent responses are not tracked.
    pub fn respond(&mut self, to: Hop, code: u16, bytes: &Arc<[u8]>) {
        self.push(to.into(), MessageKind::Response(code), bytes, false);
    }

    /// Sends a message, or keeps it until its destination is resolved.
    fn push(&mut self, to: NextHop, kind: MessageKind, bytes: &Arc<[u8]>, is_retransmission: bool) {
        let transmit = Transmit {
            to: to.hop(),
            bytes: Arc::clone(bytes),
            call: Some(self.call),
            kind,
            is_retransmission,
        };
        let now = match to.unresolved() {
            Some(name) => self.lookups.hold(name, transmit, self.now),
            None => Some(transmit),
        };
        self.transmits.extend(now);
    }

    /// The local address as text.
    pub fn local_text(&mut self, local: SocketAddr) -> Arc<str> {
        match self.local_text {
            Some((known, text)) if *known == local => Arc::clone(text),
            _ => {
                let text: Arc<str> = local.to_string().into();
                *self.local_text = Some((local, Arc::clone(&text)));
                text
            }
        }
    }

    /// Emits an event of the call.
    pub fn emit(&mut self, event: SipEvent) {
        self.events.push_back((self.call, event));
    }

    /// Emits the outcome of the request.
    pub fn emit_outcome(&mut self, outcome: RequestOutcome) {
        self.outcomes.push_back((self.call, outcome));
    }

    /// The header fields that authorize a request to the gateway.
    pub fn authorize(
        &mut self,
        identity: &Identity,
        method: Method,
        uri: &str,
        body: &[u8],
    ) -> Vec<AuthField> {
        match authorizer(self.authorizers, identity) {
            Some(authorizer) => authorizer.authorize(method, uri, body),
            None => Vec::new(),
        }
    }

    /// Takes a 401 or 407 to a request that was authorized for the realms in `answered`. Returns whether to send the
    /// request again: not after other responses, and not if its credentials were refused.
    ///
    /// # Errors
    /// If the challenge is weaker than the configuration requires.
    pub fn handle_challenge(
        &mut self,
        identity: &Identity,
        response: &Response,
        answered: &mut AnsweredRealms,
    ) -> Result<bool, WeakChallenge> {
        let authorizer = authorizer(self.authorizers, identity);
        let Some(authorizer) = authorizer.filter(|_| matches!(response.code(), 401 | 407)) else {
            return Ok(false);
        };
        match authorizer.handle_challenge(response, answered, self.random) {
            Ok(()) => Ok(true),
            Err(DigestError::TooWeak { offered, required }) => Err(WeakChallenge {
                code: response.code(),
                offered: offered.name(),
                required: required.name(),
            }),
            Err(DigestError::Unsupported | DigestError::OtherRealm | DigestError::Refused) => {
                Ok(false)
            }
        }
    }

    /// A new branch, with the cookie of RFC 3261 §8.1.1.7.
    pub fn branch(&mut self) -> String {
        format!("z9hG4bK{:016x}", self.random.random::<u64>())
    }
}

/// The authorizer of a gateway for our current credentials there. `None`: we have none.
fn authorizer<'a>(
    authorizers: &'a mut Authorizers,
    identity: &Identity,
) -> Option<&'a mut Authorizer> {
    let credentials = identity.credentials.as_ref()?;
    let key = (identity.gateway, Arc::clone(&credentials.username));
    let new = || Authorizer::new(Arc::clone(credentials));
    let authorizer = authorizers.entry(key).or_insert_with(new);
    if !authorizer.is_for(credentials) {
        *authorizer = new();
    }
    Some(authorizer)
}
