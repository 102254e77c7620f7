//! SIP over TCP and TLS (RFC 3261 §18), with one reused connection for each gateway.
//!
//! One thread owns all connections. Sending a message opens a connection if there is none. A message that
//! could not be written is reported once, and is never written twice.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::JoinSet;

use crate::sip::message::hop::{Hop, Transport};

mod connection;
mod event;
pub mod framing;
mod last_errors;
mod sockets;
pub mod tls;

use connection::{Connection, Outgoing};
pub use event::{OnStreamEvent, StreamEvent};
use last_errors::LastErrors;
use tls::TlsProfile;

/// The maximum number of messages queued for one connection.
const MAX_QUEUED: usize = 4096;
/// The maximum number of connections opened by gateways.
const MAX_INCOMING: usize = 256;

/// Why SIP over TCP and TLS cannot be started.
#[derive(Debug, Error)]
pub enum StreamsError {
    #[error(
        "TCP {address} is in use: stop the program that listens there, or change sip.listen_udp"
    )]
    AddressInUse { address: SocketAddr },
    #[error("cannot listen on TCP {address}: set sip.listen_udp to an address of this machine")]
    Address { address: SocketAddr, source: io::Error },
    #[error("the thread for SIP over TCP and TLS cannot be started")]
    Thread(#[source] io::Error),
}

/// The handle of the connections. Dropping the last clone closes them.
#[derive(Clone, Debug)]
pub struct Streams {
    commands: mpsc::UnboundedSender<Command>,
    last_errors: LastErrors,
}

enum Command {
    Send { to: Hop, outgoing: Outgoing },
    SetPeers(HashSet<IpAddr>),
    SetTls(HashMap<SocketAddr, Arc<TlsProfile>>),
}

impl Streams {
    /// Listens on TCP `listen`, and starts the thread.
    ///
    /// # Errors
    /// [`StreamsError`], with the setting to change.
    pub fn start(listen: SocketAddr, events: Box<OnStreamEvent>) -> Result<Streams, StreamsError> {
        let (commands, received) = mpsc::unbounded_channel();
        let last_errors = LastErrors::default();
        let connections = Connections {
            listen,
            last_errors: last_errors.clone(),
            events: events.into(),
            peers: HashSet::new(),
            tls: HashMap::new(),
            open: HashMap::new(),
            tasks: JoinSet::new(),
            incoming: 0,
        };
        // The runtime is created and dropped on its own thread: the caller may be inside another runtime, and
        // a runtime must not be dropped there.
        let (report, started) = std::sync::mpsc::sync_channel(1);
        let run = move || match open(listen) {
            Ok((runtime, listener)) => {
                let _ = report.send(Ok(()));
                runtime.block_on(connections.run(listener, received));
            }
            Err(error) => {
                let _ = report.send(Err(error));
            }
        };
        let thread = thread::Builder::new().name("sip-streams".into());
        thread.spawn(run).map_err(StreamsError::Thread)?;
        let ended = |_| StreamsError::Thread(io::Error::other("the thread ended"));
        started.recv().map_err(ended)??;
        Ok(Streams { commands, last_errors })
    }

    /// Sends a message, opening a connection if there is none. Never waits.
    pub fn send(&self, to: Hop, token: Option<u64>, bytes: Arc<[u8]>) {
        let outgoing = Outgoing { token, bytes };
        self.command(Command::Send { to, outgoing });
    }

    /// The error of the last connection to `hop`, unless a connection has worked since.
    pub fn last_error(&self, hop: Hop) -> Option<Arc<str>> {
        self.last_errors.get(hop.canonical())
    }

    /// Sets the addresses that may open connections to us.
    pub fn set_peers(&self, peers: HashSet<IpAddr>) {
        self.command(Command::SetPeers(peers));
    }

    /// Sets the TLS profile of each gateway.
    pub fn set_tls(&self, profiles: HashMap<SocketAddr, Arc<TlsProfile>>) {
        self.command(Command::SetTls(profiles));
    }

    fn command(&self, command: Command) {
        // The thread runs as long as there is a handle.
        let _ = self.commands.send(command);
    }
}

fn open(address: SocketAddr) -> Result<(Runtime, TcpListener), StreamsError> {
    let runtime =
        Builder::new_current_thread().enable_all().build().map_err(StreamsError::Thread)?;
    let listener = {
        let _entered = runtime.enter();
        sockets::listen(address).map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => StreamsError::AddressInUse { address },
            _ => StreamsError::Address { address, source },
        })?
    };
    Ok((runtime, listener))
}

/// All connections, on their thread.
struct Connections {
    listen: SocketAddr,
    last_errors: LastErrors,
    events: Arc<OnStreamEvent>,
    peers: HashSet<IpAddr>,
    tls: HashMap<SocketAddr, Arc<TlsProfile>>,
    open: HashMap<Hop, mpsc::Sender<Outgoing>>,
    tasks: JoinSet<Hop>,
    incoming: usize,
}

impl Connections {
    async fn run(mut self, listener: TcpListener, mut commands: mpsc::UnboundedReceiver<Command>) {
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.handle_command(command),
                    None => break,
                },
                accepted = listener.accept() => match accepted {
                    Ok((stream, from)) => {
                        // A `SetPeers` sent before the connection must apply to it.
                        while let Ok(command) = commands.try_recv() {
                            self.handle_command(command);
                        }
                        self.accept(stream, from);
                    }
                    // Usually out of file descriptors, which may be freed soon.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                },
                Some(ended) = self.tasks.join_next() => {
                    if let Ok(hop) = ended {
                        self.remove(hop);
                    }
                }
            }
        }
        // The connections write what is queued, and then see that their queue is closed.
        self.open.clear();
        while self.tasks.join_next().await.is_some() {}
    }

    fn handle_command(&mut self, command: Command) {
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
            Err(TrySendError::Full(outgoing)) => self.report_failure(&outgoing),
            // The connection has just ended.
            Err(TrySendError::Closed(outgoing)) => self.open(to, outgoing),
        }
    }

    fn report_failure(&self, outgoing: &Outgoing) {
        (self.events)(StreamEvent::Failed { token: outgoing.token });
    }

    fn open(&mut self, to: Hop, first: Outgoing) {
        let profile = self.tls.get(&to.address).cloned();
        if to.transport == Transport::Tls && profile.is_none() {
            return self.report_failure(&first);
        }
        let (queue, outgoing) = mpsc::channel(MAX_QUEUED);
        if let Err(TrySendError::Full(first) | TrySendError::Closed(first)) = queue.try_send(first)
        {
            return self.report_failure(&first);
        }
        let connection = self.connection(to, outgoing);
        self.tasks.spawn(connection.dial(self.listen, profile));
        self.open.insert(to, queue);
    }

    fn accept(&mut self, stream: TcpStream, from: SocketAddr) {
        let from = Hop { transport: Transport::Tcp, address: from }.canonical();
        let is_peer = self.peers.contains(&from.address.ip());
        if !is_peer || self.incoming >= MAX_INCOMING || self.open.contains_key(&from) {
            metrics::counter!("nexo_sip_connections_refused_total").increment(1);
            return;
        }
        self.incoming += 1;
        let (queue, outgoing) = mpsc::channel(MAX_QUEUED);
        let connection = self.connection(from, outgoing);
        self.tasks.spawn(connection.serve(stream));
        self.open.insert(from, queue);
    }

    fn connection(&self, hop: Hop, outgoing: mpsc::Receiver<Outgoing>) -> Connection {
        Connection::new(hop, outgoing, Arc::clone(&self.events), self.last_errors.clone())
    }

    fn remove(&mut self, hop: Hop) {
        // A newer connection to the same hop may have replaced the entry.
        if self.open.get(&hop).is_some_and(mpsc::Sender::is_closed) {
            self.open.remove(&hop);
        }
        self.incoming = self.incoming.min(self.open.len());
    }
}

#[cfg(test)]
mod tests;
