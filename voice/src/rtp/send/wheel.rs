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

use metrics::{Counter, Histogram};
use nix::sys::socket::SockaddrStorage;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::clock::{Mailbox, MediaEvent, Moved, OnMediaEvents, Order, Play, StreamId};
use super::ports::Pair;
use super::stream::{MOST_FRAMES, Shared, Start, Stream, Turn};
use crate::net::udp::{BATCH, Receiver, Sender};
use crate::rtp::receive::demultiplexer::{Place, Reception};
use crate::rtp::wire::packet;
use crate::rtp::wire::packet::HEADER_BYTES;
use crate::rtp::wire::rtcp;
use crate::rtp::wire::rtcp::News;

/// The slots that a frame's time is cut into.
pub(in crate::rtp) const SLOTS: usize = 20;
const SLOT: Duration = Duration::from_millis(1);
/// A tick is late when it comes so much after its time.
const LATE_AFTER: Duration = Duration::from_millis(5);
const LONGEST_LAG: Duration = Duration::from_millis(100);
const FRAME_TIME: Duration = Duration::from_millis(20);
/// Of what is received so much is read: more than any frame of G.711 or compound report.
const READ_BYTES: usize = 1500;
/// A protected packet of three frames.
const SEALED_BYTES: usize = 600;
/// The most batches that are read in one tick, so that reading never delays sending.
const READS_A_TICK: usize = 4;

/// A packet that is about to be sent.
struct Outgoing {
    place: Place,
    header: [u8; HEADER_BYTES],
    audio: [&'static [u8]; MOST_FRAMES],
    /// Where it is protected: its place among what was sealed in this batch.
    sealed: Option<usize>,
}

pub(in crate::rtp) struct Wheel<'a> {
    pairs: &'a [Pair],
    events: &'a OnMediaEvents,
    streams: Vec<Option<Stream>>,
    free: Vec<Place>,
    playing: usize,
    slots: [Vec<Place>; SLOTS],
    receptions: Vec<Reception>,
    by_ssrc: HashMap<u32, Place>,
    by_id: HashMap<StreamId, Place>,
    orders: Vec<Order>,
    ended: Vec<Place>,
    outgoing: Vec<Outgoing>,
    addresses: Vec<Option<SockaddrStorage>>,
    /// Protected packets of the batch, and how many of them are in use.
    sealed: Vec<Vec<u8>>,
    sealed_now: usize,
    news: Vec<MediaEvent>,
    report: Vec<u8>,
    sender: Sender,
    receiver: Receiver,
    /// Any fixed time, for the arrival of packets.
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
            by_id: HashMap::new(),
            orders: Vec::new(),
            ended: Vec::new(),
            outgoing: Vec::with_capacity(BATCH),
            addresses: Vec::with_capacity(BATCH),
            sealed: Vec::new(),
            sealed_now: 0,
            news: Vec::new(),
            report: Vec::with_capacity(128),
            sender: Sender::default(),
            receiver: Receiver::new(READ_BYTES),
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
            } => self.start(socket, *play, shared),
            // It may have ended meanwhile.
            Order::Say { stream, script } => {
                if let Some(stream) = self.stream_mut(stream) {
                    stream.say(script);
                }
            }
            Order::Move { stream, moved } => self.move_stream(stream, &moved),
            #[cfg(test)]
            Order::Panic => panic!("provoked by a test"),
        }
    }

    fn stream_mut(&mut self, stream: StreamId) -> Option<&mut Stream> {
        let place = self.by_id.get(&stream)?;
        self.streams[*place as usize].as_mut()
    }

    fn move_stream(&mut self, stream: StreamId, moved: &Moved) {
        let Some(place) = self.by_id.get(&stream).copied() else {
            return;
        };
        let Some(stream) = &mut self.streams[place as usize] else {
            return;
        };
        let (socket, before) = (stream.socket, stream.expected);
        stream.moved(moved, self.pairs[socket].is_v6);
        let reception = &mut self.receptions[socket];
        if before.announced != stream.expected.announced {
            reception.forget(place, before);
            reception.expect(place, stream.expected);
        }
    }

    fn start(&mut self, socket: usize, play: Play, shared: Arc<Shared>) {
        let start = Start {
            ssrc: self.fresh_ssrc(),
            // Below 2^15, so that one who misses the first protected packets still counts the wraps
            // right (RFC 3711 §3.3.1).
            sequence: self.random.random::<u16>() >> 1,
            timestamp: self.random.random(),
        };
        let stream = Stream::new(play, shared, start, socket, self.pairs[socket].is_v6);
        let place = self.free.pop().unwrap_or_else(|| {
            self.streams.push(None);
            self.streams.len() as Place - 1
        });
        self.receptions[socket].expect(place, stream.expected);
        self.by_ssrc.insert(start.ssrc, place);
        self.by_id.insert(stream.id, place);
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
                self.meters.lateness.record(lag);
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
        let next = match stream.turn() {
            Turn::Send(next) => next,
            Turn::Wait if stream.is_deserted() => {
                self.news.push(MediaEvent::Lost { stream: stream.id });
                self.ended.push(place);
                return;
            }
            Turn::Wait => return,
            Turn::Over => {
                self.news.push(MediaEvent::Finished { stream: stream.id });
                self.ended.push(place);
                return;
            }
        };
        if stream.is_deserted() {
            self.news.push(MediaEvent::Lost { stream: stream.id });
            self.ended.push(place);
            return;
        }
        for mark in next.marks.into_iter().flatten() {
            let stream = stream.id;
            self.news.push(MediaEvent::Marked { stream, mark });
        }
        let mut sealed = None;
        if let Some(seal) = &mut stream.seal {
            if self.sealed.len() == self.sealed_now {
                self.sealed.push(Vec::with_capacity(SEALED_BYTES));
            }
            let packet = &mut self.sealed[self.sealed_now];
            if seal.seal_rtp(&next.header, &next.audio, packet).is_none() {
                self.news.push(MediaEvent::Lost { stream: stream.id });
                self.ended.push(place);
                return;
            }
            sealed = Some(self.sealed_now);
            self.sealed_now += 1;
        }
        self.outgoing.push(Outgoing {
            place,
            header: next.header,
            audio: next.audio,
            sealed,
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
        let sealed = &self.sealed;
        const SLICES: usize = 1 + MOST_FRAMES;
        let slices: [[IoSlice<'_>; SLICES]; BATCH] = std::array::from_fn(|n| {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let Some(packet) = packets.get(n) else {
                return slices;
            };
            match packet.sealed {
                Some(at) => slices[0] = IoSlice::new(&sealed[at]),
                None => {
                    slices[0] = IoSlice::new(&packet.header);
                    for (slice, audio) in slices[1..].iter_mut().zip(packet.audio) {
                        *slice = IoSlice::new(audio);
                    }
                }
            }
            slices
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
        self.sealed_now = 0;
    }

    /// The stream is over: takes leave of the far end and forgets it.
    fn end(&mut self, place: Place) {
        let Some(mut stream) = self.streams[place as usize].take() else {
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
        self.by_id.remove(&stream.id);
        self.free.push(place);
        self.playing -= 1;
    }

    fn read_rtp(&mut self, socket: usize) {
        for _ in 0..READS_A_TICK {
            let taken = self.receiver.receive(&self.pairs[socket].rtp);
            let now = Instant::now();
            let mut known = 0;
            for (datagram, from) in self.receiver.datagrams() {
                let belongs = packet::parse(datagram)
                    .and_then(|(header, _)| self.receptions[socket].take(from, header.ssrc));
                let Some(belongs) = belongs else { continue };
                let Some(stream) = &mut self.streams[belongs.place as usize] else {
                    continue;
                };
                let mut seal = stream.seal.take();
                let plain = match &mut seal {
                    Some(seal) => seal.open_rtp(datagram),
                    None => Some(datagram),
                };
                let key = plain.and_then(packet::parse).map(|(header, payload)| {
                    known += 1;
                    stream.received(&header, payload, now, self.epoch)
                });
                stream.seal = seal;
                if let Some(to) = belongs.redirect.filter(|_| key.is_some()) {
                    stream.redirect(to, self.pairs[socket].is_v6);
                }
                if let Some(key) = key.flatten() {
                    let stream = stream.id;
                    self.news.push(MediaEvent::Pressed { stream, key });
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
            // Protected reports hide what they are about: whose they are is known by their source.
            let sealed = self.slots.iter().flatten().find(|place| {
                let stream = self.streams[**place as usize].as_ref();
                stream.is_some_and(|stream| {
                    stream.socket == socket && stream.seal.is_some() && stream.reports_from(from)
                })
            });
            let mut opened = None;
            if let Some(place) = sealed.copied()
                && let Some(stream) = &mut self.streams[place as usize]
                && let Some(seal) = &mut stream.seal
            {
                opened = Some(seal.open_rtcp(datagram).map(<[u8]>::to_vec));
            }
            let plain = match &opened {
                Some(Some(plain)) => plain.as_slice(),
                // It is forged, or late.
                Some(None) => continue,
                None => datagram,
            };
            let mut about = None;
            for news in rtcp::read(plain) {
                let News::Block(block) = news else { continue };
                let Some(place) = self.by_ssrc.get(&block.ssrc).copied() else {
                    continue;
                };
                let stream = self.streams[place as usize].as_mut();
                let stream = stream.filter(|stream| {
                    let is_open = opened.is_some() || stream.seal.is_none();
                    is_open && stream.expected.may_be(from.ip())
                });
                if let Some(stream) = stream {
                    stream.reported(block);
                    about = Some(place);
                }
            }
            let stream = about.and_then(|place| self.streams[place as usize].as_mut());
            if let Some(stream) = stream {
                let now = Instant::now();
                for news in rtcp::read(plain) {
                    if let News::Sender { ssrc, ntp_middle } = news {
                        stream.ears.reported(ssrc, ntp_middle, now);
                    }
                }
            }
        }
    }
}
