//! What an offer and its answer agree on (RFC 3264), with the SRTP keys (RFC 4568).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::audio::{Audio, CryptoLines, Direction, SdpError};
use super::read::{Address, Session, Stream};
use super::sdes::{Crypto, SdesError};
use crate::audio::g711::Format;
use crate::rtp::srtp::MasterKey;
use crate::rtp::wire::telephone_event::EventTypes;

/// The result of an offer and its answer.
#[derive(Clone, Debug)]
pub struct Agreed {
    /// The far end's first codec that we support, under its payload type.
    pub format: Format,
    /// The far end's RTP address. As long as its IP address is unspecified, nothing can be sent.
    pub rtp: SocketAddr,
    /// The far end's RTCP address (RFC 3605); by default one port above RTP.
    pub rtcp: SocketAddr,
    /// The host name that stands for the IP address.
    pub host: Option<String>,
    /// The direction that the far end announced.
    pub direction: Direction,
    /// The 20 ms frames in a packet that the far end prefers, 1 to 3.
    pub frames_per_packet: u8,
    /// The payload types of the far end's DTMF events.
    pub event_types: EventTypes,
    /// The SRTP keys. `None`: unprotected RTP.
    pub srtp_keys: Option<AgreedKeys>,
}

impl Agreed {
    /// Whether the far end holds the call: it wants no audio, or has no address yet (RFC 3264 §8.4).
    pub fn is_held(&self) -> bool {
        !self.direction.receives() || !self.has_address()
    }

    pub fn has_address(&self) -> bool {
        !self.rtp.ip().is_unspecified()
    }

    /// Sets the IP address that the host name stands for.
    pub fn resolve(&mut self, ip: IpAddr) {
        self.host = None;
        self.rtp.set_ip(ip);
        if self.rtcp.ip().is_unspecified() {
            self.rtcp.set_ip(ip);
        }
    }
}

/// The SRTP keys of both parties, for the same suite.
#[derive(Clone, Debug)]
pub struct AgreedKeys {
    pub ours: MasterKey,
    pub theirs: MasterKey,
}

/// Evaluates the answer `body` to our offer `own`, or a later offer of the far end.
///
/// # Errors
/// [`SdpError`] if the description cannot be used; [`SdpError::NoCodec`] also if it has no codec of ours.
pub fn agree(body: &[u8], own: &Audio) -> Result<Agreed, SdpError> {
    let text = String::from_utf8_lossy(body);
    let (_, agreed) = Session::parse(&text)?.first(|stream| agree_stream(stream, own))?;
    Ok(agreed)
}

fn agree_stream(stream: &Stream<'_>, own: &Audio) -> Result<Agreed, SdpError> {
    let format = common_formats(stream, own)?[0];
    let srtp_keys = agree_keys(own, &stream.crypto()?)?.map(|(_, keys)| keys);
    let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let (ip, host) = match stream.address.ok_or(SdpError::NoAddress)? {
        Address::Ip(ip) => (ip, None),
        Address::Unknown => (unknown, None),
        Address::Host(host) => (unknown, Some(host.to_owned())),
    };
    Ok(Agreed {
        format,
        rtp: SocketAddr::new(ip, stream.port),
        rtcp: stream.rtcp(ip),
        host,
        direction: stream.direction.unwrap_or(Direction::SendRecv),
        frames_per_packet: frames(stream.ptime_ms, stream.maxptime_ms),
        event_types: EventTypes {
            described: stream.listed_events().map(|event| event.number).collect(),
            ours: own.telephone_event.filter(|number| !stream.others().contains(*number)),
        },
        srtp_keys,
    })
}

/// The far end's formats with a codec of ours, in its order. At least one.
pub(super) fn common_formats(stream: &Stream<'_>, own: &Audio) -> Result<Vec<Format>, SdpError> {
    let mut formats = stream.formats();
    formats.retain(|format| own.codecs.contains(&format.codec));
    match formats.is_empty() {
        true => Err(SdpError::NoCodec),
        false => Ok(formats),
    }
}

/// Picks the far end's first key with a suite that we offer too (RFC 4568 §5.1.2). Returns its tag too. A line that
/// we cannot use, such as one with a master key identifier, is passed over.
pub(super) fn agree_keys(
    own: &Audio,
    theirs: &CryptoLines,
) -> Result<Option<(u32, AgreedKeys)>, SdpError> {
    match (own.crypto.is_empty(), theirs.is_empty()) {
        (true, true) => return Ok(None),
        (true, false) | (false, true) => return Err(SdpError::SrtpMismatch),
        (false, false) => {}
    }
    let mut error = SdpError::SrtpMismatch;
    for line in theirs.read() {
        let Crypto { tag, key: theirs } = match line {
            Ok(line) => line,
            Err(SdesError::Suite) => continue,
            Err(unusable) => {
                error = SdpError::Crypto(unusable);
                continue;
            }
        };
        let mut ours = own.crypto.supported();
        if let Some(ours) = ours.find(|ours| ours.key.suite() == theirs.suite()) {
            return Ok(Some((tag, AgreedKeys { ours: ours.key, theirs })));
        }
    }
    Err(error)
}

/// The frames in a packet of 20, 40 or 60 ms. A length in between is rounded down.
fn frames(ptime_ms: Option<u16>, maxptime_ms: Option<u16>) -> u8 {
    let wanted = ptime_ms.unwrap_or(20).min(maxptime_ms.unwrap_or(60));
    (wanted / 20).clamp(1, 3) as u8
}
