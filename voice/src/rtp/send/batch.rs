//! The packets that are sent to one socket with one system call.

use std::io::IoSlice;
use std::net::UdpSocket;

use nix::sys::socket::SockaddrStorage;

use super::stream::{MAX_FRAMES_PER_PACKET, OutgoingPacket};
use crate::net::udp::{MAX_BATCH, Sender};
use crate::rtp::receive::demultiplexer::StreamIndex;
use crate::rtp::srtp::session::SrtpSession;
use crate::rtp::wire::packet::HEADER_BYTES;

/// Capacity of a buffer for a protected packet: three frames, header and tag.
const PROTECTED_BYTES: usize = 600;
/// The header and each frame, or one protected packet.
const SLICES: usize = 1 + MAX_FRAMES_PER_PACKET;

struct QueuedPacket {
    stream: StreamIndex,
    header: [u8; HEADER_BYTES],
    audio: [&'static [u8]; MAX_FRAMES_PER_PACKET],
    /// The index of its protected form, if its stream is protected.
    protected: Option<usize>,
}

/// How many packets of a batch the kernel accepted and rejected.
#[derive(Clone, Copy, Default)]
pub(super) struct SendCounts {
    pub sent: u64,
    pub failed: u64,
}

/// At most [`MAX_BATCH`] packets.
pub(super) struct Batch {
    packets: Vec<QueuedPacket>,
    addresses: Vec<Option<SockaddrStorage>>,
    /// Buffers that are kept for reuse; the first `protected_count` hold packets of this batch.
    protected: Vec<Vec<u8>>,
    protected_count: usize,
    sender: Sender,
}

impl Batch {
    pub fn new() -> Batch {
        Batch {
            packets: Vec::with_capacity(MAX_BATCH),
            addresses: Vec::with_capacity(MAX_BATCH),
            protected: Vec::new(),
            protected_count: 0,
            sender: Sender::default(),
        }
    }

    pub fn is_full(&self) -> bool {
        self.packets.len() == MAX_BATCH
    }

    /// Queues a packet, protected by `session` if there is one. `None`: the session's key is used up.
    pub fn push(
        &mut self,
        stream: StreamIndex,
        packet: &OutgoingPacket,
        destination: SockaddrStorage,
        session: Option<&mut SrtpSession>,
    ) -> Option<()> {
        let mut protected = None;
        if let Some(session) = session {
            if self.protected.len() == self.protected_count {
                self.protected.push(Vec::with_capacity(PROTECTED_BYTES));
            }
            let buffer = &mut self.protected[self.protected_count];
            session.protect_rtp(&packet.header, &packet.audio, buffer)?;
            protected = Some(self.protected_count);
            self.protected_count += 1;
        }
        self.packets.push(QueuedPacket {
            stream,
            header: packet.header,
            audio: packet.audio,
            protected,
        });
        self.addresses.push(Some(destination));
        Some(())
    }

    /// Sends all queued packets and empties the batch. Calls `on_failure` with the stream of each packet
    /// that the kernel rejects.
    pub fn send(
        &mut self,
        socket: &UdpSocket,
        mut on_failure: impl FnMut(StreamIndex),
    ) -> SendCounts {
        let (packets, protected) = (&self.packets, &self.protected);
        if packets.is_empty() {
            return SendCounts::default();
        }
        let slices: [[IoSlice<'_>; SLICES]; MAX_BATCH] = std::array::from_fn(|n| {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let Some(packet) = packets.get(n) else {
                return slices;
            };
            match packet.protected {
                Some(at) => slices[0] = IoSlice::new(&protected[at]),
                None => {
                    slices[0] = IoSlice::new(&packet.header);
                    for (slice, audio) in slices[1..].iter_mut().zip(packet.audio) {
                        *slice = IoSlice::new(audio);
                    }
                }
            }
            slices
        });
        let mut failed = 0;
        self.sender.send(socket, &slices[..packets.len()], &self.addresses, |n, _| {
            failed += 1;
            on_failure(packets[n].stream);
        });
        let sent = packets.len() as u64 - failed;
        self.packets.clear();
        self.addresses.clear();
        self.protected_count = 0;
        SendCounts { sent, failed }
    }
}
