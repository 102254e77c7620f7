//! What a stream receives from its far end.

use super::*;

#[test]
fn the_far_ends_report_is_in_the_stats() {
    let fixture = Fixture::new();
    let (reserved, playing) = fixture.play(500);
    let (first, _) = fixture.packet();
    assert_eq!(playing.stats().fraction_lost, None);
    let mut report = vec![0x81, 201, 0, 7, 9, 9, 9, 9];
    report.extend(first.ssrc.to_be_bytes());
    report.extend([64, 0, 0, 9, 0, 0, 1, 0, 0, 0, 0, 33, 0, 0, 0, 0, 0, 0, 0, 0]);
    let rtcp = SocketAddr::from((LOOPBACK, reserved.rtcp_port));
    fixture.far_rtcp.send_to(&report, rtcp).unwrap();
    let rtp = SocketAddr::from((LOOPBACK, reserved.rtp_port));
    fixture.far.send_to(b"no RTP", rtp).unwrap();
    fixture.far.send_to(&first.bytes(), rtp).unwrap();
    receive_until(&fixture, || {
        let stats = playing.stats();
        stats.packets_received > 0 && stats.jitter.is_some()
    });
    let stats = playing.stats();
    assert_eq!((stats.fraction_lost, stats.jitter), (Some(64), Some(33)));
    assert_eq!(stats.packets_received, 1);
}

#[test]
fn a_far_end_that_sends_from_another_port_is_accepted_and_still_sent_to_where_it_listens() {
    let fixture = Fixture::new();
    let (reserved, playing) = fixture.play(500);
    fixture.packet();
    let other = far_end();
    let rtp = (LOOPBACK, reserved.rtp_port);
    send_run(&other, rtp, 99, 0..4);
    assert_eq!(playing.stats().packets_received, 0);
    send_run(&other, rtp, 99, 4..20);
    receive_until(&fixture, || playing.stats().packets_received > 5);
    fixture.packet();
    other.set_nonblocking(true).unwrap();
    assert!(other.recv(&mut [0; 10]).is_err());
}

#[test]
fn the_announced_address_ends_the_reception_from_another_port() {
    let fixture = Fixture::new();
    let (reserved, playing) = fixture.play_as(address(&fixture.far), 500, |config| {
        config.event_types = events(101);
    });
    fixture.packet();
    let other = far_end();
    let rtp = (LOOPBACK, reserved.rtp_port);
    send_run(&other, rtp, 7, 0..20);
    receive_until(&fixture, || playing.stats().packets_received > 0);
    fixture.far.send_to(&far_packet(101, 1, &[5, 0, 0, 160]), rtp).unwrap();
    let stream = reserved.stream;
    let pressed = |key| pressed(stream, key);
    assert_eq!(event_of(&fixture, is_key), pressed('5'));
    let before = playing.stats().packets_received;
    for n in 0..20 {
        let press = far_packet(101, 100 + n, &[6, 0, 0, 160]);
        other.send_to(&press, rtp).unwrap();
    }
    send_run(&other, rtp, 7, 20..40);
    fixture.far.send_to(&far_packet(101, 9000, &[8, 0, 0, 160]), rtp).unwrap();
    assert_eq!(event_of(&fixture, is_key), pressed('8'));
    assert_eq!(playing.stats().packets_received, before + 1);
}

fn is_key(event: &MediaEvent) -> bool {
    matches!(event, MediaEvent::DtmfReceived { .. })
}

#[test]
fn packets_received_before_a_stream_begins_do_not_count() {
    let fixture = Fixture::new();
    let sockets = crate::rtp::send::ports::MAX_PAIRS;
    for reserved in (0..sockets).map(|_| fixture.clock.reserve()) {
        for sequence in 0..100 {
            let press = far_packet(101, sequence * 50, &[3, 0, 0, 160]);
            let to = (LOOPBACK, reserved.rtp_port);
            fixture.far.send_to(&press, to).unwrap();
        }
    }
    let (reserved, playing) = fixture.play_as(address(&fixture.far), 500, |config| {
        config.event_types = events(101);
    });
    fixture.packet();
    let press = far_packet(101, 9000, &[4, 0, 0, 160]);
    let rtp = (LOOPBACK, reserved.rtp_port);
    fixture.far.send_to(&press, rtp).unwrap();
    assert_eq!(event_of(&fixture, is_key), pressed(reserved.stream, '4'));
    assert_eq!(playing.stats().packets_received, 1);
}

#[test]
fn packets_received_before_a_stream_begins_do_not_count_on_a_socket_in_use() {
    let fixture = Fixture::new();
    let (first, _first_playing) = fixture.play(2000);
    fixture.packet();
    for round in 0..20_u16 {
        let far = far_end();
        // Sockets are assigned in turn: the next stream gets the first one's.
        let sockets = crate::rtp::send::ports::MAX_PAIRS;
        for _ in 1..sockets {
            fixture.clock.reserve();
        }
        let press = far_packet(101, round * 50, &[3, 0, 0, 160]);
        far.send_to(&press, (LOOPBACK, first.rtp_port)).unwrap();
        let (reserved, playing) = fixture.play_as(address(&far), 500, |config| {
            config.event_types = events(101);
        });
        assert_eq!(reserved.rtp_port, first.rtp_port);
        packet_at(&far);
        packet_at(&far);
        assert_eq!(playing.stats().packets_received, 0, "round {round}");
    }
}

#[test]
fn reports_from_elsewhere_do_not_count() {
    let fixture = Fixture::new();
    let (reserved, playing) = fixture.play(500);
    let (first, _) = fixture.packet();
    let rtp = (LOOPBACK, reserved.rtp_port);
    let rtcp = (LOOPBACK, reserved.rtcp_port);
    fixture.far.send_to(&far_packet(8, 1, &[0xd5; 160]), rtp).unwrap();
    receive_until(&fixture, || playing.stats().packets_received == 1);
    let report = |lost: u8| {
        let mut report = vec![0x81, 201, 0, 7, 0, 0, 0, 99];
        report.extend(first.ssrc.to_be_bytes());
        report.extend([lost, 0, 0, 9, 0, 0, 1, 0, 0, 0, 0, 33, 0, 0, 0, 0, 0, 0, 0, 0]);
        report
    };
    let elsewhere = UdpSocket::bind("127.0.0.2:0").unwrap();
    for from in [&far_end(), &fixture.far, &elsewhere] {
        from.send_to(&report(200), rtcp).unwrap();
    }
    fixture.far_rtcp.send_to(&report(64), rtcp).unwrap();
    receive_until(&fixture, || playing.stats().fraction_lost.is_some());
    for from in [&far_end(), &fixture.far, &elsewhere] {
        from.send_to(&report(200), rtcp).unwrap();
    }
    for _ in 0..5 {
        fixture.packet();
    }
    assert_eq!(playing.stats().fraction_lost, Some(64));
}

#[test]
fn behind_a_nat_the_audio_goes_to_the_source_of_the_gateways_packets() {
    let fixture = Fixture::new();
    let unreachable = SocketAddr::from(([169, 254, 77, 77], 4000));
    let (reserved, playing) = fixture.play_to(unreachable, 500);
    let rtp = (LOOPBACK, reserved.rtp_port);
    let sender = fixture.far.try_clone().unwrap();
    send_run(&sender, rtp, 1, 0..10);
    let (header, _) = fixture.packet();
    assert_eq!(header.payload_type, 8);
    // Its reports come from any port of the NAT, with its SSRC.
    let mut report = vec![0x81, 201, 0, 7, 0, 0, 0, 1];
    report.extend(header.ssrc.to_be_bytes());
    report.extend([64, 0, 0, 9, 0, 0, 1, 0, 0, 0, 0, 33, 0, 0, 0, 0, 0, 0, 0, 0]);
    let mut of_another = report.clone();
    (of_another[7], of_another[12]) = (2, 200);
    for report in [&report, &of_another] {
        let rtcp = (LOOPBACK, reserved.rtcp_port);
        far_end().send_to(report, rtcp).unwrap();
    }
    receive_until(&fixture, || playing.stats().fraction_lost.is_some());
    fixture.packet();
    assert_eq!(playing.stats().fraction_lost, Some(64));
}

#[test]
fn protected_audio_is_read_with_the_key_and_protected_dtmf_is_received() {
    use crate::rtp::srtp::{MasterKey, Receiver, Sender, Suite};

    for suite in Suite::ALL {
        let fixture = Fixture::new();
        let key = || MasterKey::random(suite, &mut rand::rng());
        let keys = SrtpKeys { ours: key(), theirs: key() };
        let (mut ours, mut theirs) = (Receiver::new(&keys.ours), Sender::new(&keys.theirs));
        let (reserved, playing) = fixture.play_as(address(&fixture.far), 100, |config| {
            (config.srtp_keys, config.event_types) = (Some(keys), events(101));
        });
        for frame in 0..5 {
            let mut buffer = [0; 500];
            let length = fixture.far.recv(&mut buffer).unwrap();
            let mut protected = buffer[..length].to_vec();
            assert!(protected.len() > HEADER_BYTES + FRAME, "the packet ends with a tag");
            ours.unprotect_rtp(&mut protected).unwrap();
            let (_, audio) = packet::parse(&protected).unwrap();
            assert_eq!(audio, &AUDIO[frame * FRAME..(frame + 1) * FRAME]);
        }
        let to = (LOOPBACK, reserved.rtp_port);
        let press = [7, 0, 0, 160];
        // A forger at another port is first, with an SSRC of its own and that of the far end.
        let (forger, mut forged) = (far_end(), Sender::new(&key()));
        for n in 0..12 {
            let mut packet = far_packet(101, n, &press);
            packet[11] = 7 + n as u8 % 2 * 92;
            forged.protect_rtp(&mut packet).unwrap();
            forger.send_to(&packet, to).unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
        // An unprotected packet is dropped.
        fixture.far.send_to(&far_packet(101, 1, &press), to).unwrap();
        let mut protected = far_packet(101, 2, &[8, 0, 0, 160]);
        theirs.protect_rtp(&mut protected).unwrap();
        fixture.far.send_to(&protected, to).unwrap();
        assert_eq!(event_of(&fixture, is_key), pressed(reserved.stream, '8'));
        assert_eq!(playing.stats().packets_received, 1);
        let mut buffer = [0; 500];
        let length = fixture.far_rtcp.recv(&mut buffer).unwrap();
        let mut report = buffer[..length].to_vec();
        ours.unprotect_rtcp(&mut report).unwrap();
        assert_eq!(report[1], 200, "a sender report");
    }
}

/// A port without a socket.
fn closed_port() -> SocketAddr {
    address(&far_end())
}

#[test]
fn a_stream_is_lost_if_its_far_end_refuses_it_and_was_never_heard() {
    let fixture = Fixture::new();
    let (reserved, _playing) = fixture.play_as(closed_port(), 5000, |config| {
        config.media_timeout_frames = 10;
    });
    let stream = reserved.stream;
    event_of(&fixture, |event| *event == MediaEvent::Lost { stream });
}

#[test]
fn a_reading_that_the_far_end_refuses_does_not_count_as_read() {
    let fixture = Fixture::new();
    let (reserved, _playing) = fixture.play_as(closed_port(), 50, |config| {
        config.media_timeout_frames = 3000;
    });
    assert_eq!(fixture.next(), MediaEvent::Lost { stream: reserved.stream });
}

#[test]
fn a_stream_is_not_lost_if_its_far_end_was_heard_and_falls_silent_or_closes_its_port() {
    let fixture = Fixture::new();
    let far = far_end();
    let (reserved, playing) = fixture.play_as(address(&far), 50, |config| {
        config.media_timeout_frames = 10;
    });
    packet_at(&far);
    far.send_to(&far_packet(13, 1, &[60]), (LOOPBACK, reserved.rtp_port)).unwrap();
    for _ in 0..20 {
        packet_at(&far);
    }
    assert_eq!(playing.stats().packets_received, 1, "comfort noise once, and then nothing");
    drop(far);
    let stream = reserved.stream;
    let mut event = fixture.next();
    while event != (MediaEvent::Finished { stream }) {
        assert_ne!(event, MediaEvent::Lost { stream });
        event = fixture.next();
    }
}

#[test]
fn a_far_end_that_refuses_packets_costs_no_packet_of_another() {
    let fixture = Fixture::new();
    let sockets = crate::rtp::send::ports::MAX_PAIRS;
    let mut refused = Vec::new();
    for _ in 0..sockets * 2 {
        refused.push(fixture.play_to(closed_port(), 5000));
    }
    let (_, _playing) = fixture.play(500);
    let first = fixture.packet().0.sequence;
    for n in 1..50 {
        assert_eq!(fixture.packet().0.sequence, first.wrapping_add(n));
    }
}

#[test]
fn an_rtcp_bye_ends_nothing() {
    let fixture = Fixture::new();
    let (reserved, _playing) = fixture.play(50);
    let ssrc = fixture.packet().0.ssrc;
    let mut bye = vec![0x81, 201, 0, 7, 0, 0, 0, 99];
    bye.extend(ssrc.to_be_bytes());
    bye.extend([0; 20]);
    bye.extend([0x81, 203, 0, 1, 0, 0, 0, 99]);
    fixture.far_rtcp.send_to(&bye, (LOOPBACK, reserved.rtcp_port)).unwrap();
    let stream = reserved.stream;
    event_of(&fixture, |event| *event == MediaEvent::Finished { stream });
}

#[test]
fn the_round_trip_and_the_losses_in_both_directions_are_in_the_stats() {
    use crate::rtp::wire::rtcp;
    use crate::rtp::wire::rtcp::RtcpItem;

    let fixture = Fixture::new();
    let (reserved, playing) = fixture.play(500);
    let ssrc = fixture.packet().0.ssrc;
    let to = (LOOPBACK, reserved.rtp_port);
    for sequence in [1, 2, 5] {
        let packet = far_packet(8, sequence, &[0xd5; 160]);
        fixture.far.send_to(&packet, to).unwrap();
    }
    let report = fixture.report();
    let [RtcpItem::SenderTime { ntp_middle, .. }, RtcpItem::Block(about_far)] =
        rtcp::parse(&report)[..]
    else {
        panic!("{:?}", rtcp::parse(&report));
    };
    assert_eq!((about_far.ssrc, about_far.lost), (99, 2));
    // The far end has held our report for 100 ms, of which it reports 50.
    let held: u32 = 65_536 / 20;
    let mut block = vec![0x81, 201, 0, 7, 0, 0, 0, 99];
    for word in [ssrc, 0x1000_0003, 0, 16, ntp_middle, held] {
        block.extend(word.to_be_bytes());
    }
    std::thread::sleep(Duration::from_millis(100));
    fixture.far_rtcp.send_to(&block, (LOOPBACK, reserved.rtcp_port)).unwrap();
    let deadline = Instant::now() + TIMEOUT;
    let stats = loop {
        let stats = playing.stats();
        if stats.round_trip.is_some() {
            break stats;
        }
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    };
    let round_trip = stats.round_trip.unwrap();
    assert!(round_trip >= Duration::from_millis(45), "{round_trip:?}");
    assert_eq!(stats.packets_lost, Some(3));
    assert_eq!((stats.packets_missed, stats.fraction_lost), (2, Some(16)));
}
