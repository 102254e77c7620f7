//! The carrier's side, in the test's own process, so that it outlives every kill: it answers as the number
//! says and counts the INVITEs that come for each delivery.

use std::collections::{BTreeSet, HashMap};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long it looks for requests before it looks for what is due.
const LOOK: Duration = Duration::from_millis(5);
/// A far end that hangs up by itself does so after this long.
const TALKS_FOR: Duration = Duration::from_millis(120);

/// What a number does: its last two digits say it. A whole far end may be silent instead.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Answers and listens until the gateway hangs up.
    Listens,
    /// Answers and hangs up soon.
    HangsUp,
    Busy,
}

impl Manner {
    fn of(phone: &str) -> Manner {
        let last_two: u32 = phone[phone.len() - 2..].parse().unwrap();
        match last_two {
            0..40 => Manner::Listens,
            40..70 => Manner::HangsUp,
            _ => Manner::Busy,
        }
    }
}

/// The INVITEs that came, each transaction once: Call-ID to branches.
type Invites = Arc<Mutex<HashMap<String, BTreeSet<String>>>>;

pub struct FarEnd {
    pub address: SocketAddr,
    invites: Invites,
    is_over: Arc<AtomicBool>,
}

impl FarEnd {
    pub fn answering() -> FarEnd {
        FarEnd::start(false)
    }

    /// Takes everything and says nothing.
    pub fn silent() -> FarEnd {
        FarEnd::start(true)
    }

    fn start(is_silent: bool) -> FarEnd {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(LOOK)).unwrap();
        let far_end = FarEnd {
            address: socket.local_addr().unwrap(),
            invites: Arc::default(),
            is_over: Arc::default(),
        };
        let mut desk = Desk {
            // Its audio is taken and thrown away.
            ears: UdpSocket::bind("127.0.0.1:0").unwrap(),
            socket,
            is_silent,
            invites: Arc::clone(&far_end.invites),
            due: Vec::new(),
        };
        let is_over = Arc::clone(&far_end.is_over);
        std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                desk.work();
            }
        });
        far_end
    }

    /// How many INVITEs came for each delivery, whatever its attempts' Call-IDs.
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
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// A Call-ID is made of the delivery's id and the attempt's number.
fn delivery_of(call_id: &str) -> String {
    let (delivery, _) = call_id.rsplit_once('-').unwrap();
    delivery.to_owned()
}

/// A message that is to be sent later.
struct Due {
    at: Instant,
    to: SocketAddr,
    text: String,
}

struct Desk {
    socket: UdpSocket,
    ears: UdpSocket,
    is_silent: bool,
    invites: Invites,
    due: Vec<Due>,
}

impl Desk {
    fn work(&mut self) {
        let mut buffer = [0; 65_535];
        if let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            self.take(&Request { text }, from);
        }
        let now = Instant::now();
        let due = self.due.extract_if(.., |due| due.at <= now);
        for due in due.collect::<Vec<_>>() {
            self.send(due.to, &due.text);
        }
    }

    fn send(&self, to: SocketAddr, text: &str) {
        // A gateway that was just killed has no port: that is the point.
        let _ = self.socket.send_to(text.as_bytes(), to);
    }

    fn take(&mut self, request: &Request, from: SocketAddr) {
        match request.method() {
            "INVITE" => self.invited(request, from),
            "BYE" | "CANCEL" | "OPTIONS" => self.send(from, &request.answer(200, "", "")),
            _ => {}
        }
    }

    fn invited(&mut self, invite: &Request, from: SocketAddr) {
        let (call_id, branch) = (invite.field("Call-ID"), invite.branch());
        let mut invites = self.invites.lock().unwrap();
        let is_new = invites.entry(call_id).or_default().insert(branch);
        drop(invites);
        if self.is_silent || !is_new {
            return;
        }
        self.send(from, &invite.answer(180, "", ""));
        let manner = Manner::of(&invite.phone());
        if manner == Manner::Busy {
            return self.send(from, &invite.answer(486, "", ""));
        }
        let (here, ears) = (self.address(), self.ears.local_addr().unwrap());
        let contact = format!("Contact: <sip:far@{here}>\r\n");
        let port = ears.port();
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
        );
        self.send(from, &invite.answer(200, &contact, &sdp));
        if manner == Manner::HangsUp {
            self.due.push(Due {
                at: Instant::now() + TALKS_FOR,
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
            key.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        });
        found.unwrap_or_else(|| panic!("no {name} in {}", self.text))
    }

    fn branch(&self) -> String {
        let via = self.field("Via");
        let (_, branch) = via.split_once("branch=").unwrap();
        branch.split([';', ',']).next().unwrap().to_owned()
    }

    /// Who is called, by the request's URI.
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

    /// The far end's own farewell in the dialog that this INVITE opened.
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
