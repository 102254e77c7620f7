//! A call as an SVG ladder diagram, rendered on the server, and as a list for narrow screens.

use maud::{Markup, html};
use nexo_actors::dispatch::live_deliveries::Progress;
use nexo_domain::call::steps::{CallStep, StepKind};
use nexo_entities::store::ledger::posting::CallAttempt;

use crate::dashboard::locale::Locale;
use crate::dashboard::texts::{Text, Translate, deliveries as texts};

const WIDTH: i32 = 680;
const LEFT: i32 = 150;
const RIGHT: i32 = 530;
const ROW: i32 = 38;
const TOP: i32 = 56;

/// The direction of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToPhone,
    FromPhone,
    /// From the phone or its gateway: the call failed.
    Failure,
    /// Speech, drawn as a box instead of an arrow.
    Speech,
}

impl Direction {
    /// The class of an arrow and of a line of the list.
    fn class(self) -> Option<&'static str> {
        match self {
            Direction::ToPhone | Direction::Speech => None,
            Direction::FromPhone => Some("back"),
            Direction::Failure => Some("wrong"),
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Direction::ToPhone => "→",
            Direction::FromPhone => "←",
            Direction::Failure => "✕",
            Direction::Speech => "▶",
        }
    }
}

/// One step of the ladder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rung {
    at_ms: i64,
    direction: Direction,
    text: String,
}

fn rung(at_ms: i64, direction: Direction, text: &str) -> Rung {
    Rung { at_ms, direction, text: text.to_owned() }
}

/// The INVITE, the carrier's responses that arrived, and the steps of the call, in chronological order.
fn rungs(
    l: Locale,
    started_at_ms: i64,
    responses: [(Option<i64>, Text); 3],
    steps: &[CallStep],
) -> Vec<Rung> {
    let mut rungs = vec![rung(started_at_ms, Direction::ToPhone, l.t(texts::STEP_INVITE))];
    for (at_ms, text) in responses {
        if let Some(at_ms) = at_ms {
            rungs.push(rung(at_ms, Direction::FromPhone, l.t(text)));
        }
    }
    let mut readings = 0;
    for step in steps {
        let at_ms = started_at_ms + i64::from(step.after_ms);
        rungs.push(match step.kind {
            StepKind::CodeRead => {
                readings += 1;
                let text = l.t_with(texts::STEP_READ, &[("count", &readings)]);
                rung(at_ms, Direction::Speech, &text)
            }
            StepKind::KeyPressed => rung(at_ms, Direction::FromPhone, l.t(texts::STEP_KEY)),
        });
    }
    rungs.sort_by_key(|rung| rung.at_ms);
    rungs
}

/// The rungs of a finished attempt.
pub fn of_attempt(l: Locale, attempt: &CallAttempt) -> Vec<Rung> {
    let responses = [
        (attempt.accepted_at_ms, texts::STEP_ACCEPTED),
        (attempt.ringing_at_ms, texts::STEP_RINGING),
        (attempt.answered_at_ms, texts::STEP_ANSWERED),
    ];
    let mut rungs = rungs(l, attempt.started_at_ms, responses, &attempt.steps);
    let reason = attempt.end_reason.replace('_', " ");
    rungs.push(match (attempt.answered_at_ms, attempt.sip_code) {
        (Some(_), _) if attempt.end_reason == "delivered" => {
            rung(attempt.ended_at_ms, Direction::ToPhone, l.t(texts::STEP_HANGUP))
        }
        (None, Some(code)) if code >= 300 => {
            let text = l.t_with(texts::STEP_REFUSED, &[("code", &code)]);
            rung(attempt.ended_at_ms, Direction::Failure, &text)
        }
        (None, None) if attempt.end_reason == "silent" => {
            rung(attempt.ended_at_ms, Direction::Failure, l.t(texts::STEP_SILENT))
        }
        _ => {
            let text = l.t_with(texts::STEP_ENDED, &[("reason", &reason)]);
            rung(attempt.ended_at_ms, Direction::Failure, &text)
        }
    });
    rungs
}

/// The rungs so far of a call in progress.
pub fn of_progress(l: Locale, progress: &Progress) -> Vec<Rung> {
    let responses = [
        (Some(progress.accepted_at_ms), texts::STEP_ACCEPTED),
        (progress.ringing_at_ms, texts::STEP_RINGING),
        (progress.answered_at_ms, texts::STEP_ANSWERED),
    ];
    rungs(l, progress.started_at_ms, responses, &progress.steps)
}

/// Draws the rungs with the seconds since the first. The label lists the same for screen readers. The stylesheet shows
/// the diagram or, where it has no room, the list.
pub fn draw(l: Locale, rungs: &[Rung], far_end: &str) -> Markup {
    let start = rungs.first().map_or(0, |rung| rung.at_ms);
    let bottom = TOP + ROW * i32::try_from(rungs.len()).unwrap_or(0);
    let since = |rung: &Rung| l.seconds(rung.at_ms - start, 2);
    let steps: Vec<String> =
        rungs.iter().map(|rung| format!("{} {}", since(rung), rung.text)).collect();
    let label = format!("{}: {}", l.t(texts::LADDER), steps.join("; "));
    html! {
        svg.ladder viewBox={ "0 0 " (WIDTH) " " (bottom + 8) } role="img" aria-label=(label) {
            text.head-text x=(LEFT) y="20" text-anchor="middle" { (l.t(texts::WE)) }
            text.head-text x=(RIGHT) y="20" text-anchor="middle" { (far_end) }
            line.lane x1=(LEFT) y1="32" x2=(LEFT) y2=(bottom) {}
            line.lane x1=(RIGHT) y1="32" x2=(RIGHT) y2=(bottom) {}
            @for (row, rung) in (0..).zip(rungs) {
                (draw_rung(rung, TOP + ROW * row, &since(rung)))
            }
        }
        ol.ladder-list {
            li.ends { span { (l.t(texts::WE)) } span { (far_end) } }
            @for rung in rungs {
                li class=[rung.direction.class()] {
                    span.number { (since(rung)) }
                    span.sign aria-hidden="true" { (rung.direction.sign()) }
                    span { (rung.text) }
                }
            }
        }
    }
}

fn draw_rung(rung: &Rung, y: i32, since: &str) -> Markup {
    let middle = (LEFT + RIGHT) / 2;
    let class = rung.direction.class().unwrap_or_default();
    let (from, to) = match rung.direction {
        Direction::ToPhone | Direction::Speech => (LEFT, RIGHT),
        Direction::FromPhone | Direction::Failure => (RIGHT, LEFT),
    };
    // The base of the arrow's head is 9 units before its tip.
    let base = if to > from { to - 9 } else { to + 9 };
    let tip = format!("M{to} {y}L{base} {}L{base} {}z", y - 4, y + 4);
    html! {
        text x="8" y=(y + 4) { (since) }
        @if rung.direction == Direction::Speech {
            rect.speech x=(LEFT + 24) y=(y - 14) width=(RIGHT - LEFT - 48) height="27" rx="8" {}
            text.label-text x=(middle) y=(y + 4) text-anchor="middle" { (rung.text) }
        } @else {
            text.label-text x=(middle) y=(y - 6) text-anchor="middle" { (rung.text) }
            line class={ "arrow " (class) } x1=(from) y1=(y) x2=(to) y2=(y) {}
            path class={ "tip " (class) } d=(tip) {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nexo_domain::otp::Language;

    fn progress() -> Progress {
        Progress {
            gateway: "hn1".to_owned(),
            started_at_ms: 1_000,
            accepted_at_ms: 1_100,
            ringing_at_ms: Some(2_000),
            answered_at_ms: Some(7_000),
            steps: vec![
                CallStep { kind: StepKind::KeyPressed, after_ms: 8_000 },
                CallStep { kind: StepKind::CodeRead, after_ms: 12_000 },
            ],
        }
    }

    #[test]
    fn the_rungs_are_in_chronological_order() {
        let l = Locale::now(Language::En, None);
        let rungs = of_progress(l, &progress());
        let texts: Vec<&str> = rungs.iter().map(|rung| rung.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "INVITE",
                "accepted by the carrier",
                "ringing",
                "answered",
                "key pressed",
                "code read in full (1)"
            ]
        );
        let drawn = draw(l, &rungs, "+84981234567").into_string();
        assert!(drawn.contains("12.00 s") && drawn.contains("role=\"img\""), "{drawn}");
    }
}
