//! SIGKILL at random moments. A run's seed is printed, and `NEXO_CRASH_SEED` repeats it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::checks::Ledger;
use super::gateway::Site;
use super::load::{Load, Told};
use harness::{Backend, per_database};

/// With all tests.
const SHORT_ROUNDS: u32 = 6;
/// By command.
const LONG_ROUNDS: u32 = 200;
/// The most OTPs that are sent in one life.
const POSTS_A_LIFE: u32 = 150;
/// A life under load lasts as long at most.
const LONGEST_LIFE_MS: u64 = 1_500;
/// In every fourth round it is killed once more while it starts, within so long.
const STARTS_WITHIN_MS: u64 = 150;

#[per_database]
async fn kills_at_random_moments_lose_nothing(backend: Backend) {
    run(backend, SHORT_ROUNDS).await;
}

#[per_database]
#[ignore = "the long form: tests/system/crash/run"]
async fn many_kills_at_random_moments_lose_nothing(backend: Backend) {
    let rounds = number_of("NEXO_CRASH_ROUNDS").map_or(LONG_ROUNDS, |rounds| rounds as u32);
    run(backend, rounds).await;
}

fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect(variable))
}

async fn run(backend: Backend, rounds: u32) {
    let seed = number_of("NEXO_CRASH_SEED").unwrap_or_else(|| rand::rng().random());
    println!("{backend:?}: {rounds} rounds, NEXO_CRASH_SEED={seed}");
    let began = Instant::now();
    let mut random = StdRng::seed_from_u64(seed);
    let site = Site::new(backend);
    let next = Arc::new(AtomicU32::new(0));
    let (mut told, mut ledger) = (Told::default(), Ledger::default());
    // A run in which nothing happened proves nothing: on a busy machine it takes more rounds.
    let has_happened = |told: &Told| told.accepted.len() > rounds as usize && told.cut_off > 0;
    let mut round = 0;
    while round < rounds || (!has_happened(&told) && round < 5 * rounds) {
        round += 1;
        let life = site.start();
        ledger.after_restart(&site, &life, &told).await;
        let load = Load::start(&life.url, &site.key, random.random(), POSTS_A_LIFE, &next);
        let dies_after = random.random_range(0..LONGEST_LIFE_MS);
        tokio::time::sleep(Duration::from_millis(dies_after)).await;
        load.dies.store(true, Ordering::Relaxed);
        life.kill();
        load.end(&mut told).await;
        if random.random_range(0..4) == 0 {
            site.kill_at_start(Duration::from_millis(
                random.random_range(0..STARTS_WITHIN_MS),
            ));
        }
        if !ledger.breaks.is_empty() {
            println!("round {round}: {:#?}", ledger.breaks);
        }
    }
    let life = site.start();
    ledger.after_restart(&site, &life, &told).await;
    let figures = ledger.at_the_end(&site).await;
    life.kill();
    ledger.breaks.append(&mut told.breaks);
    println!(
        "{backend:?}: {rounds} rounds in {:.0} s: {} posts, {} accepted, {} refunded (502), {} refused, \
         {} unknown (500), {} cut off; {} interrupted; webhooks: {} delivered, {} unknown; {} breaks",
        began.elapsed().as_secs_f32(),
        told.posts,
        told.accepted.len(),
        told.refunded.len(),
        told.refused,
        told.unknown,
        told.cut_off,
        figures.interrupted,
        figures.webhooks_delivered,
        figures.webhooks_unknown,
        ledger.breaks.len(),
    );
    assert!(
        ledger.breaks.is_empty(),
        "seed {seed}: {:#?}",
        ledger.breaks
    );
    assert!(told.accepted.len() > rounds as usize, "seed {seed}");
    assert!(told.cut_off > 0 && figures.interrupted > 0, "seed {seed}");
    assert!(figures.webhooks_delivered > 0, "seed {seed}");
}
