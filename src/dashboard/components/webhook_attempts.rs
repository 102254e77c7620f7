//! A table of webhook attempts, and an attempt's state.

use maud::{Markup, html};
use nexo_entities::store::webhooks::attempts::WebhookAttempt;

use super::elements::{Tone, milliseconds, pill, time};
use super::fields::button_form;
use super::table::Column::{Actions, Head, Left, Right};
use super::table::table;
use crate::dashboard::texts::Translate;
use crate::dashboard::texts::developer::webhooks as texts;
use crate::dashboard::web::{Member, Viewer};

pub fn attempt_path(id: impl std::fmt::Display) -> String {
    format!("/dashboard/webhook-attempts/{id}")
}

pub fn attempt_state(member: &Member, attempt: &WebhookAttempt) -> Markup {
    let (tone, text) = match attempt.status.as_str() {
        "pending" => (Tone::Busy, texts::PENDING),
        "sending" => (Tone::Busy, texts::SENDING),
        "delivered" => (Tone::Good, texts::DELIVERED),
        "failed" => (Tone::Bad, texts::FAILED),
        _ => (Tone::Plain, texts::UNKNOWN),
    };
    pill(tone, member.locale().t(text))
}

pub fn is_finished(attempt: &WebhookAttempt) -> bool {
    !matches!(attempt.status.as_str(), "pending" | "sending")
}

pub fn attempt_table(member: &Member, attempts: &[WebhookAttempt]) -> Markup {
    let columns = [
        Head(texts::TIME),
        Left(texts::EVENT),
        Left(texts::STATE),
        Left(texts::RESPONSE),
        Right(texts::DURATION),
        Actions,
    ];
    let l = member.locale();
    let rows = attempts.iter().map(|attempt| {
        [
            html! { a href=(attempt_path(attempt.id)) { (time(l, attempt.created_at_ms)) } },
            html! { code { (attempt.event_type) } },
            attempt_state(member, attempt),
            response_summary(attempt),
            html! { @if let Some(ms) = attempt.duration_ms { (milliseconds(l, ms)) } },
            html! { @if is_finished(attempt) { (replay_button(member, attempt)) } },
        ]
    });
    table(l, texts::ATTEMPTS, columns, rows)
}

/// The response's status code, or the error if there is no response.
pub fn response_summary(attempt: &WebhookAttempt) -> Markup {
    html! {
        @match (attempt.status_code, &attempt.error) {
            (Some(code), _) => { span.number { (code) } },
            (None, Some(error)) => { span.faint { (error) } },
            (None, None) => { span.faint { "–" } },
        }
    }
}

pub fn replay_button(member: &Member, attempt: &WebhookAttempt) -> Markup {
    let action = format!("{}/replay", attempt_path(attempt.id));
    let label = member.locale().t(texts::REPLAY);
    button_form(member, &action, "second small", label)
}
