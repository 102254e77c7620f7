//! `nexo trunks`: shows the state of each carrier's gateways. A running process reports it; without one, the
//! command probes the gateways itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use nexo_actors::trunk::monitor::{connection_error, probe, tls_profiles};
use nexo_voice::endpoint::Endpoint;
use nexo_voice::speech::prompts::PromptSet;
use tokio::task::JoinSet;

use super::call::start_endpoint;
use crate::app::start_sandbox;
use crate::cli::output::{self, CommandOutput};
use crate::config::Config;
use crate::trunks;
use crate::trunks::status::{CarrierStatus, GatewayStatus, Rung, Status};

/// The time for the running process to respond.
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);
const COLUMNS: [&str; 7] =
    ["CARRIER", "GATEWAY", "REACHABLE", "REGISTERED", "ROUND TRIP", "CHANNELS", "LAST FAILURE"];

/// Shows every gateway.
///
/// # Errors
/// If a gateway's host does not resolve, or no port is free for the probes.
pub async fn run(config: &Config) -> anyhow::Result<CommandOutput> {
    let status = match query_running_process(config.metrics.listen).await {
        Some(status) => status,
        None => probe_gateways(config).await?,
    };
    Ok(CommandOutput::new(table(&status), serde_json::to_value(&status)?))
}

/// Asks the process that runs with this configuration. Returns `None` if there is none.
async fn query_running_process(listen: SocketAddr) -> Option<Status> {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let address = SocketAddr::new(ip, listen.port());
    let query = async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
        let request =
            format!("GET /trunks HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await.ok()?;
        let (head, body) = response.split_once("\r\n\r\n")?;
        head.split(' ').nth(1).filter(|status| *status == "200")?;
        serde_json::from_str(body).ok()
    };
    tokio::time::timeout(STATUS_TIMEOUT, query).await.ok()?
}

async fn probe_gateways(config: &Config) -> anyhow::Result<Status> {
    let sandbox = start_sandbox(config).await?;
    let address = sandbox.as_ref().map(|sandbox| sandbox.local_addr());
    let trunks =
        trunks::from_config(config, address, true, &trunks::DnsLocator::of(config)?).await?;
    let endpoint = start_endpoint(config, PromptSet::built_in()).await?;
    let gateways = || trunks.iter().flat_map(|trunk| &trunk.gateways);
    let peers = gateways().flat_map(|gateway| gateway.state.targets().as_ref().clone());
    endpoint.set_peers(peers.collect());
    endpoint.set_tls(tls_profiles(&trunks));
    let mut probes = JoinSet::new();
    for gateway in gateways().cloned() {
        let endpoint: Endpoint = endpoint.clone();
        probes.spawn(async move {
            let round_trip = probe(&endpoint, &gateway, &mut 1).await;
            let error = connection_error(&endpoint, &gateway);
            gateway.state.probe_finished(round_trip, error.as_deref());
            // Only a second failure marks a gateway unreachable; one probe decides here.
            gateway.state.probe_finished(round_trip, error.as_deref());
        });
    }
    while probes.join_next().await.is_some() {}
    let carriers = trunks.iter().map(|trunk| CarrierStatus::of(trunk, None));
    let carriers = carriers.map(|mut carrier| {
        for gateway in &mut carrier.gateways {
            gateway.reachable = Some(gateway.round_trip_ms.is_some());
            gateway.registered = None;
        }
        carrier
    });
    let carriers = carriers.collect();
    endpoint.shutdown(Duration::ZERO).await;
    if let Some(sandbox) = sandbox {
        sandbox.shutdown().await;
    }
    Ok(Status { running: false, carriers })
}

fn table(status: &Status) -> String {
    let mut rows = Vec::new();
    for carrier in &status.carriers {
        if carrier.gateways.is_empty() {
            let mut row = COLUMNS.map(|_| "-".to_owned());
            (row[0], row[1]) = (carrier.carrier.clone(), "no route".to_owned());
            rows.push(row);
        }
        rows.extend(carrier.gateways.iter().map(|gateway| row(carrier, gateway)));
    }
    let mut text = output::table(COLUMNS, &rows);
    text.push('\n');
    for (carriers, gateway) in probes(status) {
        let (carriers, name) = (carriers.join(", "), &gateway.gateway);
        text.push_str(&format!("\n{carriers}; {name}: last probe\n"));
        text.extend(gateway.ladder.iter().map(rung));
    }
    if !status.running {
        text.push_str(
            "\nNo process runs with this configuration; the gateways were probed directly.\n",
        );
    }
    text
}

/// The gateways with their last probes. Carriers that share a gateway, such as the sandbox, are listed with the first
/// one's probe, if the others exchanged the same messages.
fn probes(status: &Status) -> Vec<(Vec<&str>, &GatewayStatus)> {
    fn is_alike(one: &GatewayStatus, other: &GatewayStatus) -> bool {
        let messages = |gateway: &GatewayStatus| {
            let parts = |rung: &Rung| {
                (rung.direction.clone(), rung.message.clone(), rung.peer.clone(), rung.repeated)
            };
            gateway.ladder.iter().map(parts).collect::<Vec<_>>()
        };
        (&one.gateway, &one.uri) == (&other.gateway, &other.uri) && messages(one) == messages(other)
    }
    let mut probes: Vec<(Vec<&str>, &GatewayStatus)> = Vec::new();
    for carrier in &status.carriers {
        for gateway in carrier.gateways.iter().filter(|gateway| !gateway.ladder.is_empty()) {
            match probes.iter_mut().find(|(_, known)| is_alike(known, gateway)) {
                Some((carriers, _)) => carriers.push(&carrier.carrier),
                None => probes.push((vec![&carrier.carrier], gateway)),
            }
        }
    }
    probes
}

fn rung(rung: &Rung) -> String {
    let arrow = match rung.direction.as_str() {
        "sent" => "-->",
        _ => "<--",
    };
    let repeated = if rung.repeated { ", retransmitted" } else { "" };
    let (ms, message, peer) = (rung.ms, &rung.message, &rung.peer);
    format!("  {ms:>8.3} ms  {arrow}  {message}{repeated}  {peer}\n")
}

fn row(carrier: &CarrierStatus, gateway: &GatewayStatus) -> [String; 7] {
    let yes_or_no = |known: Option<bool>| match known {
        Some(true) => "yes".to_owned(),
        Some(false) => "no".to_owned(),
        None => "-".to_owned(),
    };
    let round_trip = gateway.round_trip_ms;
    let failure = gateway.last_failure.as_ref();
    [
        carrier.carrier.clone(),
        gateway.gateway.clone(),
        yes_or_no(gateway.reachable),
        yes_or_no(gateway.registered),
        round_trip.map_or("-".to_owned(), |ms| format!("{ms:.1} ms")),
        format!("{}/{}", carrier.channels_in_use, carrier.channels),
        failure.map_or("-".to_owned(), |failure| format!("{} {}", failure.at, failure.what)),
    ]
}
