//! The SIP endpoint: places calls, plays the code to the callee, and reports the end of each call exactly once.
//!
//! One thread owns the SIP socket. It feeds messages, commands and media events to the pure state machines
//! (the user agent, and one [`nexo_domain::call::Call`] for each call) and carries out their effects.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::net::streams::Streams;
use crate::net::streams::tls::TlsProfile;
use crate::rtp::send::clock::MediaClock;
use crate::sip::message::hop::Hop;
pub use crate::sip::user_agent::{RequestKind, RequestOutcome};
use crate::speech::prompts::PromptSet;

mod call;
mod config;
mod event_loop;
mod inbox;
mod meters;
mod out_of_dialog;
mod resolver;
mod sip_socket;
mod thread;
mod trace;

pub use call::{
    CallEvent, CallEvents, CallLabels, CallOrder, CallReport, CallerId, Permit, Quality,
};
pub use config::{EndpointConfig, EndpointError};
use event_loop::Resources;
use inbox::{Command, Inbox};
pub use out_of_dialog::OutOfDialogRequest;
use resolver::NameResolver;
pub use trace::{Direction, TraceSender, TracedMessage};

/// The handle of an endpoint. Clones share it. Dropping the last one hangs up all calls and ends the endpoint.
#[derive(Clone)]
pub struct Endpoint {
    handle: Arc<Handle>,
}

struct Handle {
    inbox: Arc<Inbox>,
    local: SocketAddr,
    last_call: AtomicU64,
    in_progress: Arc<AtomicUsize>,
    is_alive: Arc<AtomicBool>,
    streams: Option<Streams>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.inbox.close();
    }
}

impl Endpoint {
    /// Opens the ports and starts the threads.
    ///
    /// # Errors
    /// [`EndpointError`], with the setting to change.
    pub async fn start(
        config: EndpointConfig,
        prompts: &'static PromptSet,
    ) -> Result<Endpoint, EndpointError> {
        let address = config.listen_udp;
        let (inbox, waker) = Inbox::new().map_err(EndpointError::Thread)?;
        let inbox = Arc::new(inbox);
        let media_inbox = Arc::clone(&inbox);
        let clock = MediaClock::start(
            address.ip(),
            config.rtp_ports,
            rand::random(),
            Box::new(move |events| media_inbox.post_media(events)),
        )?;
        let (socket, local, streams) = thread::open_sip_port(&config, &inbox)?;
        let handle = Handle {
            streams: streams.clone(),
            inbox: Arc::clone(&inbox),
            local,
            last_call: AtomicU64::new(0),
            in_progress: Arc::default(),
            is_alive: Arc::new(AtomicBool::new(true)),
        };
        let locator = config.locator.clone();
        let resolver = locator.map(|locator| NameResolver::start(locator, Arc::clone(&inbox)));
        let resources = Resources {
            config,
            resolver,
            prompts,
            clock,
            streams,
            inbox,
            in_progress: Arc::clone(&handle.in_progress),
            peers: HashSet::new(),
        };
        thread::spawn(socket, waker, local, resources, Arc::clone(&handle.is_alive))
            .map_err(EndpointError::Thread)?;
        Ok(Endpoint { handle: Arc::new(handle) })
    }

    /// Places a call. Never waits; the returned receiver delivers its events.
    pub fn place(&self, order: CallOrder) -> CallEvents {
        let call = self.handle.last_call.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, events) = mpsc::unbounded_channel();
        let inbox = &self.handle.inbox;
        inbox.post(Command::Place { call, order: Box::new(order), events: sender });
        CallEvents::new(call, events, Arc::clone(inbox))
    }

    /// Sends a request outside calls and waits for its outcome. If the endpoint has ended, nothing is sent and
    /// the outcome is [`RequestOutcome::TransportFailed`].
    pub async fn send_request(&self, request: OutOfDialogRequest) -> RequestOutcome {
        let cseq = request.cseq;
        let (reply, outcome) = oneshot::channel();
        self.handle.inbox.post(Command::SendRequest { request: Box::new(request), reply });
        outcome.await.unwrap_or(RequestOutcome::TransportFailed { cseq })
    }

    /// Sets the gateways. SIP messages from other addresses are dropped and counted.
    pub fn set_peers(&self, peers: HashSet<Hop>) {
        if let Some(streams) = &self.handle.streams {
            streams.set_peers(peers.iter().map(|hop| hop.address.ip()).collect());
        }
        self.handle.inbox.post(Command::SetPeers(peers));
    }

    /// Sets the TLS profile of each gateway address. Nothing is sent over TLS to other addresses.
    pub fn set_tls(&self, profiles: HashMap<SocketAddr, Arc<TlsProfile>>) {
        if let Some(streams) = &self.handle.streams {
            streams.set_tls(profiles);
        }
    }

    /// The error of the last TCP or TLS connection to `hop`, unless a connection has worked since.
    pub fn last_connection_error(&self, hop: Hop) -> Option<Arc<str>> {
        self.handle.streams.as_ref()?.last_error(hop)
    }

    /// The address where the endpoint receives SIP.
    pub fn local_addr(&self) -> SocketAddr {
        self.handle.local
    }

    /// The number of calls that have been placed and have not ended.
    pub fn calls_in_progress(&self) -> usize {
        self.handle.in_progress.load(Ordering::Relaxed)
    }

    /// Whether the SIP thread is running. It is restarted after a panic, but not after repeated panics.
    pub fn is_alive(&self) -> bool {
        self.handle.is_alive.load(Ordering::Acquire)
    }

    /// Hangs up all calls, waits up to `timeout` for the far ends to confirm, and closes the sockets.
    pub async fn shutdown(self, timeout: Duration) {
        let (done, ended) = oneshot::channel();
        self.handle.inbox.post(Command::Shutdown { until: Instant::now() + timeout, done });
        // An error means that the thread has already ended.
        let _ = ended.await;
    }

    #[cfg(test)]
    fn provoke_panic(&self) {
        self.handle.inbox.post(Command::Panic);
    }
}

#[cfg(test)]
mod tests;
