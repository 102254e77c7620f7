//! Writing session descriptions.

use std::fmt::Write;
use std::net::IpAddr;

use super::audio::{Audio, Direction, PLAIN, PROTECTED};

/// Writes the first description of a stream that sends and receives. `session` is the session ID of the
/// `o=` line; it must stay the same for a call.
pub fn write(audio: &Audio, session: u64) -> String {
    write_version(audio, session, 1, Direction::SendRecv)
}

/// Writes the description with this version number in its `o=` line.
pub(super) fn write_version(
    audio: &Audio,
    session: u64,
    version: u64,
    direction: Direction,
) -> String {
    let ip = audio.rtp.ip();
    let family = match ip {
        IpAddr::V4(_) => "IP4",
        IpAddr::V6(_) => "IP6",
    };
    let profile = match audio.crypto.is_empty() {
        true => PLAIN,
        false => PROTECTED,
    };
    let mut text = format!(
        "v=0\r\no=nexo {session} {version} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\nm=audio {} {profile}",
        audio.rtp.port(),
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
        let _ = write!(text, "a=rtpmap:{number} telephone-event/8000\r\na=fmtp:{number} 0-15\r\n");
    }
    for value in audio.crypto.values() {
        let _ = write!(text, "a=crypto:{value}\r\n");
    }
    let _ = write!(text, "a=ptime:20\r\na=maxptime:60\r\na={}\r\n", direction.name());
    if audio.rtcp.port() != audio.rtp.port().wrapping_add(1) {
        let _ = write!(text, "a=rtcp:{}\r\n", audio.rtcp.port());
    }
    text
}
