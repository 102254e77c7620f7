//! The loop of a media thread: a timing wheel of 20 slots, one per millisecond.
//!
//! Streams are spread over the slots, and a stream stays in a slot of its socket. So a tick is one
//! batch to one socket, and one read of what that socket has received. The schedule is absolute: a
//! late tick is counted and caught up with, and never delays the next one. After a stall longer than
//! [`MAX_LAG`] the time of whole frames is skipped instead, as in a pause between talkspurts: a burst
//! that long would overflow the far end's jitter buffer, and digits would be lost.

mod receiving;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use metrics::{Counter, Histogram};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::batch::Batch;
use super::mailbox::{Command, Mailbox};
use super::media_event::{MediaEvent, OnMediaEvents};
use super::ports::SocketPair;
use super::stats::SharedState;
use super::stream::{InitialValues, Stream, StreamTick};
use super::stream_config::{StreamConfig, StreamId, StreamUpdate};
use crate::net::refusals::RefusalReader;
use crate::net::udp::Receiver;
use crate::rtp::receive::demultiplexer::{Demultiplexer, StreamIndex};

/// The slots of a frame's time.
const SLOTS: usize = 20;
const SLOT_TIME: Duration = Duration::from_millis(1);
/// A tick is counted as late after this delay.
const LATE_AFTER: Duration = Duration::from_millis(5);
const MAX_LAG: Duration = Duration::from_millis(100);
const FRAME_TIME: Duration = Duration::from_millis(20);
/// The most batches read in one tick, so that reading never delays sending.
const MAX_READS_PER_TICK: usize = 4;
/// Bytes read of a datagram: more than any frame of G.711 or compound report.
const READ_BYTES: usize = 1500;

pub(super) struct Wheel<'a> {
    sockets: &'a [SocketPair],
    on_events: &'a OnMediaEvents,
    streams: Vec<Option<Stream>>,
    free: Vec<StreamIndex>,
    playing: usize,
    slots: [Vec<StreamIndex>; SLOTS],
    /// One per socket.
    demultiplexers: Vec<Demultiplexer>,
    by_ssrc: HashMap<u32, StreamIndex>,
    by_id: HashMap<StreamId, StreamIndex>,
    commands: Vec<Command>,
    ended: Vec<StreamIndex>,
    batch: Batch,
    events: Vec<MediaEvent>,
    report: Vec<u8>,
    receiver: Receiver,
    refusals: RefusalReader,
    /// A fixed time, from which arrival times are measured.
    epoch: Instant,
    /// The time of tick 0.
    base: Instant,
    tick: u32,
    random: StdRng,
    cname: String,
    meters: Meters,
}

struct Meters {
    sent: Counter,
    received: Counter,
    dropped: Counter,
    failed: Counter,
    late: Counter,
    lateness: Histogram,
}

impl<'a> Wheel<'a> {
    pub fn new(sockets: &'a [SocketPair], on_events: &'a OnMediaEvents, seed: u64) -> Wheel<'a> {
        let mut random = StdRng::seed_from_u64(seed);
        let cname = format!("nexo-{:016x}", random.random::<u64>());
        Wheel {
            sockets,
            on_events,
            streams: Vec::new(),
            free: Vec::new(),
            playing: 0,
            slots: std::array::from_fn(|_| Vec::new()),
            demultiplexers: sockets.iter().map(|_| Demultiplexer::default()).collect(),
            by_ssrc: HashMap::new(),
            by_id: HashMap::new(),
            commands: Vec::new(),
            ended: Vec::new(),
            batch: Batch::new(),
            events: Vec::new(),
            report: Vec::with_capacity(128),
            receiver: Receiver::new(READ_BYTES),
            refusals: RefusalReader::default(),
            epoch: Instant::now(),
            base: Instant::now(),
            tick: 0,
            random,
            cname,
            meters: Meters {
                sent: metrics::counter!("nexo_rtp_packets_sent_total"),
                received: metrics::counter!("nexo_rtp_packets_received_total"),
                dropped: metrics::counter!("nexo_rtp_packets_dropped_total"),
                failed: metrics::counter!("nexo_rtp_send_errors_total"),
                late: metrics::counter!("nexo_rtp_late_ticks_total"),
                lateness: metrics::histogram!("nexo_rtp_tick_lateness_seconds"),
            },
        }
    }

    /// The streams that are playing.
    pub fn streams(&self) -> impl Iterator<Item = StreamId> {
        self.streams.iter().flatten().map(|stream| stream.id)
    }

    /// Runs until the mailbox is closed. While nothing plays, it sleeps without any wake-up.
    pub fn run(&mut self, mailbox: &Mailbox) {
        while !mailbox.is_closed() {
            if self.playing == 0 {
                mailbox.sleep();
                (self.base, self.tick) = (Instant::now(), 0);
            }
            let mut commands = std::mem::take(&mut self.commands);
            mailbox.take(&mut commands);
            for command in commands.drain(..) {
                self.handle_command(command);
            }
            self.commands = commands;
            self.run_due_ticks(Instant::now());
            if !self.events.is_empty() {
                (self.on_events)(&self.events);
                self.events.clear();
            }
            if self.playing > 0 {
                thread::park_timeout(self.next_due().saturating_duration_since(Instant::now()));
            }
        }
        for index in 0..self.streams.len() as StreamIndex {
            self.end(index);
        }
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Play { socket, config, shared } => self.start(socket, *config, shared),
            Command::ReplaceScript { stream, script } => {
                // The stream may have ended in the meantime.
                if let Some(index) = self.by_id.get(&stream)
                    && let Some(stream) = &mut self.streams[*index as usize]
                {
                    stream.replace_script(script);
                }
            }
            Command::Update { stream, update } => self.update(stream, &update),
            #[cfg(test)]
            Command::Panic => panic!("provoked by a test"),
        }
    }

    fn update(&mut self, stream: StreamId, update: &StreamUpdate) {
        let Some(index) = self.by_id.get(&stream).copied() else {
            return;
        };
        let Some((socket, moved)) = self.streams[index as usize]
            .as_ref()
            .map(|stream| (stream.socket, stream.moved(update)))
        else {
            return;
        };
        if moved.is_some() {
            // What the new address sent before it was announced does not count.
            self.read_queued(socket);
        }
        let Some(stream) = &mut self.streams[index as usize] else {
            return;
        };
        let demultiplexer = &mut self.demultiplexers[socket];
        if let Some(expected) = moved {
            demultiplexer.remove(index, &stream.source);
            demultiplexer.add(index, expected);
        }
        stream.update(update, self.sockets[socket].is_v6);
    }

    fn start(&mut self, socket: usize, config: StreamConfig, shared: Arc<SharedState>) {
        // What arrived before the stream began does not count for it.
        self.read_queued(socket);
        let initial = InitialValues {
            ssrc: self.unused_ssrc(),
            // Below 2^15, so that a receiver that misses the first protected packets still counts the
            // rollovers correctly (RFC 3711 §3.3.1).
            sequence: self.random.random::<u16>() >> 1,
            timestamp: self.random.random(),
        };
        let stream = Stream::new(config, shared, initial, socket, self.sockets[socket].is_v6);
        let index = self.free.pop().unwrap_or_else(|| {
            self.streams.push(None);
            self.streams.len() as StreamIndex - 1
        });
        self.demultiplexers[socket].add(index, stream.source.expected());
        self.by_ssrc.insert(initial.ssrc, index);
        self.by_id.insert(stream.id, index);
        self.streams[index as usize] = Some(stream);
        let slots = (socket..SLOTS).step_by(self.sockets.len());
        // There are never more sockets than slots.
        let slot = slots.min_by_key(|slot| self.slots[*slot].len());
        self.slots[slot.unwrap_or(0)].push(index);
        self.playing += 1;
    }

    fn unused_ssrc(&mut self) -> u32 {
        loop {
            let ssrc = self.random.random();
            if !self.by_ssrc.contains_key(&ssrc) {
                return ssrc;
            }
        }
    }

    fn run_due_ticks(&mut self, now: Instant) {
        let lag = now.saturating_duration_since(self.time_of(self.tick));
        if lag > MAX_LAG {
            let frames = (lag.as_millis() / FRAME_TIME.as_millis()) as u32;
            self.base += FRAME_TIME * frames;
            for stream in self.streams.iter_mut().flatten() {
                stream.skip(frames);
            }
            self.meters.late.increment(1);
        }
        while self.playing > 0 && self.time_of(self.tick) <= now {
            let slot = self.tick as usize % SLOTS;
            if !self.slots[slot].is_empty() {
                let lag = Instant::now().saturating_duration_since(self.time_of(self.tick));
                self.meters.lateness.record(lag);
                if lag > LATE_AFTER {
                    self.meters.late.increment(1);
                }
                self.serve_slot(slot);
            }
            self.tick += 1;
            self.rebase();
        }
    }

    /// Keeps the tick number small without moving the schedule.
    fn rebase(&mut self) {
        const HOUR: u32 = 3_600_000;
        if self.tick == HOUR {
            (self.base, self.tick) = (self.time_of(HOUR), 0);
        }
    }

    fn time_of(&self, tick: u32) -> Instant {
        self.base + SLOT_TIME * tick
    }

    /// The time of the next slot that has a stream.
    fn next_due(&self) -> Instant {
        let busy = (self.tick..self.tick + SLOTS as u32)
            .find(|tick| !self.slots[*tick as usize % SLOTS].is_empty());
        self.time_of(busy.unwrap_or(self.tick))
    }

    /// Sends the next packet of each stream of the slot, then reads the slot's socket.
    fn serve_slot(&mut self, slot: usize) {
        let socket = slot % self.sockets.len();
        self.read_refusals(socket);
        for at in 0..self.slots[slot].len() {
            self.serve_stream(socket, self.slots[slot][at]);
            if self.batch.is_full() {
                self.send_batch(socket);
            }
        }
        self.send_batch(socket);
        if !self.ended.is_empty() {
            let mut ended = std::mem::take(&mut self.ended);
            self.slots[slot].retain(|index| !ended.contains(index));
            for index in ended.drain(..) {
                self.end(index);
            }
            self.ended = ended;
        }
        self.read_rtp(socket, MAX_READS_PER_TICK);
        self.read_rtcp(socket, 1);
    }

    fn serve_stream(&mut self, socket: usize, index: StreamIndex) {
        let Some(stream) = &mut self.streams[index as usize] else {
            return;
        };
        if stream.shared.is_stopped.load(Ordering::Acquire) {
            self.ended.push(index);
            return;
        }
        let id = stream.id;
        let tick = stream.tick();
        if matches!(tick, StreamTick::Finished) {
            self.events.push(MediaEvent::Finished { stream: id });
            self.ended.push(index);
            return;
        }
        if stream.is_refused() {
            self.events.push(MediaEvent::Lost { stream: id });
            self.ended.push(index);
            return;
        }
        let StreamTick::Send(packet) = tick else {
            return;
        };
        if stream.is_reading_refused(&packet) {
            self.events.push(MediaEvent::Lost { stream: id });
            self.ended.push(index);
            return;
        }
        for mark in packet.marks.into_iter().flatten() {
            self.events.push(MediaEvent::MarkReached { stream: id, mark });
        }
        let (destination, srtp) = (stream.destination, stream.srtp.as_deref_mut());
        let queued = self.batch.push(index, &packet, destination, srtp);
        if queued.is_none() {
            self.events.push(MediaEvent::Lost { stream: id });
            self.ended.push(index);
            return;
        }
        if stream.is_report_due(|| self.random.random()) {
            write_and_send_report(
                stream,
                &self.sockets[socket],
                &self.cname,
                false,
                &mut self.report,
            );
        }
    }

    fn send_batch(&mut self, socket: usize) {
        let counts = self.batch.send(&self.sockets[socket].rtp, |index| {
            if let Some(stream) = &mut self.streams[index as usize]
                && stream.record_failure()
            {
                self.events.push(MediaEvent::Lost { stream: stream.id });
                self.ended.push(index);
            }
        });
        self.meters.sent.increment(counts.sent);
        self.meters.failed.increment(counts.failed);
    }

    /// Sends a BYE to the far end and removes the stream.
    fn end(&mut self, index: StreamIndex) {
        let Some(mut stream) = self.streams[index as usize].take() else {
            return;
        };
        let socket = stream.socket;
        write_and_send_report(
            &mut stream,
            &self.sockets[socket],
            &self.cname,
            true,
            &mut self.report,
        );
        self.demultiplexers[socket].remove(index, &stream.source);
        self.by_ssrc.remove(&stream.ssrc());
        self.by_id.remove(&stream.id);
        self.free.push(index);
        self.playing -= 1;
    }
}

fn write_and_send_report(
    stream: &mut Stream,
    socket: &SocketPair,
    cname: &str,
    is_last: bool,
    report: &mut Vec<u8>,
) {
    if stream.write_report(cname, is_last, report).is_some() {
        // A lost report is followed by another, and the far end may be gone before the last one.
        let _ = socket.rtcp.send_to(report, stream.rtcp_destination);
    }
}
