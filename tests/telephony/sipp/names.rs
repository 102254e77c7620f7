//! Locating a gateway by name: dnsmasq serves NAPTR, SRV and address records that lead to SIPp (RFC 3263).

use harness::nexo_binary;
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::far_end::{FarEnd, free_port, has_port};
use super::{CASH, DELIVERED, PRICE, QUICK, assert_end, assert_total};
use harness::{Backend, Gateway, cases, phone};

/// dnsmasq with only these records. Killed when dropped.
pub struct NameServer {
    pub address: String,
    dnsmasq: Child,
}

impl NameServer {
    pub fn start(records: &[String]) -> NameServer {
        let port = free_port();
        let mut dnsmasq = Command::new("dnsmasq")
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--user=", "--pid-file="])
            .args(["--no-resolv", "--no-hosts", "--local=/example/", "--log-facility=-"])
            .args(["--listen-address=127.0.0.1", "--bind-interfaces"])
            .arg(format!("--port={port}"))
            .args(records)
            .stderr(Stdio::null())
            .spawn()
            .expect("dnsmasq: install Debian's package dnsmasq-base");
        let until = Instant::now() + Duration::from_secs(30);
        while !has_port(dnsmasq.id(), port) {
            let has_ended = dnsmasq.try_wait().unwrap();
            assert!(has_ended.is_none() && Instant::now() < until, "{has_ended:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        NameServer { address: format!("127.0.0.1:{port}"), dnsmasq }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _ = self.dnsmasq.kill();
        let _ = self.dnsmasq.wait();
    }
}

/// The JSON output of a `nexo` command with these DNS records.
fn nexo(command: &[&str], gateway: &str, records: &[String]) -> Value {
    nexo_at("127.0.0.1:0", command, gateway, records)
}

/// The same, with our SIP port bound to `listen`.
fn nexo_at(listen: &str, command: &[&str], gateway: &str, records: &[String]) -> Value {
    let server = NameServer::start(records);
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(nexo_binary())
        .arg("--json")
        .args(command)
        .current_dir(folder.path())
        .env("NEXO_CARRIERS", format!(r#"[{{name="viettel",gateways=[{gateway}]}}]"#))
        .env("NEXO_METRICS__LISTEN", "127.0.0.1:1")
        .env("NEXO_SIP__DNS_SERVERS", format!(r#"["{}"]"#, server.address))
        .env("NEXO_SIP__LISTEN_UDP", listen)
        .env("NEXO_SIP__RTP_PORTS", "0")
        .env("NEXO_CALLS__REPEAT", "1")
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}\n{errors}");
    serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}\n{errors}"))
}

/// Places a call to a gateway with this configuration.
fn call(gateway: &str, records: &[String]) -> Value {
    nexo(&["call", &phone(1), "482917"], gateway, records)
}

/// The peers of a call's messages, in order.
fn peers(call: &Value) -> Vec<&str> {
    let ladder = call["ladder"].as_array().unwrap();
    let mut peers: Vec<&str> = ladder.iter().map(|rung| rung["peer"].as_str().unwrap()).collect();
    peers.dedup();
    peers
}

fn srv(service: &str, host: &str, port: u16, priority: u16) -> String {
    format!("--srv-host={service}.carrier.example,{host}.carrier.example,{port},{priority},10")
}

const GATEWAY: &str = r#"{name="sbc",uri="sip:carrier.example"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn naptr_selects_tcp_and_srv_falls_back_to_the_second_target() {
    let far_end = FarEnd::start("answer", 1, &[], &["-t", "t1"]);
    let (dead, port) = (free_port(), far_end.port);
    let records = [
        "--naptr-record=carrier.example,10,50,S,SIP+D2T,,_sip._tcp.carrier.example".to_owned(),
        "--naptr-record=carrier.example,20,50,S,SIP+D2U,,_sip._udp.carrier.example".to_owned(),
        srv("_sip._tcp", "hn1", dead, 10),
        srv("_sip._tcp", "hn2", port, 20),
        srv("_sip._udp", "hn1", dead, 10),
        "--host-record=hn1.carrier.example,127.0.0.1".to_owned(),
        "--host-record=hn2.carrier.example,127.0.0.1".to_owned(),
    ];
    let call = call(GATEWAY, &records);
    assert_eq!(call["status"], "delivered", "{call:#}");
    let targets = [format!("tcp:127.0.0.1:{dead}"), format!("tcp:127.0.0.1:{port}")];
    assert_eq!(peers(&call), targets, "{call:#}");
    far_end.assert_passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_reachable_at_its_second_target() {
    let far_end = FarEnd::start("here", 1, &[], &[]);
    let (dead, port) = (free_port(), far_end.port);
    let records = [
        srv("_sip._udp", "hn1", dead, 10),
        srv("_sip._udp", "hn1", port, 20),
        "--host-record=hn1.carrier.example,127.0.0.1".to_owned(),
    ];
    let trunks = nexo(&["trunks"], GATEWAY, &records);
    let carriers = trunks["carriers"].as_array().unwrap();
    let viettel = carriers.iter().find(|carrier| carrier["carrier"] == "viettel");
    let gateway = &viettel.unwrap()["gateways"][0];
    assert_eq!(gateway["reachable"], true, "{gateway:#}");
    let targets = [format!("udp:127.0.0.1:{dead}"), format!("udp:127.0.0.1:{port}")];
    assert_eq!(peers(gateway), targets, "{gateway:#}");
    far_end.assert_passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_naptr_srv_is_queried_and_without_srv_the_address() {
    let far_end = FarEnd::start("answer", 2, &[], &[]);
    let port = far_end.port;
    let address = "--host-record=hn1.carrier.example,127.0.0.1".to_owned();
    let target = [format!("udp:127.0.0.1:{port}")];
    let by_srv = call(GATEWAY, &[srv("_sip._udp", "hn1", port, 10), address.clone()]);
    assert_eq!(by_srv["status"], "delivered", "{by_srv:#}");
    assert_eq!(peers(&by_srv), target, "{by_srv:#}");
    let named = format!(r#"{{name="sbc",uri="sip:hn1.carrier.example:{port}"}}"#);
    let by_address = call(&named, &[address]);
    assert_eq!(by_address["status"], "delivered", "{by_address:#}");
    assert_eq!(peers(&by_address), target, "{by_address:#}");
    far_end.assert_passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dual_stack_host_is_called_over_the_bound_family() {
    let records = |port| {
        [
            srv("_sip._udp", "hn1", port, 10),
            "--host-record=hn1.carrier.example,127.0.0.1,::1".to_owned(),
        ]
    };
    let read = |listen, records: &[String]| {
        let call = nexo_at(listen, &["call", &phone(1), "482917"], GATEWAY, records);
        assert_eq!(call["status"], "delivered", "{call:#}");
        call
    };
    let far_end = FarEnd::start("answer", 1, &[], &[]);
    let call = read("127.0.0.1:0", &records(far_end.port));
    assert_eq!(peers(&call), [format!("udp:127.0.0.1:{}", far_end.port)]);
    far_end.assert_passed();
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        // Skipped on a machine without IPv6.
        return;
    }
    let far_end = FarEnd::start("answer", 1, &[], &["-i", "::1", "-mi", "::1"]);
    let call = read("[::1]:0", &records(far_end.port));
    assert_eq!(peers(&call), [format!("udp:[::1]:{}", far_end.port)]);
    far_end.assert_passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_otp_is_delivered_through_the_second_target() {
    let far_end = FarEnd::start("answer", 1, &[], &[]);
    let server = NameServer::start(&[
        srv("_sip._udp", "hn1", free_port(), 10),
        srv("_sip._udp", "hn1", far_end.port, 20),
        "--host-record=hn1.carrier.example,127.0.0.1".to_owned(),
    ]);
    let carriers = r#"[{name="viettel",gateways=[{name="sbc",uri="sip:carrier.example",options_ping_seconds=0}]}]"#;
    let servers = format!(r#"["{}"]"#, server.address);
    let settings = [("NEXO_CARRIERS", carriers), ("NEXO_SIP__DNS_SERVERS", &servers), QUICK];
    let gateway = Gateway::start(Backend::Sqlite, &settings);
    let customer = gateway.customer("a@example.com", "10.00");
    let sent = customer.send(&phone(1), "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let ended = customer.terminal(sent.json["id"].as_str().unwrap()).await;
    assert_end(&ended, &DELIVERED);
    assert_total(&customer, CASH - PRICE).await;
    far_end.assert_passed();
    gateway.audit();
}

/// A gateway that only forwards INVITEs and responses: it is not in the route of the dialog.
struct Edge {
    port: u16,
    methods: Arc<Mutex<Vec<String>>>,
    relay: JoinHandle<()>,
}

impl Edge {
    async fn start(far_end: u16) -> Edge {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let methods: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&methods);
        let relay = tokio::spawn(async move {
            let (mut buffer, mut caller) = ([0; 65_536], None);
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let datagram = &buffer[..length];
                let to = match from.port() == far_end {
                    true => caller.expect("a caller"),
                    false => {
                        caller = Some(from);
                        let text = String::from_utf8_lossy(datagram);
                        let method = text.split(' ').next().unwrap_or_default().to_owned();
                        let is_forwarded = method == "INVITE";
                        seen.lock().unwrap().push(method);
                        if !is_forwarded {
                            continue;
                        }
                        (Ipv4Addr::LOCALHOST, far_end).into()
                    }
                };
                socket.send_to(datagram, to).await.unwrap();
            }
        });
        Edge { port, methods, relay }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

cases! {
    requests_of_a_dialog_go_to_the_name_that_the_far_end_gives:
    in_its_contact("Contact: <sip:phone@core.example:[local_port]>");
    by_srv("Contact: <sip:phone@pool.example>");
    in_its_record_route("Record-Route: <sip:core.example:[local_port];lr>\n      Contact: <sip:phone@elsewhere.example>");
}

/// Before, ACK and BYE went to the gateway, and the far end repeated its 200 for 32 s.
async fn requests_of_a_dialog_go_to_the_name_that_the_far_end_gives(fields: &str) {
    let edits = [("Contact: <sip:phone@[local_ip]:[local_port]>", fields)];
    let far_end = FarEnd::edited("answer", 1, &edits, &[]);
    let edge = Edge::start(far_end.port).await;
    let server = NameServer::start(&[
        "--host-record=core.example,127.0.0.1".to_owned(),
        format!("--srv-host=_sip._udp.pool.example,core.example,{},10,10", far_end.port),
    ]);
    let carriers = format!(
        r#"[{{name="viettel",gateways=[{{name="sbc",uri="sip:127.0.0.1:{}",options_ping_seconds=0}}]}}]"#,
        edge.port
    );
    let servers = format!(r#"["{}"]"#, server.address);
    let settings = [("NEXO_CARRIERS", &*carriers), ("NEXO_SIP__DNS_SERVERS", &servers), QUICK];
    let gateway = Gateway::start(Backend::Sqlite, &settings);
    let customer = gateway.customer("a@example.com", "10.00");
    let sent = customer.send(&phone(1), "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    assert_end(&customer.terminal(sent.json["id"].as_str().unwrap()).await, &DELIVERED);
    far_end.assert_passed();
    assert_eq!(*edge.methods.lock().unwrap(), ["INVITE"]);
}
