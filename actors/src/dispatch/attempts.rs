//! Follows a call on one gateway to its end, and writes its call detail record.

use std::time::Duration;

use nexo_domain::call::steps::{CallStep, StepKind};
use nexo_domain::call::{CallEnd, Refusal, WeakChallenge};
use nexo_domain::ids::AttemptId;
use nexo_entities::store::ledger::posting::{CallAttempt, CallQuality};
use nexo_voice::endpoint::{CallEvent, CallReport, Quality};
use tracing::Span;
use uuid::Uuid;

use crate::clock::RecordClock;
use crate::dispatch::live_deliveries::{LiveDelivery, Progress};
use crate::trunk::carrier::Placed;

/// The saga settles a call after this time, even if the end of the call is not reported.
const CALL_TIMEOUT: Duration = Duration::from_secs(59);

/// A call that a gateway has accepted.
pub(crate) struct AcceptedCall {
    /// The span of the call, until its end.
    pub span: Span,
    pub placed: Placed,
    pub clock: RecordClock,
    pub number: usize,
    pub started_at_ms: i64,
    pub accepted_at_ms: i64,
    /// When it rang, if that was reported before the acceptance.
    pub ringing_at_ms: Option<i64>,
}

/// Waits until the gateway accepts the call. Returns when it rang, if it rang before. `Err` holds the report of a
/// call that was not accepted.
pub(crate) async fn first_answer(
    placed: &mut Placed,
    clock: RecordClock,
) -> Result<Option<i64>, Option<Box<CallReport>>> {
    let mut ringing_at_ms = None;
    while let Some(news) = placed.events.next().await {
        match news {
            CallEvent::Accepted { .. } => return Ok(ringing_at_ms),
            CallEvent::Ended(report) => return Err(Some(report)),
            CallEvent::Ringing => ringing_at_ms = Some(clock.now_ms()),
            CallEvent::Dialled
            | CallEvent::KeyPressed
            | CallEvent::Answered { .. }
            | CallEvent::DigitSpoken { .. }
            | CallEvent::CodeRead { .. } => {}
        }
    }
    Err(None)
}

/// Follows an accepted call to its end. `None`: the SIP endpoint stopped without a report.
pub(crate) async fn follow(
    mut accepted: AcceptedCall,
    live: &LiveDelivery,
    attempts: &mut Vec<CallAttempt>,
) -> Option<CallEnd> {
    let mut progress = Progress {
        gateway: accepted.placed.gateway_name.clone(),
        started_at_ms: accepted.started_at_ms,
        accepted_at_ms: accepted.accepted_at_ms,
        ringing_at_ms: accepted.ringing_at_ms,
        answered_at_ms: None,
        steps: Vec::new(),
    };
    live.show(&progress);
    let end = async {
        while let Some(news) = accepted.placed.events.next().await {
            if let CallEvent::Ended(report) = news {
                return Some(report);
            }
            if advance(&mut progress, &news, accepted.clock.now_ms()) {
                live.show(&progress);
            }
        }
        None
    };
    let report = tokio::time::timeout(CALL_TIMEOUT, end).await.ok()?;
    record_end(&accepted.span, report.as_deref());
    if let Some(error) = report.as_ref().and_then(|report| report.media_error.as_ref()) {
        accepted
            .placed
            .state
            .record_failure(format!("the media of a call cannot be used: {error}"));
    }
    attempts.push(accepted_attempt(&accepted, report.as_deref(), progress.steps));
    report.map(|report| report.end)
}

/// Updates the progress. Returns whether it has changed.
fn advance(progress: &mut Progress, news: &CallEvent, now: i64) -> bool {
    match news {
        CallEvent::Ringing => progress.ringing_at_ms = Some(now),
        CallEvent::Answered { .. } => progress.answered_at_ms = Some(now),
        CallEvent::CodeRead { .. } => progress.add(StepKind::CodeRead, now),
        CallEvent::KeyPressed => progress.add(StepKind::KeyPressed, now),
        CallEvent::Dialled
        | CallEvent::DigitSpoken { .. }
        | CallEvent::Accepted { .. }
        | CallEvent::Ended(_) => return false,
    }
    true
}

/// Records the end of the call in its span. Times are milliseconds since the INVITE.
fn record_end(span: &Span, report: Option<&CallReport>) {
    let Some(report) = report else {
        span.record("end", "lost");
        return;
    };
    span.record("end", end_reason(&report.end));
    if let Some(code) = report.sip_code {
        span.record("sip_code", code);
    }
    if let Some(ringing) = report.ringing_at_ms {
        span.record("ringing_ms", ringing - report.started_at_ms);
    }
    if let Some(answered) = report.answered_at_ms {
        span.record("answered_ms", answered - report.started_at_ms);
    }
    // A span ends when it is left for the last time.
    span.in_scope(|| tracing::debug!("hung up"));
}

pub(crate) fn refusal_of(report: &Option<Box<CallReport>>) -> Refusal {
    match report.as_ref().map(|report| &report.end) {
        Some(CallEnd::NotAccepted(refusal)) => refusal.clone(),
        Some(_) | None => Refusal::TransportLost,
    }
}

pub(crate) fn refused_attempt(
    placed: &Placed,
    number: usize,
    (started_at_ms, ended_at_ms): (i64, i64),
    refusal: &Refusal,
) -> CallAttempt {
    let (sip_code, end_reason) = match refusal {
        Refusal::Rejected { code, .. } | Refusal::WeakChallenge(WeakChallenge { code, .. }) => {
            (Some(*code), "rejected")
        }
        Refusal::Silent => (None, "silent"),
        Refusal::TransportLost => (None, "transport_lost"),
        Refusal::Abandoned => (None, "abandoned"),
    };
    CallAttempt {
        id: AttemptId(Uuid::now_v7()),
        number: number as u16,
        gateway: placed.gateway_name.clone(),
        call_id: placed.call_id.clone(),
        started_at_ms,
        accepted_at_ms: None,
        ringing_at_ms: None,
        answered_at_ms: None,
        ended_at_ms,
        sip_code,
        end_reason: end_reason.into(),
        codec: None,
        packets_sent: 0,
        packets_received: None,
        quality: None,
        steps: Vec::new(),
    }
}

fn accepted_attempt(
    accepted: &AcceptedCall,
    report: Option<&CallReport>,
    steps: Vec<CallStep>,
) -> CallAttempt {
    // The endpoint has a clock of its own for each call. Only its durations count.
    let at_ms = |reported: fn(&CallReport) -> Option<i64>| {
        let report = report?;
        Some(accepted.started_at_ms + (reported(report)? - report.started_at_ms))
    };
    CallAttempt {
        id: AttemptId(Uuid::now_v7()),
        number: accepted.number as u16,
        gateway: accepted.placed.gateway_name.clone(),
        call_id: accepted.placed.call_id.clone(),
        started_at_ms: accepted.started_at_ms,
        accepted_at_ms: Some(accepted.accepted_at_ms),
        ringing_at_ms: at_ms(|report| report.ringing_at_ms),
        answered_at_ms: at_ms(|report| report.answered_at_ms),
        ended_at_ms: accepted.clock.now_ms(),
        sip_code: report.and_then(|r| r.sip_code),
        end_reason: report.map_or("lost", |r| end_reason(&r.end)).into(),
        codec: report.and_then(|r| r.codec).map(|codec| codec.name().into()),
        packets_sent: report.map_or(0, |r| r.packets_sent as u32),
        packets_received: report.map(|r| r.packets_received as u32),
        quality: report.and_then(|report| report.quality).map(call_quality),
        steps,
    }
}

/// The quality of the audio, in the units of the record.
fn call_quality(quality: Quality) -> CallQuality {
    let micros = |time: Duration| time.as_micros().min(u128::from(u32::MAX)) as u32;
    CallQuality {
        loss_ppm: (quality.loss * 1e6).round() as u32,
        jitter_us: micros(quality.jitter),
        round_trip_us: quality.round_trip.map(micros),
        mos_hundredths: (quality.mos * 100.0).round() as u16,
    }
}

fn end_reason(end: &CallEnd) -> &'static str {
    match end {
        CallEnd::NotAccepted(_) => "not_accepted",
        CallEnd::Delivered => "delivered",
        CallEnd::PartialPlayback => "partial_playback",
        CallEnd::TimeLimit => "time_limit",
        CallEnd::Rejected { .. } => "rejected",
        CallEnd::NoAnswer => "no_answer",
        CallEnd::MediaLost => "media_lost",
        CallEnd::TransportLost => "transport_lost",
        CallEnd::Abandoned => "abandoned",
    }
}
