use std::collections::HashMap;
use std::net::Ipv4Addr;

use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, Record};
use tokio::net::UdpSocket;

use super::*;

type Zone = HashMap<(String, RecordType), Vec<RData>>;

fn name(text: &str) -> Name {
    Name::from_utf8(text).unwrap()
}

fn srv(priority: u16, weight: u16, port: u16, target: &str) -> RData {
    RData::SRV(SRV::new(priority, weight, port, name(target)))
}

fn naptr(order: u16, services: &str, replacement: &str) -> RData {
    let (flags, services) = (b"s".to_vec(), services.as_bytes().to_vec());
    let naptr =
        NAPTR::new(order, 1, flags.into(), services.into(), Vec::new().into(), name(replacement));
    RData::NAPTR(naptr)
}

fn a(last: u8) -> RData {
    RData::A(A::new(192, 0, 2, last))
}

fn zone(records: &[(&str, RecordType, Vec<RData>)]) -> Zone {
    let records = records.iter().cloned();
    records.map(|(name, kind, data)| ((name.to_owned(), kind), data)).collect()
}

/// A locator that queries a DNS server with this zone.
async fn locator(zone: Zone) -> Locator {
    locator_for(serve(zone).await, AddressFamilies::Both)
}

fn locator_for(server: SocketAddr, families: AddressFamilies) -> Locator {
    Locator::with_servers(&[server], families).unwrap()
}

/// A DNS server that knows only this host.
pub(crate) async fn serve_host(host: &str, address: Ipv4Addr) -> SocketAddr {
    let address = RData::A(A(address));
    serve(zone(&[(&format!("{host}."), RecordType::A, vec![address])])).await
}

/// A DNS server with this zone.
async fn serve(zone: Zone) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let query = Message::from_vec(&buffer[..length]).unwrap();
            let question = query.queries[0].clone();
            let mut answer = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
            answer.metadata.recursion_available = true;
            let queried_name = question.name().to_lowercase().to_utf8();
            let known = zone.keys().any(|(name, _)| *name == queried_name);
            if !known {
                answer.metadata.response_code = ResponseCode::NXDomain;
            }
            for data in zone.get(&(queried_name, question.query_type())).into_iter().flatten() {
                let record = Record::from_rdata(question.name().clone(), 30, data.clone());
                answer.add_answer(record);
            }
            answer.add_query(question);
            socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
        }
    });
    address
}

async fn targets(locator: &Locator, uri: &str) -> Vec<String> {
    let located = locator.locate(&uri.parse().unwrap()).await.unwrap();
    located.targets.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn an_ip_address_needs_no_query() {
    let locator = locator(Zone::new()).await;
    for (uri, target) in [
        ("sip:192.0.2.9", "udp:192.0.2.9:5060"),
        ("sip:192.0.2.9;transport=tls", "tls:192.0.2.9:5061"),
        ("sip:[2001:db8::1]:5080;transport=tcp", "tcp:[2001:db8::1]:5080"),
    ] {
        assert_eq!(targets(&locator, uri).await, [target]);
    }
}

#[tokio::test]
async fn with_a_port_only_addresses_are_queried() {
    let zone = zone(&[
        ("sbc.example.vn.", RecordType::A, vec![a(1), a(2)]),
        (
            "sbc.example.vn.",
            RecordType::AAAA,
            vec![RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))],
        ),
        ("_sip._udp.sbc.example.vn.", RecordType::SRV, vec![srv(1, 1, 9999, "sbc.example.vn.")]),
    ]);
    let locator = locator(zone).await;
    assert_eq!(
        targets(&locator, "sip:sbc.example.vn:5070").await,
        ["udp:192.0.2.1:5070", "udp:192.0.2.2:5070", "udp:[2001:db8::1]:5070"]
    );
}

#[tokio::test]
async fn only_reachable_address_families_are_targets() {
    let aaaa = RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
    let zone = zone(&[
        ("both.vn.", RecordType::A, vec![a(1)]),
        ("both.vn.", RecordType::AAAA, vec![aaaa.clone()]),
        ("old.vn.", RecordType::A, vec![a(2)]),
        ("_sip._udp.old.vn.", RecordType::SRV, vec![srv(1, 1, 5070, "old.vn.")]),
    ]);
    let server = serve(zone).await;
    let (v4, v6) =
        (locator_for(server, AddressFamilies::V4), locator_for(server, AddressFamilies::V6));
    assert_eq!(targets(&v4, "sip:both.vn").await, ["udp:192.0.2.1:5060"]);
    assert_eq!(targets(&v6, "sip:both.vn").await, ["udp:[2001:db8::1]:5060"]);
    for uri in ["sip:old.vn:5060", "sip:old.vn", "sip:192.0.2.9"] {
        let error = v6.locate(&uri.parse().unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("has no IPv6 address"), "{uri}: {error}");
    }
    let unknown = v6.locate(&"sip:unknown.vn:5060".parse().unwrap()).await;
    let host = "unknown.vn".to_owned();
    assert_eq!(unknown, Err(LocateError::UnknownHost { host }));
    assert_eq!(AddressFamilies::of("0.0.0.0".parse().unwrap()), AddressFamilies::V4);
    assert_eq!(AddressFamilies::of("::".parse().unwrap()), AddressFamilies::Both);
    assert_eq!(AddressFamilies::of("2001:db8::5".parse().unwrap()), AddressFamilies::V6);
}

#[tokio::test]
async fn with_a_transport_its_srv_records_are_used_in_order() {
    let zone = zone(&[
        (
            "_sip._tcp.carrier.vn.",
            RecordType::SRV,
            vec![
                srv(20, 1, 5062, "two.carrier.vn."),
                srv(10, 1, 5061, "one.carrier.vn."),
                srv(5, 1, 5060, "gone.carrier.vn."),
            ],
        ),
        ("one.carrier.vn.", RecordType::A, vec![a(1)]),
        ("two.carrier.vn.", RecordType::A, vec![a(2)]),
        ("carrier.vn.", RecordType::A, vec![a(9)]),
    ]);
    let locator = locator(zone).await;
    assert_eq!(
        targets(&locator, "sip:carrier.vn;transport=tcp").await,
        ["tcp:192.0.2.1:5061", "tcp:192.0.2.2:5062"]
    );
    // TLS has no SRV record: the default port.
    assert_eq!(targets(&locator, "sip:carrier.vn;transport=tls").await, ["tls:192.0.2.9:5061"]);
}

#[tokio::test]
async fn naptr_selects_the_transports_and_srv_the_targets() {
    let zone = zone(&[
        (
            "carrier.vn.",
            RecordType::NAPTR,
            vec![
                naptr(20, "SIP+D2U", "udp.carrier.vn."),
                naptr(10, "SIPS+D2T", "tls.carrier.vn."),
                naptr(1, "SIP+D2S", "sctp.carrier.vn."),
            ],
        ),
        ("udp.carrier.vn.", RecordType::SRV, vec![srv(1, 1, 5070, "one.carrier.vn.")]),
        ("tls.carrier.vn.", RecordType::SRV, vec![srv(1, 1, 5071, "one.carrier.vn.")]),
        ("one.carrier.vn.", RecordType::A, vec![a(1)]),
    ]);
    let locator = locator(zone).await;
    let uri = "sip:carrier.vn".parse().unwrap();
    let located = locator.locate(&uri).await.unwrap();
    let targets: Vec<String> = located.targets.iter().map(ToString::to_string).collect();
    assert_eq!(targets, ["tls:192.0.2.1:5071", "udp:192.0.2.1:5070"]);
    assert!(located.ttl <= Duration::from_secs(30), "{located:?}");
}

#[tokio::test]
async fn without_any_srv_record_udp_at_the_default_port_is_used() {
    let locator = locator(zone(&[("plain.vn.", RecordType::A, vec![a(7)])])).await;
    assert_eq!(targets(&locator, "sip:plain.vn").await, ["udp:192.0.2.7:5060"]);
}

#[tokio::test]
async fn an_unknown_host_or_service_is_named_in_the_error() {
    let zone = zone(&[("_sip._udp.closed.vn.", RecordType::SRV, vec![srv(0, 0, 0, ".")])]);
    let locator = locator(zone).await;
    let locate_error = async |uri: &str| locator.locate(&uri.parse().unwrap()).await.unwrap_err();
    let unknown = locate_error("sip:unknown.vn").await;
    assert_eq!(unknown.to_string(), "the host unknown.vn does not exist in DNS");
    let closed = locate_error("sip:closed.vn;transport=udp").await;
    assert_eq!(closed.to_string(), "according to DNS, closed.vn does not accept SIP over udp");
}

#[tokio::test]
async fn a_dns_server_that_does_not_answer_times_out() {
    let unresponsive = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let locator = locator_for(unresponsive.local_addr().unwrap(), AddressFamilies::Both);
    let started = Instant::now();
    let error = locator.locate(&"sip:sbc.vn:5060".parse().unwrap()).await;
    let host = "sbc.vn".to_owned();
    assert_eq!(error, Err(LocateError::NoAnswer { host }));
    assert!(started.elapsed() < LOCATE_TIMEOUT + QUERY_TIMEOUT);
}
