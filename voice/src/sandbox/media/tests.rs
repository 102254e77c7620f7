use std::net::Ipv4Addr;

use super::*;
use crate::audio::g711::Codec;
use crate::rtp::wire::packet::Header;
use crate::sandbox::behaviour::Playback;
use crate::sandbox::events::CallId;
use crate::sandbox::media::impairment::Impairment;
use crate::sandbox::media::media_ports::MediaPorts;

const CALL: CallNumber = 1;

/// A call whose caller announced this address and signals from another one.
struct Scene {
    shared: SharedSocket,
    legs: HashMap<CallNumber, OpenLeg>,
    now: Instant,
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

impl Scene {
    fn new(announced: &str) -> Scene {
        let announced = at(announced);
        let lease = MediaPorts::new(Ipv4Addr::LOCALHOST.into()).lease(announced).unwrap();
        let rtcp = SocketAddr::new(announced.ip(), announced.port() + 1);
        let expected = ExpectedSource::new(announced, rtcp, [203, 0, 113, 1].into());
        let mut shared =
            SharedSocket { socket: Arc::clone(&lease.socket), calls: Demultiplexer::default() };
        shared.calls.add(CALL, expected);
        let path = Impairment::new(0, Duration::ZERO, 1);
        let listened = Some((CallId::from("a"), path));
        let leg = Leg::new(Codec::Pcma, Some(101), Playback::Silence, 7, listened);
        let open = OpenLeg { leg: Box::new(leg), lease, source: SourceRule::new(expected) };
        Scene { shared, legs: HashMap::from([(CALL, open)]), now: Instant::now() }
    }

    /// Receives frames of audio, one each 20 ms. Returns how many frames the callee has heard.
    fn receive(&mut self, from: &str, ssrc: u32, count: u16) -> usize {
        for sequence in 0..count {
            let header = Header {
                marker: false,
                payload_type: 8,
                sequence,
                timestamp: u32::from(sequence) * 160,
                ssrc,
            };
            let packet = [&header.bytes()[..], &[0x55; 160]].concat();
            self.now += FRAME;
            self.shared.receive(&mut self.legs, &packet, at(from), self.now);
        }
        let mut heard = 0;
        let leg = &mut self.legs.get_mut(&CALL).unwrap().leg;
        // The whole delay of the jitter buffer.
        for _ in 0..40 {
            heard += leg.pull_audio(self.now).map_or(0, |audio| audio.len());
        }
        heard / 160
    }

    fn sends_to(&self) -> SocketAddr {
        self.legs[&CALL].source.rtp_destination()
    }
}

#[test]
fn the_sandbox_hears_only_the_announced_address() {
    let mut scene = Scene::new("198.51.100.1:4000");
    for from in ["198.51.100.2:4000", "203.0.113.1:4000"] {
        assert_eq!(scene.receive(from, 9, 50), 0, "{from}");
    }
    assert_eq!(scene.receive("198.51.100.1:5000", 9, 4), 0);
    assert!(scene.receive("198.51.100.1:4000", 1, 50) > 0);
    let open = &scene.legs[&CALL];
    assert_eq!(open.source.latched(), None);
    scene.receive("198.51.100.1:5000", 9, 50);
    let open = &scene.legs[&CALL];
    assert_eq!(open.source.current().unwrap().ssrc, 1);
}

#[test]
fn the_sandbox_answers_a_caller_behind_a_nat_at_its_source() {
    let mut scene = Scene::new("192.168.1.5:4000");
    assert_eq!(scene.receive("203.0.113.1:61000", 9, 4), 0);
    assert_eq!(scene.sends_to(), at("192.168.1.5:4000"));
    assert!(scene.receive("203.0.113.1:61000", 9, 50) > 0);
    assert_eq!(scene.sends_to(), at("203.0.113.1:61000"));
}
