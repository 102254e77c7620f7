//! The sockets and threads around the sandbox carrier's callee.

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

use super::callee::{Action, Callee, Datagram};
use crate::rtp::send::ports::bind;
use crate::sandbox::events::SandboxEvent;
use crate::sandbox::media;
use crate::sandbox::media::MediaCommand;
use crate::sandbox::media::impairment::Impairment;
use crate::sandbox::media::leg::Leg;
use crate::sandbox::media::listener::{CallNumber, EarInput, Ears};
use crate::sandbox::media::media_ports::MediaPorts;
use crate::sip::sdp::sdp::Audio;
use crate::speech::prompts::PromptSet;

/// News that a watcher may leave unread before it loses the oldest.
const EVENTS_KEPT: usize = 1024;
/// The longest UDP payload.
const DATAGRAM_BYTES: usize = 65_535;
/// Datagrams taken in one go before anything else is looked at.
const DATAGRAMS_A_TURN: usize = 64;
/// Callers' networks whose way out of this machine is remembered.
const ROUTES_KEPT: usize = 1024;

/// How the sandbox carrier is run.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// Where it takes SIP over UDP; port 0 for any free one.
    pub listen: SocketAddr,
    /// Where each call's audio and facts are saved.
    pub record_dir: Option<PathBuf>,
    /// Share of the received audio packets that are lost, 0–100.
    pub loss_percent: u8,
    /// Each received audio packet comes up to this much later.
    pub jitter_ms: u32,
    /// How long a phone rings before it is answered.
    pub ring: Duration,
    /// The voice that is listened for, where it is not the built-in one.
    pub voice: Option<&'static PromptSet>,
    /// Whether calls are listened to even if they are not saved and nobody watches.
    pub listen_to_calls: bool,
    /// Chooses the lost and late packets.
    pub seed: u64,
}

impl SandboxConfig {
    /// A short ring, a good path, and nothing saved.
    pub fn on(listen: SocketAddr) -> SandboxConfig {
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

/// Why the sandbox carrier does not start.
#[derive(Debug, Error)]
pub enum SandboxError {
    #[error("cannot listen for SIP on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("cannot save calls in {}: {source}", dir.display())]
    RecordDir { dir: PathBuf, source: io::Error },
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    #[error("loss_percent is 0 to 100, not {0}")]
    Loss(u8),
}

/// A running sandbox carrier. Dropped, it goes out of service in its own time.
pub struct Sandbox {
    local: SocketAddr,
    events: broadcast::Sender<SandboxEvent>,
    stop: Option<oneshot::Sender<()>>,
    server: tokio::task::JoinHandle<Vec<JoinHandle<()>>>,
}

impl Sandbox {
    /// Starts to take calls; SIP is served by a task of the current tokio runtime, audio by threads.
    ///
    /// # Errors
    /// When the address is not to be had or the record directory not writable.
    pub async fn start(config: SandboxConfig) -> Result<Sandbox, SandboxError> {
        if config.loss_percent > 100 {
            return Err(SandboxError::Loss(config.loss_percent));
        }
        if let Some(dir) = &config.record_dir {
            check_writable(dir).map_err(|source| SandboxError::RecordDir {
                dir: dir.clone(),
                source,
            })?;
        }
        let listen_error = |source| SandboxError::Listen {
            address: config.listen,
            source,
        };
        let socket = bind(config.listen.ip(), config.listen.port())
            .and_then(UdpSocket::from_std)
            .map_err(listen_error)?;
        let local = socket.local_addr().map_err(listen_error)?;
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let (ears, mut threads) = Ears::start(config.record_dir.clone(), config.voice, &events)
            .map_err(SandboxError::Thread)?;
        let (media, thread) = media::start(ears.clone()).map_err(SandboxError::Thread)?;
        threads.push(thread);
        let (stop, stopped) = oneshot::channel();
        let server = Server {
            socket,
            local,
            callee: Callee::new(config.ring, rand::random()),
            ports: MediaPorts::new(config.listen.ip()),
            media,
            ears,
            events: events.clone(),
            routes: HashMap::new(),
            config,
        };
        let server = tokio::spawn(async move {
            server.run(stopped).await;
            threads
        });
        Ok(Sandbox {
            local,
            events,
            stop: Some(stop),
            server,
        })
    }

    /// Where it takes SIP.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// All news from now on. While somebody is subscribed, new calls are listened to.
    pub fn subscribe(&self) -> broadcast::Receiver<SandboxEvent> {
        self.events.subscribe()
    }

    /// Hangs up every call, saves what is to be saved, and stops.
    pub async fn shutdown(mut self) {
        drop(self.stop.take());
        let Ok(threads) = self.server.await else {
            return;
        };
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a sandbox thread had panicked");
                }
            }
        });
        // The join itself cannot fail.
        let _ = joined.await;
    }
}

/// Makes the directory and tries that files can be made in it.
fn check_writable(dir: &std::path::Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
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
    ears: Ears,
    events: broadcast::Sender<SandboxEvent>,
    /// This machine's address towards each far end, where it listens on all its addresses.
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
                () = until(deadline) => self.callee.tick(Instant::now()),
                _ = &mut stopped => {
                    self.callee.shut_down(Instant::now());
                    self.perform().await;
                    return;
                }
            }
            self.perform().await;
        }
    }

    /// Takes a datagram, and what else has come meanwhile.
    fn receive(&mut self, first: io::Result<(usize, SocketAddr)>, datagram: &mut [u8]) {
        let now = Instant::now();
        let mut received = first;
        for _ in 0..DATAGRAMS_A_TURN {
            // An error is of one datagram sent before (an unreachable port); the next may be fine.
            if let Ok((length, source)) = received {
                let local = SocketAddr::new(self.ip_towards(source), self.local.port());
                let bytes = &datagram[..length];
                let datagram = Datagram {
                    bytes,
                    source,
                    local,
                };
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
                Action::OpenMedia {
                    call,
                    call_id,
                    offer,
                    codec,
                    playback,
                } => {
                    let heard_as = self.is_listened_to().then_some(call_id);
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
                        heard_as.map(|id| (id, path)),
                    );
                    let address = self.open_media(call, &offer, leg);
                    self.callee.media(call, address, Instant::now());
                }
                Action::Report(event) => {
                    // Nobody need be watching.
                    let _ = self.events.send(event);
                }
                Action::Ended(ended) if ended.answered => {
                    let _ = self.media.send(MediaCommand::Close(ended));
                }
                Action::Ended(ended) if self.is_listened_to() => {
                    self.ears.send(EarInput::Ended(ended));
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

    /// The address at which the call's audio is awaited.
    fn open_media(&mut self, call: CallNumber, offer: &Audio, leg: Leg) -> Option<SocketAddr> {
        let lease = match self.ports.lease(offer.rtp) {
            Ok(lease) => lease,
            Err(error) => {
                tracing::warn!(%error, "no socket for a sandbox call's audio");
                return None;
            }
        };
        let address = SocketAddr::new(self.ip_towards(offer.rtp), lease.socket.port);
        let opened = self.media.send(MediaCommand::Open {
            call,
            lease,
            rtcp: offer.rtcp,
            leg: Box::new(leg),
        });
        opened.is_ok().then_some(address)
    }

    /// This machine's own address as `far_end` sees it.
    fn ip_towards(&mut self, far_end: SocketAddr) -> IpAddr {
        let own = self.local.ip();
        if !own.is_unspecified() {
            return own;
        }
        if let Some(ip) = self.routes.get(&far_end.ip()) {
            return *ip;
        }
        let ip = route_towards(far_end).unwrap_or(own);
        if self.routes.len() >= ROUTES_KEPT {
            self.routes.clear();
        }
        self.routes.insert(far_end.ip(), ip);
        ip
    }
}

/// Asks the system which of its addresses it would send from; nothing is sent.
fn route_towards(far_end: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match far_end {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let probe = std::net::UdpSocket::bind((any, 0))?;
    probe.connect(far_end)?;
    Ok(probe.local_addr()?.ip())
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
