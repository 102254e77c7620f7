//! The torture messages sent during a call.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use nexo_domain::call::{CallEnd, CallLimits};
use nexo_domain::otp::{Code, Language, Reading};
use nexo_voice::audio::g711::Codec;
use nexo_voice::endpoint::{CallEvent, CallLabels, CallOrder, CallerId, Endpoint, EndpointConfig};
use nexo_voice::sip::message::write::Draft;
use nexo_voice::sip::message::{Message, Method, Request};
use nexo_voice::sip::sdp::{self, Audio};
use nexo_voice::speech::prompts::PromptSet;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::bytes;
use super::expected::MESSAGES;
use super::variants::{self, ANSWERS, PING, with_call_id, with_rport};

/// Far longer than any step takes on a busy machine; only a failure reaches it.
const TIMEOUT: Duration = Duration::from_secs(30);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const CALL_ID: &str = "8f2e1c4d-1@nexo";

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(TIMEOUT, what).await.expect("a result in time")
}

/// A gateway scripted by the test.
struct Gateway {
    sip: UdpSocket,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    /// The source address of the endpoint's SIP messages.
    caller: SocketAddr,
}

impl Gateway {
    async fn new(caller: SocketAddr) -> Gateway {
        let socket = || UdpSocket::bind((LOOPBACK, 0));
        Gateway {
            sip: socket().await.unwrap(),
            rtp: socket().await.unwrap(),
            rtcp: socket().await.unwrap(),
            caller,
        }
    }

    fn address(&self) -> SocketAddr {
        self.sip.local_addr().unwrap()
    }

    async fn send(&self, bytes: &[u8]) {
        self.sip.send_to(bytes, self.caller).await.unwrap();
    }

    async fn next_message(&self) -> Message {
        let mut buffer = [0; 8192];
        let (length, from) = soon(self.sip.recv_from(&mut buffer)).await.unwrap();
        assert_eq!(from, self.caller);
        Message::parse(&buffer[..length]).expect("the caller sends valid messages")
    }

    /// The next request of this method. Skips responses and other requests.
    async fn next_request(&self, method: Method) -> Request {
        loop {
            match self.next_message().await {
                Message::Request(request) if request.method() == method => return request,
                Message::Request(_) | Message::Response(_) => {}
            }
        }
    }

    async fn answer(&self, request: &Request, code: u16, description: Option<String>) {
        let mut draft = Draft::response(request, code, "gateway", self.caller);
        if let Some(description) = description {
            draft
                .field("Contact", format_args!("<sip:g@{}>", self.address()))
                .body(sdp::CONTENT_TYPE, description.into_bytes());
        }
        self.send(&draft.bytes()).await;
    }

    /// Answers the INVITE, waits for the first audio, and returns the INVITE.
    async fn pick_up(&self) -> Request {
        let invite = self.next_request(Method::Invite).await;
        let (rtp, rtcp) = (self.rtp.local_addr(), self.rtcp.local_addr());
        let audio = Audio::plain(rtp.unwrap(), rtcp.unwrap(), vec![Codec::Pcma]);
        self.answer(&invite, 200, Some(sdp::write(&audio, 1))).await;
        self.next_request(Method::Ack).await;
        soon(self.rtp.recv(&mut [0; 500])).await.unwrap();
        invite
    }

    /// Sends a ping and returns the number of earlier answers per code. The answer to the ping shows that
    /// the caller has processed everything sent before.
    async fn ping(&self) -> BTreeMap<u16, usize> {
        let mut answers = BTreeMap::new();
        let text = variants::ping(self.caller, self.address());
        self.send(text.as_bytes()).await;
        loop {
            match self.next_message().await {
                Message::Response(answer) if answer.call_id() == PING => {
                    assert_eq!(answer.code(), 200);
                    return answers;
                }
                Message::Response(answer) => {
                    *answers.entry(answer.code()).or_default() += 1;
                }
                Message::Request(request) => panic!("a {}", request.method().name()),
            }
        }
    }
}

fn order(gateway: &Gateway) -> CallOrder {
    CallOrder {
        call_id: CALL_ID.into(),
        labels: CallLabels { carrier: "viettel", realm: "live" },
        gateway: gateway.address().into(),
        gateway_host: gateway.address().to_string(),
        number: "+84981234567".into(),
        caller: CallerId::from_number("+842471234567"),
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        code: Code::parse("4711").unwrap(),
        reading: Reading { language: Language::En, repeat: 1, digit_gap_ms: 20 },
        gateway_timeout: Duration::from_secs(4),
        limits: CallLimits {
            ring_timeout: Duration::from_secs(20),
            require_keypress: false,
            max_call: Duration::from_secs(25),
        },
        wants_all_events: false,
        credentials: None,
        srtp: false,
        media_timeout: Duration::ZERO,
        trace: None,
        permit: None,
    }
}

/// Places a call and sends every message, transformed by `variant`, in the middle of it. Returns the number
/// of answers per code.
async fn call_under_torture(variant: impl Fn(&[u8]) -> Vec<u8>) -> BTreeMap<u16, usize> {
    let config = EndpointConfig { listen_udp: (LOOPBACK, 0).into(), ..EndpointConfig::default() };
    let endpoint = Endpoint::start(config, PromptSet::built_in()).await.unwrap();
    let gateway = Gateway::new(endpoint.local_addr()).await;
    endpoint.set_peers([gateway.address().into()].into());
    let mut events = endpoint.place(order(&gateway));
    gateway.pick_up().await;
    for (_, name, _) in MESSAGES {
        gateway.send(&variant(&bytes(name))).await;
    }
    let answers = gateway.ping().await;
    assert_eq!(endpoint.calls_in_progress(), 1);
    let bye = gateway.next_request(Method::Bye).await;
    gateway.answer(&bye, 200, None).await;
    let report = loop {
        if let CallEvent::Ended(report) = soon(events.next()).await.expect("a final event") {
            break report;
        }
    };
    // A panic would have ended the call as lost.
    assert_eq!(report.end, CallEnd::Delivered);
    assert!(endpoint.is_alive());
    endpoint.shutdown(TIMEOUT).await;
    answers
}

#[tokio::test]
async fn no_message_from_the_gateway_disturbs_a_call() {
    let (_, answers) =
        tokio::join!(call_under_torture(<[u8]>::to_vec), call_under_torture(with_rport));
    assert_eq!(answers, ANSWERS.into());
}

#[tokio::test]
async fn no_message_with_the_calls_id_disturbs_it() {
    let answers = call_under_torture(|message| with_call_id(message, CALL_ID)).await;
    assert_eq!(answers, ANSWERS.into());
}
