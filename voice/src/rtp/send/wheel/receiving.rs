//! The receiving side of the wheel: reads the RTP and RTCP of a socket and hands it to the streams.

use std::time::Instant;

use super::Wheel;
use crate::net::udp::MAX_BATCH;
use crate::rtp::send::media_event::MediaEvent;
use crate::rtp::wire::packet;
use crate::rtp::wire::rtcp;
use crate::rtp::wire::rtcp::RtcpItem;

/// The most batches read in one tick, so that reading never delays sending.
const MAX_READS_PER_TICK: usize = 4;

impl Wheel<'_> {
    pub(super) fn read_rtp(&mut self, socket: usize) {
        for _ in 0..MAX_READS_PER_TICK {
            let taken = self.receiver.receive(&self.sockets[socket].rtp);
            let now = Instant::now();
            let mut known = 0;
            for (datagram, from) in self.receiver.datagrams() {
                let route = packet::parse(datagram)
                    .and_then(|(header, _)| self.demultiplexers[socket].route(from, header.ssrc));
                let Some(route) = route else { continue };
                let Some(stream) = &mut self.streams[route.stream as usize] else {
                    continue;
                };
                let mut srtp = stream.srtp.take();
                let plain = match &mut srtp {
                    Some(srtp) => srtp.unprotect_rtp(datagram),
                    None => Some(datagram),
                };
                let key = plain.and_then(packet::parse).map(|(header, payload)| {
                    known += 1;
                    stream.receive(&header, payload, now, self.epoch)
                });
                stream.srtp = srtp;
                if let Some(to) = route.redirect.filter(|_| key.is_some()) {
                    stream.redirect(to, self.sockets[socket].is_v6);
                }
                if let Some(key) = key.flatten() {
                    let stream = stream.id;
                    self.events.push(MediaEvent::DtmfReceived { stream, key });
                }
            }
            self.meters.received.increment(known);
            self.meters.dropped.increment(taken as u64 - known);
            if taken < MAX_BATCH {
                break;
            }
        }
    }

    pub(super) fn read_rtcp(&mut self, socket: usize) {
        self.receiver.receive(&self.sockets[socket].rtcp);
        for (datagram, from) in self.receiver.datagrams() {
            // A protected report does not show which stream it is about: that is known by its source.
            let protected = self.slots.iter().flatten().find(|index| {
                let stream = self.streams[**index as usize].as_ref();
                stream.is_some_and(|stream| {
                    stream.socket == socket && stream.srtp.is_some() && stream.is_rtcp_source(from)
                })
            });
            let mut decrypted = None;
            if let Some(index) = protected.copied()
                && let Some(stream) = &mut self.streams[index as usize]
                && let Some(srtp) = &mut stream.srtp
            {
                // A forged or replayed report is dropped.
                let Some(plain) = srtp.unprotect_rtcp(datagram) else {
                    continue;
                };
                decrypted = Some(plain.to_vec());
            }
            let was_protected = decrypted.is_some();
            let items = rtcp::parse(decrypted.as_deref().unwrap_or(datagram));
            let mut reported = None;
            for item in &items {
                let RtcpItem::Block(block) = item else {
                    continue;
                };
                let Some(index) = self.by_ssrc.get(&block.ssrc).copied() else {
                    continue;
                };
                if let Some(stream) = self.streams[index as usize].as_mut()
                    && (was_protected || stream.srtp.is_none())
                    && stream.expected.allows(from.ip())
                {
                    stream.handle_report(*block);
                    reported = Some(index);
                }
            }
            let stream = reported.and_then(|index| self.streams[index as usize].as_mut());
            if let Some(stream) = stream {
                let now = Instant::now();
                for item in items {
                    if let RtcpItem::SenderTime { ssrc, ntp_middle } = item {
                        stream.receiver.record_sender_time(ssrc, ntp_middle, now);
                    }
                }
            }
        }
    }
}
