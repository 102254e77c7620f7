//! How a viewer reads a page: the language, the time zone, and the time of the request.

use nexo_actors::clock::unix_ms;
use nexo_domain::otp::Language;
use nexo_domain::time_zone::{Date, DateTime, Zone};

use crate::dashboard::texts::figures::{Decimal, Value};
use crate::dashboard::texts::{Translate, frame};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A viewer's language, time zone and present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Locale {
    pub language: Language,
    pub zone: Zone,
    /// The time of the request in Unix milliseconds.
    pub now_ms: i64,
}

impl From<Locale> for Language {
    fn from(locale: Locale) -> Language {
        locale.language
    }
}

impl Locale {
    /// The locale of now, in this zone or in the language's.
    pub fn now(language: Language, zone: Option<Zone>) -> Locale {
        let zone = zone.unwrap_or_else(|| default_zone(language));
        Locale { language, zone, now_ms: unix_ms() }
    }

    /// The ISO 639-1 code of the language.
    pub fn code(self) -> &'static str {
        self.language.code()
    }

    /// A number or amount as the language writes it.
    pub fn show(self, value: impl Value) -> String {
        value.write(self.language)
    }

    /// A duration in seconds with these decimals: `4.2 s`.
    pub fn seconds(self, ms: i64, places: usize) -> String {
        let seconds = self.show(Decimal(ms as f64 / 1_000.0, places));
        self.t_with(frame::SECONDS, &[("count", &seconds)])
    }

    /// A duration in milliseconds, to a tenth: `17.0 ms`.
    pub fn milliseconds(self, ms: f64) -> String {
        self.t_with(frame::MILLISECONDS, &[("count", &Decimal(ms, 1))])
    }

    /// A date: `2026-05-25`, `25/05/2026`.
    pub fn date(self, date: Date) -> String {
        match self.language {
            Language::En => date.to_string(),
            Language::Vi => format!("{:02}/{:02}/{}", date.day(), date.month(), date.year()),
        }
    }

    /// The day and month of a date: `05-25`, `25/05`.
    pub fn day_and_month(self, date: Date) -> String {
        match self.language {
            Language::En => format!("{:02}-{:02}", date.month(), date.day()),
            Language::Vi => format!("{:02}/{:02}", date.day(), date.month()),
        }
    }

    /// A time to the second in the viewer's zone: `2026-05-25 17:00:00`, `25/05/2026 17:00:00`.
    pub fn time(self, at_ms: i64) -> String {
        let local = self.zone.local(at_ms);
        format!("{} {}", self.date(local.date()), clock(local))
    }

    /// A time to the minute in the viewer's zone, with its difference to UTC: `2026-05-25 17:00 (UTC+7)`.
    pub fn minute(self, at_ms: i64) -> String {
        let local = self.zone.local(at_ms);
        let (date, offset) = (self.date(local.date()), self.offset(at_ms));
        format!("{date} {:02}:{:02} ({offset})", local.hour(), local.minute())
    }

    /// The age of a time within the last day: `5 minutes ago`, `5 phút trước`.
    pub fn age(self, at_ms: i64) -> Option<String> {
        let age_ms = self.now_ms - at_ms;
        // The clocks of the nodes and the database may differ by some seconds.
        if age_ms.abs() < MINUTE_MS {
            return Some(self.t(frame::JUST_NOW).to_owned());
        }
        let ([one, many], count) = match age_ms {
            MINUTE_MS..HOUR_MS => ([frame::MINUTE_AGO, frame::MINUTES_AGO], age_ms / MINUTE_MS),
            HOUR_MS..DAY_MS => ([frame::HOUR_AGO, frame::HOURS_AGO], age_ms / HOUR_MS),
            _ => return None,
        };
        Some(self.t_with(if count == 1 { one } else { many }, &[("count", &count)]))
    }

    /// The difference of the zone to UTC at a time: `UTC+7`, `UTC−3:30`, `UTC`.
    pub fn offset(self, at_ms: i64) -> String {
        let minutes = self.zone.offset_seconds(at_ms) / 60;
        let sign = if minutes < 0 { '−' } else { '+' };
        let (hours, rest) = (minutes.abs() / 60, minutes.abs() % 60);
        match (hours, rest) {
            (0, 0) => "UTC".to_owned(),
            (hours, 0) => format!("UTC{sign}{hours}"),
            (hours, rest) => format!("UTC{sign}{hours}:{rest:02}"),
        }
    }

    /// The viewer's calendar day: days since 1970-01-01.
    pub fn today(self) -> i64 {
        self.zone.day_of(self.now_ms)
    }

    /// The zone and its difference to UTC now: `Asia/Ho Chi Minh (UTC+7)`, `UTC`.
    pub fn zone_label(self) -> String {
        let name = self.zone.name().replace('_', " ");
        match self.offset(self.now_ms) {
            offset if offset == name => name,
            offset => format!("{name} ({offset})"),
        }
    }

    /// The note of the zone below a list of times.
    pub fn zone_note(self) -> String {
        self.t_with(frame::ZONE_NOTE, &[("zone", &self.zone_label())])
    }
}

/// The zone without the setting and without a browser that tells its own.
fn default_zone(language: Language) -> Zone {
    match language {
        Language::Vi => Zone::vietnam(),
        Language::En => Zone::utc(),
    }
}

fn clock(local: DateTime) -> String {
    format!("{:02}:{:02}:{:02}", local.hour(), local.minute(), local.second())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_779_703_200_000;

    fn locale(language: Language, zone: &str) -> Locale {
        Locale { language, zone: Zone::named(zone).unwrap(), now_ms: NOW }
    }

    #[test]
    fn a_time_is_shown_in_the_zone_of_the_viewer() {
        let vietnamese = Locale { now_ms: NOW, ..Locale::now(Language::Vi, None) };
        assert_eq!(vietnamese.time(NOW), "25/05/2026 17:00:00");
        assert_eq!(vietnamese.minute(NOW), "25/05/2026 17:00 (UTC+7)");
        assert_eq!(locale(Language::En, "UTC").time(NOW), "2026-05-25 10:00:00");
        assert_eq!(
            locale(Language::En, "Asia/Kathmandu").minute(NOW),
            "2026-05-25 15:45 (UTC+5:45)"
        );
        assert_eq!(
            locale(Language::En, "America/St_Johns").minute(NOW),
            "2026-05-25 07:30 (UTC−2:30)"
        );
    }

    #[test]
    fn a_time_within_the_last_day_has_an_age() {
        for (ago_ms, english, vietnamese) in [
            (0, Some("just now"), Some("vừa xong")),
            (59_999, Some("just now"), Some("vừa xong")),
            (-2_000, Some("just now"), Some("vừa xong")),
            (60_000, Some("1 minute ago"), Some("1 phút trước")),
            (5 * MINUTE_MS, Some("5 minutes ago"), Some("5 phút trước")),
            (HOUR_MS, Some("1 hour ago"), Some("1 giờ trước")),
            (DAY_MS - 1, Some("23 hours ago"), Some("23 giờ trước")),
            (DAY_MS, None, None),
            (-MINUTE_MS - 1, None, None),
        ] {
            let at_ms = NOW - ago_ms;
            assert_eq!(locale(Language::En, "UTC").age(at_ms).as_deref(), english);
            assert_eq!(locale(Language::Vi, "UTC").age(at_ms).as_deref(), vietnamese);
        }
    }
}
