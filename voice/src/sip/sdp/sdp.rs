//! SDP (RFC 4566) as far as one audio stream of G.711 needs it: the offer, the answer (RFC 3264), and
//! reading both.

use std::fmt::{self, Write};
use std::net::{IpAddr, SocketAddr};

use thiserror::Error;
use zeroize::Zeroizing;

use super::sdes::{self, Crypto};
use crate::audio::g711::Codec;
use crate::rtp::srtp::MasterKey;

pub const CONTENT_TYPE: &str = "application/sdp";

/// One party's audio stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audio {
    /// Where it wants RTP.
    pub rtp: SocketAddr,
    /// Where it wants RTCP (RFC 3605, else one port up).
    pub rtcp: SocketAddr,
    /// The G.711 codecs that it lists, in its order.
    pub codecs: Vec<Codec>,
    /// The payload type of the key events that it takes and sends (RFC 4733).
    pub telephone_event: Option<u8>,
    /// What it would protect its audio with, where it must be protected (RFC 4568).
    pub crypto: CryptoLines,
}

impl Audio {
    /// A stream without key events and protection.
    pub fn plain(rtp: SocketAddr, rtcp: SocketAddr, codecs: Vec<Codec>) -> Audio {
        Audio {
            rtp,
            rtcp,
            codecs,
            telephone_event: None,
            crypto: CryptoLines::default(),
        }
    }
}

/// The values of `a=crypto:` lines. They hold keys, so that `Debug` shows only how many there are.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CryptoLines(Vec<Zeroizing<String>>);

impl CryptoLines {
    pub fn of(cryptos: &[Crypto]) -> CryptoLines {
        let value = |crypto: &Crypto| {
            let line = sdes::write(crypto);
            let value = line.strip_prefix("a=crypto:").unwrap_or_default();
            Zeroizing::new(value.to_owned())
        };
        CryptoLines(cryptos.iter().map(value).collect())
    }

    /// Those that are understood.
    fn usable(&self) -> impl Iterator<Item = Crypto> {
        self.0.iter().filter_map(|value| sdes::read(value).ok())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for CryptoLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CryptoLines({})", self.0.len())
    }
}

/// Why a description cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SdpError {
    #[error("it is no session description")]
    Malformed,
    #[error("it has no audio stream over RTP/AVP or RTP/SAVP")]
    NoAudio,
    #[error("its audio stream is rejected: port 0")]
    Rejected,
    #[error("it lists no codec that is known here")]
    NoCodec,
    #[error("it gives no IP address for the audio")]
    NoAddress,
    #[error(
        "its audio is protected where ours is not, or the other way round, or with nothing that is known"
    )]
    OtherProtection,
}

/// Writes a description of one G.711 stream in both directions. `session` is any number, the
/// same for the same call.
pub fn write(audio: &Audio, session: u64) -> String {
    write_version(audio, session, 1, Direction::SendRecv)
}

fn write_version(audio: &Audio, session: u64, version: u64, direction: Direction) -> String {
    let ip = audio.rtp.ip();
    let family = match ip {
        IpAddr::V4(_) => "IP4",
        IpAddr::V6(_) => "IP6",
    };
    let mut text = format!(
        "v=0\r\no=nexo {session} {version} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\nm=audio {} {}",
        audio.rtp.port(),
        if audio.crypto.is_empty() {
            PLAIN
        } else {
            PROTECTED
        },
    );
    // Writing to a String cannot fail.
    for codec in &audio.codecs {
        let _ = write!(text, " {}", codec.payload_type());
    }
    if let Some(number) = audio.telephone_event {
        let _ = write!(text, " {number}");
    }
    text.push_str("\r\n");
    for codec in &audio.codecs {
        let (number, name) = (codec.payload_type(), codec.name());
        let _ = write!(text, "a=rtpmap:{number} {name}/8000\r\n");
    }
    if let Some(number) = audio.telephone_event {
        let _ = write!(
            text,
            "a=rtpmap:{number} telephone-event/8000\r\na=fmtp:{number} 0-15\r\n"
        );
    }
    for value in &audio.crypto.0 {
        let _ = write!(text, "a=crypto:{}\r\n", value.as_str());
    }
    let _ = write!(
        text,
        "a=ptime:20\r\na=maxptime:60\r\na={}\r\n",
        direction.name()
    );
    if audio.rtcp.port() != audio.rtp.port().wrapping_add(1) {
        let _ = write!(text, "a=rtcp:{}\r\n", audio.rtcp.port());
    }
    text
}

/// Reads the first audio stream of a description.
///
/// # Errors
/// [`SdpError`], by what keeps it from being used.
pub fn read(body: &[u8]) -> Result<Audio, SdpError> {
    Ok(read_description(body)?.audio)
}

/// Which way a party wants media to flow, as it says itself (RFC 3264 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    /// What one who would do everything answers to it (RFC 3264 §6.1).
    fn mirrored(self) -> Direction {
        match self {
            Direction::SendRecv => Direction::SendRecv,
            Direction::SendOnly => Direction::RecvOnly,
            Direction::RecvOnly => Direction::SendOnly,
            Direction::Inactive => Direction::Inactive,
        }
    }

    fn parse(attribute: &str) -> Option<Direction> {
        match attribute.trim() {
            "sendrecv" => Some(Direction::SendRecv),
            "sendonly" => Some(Direction::SendOnly),
            "recvonly" => Some(Direction::RecvOnly),
            "inactive" => Some(Direction::Inactive),
            _ => None,
        }
    }

    /// Whether the party that says so listens.
    pub fn listens(self) -> bool {
        match self {
            Direction::SendRecv | Direction::RecvOnly => true,
            Direction::SendOnly | Direction::Inactive => false,
        }
    }
}

/// What both parties agree to, by an offer and its answer.
#[derive(Clone, Debug)]
pub struct Agreed {
    /// The first codec of the far end's that is ours too.
    pub codec: Codec,
    /// Where the far end wants RTP.
    pub rtp: SocketAddr,
    /// Where the far end wants RTCP (RFC 3605, else one port up).
    pub rtcp: SocketAddr,
    pub direction: Direction,
    /// How many frames of 20 ms the far end would like in a packet, 1 to 3.
    pub frames_a_packet: u8,
    /// The payload type of the far end's key events.
    pub telephone_event: Option<u8>,
    /// What we protect our audio with, and what the far end does.
    pub keys: Option<AgreedKeys>,
}

/// The keys of both parties, of one suite.
#[derive(Clone, Debug)]
pub struct AgreedKeys {
    pub ours: MasterKey,
    pub theirs: MasterKey,
}

/// What the answer `body` to our offer `own` agrees to, or a later offer of the far end's.
///
/// # Errors
/// [`SdpError`], by what keeps it from being used; [`SdpError::NoCodec`] also where it lists none
/// of ours.
pub fn agree(body: &[u8], own: &Audio) -> Result<Agreed, SdpError> {
    let theirs = read_description(body)?;
    let mut listed = theirs.audio.codecs.iter().copied();
    let codec = listed
        .find(|codec| own.codecs.contains(codec))
        .ok_or(SdpError::NoCodec)?;
    Ok(Agreed {
        codec,
        keys: agree_keys(own, &theirs.audio)?,
        rtp: theirs.audio.rtp,
        rtcp: theirs.audio.rtcp,
        direction: theirs.direction,
        frames_a_packet: frames(theirs.ptime_ms, theirs.maxptime_ms),
        telephone_event: theirs
            .audio
            .telephone_event
            .filter(|_| own.telephone_event.is_some()),
    })
}

/// RFC 4568 §5.1.2: the far end's first line of a suite that is ours too.
fn agree_keys(own: &Audio, theirs: &Audio) -> Result<Option<AgreedKeys>, SdpError> {
    match (own.crypto.is_empty(), theirs.crypto.is_empty()) {
        (true, true) => return Ok(None),
        (true, false) | (false, true) => return Err(SdpError::OtherProtection),
        (false, false) => {}
    }
    for their in theirs.crypto.usable() {
        let suite = their.key.suite();
        if let Some(our) = own.crypto.usable().find(|our| our.key.suite() == suite) {
            return Ok(Some(AgreedKeys {
                ours: our.key,
                theirs: their.key,
            }));
        }
    }
    Err(SdpError::OtherProtection)
}

/// Packets of 20, 40 or 60 ms; what lies between is served with the next shorter.
fn frames(ptime_ms: Option<u16>, maxptime_ms: Option<u16>) -> u8 {
    let wanted = ptime_ms.unwrap_or(20).min(maxptime_ms.unwrap_or(60));
    (wanted / 20).clamp(1, 3) as u8
}

/// Answers the far end's offer in mid-call, as one who has `own` and would do everything (RFC 3264
/// §6). `own` is our last description; what is returned is the next.
///
/// # Errors
/// [`SdpError`], by what keeps the offer from being taken. An address of zeros is taken: that is how
/// older equipment puts a call on hold.
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
    // §5.1.2: the answer repeats the tag of the line that it takes.
    let crypto = keys.and_then(|keys| {
        let mut lines = theirs.audio.crypto.usable();
        let taken = lines.find(|line| line.key.suite() == keys.theirs.suite())?;
        Some(CryptoLines::of(&[Crypto {
            tag: taken.tag,
            key: keys.ours,
        }]))
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

/// Of `o=nexo SESSION VERSION …`.
fn origin(own: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(own).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("o="))?;
    let mut parts = line.split(' ').skip(1);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// A description whose address is zeros, as if it had one.
fn read_held(offer: &[u8]) -> Result<Description, SdpError> {
    let text = std::str::from_utf8(offer).map_err(|_| SdpError::Malformed)?;
    let somewhere = text.replace("IN IP4 0.0.0.0", "IN IP4 127.0.0.1");
    read_description(somewhere.as_bytes())
}

struct Description {
    audio: Audio,
    direction: Direction,
    ptime_ms: Option<u16>,
    maxptime_ms: Option<u16>,
}

const PLAIN: &str = "RTP/AVP";
const PROTECTED: &str = "RTP/SAVP";

fn read_description(body: &[u8]) -> Result<Description, SdpError> {
    let text = std::str::from_utf8(body).map_err(|_| SdpError::Malformed)?;
    if !text.trim_start().starts_with("v=") {
        return Err(SdpError::Malformed);
    }
    let (mut session_ip, mut session_direction) = (None, None);
    let mut section = Section::Session;
    for line in text.lines() {
        let Some((kind, value)) = line.trim().split_once('=') else {
            continue;
        };
        match (kind, &mut section) {
            ("m", Section::Audio(_)) => break,
            ("m", Section::Session | Section::Unusable) => section = Section::of(value),
            ("c", Section::Session) => session_ip = connection(value),
            ("c", Section::Audio(stream)) => stream.ip = connection(value),
            ("a", Section::Session) => {
                session_direction = Direction::parse(value).or(session_direction);
            }
            ("a", Section::Audio(stream)) => stream.attribute(value),
            _ => {}
        }
    }
    let Section::Audio(stream) = section else {
        return Err(SdpError::NoAudio);
    };
    if stream.port == 0 {
        return Err(SdpError::Rejected);
    }
    let ip = stream.ip.or(session_ip).ok_or(SdpError::NoAddress)?;
    let codecs = stream.codecs();
    if codecs.is_empty() {
        return Err(SdpError::NoCodec);
    }
    let rtcp = SocketAddr::new(
        stream.rtcp_ip.unwrap_or(ip),
        stream.rtcp_port.unwrap_or(stream.port.wrapping_add(1)),
    );
    // Some far ends add keys to what is plain, for those who would use them: nobody here does.
    let crypto = match (stream.is_protected, stream.crypto.0.is_empty()) {
        (true, true) => return Err(SdpError::OtherProtection),
        (true, false) => stream.crypto.clone(),
        (false, _) => CryptoLines::default(),
    };
    Ok(Description {
        audio: Audio {
            rtp: SocketAddr::new(ip, stream.port),
            rtcp,
            codecs,
            telephone_event: stream.telephone_event(),
            crypto,
        },
        direction: stream
            .direction
            .or(session_direction)
            .unwrap_or(Direction::SendRecv),
        ptime_ms: stream.ptime_ms,
        maxptime_ms: stream.maxptime_ms,
    })
}

/// More ways to protect a stream are not looked at.
const MOST_CRYPTO_LINES: usize = 16;

/// Whose lines are being read.
enum Section {
    Session,
    Audio(Stream),
    Unusable,
}

impl Section {
    fn of(media: &str) -> Section {
        Stream::parse(media).map_or(Section::Unusable, Section::Audio)
    }
}

struct Stream {
    port: u16,
    payload_types: Vec<u8>,
    /// Payload types that are mapped to something else than their static meaning, and to what.
    mapped: Vec<(u8, Option<Codec>)>,
    /// Payload types of key events at our rate.
    events: Vec<u8>,
    is_protected: bool,
    crypto: CryptoLines,
    ip: Option<IpAddr>,
    rtcp_port: Option<u16>,
    rtcp_ip: Option<IpAddr>,
    direction: Option<Direction>,
    ptime_ms: Option<u16>,
    maxptime_ms: Option<u16>,
}

impl Stream {
    /// `audio 20000 RTP/AVP 8 0`; `None` for what is no such stream.
    fn parse(value: &str) -> Option<Stream> {
        let mut parts = value.split_whitespace();
        let is_audio = parts.next()? == "audio";
        let port = parts.next()?.split('/').next()?.parse().ok()?;
        let profile = parts.next()?;
        let is_protected = profile == PROTECTED;
        let is_known = is_protected || profile == PLAIN;
        (is_audio && is_known).then(|| Stream {
            is_protected,
            crypto: CryptoLines::default(),
            events: Vec::new(),
            port,
            payload_types: distinct(parts.filter_map(|part| part.parse().ok())),
            mapped: Vec::new(),
            ip: None,
            rtcp_port: None,
            rtcp_ip: None,
            direction: None,
            ptime_ms: None,
            maxptime_ms: None,
        })
    }

    fn attribute(&mut self, value: &str) {
        if let Some(map) = value.strip_prefix("rtpmap:") {
            let Some((number, encoding)) = map.split_once(' ') else {
                return;
            };
            let mut parts = encoding.trim().split('/');
            let (name, rate) = (parts.next().unwrap_or_default(), parts.next());
            let codec = Codec::from_name(&name.to_ascii_uppercase());
            if let Ok(number) = number.trim().parse() {
                let is_event = name.eq_ignore_ascii_case("telephone-event");
                if self.mapped.iter().any(|(mapped, _)| *mapped == number) {
                    return;
                }
                if is_event && rate == Some("8000") {
                    self.events.push(number);
                }
                self.mapped
                    .push((number, codec.filter(|_| rate == Some("8000"))));
            }
        } else if let Some(rtcp) = value.strip_prefix("rtcp:") {
            let mut parts = rtcp.split_whitespace();
            self.rtcp_port = parts.next().and_then(|port| port.parse().ok());
            self.rtcp_ip = parts.nth(2).and_then(|ip| ip.parse().ok());
        } else if let Some(ptime) = value.strip_prefix("ptime:") {
            self.ptime_ms = ptime.trim().parse().ok();
        } else if let Some(maxptime) = value.strip_prefix("maxptime:") {
            self.maxptime_ms = maxptime.trim().parse().ok();
        } else if let Some(crypto) = value.strip_prefix("crypto:") {
            if self.crypto.0.len() < MOST_CRYPTO_LINES {
                self.crypto.0.push(Zeroizing::new(crypto.to_owned()));
            }
        } else if let Some(direction) = Direction::parse(value) {
            self.direction = Some(direction);
        }
    }

    fn telephone_event(&self) -> Option<u8> {
        let listed = |number: &&u8| self.payload_types.contains(number);
        self.events.iter().find(listed).copied()
    }

    /// Only static payload types are used: what is sent is always 8 or 0.
    fn codecs(&self) -> Vec<Codec> {
        self.payload_types
            .iter()
            .filter_map(|number| {
                let codec = Codec::from_payload_type(*number)?;
                let remapped = self.mapped.iter().find(|(mapped, _)| mapped == number);
                remapped
                    .is_none_or(|(_, to)| *to == Some(codec))
                    .then_some(codec)
            })
            .collect()
    }
}

/// The payload types without repetitions: however long a list is, it holds no more than 256.
fn distinct(listed: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut types = Vec::new();
    for number in listed {
        if !types.contains(&number) {
            types.push(number);
        }
    }
    types
}

/// `IN IP4 192.0.2.1/127`.
fn connection(value: &str) -> Option<IpAddr> {
    let mut parts = value.split_whitespace();
    let is_internet = parts.next()? == "IN";
    let family = parts.next()?;
    let ip: IpAddr = parts.next()?.split('/').next()?.parse().ok()?;
    let fits = (family == "IP4") == ip.is_ipv4();
    (is_internet && fits && !ip.is_unspecified()).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::srtp::Suite;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn audio() -> Audio {
        let (rtp, rtcp) = (([192, 0, 2, 1], 20_000), ([192, 0, 2, 1], 20_001));
        Audio::plain(rtp.into(), rtcp.into(), vec![Codec::Pcma, Codec::Pcmu])
    }

    fn key(suite: Suite, seed: u64) -> MasterKey {
        MasterKey::random(suite, &mut StdRng::seed_from_u64(seed))
    }

    fn protected(lines: &[(u32, Suite, u64)]) -> Audio {
        let cryptos = lines.iter().map(|(tag, suite, seed)| Crypto {
            tag: *tag,
            key: key(*suite, *seed),
        });
        Audio {
            crypto: CryptoLines::of(&cryptos.collect::<Vec<_>>()),
            ..audio()
        }
    }

    const SHORT: Suite = Suite::AesCm128HmacSha1_80;
    const LONG: Suite = Suite::AesCm256HmacSha1_80;

    #[test]
    fn a_payload_type_that_is_listed_or_mapped_again_counts_once() {
        let types = " 8 0 8 101".repeat(6_000);
        let maps = "a=rtpmap:8 PCMA/8000\r\na=rtpmap:8 G729/8000\r\n".repeat(500);
        let body = format!(
            "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP{types}\r\n{maps}\
             a=rtpmap:101 telephone-event/8000\r\n"
        );
        let audio = read(body.as_bytes()).unwrap();
        assert_eq!(audio.codecs, [Codec::Pcma, Codec::Pcmu]);
        assert_eq!(audio.telephone_event, Some(101));
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(read(write(&audio(), 7).as_bytes()), Ok(audio()));
        let apart = Audio {
            rtcp: ([192, 0, 2, 1], 30_000).into(),
            ..audio()
        };
        assert_eq!(read(write(&apart, 7).as_bytes()), Ok(apart));
        let v6 = Audio {
            rtp: "[2001:db8::1]:4000".parse().unwrap(),
            rtcp: "[2001:db8::1]:4001".parse().unwrap(),
            codecs: vec![Codec::Pcmu],
            telephone_event: Some(101),
            ..audio()
        };
        assert_eq!(read(write(&v6, 7).as_bytes()), Ok(v6));
        let protected = protected(&[(1, SHORT, 1), (2, LONG, 2)]);
        assert_eq!(read(write(&protected, 7).as_bytes()), Ok(protected));
    }

    #[test]
    fn keys_are_agreed_by_suite_and_only_where_both_protect() {
        let own = protected(&[(1, SHORT, 1), (2, LONG, 2)]);
        let body = write(&protected(&[(2, LONG, 9)]), 1);
        let keys = agree(body.as_bytes(), &own).unwrap().keys.unwrap();
        assert_eq!(*keys.ours.to_inline(), *key(LONG, 2).to_inline());
        assert_eq!(*keys.theirs.to_inline(), *key(LONG, 9).to_inline());
        let plain = write(&audio(), 1);
        let other = Err(SdpError::OtherProtection);
        assert_eq!(agree(plain.as_bytes(), &own).map(|_| ()), other);
        assert_eq!(agree(body.as_bytes(), &audio()).map(|_| ()), other);
        let unknown = body
            .replace("AES_256", "AES_512")
            .replace("AES_CM_256", "AES_CM_512");
        assert_eq!(agree(unknown.as_bytes(), &own).map(|_| ()), other);
        assert!(!format!("{own:?}").contains(key(SHORT, 1).to_inline().as_str()));
    }

    #[test]
    fn keys_beside_a_plain_stream_are_passed_over() {
        let offered = write(&protected(&[(1, SHORT, 1)]), 1);
        let plain = offered.replace("RTP/SAVP", "RTP/AVP");
        assert!(agree(plain.as_bytes(), &audio()).unwrap().keys.is_none());
    }

    #[test]
    fn an_offer_in_mid_call_is_answered_with_what_both_have() {
        let own = Audio {
            telephone_event: Some(101),
            ..protected(&[(1, SHORT, 1)])
        };
        let own = write(&own, 7);
        let theirs = Audio {
            codecs: vec![Codec::Pcmu],
            telephone_event: Some(96),
            ..protected(&[(5, LONG, 3), (6, SHORT, 4)])
        };
        let offer = write(&theirs, 1).replace("sendrecv", "sendonly");
        let text = answer(own.as_bytes(), offer.as_bytes()).unwrap();
        let inline = key(SHORT, 1).to_inline();
        for line in [
            "o=nexo 7 2 IN IP4 192.0.2.1",
            "m=audio 20000 RTP/SAVP 0 96",
            "a=recvonly",
            &format!("a=crypto:6 AES_CM_128_HMAC_SHA1_80 inline:{}", *inline),
        ] {
            assert!(text.lines().any(|known| known == line), "{line}\n{text}");
        }
        let again = answer(text.as_bytes(), offer.as_bytes()).unwrap();
        assert!(again.contains("o=nexo 7 3 "), "{again}");
        let plain = write(&audio(), 1);
        assert_eq!(
            answer(own.as_bytes(), plain.as_bytes()),
            Err(SdpError::OtherProtection)
        );
    }

    #[test]
    fn an_address_of_zeros_holds_the_call() {
        let own = write(&audio(), 7);
        let held = own.replace("192.0.2.1", "0.0.0.0");
        let text = answer(own.as_bytes(), held.as_bytes()).unwrap();
        assert!(text.contains("a=recvonly"), "{text}");
        assert!(text.contains("c=IN IP4 192.0.2.1"), "{text}");
    }

    #[test]
    fn packets_are_as_long_as_the_far_end_likes_up_to_60_ms() {
        let body = write(&audio(), 1);
        for (lines, frames) in [
            ("a=ptime:20", 1),
            ("a=ptime:30", 1),
            ("a=ptime:40", 2),
            ("a=ptime:60", 3),
            ("a=ptime:200", 3),
            ("a=ptime:0", 1),
            ("a=ptime:60\r\na=maxptime:40", 2),
        ] {
            let body = body.replace("a=ptime:20\r\na=maxptime:60", lines);
            let agreed = agree(body.as_bytes(), &audio()).unwrap();
            assert_eq!(agreed.frames_a_packet, frames, "{lines}");
        }
    }

    #[test]
    fn the_streams_own_address_beats_the_sessions() {
        let text = "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0 101\r\nc=IN IP4 192.0.2.2\r\n\
                    a=rtpmap:101 telephone-event/8000\r\na=rtcp:4100 IN IP4 192.0.2.3\r\nm=video 1 RTP/AVP 8\r\n";
        let audio = read(text.as_bytes()).unwrap();
        assert_eq!(audio.rtp, ([192, 0, 2, 2], 4000).into());
        assert_eq!(audio.rtcp, ([192, 0, 2, 3], 4100).into());
        assert_eq!(audio.codecs, [Codec::Pcmu]);
    }

    #[test]
    fn an_answer_takes_the_first_codec_that_was_offered() {
        let text = "v=0\r\nc=IN IP4 192.0.2.1\r\na=sendonly\r\nm=audio 4000 RTP/AVP 18 0 8\r\na=ptime:40\r\n";
        let both = agree(text.as_bytes(), &audio()).unwrap();
        assert_eq!((both.codec, both.frames_a_packet), (Codec::Pcmu, 2));
        assert_eq!(both.direction, Direction::SendOnly);
        assert!(!both.direction.listens());
        let with = |codecs: &[Codec]| Audio {
            codecs: codecs.to_vec(),
            ..audio()
        };
        let one = agree(text.as_bytes(), &with(&[Codec::Pcma])).unwrap();
        assert_eq!(one.codec, Codec::Pcma);
        let none = agree(text.as_bytes(), &with(&[])).map(|_| ());
        assert_eq!(none, Err(SdpError::NoCodec));
    }

    #[test]
    fn the_streams_own_direction_beats_the_sessions() {
        let text =
            "v=0\r\nc=IN IP4 192.0.2.1\r\na=inactive\r\nm=audio 4000 RTP/AVP 8\r\na=recvonly\r\n";
        let answer = agree(text.as_bytes(), &audio()).unwrap();
        assert_eq!(answer.direction, Direction::RecvOnly);
        assert!(answer.direction.listens());
        let silent = write(&audio(), 7).replace("a=sendrecv\r\n", "");
        let answer = agree(silent.as_bytes(), &audio()).unwrap();
        assert_eq!(answer.direction, Direction::SendRecv);
    }

    #[test]
    fn another_streams_address_is_not_the_audios() {
        let text = "v=0\r\nc=IN IP4 192.0.2.1\r\nm=video 6000 RTP/AVP 96\r\nc=IN IP4 192.0.2.66\r\nm=audio 4000 RTP/AVP 8\r\n";
        assert_eq!(
            read(text.as_bytes()).unwrap().rtp,
            ([192, 0, 2, 1], 4000).into()
        );
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        for (text, error) in [
            ("", SdpError::Malformed),
            ("hello", SdpError::Malformed),
            ("v=0\r\nc=IN IP4 192.0.2.1\r\n", SdpError::NoAudio),
            ("v=0\r\nm=audio 4000 RTP/SAVPF 8\r\n", SdpError::NoAudio),
            (
                "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/SAVP 8\r\n",
                SdpError::OtherProtection,
            ),
            (
                "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 0 RTP/AVP 8\r\n",
                SdpError::Rejected,
            ),
            (
                "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 9 RTP/AVP 18\r\n",
                SdpError::NoCodec,
            ),
            (
                "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 9 RTP/AVP 8\r\na=rtpmap:8 G729/8000\r\n",
                SdpError::NoCodec,
            ),
            ("v=0\r\nm=audio 9 RTP/AVP 8\r\n", SdpError::NoAddress),
            (
                "v=0\r\nc=IN IP4 0.0.0.0\r\nm=audio 9 RTP/AVP 8\r\n",
                SdpError::NoAddress,
            ),
            (
                "v=0\r\nc=IN IP4 host.example\r\nm=audio 9 RTP/AVP 8\r\n",
                SdpError::NoAddress,
            ),
        ] {
            assert_eq!(read(text.as_bytes()), Err(error), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(v=0\n)?([a-z]=[ -~]{0,40}\n){0,8}") {
            let own = write(&audio(), 7);
            let _ = (read(text.as_bytes()), answer(own.as_bytes(), text.as_bytes()));
        }
    }
}
