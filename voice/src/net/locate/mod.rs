//! Location of a gateway, or of a dialog's next hop, by DNS (RFC 3263): its transports and addresses, in order.
//!
//! | the URI has | DNS queries |
//! |---|---|
//! | an IP address | none |
//! | a port | A and AAAA; its transport, by default UDP |
//! | a transport, no port | SRV for that transport; else A and AAAA with its default port |
//! | neither | NAPTR, then its SRV; else SRV for UDP, TCP and TLS; else A and AAAA for UDP |
//!
//! A and AAAA are queried only for the [`AddressFamilies`] that our SIP port can reach.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{ResolverBuilder, TokioResolver};
use rand::RngExt;
use thiserror::Error;

use crate::sip::message::gateway_uri::GatewayUri;
use crate::sip::message::hop::{Hop, Transport};

mod families;
mod order;

pub use families::AddressFamilies;
use order::{Naptr, Srv};

/// The timeout of one query.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);
/// The timeout of all queries for one gateway together.
const LOCATE_TIMEOUT: Duration = Duration::from_secs(6);
/// The bounds of a result's TTL.
const MIN_TTL: Duration = Duration::from_secs(5);
const MAX_TTL: Duration = Duration::from_secs(3600);
/// The maximum number of targets of one gateway.
const MAX_TARGETS: usize = 32;

/// The targets of a gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Located {
    /// The targets, in the order to try them.
    pub targets: Vec<Hop>,
    /// For how long the result may be used.
    pub ttl: Duration,
}

/// Why a gateway cannot be located.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum LocateError {
    #[error("the host {host} does not exist in DNS")]
    UnknownHost { host: String },
    #[error(
        "{host} has no {families} address; our SIP port (sip.listen_udp) reaches no other family"
    )]
    OtherFamily { host: String, families: AddressFamilies },
    #[error("according to DNS, {host} does not accept SIP over {transport}")]
    NoService { host: String, transport: Transport },
    #[error("no DNS server answered the queries for {host}")]
    NoAnswer { host: String },
    #[error("the DNS configuration of this system cannot be read")]
    SystemConfig,
}

/// Locates gateways.
#[derive(Clone)]
pub struct Locator {
    resolver: TokioResolver,
    families: AddressFamilies,
}

impl fmt::Debug for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locator").field("families", &self.families).finish_non_exhaustive()
    }
}

/// DNS records, and the time until they are valid.
struct Answer<T> {
    records: Vec<T>,
    valid_until: Instant,
}

/// A resolver that uses only these DNS servers, over UDP and TCP.
pub fn resolver_with_servers(servers: &[SocketAddr]) -> ResolverBuilder<TokioRuntimeProvider> {
    let servers = servers.iter().map(|server| {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
        let connections = connections.into_iter().map(|mut connection| {
            connection.port = server.port();
            connection
        });
        NameServerConfig::new(server.ip(), true, connections.collect())
    });
    let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
}

impl Locator {
    /// A locator that uses the system's DNS servers and hosts file.
    ///
    /// # Errors
    /// [`LocateError::SystemConfig`].
    pub fn system(families: AddressFamilies) -> Result<Locator, LocateError> {
        let builder = TokioResolver::builder_tokio().map_err(|_| LocateError::SystemConfig)?;
        Locator::from_builder(builder, families)
    }

    /// A locator that uses only these DNS servers.
    ///
    /// # Errors
    /// [`LocateError::SystemConfig`].
    pub fn with_servers(
        servers: &[SocketAddr],
        families: AddressFamilies,
    ) -> Result<Locator, LocateError> {
        let builder = resolver_with_servers(servers);
        Locator::from_builder(builder, families)
    }

    fn from_builder(
        mut builder: ResolverBuilder<TokioRuntimeProvider>,
        families: AddressFamilies,
    ) -> Result<Locator, LocateError> {
        let options = builder.options_mut();
        (options.timeout, options.attempts) = (QUERY_TIMEOUT, 2);
        // The caller keeps results for their TTL.
        options.cache_size = 0;
        options.ip_strategy = families.strategy();
        let resolver = builder.build().map_err(|_| LocateError::SystemConfig)?;
        Ok(Locator { resolver, families })
    }

    /// Locates a gateway.
    ///
    /// # Errors
    /// [`LocateError`], with the queried name.
    pub async fn locate(&self, uri: &GatewayUri) -> Result<Located, LocateError> {
        if let Some(ip) = uri.ip() {
            if !self.families.contains(ip) {
                return Err(self.no_address(&uri.host));
            }
            let address = SocketAddr::new(ip, uri.port_or_default());
            let transport = uri.transport_or_udp();
            return Ok(Located { targets: vec![Hop { transport, address }], ttl: MAX_TTL });
        }
        let no_answer = |_| LocateError::NoAnswer { host: uri.host.clone() };
        let queries = tokio::time::timeout(LOCATE_TIMEOUT, self.query(uri));
        let Answer { records, valid_until } = queries.await.map_err(no_answer)??;
        let mut targets: Vec<Hop> = Vec::new();
        for hop in records {
            if !targets.contains(&hop) && targets.len() < MAX_TARGETS {
                targets.push(hop);
            }
        }
        let ttl = valid_until.saturating_duration_since(Instant::now());
        match targets.is_empty() {
            true => Err(self.no_address(&uri.host)),
            false => Ok(Located { targets, ttl: ttl.clamp(MIN_TTL, MAX_TTL) }),
        }
    }

    async fn query(&self, uri: &GatewayUri) -> Result<Answer<Hop>, LocateError> {
        let host = uri.host.as_str();
        if uri.port.is_some() {
            let port = uri.port_or_default();
            return self.addresses(host, uri.transport_or_udp(), port).await;
        }
        if let Some(transport) = uri.transport {
            let name = srv_name(host, transport);
            return match self.services(&name, transport, host).await? {
                Some(found) => Ok(found),
                None => {
                    let port = transport.default_port();
                    self.addresses(host, transport, port).await
                }
            };
        }
        let naptr = self.naptr(host).await?;
        let mut all = Answer::empty(naptr.valid_until);
        for (transport, name) in order::by_naptr(&naptr.records) {
            if let Some(found) = self.services(&name, transport, host).await? {
                all.extend(found);
            }
        }
        if all.records.is_empty() {
            for transport in Transport::ALL {
                let name = srv_name(host, transport);
                if let Ok(Some(found)) = self.services(&name, transport, host).await {
                    all.extend(found);
                }
            }
        }
        match all.records.is_empty() {
            false => Ok(all),
            true => {
                let transport = Transport::Udp;
                let port = transport.default_port();
                self.addresses(host, transport, port).await
            }
        }
    }

    /// The targets of the SRV records, in the order of RFC 2782. `None`: there is no such record.
    async fn services(
        &self,
        name: &str,
        transport: Transport,
        host: &str,
    ) -> Result<Option<Answer<Hop>>, LocateError> {
        let services = self.srv(name, host).await?;
        if services.records.is_empty() {
            return Ok(None);
        }
        // RFC 2782: the target "." means that the service is not available.
        if services.records.iter().all(|srv| srv.target == ".") {
            let host = host.to_owned();
            return Err(LocateError::NoService { host, transport });
        }
        let mut found = Answer::empty(services.valid_until);
        let ordered = order::by_weight(services.records, |max| rand::rng().random_range(0..=max));
        for srv in ordered.iter().filter(|srv| srv.target != ".") {
            // A target that does not resolve is skipped.
            if let Ok(addresses) = self.addresses(&srv.target, transport, srv.port).await {
                found.extend(addresses);
            }
        }
        Ok(Some(found))
    }

    /// The addresses of a host, IPv4 first: few carriers use IPv6, and with both it is the same machine.
    async fn addresses(
        &self,
        host: &str,
        transport: Transport,
        port: u16,
    ) -> Result<Answer<Hop>, LocateError> {
        let hop = |ip: IpAddr| Hop { transport, address: SocketAddr::new(ip, port) };
        let found = match self.resolver.lookup_ip(absolute(host)).await {
            Ok(found) => found,
            Err(error) if error.is_no_records_found() && !error.is_nx_domain() => {
                return Err(self.no_address(host));
            }
            Err(error) if has_no_records(&error) => {
                let host = host.to_owned();
                return Err(LocateError::UnknownHost { host });
            }
            Err(_) => {
                let host = host.to_owned();
                return Err(LocateError::NoAnswer { host });
            }
        };
        let mut records: Vec<Hop> = found.iter().map(hop).collect();
        records.sort_by_key(|hop| hop.address.is_ipv6());
        records.truncate(MAX_TARGETS);
        Ok(Answer { records, valid_until: found.as_lookup().valid_until() })
    }

    /// The error for an existing host without a reachable address.
    fn no_address(&self, host: &str) -> LocateError {
        let (host, families) = (host.to_owned(), self.families);
        match families {
            AddressFamilies::V4 | AddressFamilies::V6 => {
                LocateError::OtherFamily { host, families }
            }
            AddressFamilies::Both => LocateError::UnknownHost { host },
        }
    }

    async fn naptr(&self, host: &str) -> Result<Answer<Naptr>, LocateError> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.lookup(host, RecordType::NAPTR, host, |data| match data {
            RData::NAPTR(naptr) => Some(Naptr {
                order: naptr.order,
                preference: naptr.preference,
                flags: text(&naptr.flags),
                services: text(&naptr.services),
                replacement: naptr.replacement.to_utf8(),
            }),
            _ => None,
        })
        .await
    }

    async fn srv(&self, name: &str, host: &str) -> Result<Answer<Srv>, LocateError> {
        self.lookup(name, RecordType::SRV, host, |data| match data {
            RData::SRV(srv) => Some(Srv {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: srv.target.to_utf8(),
            }),
            _ => None,
        })
        .await
    }

    /// Queries records of one type. Having none is not an error.
    async fn lookup<T>(
        &self,
        name: &str,
        kind: RecordType,
        host: &str,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Result<Answer<T>, LocateError> {
        match self.resolver.lookup(absolute(name), kind).await {
            Ok(found) => Ok(Answer {
                records: found.answers().iter().filter_map(|r| read(&r.data)).collect(),
                valid_until: found.valid_until(),
            }),
            Err(error) if has_no_records(&error) => Ok(Answer::empty(Instant::now() + MAX_TTL)),
            Err(_) => Err(LocateError::NoAnswer { host: host.to_owned() }),
        }
    }
}

/// The name with a dot at its end, so that no search domain is appended. Single labels stay relative.
fn absolute(name: &str) -> String {
    match name.ends_with('.') || !name.contains('.') {
        true => name.to_owned(),
        false => format!("{name}."),
    }
}

fn has_no_records(error: &NetError) -> bool {
    error.is_nx_domain() || error.is_no_records_found()
}

impl<T> Answer<T> {
    fn empty(valid_until: Instant) -> Answer<T> {
        Answer { records: Vec::new(), valid_until }
    }

    fn extend(&mut self, other: Answer<T>) {
        self.records.extend(other.records);
        self.valid_until = self.valid_until.min(other.valid_until);
    }
}

/// The name of a host's SRV records (RFC 3263 §4.1).
fn srv_name(host: &str, transport: Transport) -> String {
    let service = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    };
    format!("{service}.{host}")
}

#[cfg(test)]
pub(crate) mod tests;
