//! The SIP thread: its sockets, and restarts of the event loop after a panic.

use std::io::{self, PipeReader};
use std::net::{SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::config::{EndpointConfig, EndpointError};
use super::event_loop::{EventLoop, Resources};
use super::inbox::Inbox;
use super::sip_socket::SipSocket;
use crate::net::streams::{OnStreamEvent, Streams, StreamsError};
use crate::net::udp::bind;

/// How many free UDP ports are tried until one is free for TCP too.
const MAX_PORT_ATTEMPTS: usize = 20;
/// More than [`MAX_RESTARTS`] panics in a row, each within this time after the previous restart, end the thread.
const RESTART_WINDOW: Duration = Duration::from_secs(10);
const MAX_RESTARTS: u32 = 5;

/// Opens the SIP sockets: UDP and, if it is enabled, TCP on the same port.
pub(super) fn open_sip_port(
    config: &EndpointConfig,
    inbox: &Arc<Inbox>,
) -> Result<(UdpSocket, SocketAddr, Option<Streams>), EndpointError> {
    let address = config.listen_udp;
    let mut attempts = 0;
    loop {
        let socket = bind(address).map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => EndpointError::AddressInUse { address },
            _ => EndpointError::Address { address, source },
        })?;
        let local =
            socket.local_addr().map_err(|source| EndpointError::Address { address, source })?;
        if !config.has_tcp_and_tls {
            return Ok((socket, local, None));
        }
        let inbox = Arc::clone(inbox);
        let on_event: Box<OnStreamEvent> = Box::new(move |event| inbox.post_stream(event));
        attempts += 1;
        match Streams::start(local, on_event) {
            // The system chose a UDP port that is in use for TCP: try another one.
            Err(StreamsError::AddressInUse { .. })
                if address.port() == 0 && attempts < MAX_PORT_ATTEMPTS => {}
            streams => return Ok((socket, local, Some(streams?))),
        }
    }
}

/// Starts the thread. `is_alive` becomes false when it ends.
///
/// # Errors
/// If the system cannot start a thread.
pub(super) fn spawn(
    socket: UdpSocket,
    waker: PipeReader,
    local: SocketAddr,
    resources: Resources,
    is_alive: Arc<AtomicBool>,
) -> io::Result<()> {
    let guard = AliveGuard { is_alive, inbox: Arc::clone(&resources.inbox) };
    let run = move || {
        let _guard = guard;
        let done = run_with_restarts(&socket, &waker, local, resources);
        drop(socket);
        if let Some(done) = done {
            // The caller of `shutdown` may be gone.
            let _ = done.send(());
        }
    };
    let thread = std::thread::Builder::new().name("sip".into());
    thread.spawn(run).map(drop)
}

/// When the thread ends, marks it as ended and closes the inbox.
struct AliveGuard {
    is_alive: Arc<AtomicBool>,
    inbox: Arc<Inbox>,
}

impl Drop for AliveGuard {
    fn drop(&mut self) {
        self.is_alive.store(false, Ordering::Release);
        self.inbox.close();
    }
}

/// Runs the event loop, and a new one after a panic. A panic loses the calls in progress, which their
/// [`CallEvents`](super::CallEvents) report, but neither the port nor later calls. Returns the channel of
/// [`Endpoint::shutdown`](super::Endpoint::shutdown).
fn run_with_restarts(
    socket: &UdpSocket,
    waker: &PipeReader,
    local: SocketAddr,
    mut resources: Resources,
) -> Option<oneshot::Sender<()>> {
    // Registered at 0: Prometheus cannot compute an increase from a missing value.
    let panics = metrics::counter!("nexo_actor_restarts_total", "actor" => "sip");
    let mut restarts = 0;
    while restarts <= MAX_RESTARTS {
        let started = Instant::now();
        let run = catch_unwind(AssertUnwindSafe(|| {
            EventLoop::new(SipSocket::new(socket, waker, local), &mut resources).run()
        }));
        if let Ok(done) = run {
            return done;
        }
        panics.increment(1);
        resources.in_progress.store(0, Ordering::Relaxed);
        restarts = match started.elapsed() > RESTART_WINDOW {
            true => 1,
            false => restarts + 1,
        };
    }
    tracing::error!("the SIP thread ends after repeated panics");
    None
}
