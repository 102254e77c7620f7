//! The course of calls, and who may take part in them.

use super::media::frames;
use super::*;

#[tokio::test]
async fn an_answered_phone_receives_the_code_and_is_hung_up() {
    let (endpoint, phone) = scene().await;
    let mut events = endpoint.place(order(&phone));
    let invite = phone.pick_up().await;
    assert_eq!(invite.call_id(), "8f2e1c4d-1@nexo");
    let offer = sdp::read(invite.body()).unwrap();
    assert_eq!(offer.codecs, [Codec::Pcma, Codec::Pcmu]);
    let code = Code::parse("4711").unwrap();
    let script = PromptSet::built_in().script(&code, READING, Codec::Pcmu);
    let mut received = Vec::new();
    for _ in 0..script.frames() {
        let (header, payload) = phone.packet().await;
        assert_eq!(header.payload_type, 0, "the first codec of the phone");
        received.extend(payload);
    }
    assert!(received == frames(&script), "the audio is the script");
    let bye = phone.expect(Method::Bye).await;
    phone.answer(&bye, 200).await;

    assert_eq!(next(&mut events).await, CallEvent::Dialled);
    assert_eq!(next(&mut events).await, CallEvent::Accepted { sip_code: 100 });
    assert_eq!(next(&mut events).await, CallEvent::Ringing);
    let codec = Codec::Pcmu;
    assert_eq!(next(&mut events).await, CallEvent::Answered { codec });
    for position in 0..4 {
        let spoken = CallEvent::DigitSpoken { reading: 0, position };
        assert_eq!(next(&mut events).await, spoken);
    }
    assert_eq!(next(&mut events).await, CallEvent::CodeRead { reading: 0 });
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
    assert!(times.iter().all(Option::is_some) && times.is_sorted(), "{times:?}");
    let duration = report.ended_at_ms - report.answered_at_ms.unwrap();
    assert!(duration >= i64::from(script.frames() * 20 - 40), "{duration}");
}

#[tokio::test]
async fn a_busy_phone_ends_the_call_with_its_status_code() {
    let (endpoint, phone) = scene().await;
    let mut events = endpoint.place(order(&phone));
    let invite = phone.expect(Method::Invite).await;
    phone.answer(&invite, 180).await;
    phone.answer(&invite, 486).await;
    phone.expect(Method::Ack).await;
    assert_eq!(next(&mut events).await, CallEvent::Dialled);
    assert_eq!(next(&mut events).await, CallEvent::Accepted { sip_code: 180 });
    assert_eq!(next(&mut events).await, CallEvent::Ringing);
    let report = end(&mut events).await;
    let busy = CallEnd::Rejected { code: 486, after_ringing: true };
    assert_eq!((report.end, report.sip_code), (busy, Some(486)));
}

#[tokio::test]
async fn retry_after_of_a_503_is_reported() {
    let (endpoint, phone) = scene().await;
    let mut events = endpoint.place(order(&phone));
    let invite = phone.expect(Method::Invite).await;
    let mut draft = Draft::response(&invite, 503, "phone", phone.caller);
    draft.field("Retry-After", 17);
    phone.send(draft).await;
    phone.expect(Method::Ack).await;
    let refusal = Refusal::Rejected { code: 503, retry_after_seconds: Some(17) };
    let report = end(&mut events).await;
    assert_eq!(report.end, CallEnd::NotAccepted(refusal));
    assert_eq!(report.accepted_at_ms, None);
}

#[tokio::test]
async fn a_gateway_without_response_times_out() {
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
async fn an_unreachable_gateway_is_a_lost_transport() {
    let (endpoint, phone) = scene().await;
    let mut order = order(&phone);
    // Nothing can be sent to port 0.
    order.gateway.address.set_port(0);
    let mut events = endpoint.place(order);
    let report = end(&mut events).await;
    assert_eq!(report.end, CallEnd::NotAccepted(Refusal::TransportLost));
}

#[tokio::test]
async fn dropping_the_events_cancels_the_call() {
    let (endpoint, phone) = scene().await;
    let events = endpoint.place(order(&phone));
    let invite = phone.expect(Method::Invite).await;
    phone.answer(&invite, 180).await;
    let mut events = events;
    while next(&mut events).await != CallEvent::Ringing {}
    drop(events);
    let cancel = phone.expect(Method::Cancel).await;
    phone.answer(&cancel, 200).await;
    phone.answer(&invite, 487).await;
    phone.expect(Method::Ack).await;
    assert_eq!(endpoint.calls_in_progress(), 0);
}

#[tokio::test]
async fn sip_from_other_addresses_is_dropped() {
    let (endpoint, phone) = scene().await;
    let mut events = endpoint.place(order(&phone));
    let invite = phone.expect(Method::Invite).await;
    let stranger = TokioSocket::bind("127.0.0.2:0").await.unwrap();
    let answer = Draft::response(&invite, 603, "stranger", phone.caller).bytes();
    stranger.send_to(&answer, phone.caller).await.unwrap();
    let options = |from: SocketAddr| {
        format!(
            "OPTIONS sip:nexo@h SIP/2.0\r\nVia: SIP/2.0/UDP {from};rport;branch=z9hG4bKx\r\n\
             From: <sip:x@h>;tag=x\r\nTo: <sip:nexo@h>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n\
             Content-Length: 0\r\n\r\n"
        )
    };
    let text = options(stranger.local_addr().unwrap());
    stranger.send_to(text.as_bytes(), phone.caller).await.unwrap();
    // Once the later request of the gateway is answered, the stranger's has been dropped.
    let text = options(phone.address());
    phone.sip.send_to(text.as_bytes(), phone.caller).await.unwrap();
    match phone.message().await {
        Message::Response(response) => assert_eq!(response.code(), 200),
        Message::Request(_) => panic!("a request"),
    }
    assert!(stranger.try_recv(&mut [0; 10]).is_err());
    phone.answer(&invite, 180).await;
    while next(&mut events).await != CallEvent::Ringing {}
}

#[tokio::test]
async fn without_a_permit_no_invite_is_sent() {
    struct Denied;
    impl Permit for Denied {
        fn may_dial(&self) -> bool {
            false
        }
    }
    let (endpoint, phone) = scene().await;
    let mut denied = endpoint.place(CallOrder { permit: Some(Arc::new(Denied)), ..order(&phone) });
    let Some(CallEvent::Ended(report)) = soon(denied.next()).await else {
        panic!("no end");
    };
    assert_eq!(report.end, CallEnd::NotAccepted(Refusal::TransportLost));
    // The first INVITE that arrives is that of the next call.
    let _events = endpoint.place(CallOrder { call_id: "8f2e1c4d-2@nexo".into(), ..order(&phone) });
    let invite = phone.expect(Method::Invite).await;
    assert_eq!(invite.call_id(), "8f2e1c4d-2@nexo");
}
