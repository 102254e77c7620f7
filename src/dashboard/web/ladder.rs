//! A call as a ladder, drawn on the server.

use maud::{Markup, html};
use nexo_actors::dispatch::live_deliveries::Progress;
use nexo_domain::call::steps::{CallStep, StepKind};
use nexo_domain::otp::Language;
use nexo_entities::store::ledger::posting::CallAttempt;

use crate::dashboard::texts::{Say, deliveries as texts};

const WIDTH: i32 = 680;
const US: i32 = 150;
const THEM: i32 = 530;
const ROW: i32 = 38;
const TOP: i32 = 56;

/// Which way a rung goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Out,
    Back,
    /// Back, and bad news.
    Wrong,
    /// Nothing is sent: something is said.
    Said,
}

/// One rung.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rung {
    at_ms: i64,
    way: Way,
    text: String,
}

fn rung(at_ms: i64, way: Way, text: &str) -> Rung {
    Rung {
        at_ms,
        way,
        text: text.to_owned(),
    }
}

fn steps(l: Language, started_at_ms: i64, steps: &[CallStep], rungs: &mut Vec<Rung>) {
    let mut readings = 0;
    for step in steps {
        let at_ms = started_at_ms + i64::from(step.after_ms);
        rungs.push(match step.kind {
            StepKind::CodeRead => {
                readings += 1;
                let text = l.tell(texts::STEP_READ, &[("count", &readings)]);
                rung(at_ms, Way::Said, &text)
            }
            StepKind::KeyPressed => rung(at_ms, Way::Back, l.say(texts::STEP_KEY)),
        });
    }
}

/// The rungs of a finished attempt.
pub fn of_attempt(l: Language, attempt: &CallAttempt) -> Vec<Rung> {
    let mut rungs = vec![rung(
        attempt.started_at_ms,
        Way::Out,
        l.say(texts::STEP_INVITE),
    )];
    for (at_ms, text) in [
        (attempt.accepted_at_ms, texts::STEP_ACCEPTED),
        (attempt.ringing_at_ms, texts::STEP_RINGING),
        (attempt.answered_at_ms, texts::STEP_ANSWERED),
    ] {
        if let Some(at_ms) = at_ms {
            rungs.push(rung(at_ms, Way::Back, l.say(text)));
        }
    }
    steps(l, attempt.started_at_ms, &attempt.steps, &mut rungs);
    rungs.sort_by_key(|rung| rung.at_ms);
    let reason = attempt.end_reason.replace('_', " ");
    rungs.push(match (attempt.answered_at_ms, attempt.sip_code) {
        (Some(_), _) if attempt.end_reason == "delivered" => {
            rung(attempt.ended_at_ms, Way::Out, l.say(texts::STEP_HANGUP))
        }
        (None, Some(code)) if code >= 300 => {
            let text = l.tell(texts::STEP_REFUSED, &[("code", &code)]);
            rung(attempt.ended_at_ms, Way::Wrong, &text)
        }
        (None, None) if attempt.end_reason == "silent" => {
            rung(attempt.ended_at_ms, Way::Wrong, l.say(texts::STEP_SILENT))
        }
        _ => {
            let text = l.tell(texts::STEP_ENDED, &[("reason", &reason)]);
            rung(attempt.ended_at_ms, Way::Wrong, &text)
        }
    });
    rungs
}

/// The rungs so far of a call that is under way.
pub fn of_progress(l: Language, progress: &Progress) -> Vec<Rung> {
    let mut rungs = vec![
        rung(progress.started_at_ms, Way::Out, l.say(texts::STEP_INVITE)),
        rung(
            progress.accepted_at_ms,
            Way::Back,
            l.say(texts::STEP_ACCEPTED),
        ),
    ];
    for (at_ms, text) in [
        (progress.ringing_at_ms, texts::STEP_RINGING),
        (progress.answered_at_ms, texts::STEP_ANSWERED),
    ] {
        if let Some(at_ms) = at_ms {
            rungs.push(rung(at_ms, Way::Back, l.say(text)));
        }
    }
    steps(l, progress.started_at_ms, &progress.steps, &mut rungs);
    rungs.sort_by_key(|rung| rung.at_ms);
    rungs
}

/// Draws the rungs, with the seconds since the first. Who sees no picture hears the same as a list.
pub fn draw(l: Language, rungs: &[Rung], far_end: &str) -> Markup {
    let start = rungs.first().map_or(0, |rung| rung.at_ms);
    let bottom = TOP + ROW * i32::try_from(rungs.len()).unwrap_or(0);
    let since = |rung: &Rung| format!("{:.2} s", (rung.at_ms - start) as f64 / 1000.0);
    let told: Vec<String> = rungs
        .iter()
        .map(|rung| format!("{} {}", since(rung), rung.text))
        .collect();
    let label = format!("{}: {}", l.say(texts::LADDER), told.join("; "));
    html! {
        svg.ladder viewBox={ "0 0 " (WIDTH) " " (bottom + 8) } role="img" aria-label=(label) {
            text.head-text x=(US) y="20" text-anchor="middle" { (l.say(texts::WE)) }
            text.head-text x=(THEM) y="20" text-anchor="middle" { (far_end) }
            line.lane x1=(US) y1="32" x2=(US) y2=(bottom) {}
            line.lane x1=(THEM) y1="32" x2=(THEM) y2=(bottom) {}
            @for (row, rung) in (0..).zip(rungs) {
                (draw_rung(rung, TOP + ROW * row, &since(rung)))
            }
        }
    }
}

fn draw_rung(rung: &Rung, y: i32, since: &str) -> Markup {
    let middle = (US + THEM) / 2;
    let (class, from, to) = match rung.way {
        Way::Out => ("", US, THEM),
        Way::Back => ("back", THEM, US),
        Way::Wrong => ("wrong", THEM, US),
        Way::Said => ("", US, THEM),
    };
    // The tip's base lies before its point, seen from where the arrow comes.
    let base = if to > from { to - 9 } else { to + 9 };
    let tip = format!("M{to} {y}L{base} {}L{base} {}z", y - 4, y + 4);
    html! {
        text x="8" y=(y + 4) { (since) }
        @if rung.way == Way::Said {
            rect.speech x=(US + 24) y=(y - 14) width=(THEM - US - 48) height="27" rx="8" {}
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

    fn progress() -> Progress {
        Progress {
            gateway: "hn1".to_owned(),
            started_at_ms: 1_000,
            accepted_at_ms: 1_100,
            ringing_at_ms: Some(2_000),
            answered_at_ms: Some(7_000),
            steps: vec![
                CallStep {
                    kind: StepKind::KeyPressed,
                    after_ms: 8_000,
                },
                CallStep {
                    kind: StepKind::CodeRead,
                    after_ms: 12_000,
                },
            ],
        }
    }

    #[test]
    fn the_rungs_are_in_the_order_of_what_happened() {
        let rungs = of_progress(Language::En, &progress());
        let texts: Vec<&str> = rungs.iter().map(|rung| rung.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "INVITE",
                "taken by the carrier",
                "ringing",
                "answered",
                "key pressed",
                "code read to its last digit (1)"
            ]
        );
        let drawn = draw(Language::En, &rungs, "+84981234567").into_string();
        assert!(
            drawn.contains("12.00 s") && drawn.contains("role=\"img\""),
            "{drawn}"
        );
    }
}
