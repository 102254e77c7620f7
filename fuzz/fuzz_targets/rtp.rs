//! RTP packets: what is read is what would be written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nexo_voice::rtp::wire::packet;

fuzz_target!(|datagram: &[u8]| {
    let Some((header, payload)) = packet::parse(datagram) else {
        return;
    };
    assert!(payload.len() + packet::HEADER_BYTES <= datagram.len());
    let again = [&header.bytes()[..], payload].concat();
    assert_eq!(packet::parse(&again), Some((header, payload)));
});
