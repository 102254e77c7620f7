//! Audio, DTMF and SRTP.

use super::*;

impl Phone {
    /// Sends a DTMF event to the endpoint's RTP port.
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

/// The audio of a script.
pub(super) fn frames(script: &crate::speech::prompts::Script) -> Vec<u8> {
    let pieces = script.pieces.iter();
    pieces.flat_map(|piece| piece.audio.repeat(piece.repeat as usize)).collect()
}

#[tokio::test]
async fn audio_stops_when_the_phone_hangs_up() {
    let (endpoint, phone) = scene().await;
    let mut events = endpoint.place(order(&phone));
    let invite = phone.pick_up().await;
    phone.packet().await;
    phone.request(&invite, "BYE").await;
    match phone.message().await {
        Message::Response(response) => assert_eq!(response.code(), 200),
        Message::Request(_) => panic!("a request"),
    }
    let report = end(&mut events).await;
    assert_eq!(report.end, CallEnd::PartialPlayback);
    let mut rtcp_bye = [0; 200];
    let length = soon(phone.rtcp.recv(&mut rtcp_bye)).await.unwrap();
    assert_eq!(rtcp_bye[length - 7], 203, "an RTCP BYE");
    let sent = u32::from_be_bytes(rtcp_bye[20..24].try_into().unwrap());
    let mut received = 1;
    while phone.rtp.try_recv(&mut [0; 500]).is_ok() {
        received += 1;
    }
    assert_eq!(received, sent, "nothing was sent after the RTCP BYE");
    assert_eq!(report.packets_received, 0);
    assert_eq!(endpoint.calls_in_progress(), 0);
}

#[tokio::test]
async fn an_answer_without_usable_audio_is_hung_up() {
    let (endpoint, phone) = scene().await;
    for description in [
        "",
        "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 4000 RTP/AVP 18\r\n",
        "v=0\r\nc=IN IP4 127.0.0.1\r\nm=image 4000 udptl t38\r\n",
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
        assert!(report.media_error.is_some());
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
async fn if_a_key_is_required_no_digit_is_spoken_before_it() {
    let (endpoint, phone) = scene().await;
    let mut order = order(&phone);
    order.limits.require_keypress = true;
    let mut events = endpoint.place(order);
    let invite = phone.expect(Method::Invite).await;
    let offer = sdp::read(invite.body()).unwrap();
    assert_eq!(offer.telephone_event, Some(101));
    phone.answer_with_dtmf(&invite).await;
    let set = PromptSet::built_in();
    let invitation = frames(&set.press_key_script(READING.language, Codec::Pcmu));
    let mut before = Vec::new();
    for _ in 0..100 {
        before.extend(phone.packet().await.1);
    }
    assert!(invitation.starts_with(&before), "only the invitation");
    phone.press(offer.rtp.port(), 5, 1).await;
    let code = Code::parse("4711").unwrap();
    let script = frames(&set.script(&code, READING, Codec::Pcmu));
    // Packets sent before the key arrived still belong to the invitation.
    let mut after = Vec::new();
    while !after.ends_with(&script) {
        after.extend(phone.packet().await.1);
        assert!(after.len() < 2 * script.len(), "the code is not read");
    }
    let invited = before.len() + after.len() - script.len();
    let all = [before, after].concat();
    assert!(invitation.starts_with(&all[..invited]), "no digit before the key");
    let bye = phone.expect(Method::Bye).await;
    phone.answer(&bye, 200).await;
    let mut received = Vec::new();
    let report = loop {
        match next(&mut events).await {
            CallEvent::Ended(report) => break report,
            event => received.push(event),
        }
    };
    assert_eq!(report.end, CallEnd::Delivered);
    assert_eq!(received.iter().filter(|event| **event == CallEvent::KeyPressed).count(), 1);
}

#[tokio::test]
async fn a_key_repeats_the_code() {
    let (endpoint, phone) = scene().await;
    let mut events = endpoint.place(order(&phone));
    let invite = phone.expect(Method::Invite).await;
    let port = sdp::read(invite.body()).unwrap().rtp.port();
    phone.answer_with_dtmf(&invite).await;
    while next(&mut events).await != (CallEvent::CodeRead { reading: 0 }) {}
    phone.press(port, 0, 1).await;
    while next(&mut events).await != CallEvent::KeyPressed {}
    for position in 0..4 {
        let spoken = CallEvent::DigitSpoken { reading: 1, position };
        assert_eq!(next(&mut events).await, spoken);
    }
    assert_eq!(next(&mut events).await, CallEvent::CodeRead { reading: 1 });
    assert_eq!(end(&mut events).await.end, CallEnd::Delivered);
}

#[tokio::test]
async fn one_press_by_event_and_by_info_repeats_the_code_once() {
    let (endpoint, phone) = scene().await;
    let mut order = order(&phone);
    order.limits.require_keypress = true;
    let mut events = endpoint.place(order);
    let invite = phone.expect(Method::Invite).await;
    let port = sdp::read(invite.body()).unwrap().rtp.port();
    phone.answer_with_dtmf(&invite).await;
    phone.packet().await;
    phone.press(port, 5, 1).await;
    let mut keys = 0;
    while next(&mut events).await != CallEvent::KeyPressed {}
    let body = "Signal=5\r\nDuration=100\r\n";
    phone.info(&invite, 8, "application/dtmf-relay", body).await;
    // A retransmission.
    phone.info(&invite, 8, "application/dtmf-relay", body).await;
    // Another key is another press.
    phone.info(&invite, 9, "application/dtmf", "#").await;
    for _ in 0..3 {
        match phone.message().await {
            Message::Response(response) => assert_eq!(response.code(), 200),
            Message::Request(_) => panic!("a request"),
        }
    }
    let bye = phone.expect(Method::Bye).await;
    phone.answer(&bye, 200).await;
    let report = loop {
        match next(&mut events).await {
            CallEvent::Ended(report) => break report,
            event => keys += u32::from(event == CallEvent::KeyPressed),
        }
    };
    assert_eq!((report.end, keys), (CallEnd::Delivered, 1));
}

#[tokio::test]
async fn without_required_srtp_no_audio_is_sent() {
    let (endpoint, phone) = scene().await;
    let mut order = order(&phone);
    order.srtp = true;
    let mut events = endpoint.place(order);
    let invite = phone.expect(Method::Invite).await;
    let text = String::from_utf8_lossy(invite.body()).into_owned();
    assert!(text.contains("RTP/SAVP 8 0 101"), "{text}");
    assert_eq!(text.matches("a=crypto:").count(), 2);
    phone.answer_without_srtp(&invite).await;
    phone.expect(Method::Bye).await;
    let report = end(&mut events).await;
    assert_eq!(report.end, CallEnd::MediaLost);
    assert_eq!((report.packets_sent, report.is_protected), (0, false));
}
