//! SVG charts, rendered on the server.

use maud::{Markup, html};

use crate::dashboard::locale::Locale;
use crate::dashboard::texts::figures::Percent;
use crate::dashboard::texts::{Translate, overview as texts};

/// One day of the chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// The day and month, `05-25` or `25/05`.
    pub label: String,
    pub delivered: u64,
    pub failed: u64,
}

impl Day {
    fn total(&self) -> u64 {
        self.delivered + self.failed
    }
}

/// The width of a day and the height of the plot in the SVG's units. The page stretches the SVG to its box, and draws
/// all text outside it, so that the text keeps its size on a phone.
const DAY_WIDTH: f64 = 10.0;
const HEIGHT: f64 = 100.0;
const BAR_WIDTH: f64 = 6.4;

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
pub fn days(l: Locale, days: &[Day]) -> Markup {
    let most = round_up(days.iter().map(Day::total).max().unwrap_or(0).max(4));
    let width = DAY_WIDTH * days.len().max(1) as f64;
    let height = |count: u64| count as f64 / most as f64 * HEIGHT;
    let delivered: u64 = days.iter().map(|day| day.delivered).sum();
    let failed: u64 = days.iter().map(|day| day.failed).sum();
    let label = l.t_with(
        texts::CHART_LABEL,
        &[("days", &days.len()), ("delivered", &delivered), ("failed", &failed)],
    );
    html! {
        div.chart-box {
            ul.axis aria-hidden="true" { @for half in [2, 1, 0] { li { (l.show(most * half / 2)) } } }
            svg.chart.plot viewBox={ "0 0 " (width) " " (HEIGHT) } preserveAspectRatio="none"
                role="img" aria-label=(label) {
                @for half in 0..=2 {
                    @let y = coordinate(HEIGHT / 2.0 * f64::from(half));
                    line.grid-line x1="0" x2=(width) y1=(y) y2=(y) {}
                }
                @for (index, day) in days.iter().enumerate() {
                    @let left = coordinate(DAY_WIDTH * index as f64 + (DAY_WIDTH - BAR_WIDTH) / 2.0);
                    @let (low, high) = (height(day.delivered), height(day.failed));
                    g {
                        title { (day.label) ": " (l.show(day.delivered)) " ✓ " (l.show(day.failed)) " ✗" }
                        @if day.delivered > 0 {
                            rect.delivered x=(left) width=(BAR_WIDTH)
                                y=(coordinate(HEIGHT - low)) height=(coordinate(low)) {}
                        }
                        @if day.failed > 0 {
                            rect.failed x=(left) width=(BAR_WIDTH)
                                y=(coordinate(HEIGHT - low - high)) height=(coordinate(high)) {}
                        }
                    }
                }
                (rate_line(days))
            }
            ul.axis aria-hidden="true" { @for half in [2, 1, 0] { li { (l.show(Percent(f64::from(half * 50), 0))) } } }
            (day_axis(days))
        }
        ul.legend {
            li { i.delivered {} (l.t(texts::DELIVERED)) }
            li { i.failed {} (l.t(texts::FAILED)) }
            li { i.rate {} (l.t(texts::RATE)) }
        }
    }
}

/// The delivery rate: a line through the days with OTPs, and a dot on each. A single day has a line as wide as itself.
fn rate_line(days: &[Day]) -> Markup {
    let rate = |(index, day): (usize, &Day)| {
        let percent = rate_percent(day.delivered, day.failed)?;
        Some((DAY_WIDTH * (index as f64 + 0.5), HEIGHT - percent * HEIGHT / 100.0))
    };
    let dots: Vec<(f64, f64)> = days.iter().enumerate().filter_map(rate).collect();
    let line: Vec<String> = match dots.as_slice() {
        [(x, y)] => vec![format!("M{:.1} {y:.1}h{DAY_WIDTH}", x - DAY_WIDTH / 2.0)],
        dots => (0..)
            .zip(dots)
            .map(|(index, (x, y))| {
                let command = if index == 0 { "M" } else { "L" };
                format!("{command}{x:.1} {y:.1}")
            })
            .collect(),
    };
    // A line without length with round ends is a dot, which the stretched SVG does not distort.
    let dots: Vec<String> = dots.iter().map(|(x, y)| format!("M{x:.1} {y:.1}h0")).collect();
    html! {
        path.rate d=(line.join("")) {}
        path.rate-dots d=(dots.join("")) {}
    }
}

/// The dates below the plot: about six on a wide screen, three on a phone.
fn day_axis(days: &[Day]) -> Markup {
    let step = days.len().div_ceil(6).max(1);
    html! {
        ol.axis.days aria-hidden="true" {
            @for (index, day) in days.iter().enumerate() {
                @if index % (2 * step) == 0 {
                    li { span { (day.label) } }
                } @else if index % step == 0 {
                    li.secondary { span { (day.label) } }
                } @else {
                    li {}
                }
            }
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
pub fn carrier_rates(l: Locale, rates: &[CarrierRate]) -> Markup {
    html! {
        div.bars {
            @for rate in rates {
                @let percent = rate_percent(rate.delivered, rate.failed).unwrap_or(0.0);
                div {
                    div.bar-line {
                        span { (rate.name) }
                        span.number {
                            (l.t_with(texts::SHARE, &[
                                ("percent", &Percent(percent, 1)),
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
    use nexo_domain::otp::Language;

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
        let drawn =
            days(Locale::now(Language::En, None), &[day("05-24", 0, 0), day("05-25", 3, 1)])
                .into_string();
        assert_eq!(drawn.matches("rect class=\"delivered\"").count(), 1, "{drawn}");
        assert!(drawn.contains("M15.0 25.0h0"), "a dot at 75 %: {drawn}");
        assert!(drawn.contains("M10.0 25.0h10"), "a line for the only day: {drawn}");
    }
}
