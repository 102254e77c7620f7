//! When an API key's traffic looks like abuse: it is shown to an operator, and never stopped by itself.

use std::fmt;

/// What a key has sent in one window of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    pub otps: i64,
    /// Those whose number follows another one of the same key and window, by 1 to 3.
    pub sequential: i64,
    /// Those that have ended.
    pub ended: i64,
    /// Those that were read to somebody who answered, to the end or in part.
    pub answered: i64,
    /// What it usually sends in such a window, in thousandths of an OTP; `None` for a key that is new.
    pub usual_milli: Option<i64>,
}

/// From where on traffic is suspicious.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Fewer OTPs in a window say nothing.
    pub least_otps: i64,
    /// So many times as many as usual.
    pub jump: i64,
    /// So much of it to numbers in a row, in percent.
    pub sequential_percent: i64,
    /// Less of it answered, in percent.
    pub answered_percent: i64,
}

/// Why traffic is to be looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Suspicion {
    /// Many times as much as usual.
    RateJump,
    /// Numbers in a row.
    SequentialNumbers,
    /// Hardly anybody answers.
    LowAnswerRate,
}

impl Suspicion {
    pub const ALL: [Suspicion; 3] = [
        Suspicion::RateJump,
        Suspicion::SequentialNumbers,
        Suspicion::LowAnswerRate,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Suspicion::RateJump => "rate_jump",
            Suspicion::SequentialNumbers => "sequential_numbers",
            Suspicion::LowAnswerRate => "low_answer_rate",
        }
    }

    /// The suspicion of this name, as reviews are kept with it.
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
    /// What is suspicious about it, and the figures that say so.
    pub fn suspicions(&self, limits: &Limits) -> Vec<(Suspicion, String)> {
        let mut found = Vec::new();
        if self.otps < limits.least_otps {
            return found;
        }
        // A key that is new may be a customer's first campaign: what is unusual is not known.
        if let Some(usual_milli) = self.usual_milli
            && self.otps.saturating_mul(1_000) > usual_milli.max(1_000).saturating_mul(limits.jump)
        {
            let usual = usual_milli / 1_000;
            found.push((
                Suspicion::RateJump,
                format!("{} OTPs, where {usual} are usual", self.otps),
            ));
        }
        if percent(self.sequential, self.otps) >= limits.sequential_percent {
            found.push((
                Suspicion::SequentialNumbers,
                format!(
                    "{} of {} OTPs to numbers in a row",
                    self.sequential, self.otps
                ),
            ));
        }
        if self.ended >= limits.least_otps
            && percent(self.answered, self.ended) < limits.answered_percent
        {
            found.push((
                Suspicion::LowAnswerRate,
                format!("{} of {} calls answered", self.answered, self.ended),
            ));
        }
        found
    }

    /// What is usual after so many windows without an OTP.
    pub fn after_silence(mut self, windows: i64) -> Traffic {
        if let Some(usual) = &mut self.usual_milli {
            for _ in 0..windows.clamp(0, 128) {
                *usual -= *usual / 8;
            }
        }
        self
    }

    /// What is usual after this window: an eighth of the way from what was to what is. Rounded towards zero.
    pub fn usual_after_milli(&self) -> i64 {
        let now = self.otps.saturating_mul(1_000);
        match self.usual_milli {
            None => now,
            Some(before) => before + (now - before) / 8,
        }
    }
}

/// Rounded down; of nothing it is nothing.
fn percent(part: i64, whole: i64) -> i64 {
    match whole {
        0 => 0,
        whole => part.saturating_mul(100) / whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        least_otps: 50,
        jump: 10,
        sequential_percent: 50,
        answered_percent: 20,
    };

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
    fn usual_traffic_is_not_looked_at() {
        assert!(found(traffic(100_000)).is_empty());
        assert!(
            found(Traffic {
                usual_milli: None,
                ..traffic(100_000)
            })
            .is_empty()
        );
    }

    #[test]
    fn little_traffic_says_nothing() {
        let little = Traffic {
            sequential: 49,
            answered: 0,
            usual_milli: Some(0),
            ..traffic(49)
        };
        assert!(found(little).is_empty());
    }

    #[test]
    fn each_reason_stands_alone_and_together() {
        let jump = Traffic {
            usual_milli: Some(9_000),
            ..traffic(100)
        };
        assert_eq!(found(jump), [Suspicion::RateJump]);
        assert!(
            found(Traffic {
                usual_milli: Some(10_000),
                ..traffic(100)
            })
            .is_empty()
        );
        assert_eq!(
            found(Traffic {
                sequential: 50,
                ..traffic(100)
            }),
            [Suspicion::SequentialNumbers]
        );
        assert!(
            found(Traffic {
                sequential: 49,
                ..traffic(100)
            })
            .is_empty()
        );
        assert_eq!(
            found(Traffic {
                answered: 19,
                ..traffic(100)
            }),
            [Suspicion::LowAnswerRate]
        );
        assert!(
            found(Traffic {
                answered: 20,
                ..traffic(100)
            })
            .is_empty()
        );
        let all = Traffic {
            sequential: 99,
            answered: 0,
            usual_milli: Some(1),
            ..traffic(100)
        };
        assert_eq!(found(all), Suspicion::ALL);
    }

    #[test]
    fn calls_that_have_not_ended_are_not_held_against_it() {
        let ringing = Traffic {
            ended: 49,
            answered: 0,
            ..traffic(1_000)
        };
        assert!(found(ringing).is_empty());
    }

    #[test]
    fn what_is_usual_follows_slowly() {
        let burst = Traffic {
            usual_milli: Some(8_000),
            ..traffic(16)
        };
        assert_eq!(burst.usual_after_milli(), 9_000);
        let silence = Traffic {
            usual_milli: Some(8_000),
            ..Traffic::default()
        };
        assert_eq!(silence.usual_after_milli(), 7_000);
        let long = Traffic {
            usual_milli: Some(8_000),
            ..traffic(1)
        }
        .after_silence(2);
        assert_eq!(long.usual_milli, Some(6_125));
        assert!(long.after_silence(i64::MAX).usual_milli < Some(100));
        assert_eq!(
            Traffic {
                usual_milli: None,
                ..traffic(5)
            }
            .usual_after_milli(),
            5_000
        );
    }
}
