//! Points in time as Unix milliseconds, written and parsed as RFC 3339.

use time::format_description::StaticFormatDescription;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};
use utoipa::openapi::KnownFormat;

use crate::schema::{either, schema};

const DATE: StaticFormatDescription = format_description!("[year]-[month]-[day]");
const UTC_SECONDS: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");

/// Writes a time to the second, in the format of the public API: `2026-05-25T10:00:00Z`.
pub fn rfc3339(unix_ms: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(unix_ms.div_euclid(1000))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(UTC_SECONDS).expect("the time has every component")
}

/// The schema of what [`parse`] reads.
pub struct TimeOrDate;

schema!(
    TimeOrDate,
    "TimeOrDate",
    either(
        "An RFC 3339 time, or a date, which stands for its midnight in UTC.",
        [KnownFormat::DateTime, KnownFormat::Date]
    )
);

/// Parses an RFC 3339 time, such as `2026-05-25T17:00:00.5+07:00`, or a date, such as `2026-05-25`, which stands for
/// its first midnight in UTC. Returns Unix milliseconds, rounded down.
///
/// `None` for any other text, and for leap seconds.
pub fn parse(text: &str) -> Option<i64> {
    // The parsers of `time` accept more: a sign before the year, separators other than `T`, and leap seconds.
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let at = match text.get(10..)? {
        "" => Date::parse(text, DATE).ok()?.midnight().assume_utc(),
        time if time.starts_with(['T', 't']) && time.get(7..9) != Some("60") => {
            OffsetDateTime::parse(text, &Rfc3339).ok()?
        }
        _ => return None,
    };
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_rfc_3339_time_or_a_date_is_parsed() {
        for (text, unix_ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-05-25T10:00:00Z", 1_779_703_200_000),
            ("2026-05-25t10:00:00z", 1_779_703_200_000),
            ("2026-05-25T17:00:00+07:00", 1_779_703_200_000),
            ("2026-05-25T06:30:00-03:30", 1_779_703_200_000),
            ("2026-05-25T10:00:00.5Z", 1_779_703_200_500),
            ("2026-05-25T10:00:00.123456789Z", 1_779_703_200_123),
            ("1969-12-31T23:59:59.1239Z", -877),
            ("2026-05-25T10:00:00+23:59", 1_779_616_860_000),
            ("2026-05-25", 1_779_667_200_000),
            ("2000-02-29", 951_782_400_000),
            ("1969-12-31T23:59:59Z", -1_000),
        ] {
            assert_eq!(parse(text), Some(unix_ms), "{text}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "yesterday",
            "1779703200",
            "2026-5-25",
            "2026-05-25T",
            "2026-05-25T10:00:00",
            "2026-05-25 10:00:00Z",
            "2026-05-25T10:00Z",
            "2026-05-25T24:00:00Z",
            "2026-05-25T10:00:60Z",
            "2016-12-31T23:59:60Z",
            "2026-05-25T10:00:00.Z",
            "2026-05-25T10:00:00+7:00",
            "2026-05-25T10:00:00+0700",
            "2026-05-25T10:00:00+24:00",
            "2026-02-29",
            "2026-13-01",
            "2026-05-32",
            "2026-05-25-01",
            "+026-05-25",
            "+2026-05-25",
            "-2026-05-25",
            "2026-05-25_10:00:00Z",
            "2026-05-25T10:00:00Z ",
            "2026-05-2５",
            "2026-05-25T10:00:00.５Z",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_time_is_written_in_utc_to_the_second() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_779_703_200_999, "2026-05-25T10:00:00Z"),
            (951_827_696_000, "2000-02-29T12:34:56Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(unix_ms), text);
        }
    }
}
