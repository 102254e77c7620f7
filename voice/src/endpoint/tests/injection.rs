//! Packets that others send to the RTP port of a call.

use super::*;
use crate::rtp::srtp::{MasterKey, Sender};
use crate::sip::sdp::CryptoLines;
use crate::sip::sdp::sdes::Crypto;

const FRAME: Duration = Duration::from_millis(20);
const EVENTS: u8 = 101;

/// A sender of RTP at an address of its own.
struct Source<'s> {
    socket: &'s TokioSocket,
    to: SocketAddr,
    ssrc: u32,
    sequence: u16,
}

impl Source<'_> {
    fn packet(&mut self, payload_type: u8, payload: &[u8]) -> Vec<u8> {
        self.sequence += 1;
        let header = packet::Header {
            marker: false,
            payload_type,
            sequence: self.sequence,
            // Far enough from the last one for a press of its own.
            timestamp: u32::from(self.sequence) * 8000,
            ssrc: self.ssrc,
        };
        [&header.bytes()[..], payload].concat()
    }

    async fn send(&self, packet: &[u8]) {
        self.socket.send_to(packet, self.to).await.unwrap();
    }

    async fn press(&mut self, key: u8) {
        let packet = self.packet(EVENTS, &[key, 10, 0, 160]);
        self.send(&packet).await;
    }

    async fn speak(&mut self) {
        let packet = self.packet(8, &[0xd5; 160]);
        self.send(&packet).await;
    }
}

fn source(socket: &TokioSocket, to: SocketAddr, ssrc: u32) -> Source<'_> {
    Source { socket, to, ssrc, sequence: 0 }
}

/// A call that waits two seconds for a key. Returns its offer too.
async fn call_that_waits_for_a_key(
    endpoint: &Endpoint,
    phone: &Phone,
) -> (CallEvents, Request, SocketAddr) {
    let mut order = order(phone);
    order.limits.require_keypress = true;
    let reading = PromptSet::built_in().reading_times(&order.code, order.reading);
    order.limits.max_call = reading.first + Duration::from_millis(2_500);
    let events = endpoint.place(order);
    let invite = phone.expect(Method::Invite).await;
    let port = sdp::read(invite.body()).unwrap().rtp.port();
    (events, invite, SocketAddr::new(phone.caller.ip(), port))
}

/// Waits for the end of a call, in which no key and no digit may occur.
async fn end_without_a_key(mut events: CallEvents, phone: &Phone) -> CallReport {
    let bye = phone.expect(Method::Bye).await;
    phone.answer(&bye, 200).await;
    loop {
        match next(&mut events).await {
            CallEvent::Ended(report) => return *report,
            event @ (CallEvent::KeyPressed | CallEvent::DigitSpoken { .. }) => panic!("{event:?}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn keys_from_another_port_or_address_start_no_code() {
    let (endpoint, phone) = scene().await;
    let (events, invite, to) = call_that_waits_for_a_key(&endpoint, &phone).await;
    phone.answer_with_dtmf(&invite).await;
    phone.packet().await;
    let other_port = TokioSocket::bind((LOOPBACK, 0)).await.unwrap();
    let other_address = TokioSocket::bind("127.0.0.2:0").await.unwrap();
    let mut voicemail = source(&phone.rtp, to, 77);
    let mut attackers =
        [source(&other_port, to, 1), source(&other_port, to, 77), source(&other_address, to, 2)];
    for attacker in &mut attackers {
        attacker.press(1).await;
        attacker.press(2).await;
    }
    for _ in 0..40 {
        voicemail.speak().await;
        for attacker in &mut attackers {
            attacker.press(3).await;
        }
        tokio::time::sleep(FRAME).await;
    }
    let report = end_without_a_key(events, &phone).await;
    assert_eq!(report.end, CallEnd::TimeLimit);
    assert_eq!(report.packets_received, 40, "the phone's packets");
}

#[tokio::test]
async fn keys_from_another_address_do_not_count_if_the_phone_is_silent() {
    let (endpoint, phone) = scene().await;
    let (events, invite, to) = call_that_waits_for_a_key(&endpoint, &phone).await;
    phone.answer_with_dtmf(&invite).await;
    phone.packet().await;
    let other_address = TokioSocket::bind("127.0.0.2:0").await.unwrap();
    let mut attacker = source(&other_address, to, 2);
    for _ in 0..40 {
        attacker.press(3).await;
        tokio::time::sleep(FRAME).await;
    }
    let report = end_without_a_key(events, &phone).await;
    assert_eq!(report.packets_received, 0);
}

#[tokio::test]
async fn what_arrives_before_the_answer_does_not_count() {
    let (endpoint, phone) = scene().await;
    let (events, invite, to) = call_that_waits_for_a_key(&endpoint, &phone).await;
    let other_port = TokioSocket::bind((LOOPBACK, 0)).await.unwrap();
    let mut early = [source(&phone.rtp, to, 77), source(&other_port, to, 1)];
    for _ in 0..100 {
        for source in &mut early {
            source.press(3).await;
        }
    }
    phone.answer_with_dtmf(&invite).await;
    phone.packet().await;
    let report = end_without_a_key(events, &phone).await;
    assert_eq!(report.packets_received, 0);
}

#[tokio::test]
async fn a_phone_that_sends_from_another_port_can_press_a_key() {
    let (endpoint, phone) = scene().await;
    let (mut events, invite, to) = call_that_waits_for_a_key(&endpoint, &phone).await;
    phone.answer_with_dtmf(&invite).await;
    phone.packet().await;
    let other_port = TokioSocket::bind((LOOPBACK, 0)).await.unwrap();
    let mut sender = source(&other_port, to, 77);
    for _ in 0..20 {
        sender.speak().await;
        tokio::time::sleep(FRAME).await;
    }
    sender.press(3).await;
    while next(&mut events).await != CallEvent::KeyPressed {}
    phone.packet().await;
}

#[tokio::test]
async fn forged_srtp_neither_counts_nor_keeps_the_phone_from_counting() {
    let (endpoint, phone) = scene().await;
    let mut order = order(&phone);
    order.srtp = true;
    order.limits.require_keypress = true;
    let mut events = endpoint.place(order);
    let invite = phone.expect(Method::Invite).await;
    let offer = sdp::read(invite.body()).unwrap();
    let to = SocketAddr::new(phone.caller.ip(), offer.rtp.port());
    let offered = offer.crypto.supported().next().unwrap();
    let key = || MasterKey::random(offered.key.suite(), &mut rand::rng());
    let theirs = key();
    let audio = Audio {
        telephone_event: Some(EVENTS),
        crypto: CryptoLines::of(&[Crypto { tag: offered.tag, key: theirs.clone() }]),
        ..sdp::read(phone.description().as_bytes()).unwrap()
    };
    phone.answer_with(&invite, &sdp::write(&audio, 1)).await;
    phone.expect(Method::Ack).await;
    soon(phone.rtp.recv(&mut [0; 500])).await.unwrap();
    let other_port = TokioSocket::bind((LOOPBACK, 0)).await.unwrap();
    let mut forgers =
        [source(&other_port, to, 77), source(&other_port, to, 1), source(&phone.rtp, to, 77)];
    let forged_key = key();
    let mut senders = [(); 3].map(|()| Sender::new(&forged_key));
    for _ in 0..15 {
        for (forger, sender) in forgers.iter_mut().zip(&mut senders) {
            forger.press(3).await;
            let mut packet = forger.packet(EVENTS, &[4, 10, 0, 160]);
            sender.protect_rtp(&mut packet).unwrap();
            forger.send(&packet).await;
        }
        tokio::time::sleep(FRAME).await;
    }
    let mut phone_audio = source(&phone.rtp, to, 77);
    let mut press = phone_audio.packet(EVENTS, &[5, 10, 0, 160]);
    Sender::new(&theirs).protect_rtp(&mut press).unwrap();
    phone_audio.send(&press).await;
    while next(&mut events).await != CallEvent::KeyPressed {}
    phone.request(&invite, "BYE").await;
    let report = end(&mut events).await;
    assert_eq!(report.packets_received, 1);
}
