//! Presses a key when the caller asks for one.
//!
//! The request itself is not recognised. A caller that has spoken and is then silent for longer
//! than between two digits is waiting for something: then a key is pressed, once.

use crate::rtp::wire::packet::Header;
use crate::rtp::wire::telephone_event::{DtmfKey, TelephoneEvent};

/// Longer than the longest configurable pause between two digits.
const PROMPT_SILENCE_FRAMES: u32 = 2_500 / 20;
/// The least speech, so that a noise does not count.
const MIN_SPEECH_FRAMES: u32 = 1_000 / 20;
/// The least mean amplitude of a frame of speech.
const SPEECH_AMPLITUDE: u32 = 200;
/// A press of 100 ms, and its end sent three times.
const PRESS_PACKETS: u16 = 5;
const END_PACKETS: u16 = 3;
const PACKET_SAMPLES: u16 = 160;

/// Decides when to press the key.
#[derive(Debug, Default)]
pub(crate) struct KeyPresser {
    spoken: u32,
    silent: u32,
    has_pressed: bool,
}

impl KeyPresser {
    /// Handles a frame of received audio, usually 20 ms. Returns whether the key is pressed now.
    pub fn take_frame(&mut self, samples: impl ExactSizeIterator<Item = i16>) -> bool {
        let length = samples.len() as u32;
        let sum: u32 = samples.map(|s| u32::from(s.unsigned_abs())).sum();
        let is_speech = sum > SPEECH_AMPLITUDE * length;
        (self.spoken, self.silent) = match is_speech {
            true => (self.spoken + 1, 0),
            false => (self.spoken, self.silent + 1),
        };
        let is_asked = self.spoken >= MIN_SPEECH_FRAMES && self.silent == PROMPT_SILENCE_FRAMES;
        is_asked && !std::mem::replace(&mut self.has_pressed, true)
    }
}

/// A key press that is being sent (RFC 4733 §2.5).
#[derive(Debug)]
pub(crate) struct KeyPress {
    payload_type: u8,
    key: DtmfKey,
    timestamp: u32,
    sent: u16,
}

impl KeyPress {
    pub fn start(payload_type: u8, key: DtmfKey, timestamp: u32) -> KeyPress {
        KeyPress { payload_type, key, timestamp, sent: 0 }
    }

    /// Returns the next packet, for the stream whose audio has `header`. `None` after the last one.
    pub fn next(&mut self, header: &Header) -> Option<Vec<u8>> {
        if self.sent == PRESS_PACKETS + END_PACKETS {
            return None;
        }
        let event = TelephoneEvent {
            code: self.key.code(),
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
    use crate::rtp::wire::telephone_event::{KeyChange, TelephoneEventReader};

    const SPEAKING: [i16; 160] = [4000; 160];
    const SILENT: [i16; 160] = [3; 160];

    fn presses(presser: &mut KeyPresser, frame: &[i16], frames: u32) -> usize {
        (0..frames).filter(|_| presser.take_frame(frame.iter().copied())).count()
    }

    #[test]
    fn a_key_is_pressed_once_after_speech_and_a_long_silence() {
        let mut presser = KeyPresser::default();
        assert_eq!(presses(&mut presser, &SILENT, 500), 0, "no speech yet");
        assert_eq!(presses(&mut presser, &SPEAKING, 60), 0);
        assert_eq!(presses(&mut presser, &SILENT, 100), 0, "between two digits");
        assert_eq!(presses(&mut presser, &SPEAKING, 10), 0);
        assert_eq!(presses(&mut presser, &SILENT, 200), 1);
        assert_eq!(presses(&mut presser, &SPEAKING, 100), 0);
        assert_eq!(presses(&mut presser, &SILENT, 500), 0, "only one key is pressed");
    }

    #[test]
    fn a_press_is_read_as_one_key() {
        let key = DtmfKey::from_char('1').unwrap();
        let mut press = KeyPress::start(96, key, 4800);
        let mut header =
            Header { marker: false, payload_type: 8, sequence: 7, timestamp: 4800, ssrc: 1 };
        let (mut reader, mut keys, mut packets) = (TelephoneEventReader::default(), Vec::new(), 0);
        while let Some(bytes) = press.next(&header) {
            let (sent, payload) = packet::parse(&bytes).unwrap();
            assert_eq!((sent.payload_type, sent.timestamp), (96, 4800));
            let change = reader.read(sent.timestamp, payload);
            keys.extend(change.and_then(KeyChange::pressed));
            header.sequence += 1;
            packets += 1;
        }
        assert_eq!((keys, packets), (vec![key], 8));
    }
}
