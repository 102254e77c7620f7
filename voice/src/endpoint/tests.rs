use std::net::Ipv4Addr;
use std::time::Duration;

use nexo_domain::call::{CallEnd, CallLimits, Refusal};
use nexo_domain::otp::{Code, Language, Reading};
use tokio::net::UdpSocket as TokioSocket;
use tokio::time::timeout;

use super::*;
use crate::audio::g711::Codec;
use crate::rtp::wire::packet;
use crate::sip::message::message::{Message, Method, Request};
use crate::sip::message::write::Draft;
use crate::sip::sdp::sdp;
use crate::sip::sdp::sdp::Audio;

const PATIENCE: Duration = Duration::from_secs(30);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const READING: Reading = Reading {
    language: Language::En,
    repeat: 1,
    digit_gap_ms: 20,
};

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it comes in time")
}

/// A far end that says what the test tells it to.
struct Phone {
    sip: TokioSocket,
    rtp: TokioSocket,
    rtcp: TokioSocket,
    /// Where the endpoint's SIP comes from.
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

    /// Answers without protection, whatever was offered.
    async fn answer_plainly(&self, invite: &Request) {
        self.answer_described(invite, &self.description()).await;
    }

    /// Answers, and agrees to send keys as events.
    async fn answer_with_events(&self, invite: &Request) {
        let audio = Audio {
            telephone_event: Some(101),
            ..sdp::read(self.description().as_bytes()).unwrap()
        };
        self.answer_described(invite, &sdp::write(&audio, 1)).await;
    }

    async fn answer_described(&self, invite: &Request, description: &str) {
        let mut draft = Draft::answer(invite, 200, "phone", self.caller);
        draft
            .field("Contact", format_args!("<sip:phone@{}>", self.address()))
            .body(sdp::CONTENT_TYPE, description.as_bytes().to_vec());
        self.sip.send_to(&draft.bytes(), self.caller).await.unwrap();
        self.expect(Method::Ack).await;
    }

    async fn message(&self) -> Message {
        let mut buffer = [0; 4096];
        let (length, from) = soon(self.sip.recv_from(&mut buffer)).await.unwrap();
        assert_eq!(from, self.caller);
        Message::parse(&buffer[..length]).unwrap()
    }

    /// The next request, which is to be this one.
    async fn expect(&self, method: Method) -> Request {
        match self.message().await {
            Message::Request(request) => {
                assert_eq!(request.method(), method);
                request
            }
            Message::Response(response) => panic!("an answer: {}", response.code()),
        }
    }

    async fn answer(&self, request: &Request, code: u16) {
        self.send(Draft::answer(request, code, "phone", self.caller))
            .await;
    }

    async fn answer_with(&self, request: &Request, description: &str) {
        let mut draft = Draft::answer(request, 200, "phone", self.caller);
        draft
            .field("Contact", format_args!("<sip:phone@{}>", self.address()))
            .body(sdp::CONTENT_TYPE, description.as_bytes().to_vec());
        self.send(draft).await;
    }

    async fn send(&self, draft: Draft) {
        let sent = self.sip.send_to(&draft.bytes(), self.caller).await;
        sent.unwrap();
    }

    /// Asks something in the dialog that the INVITE and our 200 made.
    async fn ask(&self, invite: &Request, method: &str) {
        let tag = invite.from_tag().unwrap();
        let text = format!(
            "{method} sip:nexo@{} SIP/2.0\r\nVia: SIP/2.0/UDP {};rport;branch=z9hG4bKphone\r\n\
             From: <sip:phone@h>;tag=phone\r\nTo: <sip:caller@h>;tag={tag}\r\nCall-ID: {}\r\n\
             CSeq: 7 {method}\r\nContent-Length: 0\r\n\r\n",
            self.caller,
            self.address(),
            invite.call_id(),
        );
        let sent = self.sip.send_to(text.as_bytes(), self.caller).await;
        sent.unwrap();
    }

    /// Rings and answers; gives the INVITE.
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
    let config = EndpointConfig {
        listen_udp: (LOOPBACK, 0).into(),
        ..EndpointConfig::default()
    };
    Endpoint::start(config, PromptSet::built_in())
        .await
        .unwrap()
}

/// An endpoint, and a far end that is its gateway.
async fn scene() -> (Endpoint, Phone) {
    let endpoint = endpoint().await;
    let phone = Phone::new(endpoint.local_addr()).await;
    endpoint.set_peers([phone.address().into()].into());
    (endpoint, phone)
}

fn order(phone: &Phone) -> CallOrder {
    CallOrder {
        call_id: "8f2e1c4d-1@nexo".into(),
        counted_as: CountedAs {
            carrier: "viettel",
            realm: "live",
        },
        gateway: phone.address().into(),
        gateway_host: phone.address().to_string(),
        number: "+84981234567".into(),
        caller: Caller::showing("+842471234567"),
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        code: Code::parse("4711").unwrap(),
        reading: READING,
        gateway_timeout: Duration::from_secs(4),
        limits: CallLimits {
            ring_timeout: Duration::from_secs(20),
            require_keypress: false,
            longest_call: Duration::from_secs(25),
        },
        every_step: true,
        credentials: None,
        srtp: false,
        media_timeout: Duration::ZERO,
        trace: None,
        permit: None,
    }
}

async fn next(events: &mut CallEvents) -> CallNews {
    soon(events.next()).await.expect("the call is not over")
}

/// The end of a call, after any other news.
async fn end(events: &mut CallEvents) -> CallReport {
    loop {
        if let CallNews::Ended(report) = next(events).await {
            assert_eq!(soon(events.next()).await, None);
            return *report;
        }
    }
}

#[tokio::test]
async fn an_answered_phone_hears_the_code_and_is_hung_up() {
    let (endpoint, phone) = scene().await;
    let mut events = endpoint.place(order(&phone));
    let invite = phone.pick_up().await;
    assert_eq!(invite.call_id(), "8f2e1c4d-1@nexo");
    let offer = sdp::read(invite.body()).unwrap();
    assert_eq!(offer.codecs, [Codec::Pcma, Codec::Pcmu]);
    let code = Code::parse("4711").unwrap();
    let script = PromptSet::built_in().script(&code, READING, Codec::Pcmu);
    let mut heard = Vec::new();
    for _ in 0..script.frames() {
        let (header, payload) = phone.packet().await;
        assert_eq!(header.payload_type, 0, "the phone's first choice");
        heard.extend(payload);
    }
    let said: Vec<u8> = script
        .pieces
        .iter()
        .flat_map(|piece| piece.audio.repeat(piece.repeat as usize))
        .collect();
    assert!(heard == said, "the audio is the script");
    let bye = phone.expect(Method::Bye).await;
    phone.answer(&bye, 200).await;

    assert_eq!(next(&mut events).await, CallNews::Dialled);
    assert_eq!(
        next(&mut events).await,
        CallNews::Accepted { sip_code: 100 }
    );
    assert_eq!(next(&mut events).await, CallNews::Ringing);
    let codec = Codec::Pcmu;
    assert_eq!(next(&mut events).await, CallNews::Answered { codec });
    for position in 0..4 {
        let spoken = CallNews::DigitSpoken {
            reading: 0,
            position,
        };
        assert_eq!(next(&mut events).await, spoken);
    }
    assert_eq!(next(&mut events).await, CallNews::CodeRead { reading: 0 });
    let report = end(&mut events).await;
    assert_eq!(report.end, CallEnd::Delivered);
    assert_eq!(report.sip_code, Some(200));
    assert_eq!(report.codec, Some(Codec::Pcmu));
    assert_eq!(report.packets_sent, u64::from(script.frames()));
    let times = [
        Some(report.started_at_ms),
        report.accepted_at_ms,
        report.ringing_at_ms,
        report.answered_at_ms,
        Some(report.ended_at_ms),
    ];
    assert!(
        times.iter().all(Option::is_some) && times.is_sorted(),
        "{times:?}"
    );
    let talked = report.ended_at_ms - report.answered_at_ms.unwrap();
    assert!(talked >= i64::from(script.frames() * 20 - 40), "{talked}");
}

#[tokio::test]
async fn a_busy_phone_ends_the_call_with_its_code() {
    let (endpoint, phone) = scene().await;
    let mut events = endpoint.place(order(&phone));
    let invite = phone.expect(Method::Invite).await;
    phone.answer(&invite, 180).await;
    phone.answer(&invite, 486).await;
    phone.expect(Method::Ack).await;
    assert_eq!(next(&mut events).await, CallNews::Dialled);
    assert_eq!(
        next(&mut events).await,
        CallNews::Accepted { sip_code: 180 }
    );
    assert_eq!(next(&mut events).await, CallNews::Ringing);
    let report = end(&mut events).await;
    let busy = CallEnd::Rejected {
        code: 486,
        after_ringing: true,
    };
    assert_eq!((report.end, report.sip_code), (busy, Some(486)));
}

#[tokio::test]
async fn a_throttling_gateway_says_when_to_come_back() {
    let (endpoint, phone) = scene().await;
    let mut events = endpoint.place(order(&phone));
    let invite = phone.expect(Method::Invite).await;
    let mut draft = Draft::answer(&invite, 503, "phone", phone.caller);
    draft.field("Retry-After", 17);
    phone.send(draft).await;
    phone.expect(Method::Ack).await;
    let refusal = Refusal::Rejected {
        code: 503,
        retry_after_seconds: Some(17),
    };
    let report = end(&mut events).await;
    assert_eq!(report.end, CallEnd::NotAccepted(refusal));
    assert_eq!(report.accepted_at_ms, None);
}

#[tokio::test]
async fn a_silent_gateway_is_given_up_after_its_time() {
    let (endpoint, phone) = scene().await;
    let mut order = order(&phone);
    order.gateway_timeout = Duration::from_millis(100);
    let mut events = endpoint.place(order);
    phone.expect(Method::Invite).await;
    let report = end(&mut events).await;
    assert_eq!(report.end, CallEnd::NotAccepted(Refusal::Silent));
    assert_eq!(report.sip_code, None);
}

#[tokio::test]
async fn a_gateway_that_cannot_be_reached_is_a_lost_transport() {
    let (endpoint, phone) = scene().await;
    let mut order = order(&phone);
    // Nothing can be sent to port 0.
    order.gateway.address.set_port(0);
    let mut events = endpoint.place(order);
    let report = end(&mut events).await;
    assert_eq!(report.end, CallEnd::NotAccepted(Refusal::TransportLost));
}

#[tokio::test]
async fn audio_stops_when_the_phone_hangs_up() {
    let (endpoint, phone) = scene().await;
    let mut events = endpoint.place(order(&phone));
    let invite = phone.pick_up().await;
    phone.packet().await;
    phone.ask(&invite, "BYE").await;
    match phone.message().await {
        Message::Response(response) => assert_eq!(response.code(), 200),
        Message::Request(_) => panic!("a request"),
    }
    let report = end(&mut events).await;
    assert_eq!(report.end, CallEnd::PartialPlayback);
    let mut goodbye = [0; 200];
    let length = soon(phone.rtcp.recv(&mut goodbye)).await.unwrap();
    assert_eq!(goodbye[length - 7], 203, "an RTCP BYE");
    let sent = u32::from_be_bytes(goodbye[20..24].try_into().unwrap());
    let mut heard = 1;
    while phone.rtp.try_recv(&mut [0; 500]).is_ok() {
        heard += 1;
    }
    assert_eq!(heard, sent, "nothing was sent after the goodbye");
    assert_eq!(report.packets_received, 0);
    assert_eq!(endpoint.calls_in_progress(), 0);
}

#[tokio::test]
async fn an_answer_without_usable_audio_is_hung_up() {
    let (endpoint, phone) = scene().await;
    for description in [
        "",
        "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 4000 RTP/AVP 18\r\n",
        "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 0 RTP/AVP 8\r\n",
    ] {
        let mut events = endpoint.place(order(&phone));
        let invite = phone.expect(Method::Invite).await;
        phone.answer_with(&invite, description).await;
        phone.expect(Method::Ack).await;
        let bye = phone.expect(Method::Bye).await;
        phone.answer(&bye, 200).await;
        let report = end(&mut events).await;
        assert_eq!(report.end, CallEnd::MediaLost, "{description:?}");
        assert_eq!(report.packets_sent, 0);
    }
}

#[tokio::test]
async fn audio_that_cannot_be_sent_ends_the_call_as_lost() {
    let (endpoint, phone) = scene().await;
    let mut events = endpoint.place(order(&phone));
    let invite = phone.expect(Method::Invite).await;
    // The kernel refuses to broadcast.
    let nowhere = "v=0\r\nc=IN IP4 255.255.255.255\r\nm=audio 4000 RTP/AVP 8\r\n";
    phone.answer_with(&invite, nowhere).await;
    phone.expect(Method::Ack).await;
    phone.expect(Method::Bye).await;
    let report = end(&mut events).await;
    assert_eq!(report.end, CallEnd::MediaLost);
}

#[tokio::test]
async fn a_call_that_nobody_follows_is_cancelled() {
    let (endpoint, phone) = scene().await;
    let events = endpoint.place(order(&phone));
    let invite = phone.expect(Method::Invite).await;
    phone.answer(&invite, 180).await;
    let mut events = events;
    while next(&mut events).await != CallNews::Ringing {}
    drop(events);
    let cancel = phone.expect(Method::Cancel).await;
    phone.answer(&cancel, 200).await;
    phone.answer(&invite, 487).await;
    phone.expect(Method::Ack).await;
    assert_eq!(endpoint.calls_in_progress(), 0);
}

#[tokio::test]
async fn sip_from_a_stranger_is_dropped() {
    let (endpoint, phone) = scene().await;
    let mut events = endpoint.place(order(&phone));
    let invite = phone.expect(Method::Invite).await;
    let stranger = TokioSocket::bind("127.0.0.2:0").await.unwrap();
    let answer = Draft::answer(&invite, 603, "stranger", phone.caller).bytes();
    stranger.send_to(&answer, phone.caller).await.unwrap();
    let options = |from: SocketAddr| {
        format!(
            "OPTIONS sip:nexo@h SIP/2.0\r\nVia: SIP/2.0/UDP {from};rport;branch=z9hG4bKx\r\n\
             From: <sip:x@h>;tag=x\r\nTo: <sip:nexo@h>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n\
             Content-Length: 0\r\n\r\n"
        )
    };
    let text = options(stranger.local_addr().unwrap());
    stranger
        .send_to(text.as_bytes(), phone.caller)
        .await
        .unwrap();
    // The gateway asks last and is answered: by then the stranger has been dealt with.
    let text = options(phone.address());
    phone
        .sip
        .send_to(text.as_bytes(), phone.caller)
        .await
        .unwrap();
    match phone.message().await {
        Message::Response(response) => assert_eq!(response.code(), 200),
        Message::Request(_) => panic!("a request"),
    }
    assert!(stranger.try_recv(&mut [0; 10]).is_err());
    phone.answer(&invite, 180).await;
    while next(&mut events).await != CallNews::Ringing {}
}

#[tokio::test]
async fn shutdown_hangs_up_and_waits_until_the_phone_knows() {
    let (endpoint, phone) = scene().await;
    let mut events = endpoint.place(order(&phone));
    phone.pick_up().await;
    phone.packet().await;
    let other = endpoint.clone();
    let shutdown = tokio::spawn(endpoint.shutdown(PATIENCE));
    // It is lost on the way: only one that is sent again is answered.
    phone.expect(Method::Bye).await;
    let bye = phone.expect(Method::Bye).await;
    phone.answer(&bye, 200).await;
    soon(shutdown).await.unwrap();
    assert_eq!(end(&mut events).await.end, CallEnd::Abandoned);
    let refused = end(&mut other.place(order(&phone))).await;
    assert_eq!(
        refused.end,
        CallEnd::NotAccepted(Refusal::TransportLost),
        "nothing is placed any more"
    );
    TokioSocket::bind(phone.caller)
        .await
        .expect("the port is free again");
}

#[tokio::test]
async fn with_the_last_handle_the_calls_are_hung_up() {
    let (endpoint, phone) = scene().await;
    let mut events = endpoint.place(order(&phone));
    phone.pick_up().await;
    drop(endpoint);
    phone.expect(Method::Bye).await;
    assert_eq!(end(&mut events).await.end, CallEnd::Abandoned);
}

#[tokio::test]
async fn a_panic_ends_the_calls_in_progress_and_no_later_one() {
    let (endpoint, phone) = scene().await;
    let mut events = endpoint.place(order(&phone));
    let invite = phone.expect(Method::Invite).await;
    phone.answer(&invite, 180).await;
    while next(&mut events).await != CallNews::Ringing {}
    endpoint.provoke_panic();
    assert_eq!(end(&mut events).await.end, CallEnd::TransportLost);
    assert!(endpoint.is_alive());
    let mut order = order(&phone);
    order.call_id = "8f2e1c4d-2@nexo".into();
    let mut events = endpoint.place(order);
    let invite = phone.expect(Method::Invite).await;
    phone.answer(&invite, 404).await;
    phone.expect(Method::Ack).await;
    let not_found = CallEnd::NotAccepted(Refusal::Rejected {
        code: 404,
        retry_after_seconds: None,
    });
    assert_eq!(end(&mut events).await.end, not_found);
}

#[tokio::test]
async fn panics_without_end_show_in_is_alive() {
    let endpoint = endpoint().await;
    let phone = Phone::new(endpoint.local_addr()).await;
    while endpoint.is_alive() {
        endpoint.provoke_panic();
        tokio::task::yield_now().await;
    }
    let report = end(&mut endpoint.place(order(&phone))).await;
    assert_eq!(report.end, CallEnd::NotAccepted(Refusal::TransportLost));
}

#[tokio::test]
async fn a_port_in_use_is_named_with_the_mend() {
    let first = endpoint().await;
    let config = EndpointConfig {
        listen_udp: first.local_addr(),
        ..EndpointConfig::default()
    };
    let Err(error) = Endpoint::start(config, PromptSet::built_in()).await else {
        panic!("two on one port");
    };
    let text = error.to_string();
    assert!(text.contains(&first.local_addr().to_string()), "{text}");
    assert!(text.contains("sip.listen_udp"), "{text}");
}

/// The next packet's payload type and whether anything but silence is in it.
async fn hears(phone: &Phone) -> Vec<u8> {
    phone.packet().await.1
}

impl Phone {
    /// Presses a key.
    async fn press(&self, port: u16, key: u8, timestamp: u32) {
        let header = packet::Header {
            marker: true,
            payload_type: 101,
            sequence: timestamp as u16,
            timestamp,
            ssrc: 77,
        };
        let event = [key, 10, 0, 160];
        let packet = [&header.bytes()[..], &event].concat();
        let to = SocketAddr::new(self.caller.ip(), port);
        self.rtp.send_to(&packet, to).await.unwrap();
    }
}

/// The frames of a script as they are sent.
fn frames(script: &crate::speech::prompts::Script) -> Vec<u8> {
    let pieces = script.pieces.iter();
    pieces
        .flat_map(|piece| piece.audio.repeat(piece.repeat as usize))
        .collect()
}

#[tokio::test]
async fn where_a_key_is_required_no_packet_before_it_holds_a_digit() {
    let (endpoint, phone) = scene().await;
    let mut order = order(&phone);
    order.limits.require_keypress = true;
    let mut events = endpoint.place(order);
    let invite = phone.expect(Method::Invite).await;
    let offer = sdp::read(invite.body()).unwrap();
    assert_eq!(offer.telephone_event, Some(101));
    phone.answer_with_events(&invite).await;
    let set = PromptSet::built_in();
    let invitation = frames(&set.invitation(READING.language, Codec::Pcmu));
    let mut heard = Vec::new();
    for _ in 0..100 {
        heard.extend(hears(&phone).await);
    }
    assert!(invitation.starts_with(&heard), "only the invitation");
    phone.press(offer.rtp.port(), 5, 1).await;
    let code = Code::parse("4711").unwrap();
    let script = frames(&set.script(&code, READING, Codec::Pcmu));
    // What was on its way before the key still belongs to the invitation.
    let mut after = Vec::new();
    while !after.ends_with(&script) {
        after.extend(hears(&phone).await);
        assert!(after.len() < 2 * script.len(), "the code is not read");
    }
    let before = heard.len() + after.len() - script.len();
    let both = [heard, after].concat();
    assert!(
        invitation.starts_with(&both[..before]),
        "no digit before the key"
    );
    let bye = phone.expect(Method::Bye).await;
    phone.answer(&bye, 200).await;
    let mut told = Vec::new();
    let report = loop {
        match next(&mut events).await {
            CallNews::Ended(report) => break report,
            news => told.push(news),
        }
    };
    assert_eq!(report.end, CallEnd::Delivered);
    assert_eq!(
        told.iter().filter(|n| **n == CallNews::KeyPressed).count(),
        1
    );
}

#[tokio::test]
async fn a_key_has_the_code_read_again() {
    let (endpoint, phone) = scene().await;
    let mut events = endpoint.place(order(&phone));
    let invite = phone.expect(Method::Invite).await;
    let port = sdp::read(invite.body()).unwrap().rtp.port();
    phone.answer_with_events(&invite).await;
    while next(&mut events).await != (CallNews::CodeRead { reading: 0 }) {}
    phone.press(port, 0, 1).await;
    while next(&mut events).await != CallNews::KeyPressed {}
    for position in 0..4 {
        let spoken = CallNews::DigitSpoken {
            reading: 1,
            position,
        };
        assert_eq!(next(&mut events).await, spoken);
    }
    assert_eq!(next(&mut events).await, CallNews::CodeRead { reading: 1 });
    assert_eq!(end(&mut events).await.end, CallEnd::Delivered);
}

#[tokio::test]
async fn a_gateway_that_does_not_protect_what_must_be_hears_nothing() {
    let (endpoint, phone) = scene().await;
    let mut order = order(&phone);
    order.srtp = true;
    let mut events = endpoint.place(order);
    let invite = phone.expect(Method::Invite).await;
    let text = String::from_utf8_lossy(invite.body()).into_owned();
    assert!(text.contains("RTP/SAVP 8 0 101"), "{text}");
    assert_eq!(text.matches("a=crypto:").count(), 2);
    phone.answer_plainly(&invite).await;
    phone.expect(Method::Bye).await;
    let report = end(&mut events).await;
    assert_eq!(report.end, CallEnd::MediaLost);
    assert_eq!((report.packets_sent, report.is_protected), (0, false));
}

#[tokio::test]
async fn without_a_permit_nothing_is_dialled() {
    struct Denied;
    impl Permit for Denied {
        fn may_dial(&self) -> bool {
            false
        }
    }
    let (endpoint, phone) = scene().await;
    let mut denied = endpoint.place(CallOrder {
        permit: Some(Arc::new(Denied)),
        ..order(&phone)
    });
    let Some(CallNews::Ended(report)) = soon(denied.next()).await else {
        panic!("it goes on");
    };
    assert_eq!(report.end, CallEnd::NotAccepted(Refusal::TransportLost));
    // The first that the phone hears of is the next call.
    let _events = endpoint.place(CallOrder {
        call_id: "8f2e1c4d-2@nexo".into(),
        ..order(&phone)
    });
    let invite = phone.expect(Method::Invite).await;
    assert_eq!(invite.call_id(), "8f2e1c4d-2@nexo");
}
