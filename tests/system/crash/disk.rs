//! SQLite's disk under the gateway: killed at the n-th fsync of a thread, an fsync that fails, no room left.
//! `strace` makes it so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::checks::{Ledger, page};
use super::gateway::{Life, Site};
use super::load::{Load, Told};
use harness::Backend;

const SYNCS: &str = "fsync,fdatasync";
/// What all fsyncs of one life are had by: every commit takes one at least.
const POSTS_A_LIFE: u32 = 400;
/// What a test waits for comes within so long, though everything is traced.
const SOON: Duration = Duration::from_secs(30);
/// The fsyncs at which it is killed: with all tests, and by command.
const SOME: [u32; 5] = [1, 2, 5, 12, 30];
const ALL: std::ops::RangeInclusive<u32> = 1..=60;

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_an_fsync_loses_nothing() {
    kill_at_each(SOME).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the long form: tests/system/crash/run fsync"]
async fn a_kill_at_each_of_the_first_sixty_fsyncs_loses_nothing() {
    kill_at_each(ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_fsync_that_fails_stops_the_gateway_for_good() {
    fail_at_each([6]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the long form: tests/system/crash/run fsync"]
async fn each_of_the_first_sixty_fsyncs_that_fails_stops_the_gateway_for_good() {
    fail_at_each(ALL).await;
}

/// What happens to a site, life after life.
struct Run {
    site: Site,
    next: Arc<AtomicU32>,
    told: Told,
    ledger: Ledger,
}

impl Run {
    fn new() -> Run {
        Run {
            site: Site::new(Backend::Sqlite),
            next: Arc::default(),
            told: Told::default(),
            ledger: Ledger::default(),
        }
    }

    fn load(&self, life: &Life, seed: u32) -> Load {
        let (key, next) = (&self.site.key, &self.next);
        Load::start(&life.url, key, u64::from(seed), POSTS_A_LIFE, next)
    }

    /// Starts it on a sound disk, checks everything, and ends it.
    async fn restart(&mut self) {
        let life = self.site.start();
        self.ledger
            .after_restart(&self.site, &life, &self.told)
            .await;
        life.kill();
    }

    async fn end(mut self, name: &str) {
        let life = self.site.start();
        self.ledger
            .after_restart(&self.site, &life, &self.told)
            .await;
        let figures = self.ledger.at_the_end(&self.site).await;
        life.kill();
        self.ledger.breaks.append(&mut self.told.breaks);
        println!(
            "{name}: {} posts, {} accepted, {} unknown (500), {} cut off; {} interrupted; webhooks: \
             {} delivered, {} unknown; {} breaks",
            self.told.posts,
            self.told.accepted.len(),
            self.told.unknown,
            self.told.cut_off,
            figures.interrupted,
            figures.webhooks_delivered,
            figures.webhooks_unknown,
            self.ledger.breaks.len(),
        );
        assert!(self.ledger.breaks.is_empty(), "{:#?}", self.ledger.breaks);
    }
}

async fn kill_at_each(numbers: impl IntoIterator<Item = u32>) {
    let mut run = Run::new();
    let (mut in_start, mut under_load) = (0, 0);
    for n in numbers {
        let inject = format!("{SYNCS}:signal=KILL:when={n}");
        match run.site.start_injected(&inject) {
            None => in_start += 1,
            Some(mut life) => {
                let load = run.load(&life, n);
                // It dies by itself, at any moment.
                load.dies.store(true, Ordering::Relaxed);
                let give_up = Instant::now() + SOON;
                while !life.is_over() && !load.is_done() && Instant::now() < give_up {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                under_load += u32::from(life.is_over());
                life.kill();
                load.end(&mut run.told).await;
            }
        }
        run.restart().await;
    }
    let name = format!("killed at an fsync, {in_start} in the start and {under_load} under load");
    assert!(under_load > 0, "{name}");
    run.end(&name).await;
}

async fn fail_at_each(numbers: impl IntoIterator<Item = u32>) {
    let mut run = Run::new();
    let (mut in_start, mut under_load) = (0, 0);
    for n in numbers {
        let inject = format!("{SYNCS}:error=EIO:when={n}+");
        let logged = run.site.logged().len();
        match run.site.start_injected(&inject) {
            // What is not even started says why.
            None => {
                in_start += 1;
                let log = run.site.logged()[logged..].to_owned();
                assert!(log.contains("disk I/O error"), "{n}: {log}");
            }
            Some(life) => {
                under_load += 1;
                let load = run.load(&life, n);
                stops(&life, &load, n).await;
                load.end(&mut run.told).await;
                let log = run.site.logged()[logged..].to_owned();
                let said = log.matches("nothing more is accepted or written").count();
                assert_eq!(said, 1, "{n}: {log}");
                takes_nothing(&run, &life).await;
                life.kill();
            }
        }
        run.restart().await;
    }
    let name = format!("fsync fails, {in_start} in the start and {under_load} under load");
    assert!(under_load > 0, "{name}");
    run.end(&name).await;
}

/// Waits until `/readyz` says that the disk failed.
async fn stops(life: &Life, load: &Load, n: u32) {
    let give_up = Instant::now() + SOON;
    loop {
        let (status, json) = page(life, "readyz").await;
        if json.to_string().contains("the disk failed") {
            assert_eq!(status, 503);
            assert!(json.to_string().contains("disk I/O error"), "{json}");
            return;
        }
        let (late, done) = (Instant::now() >= give_up, load.is_done());
        assert!(
            !late,
            "fsync {n} failed and it goes on: {json}, all sent: {done}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// It lives, and every further OTP is refused.
async fn takes_nothing(run: &Run, life: &Life) {
    let (status, _) = page(life, "healthz").await;
    assert_eq!(status, 200);
    let mut told = Told::default();
    let load = Load::start(&life.url, &run.site.key, 0, 20, &run.next);
    let give_up = Instant::now() + SOON;
    while !load.is_done() {
        assert!(Instant::now() < give_up, "no answer");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    load.end(&mut told).await;
    assert_eq!((told.refused, told.posts), (20, 20), "{:?}", told.accepted);
}

/// The log has no room for a while: nothing is spent, and it goes on where there is room again.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_what_it_cannot_hold_and_nothing_after() {
    let mut run = Run::new();
    // The 60th write of each connection to the database finds no room: a commit is a few writes.
    let life = run
        .site
        .start_injected("pwrite64:error=ENOSPC:when=60")
        .expect("it starts");
    let load = run.load(&life, 1);
    let give_up = Instant::now() + SOON;
    while !load.is_done() {
        assert!(Instant::now() < give_up, "not all answered");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    load.end(&mut run.told).await;
    let log = run.site.logged();
    assert!(log.contains("database or disk is full"), "{log}");
    assert!(run.told.refused > 0, "nothing was refused");
    let (_, ready) = page(&life, "readyz").await;
    assert!(!ready.to_string().contains("disk"), "{ready}");
    let mut after = Told::default();
    let load = Load::start(&life.url, &run.site.key, 2, 50, &run.next);
    let give_up = Instant::now() + SOON;
    while !load.is_done() {
        assert!(Instant::now() < give_up, "not all answered");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    load.end(&mut after).await;
    assert_eq!(after.unknown, 0, "an OTP was lost after the disk had room");
    assert!(!after.accepted.is_empty(), "it does not go on");
    run.told.accepted.extend(after.accepted);
    run.told.refunded.extend(after.refunded);
    life.kill();
    run.restart().await;
    run.end("no room for a while").await;
}
