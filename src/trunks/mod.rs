//! From the configured carriers to trunks: addresses resolved, the sandbox put where nothing else is.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use nexo_actors::trunk::carrier::Trunk;
use nexo_actors::trunk::gateway::{CallerStyle, Gateway, NumberFormat};
use nexo_actors::trunk::gateway_state::{GatewayState, Judged};
use nexo_actors::trunk::monitor::Locate;
use nexo_domain::phone::carrier_plan::Carrier;
use nexo_entities::store::Store;
use nexo_entities::store::operations::gateway_drains::GatewayName;
use nexo_voice::audio::g711::Codec;
use nexo_voice::net::locate::{Families, Located, Locator};
use nexo_voice::net::streams::tls::TlsProfile;
use nexo_voice::sip::message::gateway_uri::GatewayUri;
use nexo_voice::sip::message::hop::Transport;
use nexo_voice::sip::user_agent::digest::Credentials;

use crate::config::Config;
use crate::config::carriers::{CarrierConfig, GatewayConfig};

pub mod status;

/// What the sandbox carrier takes at once.
const SANDBOX_CHANNELS: u32 = 10_000;
const SANDBOX_NAME: &str = "sandbox";

/// Takes out of service what operators have drained, and back what they have not.
pub async fn apply_drains<'t>(trunks: impl IntoIterator<Item = &'t Trunk>, store: &Store) {
    let drained = match store.drained_gateways().await {
        Ok(drained) => drained,
        Err(error) => {
            tracing::warn!(%error, "which gateways are drained could not be read: it stays as it was");
            return;
        }
    };
    for trunk in trunks {
        for gateway in &trunk.gateways {
            let is_meant = |name: &GatewayName| {
                name.carrier == trunk.carrier.name() && name.gateway == gateway.name
            };
            gateway.state.drain(drained.iter().any(is_meant));
        }
    }
}

/// One trunk for each carrier of the numbering plan, in its order. A carrier without a gateway of
/// its own is served by the sandbox where there is one, and has no route otherwise.
///
/// # Errors
/// When a gateway's host name does not resolve.
pub async fn from_config(
    config: &Config,
    sandbox: Option<SocketAddr>,
    locator: &dyn Locate,
) -> anyhow::Result<Vec<Trunk>> {
    let timeout = Duration::from_millis(config.calls.gateway_timeout_ms);
    let mut trunks = Vec::new();
    for carrier in Carrier::all() {
        // Each carrier's own: it is drained for one and not for the others.
        let built_in: Vec<Gateway> = sandbox
            .map(|address| sandbox_gateway(address, timeout))
            .into_iter()
            .collect();
        let configured = config.carriers.iter().find(|c| c.name == carrier.name());
        let mut gateways = Vec::new();
        for gateway in configured.map_or(&[][..], |c| &c.gateways) {
            gateways.push(located(carrier, gateway, timeout, locator).await?);
        }
        let on_sandbox = gateways.is_empty();
        trunks.push(Trunk {
            carrier,
            channels: configured.map_or(SANDBOX_CHANNELS, |c| c.channels),
            calls_per_second: configured.and_then(|c| NonZeroU32::new(c.calls_per_second)),
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
    let uri = GatewayUri {
        host: address.ip().to_string(),
        port: Some(address.port()),
        transport: None,
    };
    Gateway {
        name: SANDBOX_NAME.to_owned(),
        uri,
        credentials: None,
        number_format: NumberFormat::E164,
        caller: CallerStyle::default(),
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        srtp: false,
        priority: 1,
        weight: 1,
        timeout,
        probe_every: None,
        register_seconds: None,
        tls: None,
        state: GatewayState::new(Judged::Never, false, vec![address.into()]),
    }
}

/// Who we are to a gateway that knows us by a name.
fn credentials(gateway: &GatewayConfig) -> Option<Arc<Credentials>> {
    let realm = Some(gateway.realm.as_str()).filter(|realm| !realm.is_empty());
    let credentials = Credentials::new(&gateway.username, gateway.password.reveal(), realm);
    (!gateway.username.is_empty()).then(|| Arc::new(credentials))
}

async fn located(
    carrier: Carrier,
    gateway: &GatewayConfig,
    timeout: Duration,
    locator: &dyn Locate,
) -> anyhow::Result<Gateway> {
    let located = locator.locate(gateway.uri.clone()).await;
    let located = located.map_err(|error| {
        anyhow::anyhow!("gateway {} of carrier {carrier}: {error}", gateway.name)
    })?;
    let seconds = |seconds: u32| (seconds > 0).then(|| Duration::from_secs(seconds.into()));
    let probe_every = seconds(gateway.options_ping_seconds);
    let judged = match probe_every {
        Some(_) => Judged::ByCallsAndProbes,
        None => Judged::ByCalls,
    };
    Ok(Gateway {
        name: gateway.name.clone(),
        uri: gateway.uri.clone(),
        credentials: credentials(gateway),
        number_format: gateway.number_format,
        caller: gateway.caller.clone(),
        codecs: gateway.codecs.clone(),
        srtp: gateway.srtp,
        priority: gateway.priority,
        weight: gateway.weight,
        timeout: gateway.timeout.unwrap_or(timeout),
        probe_every,
        register_seconds: gateway.register.then_some(gateway.register_expires_seconds),
        tls: tls_profile(carrier, gateway)?,
        state: GatewayState::new(judged, gateway.register, located.targets),
    })
}

/// How TLS is spoken to the gateway. Made for every gateway that may turn out to speak it.
fn tls_profile(
    carrier: Carrier,
    gateway: &GatewayConfig,
) -> anyhow::Result<Option<Arc<TlsProfile>>> {
    let may_be_tls = match gateway.uri.transport {
        Some(transport) => transport == Transport::Tls,
        // DNS may say so.
        None => gateway.uri.ip().is_none() && gateway.uri.port.is_none(),
    };
    if !may_be_tls {
        return Ok(None);
    }
    let name = match gateway.tls_name.as_str() {
        "" => gateway.uri.host.as_str(),
        name => name,
    };
    let profile = TlsProfile::build(name, &gateway.tls)
        .with_context(|| format!("gateway {} of carrier {carrier}", gateway.name))?;
    Ok(Some(Arc::new(profile)))
}

/// Asks DNS as RFC 3263 says.
pub struct DnsLocator(Locator);

impl DnsLocator {
    /// Asks the configured servers, or the system's where none are configured.
    ///
    /// # Errors
    /// When the system's configuration cannot be read.
    pub fn of(config: &Config) -> anyhow::Result<DnsLocator> {
        let families = Families::of(config.sip.listen_udp.ip());
        let locator = match config.sip.dns_servers.as_slice() {
            [] => Locator::system(families),
            servers => Locator::with_servers(servers, families),
        };
        Ok(DnsLocator(locator.context("name them in sip.dns_servers")?))
    }
}

impl Locate for DnsLocator {
    fn locate(
        &self,
        uri: GatewayUri,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Located, String>> + Send>> {
        let locator = self.0.clone();
        Box::pin(async move {
            let found = locator.locate(&uri).await;
            found.map_err(|error| error.to_string())
        })
    }
}
