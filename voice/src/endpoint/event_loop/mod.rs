//! The event loop of the SIP thread. Everything that happens to calls is handled here, one event at a time.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use nexo_domain::call::CallInput;
use tokio::sync::oneshot;

use super::call::live_call::LiveCall;
use super::config::EndpointConfig;
use super::inbox::{Command, Inbox, Queues};
use super::meters::Meters;
use super::resolver::NameResolver;
use super::sip_socket::{SipSocket, Wakeup};
use super::trace::TraceSender;
use crate::net::deadlines::Deadlines;
use crate::net::streams::Streams;
use crate::rtp::send::clock::{MediaClock, StreamId};
use crate::sip::message::gateway_uri::GatewayUri;
use crate::sip::message::hop::Hop;
use crate::sip::user_agent::{CallHandle, RequestOutcome, UserAgent};
use crate::speech::prompts::PromptSet;

mod calls;
mod lookups;
mod media;
mod requests;
mod transport;

/// The maximum number of batches of datagrams received in a turn.
const MAX_BATCHES_PER_TURN: usize = 4;
/// The minimum length of a turn. Under load the thread handles events together: a wakeup costs more than a
/// message.
const MIN_TURN: Duration = Duration::from_millis(4);
/// How long to wait for responses to BYE after the last handle was dropped.
const BYE_TIMEOUT: Duration = Duration::from_secs(1);

/// What survives a panic of the event loop.
pub(super) struct Resources {
    pub config: EndpointConfig,
    pub resolver: Option<NameResolver>,
    pub prompts: &'static PromptSet,
    pub clock: MediaClock,
    pub streams: Option<Streams>,
    pub inbox: Arc<Inbox>,
    pub in_progress: Arc<AtomicUsize>,
    pub peers: HashSet<Hop>,
}

pub(super) struct EventLoop<'a> {
    socket: SipSocket<'a>,
    resources: &'a mut Resources,
    agent: UserAgent,
    calls: HashMap<CallHandle, LiveCall>,
    by_number: HashMap<u64, CallHandle>,
    by_stream: HashMap<StreamId, CallHandle>,
    /// Receive the outcomes of requests outside calls.
    replies: HashMap<CallHandle, oneshot::Sender<RequestOutcome>>,
    deadlines: Deadlines<CallHandle>,
    /// Of the calls and requests whose messages are traced.
    traces: HashMap<CallHandle, TraceSender>,
    /// The calls that wait for the address of a media host.
    media_hosts: HashMap<Arc<GatewayUri>, Vec<CallHandle>>,
    /// Reused to empty the inbox.
    queues: Queues,
    meters: Meters,
    shutdown: Option<Shutdown>,
}

/// A shutdown in progress: no new calls, and a limited wait for the far ends.
struct Shutdown {
    until: Instant,
    /// `None` after the drop of the last handle.
    done: Option<oneshot::Sender<()>>,
}

impl<'a> EventLoop<'a> {
    pub fn new(socket: SipSocket<'a>, resources: &'a mut Resources) -> Self {
        let config = &resources.config;
        let mut agent = UserAgent::new(&config.user_agent, config.timers, rand::random());
        agent.set_peers(resources.peers.clone());
        Self {
            socket,
            resources,
            agent,
            calls: HashMap::new(),
            by_number: HashMap::new(),
            by_stream: HashMap::new(),
            replies: HashMap::new(),
            deadlines: Deadlines::default(),
            traces: HashMap::new(),
            media_hosts: HashMap::new(),
            queues: Queues::default(),
            meters: Meters::new(),
            shutdown: None,
        }
    }

    /// Runs until a shutdown is complete. Returns the channel to notify once the sockets are closed.
    pub fn run(mut self) -> Option<oneshot::Sender<()>> {
        let mut wakeup = Wakeup::Readable;
        let mut last_turn = Instant::now();
        loop {
            let since = last_turn.elapsed();
            if since < MIN_TURN && wakeup != Wakeup::More {
                std::thread::sleep(MIN_TURN - since);
            }
            last_turn = Instant::now();
            self.drain_inbox();
            let mut more = wakeup != Wakeup::Other;
            for _ in 0..MAX_BATCHES_PER_TURN {
                more = more && self.receive();
            }
            self.run_timers();
            self.flush();
            if self.is_done() {
                break;
            }
            wakeup = match more {
                true => Wakeup::More,
                false => self.sleep(),
            };
        }
        self.shutdown.take().and_then(|shutdown| shutdown.done)
    }

    fn sleep(&self) -> Wakeup {
        if self.resources.inbox.must_poll() && self.shutdown.is_none() {
            return Wakeup::Other;
        }
        let calls = self.deadlines.next();
        let shutdown = self.shutdown.as_ref().map(|shutdown| shutdown.until);
        let due = calls.into_iter().chain(self.agent.next_deadline());
        let wakeup = self.socket.sleep(due.chain(shutdown).min());
        self.resources.inbox.set_awake();
        wakeup
    }

    fn drain_inbox(&mut self) {
        let mut queues = std::mem::take(&mut self.queues);
        self.resources.inbox.take(&mut queues);
        for command in queues.commands.drain(..) {
            self.handle_command(command);
        }
        for event in queues.media.drain(..) {
            self.handle_media_event(event);
        }
        for event in queues.streams.drain(..) {
            self.handle_stream_event(event);
        }
        self.queues = queues;
        if self.resources.inbox.is_closed() && self.shutdown.is_none() {
            self.start_shutdown(Instant::now() + BYE_TIMEOUT, None);
        }
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Place { call, order, events } => self.place(call, order, events),
            Command::Abandon(call) => {
                if let Some(handle) = self.by_number.get(&call).copied() {
                    self.step(handle, CallInput::Abandoned);
                }
            }
            Command::SendRequest { request, reply } => self.send_request(*request, reply),
            Command::SetPeers(peers) => {
                self.resources.peers.clone_from(&peers);
                self.agent.set_peers(peers);
            }
            Command::Resolved { name, targets } => {
                self.handle_resolved(&name, &targets);
            }
            Command::Shutdown { until, done } => {
                self.resources.inbox.close();
                self.start_shutdown(until, Some(done));
            }
            #[cfg(test)]
            Command::Panic => panic!("provoked by a test"),
        }
    }

    fn start_shutdown(&mut self, until: Instant, done: Option<oneshot::Sender<()>>) {
        let handles: Vec<CallHandle> = self.calls.keys().copied().collect();
        for handle in handles {
            self.step(handle, CallInput::Abandoned);
        }
        self.shutdown = Some(Shutdown { until, done });
    }

    /// Whether the shutdown is complete: all far ends know that their calls have ended, or the time is up.
    fn is_done(&self) -> bool {
        let shutdown = self.shutdown.as_ref();
        shutdown.is_some_and(|s| s.until <= Instant::now() || self.agent.unsettled() == 0)
    }
}
