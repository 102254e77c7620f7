use std::net::{IpAddr, Ipv4Addr};

use nexo_domain::call::{CallEnd, CallLimits, Refusal};
use nexo_domain::otp::{Code, Language, Reading};
use tokio::net::UdpSocket as TokioSocket;
use tokio::time::timeout;

use super::*;
use crate::audio::g711::Codec;
use crate::net::locate::Locator;
use crate::rtp::wire::packet;
use crate::sip::message::write::Draft;
use crate::sip::message::{Message, Method, Request};
use crate::sip::sdp::{self, Audio};

mod calls;
mod injection;
mod lifecycle;
mod media;
mod media_path;

const TIMEOUT: Duration = Duration::from_secs(30);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const READING: Reading = Reading { language: Language::En, repeat: 1, digit_gap_ms: 20 };

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(TIMEOUT, future).await.expect("no timeout")
}

/// A far end controlled by the test.
struct Phone {
    sip: TokioSocket,
    rtp: TokioSocket,
    rtcp: TokioSocket,
    /// The SIP address of the endpoint.
    caller: SocketAddr,
}

impl Phone {
    async fn new(caller: SocketAddr) -> Phone {
        let socket = || TokioSocket::bind((LOOPBACK, 0));
        Phone {
            sip: socket().await.unwrap(),
            rtp: socket().await.unwrap(),
            rtcp: socket().await.unwrap(),
            caller,
        }
    }

    fn address(&self) -> SocketAddr {
        self.sip.local_addr().unwrap()
    }

    fn description(&self) -> String {
        let (rtp, rtcp) = (self.rtp.local_addr(), self.rtcp.local_addr());
        let codecs = vec![Codec::Pcmu, Codec::Pcma];
        let audio = Audio::plain(rtp.unwrap(), rtcp.unwrap(), codecs);
        sdp::write(&audio, 1)
    }

    /// Answers without SRTP.
    async fn answer_without_srtp(&self, invite: &Request) {
        self.answer_with(invite, &self.description()).await;
        self.expect(Method::Ack).await;
    }

    /// Answers, with DTMF events.
    async fn answer_with_dtmf(&self, invite: &Request) {
        let audio = Audio {
            telephone_event: Some(101),
            ..sdp::read(self.description().as_bytes()).unwrap()
        };
        self.answer_with(invite, &sdp::write(&audio, 1)).await;
        self.expect(Method::Ack).await;
    }

    async fn message(&self) -> Message {
        let mut buffer = [0; 4096];
        let (length, from) = soon(self.sip.recv_from(&mut buffer)).await.unwrap();
        assert_eq!(from, self.caller);
        Message::parse(&buffer[..length]).unwrap()
    }

    /// The next message, which must be a request with this method.
    async fn expect(&self, method: Method) -> Request {
        match self.message().await {
            Message::Request(request) => {
                assert_eq!(request.method(), method);
                request
            }
            Message::Response(response) => panic!("a response: {}", response.code()),
        }
    }

    async fn answer(&self, request: &Request, code: u16) {
        self.send(Draft::response(request, code, "phone", self.caller)).await;
    }

    async fn answer_with(&self, request: &Request, description: &str) {
        let mut draft = Draft::response(request, 200, "phone", self.caller);
        draft
            .field("Contact", format_args!("<sip:phone@{}>", self.address()))
            .body(sdp::CONTENT_TYPE, description.as_bytes().to_vec());
        self.send(draft).await;
    }

    async fn send(&self, draft: Draft) {
        let sent = self.sip.send_to(&draft.bytes(), self.caller).await;
        sent.unwrap();
    }

    /// Sends a request without a body in the dialog of the INVITE.
    async fn request(&self, invite: &Request, method: &str) {
        self.request_with(invite, 7, method, "", "").await;
    }

    /// Sends an INFO in the dialog of the INVITE.
    async fn info(&self, invite: &Request, cseq: u32, content_type: &str, body: &str) {
        let fields = format!("Content-Type: {content_type}\r\n");
        self.request_with(invite, cseq, "INFO", &fields, body).await;
    }

    /// Offers other media during the call, and takes the answer.
    async fn offer(&self, invite: &Request, cseq: u32, description: &str) -> String {
        self.request_with(invite, cseq, "INVITE", "", description).await;
        let Message::Response(response) = self.message().await else {
            panic!("a request");
        };
        assert_eq!(response.code(), 200, "{description}");
        String::from_utf8_lossy(response.body()).into_owned()
    }

    async fn request_with(
        &self,
        invite: &Request,
        cseq: u32,
        method: &str,
        fields: &str,
        body: &str,
    ) {
        let tag = invite.from_tag().unwrap();
        let text = format!(
            "{method} sip:nexo@{} SIP/2.0\r\nVia: SIP/2.0/UDP {};rport;branch=z9hG4bK{cseq}\r\n\
             From: <sip:phone@h>;tag=phone\r\nTo: <sip:caller@h>;tag={tag}\r\nCall-ID: {}\r\n\
             CSeq: {cseq} {method}\r\n{fields}Content-Length: {}\r\n\r\n{body}",
            self.caller,
            self.address(),
            invite.call_id(),
            body.len(),
        );
        let sent = self.sip.send_to(text.as_bytes(), self.caller).await;
        sent.unwrap();
    }

    /// Rings and answers. Returns the INVITE.
    async fn pick_up(&self) -> Request {
        let invite = self.expect(Method::Invite).await;
        self.answer(&invite, 100).await;
        self.answer(&invite, 180).await;
        self.answer_with(&invite, &self.description()).await;
        self.expect(Method::Ack).await;
        invite
    }

    async fn packet(&self) -> (packet::Header, Vec<u8>) {
        let mut buffer = [0; 500];
        let length = soon(self.rtp.recv(&mut buffer)).await.unwrap();
        let (header, payload) = packet::parse(&buffer[..length]).unwrap();
        (header, payload.to_vec())
    }
}

async fn endpoint() -> Endpoint {
    endpoint_with(None).await
}

async fn endpoint_with(locator: Option<Locator>) -> Endpoint {
    let config =
        EndpointConfig { listen_udp: (LOOPBACK, 0).into(), locator, ..EndpointConfig::default() };
    Endpoint::start(config, PromptSet::built_in()).await.unwrap()
}

/// An endpoint and its gateway.
async fn scene() -> (Endpoint, Phone) {
    scene_with(None).await
}

async fn scene_with(locator: Option<Locator>) -> (Endpoint, Phone) {
    let endpoint = endpoint_with(locator).await;
    let phone = Phone::new(endpoint.local_addr()).await;
    endpoint.set_peers([phone.address().into()].into());
    (endpoint, phone)
}

fn order(phone: &Phone) -> CallOrder {
    CallOrder {
        call_id: "8f2e1c4d-1@nexo".into(),
        labels: CallLabels { carrier: "viettel", realm: "live" },
        gateway: phone.address().into(),
        gateway_host: phone.address().to_string(),
        number: "+84981234567".into(),
        caller: CallerId::from_number("+842471234567"),
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        code: Code::parse("4711").unwrap(),
        reading: READING,
        gateway_timeout: Duration::from_secs(4),
        limits: CallLimits {
            ring_timeout: Duration::from_secs(20),
            require_keypress: false,
            max_call: Duration::from_secs(25),
        },
        wants_all_events: true,
        credentials: None,
        srtp: false,
        media_timeout: Duration::ZERO,
        trace: None,
        permit: None,
    }
}

async fn next(events: &mut CallEvents) -> CallEvent {
    soon(events.next()).await.expect("an event")
}

/// The report of a call, after all other events.
async fn end(events: &mut CallEvents) -> CallReport {
    loop {
        if let CallEvent::Ended(report) = next(events).await {
            assert_eq!(soon(events.next()).await, None);
            return *report;
        }
    }
}
