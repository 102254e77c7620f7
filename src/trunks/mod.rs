//! Builds the trunks from the configuration: resolves addresses, and uses the sandbox for carriers without a gateway.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use nexo_actors::trunk::carrier::Trunk;
use nexo_actors::trunk::gateway::{CallerStyle, Gateway, NumberFormat};
use nexo_actors::trunk::gateway_state::{GatewayState, HealthSource};
use nexo_actors::trunk::monitor::Locate;
use nexo_domain::phone::carrier_plan::Carrier;
use nexo_entities::store::Store;
use nexo_entities::store::operations::gateway_drains::GatewayName;
use nexo_voice::audio::g711::Codec;
use nexo_voice::net::locate::{AddressFamilies, Located, Locator};
use nexo_voice::net::streams::tls::TlsProfile;
use nexo_voice::sip::message::gateway_uri::GatewayUri;
use nexo_voice::sip::message::hop::Transport;
use nexo_voice::sip::user_agent::digest::Credentials;

use crate::config::Config;
use crate::config::telephony::carriers::{CarrierConfig, GatewayConfig};

pub mod status;

/// Concurrent calls of the sandbox carrier.
const SANDBOX_CHANNELS: u32 = 10_000;
const SANDBOX_NAME: &str = "sandbox";

/// Drains the gateways that operators have drained, and returns the others to service.
pub async fn apply_drains<'t>(trunks: impl IntoIterator<Item = &'t Trunk>, store: &Store) {
    let drained = match store.operations().drained_gateways().await {
        Ok(drained) => drained,
        Err(error) => {
            tracing::warn!(%error, "reading the drained gateways failed; nothing changes");
            return;
        }
    };
    for trunk in trunks {
        for gateway in &trunk.gateways {
            let is_this = |name: &GatewayName| {
                name.carrier == trunk.carrier.name() && name.gateway == gateway.name
            };
            gateway.state.set_drained(drained.iter().any(is_this));
        }
    }
}

/// One trunk for each carrier of the numbering plan, in its order. If no carrier has a gateway and `live_on_sandbox` is
/// allowed, the sandbox takes the calls of live keys. Otherwise a carrier without a gateway has no route for them.
///
/// # Errors
/// If a gateway's host name does not resolve.
pub async fn from_config(
    config: &Config,
    sandbox: Option<SocketAddr>,
    live_on_sandbox: bool,
    locator: &dyn Locate,
) -> anyhow::Result<Vec<Trunk>> {
    let timeout = Duration::from_millis(config.calls.gateway_timeout_ms);
    let live_on_sandbox = live_on_sandbox && sandbox.is_some() && !config.has_gateways();
    let mut trunks = Vec::new();
    for carrier in Carrier::all() {
        // One per carrier, because it can be drained for one carrier alone.
        let built_in: Vec<Gateway> =
            sandbox.map(|address| sandbox_gateway(address, timeout)).into_iter().collect();
        let configured = config.carriers.iter().find(|c| c.name == carrier.name());
        let mut gateways = Vec::new();
        for gateway in configured.map_or(&[][..], |c| &c.gateways) {
            gateways.push(located(carrier, gateway, timeout, locator).await?);
        }
        trunks.push(Trunk {
            carrier,
            channels: configured.map_or(SANDBOX_CHANNELS, |c| c.channels),
            calls_per_second: configured.and_then(|c| NonZeroU32::new(c.calls_per_second)),
            caller_ids: configured.map_or(Vec::new(), |c: &CarrierConfig| c.caller_ids.clone()),
            gateways: match live_on_sandbox {
                true => built_in.clone(),
                false => gateways,
            },
            test_gateways: built_in.clone(),
            live_on_sandbox,
        });
    }
    Ok(trunks)
}

fn sandbox_gateway(address: SocketAddr, timeout: Duration) -> Gateway {
    let uri =
        GatewayUri { host: address.ip().to_string(), port: Some(address.port()), transport: None };
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
        probe_interval: None,
        register_seconds: None,
        tls: None,
        state: GatewayState::new(HealthSource::None, false, vec![address.into()]),
    }
}

/// The digest credentials for a gateway, if configured.
fn credentials(gateway: &GatewayConfig) -> Option<Arc<Credentials>> {
    let realm = Some(gateway.realm.as_str()).filter(|realm| !realm.is_empty());
    let credentials = Credentials::new(&gateway.username, gateway.password.reveal(), realm)
        .with_minimum(gateway.digest);
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
    let probe_interval = seconds(gateway.options_ping_seconds);
    let judged = match probe_interval {
        Some(_) => HealthSource::CallsAndProbes,
        None => HealthSource::Calls,
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
        probe_interval,
        register_seconds: gateway.register.then_some(gateway.register_expires_seconds),
        tls: tls_profile(carrier, gateway)?,
        state: GatewayState::new(judged, gateway.register, located.targets),
    })
}

/// The TLS profile of a gateway that uses TLS or may resolve to it.
fn tls_profile(
    carrier: Carrier,
    gateway: &GatewayConfig,
) -> anyhow::Result<Option<Arc<TlsProfile>>> {
    let may_be_tls = match gateway.uri.transport {
        Some(transport) => transport == Transport::Tls,
        // NAPTR or SRV records may select TLS.
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

/// Resolves gateways by DNS (RFC 3263).
pub struct DnsLocator(Locator);

impl DnsLocator {
    /// # Errors
    /// See [`locator`].
    pub fn of(config: &Config) -> anyhow::Result<DnsLocator> {
        Ok(DnsLocator(locator(config)?))
    }
}

/// Resolves names as configured: by these DNS servers, or by the system's without any.
///
/// # Errors
/// If the system's configuration cannot be read.
pub fn locator(config: &Config) -> anyhow::Result<Locator> {
    let families = AddressFamilies::of(config.sip.listen_udp.ip());
    let locator = match config.sip.dns_servers.as_slice() {
        [] => Locator::system(families),
        servers => Locator::with_servers(servers, families),
    };
    locator.context("set sip.dns_servers")
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
