//! Where a gateway is, by DNS (RFC 3263): by which transports, at which addresses, in which order.
//!
//! | the URI has | asked for |
//! |---|---|
//! | an IP address | nothing |
//! | a port | A and AAAA, by its transport, UDP without one |
//! | a transport, no port | SRV of that transport, else A and AAAA at its default port |
//! | neither | NAPTR, then SRV of what it says; else SRV of UDP, TCP and TLS; else A and AAAA by UDP |
//!
//! Of A and AAAA, those are asked for whose addresses our own SIP port can talk to ([`Families`]).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use rand::RngExt;
use thiserror::Error;

use crate::sip::message::gateway_uri::GatewayUri;
use crate::sip::message::hop::{Hop, Transport};

mod families;
mod order;

pub use families::Families;
use order::{Naptr, Srv};

/// One query may take so long, and all of them together.
const QUERY_WITHIN: Duration = Duration::from_secs(2);
const LOCATE_WITHIN: Duration = Duration::from_secs(6);
/// However short-lived a record is, DNS is not asked more often; however long-lived, not less often.
const SHORTEST_TTL: Duration = Duration::from_secs(5);
const LONGEST_TTL: Duration = Duration::from_secs(3600);
/// The most places of one gateway.
const MOST_TARGETS: usize = 32;

/// Where a gateway is, and for how long that is true.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Located {
    /// In the order in which they are to be tried.
    pub targets: Vec<Hop>,
    pub fresh_for: Duration,
}

/// Why a gateway cannot be found.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum LocateError {
    #[error("the host {host} is unknown to DNS")]
    Unknown { host: String },
    #[error(
        "{host} has no {families} address, and our own SIP port (sip.listen_udp) speaks nothing else"
    )]
    OtherFamily { host: String, families: Families },
    #[error("DNS says that {host} takes no SIP by {transport}")]
    NoService { host: String, transport: Transport },
    #[error("no DNS server answers for {host}")]
    Silent { host: String },
    #[error("the system's DNS servers cannot be read from its configuration")]
    System,
}

/// Asks DNS.
#[derive(Clone)]
pub struct Locator {
    resolver: TokioResolver,
    families: Families,
}

/// An answer, and until when it is true.
struct Answer<T> {
    records: Vec<T>,
    until: Instant,
}

impl Locator {
    /// Asks the servers of the system's configuration, and its hosts file.
    ///
    /// # Errors
    /// [`LocateError::System`].
    pub fn system(families: Families) -> Result<Locator, LocateError> {
        let builder = TokioResolver::builder_tokio().map_err(|_| LocateError::System)?;
        Locator::of(builder, families)
    }

    /// Asks these servers alone.
    ///
    /// # Errors
    /// [`LocateError::System`].
    pub fn with_servers(
        servers: &[SocketAddr],
        families: Families,
    ) -> Result<Locator, LocateError> {
        let servers = servers.iter().map(|server| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
            let connections = connections.into_iter().map(|mut connection| {
                connection.port = server.port();
                connection
            });
            NameServerConfig::new(server.ip(), true, connections.collect())
        });
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
        let provider = TokioRuntimeProvider::default();
        let builder = TokioResolver::builder_with_config(config, provider);
        Locator::of(builder, families)
    }

    fn of(
        mut builder: hickory_resolver::ResolverBuilder<TokioRuntimeProvider>,
        families: Families,
    ) -> Result<Locator, LocateError> {
        let options = builder.options_mut();
        (options.timeout, options.attempts) = (QUERY_WITHIN, 2);
        // We say ourselves how long an answer is kept.
        options.cache_size = 0;
        options.ip_strategy = families.strategy();
        let resolver = builder.build().map_err(|_| LocateError::System)?;
        Ok(Locator { resolver, families })
    }

    /// Finds a gateway.
    ///
    /// # Errors
    /// [`LocateError`], with the name that was asked for.
    pub async fn locate(&self, uri: &GatewayUri) -> Result<Located, LocateError> {
        if let Some(ip) = uri.ip() {
            if !self.families.hold(ip) {
                return Err(self.no_address(&uri.host));
            }
            let address = SocketAddr::new(ip, uri.port_or_default());
            let transport = uri.transport_or_udp();
            return Ok(Located {
                targets: vec![Hop { transport, address }],
                fresh_for: LONGEST_TTL,
            });
        }
        let silent = || LocateError::Silent {
            host: uri.host.clone(),
        };
        let found = tokio::time::timeout(LOCATE_WITHIN, self.ask(uri));
        let Answer { records, until } = found.await.map_err(|_| silent())??;
        let mut targets: Vec<Hop> = Vec::new();
        for hop in records {
            if !targets.contains(&hop) && targets.len() < MOST_TARGETS {
                targets.push(hop);
            }
        }
        let fresh_for = until.saturating_duration_since(Instant::now());
        match targets.is_empty() {
            true => Err(self.no_address(&uri.host)),
            false => Ok(Located {
                targets,
                fresh_for: fresh_for.clamp(SHORTEST_TTL, LONGEST_TTL),
            }),
        }
    }

    async fn ask(&self, uri: &GatewayUri) -> Result<Answer<Hop>, LocateError> {
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
        let mut all = Answer::empty(naptr.until);
        for (transport, name) in order::by_naptr(&naptr.records) {
            if let Some(found) = self.services(&name, transport, host).await? {
                all.join(found);
            }
        }
        if all.records.is_empty() {
            for transport in Transport::ALL {
                let name = srv_name(host, transport);
                if let Ok(Some(found)) = self.services(&name, transport, host).await {
                    all.join(found);
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

    /// The places that SRV names, in the order of RFC 2782. `None`: there is no such record.
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
        // A service whose target is the root is decidedly not there.
        if services.records.iter().all(|srv| srv.target == ".") {
            let host = host.to_owned();
            return Err(LocateError::NoService { host, transport });
        }
        let mut found = Answer::empty(services.until);
        let ordered = order::by_weight(services.records, |below| {
            rand::rng().random_range(0..=below)
        });
        for srv in ordered.iter().filter(|srv| srv.target != ".") {
            // One target that does not resolve leaves the others.
            if let Ok(addresses) = self.addresses(&srv.target, transport, srv.port).await {
                found.join(addresses);
            }
        }
        Ok(Some(found))
    }

    /// IPv4 first: few carriers speak IPv6, and who has both means the same machine.
    async fn addresses(
        &self,
        host: &str,
        transport: Transport,
        port: u16,
    ) -> Result<Answer<Hop>, LocateError> {
        let hop = |ip: IpAddr| Hop {
            transport,
            address: SocketAddr::new(ip, port),
        };
        let found = match self.resolver.lookup_ip(whole(host)).await {
            Ok(found) => found,
            Err(error) if error.is_no_records_found() && !error.is_nx_domain() => {
                return Err(self.no_address(host));
            }
            Err(error) if says_none(&error) => {
                let host = host.to_owned();
                return Err(LocateError::Unknown { host });
            }
            Err(_) => {
                let host = host.to_owned();
                return Err(LocateError::Silent { host });
            }
        };
        let mut records: Vec<Hop> = found.iter().map(hop).collect();
        records.sort_by_key(|hop| hop.address.is_ipv6());
        records.truncate(MOST_TARGETS);
        Ok(Answer {
            records,
            until: found.as_lookup().valid_until(),
        })
    }

    /// `host` is known, and nothing of it can be talked to.
    fn no_address(&self, host: &str) -> LocateError {
        let (host, families) = (host.to_owned(), self.families);
        match families {
            Families::V4 | Families::V6 => LocateError::OtherFamily { host, families },
            Families::Both => LocateError::Unknown { host },
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

    /// Asks for records of one kind. That there are none is no error.
    async fn lookup<T>(
        &self,
        name: &str,
        kind: RecordType,
        host: &str,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Result<Answer<T>, LocateError> {
        match self.resolver.lookup(whole(name), kind).await {
            Ok(found) => Ok(Answer {
                records: found
                    .answers()
                    .iter()
                    .filter_map(|r| read(&r.data))
                    .collect(),
                until: found.valid_until(),
            }),
            Err(error) if says_none(&error) => Ok(Answer::empty(Instant::now() + LONGEST_TTL)),
            Err(_) => Err(LocateError::Silent {
                host: host.to_owned(),
            }),
        }
    }
}

/// A name with a dot at its end is whole: no search domain is tried behind it.
fn whole(name: &str) -> String {
    match name.ends_with('.') || !name.contains('.') {
        true => name.to_owned(),
        false => format!("{name}."),
    }
}

fn says_none(error: &NetError) -> bool {
    error.is_nx_domain() || error.is_no_records_found()
}

impl<T> Answer<T> {
    fn empty(until: Instant) -> Answer<T> {
        Answer {
            records: Vec::new(),
            until,
        }
    }

    fn join(&mut self, other: Answer<T>) {
        self.records.extend(other.records);
        self.until = self.until.min(other.until);
    }
}

/// RFC 3263 §4.1.
fn srv_name(host: &str, transport: Transport) -> String {
    let service = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    };
    format!("{service}.{host}")
}

#[cfg(test)]
mod tests;
