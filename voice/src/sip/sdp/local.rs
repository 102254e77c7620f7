//! Our descriptions in the course of one call: the first offer, answers to the far end's offers, and later offers.
//!
//! A description of ours has as many `m=` lines as the far end's offer, in its order. Lines that we do not take have
//! port 0 (RFC 3264 §6), and stay in our later offers: their number never shrinks (§8).

use super::audio::{Audio, CryptoLines, Direction, SdpError};
use super::negotiate::{agree, agree_keys, common_formats};
use super::read::{Address, Session, Stream, read};
use super::sdes::Crypto;
use super::write::{MediaLine, write_streams};
use crate::audio::g711::Format;
use crate::rtp::srtp::Suite;

/// Our current description of a call.
#[derive(Clone, Debug, Default)]
pub struct LocalDescription {
    first_offer: Vec<u8>,
    /// The current one, if it is not the first.
    current: Option<Vec<u8>>,
    /// The SRTP suite that the far end has chosen. It stays for the whole call, as our key does.
    suite: Option<Suite>,
}

/// Our side of an accepted stream.
struct Accepted {
    audio: Audio,
    formats: Vec<Format>,
    direction: Direction,
}

impl LocalDescription {
    /// Begins with our first offer, as [`write`](super::write) returns it.
    pub fn new(first_offer: Vec<u8>) -> LocalDescription {
        LocalDescription { first_offer, current: None, suite: None }
    }

    /// The current description.
    pub fn text(&self) -> &[u8] {
        self.current.as_ref().unwrap_or(&self.first_offer)
    }

    /// Notes the far end's answer to our first offer.
    pub fn accepted(&mut self, answer: &[u8]) {
        let agreed = self.audio().and_then(|own| agree(answer, &own));
        let keys = agreed.ok().and_then(|agreed| agreed.srtp_keys);
        self.suite = keys.map(|keys| keys.ours.suite());
    }

    /// Answers an offer that the far end makes during a call (RFC 3264 §6), with the next version of our description.
    /// The address 0.0.0.0 holds the call, an offer without any stream too.
    ///
    /// # Errors
    /// [`SdpError`] if the offer cannot be accepted. Nothing has changed then.
    pub fn answer(&mut self, offer: &[u8]) -> Result<&[u8], SdpError> {
        let text = String::from_utf8_lossy(offer);
        let theirs = Session::parse(&text)?;
        if theirs.has_more_streams {
            return Err(SdpError::TooManyStreams);
        }
        let own = self.audio()?;
        let accepted = match theirs.first(|stream| accept(stream, &own)) {
            Ok(accepted) => Some(accepted),
            // The far end removes all streams (§8.2).
            Err(SdpError::Rejected) if theirs.streams.iter().all(|s| s.port == 0) => None,
            Err(error) => return Err(error),
        };
        let lines = theirs.streams.iter().enumerate().map(|(index, stream)| match &accepted {
            Some((ours, accepted)) if *ours == index => {
                Ok(MediaLine::Ours { formats: &accepted.formats, direction: accepted.direction })
            }
            Some(_) | None => refused(stream),
        });
        let lines = lines.collect::<Result<Vec<_>, _>>()?;
        let audio = accepted.as_ref().map_or(&own, |(_, accepted)| &accepted.audio);
        let next = write_streams(audio, self.next_version()?, &lines);
        Ok(self.current.insert(next.into_bytes()))
    }

    /// Makes an offer (RFC 3264 §8): again the first one, with the streams that have been added since.
    pub fn offer(&mut self) -> &[u8] {
        if self.current.is_some()
            && let Ok(next) = self.next_offer()
        {
            self.current = Some(next.into_bytes());
        }
        self.text()
    }

    fn next_offer(&self) -> Result<String, SdpError> {
        let audio = self.audio()?;
        let formats: Vec<Format> = audio.codecs.iter().copied().map(Format::of).collect();
        let text = String::from_utf8_lossy(self.text());
        let streams = Session::parse(&text)?.streams;
        // A removed stream of ours has port 0. Its place is used again.
        let ours = streams.iter().position(|stream| stream.port != 0);
        let ours = ours.or_else(|| streams.iter().position(Stream::is_supported));
        let lines = streams.iter().enumerate().map(|(index, stream)| match ours == Some(index) {
            true => Ok(MediaLine::Ours { formats: &formats, direction: Direction::SendRecv }),
            false => refused(stream),
        });
        let lines = lines.collect::<Result<Vec<_>, _>>()?;
        Ok(write_streams(&audio, self.next_version()?, &lines))
    }

    /// Our stream with all codecs, and with the key in use once the far end has chosen.
    fn audio(&self) -> Result<Audio, SdpError> {
        let first = read(&self.first_offer)?;
        let crypto = match self.suite {
            Some(suite) => first.crypto.of_suite(suite),
            None => first.crypto,
        };
        Ok(Audio { crypto, ..first })
    }

    /// The session ID and the next version of `o=nexo SESSION VERSION …`.
    fn next_version(&self) -> Result<(u64, u64), SdpError> {
        let text = String::from_utf8_lossy(self.text());
        let line = text.lines().find_map(|line| line.strip_prefix("o="));
        let mut numbers = line.unwrap_or_default().split(' ').skip(1).map(str::parse::<u64>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(session)), Some(Ok(version))) => Ok((session, version.wrapping_add(1))),
            _ => Err(SdpError::Malformed),
        }
    }

    /// Its approximate heap memory in bytes.
    pub fn bytes_held(&self) -> usize {
        self.first_offer.capacity() + self.current.as_ref().map_or(0, Vec::capacity)
    }
}

/// Our side of an offered stream, if we take it.
fn accept(stream: &Stream<'_>, own: &Audio) -> Result<Accepted, SdpError> {
    let formats = common_formats(stream, own)?;
    // RFC 4568 §5.1.2: the answer repeats the tag of the accepted attribute.
    let crypto = match agree_keys(own, &stream.crypto()?)? {
        Some((tag, keys)) => CryptoLines::of(&[Crypto { tag, key: keys.ours }]),
        None => CryptoLines::default(),
    };
    let offered = stream.direction.unwrap_or(Direction::SendRecv);
    let offered = match stream.address.ok_or(SdpError::NoAddress)? {
        Address::Unknown => offered.without_receiving(),
        Address::Ip(_) | Address::Host(_) => offered,
    };
    let telephone_event = stream.telephone_event();
    Ok(Accepted {
        audio: Audio { telephone_event, crypto, ..own.clone() },
        formats,
        direction: offered.mirrored(),
    })
}

/// The line that refuses an offered stream.
fn refused<'a>(stream: &Stream<'a>) -> Result<MediaLine<'a>, SdpError> {
    let is_token = |word: &str| {
        (1..=64).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let (media, profile, format) = (stream.media, stream.profile, stream.first_format);
    match [media, profile, format].into_iter().all(is_token) {
        true => Ok(MediaLine::Refused { media, profile, format }),
        false => Err(SdpError::Malformed),
    }
}
