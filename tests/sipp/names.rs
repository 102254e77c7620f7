//! dnsmasq is the carrier's name server: NAPTR, SRV and addresses lead to SIPp (RFC 3263).

use std::process::Command;

use serde_json::Value;

use crate::far_end::{FarEnd, free_port};
use crate::phone;

/// Runs a command of `nexo` where the system's name server is dnsmasq with these records, and nowhere else: in a
/// mount namespace of its own. What it prints; nothing where that takes rights that we lack.
fn nexo(command: &[&str], gateway: &str, records: &[String]) -> Option<Value> {
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if !is_root {
        eprintln!("skipped: a name server of one's own needs root");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    // Any address of loopback is as good, and nobody else has this one.
    let id = std::process::id();
    let server = format!(
        "127.{}.{}.{}",
        100 + id % 100,
        id / 100 % 250,
        free_port() % 250 + 1
    );
    let resolver = folder.path().join("resolv.conf");
    std::fs::write(&resolver, format!("nameserver {server}\n")).unwrap();
    let script = r#"
        mount --bind "$1" /etc/resolv.conf
        server=$2 nexo=$3
        shift 3
        dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --pid-file= --no-resolv --no-hosts --local=/example/ \
            --listen-address="$server" --bind-interfaces --log-facility=- "$@" &
        trap 'kill %1' EXIT
        for _ in $(seq 100); do
            grep -q "$(printf '%02X%02X%02X%02X:0035' $(echo "$server" | tr . '\n' | tac))" /proc/net/udp && break
            sleep 0.05
        done
        "$nexo" --json $COMMAND
    "#;
    let carriers = format!(r#"[{{name="viettel",gateways=[{gateway}]}}]"#);
    let output = Command::new("unshare")
        .args(["--mount", "bash", "-ec", script, "bash"])
        .arg(&resolver)
        .args([server.as_str(), env!("CARGO_BIN_EXE_nexo")])
        .args(records)
        .current_dir(folder.path())
        .env("COMMAND", command.join(" "))
        .env("NEXO_CARRIERS", &carriers)
        .env("NEXO_SIP__LISTEN_UDP", "127.0.0.1:0")
        .env("NEXO_SIP__RTP_PORTS", "0")
        .env("NEXO_CALLS__REPEAT", "1")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{errors}");
    Some(serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{errors}")))
}

/// A call to a gateway with this configuration.
fn call(gateway: &str, records: &[String]) -> Option<Value> {
    nexo(&["call", &phone(1), "482917"], gateway, records)
}

/// Where the messages of a call went to and came from.
fn peers(call: &Value) -> Vec<&str> {
    let ladder = call["ladder"].as_array().unwrap();
    let mut peers: Vec<&str> = ladder
        .iter()
        .map(|rung| rung["peer"].as_str().unwrap())
        .collect();
    peers.dedup();
    peers
}

fn srv(service: &str, host: &str, port: u16, priority: u16) -> String {
    format!("--srv-host={service}.carrier.example,{host}.carrier.example,{port},{priority},10")
}

const GATEWAY: &str = r#"{name="sbc",uri="sip:carrier.example"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn naptr_leads_to_tcp_and_srv_to_the_second_place_when_the_first_is_dead() {
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
    let Some(call) = call(GATEWAY, &records) else {
        return;
    };
    assert_eq!(call["status"], "delivered", "{call:#}");
    let places = [
        format!("tcp:127.0.0.1:{dead}"),
        format!("tcp:127.0.0.1:{port}"),
    ];
    assert_eq!(peers(&call), places, "{call:#}");
    far_end.was_content();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_whose_first_place_is_dead_is_reachable_at_the_second() {
    let far_end = FarEnd::start("here", 1, &[], &[]);
    let (dead, port) = (free_port(), far_end.port);
    let records = [
        srv("_sip._udp", "hn1", dead, 10),
        srv("_sip._udp", "hn1", port, 20),
        "--host-record=hn1.carrier.example,127.0.0.1".to_owned(),
    ];
    let Some(trunks) = nexo(&["trunks"], GATEWAY, &records) else {
        return;
    };
    let carriers = trunks["carriers"].as_array().unwrap();
    let viettel = carriers
        .iter()
        .find(|carrier| carrier["carrier"] == "viettel");
    let gateway = &viettel.unwrap()["gateways"][0];
    assert_eq!(gateway["reachable"], true, "{gateway:#}");
    let places = [
        format!("udp:127.0.0.1:{dead}"),
        format!("udp:127.0.0.1:{port}"),
    ];
    assert_eq!(peers(gateway), places, "{gateway:#}");
    far_end.was_content();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_naptr_srv_is_asked_for_and_without_srv_the_address() {
    let far_end = FarEnd::start("answer", 2, &[], &[]);
    let port = far_end.port;
    let address = "--host-record=hn1.carrier.example,127.0.0.1".to_owned();
    let place = [format!("udp:127.0.0.1:{port}")];
    let Some(by_srv) = call(
        GATEWAY,
        &[srv("_sip._udp", "hn1", port, 10), address.clone()],
    ) else {
        return;
    };
    assert_eq!(by_srv["status"], "delivered", "{by_srv:#}");
    assert_eq!(peers(&by_srv), place, "{by_srv:#}");
    let named = format!(r#"{{name="sbc",uri="sip:hn1.carrier.example:{port}"}}"#);
    let by_address = call(&named, &[address]).unwrap();
    assert_eq!(by_address["status"], "delivered", "{by_address:#}");
    assert_eq!(peers(&by_address), place, "{by_address:#}");
    far_end.was_content();
}
