//! Pressed keys: telephone-events in packets, and DTMF tones in samples.

use nexo_voice::rtp::wire::dtmf_tones::ToneDetector;
use nexo_voice::rtp::wire::telephone_event::{KeyChange, TelephoneEvent, TelephoneEventReader};

pub fn run(bytes: &[u8]) {
    let (mut reader, mut presses) = (TelephoneEventReader::default(), 0);
    // Each packet has four bytes of timestamp and an event.
    let packets = bytes.chunks(8);
    let most = packets.len();
    for packet in packets {
        let Some((timestamp, payload)) = packet.split_first_chunk::<4>() else {
            break;
        };
        if let Some(event) = TelephoneEvent::parse(payload) {
            assert_eq!(TelephoneEvent::parse(&event.bytes()), Some(event));
        }
        let change = reader.read(u32::from_be_bytes(*timestamp), payload);
        presses += usize::from(change.and_then(KeyChange::pressed).is_some());
    }
    assert!(presses <= most);
    let samples: Vec<i16> =
        bytes.chunks_exact(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect();
    let mut reader = ToneDetector::default();
    for frame in samples.chunks(160) {
        let _ = reader.detect(frame);
    }
}
