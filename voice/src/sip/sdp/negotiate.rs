//! Offer and answer (RFC 3264), and the SRTP keys that they agree on (RFC 4568).

use std::net::SocketAddr;

use super::audio::{Audio, CryptoLines, Direction, SdpError};
use super::read::{read_description, read_held};
use super::sdes::Crypto;
use super::write::write_version;
use crate::audio::g711::Codec;
use crate::rtp::srtp::MasterKey;
use crate::rtp::wire::telephone_event::EventTypes;

/// The result of an offer and its answer.
#[derive(Clone, Debug)]
pub struct Agreed {
    /// The far end's first codec that we support.
    pub codec: Codec,
    /// The far end's RTP address.
    pub rtp: SocketAddr,
    /// The far end's RTCP address (RFC 3605); by default one port above RTP.
    pub rtcp: SocketAddr,
    /// The direction that the far end announced.
    pub direction: Direction,
    /// The 20 ms frames in a packet that the far end prefers, 1 to 3.
    pub frames_per_packet: u8,
    /// The payload types of the far end's DTMF events.
    pub event_types: EventTypes,
    /// The SRTP keys. `None`: unprotected RTP.
    pub srtp_keys: Option<AgreedKeys>,
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
    let theirs = read_description(body)?;
    let mut listed = theirs.audio.codecs.iter().copied();
    let codec = listed.find(|codec| own.codecs.contains(codec)).ok_or(SdpError::NoCodec)?;
    Ok(Agreed {
        codec,
        srtp_keys: agree_keys(own, &theirs.audio)?,
        rtp: theirs.audio.rtp,
        rtcp: theirs.audio.rtcp,
        direction: theirs.direction,
        frames_per_packet: frames(theirs.ptime_ms, theirs.maxptime_ms),
        event_types: EventTypes {
            described: theirs.events,
            ours: own.telephone_event.filter(|number| !theirs.others.contains(*number)),
        },
    })
}

/// Picks the far end's first key with a suite that we offer too (RFC 4568 §5.1.2).
fn agree_keys(own: &Audio, theirs: &Audio) -> Result<Option<AgreedKeys>, SdpError> {
    match (own.crypto.is_empty(), theirs.crypto.is_empty()) {
        (true, true) => return Ok(None),
        (true, false) | (false, true) => return Err(SdpError::SrtpMismatch),
        (false, false) => {}
    }
    for theirs in theirs.crypto.supported() {
        let suite = theirs.key.suite();
        if let Some(ours) = own.crypto.supported().find(|ours| ours.key.suite() == suite) {
            return Ok(Some(AgreedKeys { ours: ours.key, theirs: theirs.key }));
        }
    }
    Err(SdpError::SrtpMismatch)
}

/// The frames in a packet of 20, 40 or 60 ms. A length in between is rounded down.
fn frames(ptime_ms: Option<u16>, maxptime_ms: Option<u16>) -> u8 {
    let wanted = ptime_ms.unwrap_or(20).min(maxptime_ms.unwrap_or(60));
    (wanted / 20).clamp(1, 3) as u8
}

/// Answers an offer that the far end makes during a call (RFC 3264 §6). `own` is our last description;
/// the next version of it is returned. The address 0.0.0.0 is accepted as a hold.
///
/// # Errors
/// [`SdpError`] if the offer cannot be accepted.
pub fn answer(own: &[u8], offer: &[u8]) -> Result<String, SdpError> {
    let ours = read_description(own)?;
    let (theirs, is_held) = match read_description(offer) {
        Err(SdpError::NoAddress) => (read_held(offer)?, true),
        other => (other?, false),
    };
    let codecs = theirs.audio.codecs.iter().copied();
    let codecs: Vec<Codec> = codecs.filter(|c| ours.audio.codecs.contains(c)).collect();
    if codecs.is_empty() {
        return Err(SdpError::NoCodec);
    }
    let keys = agree_keys(&ours.audio, &theirs.audio)?;
    // RFC 4568 §5.1.2: the answer repeats the tag of the accepted attribute.
    let crypto = keys.and_then(|keys| {
        let mut lines = theirs.audio.crypto.supported();
        let accepted = lines.find(|line| line.key.suite() == keys.theirs.suite())?;
        Some(CryptoLines::of(&[Crypto { tag: accepted.tag, key: keys.ours }]))
    });
    let audio = Audio {
        codecs,
        telephone_event: theirs.audio.telephone_event,
        crypto: crypto.unwrap_or_default(),
        ..ours.audio
    };
    let direction = match is_held {
        true => Direction::RecvOnly,
        false => theirs.direction.mirrored(),
    };
    let (session, version) = origin(own).ok_or(SdpError::Malformed)?;
    Ok(write_version(&audio, session, version + 1, direction))
}

/// The session ID and version of `o=nexo SESSION VERSION …`.
fn origin(own: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(own).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("o="))?;
    let mut parts = line.split(' ').skip(1);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
