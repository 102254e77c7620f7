//! The media clock: the handle of the threads that send every call's audio, a frame each 20 ms.
//!
//! The handle reserves ports for the offer, starts a stream when the call is answered, and returns its
//! statistics. The work of a thread is in [`super::wheel`].

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::mailbox::{Command, Mailbox};
use super::ports::{PortRange, PortsError, SocketPair, open};
use super::stats::SharedState;
use super::wheel::Wheel;
use crate::speech::prompts::Script;

pub use super::media_event::{KeySignal, MediaEvent, OnMediaEvents};
pub use super::stats::StreamStats;
pub use super::stream_config::{StreamConfig, StreamId, StreamUpdate};
pub use crate::rtp::srtp::session::SrtpKeys;

/// A stream's identity and ports, for the offer.
#[derive(Clone, Copy, Debug)]
pub struct ReservedStream {
    pub stream: StreamId,
    pub rtp_port: u16,
    pub rtcp_port: u16,
}

/// A playing stream. Dropping it stops the stream: no further packet is sent.
#[derive(Debug)]
pub struct StreamHandle {
    shared: Arc<SharedState>,
}

impl StreamHandle {
    /// Pauses the audio while the far end holds the call, or resumes it.
    pub fn hold(&self, is_held: bool) {
        self.shared.is_held.store(is_held, Ordering::Relaxed);
    }

    /// Stops the detection of tones.
    pub fn ignore_tones(&self) {
        self.shared.ignores_tones.store(true, Ordering::Relaxed);
    }

    /// The statistics so far.
    pub fn stats(&self) -> StreamStats {
        self.shared.stats()
    }
}

impl Drop for StreamHandle {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::Release);
    }
}

/// The handle of the media threads. They end when the last handle is dropped.
#[derive(Clone)]
pub struct MediaClock {
    threads: Arc<[MediaThread]>,
    /// RTP and RTCP port of each socket.
    ports: Arc<[(u16, u16)]>,
    next: Arc<AtomicU64>,
}

struct MediaThread {
    mailbox: Arc<Mailbox>,
}

impl Drop for MediaThread {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

impl MediaClock {
    /// Opens the ports and starts the threads, which call `on_events`. `seed` determines the initial
    /// values of streams.
    ///
    /// # Errors
    /// When no port is free or a thread cannot be started.
    pub fn start(
        bind_ip: IpAddr,
        range: PortRange,
        seed: u64,
        on_events: Box<OnMediaEvents>,
    ) -> Result<MediaClock, PortsError> {
        let pairs = open(bind_ip, range)?;
        let ports = pairs.iter().map(|p| (p.rtp_port, p.rtcp_port)).collect();
        let on_events: Arc<OnMediaEvents> = on_events.into();
        let mut shares: Vec<Vec<SocketPair>> = Vec::new();
        shares.resize_with(thread_count().min(pairs.len()), Vec::new);
        let count = shares.len();
        for (socket, pair) in pairs.into_iter().enumerate() {
            shares[socket % count].push(pair);
        }
        let threads = shares.into_iter().zip(seed..).map(|(sockets, seed)| {
            let mailbox = Arc::new(Mailbox::default());
            let media_thread = MediaThread { mailbox: Arc::clone(&mailbox) };
            let on_events = Arc::clone(&on_events);
            thread::Builder::new()
                .name("media".into())
                .spawn(move || run_and_restart(&sockets, seed, &*on_events, &mailbox))
                .map_err(PortsError::Thread)?;
            Ok(media_thread)
        });
        Ok(MediaClock {
            threads: threads.collect::<Result<_, PortsError>>()?,
            ports,
            next: Arc::default(),
        })
    }

    /// Assigns a socket to a new stream. Nothing is allocated for the stream until it plays.
    pub fn reserve(&self) -> ReservedStream {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let socket = number as usize % self.ports.len();
        let (rtp_port, rtcp_port) = self.ports[socket];
        ReservedStream { stream: StreamId::new(number, socket), rtp_port, rtcp_port }
    }

    /// Starts a stream. Its first packet is sent within 40 ms.
    pub fn play(&self, config: StreamConfig) -> StreamHandle {
        let shared = Arc::<SharedState>::default();
        let socket = config.stream.socket() / self.threads.len();
        self.mailbox(config.stream).post(Command::Play {
            socket,
            config: Box::new(config),
            shared: Arc::clone(&shared),
        });
        StreamHandle { shared }
    }

    /// Makes a playing stream play another script from now on.
    pub fn replace_script(&self, stream: StreamId, script: Script) {
        self.mailbox(stream).post(Command::ReplaceScript { stream, script });
    }

    /// Applies to a playing stream what a mid-call offer and answer changed.
    pub fn update(&self, stream: StreamId, update: StreamUpdate) {
        let update = Box::new(update);
        self.mailbox(stream).post(Command::Update { stream, update });
    }

    fn mailbox(&self, stream: StreamId) -> &Mailbox {
        &self.threads[stream.socket() % self.threads.len()].mailbox
    }

    /// Makes the threads panic, so that a test can check that they recover.
    #[cfg(test)]
    pub(crate) fn provoke_panic(&self) {
        for thread in self.threads.iter() {
            thread.mailbox.post(Command::Panic);
        }
    }
}

/// One thread per four cores, at most two: one is enough for what a small machine can send.
fn thread_count() -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    (cores / 4).clamp(1, 2)
}

/// Runs the wheel, and a new one after a panic. The streams of the old wheel are reported as lost;
/// the ports and queued commands are kept.
fn run_and_restart(
    sockets: &[SocketPair],
    seed: u64,
    on_events: &OnMediaEvents,
    mailbox: &Mailbox,
) {
    mailbox.attach_current_thread();
    // Registered before its first increment: Prometheus sees no increase in a series that starts at 1.
    let restarts = metrics::counter!("nexo_actor_restarts_total", "actor" => "media");
    for generation in 0.. {
        let mut wheel = Wheel::new(sockets, on_events, seed.wrapping_add(generation << 32));
        let run = catch_unwind(AssertUnwindSafe(|| wheel.run(mailbox)));
        if run.is_ok() {
            return;
        }
        restarts.increment(1);
        let lost: Vec<MediaEvent> =
            wheel.streams().map(|stream| MediaEvent::Lost { stream }).collect();
        on_events(&lost);
    }
}

#[cfg(test)]
mod tests;
