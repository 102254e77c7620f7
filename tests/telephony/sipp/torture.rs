//! The torture test messages of RFC 4475 while an OTP is under way, from the very address of its gateway.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::far_end::{FarEnd, free_port};
use super::{CASH, DELIVERED, PRICE, QUICK, assert_end, assert_total, carriers};
use crate::sipp::variants::{ANSWERS, PING, ping, with_call_id, with_rport};
use harness::{Backend, Gateway, per_database, phone, until};

const SOON: Duration = Duration::from_secs(30);
/// Of the 49 messages, those that are answered by nothing.
const UNANSWERED: f64 = 17.0;

/// The messages, octet for octet.
fn messages() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("voice/tests/voice/torture/messages");
    let files = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "sip"));
    files.sort();
    assert_eq!(files.len(), 49);
    files
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

/// The gateway as the caller sees it. SIPp stands behind it, and the test has it say more.
struct Border {
    socket: Arc<UdpSocket>,
    caller: SocketAddr,
    /// What the caller has answered. SIPp asks nothing, so that this is to the test.
    answers: mpsc::UnboundedReceiver<Vec<u8>>,
    relay: JoinHandle<()>,
}

impl Border {
    async fn before(far_end: &FarEnd, caller: SocketAddr) -> Border {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let socket = Arc::new(socket);
        let (answered, answers) = mpsc::unbounded_channel();
        let far_end = SocketAddr::from((Ipv4Addr::LOCALHOST, far_end.port));
        let between = Arc::clone(&socket);
        let relay = tokio::spawn(async move {
            let mut buffer = [0; 65_536];
            loop {
                let (length, from) = between.recv_from(&mut buffer).await.unwrap();
                let datagram = &buffer[..length];
                let to = match (from == caller, datagram.starts_with(b"SIP/2.0 ")) {
                    (true, true) => {
                        let _ = answered.send(datagram.to_vec());
                        continue;
                    }
                    (true, false) => far_end,
                    (false, _) => caller,
                };
                between.send_to(datagram, to).await.unwrap();
            }
        });
        Border {
            socket,
            caller,
            answers,
            relay,
        }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Throws every message at the caller, as `changed`: how often it answered with each code.
    async fn throw(&mut self, changed: impl Fn(&[u8]) -> Vec<u8>) -> BTreeMap<u16, usize> {
        let ping = ping(self.caller, self.address()).into_bytes();
        let messages = messages();
        let changed = messages.iter().map(|message| changed(message));
        for message in changed.chain([ping]) {
            let sent = self.socket.send_to(&message, self.caller).await.unwrap();
            assert_eq!(sent, message.len());
        }
        let mut answers = BTreeMap::new();
        loop {
            let answer = timeout(SOON, self.answers.recv()).await;
            let answer = answer.expect("it answers in time").unwrap();
            let answer = String::from_utf8_lossy(&answer);
            let code = answer.split(' ').nth(1).unwrap().parse().unwrap();
            if answer.contains(&format!("\r\nCall-ID: {PING}\r\n")) {
                assert_eq!(code, 200);
                return answers;
            }
            *answers.entry(code).or_default() += 1;
        }
    }

    /// As they are, as ours to answer, and as if they were of the call.
    async fn torture(&mut self, call_id: &str) {
        self.throw(<[u8]>::to_vec).await;
        assert_eq!(self.throw(with_rport).await, ANSWERS.into());
        let of_the_call = self.throw(|message| with_call_id(message, call_id)).await;
        assert_eq!(of_the_call, ANSWERS.into());
    }
}

impl Drop for Border {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

#[per_database]
async fn torture_messages_from_the_gateway_change_no_otp_and_no_money(backend: Backend) {
    // It rings for long enough to be tortured.
    let edits = [("milliseconds=\"200\"", "milliseconds=\"3000\"")];
    let far_end = FarEnd::edited("answer", 1, &edits, &[]);
    let caller = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let mut border = Border::before(&far_end, caller).await;
    let carriers = carriers(&[border.address().port()], ",options_ping_seconds=0");
    let listen = caller.to_string();
    let settings = [
        ("NEXO_CARRIERS", carriers.as_str()),
        ("NEXO_SIP__LISTEN_UDP", &listen),
        QUICK,
    ];
    let gateway = Gateway::start(backend, &settings);
    let customer = gateway.customer("a@example.com", "10.00");
    let sent = customer.send(&phone(9), "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let id = sent.json["id"].as_str().unwrap();
    let call_id = format!("{id}-1@nexo");
    border.torture(&call_id).await;
    let answered = async || gateway.metric("nexo_calls_answered_total").await;
    assert_eq!(answered().await, 0.0, "it does not ring any more");
    until("an answer", SOON, async || {
        (answered().await == 1.0).then_some(())
    })
    .await;
    border.torture(&call_id).await;
    let now = customer.get(&format!("deliveries/{id}")).await;
    assert_eq!(now.json["status"], "sent", "{}", now.text);
    assert_end(&customer.terminal(id).await, &DELIVERED);
    assert_total(&customer, CASH - PRICE).await;
    far_end.was_content();
    let dropped = gateway.metric("nexo_sip_dropped_total").await;
    assert!(dropped >= 6.0 * UNANSWERED, "{dropped}");
    for troubles in ["nexo_actor_restarts_total", "nexo_internal_errors_total"] {
        assert_eq!(gateway.metric(troubles).await, 0.0, "{troubles}");
    }
    gateway.audit();
}
