//! SIP over connections (RFC 3261 §18): TCP and TLS, one connection a gateway, kept and reused.
//!
//! A thread of its own owns all connections. What is sent opens a connection where there is none; what
//! could not be written is told to be so, once, and is never written twice.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::JoinSet;

use crate::sip::message::hop::{Hop, Transport};

mod connection;
pub mod framing;
mod last_errors;
pub mod tls;

use connection::{Connection, Outgoing};
use last_errors::Troubles;
use tls::TlsProfile;

/// The most messages that wait for one connection.
const MOST_QUEUED: usize = 4096;
/// The most connections that gateways have opened to us.
const MOST_INCOMING: usize = 256;

/// News of the connections.
#[derive(Debug)]
pub enum StreamEvent {
    /// A whole message came.
    Received { from: Hop, message: Vec<u8> },
    /// The message with this token could not be written.
    Failed { token: Option<u64> },
}

/// Takes the news; called from the streams' own thread.
pub type OnStreamEvent = dyn Fn(StreamEvent) + Send + Sync;

/// Why SIP over connections cannot be started.
#[derive(Debug, Error)]
pub enum StreamsError {
    #[error(
        "TCP port {address} is in use: stop what listens there, or set sip.listen_udp to another"
    )]
    AddressInUse { address: SocketAddr },
    #[error("cannot listen on TCP {address}: set sip.listen_udp to an address of this machine")]
    Address {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("the thread for SIP over TCP and TLS cannot be started")]
    Thread(#[source] io::Error),
}

/// The handle. With the last one all connections are closed.
#[derive(Clone, Debug)]
pub struct Streams {
    commands: mpsc::UnboundedSender<Command>,
    troubles: Troubles,
}

enum Command {
    Send { to: Hop, outgoing: Outgoing },
    SetPeers(HashSet<IpAddr>),
    SetTls(HashMap<SocketAddr, Arc<TlsProfile>>),
}

impl Streams {
    /// Listens for TCP on `listen`, and starts the thread.
    ///
    /// # Errors
    /// [`StreamsError`], with the setting that mends it.
    pub fn start(listen: SocketAddr, events: Box<OnStreamEvent>) -> Result<Streams, StreamsError> {
        let (commands, orders) = mpsc::unbounded_channel();
        let troubles = Troubles::default();
        let hub = Hub {
            listen,
            troubles: troubles.clone(),
            events: events.into(),
            peers: HashSet::new(),
            tls: HashMap::new(),
            open: HashMap::new(),
            tasks: JoinSet::new(),
            incoming: 0,
        };
        // The runtime lives on its own thread from the first to the last: where we are called there may be
        // another one, and inside of that none may be dropped.
        let (tell, started) = std::sync::mpsc::sync_channel(1);
        let run = move || match open(listen) {
            Ok((runtime, listener)) => {
                // Who asked waits for it.
                let _ = tell.send(Ok(()));
                runtime.block_on(hub.run(listener, orders));
            }
            Err(error) => {
                let _ = tell.send(Err(error));
            }
        };
        let thread = thread::Builder::new().name("sip-streams".into());
        thread.spawn(run).map_err(StreamsError::Thread)?;
        let ended = |_| StreamsError::Thread(io::Error::other("it has ended"));
        started.recv().map_err(ended)??;
        Ok(Streams { commands, troubles })
    }

    /// Sends a message, over a new connection where there is none. Never waits.
    pub fn send(&self, to: Hop, token: Option<u64>, bytes: Arc<[u8]>) {
        let outgoing = Outgoing { token, bytes };
        self.command(Command::Send { to, outgoing });
    }

    /// Why the last connection to it failed, where none has worked since.
    pub fn trouble(&self, hop: Hop) -> Option<Arc<str>> {
        self.troubles.with(hop.canonical())
    }

    /// Who may open connections to us.
    pub fn set_peers(&self, peers: HashSet<IpAddr>) {
        self.command(Command::SetPeers(peers));
    }

    /// How TLS is spoken to each gateway.
    pub fn set_tls(&self, profiles: HashMap<SocketAddr, Arc<TlsProfile>>) {
        self.command(Command::SetTls(profiles));
    }

    fn command(&self, command: Command) {
        // The thread ends only with the last handle.
        let _ = self.commands.send(command);
    }
}

fn open(address: SocketAddr) -> Result<(Runtime, TcpListener), StreamsError> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StreamsError::Thread)?;
    let listener = {
        let _entered = runtime.enter();
        listen(address).map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => StreamsError::AddressInUse { address },
            _ => StreamsError::Address { address, source },
        })?
    };
    Ok((runtime, listener))
}

/// A listener whose port our own connections may leave from too: so a gateway that calls our Contact
/// address finds the connection that it has.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = shared_socket(address)?;
    socket.bind(address)?;
    socket.listen(64)
}

fn shared_socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    Ok(socket)
}

struct Hub {
    listen: SocketAddr,
    troubles: Troubles,
    events: Arc<OnStreamEvent>,
    peers: HashSet<IpAddr>,
    tls: HashMap<SocketAddr, Arc<TlsProfile>>,
    open: HashMap<Hop, mpsc::Sender<Outgoing>>,
    tasks: JoinSet<Hop>,
    incoming: usize,
}

impl Hub {
    async fn run(mut self, listener: TcpListener, mut orders: mpsc::UnboundedReceiver<Command>) {
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.obey(order),
                    None => break,
                },
                accepted = listener.accept() => match accepted {
                    Ok((stream, from)) => {
                        // Who may call is known from before the connection.
                        while let Ok(order) = orders.try_recv() {
                            self.obey(order);
                        }
                        self.accepted(stream, from);
                    }
                    // Out of descriptors, as a rule: others may be freed soon.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                },
                Some(ended) = self.tasks.join_next() => {
                    if let Ok(hop) = ended {
                        self.ended(hop);
                    }
                }
            }
        }
        // What was queued is written; then the connections see that nobody sends any more.
        self.open.clear();
        while self.tasks.join_next().await.is_some() {}
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Send { to, outgoing } => self.send(to.canonical(), outgoing),
            Command::SetPeers(peers) => {
                self.peers = peers.into_iter().map(|ip| ip.to_canonical()).collect();
            }
            Command::SetTls(profiles) => self.tls = profiles,
        }
    }

    fn send(&mut self, to: Hop, outgoing: Outgoing) {
        let Some(queue) = self.open.get(&to) else {
            return self.open(to, outgoing);
        };
        match queue.try_send(outgoing) {
            Ok(()) => {}
            Err(TrySendError::Full(outgoing)) => self.failed(&outgoing),
            // It has just ended.
            Err(TrySendError::Closed(outgoing)) => self.open(to, outgoing),
        }
    }

    fn failed(&self, outgoing: &Outgoing) {
        (self.events)(StreamEvent::Failed {
            token: outgoing.token,
        });
    }

    fn open(&mut self, to: Hop, first: Outgoing) {
        let profile = self.tls.get(&to.address).cloned();
        if to.transport == Transport::Tls && profile.is_none() {
            return self.failed(&first);
        }
        let (queue, waiting) = mpsc::channel(MOST_QUEUED);
        if let Err(TrySendError::Full(first) | TrySendError::Closed(first)) = queue.try_send(first)
        {
            return self.failed(&first);
        }
        let connection = self.connection(to, waiting);
        self.tasks.spawn(connection.dial(self.listen, profile));
        self.open.insert(to, queue);
    }

    fn accepted(&mut self, stream: tokio::net::TcpStream, from: SocketAddr) {
        let from = Hop {
            transport: Transport::Tcp,
            address: from,
        }
        .canonical();
        let is_peer = self.peers.contains(&from.address.ip());
        if !is_peer || self.incoming >= MOST_INCOMING || self.open.contains_key(&from) {
            metrics::counter!("nexo_sip_connections_refused_total").increment(1);
            return;
        }
        self.incoming += 1;
        let (queue, waiting) = mpsc::channel(MOST_QUEUED);
        let connection = self.connection(from, waiting);
        self.tasks.spawn(connection.serve(stream));
        self.open.insert(from, queue);
    }

    fn connection(&self, hop: Hop, waiting: mpsc::Receiver<Outgoing>) -> Connection {
        Connection::new(
            hop,
            waiting,
            Arc::clone(&self.events),
            self.troubles.clone(),
        )
    }

    fn ended(&mut self, hop: Hop) {
        // A newer connection to the same place may have taken its entry.
        if self.open.get(&hop).is_some_and(mpsc::Sender::is_closed) {
            self.open.remove(&hop);
        }
        self.incoming = self.incoming.min(self.open.len());
    }
}

#[cfg(test)]
mod tests;
