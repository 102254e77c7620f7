//! The only owner of the SIP socket: places calls, speaks to who answers, and reports each call's
//! end exactly once.
//!
//! One thread takes datagrams, orders and the media clock's news, feeds them to the pure machines
//! (the user agent and one [`nexo_domain::call::Call`] a call) and does what they say.

use std::collections::{HashMap, HashSet};
use std::io::{self, PipeReader};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::net::streams::tls::TlsProfile;
use crate::net::streams::{OnStreamEvent, Streams, StreamsError};
use crate::net::udp::bind;
use crate::rtp::send::clock::MediaClock;
use crate::rtp::send::ports::{PortRange, PortsError};
use crate::sip::message::hop::Hop;
pub use crate::sip::user_agent::SipAnswer;
use crate::sip::user_agent::transaction::Timers;
use crate::speech::prompts::PromptSet;

mod call_events;
mod event_loop;
mod inbox;
mod live_call;
mod meters;
mod out_of_dialog;
mod trace;
mod wire;

pub use call_events::{CallEvents, CallNews, CallOrder, CallReport, Caller, Permit, Quality};
use event_loop::Desk;
use inbox::{Mailbox, Order};
pub use meters::CountedAs;
pub use out_of_dialog::{Ask, Question};
pub use trace::{Direction, Trace, Traced};
use wire::Wire;

/// Where an endpoint listens and how it shows itself.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    pub listen_udp: SocketAddr,
    pub rtp_ports: PortRange,
    /// What Contact and SDP say instead of our own address, behind NAT.
    pub public_ip: Option<IpAddr>,
    /// Whether SIP is spoken over TCP and TLS too: then TCP is listened for at the same address.
    pub speaks_streams: bool,
    /// The User-Agent header field.
    pub user_agent: String,
    pub timers: Timers,
}

impl Default for EndpointConfig {
    /// Every IPv4 address of this machine, any free ports, RFC 3261's timers.
    fn default() -> Self {
        EndpointConfig {
            listen_udp: SocketAddr::from(([0, 0, 0, 0], 0)),
            rtp_ports: PortRange::ephemeral(),
            public_ip: None,
            speaks_streams: false,
            user_agent: concat!("NEXO-ROUTE/", env!("CARGO_PKG_VERSION")).to_owned(),
            timers: Timers::default(),
        }
    }
}

/// Why an endpoint cannot be started.
#[derive(Debug, Error)]
pub enum EndpointError {
    #[error(
        "UDP port {address} is in use: stop what listens there, or set sip.listen_udp to another"
    )]
    AddressInUse { address: SocketAddr },
    #[error("cannot listen on UDP {address}: set sip.listen_udp to an address of this machine")]
    Address {
        address: SocketAddr,
        source: io::Error,
    },
    #[error(transparent)]
    Ports(#[from] PortsError),
    #[error(transparent)]
    Streams(#[from] StreamsError),
    #[error("the SIP thread cannot be started")]
    Thread(#[source] io::Error),
}

/// The handle of an endpoint. Clones share it; with the last one the endpoint hangs up and ends.
#[derive(Clone)]
pub struct Endpoint {
    handle: Arc<Handle>,
}

struct Handle {
    mailbox: Arc<Mailbox>,
    local: SocketAddr,
    last_call: AtomicU64,
    in_progress: Arc<AtomicUsize>,
    is_alive: Arc<AtomicBool>,
    streams: Option<Streams>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

/// What outlives a panic of the thread.
struct Shared {
    config: EndpointConfig,
    prompts: &'static PromptSet,
    clock: MediaClock,
    streams: Option<Streams>,
    mailbox: Arc<Mailbox>,
    in_progress: Arc<AtomicUsize>,
    peers: HashSet<Hop>,
}

/// How many free ports for UDP are tried until one is free for TCP too.
const FREE_PORTS_TRIED: usize = 20;

/// SIP's sockets: UDP and, where it is spoken, TCP on the same port.
fn open_sip_port(
    config: &EndpointConfig,
    mailbox: &Arc<Mailbox>,
) -> Result<(UdpSocket, SocketAddr, Option<Streams>), EndpointError> {
    let address = config.listen_udp;
    let mut tried = 0;
    loop {
        let socket = bind(address).map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => EndpointError::AddressInUse { address },
            _ => EndpointError::Address { address, source },
        })?;
        let local = socket
            .local_addr()
            .map_err(|source| EndpointError::Address { address, source })?;
        if !config.speaks_streams {
            return Ok((socket, local, None));
        }
        let events = Arc::clone(mailbox);
        let on_stream: Box<OnStreamEvent> = Box::new(move |event| events.post_stream(event));
        tried += 1;
        match Streams::start(local, on_stream) {
            // Any port will do: one that some connection has is not it.
            Err(StreamsError::AddressInUse { .. })
                if address.port() == 0 && tried < FREE_PORTS_TRIED => {}
            streams => return Ok((socket, local, Some(streams?))),
        }
    }
}

impl Endpoint {
    /// Opens the ports and starts the threads.
    ///
    /// # Errors
    /// [`EndpointError`], with the setting that mends it.
    pub async fn start(
        config: EndpointConfig,
        prompts: &'static PromptSet,
    ) -> Result<Endpoint, EndpointError> {
        let address = config.listen_udp;
        let (mailbox, bell) = Mailbox::new().map_err(EndpointError::Thread)?;
        let mailbox = Arc::new(mailbox);
        let media_mailbox = Arc::clone(&mailbox);
        let clock = MediaClock::start(
            address.ip(),
            config.rtp_ports,
            rand::random(),
            Box::new(move |events| media_mailbox.post_media(events)),
        )?;
        let (socket, local, streams) = open_sip_port(&config, &mailbox)?;
        let handle = Handle {
            streams: streams.clone(),
            mailbox: Arc::clone(&mailbox),
            local,
            last_call: AtomicU64::new(0),
            in_progress: Arc::default(),
            is_alive: Arc::new(AtomicBool::new(true)),
        };
        let shared = Shared {
            config,
            prompts,
            clock,
            streams,
            mailbox: Arc::clone(&mailbox),
            in_progress: Arc::clone(&handle.in_progress),
            peers: HashSet::new(),
        };
        let pulse = Pulse {
            is_alive: Arc::clone(&handle.is_alive),
            mailbox,
        };
        std::thread::Builder::new()
            .name("sip".into())
            .spawn(move || {
                let _pulse = pulse;
                let done = run_and_restart(&socket, &bell, local, shared);
                drop(socket);
                if let Some(done) = done {
                    // Whoever waited may have stopped.
                    let _ = done.send(());
                }
            })
            .map_err(EndpointError::Thread)?;
        Ok(Endpoint {
            handle: Arc::new(handle),
        })
    }

    /// Places a call. Never waits; what becomes of it comes through what is returned.
    pub fn place(&self, order: CallOrder) -> CallEvents {
        let call = self.handle.last_call.fetch_add(1, Ordering::Relaxed) + 1;
        let (news, events) = mpsc::unbounded_channel();
        let mailbox = &self.handle.mailbox;
        mailbox.post(Order::Place {
            call,
            order: Box::new(order),
            news,
        });
        CallEvents::of(call, events, Arc::clone(mailbox))
    }

    /// Asks a gateway something outside of any call. An endpoint that is gone sends nothing.
    pub async fn ask(&self, question: Question) -> SipAnswer {
        let cseq = question.cseq;
        let (reply, answer) = oneshot::channel();
        self.handle.mailbox.post(Order::Ask {
            question: Box::new(question),
            reply,
        });
        answer.await.unwrap_or(SipAnswer::TransportFailed { cseq })
    }

    /// The gateways: SIP from anywhere else is dropped and counted.
    pub fn set_peers(&self, peers: HashSet<Hop>) {
        if let Some(streams) = &self.handle.streams {
            streams.set_peers(peers.iter().map(|hop| hop.address.ip()).collect());
        }
        self.handle.mailbox.post(Order::SetPeers(peers));
    }

    /// How TLS is spoken to each gateway, by its address. To one that is not named nothing is sent.
    pub fn set_tls(&self, profiles: HashMap<SocketAddr, Arc<TlsProfile>>) {
        if let Some(streams) = &self.handle.streams {
            streams.set_tls(profiles);
        }
    }

    /// Why the last connection to it failed, where none has worked since; nothing by UDP.
    pub fn trouble(&self, hop: Hop) -> Option<Arc<str>> {
        self.handle.streams.as_ref()?.trouble(hop)
    }

    /// Where it takes SIP.
    pub fn local_addr(&self) -> SocketAddr {
        self.handle.local
    }

    /// Calls that have been placed and have not ended.
    pub fn calls_in_progress(&self) -> usize {
        self.handle.in_progress.load(Ordering::Relaxed)
    }

    /// Whether the SIP thread lives. It survives a panic; after too many of them it does not.
    pub fn is_alive(&self) -> bool {
        self.handle.is_alive.load(Ordering::Acquire)
    }

    /// Hangs up what is left, gives the far ends up to `within` to say that they know, and closes
    /// the sockets.
    pub async fn shutdown(self, within: Duration) {
        let (done, ended) = oneshot::channel();
        self.handle.mailbox.post(Order::Shutdown {
            until: Instant::now() + within,
            done,
        });
        // An error means that the thread is gone, which is what is waited for.
        let _ = ended.await;
    }

    #[cfg(test)]
    fn provoke_panic(&self) {
        self.handle.mailbox.post(Order::Panic);
    }
}

/// Says that the thread is gone, however it went, and that no order will be taken any more.
struct Pulse {
    is_alive: Arc<AtomicBool>,
    mailbox: Arc<Mailbox>,
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.is_alive.store(false, Ordering::Release);
        self.mailbox.close();
    }
}

/// Panics that come faster than one in so long, [`MOST_RESTARTS`] in a row, are not survived.
const RESTART_FORGOTTEN_AFTER: Duration = Duration::from_secs(10);
const MOST_RESTARTS: u32 = 5;

/// Runs the desk, and a new one after a panic: the calls in progress are lost, which their
/// [`CallEvents`] tell, but the port and the calls to come are not. Gives whoever waits for the end.
fn run_and_restart(
    socket: &UdpSocket,
    bell: &PipeReader,
    local: SocketAddr,
    mut shared: Shared,
) -> Option<oneshot::Sender<()>> {
    // Known before it grows: an increase from nothing is no increase to Prometheus.
    let deaths = metrics::counter!("nexo_actor_restarts_total", "actor" => "sip");
    let mut restarts = 0;
    while restarts <= MOST_RESTARTS {
        let started = Instant::now();
        let run = catch_unwind(AssertUnwindSafe(|| {
            Desk::new(Wire::new(socket, bell, local), &mut shared).run()
        }));
        if let Ok(done) = run {
            return done;
        }
        deaths.increment(1);
        shared.in_progress.store(0, Ordering::Relaxed);
        restarts = match started.elapsed() > RESTART_FORGOTTEN_AFTER {
            true => 1,
            false => restarts + 1,
        };
    }
    tracing::error!("the SIP thread panics again and again and is given up");
    None
}

#[cfg(test)]
mod tests;
