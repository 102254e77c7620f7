//! SIGKILL at random moments. A run's seed is printed, and `NEXO_CRASH_SEED` repeats it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::checks::Invariants;
use super::gateway::Site;
use super::load::{Load, Responses};
use harness::{Backend, per_database};

/// The number of rounds in a normal test run.
const SHORT_ROUNDS: u32 = 6;
/// The default number of rounds of the long form.
const LONG_ROUNDS: u32 = 200;
/// The maximum number of OTPs sent to one process.
const POSTS_PER_PROCESS: u32 = 150;
/// The maximum uptime of a process under load.
const MAX_UPTIME_MS: u64 = 1_500;
/// In one of four rounds the gateway is also killed within this time of a start.
const MAX_START_MS: u64 = 150;

#[per_database]
async fn kills_at_random_moments_lose_nothing(backend: Backend) {
    run(backend, SHORT_ROUNDS).await;
}

#[per_database]
#[ignore = "the long form: tests/system/crash/run"]
async fn many_kills_at_random_moments_lose_nothing(backend: Backend) {
    let rounds = number_from_env("NEXO_CRASH_ROUNDS").map_or(LONG_ROUNDS, |rounds| rounds as u32);
    run(backend, rounds).await;
}

fn number_from_env(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect(variable))
}

async fn run(backend: Backend, rounds: u32) {
    let seed = number_from_env("NEXO_CRASH_SEED").unwrap_or_else(|| rand::rng().random());
    println!("{backend:?}: {rounds} rounds, NEXO_CRASH_SEED={seed}");
    let began = Instant::now();
    let mut random = StdRng::seed_from_u64(seed);
    let site = Site::new(backend);
    let next = Arc::new(AtomicU32::new(0));
    let (mut responses, mut invariants) = (Responses::default(), Invariants::default());
    // A run without traffic and kills proves nothing; a busy machine needs more rounds.
    let is_conclusive =
        |responses: &Responses| responses.accepted.len() > rounds as usize && responses.cut_off > 0;
    let mut round = 0;
    while round < rounds || (!is_conclusive(&responses) && round < 5 * rounds) {
        round += 1;
        let process = site.start();
        invariants.after_restart(&site, &process, &responses).await;
        let load = Load::start(&process.url, &site.key, random.random(), POSTS_PER_PROCESS, &next);
        let uptime = random.random_range(0..MAX_UPTIME_MS);
        tokio::time::sleep(Duration::from_millis(uptime)).await;
        load.is_dying.store(true, Ordering::Relaxed);
        process.kill();
        load.end(&mut responses).await;
        if random.random_range(0..4) == 0 {
            site.kill_at_start(Duration::from_millis(random.random_range(0..MAX_START_MS)));
        }
        if !invariants.violations.is_empty() {
            println!("round {round}: {:#?}", invariants.violations);
        }
    }
    let process = site.start();
    invariants.after_restart(&site, &process, &responses).await;
    let summary = invariants.at_end(&site).await;
    process.kill();
    invariants.violations.append(&mut responses.violations);
    println!(
        "{backend:?}: {rounds} rounds in {:.0} s: {} posts, {} accepted, {} refunded (502), {} refused, \
         {} unknown (500), {} cut off; {} interrupted; webhooks: {} delivered, {} unknown; {} violations",
        began.elapsed().as_secs_f32(),
        responses.posts,
        responses.accepted.len(),
        responses.refunded.len(),
        responses.refused,
        responses.unknown,
        responses.cut_off,
        summary.interrupted,
        summary.webhooks_delivered,
        summary.webhooks_unknown,
        invariants.violations.len(),
    );
    assert!(invariants.violations.is_empty(), "seed {seed}: {:#?}", invariants.violations);
    assert!(responses.accepted.len() > rounds as usize, "seed {seed}");
    assert!(responses.cut_off > 0 && summary.interrupted > 0, "seed {seed}");
    assert!(summary.webhooks_delivered > 0, "seed {seed}");
}
