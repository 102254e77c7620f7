//! Shutdown, panics and ports in use.

use super::*;

#[tokio::test]
async fn shutdown_hangs_up_and_waits_for_the_response_to_bye() {
    let (endpoint, phone) = scene().await;
    let mut events = endpoint.place(order(&phone));
    phone.pick_up().await;
    phone.packet().await;
    let other = endpoint.clone();
    let shutdown = tokio::spawn(endpoint.shutdown(TIMEOUT));
    // The first BYE counts as lost; the retransmission is answered.
    phone.expect(Method::Bye).await;
    let bye = phone.expect(Method::Bye).await;
    phone.answer(&bye, 200).await;
    soon(shutdown).await.unwrap();
    assert_eq!(end(&mut events).await.end, CallEnd::Abandoned);
    let refused = end(&mut other.place(order(&phone))).await;
    assert_eq!(
        refused.end,
        CallEnd::NotAccepted(Refusal::TransportLost),
        "no call is placed after a shutdown"
    );
    TokioSocket::bind(phone.caller).await.expect("the port is free again");
}

#[tokio::test]
async fn dropping_the_last_handle_hangs_up_the_calls() {
    let (endpoint, phone) = scene().await;
    let mut events = endpoint.place(order(&phone));
    phone.pick_up().await;
    drop(endpoint);
    phone.expect(Method::Bye).await;
    assert_eq!(end(&mut events).await.end, CallEnd::Abandoned);
}

#[tokio::test]
async fn a_panic_ends_only_the_calls_in_progress() {
    let (endpoint, phone) = scene().await;
    let mut events = endpoint.place(order(&phone));
    let invite = phone.expect(Method::Invite).await;
    phone.answer(&invite, 180).await;
    while next(&mut events).await != CallEvent::Ringing {}
    endpoint.provoke_panic();
    assert_eq!(end(&mut events).await.end, CallEnd::TransportLost);
    assert!(endpoint.is_alive());
    let mut order = order(&phone);
    order.call_id = "8f2e1c4d-2@nexo".into();
    let mut events = endpoint.place(order);
    let invite = phone.expect(Method::Invite).await;
    phone.answer(&invite, 404).await;
    phone.expect(Method::Ack).await;
    let not_found =
        CallEnd::NotAccepted(Refusal::Rejected { code: 404, retry_after_seconds: None });
    assert_eq!(end(&mut events).await.end, not_found);
}

#[tokio::test]
async fn repeated_panics_end_the_thread() {
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
async fn a_port_in_use_is_named_with_the_setting_to_change() {
    let first = endpoint().await;
    let config = EndpointConfig { listen_udp: first.local_addr(), ..EndpointConfig::default() };
    let Err(error) = Endpoint::start(config, PromptSet::built_in()).await else {
        panic!("two endpoints on one port");
    };
    let text = error.to_string();
    assert!(text.contains(&first.local_addr().to_string()), "{text}");
    assert!(text.contains("sip.listen_udp"), "{text}");
}
