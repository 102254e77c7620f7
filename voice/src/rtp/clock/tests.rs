use std::net::{Ipv4Addr, UdpSocket};

use super::*;
use crate::prompts::{FRAME, Piece};
use crate::rtp::packet;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
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

impl Scene {
    fn new() -> Scene {
        let (tell, news) = channel();
        let tell = std::sync::Mutex::new(tell);
        let events = move |events: &[MediaEvent]| {
            for event in events {
                let _ = tell.lock().unwrap().send(*event);
            }
        };
        let clock = MediaClock::start(LOOPBACK, PortRange::ephemeral(), Box::new(events)).unwrap();
        let far = UdpSocket::bind((LOOPBACK, 0)).unwrap();
        let far_rtcp = UdpSocket::bind((LOOPBACK, 0)).unwrap();
        for socket in [&far, &far_rtcp] {
            socket
                .set_read_timeout(Some(Duration::from_secs(10)))
                .unwrap();
        }
        Scene {
            clock,
            far,
            far_rtcp,
            news,
        }
    }

    fn play(&self, frames: u32, mark: Option<Mark>) -> Reserved {
        let reserved = self.clock.reserve();
        let script = Script {
            pieces: vec![
                Piece { audio: &AUDIO, repeat: frames / 5, mark },
                Piece { audio: &AUDIO[..FRAME], repeat: 2, mark: None },
            ],
        };
        self.clock.play(Play {
            stream: reserved.stream,
            remote: self.far.local_addr().unwrap(),
            remote_rtcp: self.far_rtcp.local_addr().unwrap(),
            codec: Codec::Pcma,
            script,
        });
        reserved
    }

    fn packet(&self) -> (packet::Header, Vec<u8>) {
        let mut buffer = [0; 2000];
        let length = self.far.recv(&mut buffer).unwrap();
        let (header, payload) = packet::parse(&buffer[..length]).unwrap();
        (header, payload.to_vec())
    }

    fn next(&self) -> MediaEvent {
        self.news.recv_timeout(Duration::from_secs(10)).unwrap()
    }
}

#[test]
fn a_stream_is_its_script_in_order_with_numbers_that_rise_by_one_frame() {
    let scene = Scene::new();
    let mark = Mark::ReadingDone { reading: 0 };
    let reserved = scene.play(10, Some(mark));
    let (first, payload) = scene.packet();
    assert!(first.marker);
    assert_eq!((first.payload_type, payload), (8, vec![1; FRAME]));
    for n in 1..12_u16 {
        let (header, payload) = scene.packet();
        assert!(!header.marker);
        assert_eq!(header.sequence, first.sequence.wrapping_add(n));
        assert_eq!(
            header.timestamp,
            first.timestamp.wrapping_add(u32::from(n) * 160)
        );
        assert_eq!(header.ssrc, first.ssrc);
        let expected = if n < 10 { n % 5 + 1 } else { 1 };
        assert_eq!(payload, vec![expected as u8; FRAME], "packet {n}");
    }
    let stream = reserved.stream;
    assert_eq!(scene.next(), MediaEvent::Marked { stream, mark });
    assert_eq!(scene.next(), MediaEvent::Finished { stream });
    scene.clock.stop(stream);
    let MediaEvent::Stopped { figures, .. } = scene.next() else {
        panic!("not stopped");
    };
    assert_eq!(figures.packets_sent, 12);
}

#[test]
fn a_long_stream_reports_itself_and_says_goodbye() {
    let scene = Scene::new();
    let reserved = scene.play(500, None);
    let mut buffer = [0; 500];
    let length = scene.far_rtcp.recv(&mut buffer).unwrap();
    assert_eq!(buffer[1], 200);
    let packets = u32::from_be_bytes([buffer[20], buffer[21], buffer[22], buffer[23]]);
    assert!((40..80).contains(&packets), "{packets} packets in a second");
    assert_eq!(buffer[..length].iter().filter(|b| **b == 203).count(), 0);
    scene.clock.stop(reserved.stream);
    let length = scene.far_rtcp.recv(&mut buffer).unwrap();
    assert_eq!(buffer[length - 7], 203);
}

#[test]
fn what_the_far_end_says_of_the_stream_is_in_its_figures() {
    let scene = Scene::new();
    let reserved = scene.play(500, None);
    let (first, _) = scene.packet();
    let mut report = vec![0x81, 201, 0, 7, 9, 9, 9, 9];
    report.extend(first.ssrc.to_be_bytes());
    report.extend([64, 0, 0, 9, 0, 0, 1, 0, 0, 0, 0, 33, 0, 0, 0, 0, 0, 0, 0, 0]);
    let rtcp = SocketAddr::from((LOOPBACK, reserved.rtcp_port));
    scene.far_rtcp.send_to(&report, rtcp).unwrap();
    let rtp = SocketAddr::from((LOOPBACK, reserved.rtp_port));
    scene.far.send_to(&first.bytes(), rtp).unwrap();
    // Read within a turn of the wheel: five packets are more than that.
    for _ in 0..5 {
        scene.packet();
    }
    scene.clock.stop(reserved.stream);
    let MediaEvent::Stopped { figures, .. } = scene.next() else {
        panic!("not stopped");
    };
    assert_eq!((figures.fraction_lost, figures.jitter), (Some(64), Some(33)));
    assert_eq!(figures.packets_received, 1);
}

#[test]
fn a_stream_follows_its_far_end_to_another_port_once() {
    let scene = Scene::new();
    let reserved = scene.play(500, None);
    scene.packet();
    let moved = UdpSocket::bind((LOOPBACK, 0)).unwrap();
    moved.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let rtp = SocketAddr::from((LOOPBACK, reserved.rtp_port));
    moved.send_to(&[0x80; 12], rtp).unwrap();
    let mut buffer = [0; 500];
    assert_eq!(moved.recv(&mut buffer).unwrap(), HEADER_BYTES + FRAME);
    let third = UdpSocket::bind((LOOPBACK, 0)).unwrap();
    third.send_to(&[0x80; 12], rtp).unwrap();
    for _ in 0..5 {
        moved.recv(&mut buffer).unwrap();
    }
}

#[test]
fn many_streams_share_the_clock_and_none_loses_a_frame() {
    let scene = Scene::new();
    let streams: Vec<_> = (0..40).map(|_| scene.play(25, None)).collect();
    let mut by_ssrc: HashMap<u32, Vec<u16>> = HashMap::new();
    for _ in 0..40 * 27 {
        let (header, _) = scene.packet();
        by_ssrc.entry(header.ssrc).or_default().push(header.sequence);
    }
    assert_eq!(by_ssrc.len(), streams.len());
    for sequences in by_ssrc.values() {
        let whole = sequences.windows(2).all(|w| w[1] == w[0].wrapping_add(1));
        assert!(whole && sequences.len() == 27);
    }
}

#[test]
fn stopping_what_never_played_is_answered_all_the_same() {
    let scene = Scene::new();
    let stream = scene.clock.reserve().stream;
    scene.clock.stop(stream);
    let figures = StreamFigures::default();
    assert_eq!(scene.next(), MediaEvent::Stopped { stream, figures });
}

#[test]
fn a_panic_loses_the_streams_and_says_so_and_the_next_ones_play() {
    let scene = Scene::new();
    scene.play(500, None);
    scene.packet();
    scene.clock.provoke_panic();
    assert_eq!(scene.next(), MediaEvent::Restarted);
    let stream = scene.play(5, None).stream;
    assert_eq!(scene.next(), MediaEvent::Finished { stream });
}
