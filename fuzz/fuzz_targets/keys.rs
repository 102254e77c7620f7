//! Pressed keys: events in packets, and tones in samples.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nexo_voice::rtp::wire::telephone_event::{Event, KeyReader};
use nexo_voice::rtp::wire::dtmf_tones::ToneReader;

fuzz_target!(|bytes: &[u8]| {
    let (mut reader, mut presses) = (KeyReader::default(), 0);
    // Each packet: four bytes of timestamp, and an event.
    let packets = bytes.chunks(8);
    let most = packets.len();
    for packet in packets {
        let Some((timestamp, payload)) = packet.split_first_chunk::<4>() else {
            break;
        };
        if let Some(event) = Event::read(payload) {
            assert_eq!(Event::read(&event.bytes()), Some(event));
        }
        presses += usize::from(
            reader
                .take(u32::from_be_bytes(*timestamp), payload)
                .is_some(),
        );
    }
    assert!(presses <= most);
    let samples: Vec<i16> = bytes
        .chunks_exact(2)
        .map(|pair| i16::from_be_bytes([pair[0], pair[1]]))
        .collect();
    let mut reader = ToneReader::default();
    for frame in samples.chunks(160) {
        let _ = reader.take(frame);
    }
});
