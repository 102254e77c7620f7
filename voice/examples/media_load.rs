//! What the media clock costs: plays N streams on loopback for S seconds and prints the media
//! thread's CPU time a call-second and how late its packets leave.
//!
//! `cargo run --release -p nexo-voice --example media_load -- [STREAMS] [SECONDS]`

use std::collections::HashMap;
use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nexo_voice::g711::Codec;
use nexo_voice::prompts::{FRAME, Piece, Script};
use nexo_voice::rtp::clock::{MediaClock, Play};
use nexo_voice::rtp::packet;
use nexo_voice::rtp::ports::{PortRange, bind};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;

#[path = "load/cpu.rs"]
mod cpu;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
static SILENCE: [u8; FRAME] = [0xd5; FRAME];
/// Far ends that only have their packets taken away.
const SINKS: usize = 16;
/// Streams whose packets are timed; more would measure the reader.
const TIMED: usize = 20;
const WARM_UP: Duration = Duration::from_secs(1);
const FRAME_NS: i128 = 20_000_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| match arguments.next() {
        Some(text) => text.parse().expect("STREAMS and SECONDS are whole numbers"),
        None => default,
    };
    let (streams, seconds): (usize, u64) = (number(2000), number(10) as u64);

    let clock = MediaClock::start(LOOPBACK, PortRange::ephemeral(), 1, Box::new(|_| {}))
        .expect("loopback has free ports");
    let stop = Arc::new(AtomicBool::new(false));
    let sinks: Vec<UdpSocket> = (0..SINKS).map(|_| far_end()).collect();
    let timed = far_end();
    let addresses: Vec<SocketAddr> = sinks.iter().map(local).collect();
    let timed_address = local(&timed);
    let drain = thread::spawn({
        let stop = Arc::clone(&stop);
        move || drain(&sinks, &stop)
    });
    let timer = thread::spawn({
        let stop = Arc::clone(&stop);
        move || arrivals(&timed, &stop)
    });

    let frames = ((seconds + 60) * 50) as u32;
    let mut playing = Vec::new();
    for n in 0..streams {
        let remote = match n < TIMED.min(streams) {
            true => timed_address,
            false => addresses[n % SINKS],
        };
        playing.push(clock.play(Play {
            stream: clock.reserve().stream,
            remote,
            remote_rtcp: SocketAddr::new(remote.ip(), 9),
            gateway: LOOPBACK,
            codec: Codec::Pcma,
            script: Script {
                pieces: vec![Piece {
                    audio: &SILENCE,
                    repeat: frames,
                    mark: None,
                }],
            },
            frames_a_packet: 1,
            telephone_event: None,
            wants_keys: true,
            keys: None,
            media_timeout_frames: 0,
        }));
    }
    thread::sleep(WARM_UP);
    let (before, started) = (cpu::of_thread("media"), Instant::now());
    thread::sleep(Duration::from_secs(seconds));
    let (used, took) = (cpu::of_thread("media") - before, started.elapsed());
    stop.store(true, Ordering::Relaxed);
    let taken = drain.join().expect("the drain does not panic");
    let arrivals = timer.join().expect("the timer does not panic");

    let call_seconds = streams as f64 * took.as_secs_f64();
    println!("streams {streams}, {:.1} s", took.as_secs_f64());
    println!(
        "media thread: {:.1} us CPU a call-second, {:.1} % of a core",
        used.as_secs_f64() * 1e6 / call_seconds,
        used.as_secs_f64() / took.as_secs_f64() * 100.0
    );
    println!("taken by far ends that are not timed: {taken}");
    print_lateness(&arrivals);
}

fn far_end() -> UdpSocket {
    bind(LOOPBACK, 0).expect("loopback has free ports")
}

fn local(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("the socket is bound")
}

fn drain(sinks: &[UdpSocket], stop: &AtomicBool) -> u64 {
    let (mut buffer, mut taken) = ([0; 256], 0);
    while !stop.load(Ordering::Relaxed) {
        for sink in sinks {
            while sink.recv(&mut buffer).is_ok() {
                taken += 1;
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
    taken
}

/// By SSRC, each packet's number in its stream and the time at which the kernel had it.
type Arrivals = HashMap<u32, Vec<(u32, i128)>>;

fn arrivals(socket: &UdpSocket, stop: &AtomicBool) -> Arrivals {
    setsockopt(socket, sockopt::ReceiveTimestampns, &true).expect("Linux has SO_TIMESTAMPNS");
    let mut space = nix::cmsg_space!(TimeSpec);
    let mut buffer = [0; 256];
    let mut arrivals = Arrivals::new();
    let mut first: HashMap<u32, u32> = HashMap::new();
    while !stop.load(Ordering::Relaxed) {
        loop {
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let received = recvmsg::<SockaddrStorage>(
                socket.as_raw_fd(),
                &mut slices,
                Some(&mut space),
                MsgFlags::empty(),
            );
            let Ok(message) = received else { break };
            let bytes = message.bytes;
            let at = message.cmsgs().ok().and_then(|mut all| {
                all.find_map(|one| match one {
                    ControlMessageOwned::ScmTimestampns(at) => {
                        Some(i128::from(at.tv_sec()) * 1_000_000_000 + i128::from(at.tv_nsec()))
                    }
                    _ => None,
                })
            });
            if let (Some((header, _)), Some(at)) = (packet::parse(&buffer[..bytes]), at) {
                let start = *first.entry(header.ssrc).or_insert(header.timestamp);
                let number = header.timestamp.wrapping_sub(start) / FRAME as u32;
                arrivals.entry(header.ssrc).or_default().push((number, at));
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
    arrivals
}

/// A packet's lateness is how much later it left than its stream's earliest one, both against the
/// media clock.
fn print_lateness(arrivals: &Arrivals) {
    let mut late: Vec<i128> = Vec::new();
    for packets in arrivals.values() {
        let offset = |(number, at): &(u32, i128)| at - i128::from(*number) * FRAME_NS;
        let earliest = packets.iter().map(offset).min().unwrap_or_default();
        late.extend(packets.iter().map(|packet| offset(packet) - earliest));
    }
    late.sort_unstable();
    let Some(last) = late.len().checked_sub(1) else {
        println!("no packet arrived");
        return;
    };
    let at = |percent: usize| late[last * percent / 100] as f64 / 1e6;
    println!(
        "lateness over {} packets of {} streams: p50 {:.2} ms, p99 {:.2} ms, worst {:.2} ms",
        late.len(),
        arrivals.len(),
        at(50),
        at(99),
        at(100)
    );
}
