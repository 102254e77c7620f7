//! Streams that are held, updated, given another script or stopped.

use super::*;

#[test]
fn an_updated_stream_continues_at_its_new_address() {
    let fixture = Fixture::new();
    let (reserved, playing) = fixture.play(500);
    let first = fixture.packet().0;
    let (new_remote, rtcp) = (far_end(), far_end());
    fixture.clock.update(
        reserved.stream,
        StreamUpdate {
            remote: address(&new_remote),
            remote_rtcp: address(&rtcp),
            format: Format::of(Codec::Pcma),
            event_types: events(96),
            their_key: None,
        },
    );
    let (moved, _) = packet_at(&new_remote);
    assert_eq!(moved.ssrc, first.ssrc);
    assert!(moved.sequence > first.sequence);
    // The old address no longer counts.
    for sequence in 0..8 {
        let press = far_packet(96, sequence * 50, &[6, 0, 0, 160]);
        let to = (LOOPBACK, reserved.rtp_port);
        fixture.far.send_to(&press, to).unwrap();
    }
    let press = far_packet(96, 1, &[5, 0, 0, 160]);
    new_remote.send_to(&press, (LOOPBACK, reserved.rtp_port)).unwrap();
    let key = event_of(&fixture, |event| matches!(event, MediaEvent::DtmfReceived { .. }));
    assert_eq!(key, pressed(reserved.stream, '5'));
    assert_eq!(playing.stats().packets_received, 1);
}

#[test]
fn a_held_stream_sends_nothing_and_continues_where_it_was() {
    let fixture = Fixture::new();
    let (_, playing) = fixture.play(50);
    let before = fixture.packet().0;
    playing.hold(true);
    let far = &fixture.far;
    far.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut last = before;
    while let Ok((header, _)) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut buffer = [0; 500];
        let length = far.recv(&mut buffer).map_err(|_| ())?;
        packet::parse(&buffer[..length]).map(|(header, audio)| (header, audio.to_vec())).ok_or(())
    }))
    .unwrap()
    {
        last = header;
    }
    far.set_read_timeout(Some(TIMEOUT)).unwrap();
    playing.hold(false);
    let after = fixture.packet().0;
    assert_eq!(after.sequence, last.sequence + 1);
    assert!(after.timestamp - last.timestamp >= 8 * 160, "time has passed");
    assert!(after.marker);
}

#[test]
fn a_script_can_be_replaced() {
    let fixture = Fixture::new();
    let (reserved, _playing) = fixture.play(500);
    fixture.packet();
    let mark = Mark::ReadingDone { reading: 7 };
    fixture.clock.replace_script(
        reserved.stream,
        Script { pieces: vec![Piece { audio: &AUDIO[..FRAME], repeat: 1, mark: Some(mark) }] },
    );
    let stream = reserved.stream;
    let marked = MediaEvent::MarkReached { stream, mark };
    event_of(&fixture, |event| *event == marked);
    event_of(&fixture, |event| *event == MediaEvent::Finished { stream });
}

#[test]
fn a_dropped_stream_sends_no_further_packet() {
    let fixture = Fixture::new();
    let (_, playing) = fixture.play(500);
    fixture.packet();
    let stats = {
        let stats = playing.stats();
        drop(playing);
        stats
    };
    let bye = fixture.report();
    let sent = u32::from_be_bytes(bye[20..24].try_into().unwrap());
    // One packet may have been sent when the stream was dropped.
    assert!(u64::from(sent) <= stats.packets_sent + 1, "{sent}");
    assert!(fixture.events.try_recv().is_err(), "a stopped stream has no events");
}

#[test]
fn dropping_the_clock_sends_a_bye_for_each_stream() {
    let fixture = Fixture::new();
    let (_, _playing) = fixture.play(500);
    fixture.packet();
    drop(fixture.clock);
    let mut buffer = [0; 500];
    let length = fixture.far_rtcp.recv(&mut buffer).unwrap();
    assert_eq!(buffer[length - 7], 203);
}
