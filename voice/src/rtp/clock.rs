//! The media clock: one thread that sends every call's frames on their 20 ms.
//!
//! Streams are spread over [`SLOTS`] slots of a millisecond, so that thousands of calls are no
//! burst. A slot's packets go to the kernel in batches of [`BATCH`], each a 12-byte header and a
//! slice of a prompt that was encoded once. The thread sleeps while there is nothing to send.
//!
//! The schedule is absolute: a late tick is counted and caught up with, and never moves the next
//! one. Only after a stall of [`LONGEST_LAG`] does the schedule start anew, since a burst of old
//! audio helps nobody.

use std::collections::HashMap;
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use metrics::Counter;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};
use rand::RngExt;

use super::packet::HEADER_BYTES;
use super::ports::{Pair, PortRange, PortsError, open};
use super::rtcp;
use super::stream::{After, Stream};
use crate::g711::Codec;
use crate::prompts::{Mark, Script};

/// The slots that a frame's time is cut into.
pub const SLOTS: usize = 20;
/// The most packets handed to the kernel at once.
pub const BATCH: usize = 64;
const SLOT_MS: u64 = 1;
/// A tick is late when it comes so much after its time.
const LATE_AFTER: Duration = Duration::from_millis(5);
const LONGEST_LAG: Duration = Duration::from_millis(200);
/// Of what is received, so much is read: a header, or a small compound report.
const READ_BYTES: usize = 512;
/// The most datagrams read from one socket in one round, so that reading never delays sending.
const READS_A_ROUND: usize = 512;

/// One outgoing stream. Holds the socket that it was given.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamId(u64);

impl StreamId {
    pub(super) fn socket(self) -> usize {
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

/// What is to be sent where.
pub struct Play {
    pub stream: StreamId,
    pub remote: SocketAddr,
    pub remote_rtcp: SocketAddr,
    pub codec: Codec,
    pub script: Script,
}

/// What became of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StreamFigures {
    pub packets_sent: u64,
    pub packets_received: u64,
    /// As the far end reported last, in 1/256.
    pub fraction_lost: Option<u8>,
    /// As the far end reported last, in timestamp units.
    pub jitter: Option<u32>,
}

/// News of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MediaEvent {
    /// The script passed a mark.
    Marked { stream: StreamId, mark: Mark },
    /// All of the script has been sent.
    Finished { stream: StreamId },
    /// The stream was stopped; nothing more comes of it.
    Stopped {
        stream: StreamId,
        figures: StreamFigures,
    },
    /// The thread died and was started anew: every stream is lost.
    Restarted,
}

enum Command {
    Play(Box<Play>),
    Stop(StreamId),
    #[cfg(test)]
    Panic,
}

/// The handle of the media thread. The thread ends when the last handle is gone.
#[derive(Clone)]
pub struct MediaClock {
    commands: Sender<Command>,
    ports: Arc<[(u16, u16)]>,
    next: Arc<AtomicU64>,
}

/// What outlives a panic of the thread.
#[derive(Clone)]
struct Shared {
    pairs: Arc<[Pair]>,
    events: Arc<dyn Fn(&[MediaEvent]) + Send + Sync>,
}

/// Runs the wheel, and a new one after a panic: its streams are lost, which is news, but the ports
/// and the calls to come are not.
fn run_and_restart(shared: &Shared, orders: &Receiver<Command>) {
    loop {
        let wheel = Wheel::new(shared.clone());
        match catch_unwind(AssertUnwindSafe(|| wheel.run(orders))) {
            Ok(()) => return,
            Err(_) => {
                metrics::counter!("nexo_actor_restarts_total", "actor" => "media").increment(1);
                (shared.events)(&[MediaEvent::Restarted]);
            }
        }
    }
}

impl MediaClock {
    /// Opens the ports and starts the thread. `events` is called from it, with everything that a
    /// tick brought.
    ///
    /// # Errors
    /// When no port is free, or no thread can be started.
    pub fn start(
        bind_ip: IpAddr,
        range: PortRange,
        events: Box<dyn Fn(&[MediaEvent]) + Send + Sync>,
    ) -> Result<MediaClock, PortsError> {
        let pairs = open(bind_ip, range)?;
        let ports = pairs.iter().map(|p| (p.rtp_port, p.rtcp_port)).collect();
        let (commands, orders) = channel();
        let shared = Shared {
            pairs: pairs.into(),
            events: events.into(),
        };
        std::thread::Builder::new()
            .name("media".into())
            .spawn(move || run_and_restart(&shared, &orders))
            .map_err(PortsError::Thread)?;
        Ok(MediaClock {
            commands,
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

    /// Starts sending within 20 ms.
    pub fn play(&self, play: Play) {
        // The thread ends only with its last handle.
        let _ = self.commands.send(Command::Play(Box::new(play)));
    }

    /// Stops at once.
    pub fn stop(&self, stream: StreamId) {
        let _ = self.commands.send(Command::Stop(stream));
    }

    /// Makes the thread panic, so that a test can see it survive.
    #[cfg(test)]
    fn provoke_panic(&self) {
        let _ = self.commands.send(Command::Panic);
    }
}

/// A packet that is about to be sent.
struct Outgoing {
    header: [u8; HEADER_BYTES],
    audio: &'static [u8],
    to: Option<SockaddrStorage>,
}

struct Wheel {
    pairs: Arc<[Pair]>,
    events: Arc<dyn Fn(&[MediaEvent]) + Send + Sync>,
    streams: HashMap<StreamId, Stream>,
    slots: [Vec<StreamId>; SLOTS],
    /// By socket: who sends from where, for what is received.
    by_remote: HashMap<(usize, SocketAddr), StreamId>,
    by_ssrc: HashMap<u32, StreamId>,
    batches: Vec<Vec<Outgoing>>,
    news: Vec<MediaEvent>,
    /// The time of tick 0.
    base: Instant,
    tick: u64,
    next_slot: usize,
    cname: String,
    sent: Counter,
    failed: Counter,
    late: Counter,
}

impl Wheel {
    fn new(Shared { pairs, events }: Shared) -> Wheel {
        let host: u32 = rand::rng().random();
        Wheel {
            batches: pairs.iter().map(|_| Vec::with_capacity(BATCH)).collect(),
            pairs,
            events,
            streams: HashMap::new(),
            slots: std::array::from_fn(|_| Vec::new()),
            by_remote: HashMap::new(),
            by_ssrc: HashMap::new(),
            news: Vec::new(),
            base: Instant::now(),
            tick: 0,
            next_slot: 0,
            cname: format!("nexo-{host:08x}"),
            sent: metrics::counter!("nexo_rtp_packets_sent_total"),
            failed: metrics::counter!("nexo_rtp_send_errors_total"),
            late: metrics::counter!("nexo_rtp_late_ticks_total"),
        }
    }

    fn run(mut self, orders: &Receiver<Command>) {
        loop {
            if self.streams.is_empty() {
                match orders.recv() {
                    Ok(order) => {
                        self.start_over();
                        self.obey(order);
                    }
                    Err(_) => return,
                }
            }
            loop {
                match orders.try_recv() {
                    Ok(order) => self.obey(order),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            self.turn();
            let wait = self.next_due().saturating_duration_since(Instant::now());
            if !wait.is_zero() && !self.streams.is_empty() {
                match orders.recv_timeout(wait) {
                    Ok(order) => self.obey(order),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        }
    }

    fn start_over(&mut self) {
        self.base = Instant::now();
        self.tick = 0;
    }

    fn obey(&mut self, order: Command) {
        match order {
            Command::Play(play) => {
                let random = rand::rng().random();
                let stream = Stream::new(*play, random, Instant::now());
                // Spread evenly, and never into the slot whose time is now.
                self.next_slot = (self.next_slot + 7) % SLOTS;
                self.slots[self.next_slot].push(stream.id);
                self.by_remote
                    .insert((stream.socket, stream.remote), stream.id);
                self.by_ssrc.insert(stream.ssrc(), stream.id);
                self.streams.insert(stream.id, stream);
            }
            Command::Stop(id) => self.stop(id),
            #[cfg(test)]
            Command::Panic => panic!("provoked by a test"),
        }
    }

    fn stop(&mut self, id: StreamId) {
        let figures = match self.streams.remove(&id) {
            Some(stream) => {
                let pair = &self.pairs[stream.socket];
                // The far end may be gone already.
                let _ = pair
                    .rtcp
                    .send_to(&stream.goodbye(&self.cname), stream.remote_rtcp);
                self.by_ssrc.remove(&stream.ssrc());
                let place = (stream.socket, stream.remote);
                if self.by_remote.get(&place) == Some(&id) {
                    self.by_remote.remove(&place);
                }
                stream.figures()
            }
            None => StreamFigures::default(),
        };
        for slot in &mut self.slots {
            slot.retain(|other| *other != id);
        }
        self.news.push(MediaEvent::Stopped {
            stream: id,
            figures,
        });
        self.report_news();
    }

    /// Runs every tick that is due.
    fn turn(&mut self) {
        let now = Instant::now();
        if now.saturating_duration_since(self.time_of(self.tick)) > LONGEST_LAG {
            self.late.increment(1);
            self.base = now;
            self.tick = 0;
        }
        while !self.streams.is_empty() && self.time_of(self.tick) <= now {
            let slot = (self.tick % SLOTS as u64) as usize;
            let lag = Instant::now().saturating_duration_since(self.time_of(self.tick));
            if lag > LATE_AFTER && !self.slots[slot].is_empty() {
                self.late.increment(1);
            }
            self.send_slot(slot, now);
            if slot == 0 {
                self.read_all();
            }
            self.tick += 1;
        }
        self.report_news();
    }

    fn time_of(&self, tick: u64) -> Instant {
        self.base + Duration::from_millis(tick * SLOT_MS)
    }

    /// When something is to be sent or read next.
    fn next_due(&self) -> Instant {
        let busy = (0..SLOTS as u64)
            .map(|ahead| self.tick + ahead)
            .find(|tick| {
                let slot = (tick % SLOTS as u64) as usize;
                slot == 0 || !self.slots[slot].is_empty()
            });
        self.time_of(busy.unwrap_or(self.tick))
    }

    fn send_slot(&mut self, slot: usize, now: Instant) {
        let mut finished = false;
        for id in &self.slots[slot] {
            let Some(stream) = self.streams.get_mut(id) else {
                continue;
            };
            let Some((header, audio, after)) = stream.next() else {
                self.news.push(MediaEvent::Finished { stream: *id });
                finished = true;
                continue;
            };
            self.batches[stream.socket].push(Outgoing {
                header,
                audio,
                to: Some(stream.remote.into()),
            });
            match after {
                After::Nothing => {}
                After::Marked(mark) => self.news.push(MediaEvent::Marked { stream: *id, mark }),
                // Told when its time has passed, so that the far end hears the last frame.
                After::Finished => {}
            }
            if let Some(report) = stream.report(now, &self.cname) {
                let rtcp = &self.pairs[stream.socket].rtcp;
                let _ = rtcp.send_to(&report, stream.remote_rtcp);
            }
        }
        if finished {
            let news = &self.news;
            let is_done = |id: &StreamId| news.contains(&MediaEvent::Finished { stream: *id });
            self.slots[slot].retain(|id| !is_done(id));
        }
        for (pair, batch) in self.pairs.iter().zip(&mut self.batches) {
            for packets in batch.chunks(BATCH) {
                let sent = send(pair, packets);
                self.sent.increment(sent as u64);
                self.failed.increment((packets.len() - sent) as u64);
            }
            batch.clear();
        }
    }

    fn report_news(&mut self) {
        if !self.news.is_empty() {
            (self.events)(&self.news);
            self.news.clear();
        }
    }

    /// Reads what came, so that the kernel's buffers stay empty.
    fn read_all(&mut self) {
        let mut buffer = [0; READ_BYTES];
        for socket in 0..self.pairs.len() {
            for _ in 0..READS_A_ROUND {
                let Ok((_, from)) = self.pairs[socket].rtp.recv_from(&mut buffer) else {
                    break;
                };
                self.received(socket, from);
            }
            for _ in 0..READS_A_ROUND {
                let Ok((length, _)) = self.pairs[socket].rtcp.recv_from(&mut buffer) else {
                    break;
                };
                for block in rtcp::report_blocks(&buffer[..length]) {
                    let id = self.by_ssrc.get(&block.ssrc);
                    if let Some(stream) = id.and_then(|id| self.streams.get_mut(id)) {
                        stream.reported(block);
                    }
                }
            }
        }
    }

    /// RTP came from there: it counts for the stream that sends there. A stream that has received
    /// nothing yet follows its far end to another port once (symmetric RTP).
    fn received(&mut self, socket: usize, from: SocketAddr) {
        let id = match self.by_remote.get(&(socket, from)) {
            Some(id) => *id,
            None => {
                let mut silent = self.streams.values().filter(|stream| {
                    stream.socket == socket
                        && stream.received == 0
                        && stream.remote.ip() == from.ip()
                });
                // With two of them nobody can tell whose it is.
                let (Some(stream), None) = (silent.next(), silent.next()) else {
                    return;
                };
                let id = stream.id;
                self.by_remote.insert((socket, from), id);
                id
            }
        };
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.received += 1;
            if stream.remote != from {
                self.by_remote.remove(&(socket, stream.remote));
                stream.remote = from;
            }
        }
    }
}

/// Hands packets to the kernel in one call; how many it took.
fn send(pair: &Pair, packets: &[Outgoing]) -> usize {
    let slices: Vec<[IoSlice<'_>; 2]> = packets
        .iter()
        .map(|p| [IoSlice::new(&p.header), IoSlice::new(p.audio)])
        .collect();
    let addresses: Vec<Option<SockaddrStorage>> = packets.iter().map(|p| p.to).collect();
    let mut headers = MultiHeaders::preallocate(packets.len(), None);
    let sent = sendmmsg(
        pair.rtp.as_raw_fd(),
        &mut headers,
        &slices,
        &addresses,
        [],
        MsgFlags::empty(),
    );
    match sent {
        Ok(results) => results.count(),
        // One bad address must not keep the others silent.
        Err(_) => packets.iter().filter(|p| send_one(pair, p)).count(),
    }
}

fn send_one(pair: &Pair, packet: &Outgoing) -> bool {
    let mut bytes = packet.header.to_vec();
    bytes.extend_from_slice(packet.audio);
    let to = packet.to.as_ref().and_then(|to| {
        let v4 = to.as_sockaddr_in().map(|a| SocketAddr::from((a.ip(), a.port())));
        v4.or_else(|| {
            to.as_sockaddr_in6()
                .map(|a| SocketAddr::from((a.ip(), a.port())))
        })
    });
    to.is_some_and(|to| pair.rtp.send_to(&bytes, to).is_ok())
}

#[cfg(test)]
mod tests;
