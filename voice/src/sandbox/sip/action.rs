//! The input and output of the callee.

use std::net::{IpAddr, SocketAddr};

use crate::audio::g711::Codec;
use crate::sandbox::behaviour::Playback;
use crate::sandbox::events::{CallId, CallNumber, EndedCall, SandboxEvent};
use crate::sip::sdp::Audio;

/// A received datagram.
pub(crate) struct Datagram<'a> {
    pub bytes: &'a [u8],
    pub source: SocketAddr,
    /// The callee's own address as the sender sees it.
    pub local: SocketAddr,
}

/// An action for the server, which performs them in order.
#[derive(Debug)]
pub(crate) enum Action {
    Send {
        to: SocketAddr,
        bytes: Vec<u8>,
    },
    /// Open a socket for the call's audio, then call `Callee::media_opened`.
    OpenMedia {
        call: CallNumber,
        call_id: CallId,
        /// The address that the signalling comes from.
        caller: IpAddr,
        /// The audio that the caller offers.
        offer: Audio,
        codec: Codec,
        playback: Playback,
    },
    Report(SandboxEvent),
    Ended(EndedCall),
}
