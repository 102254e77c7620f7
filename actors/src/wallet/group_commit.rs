//! Decides when a wallet actor starts its next commit.

use std::time::{Duration, Instant};

/// The longest time between the starts of two commits while postings wait and the store is fast.
const MAX_INTERVAL: Duration = Duration::from_millis(5);
/// After a slow commit, wait this fraction of its duration before starting the next one. Otherwise clients split
/// into two groups, each waiting for the other group's commit.
const PAUSE_DIVISOR: u32 = 4;
/// How many commits use the batch size that the last probe found.
const COMMITS_PER_PROBE: u32 = 32;

/// When the next commit starts.
///
/// A commit costs an fsync and a dozen context switches, whatever it holds, so a commit waits for a full batch. A
/// probe finds the size of a full batch: it waits the whole time and counts the postings. No commit waits longer
/// than [`MAX_INTERVAL`] since the last start, or than a fraction of the last commit's duration. If no further
/// posting will arrive, because there is one client or because all clients wait for the last commit, the probe
/// shows that, and commits do not wait.
#[derive(Debug)]
pub(super) struct GroupCommit {
    last_began: Instant,
    last_ended: Instant,
    full_batch: usize,
    until_probe: u32,
}

impl GroupCommit {
    pub fn new(now: Instant) -> GroupCommit {
        GroupCommit {
            last_began: now,
            last_ended: now,
            full_batch: 1,
            until_probe: COMMITS_PER_PROBE,
        }
    }

    /// How long the `waiting` postings must wait for more. `None` when the commit is due.
    pub fn wait(&self, waiting: usize, now: Instant) -> Option<Duration> {
        let left = self.latest().saturating_duration_since(now);
        let is_full = self.until_probe > 0 && waiting >= self.full_batch;
        (!is_full && !left.is_zero()).then_some(left)
    }

    /// When the next commit starts at the latest.
    fn latest(&self) -> Instant {
        let took = self.last_ended.saturating_duration_since(self.last_began);
        let pause = (took / PAUSE_DIVISOR).min(MAX_INTERVAL);
        (self.last_began + MAX_INTERVAL).max(self.last_ended + pause)
    }

    /// Records the end of a commit.
    pub fn ended(&mut self, now: Instant) {
        self.last_ended = now;
    }

    /// Records the start of a commit with this many postings.
    pub fn began(&mut self, postings: usize, now: Instant) {
        match now < self.latest() {
            true => self.until_probe = self.until_probe.saturating_sub(1),
            false => {
                // Postings arrive in bursts, so a single lull lowers the size by at most a quarter.
                self.full_batch = postings.max(self.full_batch * 3 / 4);
                self.until_probe = COMMITS_PER_PROBE;
            }
        }
        (self.last_began, self.last_ended) = (now, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commits all waiting postings whenever a commit is due. `arrive` returns how many postings wait after a time.
    fn run(
        group_commit: &mut GroupCommit,
        start: Instant,
        arrive: impl Fn(Duration) -> usize,
    ) -> Vec<usize> {
        let (mut now, mut began, mut batches) = (start, start, Vec::new());
        while batches.len() < 200 {
            now += Duration::from_micros(50);
            let waiting = arrive(now - began);
            if waiting > 0 && group_commit.wait(waiting, now).is_none() {
                group_commit.began(waiting, now);
                batches.push(waiting);
                began = now;
            }
        }
        batches
    }

    #[test]
    fn a_lone_posting_is_committed_at_once() {
        let start = Instant::now();
        let mut group_commit = GroupCommit::new(start);
        for second in 1..100 {
            let now = start + Duration::from_secs(second);
            assert_eq!(group_commit.wait(1, now), None);
            group_commit.began(1, now);
        }
    }

    #[test]
    fn clients_that_all_wait_for_the_last_commit_do_not_wait_for_more() {
        let start = Instant::now();
        let mut group_commit = GroupCommit::new(start);
        // All 32 clients send the next posting 100 µs after the commit began.
        let batches =
            run(
                &mut group_commit,
                start,
                |since| {
                    if since >= Duration::from_micros(100) { 32 } else { 0 }
                },
            );
        assert!(batches.iter().all(|batch| *batch == 32));
        // At first every commit is a probe, until a probe has found 32 postings.
        let probes = 200 / COMMITS_PER_PROBE;
        let at_once = Duration::from_micros(100) * (200 - probes);
        assert!(group_commit.last_began - start < at_once + MAX_INTERVAL * (probes + 2));
    }

    #[test]
    fn a_steady_stream_is_committed_in_batches_of_one_interval() {
        let start = Instant::now();
        let mut group_commit = GroupCommit::new(start);
        // 4,000 postings a second.
        let batches = run(&mut group_commit, start, |since| (since.as_micros() / 250) as usize);
        let settled = &batches[COMMITS_PER_PROBE as usize * 2..];
        assert!(settled.iter().all(|batch| *batch == 20), "{settled:?}");
    }

    #[test]
    fn all_clients_of_a_slow_commit_are_in_the_next_one() {
        let took = Duration::from_millis(8);
        let mut now = Instant::now();
        let mut group_commit = GroupCommit::new(now);
        let mut batches = Vec::new();
        // One of 32 clients is first. The others arrive while its commit is written.
        let mut waiting = 1;
        while batches.len() < 200 {
            group_commit.began(waiting, now);
            batches.push(waiting);
            now += took;
            group_commit.ended(now);
            let others = 32 - waiting;
            // The clients of the commit return 200 µs later.
            let back = now + Duration::from_micros(200);
            while group_commit.wait(if now < back { others } else { 32 }, now).is_some() {
                now += Duration::from_micros(50);
            }
            waiting = if now < back { others } else { 32 };
            if waiting == 0 {
                (waiting, now) = (32, back);
            }
        }
        let settled = &batches[COMMITS_PER_PROBE as usize * 2..];
        assert!(settled.iter().all(|batch| *batch == 32), "{batches:?}");
        assert!(group_commit.latest() - group_commit.last_ended <= MAX_INTERVAL);
    }

    #[test]
    fn no_posting_waits_longer_than_the_maximum_interval() {
        let start = Instant::now();
        let mut group_commit = GroupCommit::new(start);
        group_commit.began(1_000, start + MAX_INTERVAL);
        let now = start + MAX_INTERVAL * 2;
        assert_eq!(group_commit.wait(1, now), None);
        let a_bit_earlier = now - Duration::from_micros(1);
        assert_eq!(group_commit.wait(1, a_bit_earlier), Some(Duration::from_micros(1)));
    }
}
