//! The types of events, and the ones that an endpoint chooses.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::call::outcome::Status;
use crate::verification::Status as VerificationStatus;

/// The type of an event that endpoints can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventType {
    OtpDelivered,
    OtpFailed,
    VerificationApproved,
    VerificationFailed,
    VerificationExpired,
}

impl EventType {
    /// The type of an OTP's final event.
    pub fn of_otp(status: Status) -> EventType {
        match status {
            Status::Delivered => EventType::OtpDelivered,
            Status::Sent | Status::Failed => EventType::OtpFailed,
        }
    }

    /// The type of the event of a verification's end; `None` for an end that is not told: its customer caused a
    /// cancellation.
    pub fn of_verification(status: VerificationStatus) -> Option<EventType> {
        match status {
            VerificationStatus::Approved => Some(EventType::VerificationApproved),
            VerificationStatus::Failed => Some(EventType::VerificationFailed),
            VerificationStatus::Expired => Some(EventType::VerificationExpired),
            VerificationStatus::Pending | VerificationStatus::Canceled => None,
        }
    }

    /// The type as bodies and headers have it.
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::OtpDelivered => "otp.delivered",
            EventType::OtpFailed => "otp.failed",
            EventType::VerificationApproved => "verification.approved",
            EventType::VerificationFailed => "verification.failed",
            EventType::VerificationExpired => "verification.expired",
        }
    }
}

/// The patterns that an endpoint can choose, with the types that each selects: all of one subject, or one.
const PATTERNS: [(&str, &[EventType]); 7] = [
    ("otp.*", &[EventType::OtpDelivered, EventType::OtpFailed]),
    ("otp.delivered", &[EventType::OtpDelivered]),
    ("otp.failed", &[EventType::OtpFailed]),
    (
        "verification.*",
        &[
            EventType::VerificationApproved,
            EventType::VerificationFailed,
            EventType::VerificationExpired,
        ],
    ),
    ("verification.approved", &[EventType::VerificationApproved]),
    ("verification.failed", &[EventType::VerificationFailed]),
    ("verification.expired", &[EventType::VerificationExpired]),
];

/// Separates the patterns of a list.
const SEPARATOR: char = ',';

/// The events that an endpoint receives: at least one pattern. The default is every event of an OTP.
///
/// Test events and the notice of a low balance are not chosen here: their owner requested them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EventFilter {
    /// One bit for each of [`PATTERNS`].
    patterns: u32,
}

/// Why a list of patterns is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EventFilterError {
    #[error("{pattern:?} is not an event; allowed: {}", EventFilter::allowed())]
    Unknown { pattern: String },
    #[error("no event is chosen; allowed: {}", EventFilter::allowed())]
    Empty,
}

impl EventFilter {
    /// Every pattern.
    pub fn all_patterns() -> impl Iterator<Item = &'static str> {
        PATTERNS.iter().map(|(pattern, _)| *pattern)
    }

    /// Selects the events of `patterns`, in any order.
    ///
    /// # Errors
    /// Each names what is allowed.
    pub fn of<'p>(
        patterns: impl IntoIterator<Item = &'p str>,
    ) -> Result<EventFilter, EventFilterError> {
        let mut chosen = 0;
        for pattern in patterns {
            let unknown = || EventFilterError::Unknown { pattern: pattern.to_owned() };
            chosen |= bit(pattern).ok_or_else(unknown)?;
        }
        match chosen {
            0 => Err(EventFilterError::Empty),
            patterns => Ok(EventFilter { patterns }),
        }
    }

    /// A list as [`Display`](fmt::Display) writes it. Patterns that only a newer version knows select nothing.
    pub fn from_record(list: &str) -> EventFilter {
        let known = list.split(SEPARATOR).filter_map(bit);
        EventFilter { patterns: known.fold(0, |patterns, bit| patterns | bit) }
    }

    /// The chosen patterns.
    pub fn patterns(self) -> impl Iterator<Item = &'static str> {
        let chosen =
            PATTERNS.iter().enumerate().filter(move |(n, _)| self.patterns & (1 << n) != 0);
        chosen.map(|(_, (pattern, _))| *pattern)
    }

    /// Whether the endpoint receives events of this type.
    pub fn wants(self, event: EventType) -> bool {
        let mut all = PATTERNS.iter().enumerate();
        all.any(|(n, (_, types))| self.patterns & (1 << n) != 0 && types.contains(&event))
    }

    /// All patterns in one line, for an error.
    fn allowed() -> String {
        Self::all_patterns().collect::<Vec<_>>().join(", ")
    }
}

/// The bit of a pattern.
fn bit(pattern: &str) -> Option<u32> {
    let place = PATTERNS.iter().position(|(known, _)| *known == pattern)?;
    Some(1 << place)
}

impl Default for EventFilter {
    fn default() -> Self {
        EventFilter::from_record("otp.*")
    }
}

/// Reads a list with commas.
impl FromStr for EventFilter {
    type Err = EventFilterError;

    fn from_str(list: &str) -> Result<Self, Self::Err> {
        Self::of(list.split(SEPARATOR).map(str::trim).filter(|pattern| !pattern.is_empty()))
    }
}

impl fmt::Display for EventFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, pattern) in self.patterns().enumerate() {
            if n > 0 {
                write!(f, "{SEPARATOR}")?;
            }
            f.write_str(pattern)?;
        }
        Ok(())
    }
}

impl fmt::Debug for EventFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventFilter({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPES: [EventType; 5] = [
        EventType::OtpDelivered,
        EventType::OtpFailed,
        EventType::VerificationApproved,
        EventType::VerificationFailed,
        EventType::VerificationExpired,
    ];

    fn wanted(list: &str) -> Vec<&'static str> {
        let filter: EventFilter = list.parse().unwrap();
        TYPES.into_iter().filter(|event| filter.wants(*event)).map(EventType::as_str).collect()
    }

    #[test]
    fn a_filter_selects_the_types_of_its_patterns() {
        assert_eq!(wanted("otp.*"), ["otp.delivered", "otp.failed"]);
        assert_eq!(
            wanted("verification.*"),
            ["verification.approved", "verification.failed", "verification.expired"]
        );
        for event in TYPES {
            assert_eq!(wanted(event.as_str()), [event.as_str()]);
        }
        assert_eq!(
            wanted(" verification.failed, otp.failed,otp.failed ,"),
            ["otp.failed", "verification.failed"]
        );
        assert_eq!(wanted("otp.*,verification.*").len(), TYPES.len());
        assert_eq!("otp.*".parse(), Ok(EventFilter::default()));
    }

    #[test]
    fn only_the_ends_of_verifications_that_the_customer_did_not_cause_are_told() {
        for (status, event) in [
            (VerificationStatus::Pending, None),
            (VerificationStatus::Approved, Some("verification.approved")),
            (VerificationStatus::Failed, Some("verification.failed")),
            (VerificationStatus::Expired, Some("verification.expired")),
            (VerificationStatus::Canceled, None),
        ] {
            let told = EventType::of_verification(status);
            assert_eq!(told.map(EventType::as_str), event, "{status:?}");
        }
    }

    #[test]
    fn every_type_is_a_pattern_and_part_of_its_subject() {
        for event in TYPES {
            let (subject, _) = event.as_str().split_once('.').unwrap();
            for pattern in [event.as_str().to_owned(), format!("{subject}.*")] {
                assert!(pattern.parse::<EventFilter>().unwrap().wants(event), "{pattern}");
            }
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_list_of_what_is_allowed() {
        for pattern in ["*", "otp", "otp.", "OTP.*", "otp.sent", "wallet.low", "webhook.test"] {
            let error = pattern.parse::<EventFilter>().unwrap_err().to_string();
            let message = format!("{pattern:?} is not an event; allowed: otp.*, otp.delivered, ");
            assert!(error.starts_with(&message), "{error}");
            assert!(error.ends_with("verification.failed, verification.expired"), "{error}");
        }
        for empty in ["", " ", ",", " , "] {
            assert_eq!(empty.parse::<EventFilter>(), Err(EventFilterError::Empty));
        }
    }

    #[test]
    fn a_filter_survives_its_record() {
        for list in ["otp.*", "otp.failed,verification.*", "verification.expired"] {
            let filter: EventFilter = list.parse().unwrap();
            assert_eq!(filter.to_string(), list);
            assert_eq!(EventFilter::from_record(list), filter);
        }
        let newer = EventFilter::from_record("otp.failed,call.*");
        assert_eq!(newer.to_string(), "otp.failed");
    }
}
