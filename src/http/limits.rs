//! How many HTTP connections are open: in all, and from one client address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use metrics::{Counter, Gauge};
use nexo_domain::account::client_ip::unmapped;
use nix::sys::resource::{Resource, getrlimit};
use parking_lot::Mutex;

use crate::config::server::ServerConfig;

/// Descriptors that HTTP connections leave to the rest of the process, before they take half of the others: SIP, RTP,
/// the database, webhooks, e-mails, DNS.
const RESERVED_FILES: u64 = 256;
/// The fewest connections, however few files the process may open.
const MIN_CONNECTIONS: u32 = 16;
/// One address may have this part of all connections, at most.
const ADDRESS_SHARE: u32 = 4;
/// Refused connections that still receive their answer. Further ones are closed without.
const MAX_REFUSED: u32 = 64;

/// The limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections in all.
    pub total: u32,
    /// Connections from one IPv4 address or IPv6 /56 network that is not a trusted proxy.
    pub per_address: u32,
}

impl ConnectionLimits {
    /// The configured limits, lowered to what the process may open.
    pub fn of(config: &ServerConfig) -> ConnectionLimits {
        let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
        ConnectionLimits {
            total: config.max_connections,
            per_address: config.max_connections_per_address,
        }
        .within(files)
    }

    fn within(self, files: u64) -> ConnectionLimits {
        let available = files.saturating_sub(RESERVED_FILES) / 2;
        let available = u32::try_from(available).unwrap_or(u32::MAX);
        let total = self.total.min(available).max(MIN_CONNECTIONS);
        ConnectionLimits { total, per_address: self.per_address.min(total / ADDRESS_SHARE) }
    }
}

/// Counts the open connections of one server. Clones share the counts.
#[derive(Clone)]
pub struct ConnectionLimiter(Arc<Shared>);

struct Shared {
    exempt: Vec<IpNet>,
    state: Mutex<State>,
    meters: Option<Meters>,
}

struct State {
    limits: ConnectionLimits,
    open: u32,
    refused: u32,
    by_address: HashMap<IpAddr, u32>,
}

struct Meters {
    open: Gauge,
    limit: Gauge,
    refused_total: Counter,
    refused_by_address: Counter,
}

/// The right to a connection, until it is dropped.
pub struct ConnectionPermit {
    shared: Arc<Shared>,
    /// `None`: the address has no limit.
    address: Option<IpAddr>,
}

/// Why a connection is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The gateway has too many connections.
    Total,
    /// The client's address has too many connections.
    Address,
}

/// A connection that is not admitted.
pub struct Refusal {
    pub reason: Reason,
    /// Whether there is room to answer it.
    pub has_answer: bool,
    shared: Arc<Shared>,
}

impl ConnectionLimiter {
    /// `exempt`: networks whose addresses have no limit of their own, such as proxies.
    pub fn new(limits: ConnectionLimits, exempt: Vec<IpNet>) -> ConnectionLimiter {
        ConnectionLimiter(Arc::new(Shared {
            exempt,
            state: Mutex::new(State { limits, open: 0, refused: 0, by_address: HashMap::new() }),
            meters: None,
        }))
    }

    /// The limiter of the API and the dashboard, which publishes metrics.
    pub fn of_api(config: &ServerConfig) -> ConnectionLimiter {
        let refused = |reason: &'static str| metrics::counter!("nexo_http_connections_refused_total", "reason" => reason);
        let limits = ConnectionLimits::of(config);
        let limiter = ConnectionLimiter::new(limits, config.trusted_proxies.clone());
        let mut shared = Arc::into_inner(limiter.0).expect("not shared yet");
        shared.meters = Some(Meters {
            open: metrics::gauge!("nexo_http_connections"),
            limit: metrics::gauge!("nexo_http_connections_limit"),
            refused_total: refused("total"),
            refused_by_address: refused("address"),
        });
        let limiter = ConnectionLimiter(Arc::new(shared));
        limiter.set_limits(limits);
        limiter
    }

    /// Replaces the limits. Open connections stay open.
    pub fn set_limits(&self, limits: ConnectionLimits) {
        self.0.state.lock().limits = limits;
        if let Some(meters) = &self.0.meters {
            meters.limit.set(f64::from(limits.total));
        }
    }

    /// Admits a connection from `peer`, or says why not.
    pub fn admit(&self, peer: IpAddr) -> Result<ConnectionPermit, Refusal> {
        let peer = unmapped(peer);
        let is_exempt = self.0.exempt.iter().any(|net| net.contains(&peer));
        let address = (!is_exempt).then(|| network(peer));
        let mut state = self.0.state.lock();
        let limits = state.limits;
        let used =
            address.map_or(0, |address| state.by_address.get(&address).copied().unwrap_or(0));
        let reason = match () {
            () if address.is_some() && used >= limits.per_address => Reason::Address,
            () if state.open >= limits.total => Reason::Total,
            () => {
                state.open += 1;
                if let Some(address) = address {
                    state.by_address.insert(address, used + 1);
                }
                self.0.publish(&state);
                let shared = Arc::clone(&self.0);
                return Ok(ConnectionPermit { shared, address });
            }
        };
        let has_answer = state.refused < MAX_REFUSED;
        state.refused += 1;
        if let Some(meters) = &self.0.meters {
            match reason {
                Reason::Total => meters.refused_total.increment(1),
                Reason::Address => meters.refused_by_address.increment(1),
            }
        }
        Err(Refusal { reason, has_answer, shared: Arc::clone(&self.0) })
    }
}

impl Shared {
    fn publish(&self, state: &State) {
        if let Some(meters) = &self.meters {
            meters.open.set(f64::from(state.open));
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.open -= 1;
        if let Some(address) = self.address
            && let Some(used) = state.by_address.get_mut(&address)
        {
            *used -= 1;
            if *used == 0 {
                state.by_address.remove(&address);
            }
        }
        self.shared.publish(&state);
    }
}

impl Drop for Refusal {
    fn drop(&mut self) {
        self.shared.state.lock().refused -= 1;
    }
}

/// What counts as one address: an IPv4 address or an IPv6 /56 network, because one household or server may have a
/// whole /56.
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d & 0xff00, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ConnectionLimits = ConnectionLimits { total: 5, per_address: 2 };

    fn limiter() -> ConnectionLimiter {
        ConnectionLimiter::new(LIMITS, vec!["127.0.0.0/8".parse().unwrap()])
    }

    fn admit(limiter: &ConnectionLimiter, peer: &str) -> Result<ConnectionPermit, Reason> {
        let admitted = limiter.admit(peer.parse().unwrap());
        admitted.map_err(|refusal| refusal.reason)
    }

    #[test]
    fn one_address_cannot_take_the_connections_of_others() {
        let limiter = limiter();
        let first = admit(&limiter, "192.0.2.1").unwrap();
        let _second = admit(&limiter, "::ffff:192.0.2.1").unwrap();
        assert_eq!(admit(&limiter, "192.0.2.1").err(), Some(Reason::Address));
        let _other = admit(&limiter, "192.0.2.2").unwrap();
        drop(first);
        let _again = admit(&limiter, "192.0.2.1").unwrap();
        assert_eq!(admit(&limiter, "192.0.2.1").err(), Some(Reason::Address));
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let limiter = limiter();
        let peers = ["2001:db8::1", "2001:db8:0:ff::ffff"];
        let _held = peers.map(|peer| admit(&limiter, peer).unwrap());
        for peer in ["2001:db8::2", "2001:db8:0:80::2"] {
            assert_eq!(admit(&limiter, peer).err(), Some(Reason::Address), "{peer}");
        }
        assert!(admit(&limiter, "2001:db8:0:100::2").is_ok());
    }

    #[test]
    fn a_trusted_proxy_has_only_the_limit_of_all_connections() {
        let limiter = limiter();
        let held: Vec<_> = (0..5).map(|_| admit(&limiter, "127.0.0.1").unwrap()).collect();
        assert_eq!(admit(&limiter, "127.0.0.1").err(), Some(Reason::Total));
        assert_eq!(admit(&limiter, "192.0.2.1").err(), Some(Reason::Total));
        drop(held);
        assert!(admit(&limiter, "192.0.2.1").is_ok());
        assert!(limiter.0.state.lock().by_address.is_empty());
    }

    #[test]
    fn only_so_many_refusals_are_answered() {
        let limiter = limiter();
        let _held = [0, 1].map(|_| admit(&limiter, "192.0.2.1").unwrap());
        let refusals: Vec<Refusal> = (0..2 * MAX_REFUSED)
            .filter_map(|_| limiter.admit("192.0.2.1".parse().unwrap()).err())
            .collect();
        let answered = refusals.iter().filter(|refusal| refusal.has_answer).count();
        assert_eq!(answered, MAX_REFUSED as usize);
        drop(refusals);
        assert_eq!(limiter.0.state.lock().refused, 0);
    }

    #[test]
    fn new_limits_apply_to_new_connections() {
        let limiter = limiter();
        let _held = [0, 1].map(|_| admit(&limiter, "192.0.2.1").unwrap());
        limiter.set_limits(ConnectionLimits { per_address: 3, ..LIMITS });
        assert!(admit(&limiter, "192.0.2.1").is_ok());
    }

    #[test]
    fn connections_leave_files_to_the_rest_of_the_process() {
        let configured = ConnectionLimits { total: 10_000, per_address: 500 };
        for (files, total, per_address) in [
            (0, 16, 4),
            (256, 16, 4),
            (1_024, 384, 96),
            (4_096, 1_920, 480),
            (1 << 20, 10_000, 500),
            (u64::MAX, 10_000, 500),
        ] {
            let limits = ConnectionLimits { total, per_address };
            assert_eq!(configured.within(files), limits, "{files}");
        }
    }
}
