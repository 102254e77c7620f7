//! A callee with a scripted caller and a simulated clock.

mod ending;
mod inviting;

use std::net::Ipv4Addr;

use super::*;

const RING: Duration = Duration::from_millis(800);
const MEDIA_PORT: u16 = 30_000;

/// A callee, a scripted caller and a simulated clock.
struct Fixture {
    callee: Callee,
    start: Instant,
    now: Instant,
    caller: SocketAddr,
    callee_address: SocketAddr,
    tag: String,
    /// Start lines and CSeq methods of the messages that the callee sent, with the time in ms.
    sent: Vec<(u128, String)>,
    last_message: String,
    ended: Vec<EndedCall>,
    events: Vec<SandboxEvent>,
}

impl Fixture {
    fn new() -> Fixture {
        let now = Instant::now();
        Fixture {
            callee: Callee::new(RING, 1),
            start: now,
            now,
            caller: (Ipv4Addr::LOCALHOST, 5062).into(),
            callee_address: (Ipv4Addr::LOCALHOST, 5060).into(),
            tag: String::new(),
            sent: Vec::new(),
            last_message: String::new(),
            ended: Vec::new(),
            events: Vec::new(),
        }
    }

    fn text(&self, method: &str, branch: &str, cseq: u32, user: &str) -> String {
        let body = match method {
            "INVITE" => {
                "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                 m=audio 20000 RTP/AVP 8 0\r\n"
            }
            _ => "",
        };
        let to_tag = match self.tag.as_str() {
            "" => String::new(),
            tag => format!(";tag={tag}"),
        };
        format!(
            "{method} sip:{user}@127.0.0.1:5060 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 127.0.0.1:5062;rport;branch=z9hG4bK{branch}\r\n\
             From: \"Gateway\" <sip:+842471234567@127.0.0.1>;tag=caller\r\n\
             To: <sip:{user}@127.0.0.1:5060>{to_tag}\r\n\
             Call-ID: call-{user}\r\n\
             CSeq: {cseq} {method}\r\n\
             Contact: <sip:gateway@127.0.0.1:5062>\r\n\
             Max-Forwards: 70\r\n\
             Content-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn receive(&mut self, text: &str) {
        let datagram =
            Datagram { bytes: text.as_bytes(), source: self.caller, local: self.callee_address };
        self.callee.receive(&datagram, self.now);
        self.perform();
    }

    fn send(&mut self, method: &str, branch: &str, cseq: u32) {
        self.send_to("0981234567", method, branch, cseq);
    }

    fn send_to(&mut self, user: &str, method: &str, branch: &str, cseq: u32) {
        let text = self.text(method, branch, cseq, user);
        self.receive(&text);
    }

    fn perform(&mut self) {
        while let Some(action) = self.callee.next_action() {
            match action {
                Action::Send { to, bytes } => {
                    assert_eq!(to, self.caller);
                    self.record(String::from_utf8(bytes).unwrap());
                }
                Action::OpenMedia { call, offer, .. } => {
                    assert_eq!(offer.rtp.port(), 20_000);
                    let address = SocketAddr::new(self.callee_address.ip(), MEDIA_PORT);
                    self.callee.media_opened(call, Some(address), self.now);
                }
                Action::Report(event) => self.events.push(event),
                Action::Ended(ended) => self.ended.push(ended),
            }
        }
    }

    fn record(&mut self, text: String) {
        let at = (self.now - self.start).as_millis();
        let first = text.lines().next().unwrap();
        let what = match first.strip_prefix("SIP/2.0 ") {
            Some(status) => {
                let method = line(&text, "CSeq").split(' ').nth(1).unwrap();
                if let Some((_, tag)) = line(&text, "To").split_once(";tag=") {
                    self.tag = tag.into();
                }
                format!("{} {method}", &status[..3])
            }
            None => first.split(' ').next().unwrap().to_string(),
        };
        self.sent.push((at, what));
        self.last_message = text;
    }

    /// Advances the clock from deadline to deadline up to `ms` after the start.
    fn run_to(&mut self, ms: u64) {
        let end = self.start + Duration::from_millis(ms);
        while let Some(at) = self.callee.deadline().filter(|at| *at <= end) {
            assert!(at > self.now || at == self.start, "the deadline did not advance");
            self.now = at.max(self.now);
            self.callee.tick(self.now);
            self.perform();
        }
        self.now = end;
    }

    fn times(&self, what: &str) -> Vec<u128> {
        let same = self.sent.iter().filter(|(_, sent)| sent == what);
        same.map(|(at, _)| *at).collect()
    }

    fn all(&self) -> Vec<&str> {
        self.sent.iter().map(|(_, what)| what.as_str()).collect()
    }

    fn is_empty(&self) -> bool {
        let callee = &self.callee;
        callee.calls.is_empty()
            && callee.by_invite.is_empty()
            && callee.by_dialog.is_empty()
            && callee.timers.is_empty()
            && callee.deadline().is_none()
    }
}

fn line<'a>(text: &'a str, name: &str) -> &'a str {
    let mut lines = text.lines();
    let found = lines.find_map(|l| l.strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_else(|| panic!("{name} in {text}"))
}

/// Returns an acknowledged call at 1000 ms.
fn established_call() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.send("INVITE", "one", 1);
    fixture.run_to(1000);
    fixture.send("ACK", "two", 1);
    assert_eq!(fixture.all(), ["100 INVITE", "180 INVITE", "200 INVITE"]);
    fixture
}
