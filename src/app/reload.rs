//! SIGHUP: carriers, prices and limits from the configuration as it is written now, without dropping a call.
//!
//! All of it takes effect or, where anything is wrong, nothing. What a running process cannot change is told, and
//! takes effect at the next start.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::bail;
use arc_swap::ArcSwap;
use metrics::{Counter, Gauge};
use nexo_actors::dispatch::DispatchDesk;
use nexo_actors::trunk::carrier::Trunk;
use nexo_actors::trunk::gateway::Gateway;
use nexo_actors::trunk::monitor::{Locate, TrunkWatch};
use nexo_entities::store::Store;
use tokio::sync::Mutex;

use crate::app::dispatch_settings;
use crate::config::{Config, Loaded};
use crate::terms::Terms;
use crate::trunks;

/// The keys that a running gateway takes over. All tables of `carriers` are, too.
const RELOADED: [&str; 9] = [
    "billing.price_usd",
    "billing.signup_free_otps",
    "calls.language",
    "calls.repeat",
    "calls.digit_gap_ms",
    "calls.require_keypress",
    "calls.gateway_timeout_ms",
    "calls.ring_timeout_seconds",
    "calls.media_timeout_seconds",
];

/// What a reload came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// The keys whose new values are in force.
    pub changed: Vec<String>,
    /// The keys whose new values wait for the next start.
    pub at_next_start: Vec<String>,
}

/// What became of the reloads so far, for those who watch.
pub struct ReloadMeters {
    done: Counter,
    refused: Counter,
    is_good: Gauge,
}

impl ReloadMeters {
    /// None was asked for yet.
    pub(crate) fn new() -> ReloadMeters {
        let outcome = |outcome: &'static str| metrics::counter!("nexo_config_reloads_total", "outcome" => outcome);
        let is_good = metrics::gauge!("nexo_config_last_reload_successful");
        is_good.set(1.0);
        ReloadMeters {
            done: outcome("done"),
            refused: outcome("refused"),
            is_good,
        }
    }

    pub fn done(&self) {
        self.done.increment(1);
        self.is_good.set(1.0);
    }

    pub fn refused(&self) {
        self.refused.increment(1);
        self.is_good.set(0.0);
    }
}

/// What a running gateway needs to take over another configuration.
pub struct Reloader {
    pub(crate) desk: Arc<DispatchDesk>,
    pub(crate) terms: Arc<Terms>,
    /// `None` once the gateway shuts down.
    pub(crate) watch: Mutex<Option<TrunkWatch>>,
    pub(crate) locator: Arc<dyn Locate>,
    pub(crate) sandbox: Option<SocketAddr>,
    /// Knows which gateways are drained.
    pub(crate) store: Store,
    /// What is in force.
    pub(crate) config: ArcSwap<Config>,
    pub meters: ReloadMeters,
}

impl Reloader {
    /// Takes over `wanted`; `before` is what was loaded last.
    ///
    /// # Errors
    /// What is wrong with it, in one line; then nothing has changed.
    pub async fn reload(&self, before: &Loaded, wanted: &Loaded) -> anyhow::Result<Reloaded> {
        let mut watch = self.watch.lock().await;
        let Some(watch) = watch.as_mut() else {
            bail!("the gateway is shutting down");
        };
        let in_force = self.config.load_full();
        let config = self.what_can_change(&in_force, &wanted.config);
        if config.speaks_streams() && !in_force.speaks_streams() {
            bail!(
                "carriers: the first gateway by TCP or TLS needs a new start of nexo, which opens TCP {}",
                config.sip.listen_udp
            );
        }
        let mut trunks = trunks::from_config(&config, self.sandbox, self.locator.as_ref()).await?;
        keep_states(&self.desk, &in_force, &config, &mut trunks);
        trunks::apply_drains(&trunks, &self.store).await;
        // From here on nothing fails.
        watch.replace(trunks.clone());
        self.desk.reconfigure(trunks, dispatch_settings(&config));
        self.terms.replace(&config);
        self.config.store(Arc::new(config));
        Ok(differences(before, wanted))
    }

    /// What is in force, with what may change from `wanted`.
    fn what_can_change(&self, in_force: &Config, wanted: &Config) -> Config {
        let mut config = in_force.clone();
        config.carriers = wanted.carriers.clone();
        config.billing.price_usd = wanted.billing.price_usd;
        config.billing.signup_free_otps = wanted.billing.signup_free_otps;
        let dispatch_timeout_ms = in_force.calls.dispatch_timeout_ms;
        let voice_dir = in_force.calls.voice_dir.clone();
        config.calls = wanted.calls.clone();
        // The lease reckons with it, and the prompts are loaded.
        config.calls.dispatch_timeout_ms = dispatch_timeout_ms;
        config.calls.voice_dir = voice_dir;
        config
    }
}

/// A gateway that is reached as before is the same one: what is known of it stays known, and its registration
/// and probes go on.
fn keep_states(desk: &DispatchDesk, before: &Config, after: &Config, trunks: &mut [Trunk]) {
    for (route, trunk) in desk.carriers.iter().zip(trunks) {
        let now = route.trunk.now();
        let name = trunk.carrier.name();
        let of = |config: &Config, gateway: &Gateway| {
            let carrier = config.carriers.iter().find(|c| c.name == name)?;
            let mut gateways = carrier.gateways.iter();
            gateways
                .find(|configured| configured.name == gateway.name)
                .cloned()
        };
        let known = now.gateways.iter().chain(&now.test_gateways);
        let known: Vec<&Gateway> = known.collect();
        for gateway in trunk.gateways.iter_mut().chain(&mut trunk.test_gateways) {
            let same = known.iter().find(|old| {
                if old.name != gateway.name {
                    return false;
                }
                match (of(before, old), of(after, gateway)) {
                    (Some(old), Some(new)) => old.is_same_peer(&new),
                    // The sandbox, for as long as the process lives.
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

/// The keys that differ, by what becomes of them.
fn differences(before: &Loaded, wanted: &Loaded) -> Reloaded {
    let mut reloaded = Reloaded::default();
    for key in before.effective.differences(&wanted.effective) {
        let takes_effect = key.starts_with("carriers") || RELOADED.contains(&key.as_str());
        match takes_effect {
            true => reloaded.changed.push(key),
            false => reloaded.at_next_start.push(key),
        }
    }
    reloaded
}
