//! The media clock: a thread that sends every call's frames on their 20 ms.
//!
//! The handle reserves ports for the offer, starts a stream when the call is answered, and tells
//! what became of it. What the thread does each millisecond is the [`super::wheel`]'s.

use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use super::ports::{Pair, PortRange, PortsError, open};
use super::stream::Shared;
use super::wheel::Wheel;
use crate::audio::g711::Codec;
use crate::rtp::srtp::MasterKey;
pub use crate::rtp::srtp::session::Keys;
pub use crate::rtp::wire::telephone_event::Key;
use crate::speech::prompts::{Mark, Script};

/// One outgoing stream. Knows the socket that it was given.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct StreamId(u64);

impl StreamId {
    fn socket(self) -> usize {
        (self.0 & 0xff) as usize
    }
}

/// A stream's ports, for the offer.
#[derive(Clone, Copy, Debug)]
pub struct Reserved {
    pub stream: StreamId,
    pub rtp_port: u16,
    pub rtcp_port: u16,
}

/// What is to be sent where. Deliberately without `Debug`: the script spells the code.
pub struct Play {
    pub stream: StreamId,
    /// As the far end announced it.
    pub remote: SocketAddr,
    pub remote_rtcp: SocketAddr,
    /// Where the signalling comes from: a far end behind a NAT sends from there too.
    pub gateway: IpAddr,
    pub codec: Codec,
    pub script: Script,
    /// How many frames of 20 ms a packet holds, 1 to 3.
    pub frames_a_packet: u8,
    /// The payload type of the far end's key events, where it agreed to send them.
    pub telephone_event: Option<u8>,
    /// Whether keys are listened for in the sound too.
    pub wants_keys: bool,
    /// Where the audio is protected.
    pub keys: Option<Keys>,
    /// After so many frames' time in which a far end that has been heard says nothing, the stream is
    /// lost. 0: never.
    pub media_timeout_frames: u32,
}

/// What was agreed anew in mid-call.
pub struct Moved {
    pub remote: SocketAddr,
    pub remote_rtcp: SocketAddr,
    pub codec: Codec,
    pub telephone_event: Option<u8>,
    /// What the far end protects its audio with from now on.
    pub their_key: Option<MasterKey>,
}

/// What became of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StreamFigures {
    pub packets_sent: u64,
    pub packets_received: u64,
    /// Of the far end's packets, so many are missing.
    pub packets_missed: u32,
    /// Of the far end's packets, in timestamp units.
    pub jitter_received: u32,
    /// As the far end reported last, in 1/256.
    pub fraction_lost: Option<u8>,
    /// As the far end reported last: so many of our packets are missing.
    pub packets_lost: Option<u32>,
    /// As the far end reported last, in timestamp units.
    pub jitter: Option<u32>,
    /// The way there and back, as the last report showed it.
    pub round_trip: Option<Duration>,
}

/// News of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MediaEvent {
    /// The script passed a mark.
    Marked { stream: StreamId, mark: Mark },
    /// All of the script has been sent, and the time of its last frame has passed.
    Finished { stream: StreamId },
    /// The far end's phone pressed a key.
    Pressed { stream: StreamId, key: Key },
    /// Nothing could be sent for a second, the far end fell silent for too long, or the thread
    /// panicked: the stream is gone.
    Lost { stream: StreamId },
}

/// Takes the clock's news: everything that a tick brought, at once.
pub type OnMediaEvents = dyn Fn(&[MediaEvent]) + Send + Sync;

/// A stream that plays. Dropping it stops the stream: not one packet more is sent.
#[derive(Debug)]
pub struct Playing {
    shared: Arc<Shared>,
}

impl Playing {
    /// The far end does not listen, or does again: meanwhile the audio waits.
    pub fn hold(&self, is_held: bool) {
        self.shared.is_held.store(is_held, Ordering::Relaxed);
    }

    /// What became of the stream so far.
    pub fn figures(&self) -> StreamFigures {
        self.shared.figures()
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
    }
}

/// The handle of the media threads. They end when the last handle is gone.
#[derive(Clone)]
pub struct MediaClock {
    lanes: Arc<[Lane]>,
    /// RTP and RTCP port of each socket.
    ports: Arc<[(u16, u16)]>,
    next: Arc<AtomicU64>,
}

/// One media thread, as seen from outside.
struct Lane {
    mailbox: Arc<Mailbox>,
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

impl MediaClock {
    /// Opens the ports and starts the threads. `events` is called from them. `seed` makes the
    /// numbers at which streams start.
    ///
    /// # Errors
    /// When no port is free, or no thread can be started.
    pub fn start(
        bind_ip: IpAddr,
        range: PortRange,
        seed: u64,
        events: Box<OnMediaEvents>,
    ) -> Result<MediaClock, PortsError> {
        let pairs = open(bind_ip, range)?;
        let ports = pairs.iter().map(|p| (p.rtp_port, p.rtcp_port)).collect();
        let events: Arc<OnMediaEvents> = events.into();
        let mut shares: Vec<Vec<Pair>> = Vec::new();
        shares.resize_with(threads().min(pairs.len()), Vec::new);
        let lanes = shares.len();
        for (socket, pair) in pairs.into_iter().enumerate() {
            shares[socket % lanes].push(pair);
        }
        let lanes = shares.into_iter().zip(seed..).map(|(pairs, seed)| {
            let mailbox = Arc::new(Mailbox::default());
            let lane = Lane {
                mailbox: Arc::clone(&mailbox),
            };
            let events = Arc::clone(&events);
            thread::Builder::new()
                .name("media".into())
                .spawn(move || run_and_restart(&pairs, seed, &*events, &mailbox))
                .map_err(PortsError::Thread)?;
            Ok(lane)
        });
        Ok(MediaClock {
            lanes: lanes.collect::<Result<_, PortsError>>()?,
            ports,
            next: Arc::default(),
        })
    }

    /// Gives the next stream a socket. Nothing is kept for it until it plays.
    pub fn reserve(&self) -> Reserved {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let socket = number as usize % self.ports.len();
        let (rtp_port, rtcp_port) = self.ports[socket];
        Reserved {
            stream: StreamId(number << 8 | socket as u64),
            rtp_port,
            rtcp_port,
        }
    }

    /// Starts a stream; its first packet leaves within 40 ms.
    pub fn play(&self, play: Play) -> Playing {
        let shared = Arc::<Shared>::default();
        let socket = play.stream.socket() / self.lanes.len();
        self.lane(play.stream).mailbox.post(Order::Play {
            socket,
            play: Box::new(play),
            shared: Arc::clone(&shared),
        });
        Playing { shared }
    }

    /// Has a stream that plays say something else from now on.
    pub fn say(&self, stream: StreamId, script: Script) {
        self.lane(stream)
            .mailbox
            .post(Order::Say { stream, script });
    }

    /// Has a stream that plays go on as was agreed anew.
    pub fn moved(&self, stream: StreamId, moved: Moved) {
        let moved = Box::new(moved);
        self.lane(stream)
            .mailbox
            .post(Order::Move { stream, moved });
    }

    fn lane(&self, stream: StreamId) -> &Lane {
        &self.lanes[stream.socket() % self.lanes.len()]
    }

    /// Makes the threads panic, so that a test can see them survive.
    #[cfg(test)]
    pub(crate) fn provoke_panic(&self) {
        for lane in self.lanes.iter() {
            lane.mailbox.post(Order::Panic);
        }
    }
}

/// One is enough for what a small machine can send; more would only take turns.
fn threads() -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    (cores / 4).clamp(1, 2)
}

/// What a media thread is asked to do. A stream is stopped through what it shares.
pub(in crate::rtp) enum Order {
    Play {
        /// Its place among the thread's own.
        socket: usize,
        play: Box<Play>,
        shared: Arc<Shared>,
    },
    Say {
        stream: StreamId,
        script: Script,
    },
    Move {
        stream: StreamId,
        moved: Box<Moved>,
    },
    #[cfg(test)]
    Panic,
}

/// The way into a media thread. A thread that plays looks into it at each tick and is not woken.
#[derive(Default)]
pub(in crate::rtp) struct Mailbox {
    orders: Mutex<Vec<Order>>,
    is_asleep: AtomicBool,
    is_closed: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Mailbox {
    fn post(&self, order: Order) {
        self.locked().push(order);
        self.wake();
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        if self.is_asleep.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Nothing can panic while the lock is held.
    fn locked(&self) -> std::sync::MutexGuard<'_, Vec<Order>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// Moves what has come to `orders`, which is empty.
    pub fn take(&self, orders: &mut Vec<Order>) {
        std::mem::swap(&mut *self.locked(), orders);
    }

    /// Sleeps until there is an order, or the mailbox is closed.
    pub fn sleep(&self) {
        loop {
            // Said before the last look: whoever posts after it sees that there is one to be woken.
            self.is_asleep.store(true, Ordering::SeqCst);
            if self.is_closed.load(Ordering::SeqCst) || !self.locked().is_empty() {
                self.is_asleep.store(false, Ordering::SeqCst);
                return;
            }
            thread::park();
        }
    }
}

/// Runs the wheel, and a new one after a panic: its streams are lost, which is news, but the ports
/// and the streams to come are not.
fn run_and_restart(pairs: &[Pair], seed: u64, events: &OnMediaEvents, mailbox: &Mailbox) {
    mailbox.thread.get_or_init(thread::current);
    // Known before it grows: an increase from nothing is no increase to Prometheus.
    let deaths = metrics::counter!("nexo_actor_restarts_total", "actor" => "media");
    for life in 0.. {
        let mut wheel = Wheel::new(pairs, events, seed.wrapping_add(life << 32));
        let run = catch_unwind(AssertUnwindSafe(|| wheel.run(mailbox)));
        if run.is_ok() {
            return;
        }
        deaths.increment(1);
        let lost: Vec<MediaEvent> = wheel
            .streams()
            .map(|stream| MediaEvent::Lost { stream })
            .collect();
        events(&lost);
    }
}

#[cfg(test)]
mod tests;
