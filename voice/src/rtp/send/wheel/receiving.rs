//! The receiving side of the wheel: reads the RTP and RTCP of a socket and hands it to the streams.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use super::Wheel;
use crate::net::udp::MAX_BATCH;
use crate::rtp::receive::demultiplexer::{Demultiplexer, StreamIndex};
use crate::rtp::send::media_event::MediaEvent;
use crate::rtp::send::stream::{Reception, Stream};
use crate::rtp::wire::packet;
use crate::rtp::wire::rtcp;
use crate::rtp::wire::rtcp::RtcpItem;

/// More batches than a socket's buffer holds.
const MAX_QUEUED_BATCHES: usize = 256;
/// How many streams with one far-end address a protected packet is tried for.
const MAX_STREAMS_TRIED: usize = 4;

impl Wheel<'_> {
    /// Reads all that a socket has received so far, for its present streams.
    pub(super) fn read_queued(&mut self, socket: usize) {
        self.read_refusals(socket);
        self.read_rtp(socket, MAX_QUEUED_BATCHES);
        self.read_rtcp(socket, MAX_QUEUED_BATCHES);
    }

    /// Reads which hosts have refused packets of a socket. It also keeps the next call on the socket from
    /// returning their errors.
    pub(super) fn read_refusals(&mut self, socket: usize) {
        let demultiplexer = &self.demultiplexers[socket];
        let streams = &mut self.streams;
        self.refusals.read(&self.sockets[socket].rtp, |destination| {
            for index in demultiplexer.announced_at(destination) {
                if let Some(stream) = &mut streams[index as usize] {
                    stream.record_refusal();
                }
            }
        });
    }

    pub(super) fn read_rtp(&mut self, socket: usize, max_batches: usize) {
        for _ in 0..max_batches {
            let taken = self.receiver.receive(&self.sockets[socket].rtp);
            let mut incoming = Incoming {
                streams: &mut self.streams,
                demultiplexer: &mut self.demultiplexers[socket],
                by_ssrc: &self.by_ssrc,
                events: &mut self.events,
                socket_is_v6: self.sockets[socket].is_v6,
                epoch: self.epoch,
                now: Instant::now(),
            };
            let mut counted = 0;
            for (datagram, from) in self.receiver.datagrams() {
                counted += u64::from(incoming.handle_rtp(datagram, from));
            }
            self.meters.received.increment(counted);
            self.meters.dropped.increment(taken as u64 - counted);
            if taken < MAX_BATCH {
                break;
            }
        }
    }

    pub(super) fn read_rtcp(&mut self, socket: usize, max_batches: usize) {
        for _ in 0..max_batches {
            let taken = self.receiver.receive(&self.sockets[socket].rtcp);
            let mut incoming = Incoming {
                streams: &mut self.streams,
                demultiplexer: &mut self.demultiplexers[socket],
                by_ssrc: &self.by_ssrc,
                events: &mut self.events,
                socket_is_v6: self.sockets[socket].is_v6,
                epoch: self.epoch,
                now: Instant::now(),
            };
            for (datagram, from) in self.receiver.datagrams() {
                incoming.handle_rtcp(datagram, from);
            }
            if taken < MAX_BATCH {
                break;
            }
        }
    }
}

/// What is needed to handle the packets of one socket.
struct Incoming<'w> {
    streams: &'w mut [Option<Stream>],
    demultiplexer: &'w mut Demultiplexer,
    by_ssrc: &'w HashMap<u32, StreamIndex>,
    events: &'w mut Vec<MediaEvent>,
    socket_is_v6: bool,
    epoch: Instant,
    now: Instant,
}

impl Incoming<'_> {
    /// Handles a datagram of the RTP port. Returns whether it counts.
    fn handle_rtp(&mut self, datagram: &[u8], from: SocketAddr) -> bool {
        let Some(header) = packet::parse_header(datagram) else {
            return false;
        };
        for nth in 0..MAX_STREAMS_TRIED {
            let Some(index) = self.demultiplexer.find(from, header.ssrc, nth) else {
                return false;
            };
            let Some(stream) = &mut self.streams[index as usize] else {
                return false;
            };
            let signal = match stream.receive(datagram, from, self.now, self.epoch) {
                Reception::Invalid => continue,
                Reception::Ignored => return false,
                Reception::Counted(signal) => signal,
                Reception::CountedFromNewSource(signal) => {
                    stream.set_destinations(self.socket_is_v6);
                    self.demultiplexer.set_source(index, &stream.source);
                    signal
                }
            };
            if let Some(signal) = signal {
                let stream = stream.id;
                self.events.push(MediaEvent::DtmfReceived { stream, signal });
            }
            return true;
        }
        false
    }

    /// Handles a datagram of the RTCP port.
    fn handle_rtcp(&mut self, datagram: &[u8], from: SocketAddr) {
        let Some(sender_ssrc) = rtcp::sender_ssrc(datagram) else {
            return;
        };
        for nth in 0..MAX_STREAMS_TRIED {
            let Some(index) = self.demultiplexer.find_rtcp(from, sender_ssrc, nth) else {
                break;
            };
            let Some(stream) = &mut self.streams[index as usize] else {
                break;
            };
            if !stream.source.counts_rtcp(from, sender_ssrc) {
                continue;
            }
            let mut srtp = stream.srtp.take();
            let is_authentic = srtp.as_mut().is_some_and(|srtp| {
                let plain = srtp.unprotect_rtcp(datagram);
                plain.map(|plain| handle_items(stream, plain, self.now)).is_some()
            });
            stream.srtp = srtp;
            if is_authentic {
                return;
            }
        }
        self.handle_plain_rtcp(datagram, from, sender_ssrc);
    }

    /// Handles reports about unprotected streams. They name the stream by our SSRC.
    fn handle_plain_rtcp(&mut self, datagram: &[u8], from: SocketAddr, sender_ssrc: u32) {
        for item in rtcp::parse(datagram) {
            let RtcpItem::Block(block) = item else {
                continue;
            };
            let index = self.by_ssrc.get(&block.ssrc).copied();
            let stream = index.and_then(|index| self.streams[index as usize].as_mut());
            if let Some(stream) = stream
                && stream.srtp.is_none()
                && stream.source.counts_rtcp(from, sender_ssrc)
            {
                return handle_items(stream, datagram, self.now);
            }
        }
    }
}

/// Handles a report of the stream's far end.
fn handle_items(stream: &mut Stream, report: &[u8], now: Instant) {
    for item in rtcp::parse(report) {
        match item {
            RtcpItem::Block(block) if block.ssrc == stream.ssrc() => stream.handle_report(block),
            // The report is about a stream of another call.
            RtcpItem::Block(_) => {}
            RtcpItem::SenderTime { ssrc, ntp_middle } => {
                stream.receiver.record_sender_time(ssrc, ntp_middle, now);
            }
        }
    }
}
