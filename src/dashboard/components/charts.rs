//! SVG charts, rendered on the server.

use maud::{Markup, html};
use nexo_domain::otp::Language;

use crate::dashboard::texts::{Translate, overview as texts};

/// One day of the chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// Month and day, `05-25`.
    pub label: String,
    pub delivered: u64,
    pub failed: u64,
}

impl Day {
    fn total(&self) -> u64 {
        self.delivered + self.failed
    }
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = 40.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 26.0;

/// The next number of the form 2, 4 or 10 times a power of ten: half of it is whole.
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

/// The share of delivered OTPs in percent, to a tenth; `None` if there are no OTPs.
pub fn rate_percent(delivered: u64, failed: u64) -> Option<f64> {
    let total = delivered + failed;
    (total > 0).then(|| (delivered as f64 * 1000.0 / total as f64).round() / 10.0)
}

fn coordinate(value: f64) -> String {
    format!("{value:.1}")
}

/// OTPs per day as stacked bars (delivered below failed), and the delivery rate as a line.
pub fn days(l: Language, days: &[Day]) -> Markup {
    let most = round_up(days.iter().map(Day::total).max().unwrap_or(0).max(4));
    let plot = HEIGHT - TOP - BOTTOM;
    let slot = (WIDTH - LEFT - RIGHT) / days.len().max(1) as f64;
    let bar = (slot * 0.64).min(26.0);
    let height = |count: u64| count as f64 / most as f64 * plot;
    let rate_y = |percent: f64| TOP + (100.0 - percent) / 100.0 * plot;
    let x = |index: usize| LEFT + slot * index as f64 + slot / 2.0;
    let points: Vec<(f64, f64)> = days
        .iter()
        .enumerate()
        .filter_map(|(index, day)| {
            let percent = rate_percent(day.delivered, day.failed)?;
            Some((x(index), rate_y(percent)))
        })
        .collect();
    let line: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let delivered: u64 = days.iter().map(|day| day.delivered).sum();
    let failed: u64 = days.iter().map(|day| day.failed).sum();
    let label = l.t_with(
        texts::CHART_LABEL,
        &[("days", &days.len()), ("delivered", &delivered), ("failed", &failed)],
    );
    let label_step = days.len().div_ceil(6).max(1);
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(label) {
            @for quarter in 0..=2_u64 {
                @let count = most * quarter / 2;
                @let y = TOP + plot - height(count);
                line.grid-line x1=(LEFT) x2=(WIDTH - RIGHT) y1=(coordinate(y)) y2=(coordinate(y)) {}
                text x=(LEFT - 8.0) y=(coordinate(y + 4.0)) text-anchor="end" { (count) }
                text x=(WIDTH - RIGHT + 6.0) y=(coordinate(y + 4.0)) { (quarter * 50) "%" }
            }
            @for (index, day) in days.iter().enumerate() {
                @let left = x(index) - bar / 2.0;
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
                @if index % label_step == 0 {
                    text x=(coordinate(x(index))) y=(HEIGHT - 8.0) text-anchor="middle" { (day.label) }
                }
            }
            polyline.rate points=(line.join(" ")) {}
            @for (x, y) in &points {
                circle.rate-dot cx=(coordinate(*x)) cy=(coordinate(*y)) r="2.5" {}
            }
        }
        ul.legend {
            li { i.delivered {} (l.t(texts::DELIVERED)) }
            li { i.failed {} (l.t(texts::FAILED)) }
            li { i.rate {} (l.t(texts::RATE)) }
        }
    }
}

/// The deliveries of one carrier.
pub struct CarrierRate {
    pub name: String,
    pub delivered: u64,
    pub failed: u64,
}

/// The delivery rate of each carrier as a bar.
pub fn carrier_rates(l: Language, rates: &[CarrierRate]) -> Markup {
    html! {
        div.bars {
            @for rate in rates {
                @let percent = rate_percent(rate.delivered, rate.failed).unwrap_or(0.0);
                div {
                    div.bar-line {
                        span { (rate.name) }
                        span.number {
                            (l.t_with(texts::SHARE, &[
                                ("percent", &percent),
                                ("count", &(rate.delivered + rate.failed)),
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
        for (most, round) in [(1, 2), (3, 4), (6, 10), (11, 20), (999, 1_000), (1_001, 2_000)] {
            assert_eq!(round_up(most), round, "{most}");
        }
        assert_eq!(round_up(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_rate_needs_at_least_one_otp() {
        assert_eq!(rate_percent(2, 1), Some(66.7));
        assert_eq!(rate_percent(0, 0), None);
        assert_eq!(rate_percent(5, 0), Some(100.0));
    }

    #[test]
    fn a_chart_has_a_bar_for_each_day_with_otps() {
        let day =
            |label: &str, delivered, failed| Day { label: label.to_owned(), delivered, failed };
        let drawn = days(Language::En, &[day("05-24", 0, 0), day("05-25", 3, 1)]).into_string();
        assert_eq!(drawn.matches("rect class=\"delivered\"").count(), 1, "{drawn}");
        assert_eq!(drawn.matches("<circle").count(), 1, "{drawn}");
    }
}
