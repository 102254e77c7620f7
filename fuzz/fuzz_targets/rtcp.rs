//! RTCP packets: every report block, and the round trip that it tells of.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nexo_voice::rtp::wire::rtcp;
use nexo_voice::rtp::wire::rtcp::News;

fuzz_target!(|datagram: &[u8]| {
    let news = rtcp::read(datagram);
    // A block takes 24 bytes, a sender report 28.
    assert!(news.len() * 24 <= datagram.len());
    for item in news {
        match item {
            News::Sender { .. } => {}
            News::Block(block) => {
                let middle = u64::from(block.last_report.wrapping_add(block.since_last_report));
                for ntp in [0, middle << 16, u64::MAX] {
                    let _ = block.round_trip(ntp);
                }
            }
        }
    }
});
