//! Answers that do not say at once where the audio goes, or how it is protected.

use super::*;
use crate::net::locate::AddressFamilies;
use crate::net::locate::tests::serve_host;
use crate::sip::sdp::CryptoLines;
use crate::sip::sdp::sdes::Crypto;

const HOST: &str = "media.carrier.example";

/// A scene whose DNS server knows `HOST` as this machine.
async fn scene_with_dns() -> (Endpoint, Phone) {
    let server = serve_host(HOST, Ipv4Addr::LOCALHOST).await;
    scene_with(Some(Locator::with_servers(&[server], AddressFamilies::V4).unwrap())).await
}

fn description(address: &str, port: u16) -> String {
    format!("v=0\r\nc=IN IP4 {address}\r\nm=audio {port} RTP/AVP 0\r\n")
}

impl Phone {
    fn rtp_port(&self) -> u16 {
        self.rtp.local_addr().unwrap().port()
    }

    /// Answers with this description.
    async fn pick_up_with(&self, description: &str) -> Request {
        let invite = self.expect(Method::Invite).await;
        self.answer(&invite, 180).await;
        self.answer_with(&invite, description).await;
        self.expect(Method::Ack).await;
        invite
    }
}

async fn assert_delivered(phone: &Phone, events: &mut CallEvents) {
    phone.packet().await;
    let bye = phone.expect(Method::Bye).await;
    phone.answer(&bye, 200).await;
    let report = end(events).await;
    assert_eq!((report.end, report.media_error), (CallEnd::Delivered, None));
    assert_eq!(report.codec, Some(Codec::Pcmu));
}

#[tokio::test]
async fn a_media_host_is_looked_up() {
    let (endpoint, phone) = scene_with_dns().await;
    let mut events = endpoint.place(order(&phone));
    phone.pick_up_with(&description(HOST, phone.rtp_port())).await;
    assert_delivered(&phone, &mut events).await;
}

#[tokio::test]
async fn audio_moves_to_a_media_host() {
    let (endpoint, phone) = scene_with_dns().await;
    let mut events = endpoint.place(order(&phone));
    let elsewhere = TokioSocket::bind((LOOPBACK, 0)).await.unwrap();
    let before = elsewhere.local_addr().unwrap().port();
    let invite = phone.pick_up_with(&description("127.0.0.1", before)).await;
    soon(elsewhere.recv(&mut [0; 500])).await.unwrap();
    phone.offer(&invite, 8, &description(HOST, phone.rtp_port())).await;
    assert_delivered(&phone, &mut events).await;
}

#[tokio::test]
async fn a_media_host_without_an_address_ends_the_call() {
    let (endpoint, phone) = scene_with_dns().await;
    let mut events = endpoint.place(order(&phone));
    phone.pick_up_with(&description("other.example", phone.rtp_port())).await;
    let bye = phone.expect(Method::Bye).await;
    phone.answer(&bye, 200).await;
    let report = end(&mut events).await;
    assert_eq!((report.end, report.packets_sent), (CallEnd::MediaLost, 0));
    let error = report.media_error.unwrap();
    assert_eq!(error, "the media host other.example has no address");
}

#[tokio::test]
async fn a_call_answered_without_an_address_is_read_when_it_comes() {
    for held in [
        description("0.0.0.0", 4000),
        description("127.0.0.1", 0),
        format!("{}a=inactive\r\n", description("127.0.0.1", 4000)),
        format!("{}a=sendonly\r\n", description(HOST, 4000)),
    ] {
        let (endpoint, phone) = scene_with_dns().await;
        let mut events = endpoint.place(order(&phone));
        let invite = phone.pick_up_with(&held).await;
        // A second hold changes nothing.
        phone.offer(&invite, 8, &description("0.0.0.0", 4000)).await;
        assert!(phone.rtp.try_recv(&mut [0; 500]).is_err(), "nothing is sent: {held}");
        let ours = phone.offer(&invite, 9, &description("127.0.0.1", phone.rtp_port())).await;
        assert!(ours.contains("a=sendrecv"), "{ours}");
        assert_delivered(&phone, &mut events).await;
    }
}

#[tokio::test]
async fn without_an_address_the_call_ends_when_no_reading_fits() {
    let (endpoint, phone) = scene().await;
    let mut order = order(&phone);
    let reading = PromptSet::built_in().reading_times(&order.code, order.reading);
    order.limits.max_call = reading.first + Duration::from_secs(1);
    let mut events = endpoint.place(order);
    phone.pick_up_with(&description("0.0.0.0", 4000)).await;
    let bye = phone.expect(Method::Bye).await;
    phone.answer(&bye, 200).await;
    let report = end(&mut events).await;
    assert_eq!((report.end, report.packets_sent), (CallEnd::MediaLost, 0));
    assert!(report.answered_at_ms.is_some());
}

#[tokio::test]
async fn a_callee_who_hears_nothing_and_hangs_up_is_not_at_fault() {
    let (endpoint, phone) = scene().await;
    let mut events = endpoint.place(order(&phone));
    let invite = phone.pick_up_with(&description("0.0.0.0", 4000)).await;
    phone.request(&invite, "BYE").await;
    assert_eq!(end(&mut events).await.end, CallEnd::MediaLost);
}

#[tokio::test]
async fn g711_is_sent_under_the_far_ends_payload_type() {
    let (endpoint, phone) = scene().await;
    let mut events = endpoint.place(order(&phone));
    let port = phone.rtp_port();
    let dynamic = format!(
        "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio {port} RTP/AVP 96\r\na=rtpmap:96 PCMU/8000\r\n"
    );
    let invite = phone.pick_up_with(&dynamic).await;
    assert_eq!(phone.packet().await.0.payload_type, 96);
    let other = dynamic.replace("96", "111");
    let ours = phone.offer(&invite, 8, &other).await;
    assert!(ours.contains("RTP/AVP 111\r\na=rtpmap:111 PCMU/8000\r\n"), "{ours}");
    while phone.packet().await.0.payload_type == 96 {}
    assert_eq!(phone.packet().await.0.payload_type, 111);
    let _ = end(&mut events).await;
}

#[tokio::test]
async fn keys_that_we_cannot_use_end_the_call_before_it_is_answered() {
    for is_answered in [false, true] {
        let (endpoint, phone) = scene().await;
        let mut order = order(&phone);
        order.srtp = true;
        let mut events = endpoint.place(order);
        let invite = phone.expect(Method::Invite).await;
        let offered = sdp::read(invite.body()).unwrap().crypto.supported().next().unwrap();
        let audio = Audio {
            crypto: CryptoLines::of(&[Crypto { tag: offered.tag, key: offered.key.clone() }]),
            ..sdp::read(phone.description().as_bytes()).unwrap()
        };
        let inline = offered.key.to_inline();
        let with_mki = format!("{}|2^31|1:1", *inline);
        let description = sdp::write(&audio, 1).replace(inline.as_str(), &with_mki);
        let mut draft =
            Draft::response(&invite, if is_answered { 200 } else { 183 }, "phone", phone.caller);
        draft.body(sdp::CONTENT_TYPE, description.into_bytes());
        phone.send(draft).await;
        if is_answered {
            phone.expect(Method::Ack).await;
            phone.expect(Method::Bye).await;
        } else {
            let cancel = phone.expect(Method::Cancel).await;
            phone.answer(&cancel, 200).await;
            phone.answer(&invite, 487).await;
            phone.expect(Method::Ack).await;
        }
        let report = end(&mut events).await;
        assert_eq!((report.end, report.packets_sent), (CallEnd::MediaLost, 0));
        assert_eq!(report.answered_at_ms.is_some(), is_answered);
        let error = report.media_error.unwrap();
        assert!(error.contains("master key identifier"), "{error}");
        assert!(!error.contains(&inline[..8]), "{error}");
    }
}
