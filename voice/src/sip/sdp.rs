//! SDP (RFC 4566) as far as one audio stream of G.711 needs it: the offer, the answer, and reading both.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

use crate::g711::Codec;

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
}

/// Why a description cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SdpError {
    #[error("it is no session description")]
    Malformed,
    #[error("it has no audio stream over RTP/AVP")]
    NoAudio,
    #[error("its audio stream is rejected: port 0")]
    Rejected,
    #[error("it lists no codec that is known here")]
    NoCodec,
    #[error("it gives no IP address for the audio")]
    NoAddress,
}

/// Writes a description of one G.711 stream in both directions. `session` is any number, the
/// same for the same call.
pub fn write(audio: &Audio, session: u64) -> String {
    let ip = audio.rtp.ip();
    let family = match ip {
        IpAddr::V4(_) => "IP4",
        IpAddr::V6(_) => "IP6",
    };
    let mut text = format!(
        "v=0\r\no=nexo {session} 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\nm=audio {} RTP/AVP",
        audio.rtp.port()
    );
    // Writing to a String cannot fail.
    for codec in &audio.codecs {
        let _ = write!(text, " {}", codec.payload_type());
    }
    text.push_str("\r\n");
    for codec in &audio.codecs {
        let (number, name) = (codec.payload_type(), codec.name());
        let _ = write!(text, "a=rtpmap:{number} {name}/8000\r\n");
    }
    text.push_str("a=ptime:20\r\na=sendrecv\r\n");
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

/// What an answer to our offer agrees to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The first codec of the answer that was offered.
    pub codec: Codec,
    /// Where the far end wants RTP.
    pub rtp: SocketAddr,
    /// Where the far end wants RTCP (RFC 3605, else one port up).
    pub rtcp: SocketAddr,
    pub direction: Direction,
    /// How much audio it would like in a packet, in milliseconds.
    pub ptime_ms: Option<u16>,
}

/// Reads the answer to an offer of `offered`.
///
/// # Errors
/// [`SdpError`], by what keeps it from being used; [`SdpError::NoCodec`] also where it lists none
/// that was offered.
pub fn read_answer(body: &[u8], offered: &[Codec]) -> Result<Answer, SdpError> {
    let description = read_description(body)?;
    let mut listed = description.audio.codecs.iter().copied();
    Ok(Answer {
        codec: listed
            .find(|codec| offered.contains(codec))
            .ok_or(SdpError::NoCodec)?,
        rtp: description.audio.rtp,
        rtcp: description.audio.rtcp,
        direction: description.direction,
        ptime_ms: description.ptime_ms,
    })
}

struct Description {
    audio: Audio,
    direction: Direction,
    ptime_ms: Option<u16>,
}

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
    Ok(Description {
        audio: Audio {
            rtp: SocketAddr::new(ip, stream.port),
            rtcp,
            codecs,
        },
        direction: stream
            .direction
            .or(session_direction)
            .unwrap_or(Direction::SendRecv),
        ptime_ms: stream.ptime_ms,
    })
}

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
    ip: Option<IpAddr>,
    rtcp_port: Option<u16>,
    rtcp_ip: Option<IpAddr>,
    direction: Option<Direction>,
    ptime_ms: Option<u16>,
}

impl Stream {
    /// `audio 20000 RTP/AVP 8 0`; `None` for what is no such stream.
    fn parse(value: &str) -> Option<Stream> {
        let mut parts = value.split_whitespace();
        let is_audio = parts.next()? == "audio";
        let port = parts.next()?.split('/').next()?.parse().ok()?;
        let is_plain = parts.next()? == "RTP/AVP";
        (is_audio && is_plain).then(|| Stream {
            port,
            payload_types: parts.filter_map(|part| part.parse().ok()).collect(),
            mapped: Vec::new(),
            ip: None,
            rtcp_port: None,
            rtcp_ip: None,
            direction: None,
            ptime_ms: None,
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
                self.mapped
                    .push((number, codec.filter(|_| rate == Some("8000"))));
            }
        } else if let Some(rtcp) = value.strip_prefix("rtcp:") {
            let mut parts = rtcp.split_whitespace();
            self.rtcp_port = parts.next().and_then(|port| port.parse().ok());
            self.rtcp_ip = parts.nth(2).and_then(|ip| ip.parse().ok());
        } else if let Some(ptime) = value.strip_prefix("ptime:") {
            self.ptime_ms = ptime.trim().parse().ok();
        } else if let Some(direction) = Direction::parse(value) {
            self.direction = Some(direction);
        }
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
    use proptest::prelude::*;

    fn audio() -> Audio {
        Audio {
            rtp: ([192, 0, 2, 1], 20_000).into(),
            rtcp: ([192, 0, 2, 1], 20_001).into(),
            codecs: vec![Codec::Pcma, Codec::Pcmu],
        }
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
        };
        assert_eq!(read(write(&v6, 7).as_bytes()), Ok(v6));
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
        let both = read_answer(text.as_bytes(), &[Codec::Pcma, Codec::Pcmu]).unwrap();
        assert_eq!((both.codec, both.ptime_ms), (Codec::Pcmu, Some(40)));
        assert_eq!(both.direction, Direction::SendOnly);
        assert!(!both.direction.listens());
        let one = read_answer(text.as_bytes(), &[Codec::Pcma]).unwrap();
        assert_eq!(one.codec, Codec::Pcma);
        assert_eq!(read_answer(text.as_bytes(), &[]), Err(SdpError::NoCodec));
    }

    #[test]
    fn the_streams_own_direction_beats_the_sessions() {
        let text =
            "v=0\r\nc=IN IP4 192.0.2.1\r\na=inactive\r\nm=audio 4000 RTP/AVP 8\r\na=recvonly\r\n";
        let answer = read_answer(text.as_bytes(), &[Codec::Pcma]).unwrap();
        assert_eq!(answer.direction, Direction::RecvOnly);
        assert!(answer.direction.listens());
        let silent = write(&audio(), 7).replace("a=sendrecv\r\n", "");
        let answer = read_answer(silent.as_bytes(), &[Codec::Pcma]).unwrap();
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
            ("v=0\r\nm=audio 4000 RTP/SAVP 8\r\n", SdpError::NoAudio),
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
            let _ = read(text.as_bytes());
        }
    }
}
