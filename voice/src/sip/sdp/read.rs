//! Reading session descriptions, as lenient as the meaning allows: bytes that are not UTF-8, any line ends, lines in
//! any order within a section, unknown lines.

use std::net::{IpAddr, SocketAddr};

use super::audio::{Audio, CryptoLines, Direction, PLAIN, PROTECTED, SdpError};
use crate::audio::g711::{Codec, Format};
use crate::rtp::wire::telephone_event::PayloadTypes;

/// Reads the first usable audio stream of a description.
///
/// # Errors
/// [`SdpError`] if the description cannot be used; [`SdpError::NoAddress`] also for a host name.
pub fn read(body: &[u8]) -> Result<Audio, SdpError> {
    let text = String::from_utf8_lossy(body);
    let (_, audio) = Session::parse(&text)?.first(Stream::audio)?;
    Ok(audio)
}

/// The first dynamic payload type (RFC 3551 §6).
const FIRST_DYNAMIC: u8 = 96;
/// The most streams that are read.
const MAX_STREAMS: usize = 16;
/// Further `a=crypto:` attributes of a stream are ignored.
const MAX_CRYPTO_LINES: usize = 16;

/// A description.
pub(super) struct Session<'a> {
    pub streams: Vec<Stream<'a>>,
    /// Whether there are more than [`MAX_STREAMS`].
    pub has_more_streams: bool,
}

impl<'a> Session<'a> {
    pub fn parse(text: &'a str) -> Result<Session<'a>, SdpError> {
        let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        if !text.starts_with("v=") {
            return Err(SdpError::Malformed);
        }
        let mut session = Session { streams: Vec::new(), has_more_streams: false };
        let (mut address, mut direction) = (None, None);
        for line in text.split(['\r', '\n']) {
            let Some((kind, value)) = line.trim().split_once('=') else {
                continue;
            };
            if kind == "m" && session.streams.len() == MAX_STREAMS {
                session.has_more_streams = true;
                break;
            }
            match (kind, session.streams.last_mut()) {
                ("m", _) => session.streams.push(Stream::parse(value, address, direction)),
                ("c", Some(stream)) => stream.address = Address::parse(value).or(stream.address),
                ("c", None) => address = Address::parse(value),
                ("a", Some(stream)) => stream.attribute(value),
                ("a", None) => direction = Direction::parse(value).or(direction),
                (_, _) => {}
            }
        }
        Ok(session)
    }

    /// The index of the first audio stream that `accept` takes, and what it returns. Otherwise the error of the stream
    /// that comes closest.
    pub fn first<T>(
        &self,
        accept: impl Fn(&Stream<'a>) -> Result<T, SdpError>,
    ) -> Result<(usize, T), SdpError> {
        let mut closest = SdpError::NoAudio;
        for (index, stream) in self.streams.iter().enumerate() {
            let error = match (stream.is_supported(), stream.port) {
                (false, _) => SdpError::NoAudio,
                (true, 0) => SdpError::Rejected,
                (true, _) => match accept(stream) {
                    Ok(accepted) => return Ok((index, accepted)),
                    Err(error) => error,
                },
            };
            closest = match (closest, error) {
                (SdpError::NoAudio, error) => error,
                (SdpError::Rejected, error) if error != SdpError::NoAudio => error,
                (closest, _) => closest,
            };
        }
        Err(closest)
    }
}

/// The value of a `c=` line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Address<'a> {
    Ip(IpAddr),
    /// 0.0.0.0, `::` or a name in `.invalid`: there is no address yet, and the stream is on hold (RFC 3264 §8.4).
    Unknown,
    /// A host name.
    Host(&'a str),
}

/// The longest host name (RFC 1035 §2.3.4).
const MAX_HOST_BYTES: usize = 253;

impl<'a> Address<'a> {
    /// Parses a value such as `IN IP4 192.0.2.1/127`. The family follows from the address, not from its name.
    fn parse(value: &'a str) -> Option<Address<'a>> {
        let mut words = value.split_whitespace();
        let is_internet = words.next()?.eq_ignore_ascii_case("IN");
        let host = words.nth(1)?.split('/').next()?;
        let address = match host.parse::<IpAddr>() {
            Ok(ip) if ip.is_unspecified() => Address::Unknown,
            Ok(ip) => Address::Ip(ip),
            Err(_) if host.to_ascii_lowercase().ends_with(".invalid") => Address::Unknown,
            Err(_) => Address::Host(Some(host).filter(|host| is_host_name(host))?),
        };
        is_internet.then_some(address)
    }
}

fn is_host_name(host: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=MAX_HOST_BYTES).contains(&host.len())
        && host.bytes().all(is_plain)
        && host.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// One `a=rtpmap` entry of `telephone-event`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct EventType {
    pub number: u8,
    /// Whether its clock rate is that of G.711.
    is_8000: bool,
}

/// The lines of one `m=` section, with what it inherits from the session.
pub(super) struct Stream<'a> {
    /// Such as `audio`.
    pub media: &'a str,
    /// 0: the stream is rejected or not used.
    pub port: u16,
    /// Such as `RTP/AVP`.
    pub profile: &'a str,
    /// The first format, as written.
    pub first_format: &'a str,
    pub address: Option<Address<'a>>,
    pub direction: Option<Direction>,
    pub ptime_ms: Option<u16>,
    pub maxptime_ms: Option<u16>,
    pub rtcp_port: Option<u16>,
    pub rtcp_ip: Option<IpAddr>,
    payload_types: Vec<u8>,
    /// The `a=rtpmap` entries: payload type and, if it is supported, codec.
    mapped: Vec<(u8, Option<Codec>)>,
    /// The payload types of DTMF events, and their clock rates.
    events: Vec<EventType>,
    crypto: CryptoLines,
}

impl<'a> Stream<'a> {
    /// Parses `audio 20000 RTP/AVP 8 0`. What is missing is empty.
    fn parse(
        value: &'a str,
        address: Option<Address<'a>>,
        direction: Option<Direction>,
    ) -> Stream<'a> {
        let mut words = value.split_whitespace();
        let mut word = || words.next().unwrap_or_default();
        let (media, port, profile) = (word(), word(), word());
        let formats = words;
        Stream {
            media,
            port: port.split('/').next().and_then(|port| port.parse().ok()).unwrap_or(0),
            profile,
            first_format: formats.clone().next().unwrap_or_default(),
            address,
            direction,
            ptime_ms: None,
            maxptime_ms: None,
            rtcp_port: None,
            rtcp_ip: None,
            payload_types: distinct(formats.filter_map(|format| format.parse().ok())),
            mapped: Vec::new(),
            events: Vec::new(),
            crypto: CryptoLines::default(),
        }
    }

    /// Whether it is an audio stream with a profile of ours.
    pub fn is_supported(&self) -> bool {
        let is_ours = |profile| self.profile.eq_ignore_ascii_case(profile);
        self.media.eq_ignore_ascii_case("audio") && (is_ours(PLAIN) || is_ours(PROTECTED))
    }

    fn audio(&self) -> Result<Audio, SdpError> {
        let Some(Address::Ip(ip)) = self.address else {
            return Err(SdpError::NoAddress);
        };
        let formats = self.formats();
        if formats.is_empty() {
            return Err(SdpError::NoCodec);
        }
        Ok(Audio {
            rtp: SocketAddr::new(ip, self.port),
            rtcp: self.rtcp(ip),
            codecs: formats.iter().map(|format| format.codec).collect(),
            telephone_event: self.telephone_event(),
            crypto: self.crypto()?,
        })
    }

    /// The RTCP address of a stream with the RTP address `ip` (RFC 3605).
    pub fn rtcp(&self, ip: IpAddr) -> SocketAddr {
        let port = self.rtcp_port.unwrap_or(self.port.wrapping_add(1));
        SocketAddr::new(self.rtcp_ip.unwrap_or(ip), port)
    }

    /// Its keys. Some far ends add keys to plain RTP/AVP, as an option. They are not used.
    pub fn crypto(&self) -> Result<CryptoLines, SdpError> {
        let is_protected = self.profile.eq_ignore_ascii_case(PROTECTED);
        match (is_protected, self.crypto.is_empty()) {
            (true, true) => Err(SdpError::SrtpMismatch),
            (true, false) => Ok(self.crypto.clone()),
            (false, _) => Ok(CryptoLines::default()),
        }
    }

    fn attribute(&mut self, value: &str) {
        if let Some(map) = value.strip_prefix("rtpmap:") {
            self.map_payload_type(map);
        } else if let Some(rtcp) = value.strip_prefix("rtcp:") {
            let mut parts = rtcp.split_whitespace();
            self.rtcp_port = parts.next().and_then(|port| port.parse().ok());
            let ip = parts.nth(2).and_then(|ip| ip.parse().ok());
            self.rtcp_ip = ip.filter(|ip: &IpAddr| !ip.is_unspecified());
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
        let is_mono = parts.next().is_none_or(|channels| channels == "1");
        self.mapped.push((number, codec.filter(|_| is_8000 && is_mono)));
    }

    pub fn listed_events(&self) -> impl Iterator<Item = &EventType> {
        self.events.iter().filter(|event| self.payload_types.contains(&event.number))
    }

    pub fn telephone_event(&self) -> Option<u8> {
        self.listed_events().find(|event| event.is_8000).map(|event| event.number)
    }

    /// The payload types that are not those of DTMF events: mapped to something else, or static.
    pub fn others(&self) -> PayloadTypes {
        let is_event = |number: &u8| self.events.iter().any(|event| event.number == *number);
        let mapped = self.mapped.iter().map(|(number, _)| *number);
        mapped.chain(0..FIRST_DYNAMIC).filter(|number| !is_event(number)).collect()
    }

    /// The supported formats, each codec once: under the first payload type that stands for it.
    pub fn formats(&self) -> Vec<Format> {
        let mut formats: Vec<Format> = Vec::new();
        for number in self.payload_types.iter().copied() {
            let codec = match self.mapped.iter().find(|(mapped, _)| *mapped == number) {
                Some((_, codec)) => *codec,
                None => Codec::from_payload_type(number),
            };
            if let Some(codec) = codec.filter(|codec| formats.iter().all(|f| f.codec != *codec)) {
                formats.push(Format { codec, payload_type: number });
            }
        }
        formats
    }
}

/// The payload types without repetitions: at most 128, however long the list is.
fn distinct(listed: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut types = Vec::new();
    for number in listed.filter(|number| *number < 128) {
        if !types.contains(&number) {
            types.push(number);
        }
    }
    types
}
