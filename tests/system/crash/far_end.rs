//! The carrier's side, in the test's own process so that it outlives every kill. The called number selects
//! the behaviour; INVITEs are counted per delivery.

use std::collections::{BTreeSet, HashMap};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The read timeout of the SIP socket, and so the resolution of timers.
const READ_TIMEOUT: Duration = Duration::from_millis(5);
/// The duration of a call that the far end ends.
const CALL_DURATION: Duration = Duration::from_millis(120);

/// The behaviour of a number, selected by its last two digits. A whole far end may be silent instead.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behaviour {
    /// Answers and waits for the gateway to hang up.
    Answers,
    /// Answers and hangs up soon.
    HangsUp,
    Busy,
}

impl Behaviour {
    fn of(phone: &str) -> Behaviour {
        let last_two: u32 = phone[phone.len() - 2..].parse().unwrap();
        match last_two {
            0..40 => Behaviour::Answers,
            40..70 => Behaviour::HangsUp,
            _ => Behaviour::Busy,
        }
    }
}

/// The INVITE transactions received: Call-ID to branches.
type Invites = Arc<Mutex<HashMap<String, BTreeSet<String>>>>;

pub struct FarEnd {
    pub address: SocketAddr,
    invites: Invites,
    stop: Arc<AtomicBool>,
}

impl FarEnd {
    pub fn answering() -> FarEnd {
        FarEnd::start(false)
    }

    /// Receives requests and never responds.
    pub fn silent() -> FarEnd {
        FarEnd::start(true)
    }

    fn start(is_silent: bool) -> FarEnd {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
        let far_end = FarEnd {
            address: socket.local_addr().unwrap(),
            invites: Arc::default(),
            stop: Arc::default(),
        };
        let mut user_agent = UserAgent {
            // Received audio is discarded.
            rtp_socket: UdpSocket::bind("127.0.0.1:0").unwrap(),
            socket,
            is_silent,
            invites: Arc::clone(&far_end.invites),
            due: Vec::new(),
        };
        let stop = Arc::clone(&far_end.stop);
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                user_agent.poll();
            }
        });
        far_end
    }

    /// The number of INVITE transactions per delivery, over all of its attempts.
    pub fn invites(&self) -> HashMap<String, usize> {
        let mut invites = HashMap::new();
        for (call_id, branches) in self.invites.lock().unwrap().iter() {
            *invites.entry(delivery_of(call_id)).or_default() += branches.len();
        }
        invites
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The delivery's id. A Call-ID consists of the delivery's id and the attempt's number.
fn delivery_of(call_id: &str) -> String {
    let (delivery, _) = call_id.rsplit_once('-').unwrap();
    delivery.to_owned()
}

/// A message to send later.
struct Due {
    at: Instant,
    to: SocketAddr,
    text: String,
}

struct UserAgent {
    socket: UdpSocket,
    rtp_socket: UdpSocket,
    is_silent: bool,
    invites: Invites,
    due: Vec<Due>,
}

impl UserAgent {
    fn poll(&mut self) {
        let mut buffer = [0; 65_535];
        if let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            self.handle(&Request { text }, from);
        }
        let now = Instant::now();
        let due = self.due.extract_if(.., |due| due.at <= now);
        for due in due.collect::<Vec<_>>() {
            self.send(due.to, &due.text);
        }
    }

    fn send(&self, to: SocketAddr, text: &str) {
        // Fails if the gateway was just killed, which is expected.
        let _ = self.socket.send_to(text.as_bytes(), to);
    }

    fn handle(&mut self, request: &Request, from: SocketAddr) {
        match request.method() {
            "INVITE" => self.handle_invite(request, from),
            "BYE" | "CANCEL" | "OPTIONS" => self.send(from, &request.answer(200, "", "")),
            _ => {}
        }
    }

    fn handle_invite(&mut self, invite: &Request, from: SocketAddr) {
        let (call_id, branch) = (invite.field("Call-ID"), invite.branch());
        let mut invites = self.invites.lock().unwrap();
        let is_new = invites.entry(call_id).or_default().insert(branch);
        drop(invites);
        if self.is_silent || !is_new {
            return;
        }
        self.send(from, &invite.answer(180, "", ""));
        let behaviour = Behaviour::of(&invite.phone());
        if behaviour == Behaviour::Busy {
            return self.send(from, &invite.answer(486, "", ""));
        }
        let (here, rtp_socket) = (self.address(), self.rtp_socket.local_addr().unwrap());
        let contact = format!("Contact: <sip:far@{here}>\r\n");
        let port = rtp_socket.port();
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
        );
        self.send(from, &invite.answer(200, &contact, &sdp));
        if behaviour == Behaviour::HangsUp {
            self.due.push(Due {
                at: Instant::now() + CALL_DURATION,
                to: from,
                text: invite.bye(here),
            });
        }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }
}

struct Request {
    text: String,
}

impl Request {
    fn method(&self) -> &str {
        self.text.split(' ').next().unwrap()
    }

    fn field(&self, name: &str) -> String {
        let mut lines = self.text.lines();
        let found = lines.find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        });
        found.unwrap_or_else(|| panic!("no {name} in {}", self.text))
    }

    fn branch(&self) -> String {
        let via = self.field("Via");
        let (_, branch) = via.split_once("branch=").unwrap();
        branch.split([';', ',']).next().unwrap().to_owned()
    }

    /// The called number, from the request-URI.
    fn phone(&self) -> String {
        let uri = self.text.split([':', '@']).nth(1).unwrap();
        uri.to_owned()
    }

    fn answer(&self, code: u16, fields: &str, body: &str) -> String {
        let mut to = self.field("To");
        if !to.contains("tag=") {
            to.push_str(";tag=far");
        }
        let typed = match body {
            "" => "",
            _ => "Content-Type: application/sdp\r\n",
        };
        format!(
            "SIP/2.0 {code} Said\r\nVia: {}\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
             {fields}{typed}Content-Length: {}\r\n\r\n{body}",
            self.field("Via"),
            self.field("From"),
            self.field("Call-ID"),
            self.field("CSeq"),
            body.len(),
        )
    }

    /// A BYE of the far end in the dialog that this INVITE opened.
    fn bye(&self, here: SocketAddr) -> String {
        let contact = self.field("Contact");
        let target = contact.split(['<', '>']).nth(1).unwrap();
        let (from, to, call_id) = (self.field("To"), self.field("From"), self.field("Call-ID"));
        format!(
            "BYE {target} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK-bye-{call_id};rport\r\n\
             Max-Forwards: 70\r\nFrom: {from};tag=far\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
             CSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n"
        )
    }
}
