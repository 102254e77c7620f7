//! Writing session descriptions.

use std::fmt::Write;
use std::net::IpAddr;

use super::audio::{Audio, Direction, PLAIN, PROTECTED};
use crate::audio::g711::Format;

/// Writes the first description of a stream that sends and receives. `session` is the session ID of the
/// `o=` line; it must stay the same for a call.
pub fn write(audio: &Audio, session: u64) -> String {
    let formats: Vec<Format> = audio.codecs.iter().copied().map(Format::of).collect();
    let direction = Direction::SendRecv;
    write_streams(audio, (session, 1), &[MediaLine::Ours { formats: &formats, direction }])
}

/// One `m=` section of a description of ours.
pub(super) enum MediaLine<'a> {
    /// Our audio stream.
    Ours { formats: &'a [Format], direction: Direction },
    /// A stream of the far end that we do not take (RFC 3264 §6). One format of it must be listed.
    Refused { media: &'a str, profile: &'a str, format: &'a str },
}

/// Writes a description with this session ID and version number in its `o=` line.
pub(super) fn write_streams(
    audio: &Audio,
    (session, version): (u64, u64),
    streams: &[MediaLine<'_>],
) -> String {
    let ip = audio.rtp.ip();
    let family = match ip {
        IpAddr::V4(_) => "IP4",
        IpAddr::V6(_) => "IP6",
    };
    let mut text = format!(
        "v=0\r\no=nexo {session} {version} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n"
    );
    for stream in streams {
        match stream {
            MediaLine::Ours { formats, direction } => {
                write_ours(audio, formats, *direction, &mut text);
            }
            MediaLine::Refused { media, profile, format } => {
                // Writing to a String cannot fail.
                let _ = write!(text, "m={media} 0 {profile} {format}\r\n");
            }
        }
    }
    text
}

fn write_ours(audio: &Audio, formats: &[Format], direction: Direction, text: &mut String) {
    let profile = match audio.crypto.is_empty() {
        true => PLAIN,
        false => PROTECTED,
    };
    let _ = write!(text, "m=audio {} {profile}", audio.rtp.port());
    for format in formats {
        let _ = write!(text, " {}", format.payload_type);
    }
    if let Some(number) = audio.telephone_event {
        let _ = write!(text, " {number}");
    }
    text.push_str("\r\n");
    for Format { codec, payload_type } in formats {
        let _ = write!(text, "a=rtpmap:{payload_type} {}/8000\r\n", codec.name());
    }
    if let Some(number) = audio.telephone_event {
        let _ = write!(text, "a=rtpmap:{number} telephone-event/8000\r\na=fmtp:{number} 0-15\r\n");
    }
    for value in audio.crypto.values() {
        let _ = write!(text, "a=crypto:{value}\r\n");
    }
    let _ = write!(text, "a=ptime:20\r\na=maxptime:60\r\na={}\r\n", direction.name());
    if audio.rtcp.port() != audio.rtp.port().wrapping_add(1) {
        let _ = write!(text, "a=rtcp:{}\r\n", audio.rtcp.port());
    }
}
