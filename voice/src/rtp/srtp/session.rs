//! A stream's protection (RFC 3711) both ways, where its call agreed on keys.

use super::{MasterKey, Receiver, Sender};
use crate::rtp::wire::packet::HEADER_BYTES;

/// The keys of one call's audio: each party makes that of what it sends (RFC 4568).
#[derive(Clone, Debug)]
pub struct Keys {
    pub ours: MasterKey,
    pub theirs: MasterKey,
}

/// What protects and reads one stream.
#[derive(Debug)]
pub(in crate::rtp) struct Seal {
    sender: Sender,
    receiver: Receiver,
    /// The packet that is being read.
    opened: Vec<u8>,
}

impl Seal {
    pub fn new(keys: &Keys) -> Seal {
        Seal {
            sender: Sender::new(&keys.ours),
            receiver: Receiver::new(&keys.theirs),
            opened: Vec::with_capacity(256),
        }
    }

    /// The far end sends with another key from now on.
    pub fn replace_theirs(&mut self, theirs: &MasterKey) {
        self.receiver = Receiver::new(theirs);
    }

    /// Writes the protected packet to `sealed`. `None`: the key is used up.
    pub fn seal_rtp(
        &mut self,
        header: &[u8; HEADER_BYTES],
        audio: &[&[u8]],
        sealed: &mut Vec<u8>,
    ) -> Option<()> {
        sealed.clear();
        sealed.extend_from_slice(header);
        for part in audio {
            sealed.extend_from_slice(part);
        }
        self.sender.protect_rtp(sealed).ok()
    }

    /// Protects a compound packet in place. `None`: the key is used up.
    pub fn seal_rtcp(&mut self, packet: &mut Vec<u8>) -> Option<()> {
        self.sender.protect_rtcp(packet).ok()
    }

    /// The RTP packet that a protected one was; `None` where it is forged, repeated or plain.
    pub fn open_rtp(&mut self, datagram: &[u8]) -> Option<&[u8]> {
        self.opened.clear();
        self.opened.extend_from_slice(datagram);
        self.receiver.unprotect_rtp(&mut self.opened).ok()?;
        Some(&self.opened)
    }

    /// The same of RTCP.
    pub fn open_rtcp(&mut self, datagram: &[u8]) -> Option<&[u8]> {
        self.opened.clear();
        self.opened.extend_from_slice(datagram);
        self.receiver.unprotect_rtcp(&mut self.opened).ok()?;
        Some(&self.opened)
    }
}
