//! From the configured carriers to trunks: addresses resolved, the sandbox put where nothing else is.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use nexo_actors::carrier::Trunk;
use nexo_actors::gateway::{Gateway, NumberFormat};
use nexo_domain::carrier_plan::Carrier;
use nexo_voice::g711::Codec;
use nexo_voice::sip::digest::Credentials;

use crate::config::Config;
use crate::config::carriers::{CarrierConfig, GatewayConfig};

/// What the sandbox carrier takes at once.
const SANDBOX_CHANNELS: u32 = 10_000;
const SANDBOX_NAME: &str = "sandbox";

/// One trunk for each carrier of the numbering plan, in its order. A carrier without a gateway of
/// its own is served by the sandbox where there is one, and has no route otherwise.
///
/// # Errors
/// When a gateway's host name does not resolve.
pub async fn from_config(
    config: &Config,
    sandbox: Option<SocketAddr>,
) -> anyhow::Result<Vec<Trunk>> {
    let timeout = Duration::from_millis(config.calls.gateway_timeout_ms);
    let built_in: Vec<Gateway> = sandbox
        .map(|address| sandbox_gateway(address, timeout))
        .into_iter()
        .collect();
    let mut trunks = Vec::new();
    for carrier in Carrier::all() {
        let configured = config.carriers.iter().find(|c| c.name == carrier.name());
        let mut gateways = Vec::new();
        for gateway in configured.map_or(&[][..], |c| &c.gateways) {
            gateways.push(resolve(carrier, gateway, timeout).await?);
        }
        let on_sandbox = gateways.is_empty();
        trunks.push(Trunk {
            carrier,
            channels: configured
                .filter(|_| !on_sandbox)
                .map_or(SANDBOX_CHANNELS, |c| c.channels),
            calls_per_second: configured
                .filter(|_| !on_sandbox)
                .and_then(|c| NonZeroU32::new(c.calls_per_second)),
            caller_ids: configured.map_or(Vec::new(), |c: &CarrierConfig| c.caller_ids.clone()),
            gateways: match on_sandbox {
                true => built_in.clone(),
                false => gateways,
            },
            test_gateways: built_in.clone(),
        });
    }
    Ok(trunks)
}

fn sandbox_gateway(address: SocketAddr, timeout: Duration) -> Gateway {
    Gateway {
        name: SANDBOX_NAME.to_owned(),
        address,
        host: address.to_string(),
        credentials: None,
        number_format: NumberFormat::E164,
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        priority: 1,
        weight: 1,
        timeout,
    }
}

/// Who we are to a gateway that knows us by a name.
fn credentials(gateway: &GatewayConfig) -> Option<Arc<Credentials>> {
    let realm = Some(gateway.realm.as_str()).filter(|realm| !realm.is_empty());
    let credentials = Credentials::new(&gateway.username, gateway.password.reveal(), realm);
    (!gateway.username.is_empty()).then(|| Arc::new(credentials))
}

async fn resolve(
    carrier: Carrier,
    gateway: &GatewayConfig,
    timeout: Duration,
) -> anyhow::Result<Gateway> {
    let uri = &gateway.uri;
    let address = tokio::net::lookup_host((uri.host.as_str(), uri.port))
        .await
        .ok()
        .and_then(|mut found| found.next())
        .with_context(|| {
            format!(
                "gateway {} of carrier {carrier}: the host {} does not resolve",
                gateway.name, uri.host
            )
        })?;
    Ok(Gateway {
        name: gateway.name.clone(),
        address,
        host: uri.host_and_port(),
        credentials: credentials(gateway),
        number_format: gateway.number_format,
        codecs: gateway.codecs.clone(),
        priority: gateway.priority,
        weight: gateway.weight,
        timeout,
    })
}
