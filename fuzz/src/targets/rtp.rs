//! RTP packets: a parsed packet, written again, parses to the same values.

use nexo_voice::rtp::wire::packet;

pub fn run(datagram: &[u8]) {
    let Some((header, payload)) = packet::parse(datagram) else {
        return;
    };
    assert!(payload.len() + packet::HEADER_BYTES <= datagram.len());
    let again = [&header.bytes()[..], payload].concat();
    assert_eq!(packet::parse(&again), Some((header, payload)));
}
