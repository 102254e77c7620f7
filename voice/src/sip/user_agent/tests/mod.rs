use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::*;
use crate::sip::message::Response;
use crate::sip::message::header::Name;

mod answer;
mod authorization;
mod descriptions;
mod hang_up;
mod invite;
mod next_hop;
mod out_of_dialog;
mod reliable;
mod requests;
mod storm;

const GATEWAY: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9)), 5060);
const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5062);
const MS: Duration = Duration::from_millis(1);
const OURS: &str = "v=0\r\no=nexo 7 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
    m=audio 20000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n";

/// A user agent with one call, a far end controlled by the test, and a simulated clock.
struct Scene {
    ua: UserAgent,
    call: CallHandle,
    now: Instant,
    invite: Request,
}

fn request_of(bytes: &[u8]) -> Request {
    match Message::parse(bytes).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a response"),
    }
}

fn invite() -> Invite {
    Invite {
        call_id: "8f2e1c4d-1@nexo".into(),
        gateway: GATEWAY.into(),
        credentials: None,
        local: LOCAL,
        request_uri: "sip:+84981234567@192.0.2.9:5060".into(),
        from_uri: "sip:+842471234567@192.0.2.1".into(),
        to_uri: "sip:+84981234567@192.0.2.9".into(),
        fields: Vec::new(),
        sdp: OURS.into(),
        gateway_timeout: 2000 * MS,
    }
}

impl Scene {
    fn new() -> Scene {
        Scene::with_invite(invite())
    }

    fn with_invite(invite: Invite) -> Scene {
        let mut ua = UserAgent::new("test", Timers::default(), 1);
        ua.set_peers([GATEWAY.into()].into());
        let now = Instant::now();
        let call = ua.invite(now, invite);
        let sent = ua.poll_transmit().unwrap();
        assert_eq!(sent.to.address, GATEWAY);
        Scene { ua, call, now, invite: request_of(&sent.bytes) }
    }

    /// The gateway responds to the INVITE.
    fn answer(&mut self, code: u16, tag: &str) {
        let mut draft = Draft::response(&self.invite, code, tag, LOCAL);
        draft.field("Contact", "<sip:b@192.0.2.9:5070>");
        let bytes = draft.bytes();
        self.ua.receive(self.now, GATEWAY, &bytes);
    }

    /// The gateway responds to another request of ours.
    fn answer_to(&mut self, request: &Request, code: u16) {
        let bytes = Draft::response(request, code, "b", LOCAL).bytes();
        self.ua.receive(self.now, GATEWAY, &bytes);
    }

    /// The far end sends a request in the dialog with its tag `tag`.
    fn request(&mut self, method: &str, tag: &str) {
        let to_tag = self.invite.from_tag().unwrap();
        let text = format!(
            "{method} sip:nexo@192.0.2.1:5062 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;rport;branch=z9hG4bKfar\r\n\
             From: <sip:b@192.0.2.9>;tag={tag}\r\nTo: <sip:a@192.0.2.1>;tag={to_tag}\r\n\
             Call-ID: 8f2e1c4d-1@nexo\r\nCSeq: 9 {method}\r\n\r\n"
        );
        self.ua.receive(self.now, GATEWAY, text.as_bytes());
    }

    fn sent(&mut self) -> Vec<Request> {
        std::iter::from_fn(|| self.ua.poll_transmit()).map(|t| request_of(&t.bytes)).collect()
    }

    fn sent_methods(&mut self) -> Vec<Method> {
        self.sent().iter().map(Request::method).collect()
    }

    fn sent_code(&mut self) -> Option<u16> {
        let sent = self.ua.poll_transmit()?;
        match Message::parse(&sent.bytes).unwrap() {
            Message::Response(response) => Some(response.code()),
            Message::Request(_) => panic!("a request"),
        }
    }

    fn events(&mut self) -> Vec<SipEvent> {
        std::iter::from_fn(|| self.ua.poll_event())
            .map(|(call, event)| {
                assert_eq!(call, self.call);
                event
            })
            .collect()
    }

    /// Moves the clock to each deadline until `until` after now. Returns the requests sent, with their times in
    /// milliseconds.
    fn advance(&mut self, until: Duration) -> Vec<(u128, Method)> {
        let (start, end) = (self.now, self.now + until);
        let mut sent = Vec::new();
        while let Some(at) = self.ua.next_deadline().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.ua.tick(self.now);
            let when = (self.now - start).as_millis();
            sent.extend(self.sent_methods().into_iter().map(|m| (when, m)));
        }
        self.now = end;
        sent
    }

    /// The far end sends a request in the dialog with its tag `b`.
    fn request_in_dialog(&mut self, method: &str, cseq: u32, fields: &str, body: &str) {
        let to_tag = self.invite.from_tag().unwrap();
        let text = format!(
            "{method} sip:nexo@192.0.2.1:5062 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;rport;branch=z9hG4bK{cseq}\r\n\
             From: <sip:b@192.0.2.9>;tag=b\r\nTo: <sip:a@192.0.2.1>;tag={to_tag}\r\n\
             Call-ID: 8f2e1c4d-1@nexo\r\nCSeq: {cseq} {method}\r\n{fields}\r\n{body}"
        );
        self.ua.receive(self.now, GATEWAY, text.as_bytes());
    }

    fn answer_with(&mut self, code: u16, tag: &str, body: &str) {
        let mut draft = Draft::response(&self.invite, code, tag, LOCAL);
        if !body.is_empty() {
            draft.body("application/sdp", body.into());
        }
        self.ua.receive(self.now, GATEWAY, &draft.bytes());
    }

    fn answered() -> Scene {
        let mut scene = Scene::new();
        scene.answer(180, "b");
        scene.answer(200, "b");
        assert_eq!(scene.sent_methods(), [Method::Ack]);
        scene.events();
        scene
    }
}
