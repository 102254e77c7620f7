//! The addresses that may send SIP to us, and their TLS settings.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nexo_voice::endpoint::Endpoint;
use nexo_voice::net::streams::tls::TlsProfile;
use nexo_voice::sip::message::hop::Hop;
use parking_lot::Mutex;

use crate::trunk::carrier::Trunk;
use crate::trunk::gateway::Gateway;

/// How long a gateway that is no longer configured may still send to us, so that its calls can end.
pub(super) const REMOVED_GATEWAY_GRACE: Duration = Duration::from_secs(120);

/// The peers of the SIP endpoint.
pub(super) struct Peers {
    endpoint: Endpoint,
    gateways: Mutex<Gateways>,
}

#[derive(Default)]
struct Gateways {
    trunks: Vec<Trunk>,
    /// Gateways that are no longer configured, and since when.
    removed: Vec<(Instant, Gateway)>,
}

impl Peers {
    pub fn new(endpoint: Endpoint) -> Peers {
        Peers { endpoint, gateways: Mutex::default() }
    }

    /// Replaces the trunks. Their former gateways, unless `is_kept`, remain peers for
    /// [`REMOVED_GATEWAY_GRACE`].
    pub fn replace(&self, trunks: Vec<Trunk>, is_kept: impl Fn(&Gateway) -> bool) {
        let now = Instant::now();
        let mut gateways = self.gateways.lock();
        let before = std::mem::replace(&mut gateways.trunks, trunks);
        let before = before.into_iter().flat_map(|trunk| trunk.gateways);
        let removed = before.filter(|gateway| !is_kept(gateway));
        gateways.removed.extend(removed.map(|gateway| (now, gateway)));
    }

    /// Sets the endpoint's peers: all current targets of the gateways, including recently removed ones.
    pub fn update_endpoint(&self) {
        let mut gateways = self.gateways.lock();
        gateways.removed.retain(|(since, _)| since.elapsed() < REMOVED_GATEWAY_GRACE);
        let configured = gateways.trunks.iter();
        let configured = configured.flat_map(|t| t.gateways.iter().chain(&t.test_gateways));
        let removed = || gateways.removed.iter().map(|(_, gateway)| gateway);
        let hops: HashSet<Hop> = configured
            .chain(removed())
            .flat_map(|gateway| gateway.state.targets().as_ref().clone())
            .collect();
        self.endpoint.set_peers(hops);
        // If two gateways share an address, the configured one wins.
        let mut profiles = profiles_of(removed());
        profiles.extend(tls_profiles(&gateways.trunks));
        self.endpoint.set_tls(profiles);
    }
}

/// The TLS settings of each address of the trunks' gateways.
pub fn tls_profiles(trunks: &[Trunk]) -> HashMap<SocketAddr, Arc<TlsProfile>> {
    profiles_of(trunks.iter().flat_map(|trunk| &trunk.gateways))
}

fn profiles_of<'g>(
    gateways: impl Iterator<Item = &'g Gateway>,
) -> HashMap<SocketAddr, Arc<TlsProfile>> {
    let with_tls = gateways.filter_map(|gateway| Some((gateway, gateway.tls.as_ref()?)));
    with_tls
        .flat_map(|(gateway, profile)| {
            let targets = gateway.state.targets().as_ref().clone();
            let targets = targets.into_iter();
            targets.map(|target| (target.canonical().address, Arc::clone(profile)))
        })
        .collect()
}
