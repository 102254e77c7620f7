//! Disk failures under SQLite, injected with `strace`: a kill at the n-th fsync of a thread, a failing
//! fsync, and a full disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::checks::{Invariants, page};
use super::gateway::{Process, Site};
use super::load::{Load, Responses};
use harness::Backend;

const SYNCS: &str = "fsync,fdatasync";
/// Enough OTPs to reach every fsync under test: each commit performs at least one.
const POSTS_PER_PROCESS: u32 = 400;
/// The time limit for each condition; tracing slows everything down.
const SOON: Duration = Duration::from_secs(30);
/// The fsyncs under test, in the short and in the long form.
const SHORT_RUN: [u32; 5] = [1, 2, 5, 12, 30];
const LONG_RUN: std::ops::RangeInclusive<u32> = 1..=60;

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_an_fsync_loses_nothing() {
    kill_at_each(SHORT_RUN).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the long form: tests/system/crash/run fsync"]
async fn a_kill_at_each_of_the_first_sixty_fsyncs_loses_nothing() {
    kill_at_each(LONG_RUN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_fsync_that_fails_stops_the_gateway_for_good() {
    fail_at_each([6]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the long form: tests/system/crash/run fsync"]
async fn each_of_the_first_sixty_fsyncs_that_fails_stops_the_gateway_for_good() {
    fail_at_each(LONG_RUN).await;
}

/// One site across several processes of the gateway.
struct Run {
    site: Site,
    next: Arc<AtomicU32>,
    responses: Responses,
    invariants: Invariants,
}

impl Run {
    fn new() -> Run {
        Run {
            site: Site::new(Backend::Sqlite),
            next: Arc::default(),
            responses: Responses::default(),
            invariants: Invariants::default(),
        }
    }

    fn load(&self, process: &Process, seed: u32) -> Load {
        let (key, next) = (&self.site.key, &self.next);
        Load::start(&process.url, key, u64::from(seed), POSTS_PER_PROCESS, next)
    }

    /// Starts the gateway on a working disk, checks everything, and kills it.
    async fn restart(&mut self) {
        let process = self.site.start();
        self.invariants.after_restart(&self.site, &process, &self.responses).await;
        process.kill();
    }

    async fn end(mut self, name: &str) {
        let process = self.site.start();
        self.invariants.after_restart(&self.site, &process, &self.responses).await;
        let summary = self.invariants.at_end(&self.site).await;
        process.kill();
        self.invariants.violations.append(&mut self.responses.violations);
        println!(
            "{name}: {} posts, {} accepted, {} unknown (500), {} cut off; {} interrupted; webhooks: \
             {} delivered, {} unknown; {} violations",
            self.responses.posts,
            self.responses.accepted.len(),
            self.responses.unknown,
            self.responses.cut_off,
            summary.interrupted,
            summary.webhooks_delivered,
            summary.webhooks_unknown,
            self.invariants.violations.len(),
        );
        assert!(self.invariants.violations.is_empty(), "{:#?}", self.invariants.violations);
    }
}

async fn kill_at_each(numbers: impl IntoIterator<Item = u32>) {
    let mut run = Run::new();
    let (mut in_start, mut under_load) = (0, 0);
    for n in numbers {
        let inject = format!("{SYNCS}:signal=KILL:when={n}");
        match run.site.start_injected(&inject) {
            None => in_start += 1,
            Some(mut process) => {
                let load = run.load(&process, n);
                // The gateway may die at any moment.
                load.is_dying.store(true, Ordering::Relaxed);
                let give_up = Instant::now() + SOON;
                while !process.has_exited() && !load.is_done() && Instant::now() < give_up {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                under_load += u32::from(process.has_exited());
                process.kill();
                load.end(&mut run.responses).await;
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
            // A failed start logs the reason.
            None => {
                in_start += 1;
                let log = run.site.logged()[logged..].to_owned();
                let is_reported =
                    ["disk I/O error", "Input/output error"].iter().any(|e| log.contains(e));
                assert!(is_reported, "{n}: {log}");
            }
            Some(process) => {
                under_load += 1;
                let load = run.load(&process, n);
                wait_until_stopped(&process, &load, n).await;
                load.end(&mut run.responses).await;
                let log = run.site.logged()[logged..].to_owned();
                let is_report = |line: &&str| {
                    line.contains("ERROR") && line.contains("the disk under the database failed")
                };
                let count = log.lines().filter(is_report).count();
                assert_eq!(count, 1, "{n}: {log}");
                assert_everything_is_refused(&run, &process).await;
                process.kill();
            }
        }
        run.restart().await;
    }
    let name = format!("fsync fails, {in_start} in the start and {under_load} under load");
    assert!(under_load > 0, "{name}");
    run.end(&name).await;
}

/// Waits until `/readyz` reports the disk failure.
async fn wait_until_stopped(process: &Process, load: &Load, n: u32) {
    let give_up = Instant::now() + SOON;
    loop {
        let (status, json) = page(process, "readyz").await;
        if json.to_string().contains("the disk failed") {
            assert_eq!(status, 503);
            assert!(json.to_string().contains("disk I/O error"), "{json}");
            return;
        }
        let (late, done) = (Instant::now() >= give_up, load.is_done());
        assert!(!late, "fsync {n} failed but the gateway still runs: {json}, all sent: {done}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The process stays up and refuses every further OTP.
async fn assert_everything_is_refused(run: &Run, process: &Process) {
    let (status, _) = page(process, "healthz").await;
    assert_eq!(status, 200);
    let mut responses = Responses::default();
    let load = Load::start(&process.url, &run.site.key, 0, 20, &run.next);
    let give_up = Instant::now() + SOON;
    while !load.is_done() {
        assert!(Instant::now() < give_up, "no answer");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    load.end(&mut responses).await;
    assert_eq!((responses.refused, responses.posts), (20, 20), "{:?}", responses.accepted);
}

/// While the log cannot grow, OTPs are refused without charge. Afterwards they are accepted again.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_otps_only_while_it_is_full() {
    let mut run = Run::new();
    // The 60th write of each database connection fails; a commit takes several writes.
    let process =
        run.site.start_injected("pwrite64:error=ENOSPC:when=60").expect("the gateway starts");
    let load = run.load(&process, 1);
    let give_up = Instant::now() + SOON;
    while !load.is_done() {
        assert!(Instant::now() < give_up, "not all answered");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    load.end(&mut run.responses).await;
    let log = run.site.logged();
    assert!(log.contains("database or disk is full"), "{log}");
    assert!(run.responses.refused > 0, "nothing was refused");
    // It is ready again by itself.
    let give_up = Instant::now() + SOON;
    loop {
        let (_, ready) = page(&process, "readyz").await;
        if !ready.to_string().contains("disk") {
            break;
        }
        assert!(Instant::now() < give_up, "{ready}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut after = Responses::default();
    let load = Load::start(&process.url, &run.site.key, 2, 50, &run.next);
    let give_up = Instant::now() + SOON;
    while !load.is_done() {
        assert!(Instant::now() < give_up, "not all answered");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    load.end(&mut after).await;
    assert_eq!(after.unknown, 0, "an OTP was lost after the disk had room");
    assert!(!after.accepted.is_empty(), "no OTP was accepted afterwards");
    run.responses.accepted.extend(after.accepted);
    run.responses.refunded.extend(after.refunded);
    process.kill();
    run.restart().await;
    run.end("no room for a while").await;
}
