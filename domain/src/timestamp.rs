//! Points in time as records hold them: Unix milliseconds, written and read as RFC 3339.

use time::{Date, Month, OffsetDateTime};

/// `2026-05-25T10:00:00Z`, to the second, as the public API writes times.
pub fn rfc3339(unix_ms: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(unix_ms.div_euclid(1000))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// Unix milliseconds of an RFC 3339 time, such as `2026-05-25T17:00:00.5+07:00`, or of the midnight in
/// UTC that begins a plain date, such as `2026-05-25`.
///
/// `None` for anything else, leap seconds included. What is finer than a millisecond is cut off.
pub fn parse(text: &str) -> Option<i64> {
    let (date, time) = match text.split_once(['T', 't']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let day = u8::try_from(day).ok()?;
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, day).ok()?;
    let midnight_ms = date.midnight().assume_utc().unix_timestamp() * 1_000;
    match time {
        None => Some(midnight_ms),
        Some(time) => Some(midnight_ms + time_of_day_ms(time)?),
    }
}

/// The milliseconds of `HH:MM:SS[.fraction](Z|±HH:MM)` since midnight in UTC.
fn time_of_day_ms(text: &str) -> Option<i64> {
    let zone = text.rfind(['Z', 'z', '+', '-'])?;
    let (clock, zone) = text.split_at(zone);
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, milliseconds(fraction)?),
        None => (clock, 0),
    };
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let is_clock = hour < 24 && minute < 60 && second < 60;
    let of_day = ((hour * 60 + minute) * 60 + second) * 1_000 + fraction;
    is_clock.then_some(of_day - offset_ms(zone)?)
}

/// `Z`, or how far ahead of UTC a zone is.
fn offset_ms(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, ahead) = match zone.strip_prefix('-') {
        Some(behind) => (-1, behind),
        None => (1, zone.strip_prefix('+')?),
    };
    let [hours, minutes] = numbers(ahead, ':', [2, 2])?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60_000)
}

/// `5` is 500 ms.
fn milliseconds(fraction: &str) -> Option<i64> {
    let is_digits = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
    let padded = format!("{fraction:0<3}");
    is_digits.then(|| padded[..3].parse().ok()).flatten()
}

/// Numbers of exactly these widths between separators.
fn numbers<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for (number, width) in numbers.iter_mut().zip(widths) {
        let part = parts.next()?;
        let is_number = part.len() == width && part.bytes().all(|b| b.is_ascii_digit());
        *number = is_number.then(|| part.parse().ok()).flatten()?;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_rfc_3339_time_or_a_date_is_read() {
        for (text, unix_ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-05-25T10:00:00Z", 1_779_703_200_000),
            ("2026-05-25t10:00:00z", 1_779_703_200_000),
            ("2026-05-25T17:00:00+07:00", 1_779_703_200_000),
            ("2026-05-25T06:30:00-03:30", 1_779_703_200_000),
            ("2026-05-25T10:00:00.5Z", 1_779_703_200_500),
            ("2026-05-25T10:00:00.123456789Z", 1_779_703_200_123),
            ("2026-05-25", 1_779_667_200_000),
            ("2000-02-29", 951_782_400_000),
            ("1969-12-31T23:59:59Z", -1_000),
        ] {
            assert_eq!(parse(text), Some(unix_ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_not_read() {
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
            "2026-05-25T10:00:00.Z",
            "2026-05-25T10:00:00+7:00",
            "2026-05-25T10:00:00+0700",
            "2026-05-25T10:00:00+24:00",
            "2026-02-29",
            "2026-13-01",
            "2026-05-32",
            "2026-05-25-01",
            "+026-05-25",
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
