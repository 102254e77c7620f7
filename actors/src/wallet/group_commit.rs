//! When a wallet's actor begins its next commit.

use std::time::{Duration, Instant};

/// The longest time between the beginnings of two commits while postings wait and the store is fast.
const LONGEST_PACE: Duration = Duration::from_millis(5);
/// After a commit that took longer, whoever it was for has this part of its time to come back: else one half
/// of the customers would wait for the other half's commit, in turn, for ever.
const PART_TO_COME_BACK: u32 = 4;
/// How many commits go by what the last probe found.
const COMMITS_A_PROBE: u32 = 32;

/// When the next commit is to begin.
///
/// A commit costs an fsync and a dozen changes of threads, whatever it holds. So it waits for company: for
/// as many postings as came together when waiting was last tried out, and never longer than [`LONGEST_PACE`]
/// since the last one began, or than a part of what the last one took. Where nobody else is about to come, as
/// with a lone customer or with clients that all wait for the last commit, trying it out has shown so, and
/// there is no waiting.
#[derive(Debug)]
pub(crate) struct Pace {
    last_began: Instant,
    last_ended: Instant,
    company: usize,
    until_probe: u32,
}

impl Pace {
    pub fn new(now: Instant) -> Pace {
        Pace {
            last_began: now,
            last_ended: now,
            company: 1,
            until_probe: COMMITS_A_PROBE,
        }
    }

    /// How long the `waiting` postings are to wait for more; `None` when it is time.
    pub fn wait(&self, waiting: usize, now: Instant) -> Option<Duration> {
        let left = self.latest().saturating_duration_since(now);
        let is_enough = self.until_probe > 0 && waiting >= self.company;
        (!is_enough && !left.is_zero()).then_some(left)
    }

    /// When the next commit begins, whoever has come.
    fn latest(&self) -> Instant {
        let took = self.last_ended.saturating_duration_since(self.last_began);
        let come_back = (took / PART_TO_COME_BACK).min(LONGEST_PACE);
        (self.last_began + LONGEST_PACE).max(self.last_ended + come_back)
    }

    /// A commit is over.
    pub fn ended(&mut self, now: Instant) {
        self.last_ended = now;
    }

    /// A commit of this many postings begins.
    pub fn began(&mut self, postings: usize, now: Instant) {
        match now < self.latest() {
            true => self.until_probe = self.until_probe.saturating_sub(1),
            false => {
                // Postings come in bursts: one lull says little.
                self.company = postings.max(self.company * 3 / 4);
                self.until_probe = COMMITS_A_PROBE;
            }
        }
        (self.last_began, self.last_ended) = (now, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commits whatever waits when it is time; `arrive` says how many postings wait after so long.
    fn run(pace: &mut Pace, start: Instant, arrive: impl Fn(Duration) -> usize) -> Vec<usize> {
        let (mut now, mut began, mut batches) = (start, start, Vec::new());
        while batches.len() < 200 {
            now += Duration::from_micros(50);
            let waiting = arrive(now - began);
            if waiting > 0 && pace.wait(waiting, now).is_none() {
                pace.began(waiting, now);
                batches.push(waiting);
                began = now;
            }
        }
        batches
    }

    #[test]
    fn a_lone_posting_is_committed_at_once() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        for second in 1..100 {
            let now = start + Duration::from_secs(second);
            assert_eq!(pace.wait(1, now), None);
            pace.began(1, now);
        }
    }

    #[test]
    fn clients_that_all_wait_for_the_last_commit_do_not_wait_for_more() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        // All 32 are back 100 µs after the commit began.
        let batches = run(&mut pace, start, |since| {
            if since >= Duration::from_micros(100) {
                32
            } else {
                0
            }
        });
        assert!(batches.iter().all(|batch| *batch == 32));
        // At first every commit is a probe, until it has shown that 32 is all.
        let probes = 200 / COMMITS_A_PROBE;
        let at_once = Duration::from_micros(100) * (200 - probes);
        assert!(pace.last_began - start < at_once + LONGEST_PACE * (probes + 2));
    }

    #[test]
    fn a_steady_stream_is_committed_in_batches_of_one_pace() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        // 4,000 a second.
        let batches = run(&mut pace, start, |since| (since.as_micros() / 250) as usize);
        let settled = &batches[COMMITS_A_PROBE as usize * 2..];
        assert!(settled.iter().all(|batch| *batch == 20), "{settled:?}");
    }

    #[test]
    fn customers_of_a_slow_commit_are_all_in_the_next_one() {
        let took = Duration::from_millis(8);
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        let mut batches = Vec::new();
        // One of 32 is first: the others come while its commit is written.
        let mut waiting = 1;
        while batches.len() < 200 {
            pace.began(waiting, now);
            batches.push(waiting);
            now += took;
            pace.ended(now);
            let others = 32 - waiting;
            // Who was served is back 200 µs later.
            let back = now + Duration::from_micros(200);
            while pace
                .wait(if now < back { others } else { 32 }, now)
                .is_some()
            {
                now += Duration::from_micros(50);
            }
            waiting = if now < back { others } else { 32 };
            if waiting == 0 {
                (waiting, now) = (32, back);
            }
        }
        let settled = &batches[COMMITS_A_PROBE as usize * 2..];
        assert!(settled.iter().all(|batch| *batch == 32), "{batches:?}");
        assert!(pace.latest() - pace.last_ended <= LONGEST_PACE);
    }

    #[test]
    fn no_posting_waits_longer_than_the_longest_pace() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.began(1_000, start + LONGEST_PACE);
        let now = start + LONGEST_PACE * 2;
        assert_eq!(pace.wait(1, now), None);
        let a_bit_earlier = now - Duration::from_micros(1);
        assert_eq!(pace.wait(1, a_bit_earlier), Some(Duration::from_micros(1)));
    }
}
