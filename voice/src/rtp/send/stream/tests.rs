use std::time::Duration;

use super::*;
use crate::audio::g711::{Codec, Format};
use crate::rtp::srtp::session::SrtpKeys;
use crate::rtp::wire::packet;
use crate::rtp::wire::telephone_event::EventTypes;
use crate::speech::prompts::Piece;

static AUDIO: [u8; FRAME * 2] = [7; FRAME * 2];

fn stream() -> Stream {
    let mark = |position| Some(Mark::DigitSpoken { reading: 0, position });
    let piece =
        |frames: usize, repeat, mark| Piece { audio: &AUDIO[..FRAME * frames], repeat, mark };
    let config = StreamConfig {
        stream: StreamId::default(),
        remote: ANNOUNCED.into(),
        remote_rtcp: ([127, 0, 0, 1], 4001).into(),
        gateway: [127, 0, 0, 1].into(),
        format: Format::of(Codec::Pcmu),
        frames_per_packet: 1,
        event_types: EventTypes::default(),
        wants_dtmf: false,
        srtp_keys: None,
        media_timeout_frames: 0,
        script: Script {
            pieces: vec![
                piece(2, 2, mark(0)),
                piece(0, 3, mark(1)),
                piece(1, 0, mark(2)),
                piece(1, 1, mark(3)),
            ],
        },
    };
    let initial = InitialValues { ssrc: 1, sequence: u16::MAX, timestamp: u32::MAX - 159 };
    Stream::new(config, Arc::default(), initial, 0, false)
}

const ANNOUNCED: ([u8; 4], u16) = ([127, 0, 0, 1], 4000);
const OTHER_PORT: ([u8; 4], u16) = ([127, 0, 0, 1], 5000);

/// A packet of the far end.
fn far_packet(sequence: u16, payload_type: u8) -> Vec<u8> {
    let received = packet::Header {
        marker: false,
        payload_type,
        sequence,
        timestamp: u32::from(sequence) * 160,
        ssrc: 9,
    };
    [&received.bytes()[..], &AUDIO[..FRAME]].concat()
}

fn header(next: &OutgoingPacket) -> packet::Header {
    let mut bytes = next.header.to_vec();
    bytes.extend(next.audio.concat());
    packet::parse(&bytes).unwrap().0
}

fn next(stream: &mut Stream) -> Option<OutgoingPacket> {
    match stream.tick() {
        StreamTick::Send(next) => Some(next),
        StreamTick::Wait | StreamTick::Finished => None,
    }
}

#[test]
fn numbers_wrap_and_a_mark_comes_with_the_last_frame_of_its_piece() {
    let mut stream = stream();
    let mut seen = Vec::new();
    while let Some(next) = next(&mut stream) {
        let header = header(&next);
        seen.push((header.marker, header.sequence, header.timestamp, next.marks[0]));
    }
    let mark = |position| Some(Mark::DigitSpoken { reading: 0, position });
    assert_eq!(
        seen,
        [
            (true, 65_535, u32::MAX - 159, None),
            (false, 0, 0, None),
            (false, 1, 160, None),
            (false, 2, 320, mark(0)),
            (false, 3, 480, mark(3)),
        ]
    );
    assert_eq!(stream.shared.stats().packets_sent, 5);
}

#[test]
fn longer_packets_hold_several_frames_and_are_sent_less_often() {
    let mut stream = stream();
    stream.frames_per_packet = 2;
    let mut seen = Vec::new();
    loop {
        match stream.tick() {
            StreamTick::Send(next) => {
                let header = header(&next);
                let frames = next.audio.iter().filter(|audio| !audio.is_empty());
                seen.push(Some((header.timestamp, frames.count(), next.marks)));
            }
            StreamTick::Wait => seen.push(None),
            StreamTick::Finished => break,
        }
    }
    let spoken = |position| Some(Mark::DigitSpoken { reading: 0, position });
    assert_eq!(
        seen,
        [
            Some((u32::MAX - 159, 2, [None; 3])),
            None,
            Some((160, 2, [None, spoken(0), None])),
            None,
            Some((480, 1, [spoken(3), None, None])),
        ]
    );
}

#[test]
fn a_held_stream_waits_and_continues_where_it_was() {
    let mut stream = stream();
    next(&mut stream);
    stream.shared.is_held.store(true, Ordering::Relaxed);
    for _ in 0..5 {
        assert!(matches!(stream.tick(), StreamTick::Wait));
    }
    stream.shared.is_held.store(false, Ordering::Relaxed);
    let next = header(&next(&mut stream).unwrap());
    assert!(next.marker);
    assert_eq!((next.sequence, next.timestamp), (0, 800));
}

#[test]
fn a_new_script_plays_from_its_beginning() {
    let mut stream = stream();
    next(&mut stream);
    let piece = Piece { audio: &AUDIO, repeat: 1, mark: Some(Mark::ReadingDone { reading: 4 }) };
    stream.replace_script(Script { pieces: vec![piece] });
    assert_eq!(header(&next(&mut stream).unwrap()).timestamp, 0);
    let last = next(&mut stream).unwrap();
    assert_eq!(last.marks[0], Some(Mark::ReadingDone { reading: 4 }));
    assert!(matches!(stream.tick(), StreamTick::Finished));
}

#[test]
fn only_a_far_end_that_was_never_heard_can_be_refused() {
    let block = ReportBlock {
        ssrc: 1,
        fraction_lost: 0,
        lost: 0,
        highest_sequence: 0,
        jitter: 0,
        last_report: 0,
        since_last_report: 0,
    };
    let now = Instant::now();
    type Hear<'a> = &'a dyn Fn(&mut Stream);
    let hear: [(&str, bool, Hear<'_>); 4] = [
        ("nothing", true, &|_| {}),
        ("another source", true, &|stream| {
            let reception = stream.receive(&far_packet(1, 0), OTHER_PORT.into(), now, now);
            assert_eq!(reception, Reception::Ignored);
        }),
        ("a packet", false, &|stream| {
            let reception = stream.receive(&far_packet(1, 0), ANNOUNCED.into(), now, now);
            assert_eq!(reception, Reception::CountedFromNewSource(None));
        }),
        ("a report", false, &|stream| stream.handle_report(block)),
    ];
    for (heard, is_refused, hear) in hear {
        let mut stream = stream();
        stream.refusals = Refusals::new(3);
        stream.skip(100);
        hear(&mut stream);
        stream.record_refusal();
        assert!(!stream.is_refused(), "{heard}");
        stream.skip(3);
        stream.record_refusal();
        assert_eq!(stream.is_refused(), is_refused, "{heard}");
        stream.skip(1000);
        assert!(!stream.is_refused(), "it is silent without errors");
    }
}

#[test]
fn after_skipped_time_the_audio_continues_as_a_new_talkspurt() {
    let mut stream = stream();
    next(&mut stream);
    stream.skip(10);
    let next = header(&next(&mut stream).unwrap());
    assert!(next.marker);
    assert_eq!((next.sequence, next.timestamp), (0, 1600));
}

#[test]
fn a_stream_is_lost_after_a_second_of_failures() {
    let mut stream = stream();
    let piece = Piece { audio: &AUDIO, repeat: 1000, mark: None };
    stream.replace_script(Script { pieces: vec![piece] });
    let mut sends = |is_accepted: bool, frames: u32| {
        (0..frames)
            .filter(|_| {
                next(&mut stream);
                !is_accepted && stream.record_failure()
            })
            .count()
    };
    assert_eq!(sends(false, 49), 0);
    assert_eq!(sends(true, 1), 0);
    assert_eq!(sends(false, 49), 0, "a packet that was sent resets the count");
    assert_eq!(sends(false, 1), 1);
}

#[test]
fn reports_are_due_after_a_second_and_then_about_every_five() {
    let mut stream = stream();
    let mut due = Vec::new();
    for tick in 0..1000 {
        stream.skip(1);
        let random = || if due.len() % 2 == 0 { 0 } else { u32::MAX };
        if stream.is_report_due(random) {
            due.push(tick + 1);
        }
    }
    let (soon, late) = (125, 374);
    assert_eq!(due, [50, 50 + soon, 50 + soon + late, 50 + soon + late + soon]);
}

#[test]
fn a_stream_that_sent_nothing_sends_no_bye() {
    let mut stream = stream();
    let mut bytes = Vec::new();
    assert!(stream.write_report("x", true, &mut bytes).is_none());
    next(&mut stream);
    assert!(stream.write_report("x", true, &mut bytes).is_some());
    assert!(!bytes.is_empty());
}

#[test]
fn a_forged_packet_changes_nothing() {
    use crate::rtp::srtp::{MasterKey, Sender, Suite};
    use crate::rtp::wire::rtcp;

    let key = || MasterKey::random(Suite::AesCm128HmacSha1_80, &mut rand::rng());
    let (theirs, forger) = (key(), key());
    let mut stream = stream();
    stream.srtp =
        Some(Box::new(SrtpSession::new(&SrtpKeys { ours: key(), theirs: theirs.clone() })));
    let (mut far_end, mut forger) = (Sender::new(&theirs), Sender::new(&forger));
    let (start, mut now) = (Instant::now(), Instant::now());
    let mut receive = |stream: &mut Stream, from: ([u8; 4], u16), packet: &[u8]| {
        now += Duration::from_millis(20);
        stream.receive(packet, from.into(), now, start)
    };
    let forged = |forger: &mut Sender, sequence| {
        let mut packet = far_packet(sequence, 0);
        forger.protect_rtp(&mut packet).unwrap();
        packet
    };
    // With the SSRC of the far end, from both addresses, far ahead in the sequence.
    for n in 0..40 {
        let (packet, from) = (forged(&mut forger, 20_000 + n), [ANNOUNCED, OTHER_PORT]);
        for from in from {
            assert_eq!(receive(&mut stream, from, &packet), Reception::Invalid);
        }
        let plain = far_packet(20_000 + n, 0);
        assert_eq!(
            receive(&mut stream, OTHER_PORT, &plain),
            Reception::Invalid,
            "it is not protected"
        );
    }
    assert_eq!(stream.source.current(), None);
    assert!(!stream.is_heard);
    assert_eq!(stream.receiver.report_block(now_plus(start, 5)), None);
    assert_eq!(stream.shared.stats().packets_received, 0);
    // The rollover counter and the replay window are those of a new stream.
    let mut packet = far_packet(1, 0);
    far_end.protect_rtp(&mut packet).unwrap();
    assert_eq!(receive(&mut stream, ANNOUNCED, &packet), Reception::CountedFromNewSource(None));
    assert_eq!(receive(&mut stream, ANNOUNCED, &packet), Reception::Invalid, "it is replayed");
    let block = stream.receiver.report_block(now_plus(start, 5)).unwrap();
    assert_eq!((block.highest_sequence, block.lost), (1, 0));
    let mut report = rtcp::receiver_report(9, &block);
    forger.protect_rtcp(&mut report).unwrap();
    let session = stream.srtp.as_mut().unwrap();
    assert_eq!(session.unprotect_rtcp(&report), None);
}

fn now_plus(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

#[test]
fn a_repeated_key_does_not_allow_replays() {
    use crate::rtp::srtp::{MasterKey, Sender, Suite};

    let key = || MasterKey::random(Suite::AesCm128HmacSha1_80, &mut rand::rng());
    let (theirs, next) = (key(), key());
    let mut stream = stream();
    stream.srtp =
        Some(Box::new(SrtpSession::new(&SrtpKeys { ours: key(), theirs: theirs.clone() })));
    let mut packet = far_packet(1, 0);
    Sender::new(&theirs).protect_rtp(&mut packet).unwrap();
    let now = Instant::now();
    let first = stream.receive(&packet, ANNOUNCED.into(), now, now);
    assert_eq!(first, Reception::CountedFromNewSource(None));
    let mut update = StreamUpdate {
        remote: ANNOUNCED.into(),
        remote_rtcp: ([127, 0, 0, 1], 4001).into(),
        format: Format::of(Codec::Pcmu),
        event_types: EventTypes::default(),
        their_key: Some(theirs),
    };
    stream.update(&update, false);
    let replayed = stream.receive(&packet, ANNOUNCED.into(), now, now);
    assert_eq!(replayed, Reception::Invalid);
    update.their_key = Some(next.clone());
    stream.update(&update, false);
    let mut packet = far_packet(2, 0);
    Sender::new(&next).protect_rtp(&mut packet).unwrap();
    let after = stream.receive(&packet, ANNOUNCED.into(), now, now);
    assert_eq!(after, Reception::Counted(None));
}

#[test]
fn an_update_starts_a_new_source_rule_only_if_the_address_changes() {
    let mut stream = stream();
    let now = Instant::now();
    stream.receive(&far_packet(1, 0), ANNOUNCED.into(), now, now);
    let mut update = StreamUpdate {
        remote: ANNOUNCED.into(),
        remote_rtcp: ([127, 0, 0, 1], 4001).into(),
        format: Format::of(Codec::Pcmu),
        event_types: EventTypes::default(),
        their_key: None,
    };
    assert_eq!(stream.moved(&update), None);
    stream.update(&update, false);
    assert!(stream.source.current().is_some());
    update.remote = OTHER_PORT.into();
    stream.update(&update, false);
    assert_eq!(stream.source.current(), None);
    let late = stream.receive(&far_packet(2, 0), ANNOUNCED.into(), now, now);
    assert_eq!(late, Reception::Ignored);
    let moved = stream.receive(&far_packet(3, 0), OTHER_PORT.into(), now, now);
    assert_eq!(moved, Reception::CountedFromNewSource(None));
}
