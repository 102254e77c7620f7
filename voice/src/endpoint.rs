//! The only owner of the SIP socket: places calls, speaks to who answers, and reports each call's
//! end exactly once.
//!
//! One thread drains the socket, the orders and the media clock's news, feeds them to the pure
//! machines (the user agent and one [`nexo_domain::call::Call`] a call) and does what they say.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use nexo_domain::call::{CallEnd, CallLimits};
use nexo_domain::otp::{Code, Reading};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::g711::Codec;
use crate::prompts::PromptSet;
use crate::rtp::clock::{MediaClock, MediaEvent};
use crate::rtp::ports::{PortRange, PortsError, bind};

mod desk;
mod live_call;

use desk::Desk;

/// Where an endpoint listens and how it shows itself.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    pub listen_udp: SocketAddr,
    pub rtp_ports: PortRange,
    /// What Contact and SDP say instead of our own address, behind NAT.
    pub public_ip: Option<IpAddr>,
    /// The User-Agent header field.
    pub user_agent: String,
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
    #[error("the SIP thread cannot be started")]
    Thread(#[source] io::Error),
}

/// A call to be placed.
#[derive(Debug)]
pub struct CallOrder {
    /// Unique among all calls.
    pub call_id: String,
    pub gateway: SocketAddr,
    /// Host and port as they stand in SIP URIs.
    pub gateway_host: String,
    /// In the gateway's number format: digits with an optional leading plus.
    pub number: String,
    /// The number that is shown, or `anonymous`.
    pub caller_id: String,
    pub codecs: Vec<Codec>,
    pub code: Code,
    pub reading: Reading,
    pub gateway_timeout: Duration,
    pub limits: CallLimits,
}

/// News of a call. [`CallNews::Ended`] comes exactly once, and last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallNews {
    /// The INVITE is on its way.
    Dialled,
    /// The carrier took the call, with this code.
    Accepted {
        sip_code: u16,
    },
    Ringing,
    Answered {
        codec: Codec,
    },
    /// A digit has been said; both count from 0.
    DigitSpoken {
        reading: u8,
        position: u8,
    },
    /// A reading has been said to its last digit.
    CodeRead {
        reading: u8,
    },
    Ended(CallReport),
}

/// What became of a call. Times are Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallReport {
    pub end: CallEnd,
    /// The last status code that the gateway sent for the INVITE.
    pub sip_code: Option<u16>,
    pub codec: Option<Codec>,
    pub packets_sent: u64,
    pub packets_received: u64,
    /// As the far end reported last, in 1/256.
    pub fraction_lost: Option<u8>,
    /// As the far end reported last, in timestamp units.
    pub jitter: Option<u32>,
    pub started_at_ms: i64,
    pub accepted_at_ms: Option<i64>,
    pub ringing_at_ms: Option<i64>,
    pub answered_at_ms: Option<i64>,
    pub ended_at_ms: i64,
}

/// The news of one call. Dropping it gives the call up.
#[derive(Debug)]
pub struct CallEvents {
    news: mpsc::UnboundedReceiver<CallNews>,
    call: u64,
    orders: Option<mpsc::UnboundedSender<Order>>,
}

impl CallEvents {
    /// A call's news and who tells them, for something other than an endpoint that places calls.
    pub fn channel() -> (mpsc::UnboundedSender<CallNews>, CallEvents) {
        let (tell, news) = mpsc::unbounded_channel();
        let events = CallEvents {
            news,
            call: 0,
            orders: None,
        };
        (tell, events)
    }

    /// The next news. `None` after the end, and when the endpoint died with the call.
    pub async fn next(&mut self) -> Option<CallNews> {
        let news = self.news.recv().await;
        if matches!(news, None | Some(CallNews::Ended(_))) {
            self.orders = None;
        }
        news
    }
}

impl Drop for CallEvents {
    fn drop(&mut self) {
        if let Some(orders) = self.orders.take() {
            // The endpoint may be gone, and the call with it.
            let _ = orders.send(Order::Abandon(self.call));
        }
    }
}

/// What the thread is asked to do.
enum Order {
    Place {
        call: u64,
        order: Box<CallOrder>,
        news: mpsc::UnboundedSender<CallNews>,
    },
    Abandon(u64),
    SetPeers(HashSet<SocketAddr>),
    Shutdown(oneshot::Sender<()>),
    #[cfg(test)]
    Panic,
}

/// The handle of an endpoint. Clones share it.
#[derive(Clone)]
pub struct Endpoint {
    orders: mpsc::UnboundedSender<Order>,
    local: SocketAddr,
    last_call: Arc<AtomicU64>,
    in_progress: Arc<AtomicUsize>,
    alive: Arc<AtomicBool>,
}

/// What outlives a panic of the thread.
struct Shared {
    config: EndpointConfig,
    prompts: &'static PromptSet,
    clock: MediaClock,
    in_progress: Arc<AtomicUsize>,
    peers: HashSet<SocketAddr>,
}

/// Where news come from.
struct Inbox {
    orders: mpsc::UnboundedReceiver<Order>,
    media: mpsc::UnboundedReceiver<MediaEvent>,
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
        let socket = bind(address.ip(), address.port()).map_err(|source| {
            match source.kind() == io::ErrorKind::AddrInUse {
                true => EndpointError::AddressInUse { address },
                false => EndpointError::Address { address, source },
            }
        })?;
        let local = socket
            .local_addr()
            .map_err(|source| EndpointError::Address { address, source })?;
        let (media_news, media) = mpsc::unbounded_channel();
        let clock = MediaClock::start(
            address.ip(),
            config.rtp_ports,
            rand::random(),
            Box::new(move |events| {
                for event in events {
                    // Nobody listens any more at shutdown.
                    let _ = media_news.send(*event);
                }
            }),
        )?;
        let (orders, order_inbox) = mpsc::unbounded_channel();
        let in_progress = Arc::new(AtomicUsize::new(0));
        let alive = Arc::new(AtomicBool::new(true));
        let shared = Shared {
            config,
            prompts,
            clock,
            in_progress: Arc::clone(&in_progress),
            peers: HashSet::new(),
        };
        let inbox = Inbox {
            orders: order_inbox,
            media,
        };
        let pulse = Pulse(Arc::clone(&alive));
        std::thread::Builder::new()
            .name("sip".into())
            .spawn(move || {
                let _pulse = pulse;
                run_and_restart(&socket, shared, inbox);
            })
            .map_err(EndpointError::Thread)?;
        Ok(Endpoint {
            orders,
            local,
            last_call: Arc::default(),
            in_progress,
            alive,
        })
    }

    /// Places a call. Never waits; what becomes of it comes through what is returned.
    pub fn place(&self, order: CallOrder) -> CallEvents {
        let call = self.last_call.fetch_add(1, Ordering::Relaxed) + 1;
        let (news, events) = mpsc::unbounded_channel();
        let placed = self.orders.send(Order::Place {
            call,
            order: Box::new(order),
            news,
        });
        CallEvents {
            news: events,
            call,
            orders: placed.is_ok().then(|| self.orders.clone()),
        }
    }

    /// The gateways: SIP from anywhere else is dropped and counted.
    pub fn set_peers(&self, peers: HashSet<SocketAddr>) {
        let _ = self.orders.send(Order::SetPeers(peers));
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Calls that have been placed and have not ended.
    pub fn calls_in_progress(&self) -> usize {
        self.in_progress.load(Ordering::Relaxed)
    }

    /// Whether the SIP thread lives.
    pub fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }

    /// Hangs up what is left, gives the last messages `within` to go out, and closes the sockets.
    pub async fn shutdown(self, within: Duration) {
        let (done, ended) = oneshot::channel();
        if self.orders.send(Order::Shutdown(done)).is_ok() {
            // Past that nobody waits for the network any more.
            let _ = tokio::time::timeout(within, ended).await;
        }
    }

    #[cfg(test)]
    fn provoke_panic(&self) {
        let _ = self.orders.send(Order::Panic);
    }
}

/// Says that the thread is gone, however it went.
struct Pulse(Arc<AtomicBool>);

impl Drop for Pulse {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Runs the desk, and a new one after a panic: the calls in progress are lost, which their
/// [`CallEvents`] tell, but the port and the calls to come are not.
fn run_and_restart(socket: &UdpSocket, mut shared: Shared, mut inbox: Inbox) {
    loop {
        let run = catch_unwind(AssertUnwindSafe(|| run(socket, &mut shared, &mut inbox)));
        match run {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                tracing::error!(%error, "the SIP thread ends");
                return;
            }
            Err(_) => {
                metrics::counter!("nexo_actor_restarts_total", "actor" => "sip").increment(1);
                shared.in_progress.store(0, Ordering::Relaxed);
            }
        }
    }
}

fn run(socket: &UdpSocket, shared: &mut Shared, inbox: &mut Inbox) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let socket = tokio::net::UdpSocket::from_std(socket.try_clone()?)?;
        Desk::new(socket, shared).run(inbox).await;
        Ok(())
    })
}

#[cfg(test)]
mod tests;
