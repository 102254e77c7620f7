//! RTCP packets: every report block, and the round trip computed from it.

use nexo_voice::rtp::wire::rtcp::{self, RtcpItem};

pub fn run(datagram: &[u8]) {
    let items = rtcp::parse(datagram);
    // A block takes 24 bytes, a sender report 28.
    assert!(items.len() * 24 <= datagram.len());
    for item in items {
        match item {
            RtcpItem::SenderTime { .. } => {}
            RtcpItem::Block(block) => {
                let middle = u64::from(block.last_report.wrapping_add(block.since_last_report));
                for ntp in [0, middle << 16, u64::MAX] {
                    let _ = block.round_trip(ntp);
                }
            }
        }
    }
}
