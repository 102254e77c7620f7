//! The dates of a filter: days in the viewer's time zone, and links to common ranges.

use maud::{Markup, html};
use nexo_domain::time_zone::{Date, date, day};
use nexo_domain::timestamp;

use crate::dashboard::locale::Locale;
use crate::dashboard::texts::{Text, Translate, deliveries as texts};

/// The first moment of a filter's first day. An RFC 3339 time stands for itself.
pub fn start_ms(l: Locale, typed: &str) -> Option<i64> {
    match typed.parse::<Date>() {
        Ok(date) if typed.len() == 10 => Some(l.zone.day_start_ms(day(date))),
        _ => timestamp::parse(typed),
    }
}

/// The end of a filter's last day, which the filter includes. An RFC 3339 time stands for itself.
pub fn end_ms(l: Locale, typed: &str) -> Option<i64> {
    match typed.parse::<Date>() {
        Ok(date) if typed.len() == 10 => Some(l.zone.day_start_ms(day(date) + 1)),
        _ => timestamp::parse(typed),
    }
}

/// The ranges that have a link: the name, the first and the last day.
fn presets(today: i64) -> [(Text, i64, i64); 5] {
    let first_of_month = day(date(today).first_of_month());
    [
        (texts::TODAY, today, today),
        (texts::YESTERDAY, today - 1, today - 1),
        (texts::LAST_7_DAYS, today - 6, today),
        (texts::LAST_30_DAYS, today - 29, today),
        (texts::THIS_MONTH, first_of_month, today),
    ]
}

/// Links to common ranges. `chosen` are the dates of the filter, `link` is the page with others.
pub fn preset_links(
    l: Locale,
    chosen: (&str, &str),
    link: impl Fn(&str, &str) -> String,
) -> Markup {
    html! {
        nav.presets aria-label=(l.t(texts::PERIOD)) {
            @for (name, first, last) in presets(l.today()) {
                @let (from, to) = (date(first).to_string(), date(last).to_string());
                @let is_chosen = chosen == (from.as_str(), to.as_str());
                a.pill href=(link(&from, &to)) aria-current=[is_chosen.then_some("true")] {
                    (l.t(name))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nexo_domain::otp::Language;
    use nexo_domain::time_zone::Zone;

    fn locale() -> Locale {
        // 2026-03-01 01:00 in Vietnam.
        let now_ms = timestamp::parse("2026-02-28T18:00:00Z").unwrap();
        Locale { language: Language::Vi, zone: Zone::vietnam(), now_ms }
    }

    #[test]
    fn a_filter_contains_both_of_its_days() {
        let time = timestamp::parse;
        assert_eq!(start_ms(locale(), "2026-02-28"), time("2026-02-27T17:00:00Z"));
        assert_eq!(end_ms(locale(), "2026-02-28"), time("2026-02-28T17:00:00Z"));
        for exact in [start_ms, end_ms] {
            assert_eq!(exact(locale(), "2026-02-28T00:00:00Z"), time("2026-02-28"));
            assert_eq!(exact(locale(), "20260228"), None);
            assert_eq!(exact(locale(), "2026-02-30"), None);
            assert_eq!(exact(locale(), ""), None);
        }
    }

    #[test]
    fn the_presets_are_days_of_the_viewers_zone() {
        let links = preset_links(locale(), ("2026-02-23", "2026-03-01"), |from, to| {
            format!("?{from}_{to}")
        });
        let links = links.into_string();
        for range in [
            "?2026-03-01_2026-03-01",
            "?2026-02-28_2026-02-28",
            "?2026-02-23_2026-03-01\" aria-current=\"true\"",
            "?2026-01-31_2026-03-01",
        ] {
            assert!(links.contains(range), "{range} is not in {links}");
        }
    }
}
