//! What a call's signalling costs: places calls at a steady rate on a gateway that answers, hangs
//! up as soon as it has, and prints the CPU time a call.
//!
//! `sipp -sn uas -i 127.0.0.1 -p 5070 -bg` makes such a gateway. Then
//! `cargo run --release -p nexo-voice --example call_load -- 127.0.0.1:5070 [CALLS_A_SECOND] [SECONDS]`

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nexo_domain::call::CallLimits;
use nexo_domain::otp::{Code, Language, Reading};
use nexo_voice::endpoint::{CallEvents, CallNews, CallOrder, Caller, Endpoint, EndpointConfig};
use nexo_voice::g711::Codec;
use nexo_voice::prompts::PromptSet;
use tokio::task::JoinSet;

#[path = "load/cpu.rs"]
mod cpu;

/// How often a batch of calls is placed.
const EVERY: Duration = Duration::from_millis(5);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let gateway: SocketAddr = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .expect("the gateway's IP address and port come first");
    let mut number = |default: u64| match arguments.next() {
        Some(text) => text.parse().expect("rate and seconds are whole numbers"),
        None => default,
    };
    let (rate, seconds) = (number(2000), number(10));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    runtime.block_on(load(gateway, rate, seconds));
}

async fn load(gateway: SocketAddr, rate: u64, seconds: u64) {
    let config = EndpointConfig {
        listen_udp: SocketAddr::from(([127, 0, 0, 1], 0)),
        ..EndpointConfig::default()
    };
    let endpoint = Endpoint::start(config, PromptSet::built_in())
        .await
        .expect("loopback has free ports");
    endpoint.set_peers([gateway.into()].into());

    let (cpu_before, sip_before, media_before) = cpu_times();
    let started = Instant::now();
    let mut due = tokio::time::interval(EVERY);
    let mut calls = JoinSet::new();
    let mut placed = 0;
    while placed < rate * seconds {
        due.tick().await;
        let should = (started.elapsed().as_micros() as u64 * rate / 1_000_000).min(rate * seconds);
        for n in placed..should {
            calls.spawn(follow(endpoint.place(order(gateway, n))));
        }
        placed = should;
    }
    let mut ends: BTreeMap<String, u64> = BTreeMap::new();
    while let Some(end) = calls.join_next().await {
        let end = end.expect("following a call does not panic");
        *ends.entry(end).or_default() += 1;
    }
    let took = started.elapsed();
    let (cpu, sip, media) = cpu_times();
    let each = |used: Duration| used.as_secs_f64() * 1e6 / placed as f64;
    println!("{placed} calls in {:.1} s", took.as_secs_f64());
    println!("SIP thread   {:.1} us CPU a call", each(sip - sip_before));
    println!(
        "media thread {:.1} us CPU a call",
        each(media - media_before)
    );
    println!("all of it    {:.1} us CPU a call", each(cpu - cpu_before));
    for (end, calls) in ends {
        println!("{calls:>8} {end}");
    }
    endpoint.shutdown(Duration::from_secs(2)).await;
}

fn cpu_times() -> (Duration, Duration, Duration) {
    (
        cpu::of_process(),
        cpu::of_thread("sip"),
        cpu::of_thread("media"),
    )
}

/// Follows a call; gives it up as soon as it is answered.
async fn follow(mut events: CallEvents) -> String {
    while let Some(news) = events.next().await {
        match news {
            CallNews::Answered { .. } => return "answered, hung up by us".into(),
            CallNews::Ended(report) => return format!("{:?}", report.end),
            CallNews::Dialled
            | CallNews::Accepted { .. }
            | CallNews::Ringing
            | CallNews::KeyPressed
            | CallNews::DigitSpoken { .. }
            | CallNews::CodeRead { .. } => {}
        }
    }
    "lost".into()
}

fn order(gateway: SocketAddr, n: u64) -> CallOrder {
    CallOrder {
        call_id: format!("load-{}-{n}@nexo", std::process::id()),
        gateway: gateway.into(),
        gateway_host: gateway.to_string(),
        number: "+84981234567".into(),
        caller: Caller::showing("+842471234567"),
        codecs: Codec::ALL.to_vec(),
        code: Code::parse("4711").expect("four digits are a code"),
        reading: Reading {
            language: Language::Vi,
            repeat: 2,
            digit_gap_ms: 350,
        },
        gateway_timeout: Duration::from_secs(4),
        limits: CallLimits {
            ring_timeout: Duration::from_secs(30),
            require_keypress: false,
            longest_call: Duration::from_secs(57),
        },
        every_step: true,
        credentials: None,
        srtp: false,
        media_timeout: Duration::ZERO,
        trace: None,
    }
}
