//! The cost of a call: its signalling compared with SIPp's own caller, its audio compared with a bare paced sender of
//! the same packets, and its memory.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nexo_domain::call::CallLimits;
use nexo_domain::otp::{Code, Language, Reading};
use nexo_voice::audio::g711::Codec;
use nexo_voice::endpoint::{
    CallEvent, CallEvents, CallLabels, CallOrder, CallerId, Endpoint, EndpointConfig,
};
use nexo_voice::speech::prompts::PromptSet;
use tokio::task::JoinSet;

use crate::process::Running;

mod audio;

#[derive(clap::Args)]
pub struct Args {
    /// Calls set up and hung up per second
    #[arg(long, default_value_t = 2_000)]
    rate: u64,
    /// Duration of each measurement, in seconds
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Calls that play at the same time
    #[arg(long, default_value_t = 2_000)]
    playing: usize,
    /// Finished calls until the last measurement of the memory
    #[arg(long, default_value_t = 40_000)]
    finished: u64,
}

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// A finished call is kept for retransmissions for 64*T1. After this time the memory is stable.
const RETENTION: Duration = Duration::from_secs(33);

/// How many times the memory is measured. A single measurement could be an outlier.
const MEMORY_SAMPLES: u64 = 5;

pub async fn run(args: Args) -> anyhow::Result<()> {
    calls(&args).await?;
    println!();
    audio::compare(args.playing, args.seconds)
}

/// Measures one endpoint: calls in progress, then the rate until the memory is stable, then the signalling.
async fn calls(args: &Args) -> anyhow::Result<()> {
    let (far_end, address) = phones()?;
    let endpoint = endpoint(address).await?;
    // The first calls allocate shared memory, which is not counted.
    place_all(&endpoint, address, args.rate, 200).await?;
    let before = resident_bytes()?;
    let (up, held) = memory_of_calls(&endpoint, address, args.playing, before).await?;
    println!("Memory of a call in progress, {up} calls  {held:>14.1} kB");

    let settle = args.rate * RETENTION.as_secs();
    place_all(&endpoint, address, args.rate, settle).await?;
    let steady = resident_bytes()?;
    println!("Calls at {} per second for {} s, SIPp answers:", args.rate, args.seconds);
    let calls = args.rate * args.seconds;
    let (sip, media) = (threads(&["sip"]), threads(&["media"]));
    let (answered, others) = place_all(&endpoint, address, args.rate, calls).await?;
    // Waits for the BYEs of the last calls and their responses.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let each = |used: Duration| used.as_secs_f64() * 1e6 / calls as f64;
    let (sip, media) = (each(threads(&["sip"]) - sip), each(threads(&["media"]) - media));
    let theirs = each(sipp_caller(args, calls)?);
    println!("  SIPp's own uac, CPU per call            {theirs:>8.1} us");
    println!(
        "  the endpoint's SIP, CPU per call        {sip:>8.1} us  ({:.2} times)",
        sip / theirs
    );
    println!("  its audio's first packet, CPU per call  {media:>8.1} us  (SIPp sends none)");
    println!("  answered / not answered                 {answered:>8} / {others}");
    ensure!(others == 0, "{others} of {calls} calls were not answered");

    let left = args.finished.saturating_sub(calls) / MEMORY_SAMPLES;
    println!("Memory of the process at this rate     {:>9.1} MB", steady as f64 / 1e6);
    for sample in 1..=MEMORY_SAMPLES {
        let (_, others) = place_all(&endpoint, address, args.rate, left).await?;
        ensure!(others == 0, "{others} of {left} calls were not answered");
        println!(
            "  after {:>9} more calls             {:>9.1} MB",
            calls + sample * left,
            resident_bytes()? as f64 / 1e6
        );
    }
    endpoint.shutdown(Duration::from_secs(2)).await;
    drop(far_end);
    Ok(())
}

/// Places calls that stay in progress. Returns how many there are at the end, and the kilobytes of each.
async fn memory_of_calls(
    endpoint: &Endpoint,
    address: SocketAddr,
    calls: usize,
    before: u64,
) -> anyhow::Result<(usize, f64)> {
    let mut up = Vec::with_capacity(calls);
    let mut due = tokio::time::interval(Duration::from_millis(5));
    for n in 0..calls as u64 {
        if n % 10 == 0 {
            due.tick().await;
        }
        up.push(endpoint.place(order(address, n)?));
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let held = resident_bytes()?.saturating_sub(before) as f64 / 1024.0;
    let in_progress = endpoint.calls_in_progress();
    Ok((in_progress, held / in_progress.max(1) as f64))
}

/// The CPU time of SIPp's built-in caller for this many calls.
fn sipp_caller(args: &Args, calls: u64) -> anyhow::Result<Duration> {
    let (_far_end, address) = phones()?;
    let mut command = Command::new("sipp");
    command
        .args(["-sn", "uac", "-i", "127.0.0.1", "-nostdin", "-nd"])
        .args(["-r", &args.rate.to_string(), "-m", &calls.to_string()])
        .args(["-l", "100000", "-buff_size", "8388608"])
        .arg(address.to_string())
        .stderr(Stdio::null());
    let sipp = Running::start(&mut command)?;
    let mut used = Duration::ZERO;
    let deadline = Instant::now() + Duration::from_secs(args.seconds + 30);
    // /proc has no CPU time after the process has ended, so it is read while the process runs.
    while !sipp.has_ended() && Instant::now() < deadline {
        used = sipp.cpu().unwrap_or(used).max(used);
        thread::sleep(Duration::from_millis(20));
    }
    Ok(used)
}

/// SIPp as a phone that answers all calls, until it is dropped.
fn phones() -> anyhow::Result<(Running, SocketAddr)> {
    let port = UdpSocket::bind((LOOPBACK, 0))?.local_addr()?.port();
    let mut command = Command::new("sipp");
    command
        .args(["-sn", "uas", "-i", "127.0.0.1", "-p", &port.to_string()])
        .args(["-nostdin", "-nd", "-buff_size", "8388608", "-l", "100000"])
        .stderr(Stdio::null());
    let running = Running::start(&mut command)
        .context("SIPp cannot be started; install Debian's package sip-tester")?;
    thread::sleep(Duration::from_millis(500));
    Ok((running, SocketAddr::from((LOOPBACK, port))))
}

async fn endpoint(gateway: SocketAddr) -> anyhow::Result<Endpoint> {
    let config =
        EndpointConfig { listen_udp: SocketAddr::from((LOOPBACK, 0)), ..EndpointConfig::default() };
    let endpoint = Endpoint::start(config, PromptSet::built_in()).await?;
    endpoint.set_peers([gateway.into()].into());
    Ok(endpoint)
}

/// Places calls at an even rate and hangs each up at its answer. Returns how many were answered and how many were not.
async fn place_all(
    endpoint: &Endpoint,
    gateway: SocketAddr,
    rate: u64,
    calls: u64,
) -> anyhow::Result<(u64, u64)> {
    let started = Instant::now();
    let mut due = tokio::time::interval(Duration::from_millis(5));
    let mut following = JoinSet::new();
    let (mut placed, mut answered, mut others) = (0, 0, 0);
    let mut count = |is_answered: bool| match is_answered {
        true => answered += 1,
        false => others += 1,
    };
    while placed < calls {
        due.tick().await;
        let should = (started.elapsed().as_micros() as u64 * rate / 1_000_000).min(calls);
        for n in placed..should {
            following.spawn(follow(endpoint.place(order(gateway, n)?)));
        }
        placed = should;
        while let Some(ended) = following.try_join_next() {
            count(ended?);
        }
    }
    while let Some(ended) = following.join_next().await {
        count(ended?);
    }
    Ok((answered, others))
}

/// Whether the call was answered. Dropping its events then hangs it up.
async fn follow(mut events: CallEvents) -> bool {
    while let Some(event) = events.next().await {
        if let CallEvent::Answered { .. } = event {
            return true;
        }
    }
    false
}

fn order(gateway: SocketAddr, n: u64) -> anyhow::Result<CallOrder> {
    static RUN: AtomicU64 = AtomicU64::new(0);
    let run = RUN.fetch_add(1, Ordering::Relaxed);
    Ok(CallOrder {
        call_id: format!("bench-{}-{n}-{run}@nexo", std::process::id()),
        labels: CallLabels { carrier: "viettel", realm: "live" },
        gateway: gateway.into(),
        credentials: None,
        gateway_host: gateway.to_string(),
        number: "+84981234567".into(),
        caller: CallerId::from_number("+842471234567"),
        codecs: vec![Codec::Pcmu, Codec::Pcma],
        code: Code::parse("4711")?,
        reading: Reading { language: Language::Vi, repeat: 2, digit_gap_ms: 350 },
        gateway_timeout: Duration::from_secs(4),
        limits: CallLimits {
            ring_timeout: Duration::from_secs(30),
            max_call: Duration::from_secs(57),
            require_keypress: false,
        },
        srtp: false,
        media_timeout: Duration::ZERO,
        wants_all_events: false,
        trace: None,
        permit: None,
    })
}

fn resident_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    let kilobytes: u64 = kilobytes.context("/proc/self/status without VmRSS")?.parse()?;
    Ok(kilobytes * 1024)
}

/// The CPU time of this process's threads with these names.
fn threads(names: &[&str]) -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    let nanoseconds = tasks.flatten().filter_map(|task| {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        let schedstat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        names.contains(&name.trim()).then_some(())?;
        schedstat.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}
