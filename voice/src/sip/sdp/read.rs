//! Reading session descriptions.

use std::net::{IpAddr, SocketAddr};

use super::audio::{Audio, CryptoLines, Direction, PLAIN, PROTECTED, SdpError};
use crate::audio::g711::Codec;
use crate::rtp::wire::telephone_event::PayloadTypes;

/// Reads the first audio stream of a description.
///
/// # Errors
/// [`SdpError`] if the description cannot be used.
pub fn read(body: &[u8]) -> Result<Audio, SdpError> {
    Ok(read_description(body)?.audio)
}

/// What a description says about its first audio stream.
pub(super) struct Description {
    pub audio: Audio,
    pub direction: Direction,
    pub ptime_ms: Option<u16>,
    pub maxptime_ms: Option<u16>,
    /// The payload types of DTMF events, of any clock rate.
    pub events: PayloadTypes,
    /// The payload types of everything else.
    pub others: PayloadTypes,
}

/// Reads a description with the address 0.0.0.0, which older equipment uses to put a call on hold.
pub(super) fn read_held(offer: &[u8]) -> Result<Description, SdpError> {
    let text = std::str::from_utf8(offer).map_err(|_| SdpError::Malformed)?;
    let with_address = text.replace("IN IP4 0.0.0.0", "IN IP4 127.0.0.1");
    read_description(with_address.as_bytes())
}

/// Reads the first audio stream of a description, with its direction and packet length.
pub(super) fn read_description(body: &[u8]) -> Result<Description, SdpError> {
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
            ("m", Section::Session | Section::Unsupported) => section = Section::of(value),
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
    // Some far ends add keys to plain RTP/AVP, as an option. It is not used.
    let crypto = match (stream.is_protected, stream.crypto.is_empty()) {
        (true, true) => return Err(SdpError::SrtpMismatch),
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
        direction: stream.direction.or(session_direction).unwrap_or(Direction::SendRecv),
        ptime_ms: stream.ptime_ms,
        maxptime_ms: stream.maxptime_ms,
        events: stream.listed_events().map(|event| event.number).collect(),
        others: stream.others(),
    })
}

/// The first dynamic payload type (RFC 3551 §6).
const FIRST_DYNAMIC: u8 = 96;
/// Further `a=crypto:` attributes are ignored.
const MAX_CRYPTO_LINES: usize = 16;

/// The section of the description that the current line belongs to.
enum Section {
    Session,
    Audio(Stream),
    Unsupported,
}

impl Section {
    fn of(media: &str) -> Section {
        Stream::parse(media).map_or(Section::Unsupported, Section::Audio)
    }
}

/// One `a=rtpmap` entry of `telephone-event`.
#[derive(Clone, Copy, PartialEq, Eq)]
struct EventType {
    number: u8,
    /// Whether its clock rate is that of G.711.
    is_8000: bool,
}

/// The lines of one `m=audio` section.
struct Stream {
    port: u16,
    payload_types: Vec<u8>,
    /// The `a=rtpmap` entries: payload type and, if it is supported, codec.
    mapped: Vec<(u8, Option<Codec>)>,
    /// The payload types of DTMF events, and their clock rates.
    events: Vec<EventType>,
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
    /// Parses `audio 20000 RTP/AVP 8 0`. `None` for any other kind of stream.
    fn parse(value: &str) -> Option<Stream> {
        let mut parts = value.split_whitespace();
        let is_audio = parts.next()? == "audio";
        let port = parts.next()?.split('/').next()?.parse().ok()?;
        let profile = parts.next()?;
        let is_protected = profile == PROTECTED;
        let is_supported = is_protected || profile == PLAIN;
        (is_audio && is_supported).then(|| Stream {
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
            self.map_payload_type(map);
        } else if let Some(rtcp) = value.strip_prefix("rtcp:") {
            let mut parts = rtcp.split_whitespace();
            self.rtcp_port = parts.next().and_then(|port| port.parse().ok());
            self.rtcp_ip = parts.nth(2).and_then(|ip| ip.parse().ok());
        } else if let Some(ptime) = value.strip_prefix("ptime:") {
            self.ptime_ms = ptime.trim().parse().ok();
        } else if let Some(maxptime) = value.strip_prefix("maxptime:") {
            self.maxptime_ms = maxptime.trim().parse().ok();
        } else if let Some(crypto) = value.strip_prefix("crypto:") {
            if self.crypto.values().len() < MAX_CRYPTO_LINES {
                self.crypto.push(crypto);
            }
        } else if let Some(direction) = Direction::parse(value) {
            self.direction = Some(direction);
        }
    }

    /// Takes the value of an `a=rtpmap`. The first one for a payload type counts, except that DTMF events
    /// may have several clock rates.
    fn map_payload_type(&mut self, map: &str) {
        let Some((number, encoding)) = map.split_once(' ') else {
            return;
        };
        let Ok(number) = number.trim().parse() else {
            return;
        };
        let mut parts = encoding.trim().split('/');
        let (name, rate) = (parts.next().unwrap_or_default(), parts.next());
        let is_8000 = rate == Some("8000");
        let is_mapped = self.mapped.iter().any(|(mapped, _)| *mapped == number);
        let is_mapped_to_event = self.events.iter().any(|event| event.number == number);
        let event = EventType { number, is_8000 };
        if name.eq_ignore_ascii_case("telephone-event")
            && (!is_mapped || is_mapped_to_event)
            && !self.events.contains(&event)
        {
            self.events.push(event);
        }
        if is_mapped {
            return;
        }
        let codec = Codec::from_name(&name.to_ascii_uppercase());
        self.mapped.push((number, codec.filter(|_| is_8000)));
    }

    fn listed_events(&self) -> impl Iterator<Item = &EventType> {
        self.events.iter().filter(|event| self.payload_types.contains(&event.number))
    }

    fn telephone_event(&self) -> Option<u8> {
        self.listed_events().find(|event| event.is_8000).map(|event| event.number)
    }

    /// The payload types that are not those of DTMF events: mapped to something else, or static.
    fn others(&self) -> PayloadTypes {
        let is_event = |number: &u8| self.events.iter().any(|event| event.number == *number);
        let mapped = self.mapped.iter().map(|(number, _)| *number);
        mapped.chain(0..FIRST_DYNAMIC).filter(|number| !is_event(number)).collect()
    }

    /// The codecs with their static payload types: audio is always sent as 8 or 0.
    fn codecs(&self) -> Vec<Codec> {
        self.payload_types
            .iter()
            .filter_map(|number| {
                let codec = Codec::from_payload_type(*number)?;
                let remapped = self.mapped.iter().find(|(mapped, _)| mapped == number);
                remapped.is_none_or(|(_, to)| *to == Some(codec)).then_some(codec)
            })
            .collect()
    }
}

/// The payload types without repetitions: at most 256, however long the list is.
fn distinct(listed: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut types = Vec::new();
    for number in listed {
        if !types.contains(&number) {
            types.push(number);
        }
    }
    types
}

/// Parses the value of a `c=` line, such as `IN IP4 192.0.2.1/127`.
fn connection(value: &str) -> Option<IpAddr> {
    let mut parts = value.split_whitespace();
    let is_internet = parts.next()? == "IN";
    let family = parts.next()?;
    let ip: IpAddr = parts.next()?.split('/').next()?.parse().ok()?;
    let fits = (family == "IP4") == ip.is_ipv4();
    (is_internet && fits && !ip.is_unspecified()).then_some(ip)
}
