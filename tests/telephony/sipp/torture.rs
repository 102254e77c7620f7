//! The torture test messages of RFC 4475, sent from the gateway's address while an OTP is in progress.

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
/// The number of messages, of 49, that get no answer.
const UNANSWERED: f64 = 13.0;

/// The messages, octet for octet.
fn messages() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("voice/tests/voice/torture/messages");
    let files = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "sip"));
    files.sort();
    assert_eq!(files.len(), 49);
    files.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// A proxy in front of SIPp that is the gateway for the caller. The test injects messages through it.
struct GatewayProxy {
    socket: Arc<UdpSocket>,
    caller: SocketAddr,
    /// The caller's responses. SIPp sends no requests, so all of them belong to the test.
    answers: mpsc::UnboundedReceiver<Vec<u8>>,
    relay: JoinHandle<()>,
}

impl GatewayProxy {
    async fn start(far_end: &FarEnd, caller: SocketAddr) -> GatewayProxy {
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
        GatewayProxy { socket, caller, answers, relay }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Sends every message, transformed by `variant`, to the caller. Returns the number of answers per code.
    async fn send_all(&mut self, variant: impl Fn(&[u8]) -> Vec<u8>) -> BTreeMap<u16, usize> {
        let ping = ping(self.caller, self.address()).into_bytes();
        let messages = messages();
        let variants = messages.iter().map(|message| variant(message));
        for message in variants.chain([ping]) {
            let sent = self.socket.send_to(&message, self.caller).await.unwrap();
            assert_eq!(sent, message.len());
        }
        let mut answers = BTreeMap::new();
        loop {
            let answer = timeout(SOON, self.answers.recv()).await;
            let answer = answer.expect("an answer in time").unwrap();
            let answer = String::from_utf8_lossy(&answer);
            let code = answer.split(' ').nth(1).unwrap().parse().unwrap();
            if answer.contains(&format!("\r\nCall-ID: {PING}\r\n")) {
                assert_eq!(code, 200);
                return answers;
            }
            *answers.entry(code).or_default() += 1;
        }
    }

    /// Sends the messages unchanged, with `rport`, and with the call's Call-ID.
    async fn torture(&mut self, call_id: &str) {
        self.send_all(<[u8]>::to_vec).await;
        assert_eq!(self.send_all(with_rport).await, ANSWERS.into());
        let in_call = self.send_all(|message| with_call_id(message, call_id)).await;
        assert_eq!(in_call, ANSWERS.into());
    }
}

impl Drop for GatewayProxy {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

#[per_database]
async fn torture_messages_from_the_gateway_change_no_otp_and_no_money(backend: Backend) {
    // The far end rings long enough to send all messages.
    let edits = [("milliseconds=\"200\"", "milliseconds=\"3000\"")];
    let far_end = FarEnd::edited("answer", 1, &edits, &[]);
    let caller = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let mut proxy = GatewayProxy::start(&far_end, caller).await;
    let carriers = carriers(&[proxy.address().port()], ",options_ping_seconds=0");
    let listen = caller.to_string();
    let settings = [("NEXO_CARRIERS", carriers.as_str()), ("NEXO_SIP__LISTEN_UDP", &listen), QUICK];
    let gateway = Gateway::start(backend, &settings);
    let customer = gateway.customer("a@example.com", "10.00");
    let sent = customer.send(&phone(9), "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let id = sent.json["id"].as_str().unwrap();
    let call_id = format!("{id}-1@nexo");
    proxy.torture(&call_id).await;
    let answered = async || gateway.metric("nexo_calls_answered_total").await;
    assert_eq!(answered().await, 0.0, "the phone is still ringing");
    until("an answer", SOON, async || (answered().await == 1.0).then_some(())).await;
    proxy.torture(&call_id).await;
    let now = customer.get(&format!("deliveries/{id}")).await;
    assert_eq!(now.json["status"], "sent", "{}", now.text);
    assert_end(&customer.terminal(id).await, &DELIVERED);
    assert_total(&customer, CASH - PRICE).await;
    far_end.assert_passed();
    let dropped = gateway.metric("nexo_sip_dropped_total").await;
    assert!(dropped >= 6.0 * UNANSWERED, "{dropped}");
    for metric in ["nexo_actor_restarts_total", "nexo_internal_errors_total"] {
        assert_eq!(gateway.metric(metric).await, 0.0, "{metric}");
    }
    gateway.audit();
}
