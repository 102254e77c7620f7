//! SRTP and SRTCP (RFC 3711) for the suites of SDES (RFC 4568 §6.2, RFC 6188): AES in counter mode
//! and HMAC-SHA1, without MKI and with a key derivation rate of zero.
//!
//! Each direction has its own master key, with one [`Sender`] at one end and one [`Receiver`] at
//! the other. A second `Sender` with the same key would restart the indices and encrypt two packets
//! with the same keystream, which reveals both.

mod error;
mod master_key;
mod packet_index;
pub(super) mod session;
mod session_keys;
mod source;

use std::fmt;

pub use error::SrtpError;
pub use master_key::{InlineError, MasterKey, Suite};
use packet_index::packet_index;
use session_keys::{Protocol, SessionKeys};
use source::Sources;

/// The length of the SRTCP tag of every suite (RFC 4568 §6.2).
const RTCP_TAG_BYTES: usize = 10;
/// The length of the E bit and the index, between an SRTCP packet and its tag (RFC 3711 §3.4).
const RTCP_INDEX_BYTES: usize = 4;
const RTCP_HEADER_BYTES: usize = 8;
const RTCP_ENCRYPTED: u32 = 1 << 31;
/// One master key protects at most 2^31 RTCP packets (RFC 3711 §9.2).
const MAX_RTCP_PACKETS: u64 = 1 << 31;
/// The longest IP datagram. AES-CM's block counter allows 16 times as much.
const MAX_PACKET_BYTES: usize = 65_535;

/// The keys of one direction, and the packets sent or received with them.
struct Context {
    suite: Suite,
    rtp: SessionKeys,
    rtcp: SessionKeys,
    sources: Sources,
}

impl Context {
    fn new(master: &MasterKey) -> Context {
        Context {
            suite: master.suite(),
            rtp: SessionKeys::derive(master, Protocol::Rtp),
            rtcp: SessionKeys::derive(master, Protocol::Rtcp),
            sources: Sources::default(),
        }
    }

    fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct(name);
        shown.field("suite", &self.suite).finish_non_exhaustive()
    }
}

/// Protects the packets that one end sends.
pub struct Sender(Context);

impl Sender {
    /// Derives the session keys. Create only one sender per master key.
    pub fn new(master: &MasterKey) -> Sender {
        Sender(Context::new(master))
    }

    /// Encrypts an RTP packet's payload and appends the tag (RFC 3711 §3.1).
    ///
    /// Start a stream's sequence numbers below 2^15. Otherwise a far end that loses the first
    /// packets could miss the first rollover, and then cannot decrypt the stream (§3.3.1).
    ///
    /// # Errors
    /// [`SrtpError::Replayed`] if the source has sent this sequence number before: no number is
    /// encrypted twice. Also if the packet is malformed, there are too many sources, or the key is
    /// used up.
    pub fn protect_rtp(&mut self, packet: &mut Vec<u8>) -> Result<(), SrtpError> {
        let context = &mut self.0;
        let header = RtpHeader::read(packet)?;
        let tag_bytes = context.suite.rtp_tag_bytes();
        check_length(packet.len() + tag_bytes)?;
        let mut source = context.sources.get(header.ssrc)?;
        let index =
            packet_index(source.rtp.highest(), header.sequence).ok_or(SrtpError::KeyExhausted)?;
        source.rtp.mark(index).ok_or(SrtpError::Replayed)?;
        context.sources.put(source);
        let payload = &mut packet[header.bytes..];
        context.rtp.apply_keystream(header.ssrc, index, payload);
        let tag = context.rtp.tag(packet, &rollover_counter(index));
        packet.extend_from_slice(&tag[..tag_bytes]);
        Ok(())
    }

    /// Encrypts a compound RTCP packet after its first SSRC and appends index and tag (RFC 3711
    /// §3.4).
    ///
    /// # Errors
    /// If the packet is malformed, there are too many sources, or the key is used up.
    pub fn protect_rtcp(&mut self, packet: &mut Vec<u8>) -> Result<(), SrtpError> {
        let context = &mut self.0;
        let ssrc = rtcp_ssrc(packet)?;
        check_length(packet.len() + RTCP_INDEX_BYTES + RTCP_TAG_BYTES)?;
        let mut source = context.sources.get(ssrc)?;
        let index = source.rtcp.highest().map_or(0, |highest| highest + 1);
        if index >= MAX_RTCP_PACKETS {
            return Err(SrtpError::KeyExhausted);
        }
        source.rtcp.mark(index).ok_or(SrtpError::Replayed)?;
        context.sources.put(source);
        let payload = &mut packet[RTCP_HEADER_BYTES..];
        context.rtcp.apply_keystream(ssrc, index, payload);
        let word = RTCP_ENCRYPTED | index as u32;
        packet.extend_from_slice(&word.to_be_bytes());
        let tag = context.rtcp.tag(packet, &[]);
        packet.extend_from_slice(&tag[..RTCP_TAG_BYTES]);
        Ok(())
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug("Sender", f)
    }
}

/// Authenticates and decrypts the packets that one end receives.
///
/// Only an authentic packet changes the state. Sources above the limit are rejected. Forgetting an
/// older one instead would allow replays of its packets.
pub struct Receiver(Context);

impl Receiver {
    /// Derives the session keys.
    pub fn new(master: &MasterKey) -> Receiver {
        Receiver(Context::new(master))
    }

    /// Turns an SRTP packet into the RTP packet (RFC 3711 §3.3).
    ///
    /// # Errors
    /// What is wrong with the packet, which is then unchanged.
    pub fn unprotect_rtp(&mut self, packet: &mut Vec<u8>) -> Result<(), SrtpError> {
        let context = &mut self.0;
        check_length(packet.len())?;
        let tag_bytes = context.suite.rtp_tag_bytes();
        let (authentic, tag) = split_tag(packet, tag_bytes)?;
        let header = RtpHeader::read(authentic)?;
        let mut source = context.sources.get(header.ssrc)?;
        let index =
            packet_index(source.rtp.highest(), header.sequence).ok_or(SrtpError::KeyExhausted)?;
        source.rtp.mark(index).ok_or(SrtpError::Replayed)?;
        if !context.rtp.verify(authentic, &rollover_counter(index), tag) {
            return Err(SrtpError::Unauthentic);
        }
        context.sources.put(source);
        packet.truncate(packet.len() - tag_bytes);
        let payload = &mut packet[header.bytes..];
        context.rtp.apply_keystream(header.ssrc, index, payload);
        Ok(())
    }

    /// Turns an SRTCP packet into the compound RTCP packet (RFC 3711 §3.4).
    ///
    /// # Errors
    /// What is wrong with the packet, which is then unchanged. A packet without the E bit is
    /// rejected even if it is authentic, because unencrypted RTCP was not negotiated.
    pub fn unprotect_rtcp(&mut self, packet: &mut Vec<u8>) -> Result<(), SrtpError> {
        let context = &mut self.0;
        check_length(packet.len())?;
        let (authentic, tag) = split_tag(packet, RTCP_TAG_BYTES)?;
        let (plain, word) =
            authentic.split_last_chunk::<RTCP_INDEX_BYTES>().ok_or(SrtpError::Malformed)?;
        let (ssrc, word) = (rtcp_ssrc(plain)?, u32::from_be_bytes(*word));
        let rtcp_bytes = plain.len();
        let index = u64::from(word & !RTCP_ENCRYPTED);
        let mut source = context.sources.get(ssrc)?;
        source.rtcp.mark(index).ok_or(SrtpError::Replayed)?;
        if !context.rtcp.verify(authentic, &[], tag) {
            return Err(SrtpError::Unauthentic);
        }
        if word & RTCP_ENCRYPTED == 0 {
            return Err(SrtpError::Unencrypted);
        }
        context.sources.put(source);
        packet.truncate(rtcp_bytes);
        let payload = &mut packet[RTCP_HEADER_BYTES..];
        context.rtcp.apply_keystream(ssrc, index, payload);
        Ok(())
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug("Receiver", f)
    }
}

/// The fields of an RTP header that SRTP needs. The RTP parser cannot be used: it checks the
/// padding, which is encrypted.
struct RtpHeader {
    sequence: u16,
    ssrc: u32,
    /// The length including CSRC and extension, which are not encrypted.
    bytes: usize,
}

impl RtpHeader {
    fn read(packet: &[u8]) -> Result<RtpHeader, SrtpError> {
        let (fixed, rest) = packet
            .split_first_chunk::<12>()
            .filter(|(fixed, _)| fixed[0] >> 6 == 2)
            .ok_or(SrtpError::Malformed)?;
        let mut bytes = fixed.len() + usize::from(fixed[0] & 0x0f) * 4;
        if fixed[0] & 0x10 != 0 {
            let extension = rest.get(bytes - fixed.len()..).and_then(<[u8]>::first_chunk);
            let [_, _, words @ ..]: &[u8; 4] = extension.ok_or(SrtpError::Malformed)?;
            bytes += 4 + usize::from(u16::from_be_bytes(*words)) * 4;
        }
        if bytes > packet.len() {
            return Err(SrtpError::Malformed);
        }
        Ok(RtpHeader {
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            bytes,
        })
    }
}

/// Returns the SSRC of a compound packet's first report.
fn rtcp_ssrc(packet: &[u8]) -> Result<u32, SrtpError> {
    let header = packet
        .first_chunk::<RTCP_HEADER_BYTES>()
        .filter(|header| header[0] >> 6 == 2)
        .ok_or(SrtpError::Malformed)?;
    Ok(u32::from_be_bytes([header[4], header[5], header[6], header[7]]))
}

fn split_tag(packet: &[u8], tag_bytes: usize) -> Result<(&[u8], &[u8]), SrtpError> {
    let end = packet.len().checked_sub(tag_bytes);
    Ok(packet.split_at(end.ok_or(SrtpError::Malformed)?))
}

fn check_length(bytes: usize) -> Result<(), SrtpError> {
    if bytes > MAX_PACKET_BYTES {
        return Err(SrtpError::TooLong);
    }
    Ok(())
}

/// Returns the rollover counter, which is authenticated with an RTP packet (RFC 3711 §4.2).
fn rollover_counter(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

#[cfg(test)]
mod tests;
