//! Plays streams over real sockets to a far end on the same machine.

mod receiving;
mod sending;
mod updating;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::*;
use crate::audio::g711::{Codec, Format};
use crate::rtp::wire::packet;
use crate::rtp::wire::packet::HEADER_BYTES;
use crate::rtp::wire::telephone_event::{DtmfKey, EventTypes, KeyChange, KeySource};
use crate::speech::prompts::{FRAME, Mark, Piece};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const TIMEOUT: Duration = Duration::from_secs(10);
static AUDIO: [u8; FRAME * 5] = {
    let mut audio = [0; FRAME * 5];
    let mut at = 0;
    while at < audio.len() {
        audio[at] = (at / FRAME + 1) as u8;
        at += 1;
    }
    audio
};

/// A clock, a far end that receives its packets, and the events.
struct Fixture {
    clock: MediaClock,
    far: UdpSocket,
    far_rtcp: UdpSocket,
    events: Receiver<MediaEvent>,
}

fn far_end() -> UdpSocket {
    let socket = UdpSocket::bind((LOOPBACK, 0)).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    socket
}

fn mark() -> Mark {
    Mark::ReadingDone { reading: 0 }
}

impl Fixture {
    fn new() -> Fixture {
        let (sender, events) = channel();
        let sender = Mutex::new(sender);
        let on_events = move |events: &[MediaEvent]| {
            for event in events {
                let _ = sender.lock().unwrap().send(*event);
            }
        };
        let clock =
            MediaClock::start(LOOPBACK, PortRange::ephemeral(), 1, Box::new(on_events)).unwrap();
        Fixture { clock, far: far_end(), far_rtcp: far_end(), events }
    }

    fn play(&self, frames: u32) -> (ReservedStream, StreamHandle) {
        self.play_to(self.far.local_addr().unwrap(), frames)
    }

    fn play_to(&self, remote: SocketAddr, frames: u32) -> (ReservedStream, StreamHandle) {
        self.play_as(remote, frames, |_| {})
    }

    fn play_as(
        &self,
        remote: SocketAddr,
        frames: u32,
        change: impl FnOnce(&mut StreamConfig),
    ) -> (ReservedStream, StreamHandle) {
        let reserved = self.clock.reserve();
        let script = Script {
            pieces: vec![
                Piece { audio: &AUDIO, repeat: frames / 5, mark: Some(mark()) },
                Piece { audio: &AUDIO[..FRAME], repeat: 2, mark: None },
            ],
        };
        let mut config = StreamConfig {
            stream: reserved.stream,
            remote,
            remote_rtcp: self.far_rtcp.local_addr().unwrap(),
            gateway: LOOPBACK,
            format: Format::of(Codec::Pcma),
            script,
            frames_per_packet: 1,
            event_types: EventTypes::default(),
            wants_dtmf: false,
            srtp_keys: None,
            media_timeout_frames: 0,
        };
        change(&mut config);
        (reserved, self.clock.play(config))
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
        self.events.recv_timeout(TIMEOUT).unwrap()
    }
}

fn packet_at(socket: &UdpSocket) -> (packet::Header, Vec<u8>) {
    let mut buffer = [0; 2000];
    let length = socket.recv(&mut buffer).unwrap();
    let (header, payload) = packet::parse(&buffer[..length]).unwrap();
    (header, payload.to_vec())
}

/// Receives packets, one each 20 ms, until `done` returns true.
fn receive_until(fixture: &Fixture, mut done: impl FnMut() -> bool) {
    for _ in 0..250 {
        if done() {
            return;
        }
        fixture.packet();
    }
    panic!("the condition was not met within five seconds");
}

fn address(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().unwrap()
}

/// A packet of the far end.
fn far_packet(payload_type: u8, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let header = packet::Header {
        marker: false,
        payload_type,
        sequence,
        timestamp: u32::from(sequence) * 160,
        ssrc: 99,
    };
    [&header.bytes()[..], payload].concat()
}

/// A far end that sends its events under this payload type.
fn events(payload_type: u8) -> EventTypes {
    EventTypes { described: [payload_type].into_iter().collect(), ours: None }
}

/// The event of a key that was pressed.
fn pressed(stream: StreamId, key: char) -> MediaEvent {
    let change = KeyChange::Pressed(DtmfKey::from_char(key).unwrap());
    let signal = KeySignal { change, source: KeySource::Event };
    MediaEvent::DtmfReceived { stream, signal }
}

/// Sends packets of silence, one each 20 ms, with this SSRC.
fn send_run(socket: &UdpSocket, to: (IpAddr, u16), ssrc: u32, sequences: std::ops::Range<u16>) {
    for sequence in sequences {
        let mut packet = far_packet(8, sequence, &[0xd5; 160]);
        packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
        socket.send_to(&packet, to).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn event_of(fixture: &Fixture, wanted: impl Fn(&MediaEvent) -> bool) -> MediaEvent {
    loop {
        let event = fixture.events.recv_timeout(TIMEOUT).unwrap();
        if wanted(&event) {
            return event;
        }
    }
}
