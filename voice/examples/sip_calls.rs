//! What a call costs in the SIP machine itself, without sockets: CPU time for a whole call (INVITE,
//! 100, 180, 200, ACK, BYE, 200, and its timers to the end) and the memory that a finished call
//! keeps until its retransmissions can no longer come.
//!
//! `cargo run --release -p nexo-voice --example sip_calls -- [CALLS]`

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nexo_voice::sip::message::message::{Message, Method, Request};
use nexo_voice::sip::message::write::Draft;
use nexo_voice::sip::sdp::sdp;
use nexo_voice::sip::user_agent::transaction::Timers;
use nexo_voice::sip::user_agent::{CallHandle, Invite, SipEvent, UserAgent};

#[path = "load/cpu.rs"]
mod cpu;

/// Calls that are in the same stage at once: few enough that their messages stay in the cache, as
/// those of a busy gateway do.
const TOGETHER: usize = 100;

struct Load {
    agent: UserAgent,
    gateway: SocketAddr,
    local: SocketAddr,
    offer: Vec<u8>,
    now: Instant,
    spent: Duration,
}

fn main() {
    let calls: usize = match std::env::args().nth(1) {
        Some(text) => text.parse().expect("the number of calls is a whole number"),
        None => 100_000,
    };
    let gateway = SocketAddr::from(([192, 0, 2, 9], 5060));
    let mut agent = UserAgent::new("sip_calls", Timers::default(), 1);
    agent.set_peers([gateway.into()].into());
    let mut load = Load {
        agent,
        gateway,
        local: SocketAddr::from(([192, 0, 2, 1], 5062)),
        offer: b"v=0\r\no=nexo 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 20000 RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=sendrecv\r\n".to_vec(),
        now: Instant::now(),
        spent: Duration::ZERO,
    };
    let before = resident_bytes();
    for first in (0..calls).step_by(TOGETHER) {
        load.run(first..(first + TOGETHER).min(calls));
    }
    let kept = resident_bytes().saturating_sub(before);
    let (legs, estimate) = (load.agent.legs(), load.agent.bytes_held());
    let signalling = load.spent;
    load.drain();
    let each = |spent: Duration| spent.as_secs_f64() * 1e6 / calls as f64;
    println!("{calls} calls, of which {legs} were still kept for retransmissions");
    println!("messages   {:6.2} us CPU a call", each(signalling));
    println!(
        "timers     {:6.2} us CPU a call",
        each(load.spent - signalling)
    );
    println!("whole call {:6.2} us CPU", each(load.spent));
    println!(
        "kept       {:6} bytes a finished call (resident)",
        kept / legs.max(1)
    );
    println!(
        "           {:6} bytes by the agent's own account",
        estimate / legs.max(1)
    );
    println!(
        "at the end {:6} calls, {} bytes",
        load.agent.legs(),
        load.agent.bytes_held()
    );
}

impl Load {
    /// Takes some calls from INVITE to the answered BYE.
    fn run(&mut self, calls: std::ops::Range<usize>) {
        let invites: Vec<Invite> = calls.map(|n| self.invite(n)).collect();
        let (handles, sent) = self.timed(|agent, now| {
            invites
                .into_iter()
                .map(|invite| agent.invite(now, invite))
                .collect::<Vec<CallHandle>>()
        });
        let answers = sent.iter().flat_map(|invite| {
            assert_eq!(invite.method(), Method::Invite);
            [100, 180, 200].map(|code| self.answer(invite, code))
        });
        let answers: Vec<_> = answers.collect();
        let gateway = self.gateway;
        let (events, sent) = self.timed(|agent, now| {
            for answer in &answers {
                agent.receive(now, gateway, answer);
            }
            std::iter::from_fn(|| agent.poll_event())
                .filter(|(_, event)| matches!(event, SipEvent::Answered { .. }))
                .count()
        });
        assert_eq!((events, sent.len()), (handles.len(), handles.len()));
        let ((), sent) = self.timed(|agent, now| {
            for handle in &handles {
                agent.hang_up(now, *handle);
            }
        });
        let answers: Vec<_> = sent.iter().map(|bye| self.answer(bye, 200)).collect();
        let (_, sent) = self.timed(|agent, now| {
            for answer in &answers {
                agent.receive(now, gateway, answer);
            }
            std::iter::from_fn(|| agent.poll_event()).count()
        });
        assert!(sent.is_empty(), "nothing is left to be said");
    }

    /// Lets all timers run out.
    fn drain(&mut self) {
        while let Some(due) = self.agent.next_deadline() {
            self.now = due;
            let ((), sent) = self.timed(|agent, now| agent.tick(now));
            assert!(sent.is_empty(), "a finished call says nothing");
        }
    }

    /// Notes the CPU time of `act` and of taking what it makes the agent send.
    fn timed<R>(&mut self, act: impl FnOnce(&mut UserAgent, Instant) -> R) -> (R, Vec<Request>) {
        let before = cpu::of_thread("sip_calls");
        let result = act(&mut self.agent, self.now);
        let sent: Vec<_> = std::iter::from_fn(|| self.agent.poll_transmit()).collect();
        self.spent += cpu::of_thread("sip_calls") - before;
        let requests = sent.iter().map(|sent| match Message::parse(&sent.bytes) {
            Ok(Message::Request(request)) => request,
            Ok(Message::Response(_)) | Err(_) => panic!("the agent only asks here"),
        });
        (result, requests.collect())
    }

    fn invite(&self, n: usize) -> Invite {
        Invite {
            call_id: format!("0193e1f2-7c4b-7d1e-9a61-{n:012x}-1@nexo"),
            gateway: self.gateway.into(),
            credentials: None,
            local: self.local,
            request_uri: "sip:+84981234567@192.0.2.9:5060".into(),
            from_uri: "sip:+842471234567@192.0.2.1".into(),
            to_uri: "sip:+84981234567@192.0.2.9:5060".into(),
            fields: Vec::new(),
            sdp: self.offer.clone(),
            gateway_timeout: Duration::from_secs(2),
        }
    }

    fn answer(&self, request: &Request, code: u16) -> Vec<u8> {
        let mut draft = Draft::answer(request, code, "far-end-tag", self.local);
        if request.method() == Method::Invite && code > 100 {
            draft
                .field("Contact", "<sip:+84981234567@192.0.2.9:5060;transport=udp>")
                .field("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS")
                .field("Server", "carrier");
        }
        if request.method() == Method::Invite && code == 200 {
            draft.body(sdp::CONTENT_TYPE, self.offer.clone());
        }
        draft.bytes()
    }
}

/// The process's resident memory, in whole pages as the kernel counts them.
fn resident_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells of its processes");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kilobytes.expect("resident memory is listed in kB") * 1024
}
