//! What the targets share: a caller with an INVITE under way, and what comes to it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nexo_voice::sip::user_agent::digest::Credentials;
use nexo_voice::sip::message::header::Name;
use nexo_voice::sip::message::message::{Message, Method, Request};
use nexo_voice::sip::message::parse::{MAX_BYTES, MAX_HEADERS};
use nexo_voice::sip::user_agent::transaction::Timers;
use nexo_voice::sip::user_agent::{CallHandle, Invite, UserAgent};

const GATEWAY: ([u8; 4], u16) = ([192, 0, 2, 1], 5060);
const STRANGER: ([u8; 4], u16) = ([198, 51, 100, 7], 5060);
const OFFER: &str = "v=0\r\no=nexo 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";

/// What the caller has said last, which a far end that wants to be taken seriously repeats.
#[derive(Clone, Default, Debug)]
struct Said {
    branch: String,
    invite_branch: String,
    cseq: u32,
    tag: String,
}

/// One call, and whatever is done to it.
pub struct Scene {
    agent: UserAgent,
    call: CallHandle,
    now: Instant,
    said: Said,
    requests: VecDeque<Request>,
}

impl Scene {
    /// A caller that has just sent its INVITE. It is the same each time.
    pub fn start(now: Instant) -> Scene {
        let mut agent = UserAgent::new("fuzz", Timers::default(), 1);
        agent.set_peers([SocketAddr::from(GATEWAY).into()].into());
        let invite = Invite {
            call_id: "c@nexo".into(),
            gateway: SocketAddr::from(GATEWAY).into(),
            credentials: Some(Arc::new(Credentials::new("user", "secret", None))),
            local: ([192, 0, 2, 9], 5062).into(),
            request_uri: "sip:+84981234567@gw".into(),
            from_uri: "sip:+842471234567@gw".into(),
            to_uri: "sip:+84981234567@gw".into(),
            fields: Vec::new(),
            sdp: OFFER.into(),
            gateway_timeout: Duration::from_secs(4),
        };
        let call = agent.invite(now, invite);
        let mut scene = Scene {
            agent,
            call,
            now,
            said: Said::default(),
            requests: VecDeque::new(),
        };
        scene.drain();
        scene
    }

    /// The next request that was sent.
    pub fn request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// Takes a datagram of the gateway's, as it is.
    pub fn receive(&mut self, datagram: &[u8]) {
        let from = SocketAddr::from(GATEWAY);
        self.agent.receive(self.now, from, datagram);
        self.drain();
    }

    /// Does what a record says. Its first byte tells how much time passes before (the two lowest bits)
    /// and what happens (the next two); the rest is a datagram, in which `%B` is the branch of the last
    /// request, `%I` that of the last INVITE, `%N` the last number and `%T` the caller's tag.
    pub fn play(&mut self, record: &[u8]) {
        let Some((first, datagram)) = record.split_first() else {
            return;
        };
        let passes = match first & 3 {
            0 => Duration::ZERO,
            1 => Duration::from_millis(500),
            2 => Duration::from_secs(5),
            _ => Duration::from_secs(40),
        };
        self.now += passes;
        self.agent.tick(self.now);
        self.drain();
        let datagram = self.filled_in(datagram);
        let from = match first >> 2 & 3 {
            1 => STRANGER,
            _ => GATEWAY,
        };
        self.agent
            .receive(self.now, SocketAddr::from(from), &datagram);
        self.drain();
        match first >> 2 & 3 {
            2 => self.agent.hang_up(self.now, self.call),
            3 => self.agent.transport_failed(self.now, self.call),
            _ => {}
        }
        self.drain();
    }

    /// Lets the call go, and all of its time pass: whatever was done to it, it ends.
    pub fn end(mut self) {
        self.agent.hang_up(self.now, self.call);
        self.drain();
        // A call is kept for a last answer at most a few times the patience of its transactions.
        for _ in 0..10_000 {
            let Some(due) = self.agent.next_deadline() else {
                break;
            };
            self.now = self.now.max(due);
            self.agent.tick(self.now);
            self.drain();
        }
        assert_eq!(self.agent.legs(), 0, "the call is kept for ever");
    }

    fn filled_in(&self, datagram: &[u8]) -> Vec<u8> {
        let mut filled = Vec::with_capacity(datagram.len() + 64);
        let mut rest = datagram;
        while let Some((byte, after)) = rest.split_first() {
            let value = match (byte, after.first()) {
                (b'%', Some(b'B')) => Some(self.said.branch.clone()),
                (b'%', Some(b'I')) => Some(self.said.invite_branch.clone()),
                (b'%', Some(b'N')) => Some(self.said.cseq.to_string()),
                (b'%', Some(b'T')) => Some(self.said.tag.clone()),
                _ => None,
            };
            match value {
                Some(value) => {
                    filled.extend_from_slice(value.as_bytes());
                    rest = after.get(1..).unwrap_or_default();
                }
                None => {
                    filled.push(*byte);
                    rest = after;
                }
            }
        }
        filled
    }

    /// Looks at all that is sent: whoever gets it must be able to read it.
    fn drain(&mut self) {
        while let Some(transmit) = self.agent.poll_transmit() {
            match Message::parse(&transmit.bytes) {
                Ok(Message::Request(request)) => {
                    self.said.branch = branch(&request);
                    self.said.cseq = request.cseq();
                    self.said.tag = request.from_tag().expect("a tag of ours").to_owned();
                    if request.method() == Method::Invite {
                        self.said.invite_branch = branch(&request);
                    }
                    self.requests.push_back(request);
                }
                Ok(Message::Response(_)) => {}
                // An answer repeats what it answers, and may come to be longer than that.
                Err(_) if is_oversized(&transmit.bytes) => {}
                Err(error) => panic!("what was sent cannot be read: {error}"),
            }
        }
        while self.agent.poll_event().is_some() || self.agent.poll_answer().is_some() {}
    }
}

fn branch(request: &Request) -> String {
    let via = request.via().expect("a hop of ours");
    via.branch().expect("a branch of ours").to_owned()
}

/// Whether a message is beyond what a datagram, or the reader, has room for.
pub fn is_oversized(message: &[u8]) -> bool {
    let lines = message.iter().filter(|byte| **byte == b'\n').count();
    message.len() > MAX_BYTES || lines > MAX_HEADERS
}

/// Every name of a field that is known, for those who look at all fields.
pub const NAMES: [Name; 18] = [
    Name::Via,
    Name::From,
    Name::To,
    Name::CallId,
    Name::CSeq,
    Name::Contact,
    Name::RecordRoute,
    Name::Route,
    Name::ContentLength,
    Name::ContentType,
    Name::MaxForwards,
    Name::RetryAfter,
    Name::Require,
    Name::Supported,
    Name::Allow,
    Name::WwwAuthenticate,
    Name::ProxyAuthenticate,
    Name::Other,
];
