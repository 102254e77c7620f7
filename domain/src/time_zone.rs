//! Time zones by their IANA names, and the calendar days of a zone.
//!
//! The rules come from the time zone database that is compiled into the program, so that all nodes agree on them.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

pub use jiff::civil::{Date, DateTime};

/// The zones that can be chosen: the primary ones, at least one for each country, by name.
static ZONES: LazyLock<Vec<TimeZone>> = LazyLock::new(|| {
    let database = TimeZoneDatabase::bundled();
    let mut zones: Vec<TimeZone> = database
        .available()
        .filter_map(|name| database.get(name.as_str()).ok())
        .filter(|zone| zone.is_primary() && *zone != TimeZone::UTC)
        .collect();
    zones.push(TimeZone::UTC);
    zones.sort_unstable_by(|a, b| a.iana_name().cmp(&b.iana_name()));
    zones
});

const EPOCH: Date = Date::constant(1970, 1, 1);

/// A time zone.
#[derive(Clone, Copy)]
pub struct Zone(&'static TimeZone);

impl Zone {
    /// Coordinated universal time.
    pub fn utc() -> Zone {
        Zone(const { &TimeZone::UTC })
    }

    /// The time zone of Vietnam.
    pub fn vietnam() -> Zone {
        Zone::named("Asia/Ho_Chi_Minh").unwrap_or_else(Zone::utc)
    }

    /// The zone with this IANA name. An older name, such as `Asia/Saigon`, stands for the primary one.
    pub fn named(name: &str) -> Option<Zone> {
        let find = |name: &str| {
            let place = ZONES.binary_search_by(|zone| zone.iana_name().cmp(&Some(name)));
            place.ok().map(|place| Zone(&ZONES[place]))
        };
        find(name)
            .or_else(|| find(TimeZoneDatabase::bundled().get(name).ok()?.primary_iana_name()?))
    }

    /// All zones that can be chosen, by name.
    pub fn all() -> impl Iterator<Item = Zone> {
        ZONES.iter().map(Zone)
    }

    /// The primary IANA name.
    pub fn name(self) -> &'static str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// Seconds east of UTC at this time.
    pub fn offset_seconds(self, at_ms: i64) -> i32 {
        self.0.to_offset(timestamp(at_ms)).seconds()
    }

    /// The date and the time of day, to the second.
    pub fn local(self, at_ms: i64) -> DateTime {
        let seconds = at_ms.div_euclid(1000).saturating_mul(1000);
        self.0.to_datetime(timestamp(seconds))
    }

    /// The calendar day: days since 1970-01-01.
    pub fn day_of(self, at_ms: i64) -> i64 {
        day(self.local(at_ms).date())
    }

    /// The first moment of a calendar day, in Unix milliseconds. This is not midnight if clocks skip it.
    pub fn day_start_ms(self, day: i64) -> i64 {
        self.at_ms(date(day).to_datetime(jiff::civil::Time::midnight())).unwrap_or(i64::MAX)
    }

    /// The Unix milliseconds of a local date and time. Of a time that clocks show twice, the first; for one that they
    /// skip, the time that much later.
    pub fn at_ms(self, local: DateTime) -> Option<i64> {
        Some(self.0.to_timestamp(local).ok()?.as_millisecond())
    }

    /// The periods with one offset from `from_ms` to `until_ms`: the start of each and the seconds east of UTC.
    pub fn offsets(self, from_ms: i64, until_ms: i64) -> Vec<(i64, i32)> {
        let mut offsets = vec![(from_ms, self.offset_seconds(from_ms))];
        let changes = self.0.following(timestamp(from_ms));
        let changes = changes.map(|change| (change.timestamp().as_millisecond(), change.offset()));
        offsets.extend(
            changes
                .take_while(|(at_ms, _)| *at_ms < until_ms)
                .map(|(at_ms, offset)| (at_ms, offset.seconds())),
        );
        offsets
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Zone) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl std::fmt::Debug for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

fn timestamp(at_ms: i64) -> Timestamp {
    let last = if at_ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(at_ms).unwrap_or(last)
}

/// The days from 1970-01-01 to a date.
pub fn day(date: Date) -> i64 {
    i64::from((date - EPOCH).get_days())
}

/// The date this many days after 1970-01-01.
pub fn date(day: i64) -> Date {
    let last = if day < 0 { Date::MIN } else { Date::MAX };
    let days =
        jiff::SignedDuration::try_from_hours(day.saturating_mul(24).clamp(-1 << 40, 1 << 40));
    days.and_then(|days| EPOCH.checked_add(days).ok()).unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp::{parse, rfc3339};

    fn zone(name: &str) -> Zone {
        Zone::named(name).unwrap()
    }

    #[test]
    fn a_zone_is_found_by_its_name_and_by_older_names() {
        assert_eq!(Zone::vietnam().name(), "Asia/Ho_Chi_Minh");
        for (name, primary) in [
            ("Asia/Saigon", "Asia/Ho_Chi_Minh"),
            ("Europe/Prague", "Europe/Prague"),
            ("UTC", "UTC"),
            ("Etc/UTC", "UTC"),
            ("America/New_York", "America/New_York"),
        ] {
            assert_eq!(zone(name).name(), primary, "{name}");
        }
        for name in ["", "Asia", "Asia/Hanoi?", "../../etc/passwd", "+07:00", "Asia/Ho_Chi_Minh\0"]
        {
            assert_eq!(Zone::named(name), None, "{name:?}");
        }
        let names: Vec<&str> = Zone::all().map(Zone::name).collect();
        assert!(names.len() > 300 && names.is_sorted(), "{names:?}");
        assert!(names.contains(&"UTC") && !names.contains(&"Asia/Saigon"));
    }

    #[test]
    fn a_day_begins_at_the_midnight_of_its_zone() {
        let day = day(Date::constant(2026, 5, 25));
        for (name, start) in [
            ("UTC", "2026-05-25T00:00:00Z"),
            ("Asia/Ho_Chi_Minh", "2026-05-24T17:00:00Z"),
            ("Asia/Kathmandu", "2026-05-24T18:15:00Z"),
            ("America/New_York", "2026-05-25T04:00:00Z"),
        ] {
            let start_ms = zone(name).day_start_ms(day);
            assert_eq!(rfc3339(start_ms), start, "{name}");
            assert_eq!(zone(name).day_of(start_ms), day);
            assert_eq!(zone(name).day_of(start_ms - 1), day - 1);
        }
        assert_eq!(date(day), Date::constant(2026, 5, 25));
    }

    #[test]
    fn days_on_which_clocks_change_are_shorter_longer_or_begin_later() {
        let hours = |name, date| {
            let day = day(date);
            (zone(name).day_start_ms(day + 1) - zone(name).day_start_ms(day)) / 3_600_000
        };
        assert_eq!(hours("Europe/Berlin", Date::constant(2026, 3, 29)), 23);
        assert_eq!(hours("Europe/Berlin", Date::constant(2026, 10, 25)), 25);
        // Clocks in Lebanon skip the hour after midnight.
        let beirut = zone("Asia/Beirut");
        let start = beirut.day_start_ms(day(Date::constant(2026, 3, 29)));
        assert_eq!(beirut.local(start).to_string(), "2026-03-29T01:00:00");
    }

    #[test]
    fn a_local_time_is_converted_to_utc() {
        let at = |text: &str| zone("Asia/Ho_Chi_Minh").at_ms(text.parse().unwrap());
        assert_eq!(at("2026-05-25T17:00"), parse("2026-05-25T10:00:00Z"));
        let local = zone("Asia/Ho_Chi_Minh").local(1_779_703_200_999);
        assert_eq!(local.to_string(), "2026-05-25T17:00:00");
    }

    #[test]
    fn a_period_is_divided_where_the_offset_changes() {
        let time = |text| parse(text).unwrap();
        let (from, until) = (time("2026-03-20"), time("2026-04-10"));
        assert_eq!(Zone::vietnam().offsets(from, until), [(from, 7 * 3600)]);
        assert_eq!(
            zone("Europe/Berlin").offsets(from, until),
            [(from, 3600), (time("2026-03-29T01:00:00Z"), 7200)]
        );
    }

    #[test]
    fn extreme_times_do_not_panic() {
        for at_ms in [i64::MIN, -1, 0, i64::MAX] {
            let day = Zone::vietnam().day_of(at_ms);
            Zone::vietnam().day_start_ms(day);
        }
        for day in [i64::MIN, i64::MAX] {
            Zone::vietnam().day_start_ms(day);
        }
    }
}
