//! Runs the sandbox carrier: the SIP server task around the callee, and the media and listener
//! threads.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::net::UdpSocket;
use tokio::sync::{broadcast, oneshot};
use tokio::time::sleep_until;

use super::action::{Action, Datagram};
use super::callee::Callee;
use crate::rtp::receive::source::ExpectedSource;
use crate::rtp::send::ports::bind;
use crate::sandbox::events::{CallNumber, SandboxEvent};
use crate::sandbox::media;
use crate::sandbox::media::MediaCommand;
use crate::sandbox::media::impairment::Impairment;
use crate::sandbox::media::leg::Leg;
use crate::sandbox::media::listener::{Listener, ListenerInput};
use crate::sandbox::media::media_ports::MediaPorts;
use crate::sandbox::recording;
use crate::sip::sdp::Audio;
use crate::speech::prompts::PromptSet;

/// Events that a subscriber may leave unread before it loses the oldest.
const EVENT_CAPACITY: usize = 1024;
/// The longest UDP payload.
const DATAGRAM_BYTES: usize = 65_535;
/// The most datagrams read before other work is done.
const MAX_DATAGRAMS_PER_READ: usize = 64;
/// The most far ends whose route is cached.
const MAX_CACHED_ROUTES: usize = 1024;

/// The configuration of the sandbox carrier.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// The address for SIP over UDP; port 0 for any free one.
    pub listen: SocketAddr,
    /// The directory in which the audio and facts of each call are saved.
    pub record_dir: Option<PathBuf>,
    /// The percentage of received audio packets that are dropped, 0–100.
    pub loss_percent: u8,
    /// The maximum delay added to each received audio packet.
    pub jitter_ms: u32,
    /// How long a phone rings before it answers.
    pub ring: Duration,
    /// The prompts to recognise, if not the built-in ones.
    pub voice: Option<&'static PromptSet>,
    /// Whether calls are listened to even if they are not saved and there is no subscriber.
    pub listen_to_calls: bool,
    /// The seed for lost and delayed packets.
    pub seed: u64,
}

impl SandboxConfig {
    /// A configuration with a short ring, a good path, and nothing saved.
    pub fn new(listen: SocketAddr) -> SandboxConfig {
        SandboxConfig {
            listen,
            record_dir: None,
            loss_percent: 0,
            jitter_ms: 0,
            ring: Duration::from_millis(800),
            voice: None,
            listen_to_calls: false,
            seed: 0,
        }
    }
}

/// Why the sandbox carrier cannot start.
#[derive(Debug, Error)]
pub enum SandboxError {
    #[error("cannot listen for SIP on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot save calls in {}: {source}", dir.display())]
    RecordDir { dir: PathBuf, source: io::Error },
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    #[error("loss_percent is {0}; allowed: 0 to 100")]
    Loss(u8),
}

/// A running sandbox carrier. Dropping it stops it in the background.
pub struct Sandbox {
    local: SocketAddr,
    events: broadcast::Sender<SandboxEvent>,
    stop: Option<oneshot::Sender<()>>,
    server: tokio::task::JoinHandle<Vec<JoinHandle<()>>>,
}

impl Sandbox {
    /// Starts the server: SIP is handled by a task of the current tokio runtime, audio by threads.
    ///
    /// # Errors
    /// If the address is not available or the record directory is not writable.
    pub async fn start(config: SandboxConfig) -> Result<Sandbox, SandboxError> {
        if config.loss_percent > 100 {
            return Err(SandboxError::Loss(config.loss_percent));
        }
        if let Some(dir) = &config.record_dir {
            check_writable(dir)
                .map_err(|source| SandboxError::RecordDir { dir: dir.clone(), source })?;
        }
        let listen_error = |source| SandboxError::Listen { address: config.listen, source };
        let socket = bind(config.listen.ip(), config.listen.port())
            .and_then(UdpSocket::from_std)
            .map_err(listen_error)?;
        let local = socket.local_addr().map_err(listen_error)?;
        let (events, _) = broadcast::channel(EVENT_CAPACITY);
        let (listener, mut threads) =
            Listener::start(config.record_dir.clone(), config.voice, &events)
                .map_err(SandboxError::Thread)?;
        let (media, thread) = media::start(listener.clone()).map_err(SandboxError::Thread)?;
        threads.push(thread);
        let (stop, stopped) = oneshot::channel();
        let server = Server {
            socket,
            local,
            callee: Callee::new(config.ring, rand::random()),
            ports: MediaPorts::new(config.listen.ip()),
            media,
            listener,
            events: events.clone(),
            routes: HashMap::new(),
            config,
        };
        let server = tokio::spawn(async move {
            server.run(stopped).await;
            threads
        });
        Ok(Sandbox { local, events, stop: Some(stop), server })
    }

    /// The address of its SIP socket.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Subscribes to all further events. While there is a subscriber, new calls are listened to.
    pub fn subscribe(&self) -> broadcast::Receiver<SandboxEvent> {
        self.events.subscribe()
    }

    /// Hangs up every call, saves the recordings, and stops.
    pub async fn shutdown(mut self) {
        drop(self.stop.take());
        let Ok(threads) = self.server.await else {
            return;
        };
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a sandbox thread panicked");
                }
            }
        });
        // The joining task does not panic and is not cancelled.
        let _ = joined.await;
    }
}

/// Creates the directory and checks that files can be created in it. The recordings in it become private, because
/// they contain codes.
fn check_writable(dir: &std::path::Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    recording::make_private(dir)?;
    let probe = dir.join(".nexo-sandbox.probe");
    std::fs::write(&probe, b"")?;
    std::fs::remove_file(&probe)
}

struct Server {
    socket: UdpSocket,
    local: SocketAddr,
    callee: Callee,
    ports: MediaPorts,
    media: Sender<MediaCommand>,
    listener: Listener,
    events: broadcast::Sender<SandboxEvent>,
    /// The local address for each far end, used if the server listens on all addresses.
    routes: HashMap<IpAddr, IpAddr>,
    config: SandboxConfig,
}

impl Server {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut datagram = vec![0; DATAGRAM_BYTES];
        loop {
            let deadline = self.callee.deadline();
            tokio::select! {
                received = self.socket.recv_from(&mut datagram) => {
                    self.receive(received, &mut datagram);
                }
                () = sleep_until_deadline(deadline) => self.callee.tick(Instant::now()),
                _ = &mut stopped => {
                    self.callee.shut_down(Instant::now());
                    self.perform().await;
                    return;
                }
            }
            self.perform().await;
        }
    }

    /// Handles a datagram and further ones that have arrived.
    fn receive(&mut self, first: io::Result<(usize, SocketAddr)>, datagram: &mut [u8]) {
        let now = Instant::now();
        let mut received = first;
        for _ in 0..MAX_DATAGRAMS_PER_READ {
            // An error concerns one datagram sent before (an unreachable port); the next one may be
            // received.
            if let Ok((length, source)) = received {
                let local = SocketAddr::new(self.local_ip_for(source), self.local.port());
                let bytes = &datagram[..length];
                let datagram = Datagram { bytes, source, local };
                self.callee.receive(&datagram, now);
            }
            received = self.socket.try_recv_from(datagram);
            if matches!(&received, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
                break;
            }
        }
    }

    async fn perform(&mut self) {
        while let Some(action) = self.callee.next_action() {
            match action {
                Action::Send { to, bytes } => {
                    if let Err(error) = self.socket.send_to(&bytes, to).await {
                        tracing::debug!(%to, %error, "cannot send SIP");
                    }
                }
                Action::OpenMedia { call, call_id, caller, offer, codec, playback } => {
                    let listened = self.is_listened_to().then_some(call_id);
                    let path = Impairment::new(
                        self.config.loss_percent,
                        Duration::from_millis(self.config.jitter_ms.into()),
                        self.config.seed.wrapping_add(call),
                    );
                    let leg = Leg::new(
                        codec,
                        offer.telephone_event,
                        playback,
                        rand::random(),
                        listened.map(|id| (id, path)),
                    );
                    let address = self.open_media(call, caller, &offer, leg);
                    self.callee.media_opened(call, address, Instant::now());
                }
                Action::Report(event) => {
                    // Fails only without subscribers.
                    let _ = self.events.send(event);
                }
                Action::Ended(ended) if ended.answered => {
                    let _ = self.media.send(MediaCommand::Close(ended));
                }
                Action::Ended(ended) if self.is_listened_to() => {
                    self.listener.send(ListenerInput::Ended(ended));
                }
                Action::Ended(_) => {}
            }
        }
    }

    fn is_listened_to(&self) -> bool {
        self.config.record_dir.is_some()
            || self.config.listen_to_calls
            || self.events.receiver_count() > 0
    }

    /// Returns the local address for the audio of the call.
    fn open_media(
        &mut self,
        call: CallNumber,
        caller: IpAddr,
        offer: &Audio,
        leg: Leg,
    ) -> Option<SocketAddr> {
        let lease = match self.ports.lease(offer.rtp) {
            Ok(lease) => lease,
            Err(error) => {
                tracing::warn!(%error, "no socket for the audio of a sandbox call");
                return None;
            }
        };
        let address = SocketAddr::new(self.local_ip_for(offer.rtp), lease.socket.port);
        let opened = self.media.send(MediaCommand::Open {
            call,
            lease,
            expected: ExpectedSource::new(offer.rtp, offer.rtcp, caller),
            leg: Box::new(leg),
        });
        opened.is_ok().then_some(address)
    }

    /// The local address as `far_end` sees it.
    fn local_ip_for(&mut self, far_end: SocketAddr) -> IpAddr {
        let own = self.local.ip();
        if !own.is_unspecified() {
            return own;
        }
        if let Some(ip) = self.routes.get(&far_end.ip()) {
            return *ip;
        }
        let ip = route_to(far_end).unwrap_or(own);
        if self.routes.len() >= MAX_CACHED_ROUTES {
            self.routes.clear();
        }
        self.routes.insert(far_end.ip(), ip);
        ip
    }
}

/// Asks the system which local address it would send from. Nothing is sent.
fn route_to(far_end: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match far_end {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let probe = std::net::UdpSocket::bind((any, 0))?;
    probe.connect(far_end)?;
    Ok(probe.local_addr()?.ip())
}

async fn sleep_until_deadline(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
