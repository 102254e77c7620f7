//! What a media thread does: a wheel of 20 slots, one a millisecond, over which streams are spread.
//!
//! A stream stays in a slot of its socket, so that a tick is one batch to one socket and one look
//! at what that socket has received. The schedule is absolute: a late tick is counted and caught up
//! with, and never moves the next one. After a stall longer than [`LONGEST_LAG`] the time of whole
//! frames is left out instead, as in a pause between talkspurts: a burst that long would overflow
//! the far end's jitter buffer, and digits would be lost.

use std::collections::HashMap;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use metrics::Counter;
use nix::sys::socket::SockaddrStorage;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::clock::{Mailbox, MediaEvent, OnMediaEvents, Order, Play, StreamId};
use super::packet::{self, HEADER_BYTES};
use super::ports::Pair;
use super::reception::{Place, Reception};
use super::rtcp;
use super::stream::{Shared, Start, Stream};
use crate::udp::{BATCH, Receiver, Sender};

/// The slots that a frame's time is cut into.
pub(super) const SLOTS: usize = 20;
const SLOT: Duration = Duration::from_millis(1);
/// A tick is late when it comes so much after its time.
const LATE_AFTER: Duration = Duration::from_millis(5);
const LONGEST_LAG: Duration = Duration::from_millis(100);
const FRAME_TIME: Duration = Duration::from_millis(20);
/// Of what is received so much is read: more than any frame of G.711 or compound report.
const READ_BYTES: usize = 1500;
/// The most batches that are read in one tick, so that reading never delays sending.
const READS_A_TICK: usize = 4;

/// A packet that is about to be sent.
struct Outgoing {
    place: Place,
    header: [u8; HEADER_BYTES],
    audio: &'static [u8],
}

pub(super) struct Wheel<'a> {
    pairs: &'a [Pair],
    events: &'a OnMediaEvents,
    streams: Vec<Option<Stream>>,
    free: Vec<Place>,
    playing: usize,
    slots: [Vec<Place>; SLOTS],
    receptions: Vec<Reception>,
    by_ssrc: HashMap<u32, Place>,
    orders: Vec<Order>,
    ended: Vec<Place>,
    outgoing: Vec<Outgoing>,
    addresses: Vec<Option<SockaddrStorage>>,
    news: Vec<MediaEvent>,
    report: Vec<u8>,
    sender: Sender,
    receiver: Receiver,
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
}

impl<'a> Wheel<'a> {
    pub fn new(pairs: &'a [Pair], events: &'a OnMediaEvents, seed: u64) -> Wheel<'a> {
        let mut random = StdRng::seed_from_u64(seed);
        let cname = format!("nexo-{:016x}", random.random::<u64>());
        Wheel {
            pairs,
            events,
            streams: Vec::new(),
            free: Vec::new(),
            playing: 0,
            slots: std::array::from_fn(|_| Vec::new()),
            receptions: pairs.iter().map(|_| Reception::default()).collect(),
            by_ssrc: HashMap::new(),
            orders: Vec::new(),
            ended: Vec::new(),
            outgoing: Vec::with_capacity(BATCH),
            addresses: Vec::with_capacity(BATCH),
            news: Vec::new(),
            report: Vec::with_capacity(128),
            sender: Sender::default(),
            receiver: Receiver::new(READ_BYTES),
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
            },
        }
    }

    /// The streams that play.
    pub fn streams(&self) -> impl Iterator<Item = StreamId> {
        self.streams.iter().flatten().map(|stream| stream.id)
    }

    /// Runs until the mailbox is closed. Sleeps, without a single wake-up, while nothing plays.
    pub fn run(&mut self, mailbox: &Mailbox) {
        while !mailbox.is_closed() {
            if self.playing == 0 {
                mailbox.sleep();
                (self.base, self.tick) = (Instant::now(), 0);
            }
            let mut orders = std::mem::take(&mut self.orders);
            mailbox.take(&mut orders);
            for order in orders.drain(..) {
                self.obey(order);
            }
            self.orders = orders;
            self.turn(Instant::now());
            if !self.news.is_empty() {
                (self.events)(&self.news);
                self.news.clear();
            }
            if self.playing > 0 {
                thread::park_timeout(self.next_due().saturating_duration_since(Instant::now()));
            }
        }
        for place in 0..self.streams.len() as Place {
            self.end(place);
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Play {
                socket,
                play,
                shared,
            } => self.start(socket, play, shared),
            #[cfg(test)]
            Order::Panic => panic!("provoked by a test"),
        }
    }

    fn start(&mut self, socket: usize, play: Play, shared: Arc<Shared>) {
        let start = Start {
            ssrc: self.fresh_ssrc(),
            sequence: self.random.random(),
            timestamp: self.random.random(),
        };
        let stream = Stream::new(play, shared, start, socket, self.pairs[socket].is_v6);
        let place = self.free.pop().unwrap_or_else(|| {
            self.streams.push(None);
            self.streams.len() as Place - 1
        });
        self.receptions[socket].expect(place, stream.expected);
        self.by_ssrc.insert(start.ssrc, place);
        self.streams[place as usize] = Some(stream);
        let slots = (socket..SLOTS).step_by(self.pairs.len());
        // There are no more sockets than slots.
        let slot = slots.min_by_key(|slot| self.slots[*slot].len());
        self.slots[slot.unwrap_or(0)].push(place);
        self.playing += 1;
    }

    fn fresh_ssrc(&mut self) -> u32 {
        loop {
            let ssrc = self.random.random();
            if !self.by_ssrc.contains_key(&ssrc) {
                return ssrc;
            }
        }
    }

    /// Runs every tick that is due.
    fn turn(&mut self, now: Instant) {
        let lag = now.saturating_duration_since(self.time_of(self.tick));
        if lag > LONGEST_LAG {
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
                if lag > LATE_AFTER {
                    self.meters.late.increment(1);
                }
                self.serve(slot);
            }
            self.tick += 1;
            self.rebase();
        }
    }

    /// Keeps the tick's number small, without moving the schedule.
    fn rebase(&mut self) {
        const HOUR: u32 = 3_600_000;
        if self.tick == HOUR {
            (self.base, self.tick) = (self.time_of(HOUR), 0);
        }
    }

    fn time_of(&self, tick: u32) -> Instant {
        self.base + SLOT * tick
    }

    /// When something is to be sent next.
    fn next_due(&self) -> Instant {
        let busy = (self.tick..self.tick + SLOTS as u32)
            .find(|tick| !self.slots[*tick as usize % SLOTS].is_empty());
        self.time_of(busy.unwrap_or(self.tick))
    }

    /// One tick: each of the slot's streams sends its frame, and its socket is read.
    fn serve(&mut self, slot: usize) {
        let socket = slot % self.pairs.len();
        for at in 0..self.slots[slot].len() {
            self.serve_stream(socket, self.slots[slot][at]);
            if self.outgoing.len() == BATCH {
                self.send_batch(socket);
            }
        }
        self.send_batch(socket);
        if !self.ended.is_empty() {
            let mut ended = std::mem::take(&mut self.ended);
            self.slots[slot].retain(|place| !ended.contains(place));
            for place in ended.drain(..) {
                self.end(place);
            }
            self.ended = ended;
        }
        self.read_rtp(socket);
        self.read_rtcp(socket);
    }

    fn serve_stream(&mut self, socket: usize, place: Place) {
        let Some(stream) = &mut self.streams[place as usize] else {
            return;
        };
        if stream.shared.stopped.load(Ordering::Acquire) {
            self.ended.push(place);
            return;
        }
        let Some(next) = stream.next() else {
            self.news.push(MediaEvent::Finished { stream: stream.id });
            self.ended.push(place);
            return;
        };
        if let Some(mark) = next.mark {
            let stream = stream.id;
            self.news.push(MediaEvent::Marked { stream, mark });
        }
        self.outgoing.push(Outgoing {
            place,
            header: next.header,
            audio: next.audio,
        });
        self.addresses.push(Some(stream.to));
        if stream.is_report_due(|| self.random.random())
            && stream
                .write_report(&self.cname, false, &mut self.report)
                .is_some()
        {
            // A report that is lost is followed by another.
            let _ = self.pairs[socket]
                .rtcp
                .send_to(&self.report, stream.to_rtcp);
        }
    }

    fn send_batch(&mut self, socket: usize) {
        let packets = &self.outgoing;
        if packets.is_empty() {
            return;
        }
        let slices: [[IoSlice<'_>; 2]; BATCH] = std::array::from_fn(|n| match packets.get(n) {
            Some(packet) => [IoSlice::new(&packet.header), IoSlice::new(packet.audio)],
            None => [IoSlice::new(&[]); 2],
        });
        let (streams, news, ended) = (&mut self.streams, &mut self.news, &mut self.ended);
        let mut failed = 0;
        self.sender.send(
            &self.pairs[socket].rtp,
            &slices[..packets.len()],
            &self.addresses,
            |n, _| {
                failed += 1;
                let place = packets[n].place;
                if let Some(stream) = &mut streams[place as usize]
                    && stream.failed()
                {
                    news.push(MediaEvent::Lost { stream: stream.id });
                    ended.push(place);
                }
            },
        );
        self.meters.sent.increment(packets.len() as u64 - failed);
        self.meters.failed.increment(failed);
        self.outgoing.clear();
        self.addresses.clear();
    }

    /// The stream is over: takes leave of the far end and forgets it.
    fn end(&mut self, place: Place) {
        let Some(stream) = self.streams[place as usize].take() else {
            return;
        };
        let socket = stream.socket;
        if stream
            .write_report(&self.cname, true, &mut self.report)
            .is_some()
        {
            // The far end may be gone already.
            let _ = self.pairs[socket]
                .rtcp
                .send_to(&self.report, stream.to_rtcp);
        }
        self.receptions[socket].forget(place, stream.expected);
        self.by_ssrc.remove(&stream.ssrc());
        self.free.push(place);
        self.playing -= 1;
    }

    fn read_rtp(&mut self, socket: usize) {
        for _ in 0..READS_A_TICK {
            let taken = self.receiver.receive(&self.pairs[socket].rtp);
            let mut known = 0;
            for (datagram, from) in self.receiver.datagrams() {
                let belongs = packet::parse(datagram)
                    .and_then(|(header, _)| self.receptions[socket].take(from, header.ssrc));
                let Some(belongs) = belongs else { continue };
                let Some(stream) = &mut self.streams[belongs.place as usize] else {
                    continue;
                };
                known += 1;
                stream.received();
                if let Some(to) = belongs.redirect {
                    stream.redirect(to, self.pairs[socket].is_v6);
                }
            }
            self.meters.received.increment(known);
            self.meters.dropped.increment(taken as u64 - known);
            if taken < BATCH {
                break;
            }
        }
    }

    fn read_rtcp(&mut self, socket: usize) {
        self.receiver.receive(&self.pairs[socket].rtcp);
        for (datagram, from) in self.receiver.datagrams() {
            for block in rtcp::report_blocks(datagram) {
                let place = self.by_ssrc.get(&block.ssrc);
                let stream = place.and_then(|place| self.streams[*place as usize].as_ref());
                if let Some(stream) = stream.filter(|stream| stream.expected.may_be(from.ip())) {
                    stream.reported(block);
                }
            }
        }
    }
}
