//! What a stream sends.

use std::collections::HashMap;

use super::*;

#[test]
fn a_stream_is_its_script_in_order_with_consecutive_numbers() {
    let fixture = Fixture::new();
    let (reserved, playing) = fixture.play(10);
    let (first, payload) = fixture.packet();
    assert!(first.marker);
    assert_eq!((first.payload_type, payload), (8, vec![1; FRAME]));
    for n in 1..12_u16 {
        let (header, payload) = fixture.packet();
        assert!(!header.marker);
        assert_eq!(header.sequence, first.sequence.wrapping_add(n));
        let samples = u32::from(n) * 160;
        assert_eq!(header.timestamp, first.timestamp.wrapping_add(samples));
        assert_eq!(header.ssrc, first.ssrc);
        let expected = if n < 10 { n % 5 + 1 } else { 1 };
        assert_eq!(payload, vec![expected as u8; FRAME], "packet {n}");
    }
    let stream = reserved.stream;
    let mark = mark();
    assert_eq!(fixture.next(), MediaEvent::MarkReached { stream, mark });
    assert_eq!(fixture.next(), MediaEvent::Finished { stream });
    assert_eq!(playing.stats().packets_sent, 12);
}

#[test]
fn frames_are_sent_at_the_rate_of_the_audio() {
    let fixture = Fixture::new();
    let (_, _playing) = fixture.play(50);
    fixture.packet();
    let started = Instant::now();
    for _ in 0..50 {
        fixture.packet();
    }
    // One second of audio. A busy machine may only delay the first or the last packet.
    let took = started.elapsed();
    assert!(took > Duration::from_millis(800), "{took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_long_stream_sends_reports_and_a_bye() {
    let fixture = Fixture::new();
    let (_, playing) = fixture.play(500);
    let (first, _) = fixture.packet();
    let report = fixture.report();
    assert_eq!(report[1], 200);
    assert_eq!(report[4..8], first.ssrc.to_be_bytes());
    let word = |at: usize| u32::from_be_bytes(report[at..at + 4].try_into().unwrap());
    let (timestamp, packets, octets) = (word(16), word(20), word(24));
    assert!((45..=60).contains(&packets), "{packets} packets in a second");
    assert_eq!(octets, packets * 160);
    assert_eq!(timestamp, first.timestamp.wrapping_add(packets * 160));
    assert_eq!(report[29], 202, "a source description follows");
    drop(playing);
    let bye = fixture.report();
    assert_eq!(bye[bye.len() - 7], 203);
    assert_eq!(bye[bye.len() - 4..], first.ssrc.to_be_bytes());
}

#[test]
fn a_stream_that_cannot_be_sent_is_lost_and_the_others_are_not() {
    let fixture = Fixture::new();
    // Sending to port 0 fails.
    let unsendable = SocketAddr::from((LOOPBACK, 0));
    let (reserved, playing) = fixture.play_to(unsendable, 500);
    let (_, other) = fixture.play(500);
    let stream = reserved.stream;
    assert_eq!(fixture.next(), MediaEvent::Lost { stream });
    assert_eq!(playing.stats().packets_sent, 0);
    fixture.packet();
    assert!(other.stats().packets_sent > 0);
}

#[test]
fn many_streams_share_the_clock_and_none_loses_a_frame() {
    let fixture = Fixture::new();
    let streams: Vec<_> = (0..90).map(|_| fixture.play(25)).collect();
    let mut by_ssrc: HashMap<u32, Vec<u16>> = HashMap::new();
    for _ in 0..90 * 27 {
        let (header, payload) = fixture.packet();
        assert_eq!(payload.len() + HEADER_BYTES, 172);
        by_ssrc.entry(header.ssrc).or_default().push(header.sequence);
    }
    assert_eq!(by_ssrc.len(), streams.len());
    for sequences in by_ssrc.values() {
        let whole = sequences.windows(2).all(|w| w[1] == w[0].wrapping_add(1));
        assert!(whole && sequences.len() == 27);
    }
}

#[test]
fn an_idle_clock_plays_the_next_stream() {
    let fixture = Fixture::new();
    for _ in 0..3 {
        let (reserved, _playing) = fixture.play(5);
        let (stream, mark) = (reserved.stream, mark());
        assert_eq!(fixture.next(), MediaEvent::MarkReached { stream, mark });
        assert_eq!(fixture.next(), MediaEvent::Finished { stream });
    }
}

#[test]
fn a_panic_loses_the_streams_and_later_ones_play() {
    let fixture = Fixture::new();
    let (reserved, _playing) = fixture.play(500);
    fixture.packet();
    fixture.clock.provoke_panic();
    let stream = reserved.stream;
    assert_eq!(fixture.next(), MediaEvent::Lost { stream });
    let (reserved, _playing) = fixture.play(5);
    let stream = reserved.stream;
    let mark = mark();
    assert_eq!(fixture.next(), MediaEvent::MarkReached { stream, mark });
    assert_eq!(fixture.next(), MediaEvent::Finished { stream });
}
