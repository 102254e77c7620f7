//! Charts, drawn on the server.

use maud::{Markup, html};
use nexo_domain::otp::Language;

use crate::dashboard::texts::{Say, overview as texts};

/// One day of the chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// Month and day, `05-25`.
    pub label: String,
    pub delivered: u64,
    pub failed: u64,
}

impl Day {
    fn all(&self) -> u64 {
        self.delivered + self.failed
    }
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = 40.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 26.0;

/// A round number that is not less, and whose half is whole: 2, 4 or 10 and zeros.
fn round_up(most: u64) -> u64 {
    let mut unit = 1_u64;
    loop {
        for step in [2, 4, 10] {
            let round = unit.saturating_mul(step);
            if round >= most || round == u64::MAX {
                return round;
            }
        }
        unit = unit.saturating_mul(10);
    }
}

/// The share of delivered OTPs in percent, to a tenth; `None` without any.
pub fn rate_percent(delivered: u64, failed: u64) -> Option<f64> {
    let all = delivered + failed;
    (all > 0).then(|| (delivered as f64 * 1000.0 / all as f64).round() / 10.0)
}

fn coordinate(value: f64) -> String {
    format!("{value:.1}")
}

/// OTPs a day as bars, delivered below failed, and the delivery rate as a line.
pub fn days(l: Language, days: &[Day]) -> Markup {
    let most = round_up(days.iter().map(Day::all).max().unwrap_or(0).max(4));
    let plot = HEIGHT - TOP - BOTTOM;
    let slot = (WIDTH - LEFT - RIGHT) / days.len().max(1) as f64;
    let bar = (slot * 0.64).min(26.0);
    let height = |count: u64| count as f64 / most as f64 * plot;
    let rate_y = |percent: f64| TOP + (100.0 - percent) / 100.0 * plot;
    let x = |place: usize| LEFT + slot * place as f64 + slot / 2.0;
    let points: Vec<(f64, f64)> = days
        .iter()
        .enumerate()
        .filter_map(|(place, day)| {
            let percent = rate_percent(day.delivered, day.failed)?;
            Some((x(place), rate_y(percent)))
        })
        .collect();
    let line: Vec<String> = points
        .iter()
        .map(|(x, y)| format!("{x:.1},{y:.1}"))
        .collect();
    let delivered: u64 = days.iter().map(|day| day.delivered).sum();
    let failed: u64 = days.iter().map(|day| day.failed).sum();
    let label = l.tell(
        texts::CHART_LABEL,
        &[
            ("days", &days.len()),
            ("delivered", &delivered),
            ("failed", &failed),
        ],
    );
    let every = days.len().div_ceil(6).max(1);
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(label) {
            @for quarter in 0..=2_u64 {
                @let count = most * quarter / 2;
                @let y = TOP + plot - height(count);
                line.grid-line x1=(LEFT) x2=(WIDTH - RIGHT) y1=(coordinate(y)) y2=(coordinate(y)) {}
                text x=(LEFT - 8.0) y=(coordinate(y + 4.0)) text-anchor="end" { (count) }
                text x=(WIDTH - RIGHT + 6.0) y=(coordinate(y + 4.0)) { (quarter * 50) "%" }
            }
            @for (place, day) in days.iter().enumerate() {
                @let left = x(place) - bar / 2.0;
                @let (low, high) = (height(day.delivered), height(day.failed));
                g {
                    title { (day.label) ": " (day.delivered) " ✓ " (day.failed) " ✗" }
                    @if day.delivered > 0 {
                        rect.delivered x=(coordinate(left)) width=(coordinate(bar)) rx="2"
                            y=(coordinate(TOP + plot - low)) height=(coordinate(low)) {}
                    }
                    @if day.failed > 0 {
                        rect.failed x=(coordinate(left)) width=(coordinate(bar)) rx="2"
                            y=(coordinate(TOP + plot - low - high)) height=(coordinate(high)) {}
                    }
                }
                @if place % every == 0 {
                    text x=(coordinate(x(place))) y=(HEIGHT - 8.0) text-anchor="middle" { (day.label) }
                }
            }
            polyline.rate points=(line.join(" ")) {}
            @for (x, y) in &points {
                circle.rate-dot cx=(coordinate(*x)) cy=(coordinate(*y)) r="2.5" {}
            }
        }
        ul.legend {
            li { i.delivered {} (l.say(texts::DELIVERED)) }
            li { i.failed {} (l.say(texts::FAILED)) }
            li { i.rate {} (l.say(texts::RATE)) }
        }
    }
}

/// One bar of a list of shares.
pub struct Share {
    pub name: String,
    pub delivered: u64,
    pub failed: u64,
}

/// The delivery rate of each as a bar.
pub fn shares(l: Language, shares: &[Share]) -> Markup {
    html! {
        div.bars {
            @for share in shares {
                @let percent = rate_percent(share.delivered, share.failed).unwrap_or(0.0);
                div {
                    div.bar-line {
                        span { (share.name) }
                        span.number {
                            (l.tell(texts::SHARE, &[
                                ("percent", &percent),
                                ("count", &(share.delivered + share.failed)),
                            ]))
                        }
                    }
                    svg.chart viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" {
                        rect.delivered width=(percent) height="4" {}
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number() {
        for (most, round) in [
            (1, 2),
            (3, 4),
            (6, 10),
            (11, 20),
            (999, 1_000),
            (1_001, 2_000),
        ] {
            assert_eq!(round_up(most), round, "{most}");
        }
        assert_eq!(round_up(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_rate_is_of_what_there_is() {
        assert_eq!(rate_percent(2, 1), Some(66.7));
        assert_eq!(rate_percent(0, 0), None);
        assert_eq!(rate_percent(5, 0), Some(100.0));
    }

    #[test]
    fn a_chart_has_a_bar_for_what_was_sent() {
        let day = |label: &str, delivered, failed| Day {
            label: label.to_owned(),
            delivered,
            failed,
        };
        let drawn = days(Language::En, &[day("05-24", 0, 0), day("05-25", 3, 1)]).into_string();
        assert_eq!(
            drawn.matches("rect class=\"delivered\"").count(),
            1,
            "{drawn}"
        );
        assert_eq!(drawn.matches("<circle").count(), 1, "{drawn}");
    }
}
