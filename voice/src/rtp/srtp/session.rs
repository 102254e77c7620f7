//! Protects and unprotects the packets of one stream (RFC 3711).

use super::{MasterKey, Receiver, Sender};
use crate::rtp::wire::packet::HEADER_BYTES;

/// The keys of one call's audio: each party generates the key of what it sends (RFC 4568).
#[derive(Clone, Debug)]
pub struct SrtpKeys {
    pub ours: MasterKey,
    pub theirs: MasterKey,
}

/// The SRTP state of one stream, in both directions.
#[derive(Debug)]
pub(in crate::rtp) struct SrtpSession {
    sender: Sender,
    receiver: Receiver,
    their_key: MasterKey,
    /// The received packet that is being decrypted.
    buffer: Vec<u8>,
}

impl SrtpSession {
    pub fn new(keys: &SrtpKeys) -> SrtpSession {
        SrtpSession {
            sender: Sender::new(&keys.ours),
            receiver: Receiver::new(&keys.theirs),
            their_key: keys.theirs.clone(),
            buffer: Vec::with_capacity(256),
        }
    }

    /// Replaces the key of the far end. The same key keeps its state: without it, old packets could
    /// be replayed.
    pub fn replace_their_key(&mut self, their_key: &MasterKey) {
        if self.their_key != *their_key {
            self.receiver = Receiver::new(their_key);
            self.their_key = their_key.clone();
        }
    }

    /// Writes the protected packet to `protected`. `None`: the key is used up.
    pub fn protect_rtp(
        &mut self,
        header: &[u8; HEADER_BYTES],
        audio: &[&[u8]],
        protected: &mut Vec<u8>,
    ) -> Option<()> {
        protected.clear();
        protected.extend_from_slice(header);
        for part in audio {
            protected.extend_from_slice(part);
        }
        self.sender.protect_rtp(protected).ok()
    }

    /// Protects a compound packet in place. `None`: the key is used up.
    pub fn protect_rtcp(&mut self, packet: &mut Vec<u8>) -> Option<()> {
        self.sender.protect_rtcp(packet).ok()
    }

    /// Returns the decrypted RTP packet. `None` if it is forged, replayed or unprotected.
    pub fn unprotect_rtp(&mut self, datagram: &[u8]) -> Option<&[u8]> {
        self.buffer.clear();
        self.buffer.extend_from_slice(datagram);
        self.receiver.unprotect_rtp(&mut self.buffer).ok()?;
        Some(&self.buffer)
    }

    /// Like [`SrtpSession::unprotect_rtp`], for RTCP.
    pub fn unprotect_rtcp(&mut self, datagram: &[u8]) -> Option<&[u8]> {
        self.buffer.clear();
        self.buffer.extend_from_slice(datagram);
        self.receiver.unprotect_rtcp(&mut self.buffer).ok()?;
        Some(&self.buffer)
    }
}
