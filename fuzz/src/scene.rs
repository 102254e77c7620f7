//! A caller with an INVITE in progress, and the messages that reach it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nexo_voice::sip::message::header::Name;
use nexo_voice::sip::message::parse::{MAX_BYTES, MAX_HEADERS};
use nexo_voice::sip::message::{Message, Method, Request};
use nexo_voice::sip::user_agent::digest::Credentials;
use nexo_voice::sip::user_agent::transaction::Timers;
use nexo_voice::sip::user_agent::{CallHandle, Invite, UserAgent};

const GATEWAY: ([u8; 4], u16) = ([192, 0, 2, 1], 5060);
const STRANGER: ([u8; 4], u16) = ([198, 51, 100, 7], 5060);
const OFFER: &str = "v=0\r\no=nexo 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";

/// The identifiers of the caller's last requests. A valid response or request repeats them.
#[derive(Clone, Default, Debug)]
struct Identifiers {
    branch: String,
    invite_branch: String,
    cseq: u32,
    tag: String,
}

/// One call, and the events that reach it.
pub struct Scene {
    agent: UserAgent,
    call: CallHandle,
    now: Instant,
    last: Identifiers,
    requests: VecDeque<Request>,
}

impl Scene {
    /// A caller that has just sent its INVITE. The INVITE is the same in each run.
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
        let mut scene =
            Scene { agent, call, now, last: Identifiers::default(), requests: VecDeque::new() };
        scene.drain();
        scene
    }

    /// The next request that the caller sent.
    pub fn request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// Receives a datagram from the gateway, unchanged.
    pub fn receive(&mut self, datagram: &[u8]) {
        let from = SocketAddr::from(GATEWAY);
        self.agent.receive(self.now, from, datagram);
        self.drain();
    }

    /// Executes a record. The two lowest bits of its first byte select how much time passes before, the next two
    /// select the event. The rest is a datagram, in which `%B` stands for the branch of the last request, `%I` for
    /// the branch of the last INVITE, `%N` for the last CSeq and `%T` for the caller's tag.
    pub fn play(&mut self, record: &[u8]) {
        let Some((first, datagram)) = record.split_first() else {
            return;
        };
        let elapsed = match first & 3 {
            0 => Duration::ZERO,
            1 => Duration::from_millis(500),
            2 => Duration::from_secs(5),
            _ => Duration::from_secs(40),
        };
        self.now += elapsed;
        self.agent.tick(self.now);
        self.drain();
        let datagram = self.substitute(datagram);
        let from = match first >> 2 & 3 {
            1 => STRANGER,
            _ => GATEWAY,
        };
        self.agent.receive(self.now, SocketAddr::from(from), &datagram);
        self.drain();
        match first >> 2 & 3 {
            2 => self.agent.hang_up(self.now, self.call),
            3 => self.agent.transport_failed(self.now, self.call),
            _ => {}
        }
        self.drain();
    }

    /// Hangs up and lets time pass. The call must end in every case.
    pub fn end(mut self) {
        self.agent.hang_up(self.now, self.call);
        self.drain();
        // A call is kept for late responses for at most a few transaction timeouts.
        for _ in 0..10_000 {
            let Some(due) = self.agent.next_deadline() else {
                break;
            };
            self.now = self.now.max(due);
            self.agent.tick(self.now);
            self.drain();
        }
        assert_eq!(self.agent.legs(), 0, "the call is never removed");
    }

    fn substitute(&self, datagram: &[u8]) -> Vec<u8> {
        let mut filled = Vec::with_capacity(datagram.len() + 64);
        let mut rest = datagram;
        while let Some((byte, after)) = rest.split_first() {
            let value = match (byte, after.first()) {
                (b'%', Some(b'B')) => Some(self.last.branch.clone()),
                (b'%', Some(b'I')) => Some(self.last.invite_branch.clone()),
                (b'%', Some(b'N')) => Some(self.last.cseq.to_string()),
                (b'%', Some(b'T')) => Some(self.last.tag.clone()),
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

    /// Checks everything that is sent: the receiver must be able to parse it.
    fn drain(&mut self) {
        while let Some(transmit) = self.agent.poll_transmit() {
            match Message::parse(&transmit.bytes) {
                Ok(Message::Request(request)) => {
                    self.last.branch = branch(&request);
                    self.last.cseq = request.cseq();
                    self.last.tag = request.from_tag().expect("our tag").to_owned();
                    if request.method() == Method::Invite {
                        self.last.invite_branch = branch(&request);
                    }
                    self.requests.push_back(request);
                }
                Ok(Message::Response(_)) => {}
                // A response repeats fields of its request, and may exceed the limit.
                Err(_) if is_oversized(&transmit.bytes) => {}
                Err(error) => panic!("a sent message cannot be parsed: {error}"),
            }
        }
        while self.agent.poll_event().is_some() || self.agent.poll_outcome().is_some() {}
    }
}

fn branch(request: &Request) -> String {
    let via = request.via().expect("our Via");
    via.branch().expect("our branch").to_owned()
}

/// Whether a message exceeds the limits of a datagram or of the parser.
pub fn is_oversized(message: &[u8]) -> bool {
    let lines = message.iter().filter(|byte| **byte == b'\n').count();
    message.len() > MAX_BYTES || lines > MAX_HEADERS
}

/// All known header field names, for targets that read every field.
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
