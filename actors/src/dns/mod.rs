//! Resolves host names of webhook receivers and of the mail server.
//!
//! Queries run on a thread of their own, so a DNS server that does not answer blocks no thread that other work needs.
//! The number of queries at a time and the time of each are bounded. Trunks have their own resolver (RFC 3263).

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::net::NetError;
use nexo_voice::net::locate::resolver_with_servers;
use nexo_voice::net::shortage::Shortage;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

mod addresses;
mod history;

use addresses::LOOKUP_TIMEOUT;
pub use addresses::{Addresses, DnsError};
use history::History;

/// The time that a lookup waits for its turn. With [`LOOKUP_TIMEOUT`], less than the 5 s of a webhook.
const TURN_TIMEOUT: Duration = Duration::from_millis(1_500);
const QUERY_TIMEOUT: Duration = Duration::from_secs(1);
/// The most lookups at a time for names that have resolved before, and as many for others. A lookup takes about two
/// sockets.
const MAX_LOOKUPS: usize = 32;
const CACHED_NAMES: u64 = 4_096;
/// The longest time for which an answer is used, whatever its TTL.
const MAX_TTL: Duration = Duration::from_secs(300);
/// The most addresses of one name that are used.
const MAX_ADDRESSES: usize = 16;

/// A lookup that waits for its answer.
struct Request {
    name: String,
    answer: oneshot::Sender<Addresses>,
}

/// The handle of the thread. It ends when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Resolver {
    requests: mpsc::UnboundedSender<Request>,
}

impl Resolver {
    /// Starts the thread. Without `servers`, the system's DNS servers and hosts file are used.
    ///
    /// # Errors
    /// If the thread or its runtime cannot be created.
    pub fn start(servers: &[SocketAddr]) -> io::Result<Resolver> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let resolver = resolver(servers).map_err(io::Error::other)?;
        let (requests, received) = mpsc::unbounded_channel();
        // The runtime is dropped on its own thread: it must not be dropped inside another runtime.
        std::thread::Builder::new()
            .name("dns".into())
            .spawn(move || runtime.block_on(Lookups::new(resolver).run(received)))?;
        Ok(Resolver { requests })
    }

    /// The addresses of a name or IP address.
    ///
    /// # Errors
    /// [`DnsError`].
    pub async fn lookup(&self, name: &str) -> Addresses {
        if let Ok(address) = name.parse::<IpAddr>() {
            return Ok(Arc::new([address]));
        }
        let (answer, answered) = oneshot::channel();
        let name = name.to_ascii_lowercase();
        // The thread runs as long as there is a handle.
        let _ = self.requests.send(Request { name, answer });
        answered.await.unwrap_or(Err(DnsError::NoAnswer))
    }
}

fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let mut builder = match servers {
        [] => TokioResolver::builder_tokio().unwrap_or_else(|error| {
            tracing::warn!(
                %error,
                "the DNS configuration of this system cannot be read; using a DNS server on this host"
            );
            resolver_with_servers(&[SocketAddr::from((Ipv4Addr::LOCALHOST, 53))])
        }),
        servers => resolver_with_servers(servers),
    };
    let options = builder.options_mut();
    (options.timeout, options.attempts) = (QUERY_TIMEOUT, 2);
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.cache_size = CACHED_NAMES;
    options.positive_max_ttl = Some(MAX_TTL);
    options.negative_max_ttl = Some(MAX_TTL);
    builder.build()
}

/// The lookups in progress, on their thread.
struct Lookups {
    resolver: TokioResolver,
    /// Those that wait for the same name.
    waiting: HashMap<String, Vec<oneshot::Sender<Addresses>>>,
    tasks: JoinSet<(String, Addresses)>,
    history: History,
    /// Two sets of turns, so that names that never resolve cannot delay names that do.
    known: Arc<Semaphore>,
    unknown: Arc<Semaphore>,
}

impl Lookups {
    fn new(resolver: TokioResolver) -> Lookups {
        Lookups {
            resolver,
            waiting: HashMap::new(),
            tasks: JoinSet::new(),
            history: History::default(),
            known: Arc::new(Semaphore::new(MAX_LOOKUPS)),
            unknown: Arc::new(Semaphore::new(MAX_LOOKUPS)),
        }
    }

    async fn run(mut self, mut requests: mpsc::UnboundedReceiver<Request>) {
        loop {
            tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => self.begin(request),
                    None => break,
                },
                Some(ended) = self.tasks.join_next() => {
                    if let Ok((name, addresses)) = ended {
                        self.finish(&name, addresses);
                    }
                }
            }
        }
    }

    fn begin(&mut self, request: Request) {
        let Request { name, answer } = request;
        if let Some(error) = self.history.recent_failure(&name, Instant::now()) {
            // The caller may be gone.
            let _ = answer.send(Err(error));
            return;
        }
        if let Some(waiting) = self.waiting.get_mut(&name) {
            waiting.push(answer);
            return;
        }
        self.waiting.insert(name.clone(), vec![answer]);
        let turns = match self.history.is_known(&name) {
            true => Arc::clone(&self.known),
            false => Arc::clone(&self.unknown),
        };
        let resolver = self.resolver.clone();
        self.tasks.spawn(async move {
            let addresses = lookup(&resolver, &turns, &name).await;
            (name, addresses)
        });
    }

    fn finish(&mut self, name: &str, addresses: Addresses) {
        self.history.record(name, &addresses, Instant::now());
        for answer in self.waiting.remove(name).into_iter().flatten() {
            // The caller may be gone.
            let _ = answer.send(addresses.clone());
        }
    }
}

async fn lookup(resolver: &TokioResolver, turns: &Semaphore, name: &str) -> Addresses {
    let Ok(Ok(_turn)) = tokio::time::timeout(TURN_TIMEOUT, turns.acquire()).await else {
        return Err(Shortage::DnsQueries.into());
    };
    let query = tokio::time::timeout(LOOKUP_TIMEOUT, resolver.lookup_ip(absolute(name)));
    let found = match query.await {
        Err(_) => return Err(DnsError::NoAnswer),
        Ok(Err(error)) => return Err(explain(&error)),
        Ok(Ok(found)) => found,
    };
    let mut addresses: Vec<IpAddr> = found.iter().collect();
    addresses.sort_by_key(IpAddr::is_ipv6);
    let has_v4 = addresses.first().is_some_and(IpAddr::is_ipv4);
    // On a host without IPv6, the error of the last address would hide that of the others.
    addresses.retain(|address| !has_v4 || address.is_ipv4() || has_route(*address));
    addresses.truncate(MAX_ADDRESSES);
    match addresses.is_empty() {
        true => Err(DnsError::Unresolved),
        false => Ok(addresses.into()),
    }
}

fn explain(error: &NetError) -> DnsError {
    match error {
        _ if error.is_nx_domain() || error.is_no_records_found() => DnsError::Unresolved,
        NetError::Io(error) => {
            Shortage::of_io(error).map_or(DnsError::NoAnswer, DnsError::Shortage)
        }
        NetError::Busy => Shortage::DnsQueries.into(),
        NetError::Timeout | NetError::NoConnections => DnsError::NoAnswer,
        _ => DnsError::Unresolved,
    }
}

/// Whether this host could send to `address`. Connecting a UDP socket sends nothing.
fn has_route(address: IpAddr) -> bool {
    let Ok(socket) = UdpSocket::bind((std::net::Ipv6Addr::UNSPECIFIED, 0)) else {
        return false;
    };
    socket.connect((address, 9)).is_ok()
}

/// The name with a dot at its end, so that no search domain is appended. Single labels stay relative.
fn absolute(name: &str) -> String {
    match name.ends_with('.') || !name.contains('.') {
        true => name.to_owned(),
        false => format!("{name}."),
    }
}

#[cfg(test)]
mod tests;
