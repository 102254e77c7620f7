//! The audio of many calls, compared with a bare sender of the same packets: CPU time and lateness.

use std::collections::HashMap;
use std::io::{IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nexo_voice::audio::g711::{Codec, Format};
use nexo_voice::rtp::send::clock::{MediaClock, StreamConfig};
use nexo_voice::rtp::send::ports::PortRange;
use nexo_voice::rtp::wire::packet;
use nexo_voice::rtp::wire::packet::Header;
use nexo_voice::rtp::wire::telephone_event::EventTypes;
use nexo_voice::speech::prompts::{FRAME, Piece, Script};
use nix::cmsg_space;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg, setsockopt,
    sockopt,
};
use nix::sys::time::TimeSpec;

use super::{LOOPBACK, threads};

static SILENCE: [u8; FRAME] = [0xd5; FRAME];
const MAX_BATCH: usize = 64;
const SINKS: usize = 16;
const SLOTS: usize = 20;
const FRAME_TIME: Duration = Duration::from_millis(20);

pub fn compare(calls: usize, seconds: u64) -> anyhow::Result<()> {
    println!("Audio of {calls} calls for {seconds} s, one packet every 20 ms:");
    let sinks = Sinks::open()?;
    let bare = bare_sender(&sinks.addresses, calls, seconds)?;
    let bare_lateness = sinks.close()?;
    let sinks = Sinks::open()?;
    let clock = MediaClock::start(LOOPBACK.into(), PortRange::ephemeral(), 1, Box::new(|_| {}))?;
    let frames = ((seconds + 30) * 50) as u32;
    let playing: Vec<_> =
        (0..calls).map(|n| clock.play(play(&clock, sinks.addresses[n % SINKS], frames))).collect();
    thread::sleep(Duration::from_secs(1));
    let before = threads(&["media"]);
    thread::sleep(Duration::from_secs(seconds));
    let ours = threads(&["media"]) - before;
    drop(playing);
    let our_lateness = sinks.close()?;
    let each = |used: Duration| used.as_secs_f64() * 1e6 / (calls as f64 * seconds as f64);
    let times = ours.as_secs_f64() / bare.as_secs_f64();
    println!("  a bare sendmmsg sender, CPU per call and second  {:>7.1} us", each(bare));
    println!(
        "  the media clock, CPU per call and second         {:>7.1} us  ({times:.2} times)",
        each(ours)
    );
    println!("  lateness of the bare sender's packets            {bare_lateness}");
    println!("  lateness of the media clock's packets            {our_lateness}");
    Ok(())
}

/// How late packets arrived, relative to the earliest of their stream.
#[derive(Default)]
struct Lateness {
    /// Packets by tenths of a millisecond; the last element counts all later ones.
    tenths: Vec<u64>,
    packets: u64,
    worst: Duration,
}

impl Lateness {
    const MAX_TENTHS: usize = 1000;

    fn record(&mut self, late: Duration) {
        self.tenths.resize(Self::MAX_TENTHS + 1, 0);
        let tenth = (late.as_micros() / 100) as usize;
        self.tenths[tenth.min(Self::MAX_TENTHS)] += 1;
        self.packets += 1;
        self.worst = self.worst.max(late);
    }

    /// The lateness that this share of the packets does not exceed, in milliseconds.
    fn within(&self, share: f64) -> f64 {
        let mut left = (self.packets as f64 * share).ceil() as u64;
        let tenth = self.tenths.iter().position(|count| {
            left = left.saturating_sub(*count);
            left == 0
        });
        (tenth.unwrap_or(Self::MAX_TENTHS) + 1) as f64 / 10.0
    }
}

impl std::fmt::Display for Lateness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "p50 {:.1}, p99 {:.1}, worst {:.1} ms of {} packets",
            self.within(0.5),
            self.within(0.99),
            self.worst.as_secs_f64() * 1e3,
            self.packets
        )
    }
}

/// A stream's first packet: its arrival in nanoseconds, and its RTP timestamp.
struct First {
    arrival: i128,
    timestamp: u32,
}

/// The far ends. They receive packets with the kernel's time of arrival.
struct Sinks {
    addresses: Vec<SocketAddr>,
    stop: Arc<AtomicBool>,
    drain: thread::JoinHandle<anyhow::Result<Lateness>>,
}

impl Sinks {
    fn open() -> anyhow::Result<Sinks> {
        let sockets: Vec<UdpSocket> = (0..SINKS)
            .map(|_| {
                let socket = UdpSocket::bind((LOOPBACK, 0))?;
                socket.set_nonblocking(true)?;
                setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
                setsockopt(&socket, sockopt::RcvBuf, &(8 << 20))?;
                Ok(socket)
            })
            .collect::<std::io::Result<_>>()?;
        let addresses = sockets.iter().map(UdpSocket::local_addr);
        let addresses = addresses.collect::<std::io::Result<_>>()?;
        let stop = Arc::new(AtomicBool::new(false));
        let should_stop = Arc::clone(&stop);
        let drain = thread::spawn(move || {
            let mut arrivals: Vec<(u32, u32, i128)> = Vec::new();
            while !should_stop.load(Ordering::Relaxed) {
                for socket in &sockets {
                    receive(socket, &mut arrivals)?;
                }
                thread::sleep(Duration::from_millis(5));
            }
            Ok(lateness(&arrivals))
        });
        Ok(Sinks { addresses, stop, drain })
    }

    fn close(self) -> anyhow::Result<Lateness> {
        self.stop.store(true, Ordering::Relaxed);
        let taken = self.drain.join();
        taken.map_err(|_| anyhow::anyhow!("the far end panicked"))?
    }
}

/// Receives the available packets: the stream, timestamp and time of arrival in nanoseconds of each.
fn receive(socket: &UdpSocket, arrivals: &mut Vec<(u32, u32, i128)>) -> anyhow::Result<()> {
    let mut headers = MultiHeaders::<()>::preallocate(MAX_BATCH, Some(cmsg_space!(TimeSpec)));
    let mut buffers = [[0_u8; 200]; MAX_BATCH];
    loop {
        let mut room = buffers.iter_mut();
        let mut slices: [[IoSliceMut<'_>; 1]; MAX_BATCH] = std::array::from_fn(|_| {
            let buffer: &mut [u8] = room.next().map_or(&mut [], |buffer| buffer);
            [IoSliceMut::new(buffer)]
        });
        let flags = MsgFlags::MSG_DONTWAIT;
        let Ok(taken) = recvmmsg(socket.as_raw_fd(), &mut headers, &mut slices, flags, None) else {
            return Ok(());
        };
        let times: Vec<Option<TimeSpec>> = taken
            .map(|message| {
                let mut control = message.cmsgs().ok()?;
                control.find_map(|control| match control {
                    ControlMessageOwned::ScmTimestampns(at) => Some(at),
                    _ => None,
                })
            })
            .collect();
        for (buffer, at) in buffers.iter().zip(times) {
            if let (Some((header, _)), Some(at)) = (packet::parse(buffer), at) {
                let at = i128::from(at.tv_sec()) * 1_000_000_000 + i128::from(at.tv_nsec());
                arrivals.push((header.ssrc, header.timestamp, at));
            }
        }
    }
}

fn lateness(arrivals: &[(u32, u32, i128)]) -> Lateness {
    let mut firsts: HashMap<u32, First> = HashMap::new();
    // A packet's offset from its stream's first packet. The least offset shows how late the first packet itself was.
    let offsets: Vec<(u32, i128)> = arrivals
        .iter()
        .map(|(ssrc, timestamp, arrival)| {
            let first =
                firsts.entry(*ssrc).or_insert(First { arrival: *arrival, timestamp: *timestamp });
            let samples = timestamp.wrapping_sub(first.timestamp);
            let due = first.arrival + i128::from(samples) * 125_000;
            (*ssrc, arrival - due)
        })
        .collect();
    let mut earliest: HashMap<u32, i128> = HashMap::new();
    for (ssrc, offset) in &offsets {
        let least = earliest.entry(*ssrc).or_insert(*offset);
        *least = (*least).min(*offset);
    }
    let mut lateness = Lateness::default();
    for (ssrc, offset) in &offsets {
        let late = offset - earliest[ssrc];
        lateness.record(Duration::from_nanos(late.try_into().unwrap_or(u64::MAX)));
    }
    lateness
}

fn play(clock: &MediaClock, remote: SocketAddr, frames: u32) -> StreamConfig {
    StreamConfig {
        stream: clock.reserve().stream,
        remote,
        remote_rtcp: SocketAddr::new(remote.ip(), 9),
        gateway: remote.ip(),
        format: Format::of(Codec::Pcma),
        script: Script { pieces: vec![Piece { audio: &SILENCE, repeat: frames, mark: None }] },
        frames_per_packet: 1,
        event_types: EventTypes::default(),
        wants_dtmf: true,
        srtp_keys: None,
        media_timeout_frames: 0,
    }
}

/// The baseline: the same packets in the same batches from as many sockets, paced by one thread over 20 slots of one
/// millisecond. Returns its CPU time.
fn bare_sender(sinks: &[SocketAddr], calls: usize, seconds: u64) -> anyhow::Result<Duration> {
    let sockets: Vec<UdpSocket> =
        (0..SLOTS).map(|_| UdpSocket::bind((LOOPBACK, 0))).collect::<std::io::Result<_>>()?;
    let slots: Vec<Vec<Option<SockaddrStorage>>> = (0..SLOTS)
        .map(|slot| {
            let calls = (0..calls).skip(slot).step_by(SLOTS);
            calls.map(|n| Some(sinks[n % sinks.len()].into())).collect()
        })
        .collect();
    let sender = thread::Builder::new().name("bare".into()).spawn(move || {
        let mut headers = MultiHeaders::preallocate(MAX_BATCH, None);
        let before = threads(&["bare"]);
        let start = Instant::now();
        for tick in 0..(seconds * 1000) as u32 {
            let due = start + FRAME_TIME / SLOTS as u32 * tick;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let (slot, frame) = (tick as usize % SLOTS, tick / SLOTS as u32);
            for (n, batch) in slots[slot].chunks(MAX_BATCH).enumerate() {
                let rtp: Vec<_> = (0..batch.len())
                    .map(|at| {
                        let header = Header {
                            marker: false,
                            payload_type: 8,
                            sequence: frame as u16,
                            timestamp: frame * FRAME as u32,
                            ssrc: ((n * MAX_BATCH + at) * SLOTS + slot) as u32,
                        };
                        header.bytes()
                    })
                    .collect();
                let slices: Vec<[IoSlice<'_>; 2]> =
                    rtp.iter().map(|rtp| [IoSlice::new(rtp), IoSlice::new(&SILENCE)]).collect();
                let _ = sendmmsg(
                    sockets[slot].as_raw_fd(),
                    &mut headers,
                    &slices,
                    batch,
                    [],
                    MsgFlags::MSG_DONTWAIT,
                )
                .map(Iterator::count);
            }
        }
        threads(&["bare"]) - before
    })?;
    sender.join().map_err(|_| anyhow::anyhow!("the bare sender panicked"))
}
