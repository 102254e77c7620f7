//! SIGHUP: reloads carriers, prices and limits from the configuration without dropping a call.
//!
//! The new configuration is validated completely before it takes effect. Keys that a running process cannot change
//! are reported and take effect at the next start.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::bail;
use arc_swap::ArcSwap;
use metrics::{Counter, Gauge};
use nexo_actors::dispatch::Dispatcher;
use nexo_actors::trunk::carrier::Trunk;
use nexo_actors::trunk::gateway::Gateway;
use nexo_actors::trunk::monitor::{Locate, TrunkMonitor};
use nexo_entities::store::Store;
use tokio::sync::Mutex;

use super::settings::dispatch_settings;
use crate::api::Pacer;
use crate::config::{Config, Loaded};
use crate::http::{ConnectionLimiter, ConnectionLimits};
use crate::quotas::Quotas;
use crate::read_limits::{Bounds, ReadLimits};
use crate::terms::Terms;
use crate::trunks;

/// Copies the value of one key from one configuration to another.
type CopyKey = fn(&mut Config, &Config);

/// The keys that a running gateway reloads, besides all of `carriers` and `quotas`: each with its copy into the
/// configuration in force. A key that is not listed takes effect at the next start.
const RELOADED: &[(&str, CopyKey)] = &[
    ("server.reads_per_account", |to, from| {
        to.server.reads_per_account = from.server.reads_per_account;
    }),
    ("server.exports_per_account", |to, from| {
        to.server.exports_per_account = from.server.exports_per_account;
    }),
    ("server.exports", |to, from| {
        to.server.exports = from.server.exports;
    }),
    ("server.free_requests_per_second", |to, from| {
        to.server.free_requests_per_second = from.server.free_requests_per_second;
    }),
    ("server.max_connections", |to, from| {
        to.server.max_connections = from.server.max_connections;
    }),
    ("server.max_connections_per_address", |to, from| {
        to.server.max_connections_per_address = from.server.max_connections_per_address;
    }),
    ("billing.price_usd", |to, from| {
        to.billing.price_usd = from.billing.price_usd;
    }),
    ("billing.signup_free_otps", |to, from| {
        to.billing.signup_free_otps = from.billing.signup_free_otps;
    }),
    ("sign_in.session_max_days", |to, from| {
        to.sign_in.session_max_days = from.sign_in.session_max_days;
    }),
    ("sign_in.operators_need_second_factor", |to, from| {
        to.sign_in.operators_need_second_factor = from.sign_in.operators_need_second_factor;
    }),
    ("calls.language", |to, from| {
        to.calls.language = from.calls.language;
    }),
    ("calls.repeat", |to, from| {
        to.calls.repeat = from.calls.repeat;
    }),
    ("calls.digit_gap_ms", |to, from| {
        to.calls.digit_gap_ms = from.calls.digit_gap_ms;
    }),
    ("calls.require_keypress", |to, from| {
        to.calls.require_keypress = from.calls.require_keypress;
    }),
    ("calls.gateway_timeout_ms", |to, from| {
        to.calls.gateway_timeout_ms = from.calls.gateway_timeout_ms;
    }),
    ("calls.ring_timeout_seconds", |to, from| {
        to.calls.ring_timeout_seconds = from.calls.ring_timeout_seconds;
    }),
    ("calls.media_timeout_seconds", |to, from| {
        to.calls.media_timeout_seconds = from.calls.media_timeout_seconds;
    }),
];

/// The result of a reload.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// The keys whose new values are in force.
    pub changed: Vec<String>,
    /// The keys whose new values wait for the next start.
    pub at_next_start: Vec<String>,
}

/// The metrics of reloads.
pub struct ReloadMeters {
    done: Counter,
    refused: Counter,
    last_reload_successful: Gauge,
}

impl ReloadMeters {
    /// Registers the metrics.
    pub(crate) fn new() -> ReloadMeters {
        let outcome = |outcome: &'static str| metrics::counter!("nexo_config_reloads_total", "outcome" => outcome);
        let last_reload_successful = metrics::gauge!("nexo_config_last_reload_successful");
        last_reload_successful.set(1.0);
        ReloadMeters { done: outcome("done"), refused: outcome("refused"), last_reload_successful }
    }

    pub fn done(&self) {
        self.done.increment(1);
        self.last_reload_successful.set(1.0);
    }

    pub fn refused(&self) {
        self.refused.increment(1);
        self.last_reload_successful.set(0.0);
    }
}

/// Applies another configuration to a running gateway.
pub struct Reloader {
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) terms: Arc<Terms>,
    pub(crate) read_limits: Arc<ReadLimits>,
    pub(crate) pacer: Arc<Pacer>,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) connections: ConnectionLimiter,
    /// `None` once the gateway shuts down.
    pub(crate) watch: Mutex<Option<TrunkMonitor>>,
    pub(crate) locator: Arc<dyn Locate>,
    pub(crate) sandbox: Option<SocketAddr>,
    pub(crate) store: Store,
    /// The configuration in force.
    pub(crate) config: ArcSwap<Config>,
    pub meters: ReloadMeters,
}

impl Reloader {
    /// Applies `wanted`; `before` is what was loaded last.
    ///
    /// # Errors
    /// What is wrong with it, in one line; nothing has changed then.
    pub async fn reload(&self, before: &Loaded, wanted: &Loaded) -> anyhow::Result<Reloaded> {
        let mut watch = self.watch.lock().await;
        let Some(watch) = watch.as_mut() else {
            bail!("the gateway is shutting down");
        };
        let in_force = self.config.load_full();
        let config = Self::merge_reloadable(&in_force, &wanted.config);
        if config.server.reads_per_account >= config.database.list_connections {
            bail!(
                "server.reads_per_account: less than database.list_connections in force, {}; restart nexo to change that",
                config.database.list_connections
            );
        }
        if config.uses_tcp_or_tls() && !in_force.uses_tcp_or_tls() {
            bail!(
                "carriers: the first gateway over TCP or TLS needs a restart of nexo, which then listens on TCP {}",
                config.sip.listen_udp
            );
        }
        // A gateway that was in production stays there without gateways: the sandbox would sell calls that ring nowhere.
        let live_on_sandbox = self.dispatcher.serves_live_keys_by_sandbox();
        let locator = self.locator.as_ref();
        let mut trunks =
            trunks::from_config(&config, self.sandbox, live_on_sandbox, locator).await?;
        if !live_on_sandbox && !config.has_gateways() {
            tracing::warn!("no carrier has a gateway: live keys get 502 no_route");
        }
        keep_states(&self.dispatcher, &in_force, &config, &mut trunks);
        trunks::apply_drains(&trunks, &self.store).await;
        // Nothing below can fail.
        watch.replace(trunks.clone());
        self.dispatcher.reconfigure(trunks, dispatch_settings(&config));
        self.terms.replace(&config);
        self.read_limits.set_bounds(Bounds::of(&config.server));
        self.pacer.set_rate(config.server.free_requests_per_second);
        self.quotas.replace(&config.quotas);
        let limits = ConnectionLimits::of(&config.server);
        self.connections.set_limits(limits);
        self.config.store(Arc::new(config));
        Ok(differences(before, wanted))
    }

    /// The configuration in force, with the reloadable keys of `wanted`.
    fn merge_reloadable(in_force: &Config, wanted: &Config) -> Config {
        let mut config = in_force.clone();
        config.carriers = wanted.carriers.clone();
        config.quotas = wanted.quotas;
        for (_, copy) in RELOADED {
            copy(&mut config, wanted);
        }
        config
    }
}

/// Keeps the state of gateways with an unchanged address and credentials: their registration and probes go on.
fn keep_states(dispatcher: &Dispatcher, before: &Config, after: &Config, trunks: &mut [Trunk]) {
    for (route, trunk) in dispatcher.carriers.iter().zip(trunks) {
        let now = route.trunk.current();
        let name = trunk.carrier.name();
        let of = |config: &Config, gateway: &Gateway| {
            let carrier = config.carriers.iter().find(|c| c.name == name)?;
            let mut gateways = carrier.gateways.iter();
            gateways.find(|configured| configured.name == gateway.name).cloned()
        };
        // The sandbox is known by its list: a configured gateway may have its name.
        let live = trunk.gateways.iter_mut().map(|gateway| (gateway, &now.gateways));
        let test = trunk.test_gateways.iter_mut().map(|gateway| (gateway, &now.test_gateways));
        for (gateway, known) in live.chain(test) {
            let same = known.iter().find(|old| {
                if old.name != gateway.name {
                    return false;
                }
                match (of(before, old), of(after, gateway)) {
                    (Some(old), Some(new)) => old.is_same_peer(&new),
                    // The sandbox, which does not change while the process runs.
                    (None, None) => old.uri == gateway.uri,
                    (Some(_), None) | (None, Some(_)) => false,
                }
            });
            if let Some(same) = same {
                gateway.state = Arc::clone(&same.state);
            }
        }
    }
}

/// The keys that differ, by whether they take effect now.
fn differences(before: &Loaded, wanted: &Loaded) -> Reloaded {
    let mut reloaded = Reloaded::default();
    for key in before.effective.differences(&wanted.effective) {
        let takes_effect = key.starts_with("carriers")
            || key.starts_with("quotas.")
            || RELOADED.iter().any(|(name, _)| *name == key);
        match takes_effect {
            true => reloaded.changed.push(key),
            false => reloaded.at_next_start.push(key),
        }
    }
    reloaded
}
