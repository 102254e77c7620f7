//! One audio stream, as a session description announces it.

use std::fmt;
use std::net::SocketAddr;

use thiserror::Error;
use zeroize::Zeroizing;

use super::sdes::{self, Crypto, SdesError};
use crate::audio::g711::Codec;
use crate::rtp::srtp::Suite;

pub const CONTENT_TYPE: &str = "application/sdp";

/// The transport profile of unprotected audio.
pub(super) const PLAIN: &str = "RTP/AVP";
/// The transport profile of SRTP.
pub(super) const PROTECTED: &str = "RTP/SAVP";

/// One party's audio stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audio {
    /// Its RTP address.
    pub rtp: SocketAddr,
    /// Its RTCP address (RFC 3605); by default one port above RTP.
    pub rtcp: SocketAddr,
    /// Its G.711 codecs, in order of preference.
    pub codecs: Vec<Codec>,
    /// The payload type of DTMF events (RFC 4733).
    pub telephone_event: Option<u8>,
    /// Its SRTP keys (RFC 4568). Empty: unprotected RTP.
    pub crypto: CryptoLines,
}

impl Audio {
    /// A stream without DTMF events and SRTP.
    pub fn plain(rtp: SocketAddr, rtcp: SocketAddr, codecs: Vec<Codec>) -> Audio {
        Audio { rtp, rtcp, codecs, telephone_event: None, crypto: CryptoLines::default() }
    }
}

/// The values of the `a=crypto:` attributes. `Debug` shows only their number: they hold keys.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CryptoLines(Vec<Zeroizing<String>>);

impl CryptoLines {
    /// One attribute for each key.
    pub fn of(cryptos: &[Crypto]) -> CryptoLines {
        let value = |crypto: &Crypto| {
            let line = sdes::write(crypto);
            let value = line.strip_prefix("a=crypto:").unwrap_or_default();
            Zeroizing::new(value.to_owned())
        };
        CryptoLines(cryptos.iter().map(value).collect())
    }

    /// Only the keys for this suite.
    pub fn of_suite(&self, suite: Suite) -> CryptoLines {
        let keys = self.supported().filter(|crypto| crypto.key.suite() == suite);
        CryptoLines::of(&keys.collect::<Vec<_>>())
    }

    /// Appends the value of one attribute.
    pub(super) fn push(&mut self, value: &str) {
        self.0.push(Zeroizing::new(value.to_owned()));
    }

    pub(super) fn values(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(|value| value.as_str())
    }

    /// The attributes, each as a key or as the reason why it cannot be used.
    pub(super) fn read(&self) -> impl Iterator<Item = Result<Crypto, SdesError>> {
        self.0.iter().map(|value| sdes::read(value))
    }

    /// The attributes that are supported.
    pub(crate) fn supported(&self) -> impl Iterator<Item = Crypto> {
        self.read().filter_map(Result::ok)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for CryptoLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CryptoLines({})", self.0.len())
    }
}

/// The direction of media as one party announces it (RFC 3264 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    pub(super) fn name(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    /// The answer of a party that can both send and receive (RFC 3264 §6.1).
    pub(super) fn mirrored(self) -> Direction {
        match self {
            Direction::SendRecv => Direction::SendRecv,
            Direction::SendOnly => Direction::RecvOnly,
            Direction::RecvOnly => Direction::SendOnly,
            Direction::Inactive => Direction::Inactive,
        }
    }

    /// The same direction for a party that receives nothing.
    pub(super) fn without_receiving(self) -> Direction {
        match self {
            Direction::SendRecv | Direction::SendOnly => Direction::SendOnly,
            Direction::RecvOnly | Direction::Inactive => Direction::Inactive,
        }
    }

    pub(super) fn parse(attribute: &str) -> Option<Direction> {
        match attribute.trim() {
            "sendrecv" => Some(Direction::SendRecv),
            "sendonly" => Some(Direction::SendOnly),
            "recvonly" => Some(Direction::RecvOnly),
            "inactive" => Some(Direction::Inactive),
            _ => None,
        }
    }

    /// Whether the party that announces it receives media.
    pub fn receives(self) -> bool {
        match self {
            Direction::SendRecv | Direction::RecvOnly => true,
            Direction::SendOnly | Direction::Inactive => false,
        }
    }
}

/// Why a description cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SdpError {
    #[error("not a session description")]
    Malformed,
    #[error("no audio stream over RTP/AVP or RTP/SAVP")]
    NoAudio,
    #[error("the audio stream is rejected (port 0)")]
    Rejected,
    #[error("no supported codec; supported: PCMA, PCMU")]
    NoCodec,
    #[error("no IP address for the audio")]
    NoAddress,
    #[error("only one side requires SRTP, or no SRTP suite is supported by both")]
    SrtpMismatch,
    /// Of an attribute with a suite of ours.
    #[error("no SRTP key can be used: {0}")]
    Crypto(SdesError),
    #[error("more than 16 streams")]
    TooManyStreams,
}
