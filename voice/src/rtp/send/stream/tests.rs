use super::*;
use crate::audio::g711::Codec;
use crate::rtp::wire::packet;
use crate::speech::prompts::Piece;

static AUDIO: [u8; FRAME * 2] = [7; FRAME * 2];

fn stream() -> Stream {
    let mark = |position| {
        Some(Mark::DigitSpoken {
            reading: 0,
            position,
        })
    };
    let piece = |frames: usize, repeat, mark| Piece {
        audio: &AUDIO[..FRAME * frames],
        repeat,
        mark,
    };
    let config = StreamConfig {
        stream: StreamId::default(),
        remote: ([127, 0, 0, 1], 4000).into(),
        remote_rtcp: ([127, 0, 0, 1], 4001).into(),
        gateway: [127, 0, 0, 1].into(),
        codec: Codec::Pcmu,
        frames_per_packet: 1,
        telephone_event: None,
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
    let initial = InitialValues {
        ssrc: 1,
        sequence: u16::MAX,
        timestamp: u32::MAX - 159,
    };
    Stream::new(config, Arc::default(), initial, 0, false)
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
        seen.push((
            header.marker,
            header.sequence,
            header.timestamp,
            next.marks[0],
        ));
    }
    let mark = |position| {
        Some(Mark::DigitSpoken {
            reading: 0,
            position,
        })
    };
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
    let spoken = |position| {
        Some(Mark::DigitSpoken {
            reading: 0,
            position,
        })
    };
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
    let piece = Piece {
        audio: &AUDIO,
        repeat: 1,
        mark: Some(Mark::ReadingDone { reading: 4 }),
    };
    stream.replace_script(Script {
        pieces: vec![piece],
    });
    assert_eq!(header(&next(&mut stream).unwrap()).timestamp, 0);
    let last = next(&mut stream).unwrap();
    assert_eq!(last.marks[0], Some(Mark::ReadingDone { reading: 4 }));
    assert!(matches!(stream.tick(), StreamTick::Finished));
}

#[test]
fn a_far_end_that_falls_silent_times_out_and_one_that_never_sent_does_not() {
    let mut stream = stream();
    stream.max_silent_ticks = 3;
    let received = packet::Header {
        marker: false,
        payload_type: 0,
        sequence: 1,
        timestamp: 1,
        ssrc: 9,
    };
    stream.skip(100);
    assert!(!stream.has_timed_out());
    let now = Instant::now();
    stream.receive(&received, &AUDIO[..FRAME], now, now);
    stream.skip(3);
    assert!(!stream.has_timed_out());
    stream.skip(1);
    assert!(stream.has_timed_out());
    assert_eq!(stream.shared.stats().packets_received, 1);
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
    let piece = Piece {
        audio: &AUDIO,
        repeat: 1000,
        mark: None,
    };
    stream.replace_script(Script {
        pieces: vec![piece],
    });
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
    assert_eq!(
        sends(false, 49),
        0,
        "a packet that was sent resets the count"
    );
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
    assert_eq!(
        due,
        [50, 50 + soon, 50 + soon + late, 50 + soon + late + soon]
    );
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
