//! What the owner of a stream gives the media clock: the stream's parameters, and changes to them.

use std::net::{IpAddr, SocketAddr};

use crate::audio::g711::Format;
use crate::rtp::srtp::MasterKey;
use crate::rtp::srtp::session::SrtpKeys;
use crate::rtp::wire::telephone_event::EventTypes;
use crate::speech::prompts::Script;

/// Identifies one outgoing stream, and the socket that it was given.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct StreamId(u64);

impl StreamId {
    pub(super) fn new(number: u64, socket: usize) -> StreamId {
        StreamId(number << 8 | socket as u64)
    }

    pub(super) fn socket(self) -> usize {
        (self.0 & 0xff) as usize
    }
}

/// The parameters of a stream. Deliberately without `Debug`: the script spells the code.
pub struct StreamConfig {
    pub stream: StreamId,
    /// The RTP address that the far end announced.
    pub remote: SocketAddr,
    pub remote_rtcp: SocketAddr,
    /// The address that the signalling comes from. A far end behind a NAT sends its audio from there too.
    pub gateway: IpAddr,
    /// The codec, under the far end's payload type.
    pub format: Format,
    pub script: Script,
    /// Frames of 20 ms in a packet, 1 to 3.
    pub frames_per_packet: u8,
    /// The payload types of the far end's telephone-events.
    pub event_types: EventTypes,
    /// Whether DTMF tones in the audio are detected too.
    pub wants_dtmf: bool,
    /// The SRTP keys, if the audio is protected.
    pub srtp_keys: Option<SrtpKeys>,
    /// The stream is lost once the far end's host has refused our packets for this many frames, if
    /// nothing was ever received. 0: never.
    pub media_timeout_frames: u32,
}

/// The parameters that a mid-call offer and answer changed.
pub struct StreamUpdate {
    pub remote: SocketAddr,
    pub remote_rtcp: SocketAddr,
    /// The codec, under the far end's payload type.
    pub format: Format,
    pub event_types: EventTypes,
    /// The key that protects the far end's audio from now on.
    pub their_key: Option<MasterKey>,
}
