//! The messages in the middle of a call.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use nexo_domain::call::{CallEnd, CallLimits};
use nexo_domain::otp::{Code, Language, Reading};
use nexo_voice::audio::g711::Codec;
use nexo_voice::endpoint::{CallNews, CallOrder, Caller, CountedAs, Endpoint, EndpointConfig};
use nexo_voice::sip::message::message::{Message, Method, Request};
use nexo_voice::sip::message::write::Draft;
use nexo_voice::sip::sdp::sdp;
use nexo_voice::sip::sdp::sdp::Audio;
use nexo_voice::speech::prompts::PromptSet;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::bytes;
use crate::expected::MESSAGES;
use crate::thrown::{self, ANSWERS, PING, from_here, in_the_call};

/// Far longer than anything here takes on a busy machine; reached only by a failure.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const CALL_ID: &str = "8f2e1c4d-1@nexo";

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it comes in time")
}

/// The gateway, whose words the test puts in its mouth.
struct Gateway {
    sip: UdpSocket,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    /// Where the endpoint's SIP comes from.
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

    async fn message(&self) -> Message {
        let mut buffer = [0; 8192];
        let (length, from) = soon(self.sip.recv_from(&mut buffer)).await.unwrap();
        assert_eq!(from, self.caller);
        Message::parse(&buffer[..length]).expect("what is sent can be read")
    }

    /// The next request of this method; answers and other requests may come before it.
    async fn awaits(&self, method: Method) -> Request {
        loop {
            match self.message().await {
                Message::Request(request) if request.method() == method => return request,
                Message::Request(_) | Message::Response(_) => {}
            }
        }
    }

    async fn answer(&self, request: &Request, code: u16, description: Option<String>) {
        let mut draft = Draft::answer(request, code, "gateway", self.caller);
        if let Some(description) = description {
            draft
                .field("Contact", format_args!("<sip:g@{}>", self.address()))
                .body(sdp::CONTENT_TYPE, description.into_bytes());
        }
        self.send(&draft.bytes()).await;
    }

    /// Picks up: the INVITE, once the first audio has come.
    async fn pick_up(&self) -> Request {
        let invite = self.awaits(Method::Invite).await;
        let (rtp, rtcp) = (self.rtp.local_addr(), self.rtcp.local_addr());
        let audio = Audio::plain(rtp.unwrap(), rtcp.unwrap(), vec![Codec::Pcma]);
        self.answer(&invite, 200, Some(sdp::write(&audio, 1))).await;
        self.awaits(Method::Ack).await;
        soon(self.rtp.recv(&mut [0; 500])).await.unwrap();
        invite
    }

    /// Asks whether the caller is there, and gives how often it has answered with each code before. When
    /// it answers this, it has dealt with all that was sent.
    async fn ping(&self) -> BTreeMap<u16, usize> {
        let mut answers = BTreeMap::new();
        let text = thrown::ping(self.caller, self.address());
        self.send(text.as_bytes()).await;
        loop {
            match self.message().await {
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
        counted_as: CountedAs {
            carrier: "viettel",
            realm: "live",
        },
        gateway: gateway.address().into(),
        gateway_host: gateway.address().to_string(),
        number: "+84981234567".into(),
        caller: Caller::showing("+842471234567"),
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        code: Code::parse("4711").unwrap(),
        reading: Reading {
            language: Language::En,
            repeat: 1,
            digit_gap_ms: 20,
        },
        gateway_timeout: Duration::from_secs(4),
        limits: CallLimits {
            ring_timeout: Duration::from_secs(20),
            require_keypress: false,
            longest_call: Duration::from_secs(25),
        },
        every_step: false,
        credentials: None,
        srtp: false,
        media_timeout: Duration::ZERO,
        trace: None,
        permit: None,
    }
}

/// A call into the middle of which every message is thrown, as `changed`. Gives how often each code
/// was the answer.
async fn call_under_torture(changed: impl Fn(&[u8]) -> Vec<u8>) -> BTreeMap<u16, usize> {
    let config = EndpointConfig {
        listen_udp: (LOOPBACK, 0).into(),
        ..EndpointConfig::default()
    };
    let endpoint = Endpoint::start(config, PromptSet::built_in())
        .await
        .unwrap();
    let gateway = Gateway::new(endpoint.local_addr()).await;
    endpoint.set_peers([gateway.address().into()].into());
    let mut events = endpoint.place(order(&gateway));
    gateway.pick_up().await;
    for (_, name, _) in MESSAGES {
        gateway.send(&changed(&bytes(name))).await;
    }
    let answers = gateway.ping().await;
    assert_eq!(endpoint.calls_in_progress(), 1);
    let bye = gateway.awaits(Method::Bye).await;
    gateway.answer(&bye, 200, None).await;
    let report = loop {
        if let CallNews::Ended(report) = soon(events.next()).await.expect("an end") {
            break report;
        }
    };
    // A panic would have ended the call as lost.
    assert_eq!(report.end, CallEnd::Delivered);
    assert!(endpoint.is_alive());
    endpoint.shutdown(PATIENCE).await;
    answers
}

#[tokio::test]
async fn no_message_from_the_gateway_disturbs_a_call() {
    let (_, answers) = tokio::join!(
        call_under_torture(<[u8]>::to_vec),
        call_under_torture(from_here)
    );
    assert_eq!(answers, ANSWERS.into());
}

#[tokio::test]
async fn no_message_that_claims_to_be_of_the_call_disturbs_it() {
    let answers = call_under_torture(|message| in_the_call(message, CALL_ID)).await;
    assert_eq!(answers, ANSWERS.into());
}
