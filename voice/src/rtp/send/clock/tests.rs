use std::collections::HashMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::*;
use crate::rtp::wire::packet;
use crate::rtp::wire::packet::HEADER_BYTES;
use crate::speech::prompts::{FRAME, Piece};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PATIENCE: Duration = Duration::from_secs(10);
static AUDIO: [u8; FRAME * 5] = {
    let mut audio = [0; FRAME * 5];
    let mut at = 0;
    while at < audio.len() {
        audio[at] = (at / FRAME + 1) as u8;
        at += 1;
    }
    audio
};

/// A clock, a far end that receives, and the news.
struct Scene {
    clock: MediaClock,
    far: UdpSocket,
    far_rtcp: UdpSocket,
    news: Receiver<MediaEvent>,
}

fn far_end() -> UdpSocket {
    let socket = UdpSocket::bind((LOOPBACK, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn mark() -> Mark {
    Mark::ReadingDone { reading: 0 }
}

impl Scene {
    fn new() -> Scene {
        let (tell, news) = channel();
        let tell = Mutex::new(tell);
        let events = move |events: &[MediaEvent]| {
            for event in events {
                let _ = tell.lock().unwrap().send(*event);
            }
        };
        let clock =
            MediaClock::start(LOOPBACK, PortRange::ephemeral(), 1, Box::new(events)).unwrap();
        Scene {
            clock,
            far: far_end(),
            far_rtcp: far_end(),
            news,
        }
    }

    fn play(&self, frames: u32) -> (Reserved, Playing) {
        self.play_to(self.far.local_addr().unwrap(), frames)
    }

    fn play_to(&self, remote: SocketAddr, frames: u32) -> (Reserved, Playing) {
        self.play_as(remote, frames, |_| {})
    }

    fn play_as(
        &self,
        remote: SocketAddr,
        frames: u32,
        change: impl FnOnce(&mut Play),
    ) -> (Reserved, Playing) {
        let reserved = self.clock.reserve();
        let script = Script {
            pieces: vec![
                Piece {
                    audio: &AUDIO,
                    repeat: frames / 5,
                    mark: Some(mark()),
                },
                Piece {
                    audio: &AUDIO[..FRAME],
                    repeat: 2,
                    mark: None,
                },
            ],
        };
        let mut play = Play {
            stream: reserved.stream,
            remote,
            remote_rtcp: self.far_rtcp.local_addr().unwrap(),
            gateway: LOOPBACK,
            codec: Codec::Pcma,
            script,
            frames_a_packet: 1,
            telephone_event: None,
            wants_keys: false,
            keys: None,
            media_timeout_frames: 0,
        };
        change(&mut play);
        (reserved, self.clock.play(play))
    }

    fn packet(&self) -> (packet::Header, Vec<u8>) {
        packet_at(&self.far)
    }

    fn report(&self) -> Vec<u8> {
        let mut buffer = [0; 500];
        let length = self.far_rtcp.recv(&mut buffer).unwrap();
        buffer[..length].to_vec()
    }

    fn next(&self) -> MediaEvent {
        self.news.recv_timeout(PATIENCE).unwrap()
    }
}

fn packet_at(socket: &UdpSocket) -> (packet::Header, Vec<u8>) {
    let mut buffer = [0; 2000];
    let length = socket.recv(&mut buffer).unwrap();
    let (header, payload) = packet::parse(&buffer[..length]).unwrap();
    (header, payload.to_vec())
}

/// Receives packets until `done` says so; each is 20 ms in which the clock reads what came.
fn until(scene: &Scene, mut done: impl FnMut() -> bool) {
    for _ in 0..250 {
        if done() {
            return;
        }
        scene.packet();
    }
    panic!("five seconds were not enough");
}

#[test]
fn a_stream_is_its_script_in_order_with_numbers_that_rise_by_one_frame() {
    let scene = Scene::new();
    let (reserved, playing) = scene.play(10);
    let (first, payload) = scene.packet();
    assert!(first.marker);
    assert_eq!((first.payload_type, payload), (8, vec![1; FRAME]));
    for n in 1..12_u16 {
        let (header, payload) = scene.packet();
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
    assert_eq!(scene.next(), MediaEvent::Marked { stream, mark });
    assert_eq!(scene.next(), MediaEvent::Finished { stream });
    assert_eq!(playing.figures().packets_sent, 12);
}

#[test]
fn frames_leave_at_the_pace_of_the_audio() {
    let scene = Scene::new();
    let (_, _playing) = scene.play(50);
    scene.packet();
    let started = Instant::now();
    for _ in 0..50 {
        scene.packet();
    }
    // A second of audio; a busy machine may only make the first packet late, or the last one.
    let took = started.elapsed();
    assert!(took > Duration::from_millis(800), "{took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_long_stream_reports_itself_and_takes_its_leave() {
    let scene = Scene::new();
    let (_, playing) = scene.play(500);
    let (first, _) = scene.packet();
    let report = scene.report();
    assert_eq!(report[1], 200);
    assert_eq!(report[4..8], first.ssrc.to_be_bytes());
    let word = |at: usize| u32::from_be_bytes(report[at..at + 4].try_into().unwrap());
    let (timestamp, packets, octets) = (word(16), word(20), word(24));
    assert!(
        (45..=60).contains(&packets),
        "{packets} packets in a second"
    );
    assert_eq!(octets, packets * 160);
    assert_eq!(timestamp, first.timestamp.wrapping_add(packets * 160));
    assert_eq!(report[29], 202, "who it is");
    drop(playing);
    let goodbye = scene.report();
    assert_eq!(goodbye[goodbye.len() - 7], 203);
    assert_eq!(goodbye[goodbye.len() - 4..], first.ssrc.to_be_bytes());
}

#[test]
fn a_dropped_stream_sends_no_packet_more() {
    let scene = Scene::new();
    let (_, playing) = scene.play(500);
    scene.packet();
    let figures = {
        let figures = playing.figures();
        drop(playing);
        figures
    };
    let goodbye = scene.report();
    let sent = u32::from_be_bytes(goodbye[20..24].try_into().unwrap());
    // One may have been on its way when the stream was dropped.
    assert!(u64::from(sent) <= figures.packets_sent + 1, "{sent}");
    assert!(
        scene.news.try_recv().is_err(),
        "a stopped stream has no news"
    );
}

#[test]
fn what_the_far_end_says_of_the_stream_is_in_its_figures() {
    let scene = Scene::new();
    let (reserved, playing) = scene.play(500);
    let (first, _) = scene.packet();
    assert_eq!(playing.figures().fraction_lost, None);
    let mut report = vec![0x81, 201, 0, 7, 9, 9, 9, 9];
    report.extend(first.ssrc.to_be_bytes());
    report.extend([64, 0, 0, 9, 0, 0, 1, 0, 0, 0, 0, 33, 0, 0, 0, 0, 0, 0, 0, 0]);
    let rtcp = SocketAddr::from((LOOPBACK, reserved.rtcp_port));
    scene.far_rtcp.send_to(&report, rtcp).unwrap();
    let rtp = SocketAddr::from((LOOPBACK, reserved.rtp_port));
    scene.far.send_to(b"no RTP", rtp).unwrap();
    scene.far.send_to(&first.bytes(), rtp).unwrap();
    until(&scene, || {
        let figures = playing.figures();
        figures.packets_received > 0 && figures.jitter.is_some()
    });
    let figures = playing.figures();
    assert_eq!(
        (figures.fraction_lost, figures.jitter),
        (Some(64), Some(33))
    );
    assert_eq!(figures.packets_received, 1);
}

#[test]
fn a_far_end_that_sends_from_another_port_is_heard_and_still_sent_to_where_it_listens() {
    let scene = Scene::new();
    let (reserved, playing) = scene.play(500);
    let (first, _) = scene.packet();
    let other = far_end();
    let rtp = SocketAddr::from((LOOPBACK, reserved.rtp_port));
    other.send_to(&first.bytes(), rtp).unwrap();
    until(&scene, || playing.figures().packets_received == 1);
    scene.packet();
    other.set_nonblocking(true).unwrap();
    assert!(other.recv(&mut [0; 10]).is_err());
}

#[test]
fn behind_a_nat_the_audio_goes_to_where_the_gateways_packets_come_from() {
    let scene = Scene::new();
    let unreachable = SocketAddr::from(([169, 254, 77, 77], 4000));
    let (reserved, _playing) = scene.play_to(unreachable, 500);
    let rtp = SocketAddr::from((LOOPBACK, reserved.rtp_port));
    let header = packet::Header {
        marker: true,
        payload_type: 8,
        sequence: 1,
        timestamp: 1,
        ssrc: 1,
    };
    scene.far.send_to(&header.bytes(), rtp).unwrap();
    let (header, _) = scene.packet();
    assert_eq!(header.payload_type, 8);
}

#[test]
fn a_stream_that_cannot_be_sent_is_lost_and_the_others_are_not() {
    let scene = Scene::new();
    // Nothing can be sent to port 0.
    let nowhere = SocketAddr::from((LOOPBACK, 0));
    let (reserved, playing) = scene.play_to(nowhere, 500);
    let (_, other) = scene.play(500);
    let stream = reserved.stream;
    assert_eq!(scene.next(), MediaEvent::Lost { stream });
    assert_eq!(playing.figures().packets_sent, 0);
    scene.packet();
    assert!(other.figures().packets_sent > 0);
}

#[test]
fn many_streams_share_the_clock_and_none_loses_a_frame() {
    let scene = Scene::new();
    let streams: Vec<_> = (0..90).map(|_| scene.play(25)).collect();
    let mut by_ssrc: HashMap<u32, Vec<u16>> = HashMap::new();
    for _ in 0..90 * 27 {
        let (header, payload) = scene.packet();
        assert_eq!(payload.len() + HEADER_BYTES, 172);
        by_ssrc
            .entry(header.ssrc)
            .or_default()
            .push(header.sequence);
    }
    assert_eq!(by_ssrc.len(), streams.len());
    for sequences in by_ssrc.values() {
        let whole = sequences.windows(2).all(|w| w[1] == w[0].wrapping_add(1));
        assert!(whole && sequences.len() == 27);
    }
}

#[test]
fn a_clock_that_slept_plays_the_next_stream() {
    let scene = Scene::new();
    for _ in 0..3 {
        let (reserved, _playing) = scene.play(5);
        let (stream, mark) = (reserved.stream, mark());
        assert_eq!(scene.next(), MediaEvent::Marked { stream, mark });
        assert_eq!(scene.next(), MediaEvent::Finished { stream });
    }
}

#[test]
fn a_panic_loses_the_streams_and_says_so_and_the_next_ones_play() {
    let scene = Scene::new();
    let (reserved, _playing) = scene.play(500);
    scene.packet();
    scene.clock.provoke_panic();
    let stream = reserved.stream;
    assert_eq!(scene.next(), MediaEvent::Lost { stream });
    let (reserved, _playing) = scene.play(5);
    let stream = reserved.stream;
    let mark = mark();
    assert_eq!(scene.next(), MediaEvent::Marked { stream, mark });
    assert_eq!(scene.next(), MediaEvent::Finished { stream });
}

#[test]
fn without_a_handle_the_streams_take_their_leave() {
    let scene = Scene::new();
    let (_, _playing) = scene.play(500);
    scene.packet();
    drop(scene.clock);
    let mut buffer = [0; 500];
    let length = scene.far_rtcp.recv(&mut buffer).unwrap();
    assert_eq!(buffer[length - 7], 203);
}

fn address(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().unwrap()
}

/// A packet of the far end's.
fn spoken(payload_type: u8, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let header = packet::Header {
        marker: false,
        payload_type,
        sequence,
        timestamp: u32::from(sequence) * 160,
        ssrc: 99,
    };
    [&header.bytes()[..], payload].concat()
}

fn event_of(scene: &Scene, wanted: impl Fn(&MediaEvent) -> bool) -> MediaEvent {
    loop {
        let event = scene.news.recv_timeout(PATIENCE).unwrap();
        if wanted(&event) {
            return event;
        }
    }
}

#[test]
fn protected_audio_can_be_read_with_the_key_alone_and_keys_are_heard_through_it() {
    use crate::rtp::srtp::{MasterKey, Receiver, Sender, Suite};

    for suite in Suite::ALL {
        let scene = Scene::new();
        let key = || MasterKey::random(suite, &mut rand::rng());
        let keys = Keys {
            ours: key(),
            theirs: key(),
        };
        let (mut ours, mut theirs) = (Receiver::new(&keys.ours), Sender::new(&keys.theirs));
        let (reserved, playing) = scene.play_as(address(&scene.far), 100, |play| {
            (play.keys, play.telephone_event) = (Some(keys), Some(101));
        });
        for frame in 0..5 {
            let mut buffer = [0; 500];
            let length = scene.far.recv(&mut buffer).unwrap();
            let mut sealed = buffer[..length].to_vec();
            assert!(sealed.len() > HEADER_BYTES + FRAME, "a tag is behind it");
            ours.unprotect_rtp(&mut sealed).unwrap();
            let (_, audio) = packet::parse(&sealed).unwrap();
            assert_eq!(audio, &AUDIO[frame * FRAME..(frame + 1) * FRAME]);
        }
        let to = (LOOPBACK, reserved.rtp_port);
        let press = [7, 0, 0, 160];
        // In the clear it is nobody's.
        scene.far.send_to(&spoken(101, 1, &press), to).unwrap();
        let mut sealed = spoken(101, 2, &[8, 0, 0, 160]);
        theirs.protect_rtp(&mut sealed).unwrap();
        scene.far.send_to(&sealed, to).unwrap();
        let pressed = event_of(&scene, |event| matches!(event, MediaEvent::Pressed { .. }));
        let key = Key::of_char('8').unwrap();
        let stream = reserved.stream;
        assert_eq!(pressed, MediaEvent::Pressed { stream, key });
        assert_eq!(playing.figures().packets_received, 1);
        let mut buffer = [0; 500];
        let length = scene.far_rtcp.recv(&mut buffer).unwrap();
        let mut report = buffer[..length].to_vec();
        ours.unprotect_rtcp(&mut report).unwrap();
        assert_eq!(report[1], 200, "a sender report");
    }
}

#[test]
fn a_stream_that_is_moved_goes_on_there_and_is_heard_from_there_alone() {
    let scene = Scene::new();
    let (reserved, playing) = scene.play(500);
    let first = scene.packet().0;
    let (elsewhere, rtcp) = (far_end(), far_end());
    scene.clock.moved(
        reserved.stream,
        Moved {
            remote: address(&elsewhere),
            remote_rtcp: address(&rtcp),
            codec: Codec::Pcma,
            telephone_event: Some(96),
            their_key: None,
        },
    );
    let (moved, _) = packet_at(&elsewhere);
    assert_eq!(moved.ssrc, first.ssrc);
    assert!(moved.sequence > first.sequence);
    let press = spoken(96, 1, &[5, 0, 0, 160]);
    elsewhere
        .send_to(&press, (LOOPBACK, reserved.rtp_port))
        .unwrap();
    let pressed = event_of(&scene, |event| matches!(event, MediaEvent::Pressed { .. }));
    let MediaEvent::Pressed { key, .. } = pressed else {
        panic!("{pressed:?}");
    };
    assert_eq!(key.as_char(), '5');
    drop(playing);
}

#[test]
fn a_held_stream_sends_nothing_and_goes_on_where_it_was() {
    let scene = Scene::new();
    let (_, playing) = scene.play(50);
    let before = scene.packet().0;
    playing.hold(true);
    let far = &scene.far;
    far.set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let mut last = before;
    while let Ok((header, _)) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut buffer = [0; 500];
        let length = far.recv(&mut buffer).map_err(|_| ())?;
        packet::parse(&buffer[..length])
            .map(|(header, audio)| (header, audio.to_vec()))
            .ok_or(())
    }))
    .unwrap()
    {
        last = header;
    }
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    playing.hold(false);
    let after = scene.packet().0;
    assert_eq!(after.sequence, last.sequence + 1);
    assert!(
        after.timestamp - last.timestamp >= 8 * 160,
        "time has passed"
    );
    assert!(after.marker);
}

#[test]
fn what_is_said_can_be_replaced() {
    let scene = Scene::new();
    let (reserved, _playing) = scene.play(500);
    scene.packet();
    let mark = Mark::ReadingDone { reading: 7 };
    scene.clock.say(
        reserved.stream,
        Script {
            pieces: vec![Piece {
                audio: &AUDIO[..FRAME],
                repeat: 1,
                mark: Some(mark),
            }],
        },
    );
    let stream = reserved.stream;
    let marked = MediaEvent::Marked { stream, mark };
    event_of(&scene, |event| *event == marked);
    event_of(&scene, |event| *event == MediaEvent::Finished { stream });
}

#[test]
fn a_far_end_that_falls_silent_loses_the_stream() {
    let scene = Scene::new();
    let (reserved, _playing) = scene.play_as(address(&scene.far), 5000, |play| {
        play.media_timeout_frames = 10;
    });
    scene.packet();
    let to = (LOOPBACK, reserved.rtp_port);
    scene.far.send_to(&spoken(8, 1, &[0xd5; 160]), to).unwrap();
    let stream = reserved.stream;
    event_of(&scene, |event| *event == MediaEvent::Lost { stream });
}

#[test]
fn the_round_trip_and_the_losses_both_ways_are_in_the_figures() {
    use crate::rtp::wire::rtcp;
    use crate::rtp::wire::rtcp::News;

    let scene = Scene::new();
    let (reserved, playing) = scene.play(500);
    let ssrc = scene.packet().0.ssrc;
    let to = (LOOPBACK, reserved.rtp_port);
    for sequence in [1, 2, 5] {
        let packet = spoken(8, sequence, &[0xd5; 160]);
        scene.far.send_to(&packet, to).unwrap();
    }
    let report = scene.report();
    let [News::Sender { ntp_middle, .. }, News::Block(about_far)] = rtcp::read(&report)[..] else {
        panic!("{:?}", rtcp::read(&report));
    };
    assert_eq!((about_far.ssrc, about_far.lost), (99, 2));
    // The far end has held our report for 100 ms of which it says 50.
    let held: u32 = 65_536 / 20;
    let mut block = vec![0x81, 201, 0, 7, 0, 0, 0, 99];
    for word in [ssrc, 0x1000_0003, 0, 16, ntp_middle, held] {
        block.extend(word.to_be_bytes());
    }
    std::thread::sleep(Duration::from_millis(100));
    scene
        .far_rtcp
        .send_to(&block, (LOOPBACK, reserved.rtcp_port))
        .unwrap();
    let until = Instant::now() + PATIENCE;
    let figures = loop {
        let figures = playing.figures();
        if figures.round_trip.is_some() {
            break figures;
        }
        assert!(Instant::now() < until);
        std::thread::yield_now();
    };
    let round_trip = figures.round_trip.unwrap();
    assert!(round_trip >= Duration::from_millis(45), "{round_trip:?}");
    assert_eq!(figures.packets_lost, Some(3));
    assert_eq!(
        (figures.packets_missed, figures.fraction_lost),
        (2, Some(16))
    );
}
