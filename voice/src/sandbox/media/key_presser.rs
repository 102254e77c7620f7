//! A person at the phone who presses a key when asked to.
//!
//! What is asked is not understood. But somebody who has spoken and then is silent for longer than
//! between two digits waits for something: then the person presses a key, once.

use crate::rtp::wire::packet::Header;
use crate::rtp::wire::telephone_event::{Event, Key};

/// Longer than the pause between two digits can be set.
const WAITING_FRAMES: u32 = 2_500 / 20;
/// So much speech is more than a noise.
const SPOKEN_FRAMES: u32 = 1_000 / 20;
/// The mean amplitude of a frame in which somebody speaks.
const SPEECH: u32 = 200;
/// A press of 100 ms, and its end three times.
const PRESS_PACKETS: u16 = 5;
const END_PACKETS: u16 = 3;
const PACKET_SAMPLES: u16 = 160;

/// What the person notices.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Attention {
    spoken: u32,
    silent: u32,
    has_pressed: bool,
}

impl Attention {
    /// Takes a packet of what is heard, as a rule 20 ms: whether a key is pressed now.
    pub fn notice(&mut self, samples: impl ExactSizeIterator<Item = i16>) -> bool {
        let length = samples.len() as u32;
        let sum: u32 = samples.map(|s| u32::from(s.unsigned_abs())).sum();
        let is_speech = sum > SPEECH * length;
        (self.spoken, self.silent) = match is_speech {
            true => (self.spoken + 1, 0),
            false => (self.spoken, self.silent + 1),
        };
        let is_asked = self.spoken >= SPOKEN_FRAMES && self.silent == WAITING_FRAMES;
        is_asked && !std::mem::replace(&mut self.has_pressed, true)
    }
}

/// A press that is being sent (RFC 4733 §2.5).
#[derive(Debug)]
pub(in crate::sandbox) struct Press {
    payload_type: u8,
    key: Key,
    timestamp: u32,
    sent: u16,
}

impl Press {
    pub fn start(payload_type: u8, key: Key, timestamp: u32) -> Press {
        Press {
            payload_type,
            key,
            timestamp,
            sent: 0,
        }
    }

    /// The next packet, of the stream whose audio has `header`. `None` when it is over.
    pub fn next(&mut self, header: &Header) -> Option<Vec<u8>> {
        if self.sent == PRESS_PACKETS + END_PACKETS {
            return None;
        }
        let event = Event {
            code: self.key.event(),
            is_end: self.sent >= PRESS_PACKETS,
            volume: 10,
            duration: (self.sent + 1).min(PRESS_PACKETS) * PACKET_SAMPLES,
        };
        let header = Header {
            marker: self.sent == 0,
            payload_type: self.payload_type,
            timestamp: self.timestamp,
            ..*header
        };
        self.sent += 1;
        Some([&header.bytes()[..], &event.bytes()].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::wire::packet;
    use crate::rtp::wire::telephone_event::KeyReader;

    const SPEAKING: [i16; 160] = [4000; 160];
    const SILENT: [i16; 160] = [3; 160];

    fn presses(attention: &mut Attention, frame: &[i16], frames: u32) -> usize {
        (0..frames)
            .filter(|_| attention.notice(frame.iter().copied()))
            .count()
    }

    #[test]
    fn a_key_is_pressed_once_after_speech_and_a_long_silence() {
        let mut attention = Attention::default();
        assert_eq!(presses(&mut attention, &SILENT, 500), 0, "nobody spoke");
        assert_eq!(presses(&mut attention, &SPEAKING, 60), 0);
        assert_eq!(
            presses(&mut attention, &SILENT, 100),
            0,
            "between two digits"
        );
        assert_eq!(presses(&mut attention, &SPEAKING, 10), 0);
        assert_eq!(presses(&mut attention, &SILENT, 200), 1);
        assert_eq!(presses(&mut attention, &SPEAKING, 100), 0);
        assert_eq!(presses(&mut attention, &SILENT, 500), 0, "once is enough");
    }

    #[test]
    fn a_press_is_read_as_one_key() {
        let key = Key::of_char('1').unwrap();
        let mut press = Press::start(96, key, 4800);
        let mut header = Header {
            marker: false,
            payload_type: 8,
            sequence: 7,
            timestamp: 4800,
            ssrc: 1,
        };
        let (mut reader, mut keys, mut packets) = (KeyReader::default(), Vec::new(), 0);
        while let Some(bytes) = press.next(&header) {
            let (sent, payload) = packet::parse(&bytes).unwrap();
            assert_eq!((sent.payload_type, sent.timestamp), (96, 4800));
            keys.extend(reader.take(sent.timestamp, payload));
            header.sequence += 1;
            packets += 1;
        }
        assert_eq!((keys, packets), (vec![key], 8));
    }
}
