//! Detects API key traffic that looks like abuse. An operator reviews it; it is never blocked automatically.

use std::fmt;

/// The traffic of one key in one time window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    pub otps: i64,
    /// OTPs to a number that is 1 to 3 above another number of the same key and window.
    pub sequential: i64,
    /// OTPs that have ended.
    pub ended: i64,
    /// OTPs whose call was answered: the code was read, completely or in part.
    pub answered: i64,
    /// The usual number per window, in thousandths of an OTP. `None` for a new key.
    pub usual_milli: Option<i64>,
}

/// The thresholds of suspicious traffic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Windows with fewer OTPs are not checked.
    pub min_otps: i64,
    /// This many times the usual number is a jump.
    pub jump: i64,
    /// This percentage to sequential numbers is suspicious.
    pub sequential_percent: i64,
    /// A lower percentage of answered calls is suspicious.
    pub answered_percent: i64,
}

/// Why traffic is suspicious.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Suspicion {
    /// Many times more than usual.
    RateJump,
    /// Many sequential numbers.
    SequentialNumbers,
    /// Few calls are answered.
    LowAnswerRate,
}

impl Suspicion {
    pub const ALL: [Suspicion; 3] =
        [Suspicion::RateJump, Suspicion::SequentialNumbers, Suspicion::LowAnswerRate];

    pub fn as_str(self) -> &'static str {
        match self {
            Suspicion::RateJump => "rate_jump",
            Suspicion::SequentialNumbers => "sequential_numbers",
            Suspicion::LowAnswerRate => "low_answer_rate",
        }
    }

    /// The suspicion with this name, as stored with reviews.
    pub fn named(name: &str) -> Option<Suspicion> {
        Suspicion::ALL.into_iter().find(|s| s.as_str() == name)
    }
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Traffic {
    /// The suspicions, each with the figures that cause it.
    pub fn suspicions(&self, limits: &Limits) -> Vec<(Suspicion, String)> {
        let mut found = Vec::new();
        if self.otps < limits.min_otps {
            return found;
        }
        // A new key may be a customer's first campaign: nothing is known about its usual traffic.
        if let Some(usual_milli) = self.usual_milli
            && self.otps.saturating_mul(1_000) > usual_milli.max(1_000).saturating_mul(limits.jump)
        {
            let usual = usual_milli / 1_000;
            found.push((Suspicion::RateJump, format!("{} OTPs; {usual} are usual", self.otps)));
        }
        if percent(self.sequential, self.otps) >= limits.sequential_percent {
            found.push((
                Suspicion::SequentialNumbers,
                format!("{} of {} OTPs to numbers in a row", self.sequential, self.otps),
            ));
        }
        if self.ended >= limits.min_otps
            && percent(self.answered, self.ended) < limits.answered_percent
        {
            found.push((
                Suspicion::LowAnswerRate,
                format!("{} of {} calls answered", self.answered, self.ended),
            ));
        }
        found
    }

    /// The traffic with its usual number reduced by this many windows without an OTP.
    pub fn after_silence(mut self, windows: i64) -> Traffic {
        if let Some(usual) = &mut self.usual_milli {
            for _ in 0..windows.clamp(0, 128) {
                *usual -= *usual / 8;
            }
        }
        self
    }

    /// The usual number after this window: moved by an eighth towards this window's number. Rounded towards zero.
    pub fn usual_after_milli(&self) -> i64 {
        let now = self.otps.saturating_mul(1_000);
        match self.usual_milli {
            None => now,
            Some(before) => before + (now - before) / 8,
        }
    }
}

/// The percentage, rounded down. 0 if `whole` is 0.
fn percent(part: i64, whole: i64) -> i64 {
    match whole {
        0 => 0,
        whole => part.saturating_mul(100) / whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { min_otps: 50, jump: 10, sequential_percent: 50, answered_percent: 20 };

    fn traffic(otps: i64) -> Traffic {
        Traffic {
            otps,
            sequential: 0,
            ended: otps,
            answered: otps,
            usual_milli: Some(otps * 1_000),
        }
    }

    fn found(traffic: Traffic) -> Vec<Suspicion> {
        let suspicions = traffic.suspicions(&LIMITS);
        suspicions.into_iter().map(|(what, _)| what).collect()
    }

    #[test]
    fn usual_traffic_is_not_suspicious() {
        assert!(found(traffic(100_000)).is_empty());
        assert!(found(Traffic { usual_milli: None, ..traffic(100_000) }).is_empty());
    }

    #[test]
    fn little_traffic_is_not_suspicious() {
        let little = Traffic { sequential: 49, answered: 0, usual_milli: Some(0), ..traffic(49) };
        assert!(found(little).is_empty());
    }

    #[test]
    fn each_suspicion_is_found_alone_and_together() {
        let jump = Traffic { usual_milli: Some(9_000), ..traffic(100) };
        assert_eq!(found(jump), [Suspicion::RateJump]);
        assert!(found(Traffic { usual_milli: Some(10_000), ..traffic(100) }).is_empty());
        assert_eq!(
            found(Traffic { sequential: 50, ..traffic(100) }),
            [Suspicion::SequentialNumbers]
        );
        assert!(found(Traffic { sequential: 49, ..traffic(100) }).is_empty());
        assert_eq!(found(Traffic { answered: 19, ..traffic(100) }), [Suspicion::LowAnswerRate]);
        assert!(found(Traffic { answered: 20, ..traffic(100) }).is_empty());
        let all = Traffic { sequential: 99, answered: 0, usual_milli: Some(1), ..traffic(100) };
        assert_eq!(found(all), Suspicion::ALL);
    }

    #[test]
    fn calls_in_progress_do_not_count_as_unanswered() {
        let ringing = Traffic { ended: 49, answered: 0, ..traffic(1_000) };
        assert!(found(ringing).is_empty());
    }

    #[test]
    fn the_usual_number_follows_slowly() {
        let burst = Traffic { usual_milli: Some(8_000), ..traffic(16) };
        assert_eq!(burst.usual_after_milli(), 9_000);
        let silence = Traffic { usual_milli: Some(8_000), ..Traffic::default() };
        assert_eq!(silence.usual_after_milli(), 7_000);
        let long = Traffic { usual_milli: Some(8_000), ..traffic(1) }.after_silence(2);
        assert_eq!(long.usual_milli, Some(6_125));
        assert!(long.after_silence(i64::MAX).usual_milli < Some(100));
        assert_eq!(Traffic { usual_milli: None, ..traffic(5) }.usual_after_milli(), 5_000);
    }
}
