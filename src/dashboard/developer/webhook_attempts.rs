//! Webhook attempts: rows of them, and one with its request and answer.

use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::billing::low_balance::LOW;
use nexo_domain::ids::WebhookAttemptId;
use nexo_domain::webhook::TEST_EVENT;
use nexo_entities::store::webhooks::attempts::WebhookAttempt;
use nexo_entities::store::webhooks::history::AttemptPlace;
use nexo_entities::store::{Conflict, StoreError};
use uuid::Uuid;

use crate::api::list::cursor;
use crate::dashboard::Site;
use crate::dashboard::texts::{Say, Text, webhooks as texts};
use crate::dashboard::web::error::Refused;
use crate::dashboard::web::extract::{Member, Reader};
use crate::dashboard::web::form::Posted;
use crate::dashboard::web::markup::{Tone, head, pill, time, time_or_never};
use crate::dashboard::web::navigation::Place;
use crate::dashboard::web::page::{Page, form_token, go};

/// Marks this list's cursors.
const LIST: u8 = 3;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/webhook-attempts/{id}").get(show))
        .service(web::resource("/webhook-attempts/{id}/replay").post(replay));
}

/// A place as a link carries it.
pub fn text(place: AttemptPlace) -> String {
    let (high, low) = place.id.0.as_u64_pair();
    cursor::write(LIST, [place.created_at_ms as u64, high, low])
}

/// The place of such a text.
pub fn place(text: &str) -> Option<AttemptPlace> {
    let [created_at_ms, high, low] = cursor::read(LIST, text)?;
    Some(AttemptPlace {
        created_at_ms: created_at_ms as i64,
        id: WebhookAttemptId(Uuid::from_u64_pair(high, low)),
    })
}

fn state(attempt: &WebhookAttempt) -> (Tone, Text) {
    match attempt.status.as_str() {
        "pending" => (Tone::Busy, texts::PENDING),
        "sending" => (Tone::Busy, texts::SENDING),
        "delivered" => (Tone::Good, texts::DELIVERED),
        "failed" => (Tone::Bad, texts::FAILED),
        _ => (Tone::Plain, texts::UNKNOWN),
    }
}

fn is_over(attempt: &WebhookAttempt) -> bool {
    !matches!(attempt.status.as_str(), "pending" | "sending")
}

/// A table of attempts.
pub fn attempt_rows(member: &Member, attempts: &[WebhookAttempt]) -> Markup {
    let l = member.language();
    html! {
        div.table tabindex="0" role="region" aria-label=(l.say(texts::ATTEMPTS)) {
            table {
                thead { tr {
                    th scope="col" { (l.say(texts::TIME)) }
                    th scope="col" { (l.say(texts::EVENT)) }
                    th scope="col" { (l.say(texts::STATE)) }
                    th scope="col" { (l.say(texts::ANSWER)) }
                    th scope="col" { (l.say(texts::TOOK)) }
                    th scope="col" { (l.say(texts::REPLAY)) }
                } }
                tbody {
                    @for attempt in attempts {
                        @let (tone, word) = state(attempt);
                        tr {
                            td { a href={ "/dashboard/webhook-attempts/" (attempt.id) } {
                                (time(attempt.created_at_ms))
                            } }
                            td { code { (attempt.event_type) } }
                            td { (pill(tone, l.say(word))) }
                            td { (answer(attempt)) }
                            td.number { @if let Some(ms) = attempt.duration_ms { (ms) " ms" } }
                            td { @if is_over(attempt) { (replay_button(member, attempt)) } }
                        }
                    }
                }
            }
        }
    }
}

fn answer(attempt: &WebhookAttempt) -> Markup {
    html! {
        @match (attempt.status_code, &attempt.error) {
            (Some(code), _) => { span.number { (code) } },
            (None, Some(error)) => { span.faint { (error) } },
            (None, None) => { span.faint { "–" } },
        }
    }
}

fn replay_button(member: &Member, attempt: &WebhookAttempt) -> Markup {
    html! {
        form method="post" action={ "/dashboard/webhook-attempts/" (attempt.id) "/replay" } {
            (form_token(member))
            button.second.small type="submit" { (member.language().say(texts::REPLAY)) }
        }
    }
}

async fn attempt_of(site: &Site, member: &Member, id: &str) -> Result<WebhookAttempt, Refused> {
    let not_found = || Refused::not_found(member);
    let id: WebhookAttemptId = id.parse().map_err(|_| not_found())?;
    let attempt = site.store.webhook_attempt(id).await?;
    attempt
        .filter(|attempt| attempt.account_id == member.id())
        .ok_or_else(not_found)
}

async fn show(
    member: Member,
    id: web::Path<String>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let l = member.language();
    let attempt = attempt_of(&site, &member, &id).await?;
    let endpoint = site
        .store
        .endpoint(member.id(), attempt.endpoint_id)
        .await?;
    let (tone, word) = state(&attempt);
    let is_live = !is_over(&attempt);
    let source = is_live.then(|| format!("/dashboard/webhook-attempts/{}", attempt.id));
    // Neither is about a delivery.
    let is_test = [TEST_EVENT, LOW].contains(&attempt.event_type.as_str());
    let body = html! {
        div #attempt data-live=[source] {
            (head(l.say(texts::ATTEMPT_TITLE), None, html! {
                (pill(tone, l.say(word)))
                @if !is_live && endpoint.is_some() { (replay_button(&member, &attempt)) }
            }))
            @if attempt.status == "unknown" { p.notice.busy { (l.say(texts::UNKNOWN_TELL)) } }
            section.card {
                dl.facts {
                    @if let Some(endpoint) = &endpoint {
                        dt { (l.say(texts::ENDPOINT)) }
                        dd { a href={ "/dashboard/webhooks/" (endpoint.id) } { (endpoint.url) } }
                    }
                    @if !is_test {
                        dt { (l.say(texts::DELIVERY)) }
                        dd { a href={ "/dashboard/deliveries/" (attempt.delivery_id) } {
                            (attempt.delivery_id)
                        } }
                    }
                    @if let Some(original) = attempt.replay_of {
                        dt { (l.say(texts::REPLAY_OF)) }
                        dd { a href={ "/dashboard/webhook-attempts/" (original) } { (original) } }
                    }
                    dt { (l.say(texts::TIME)) }
                    dd { (time_or_never(l, attempt.started_at_ms)) }
                    dt { (l.say(texts::ANSWER)) }
                    dd {
                        (answer(&attempt))
                        @if let Some(ms) = attempt.duration_ms { " · " (ms) " ms" }
                    }
                    @if let Some(error) = &attempt.error {
                        dt { (l.say(texts::ERROR)) }
                        dd { (error) }
                    }
                }
            }
            section.card {
                h2 { (l.say(texts::REQUEST)) }
                pre tabindex="0" { code { (request(&attempt)) } }
            }
            section.card {
                h2 { (l.say(texts::ANSWER_BODY)) }
                @match attempt.response_head.as_deref() {
                    Some(head) if !head.is_empty() => { pre tabindex="0" { code { (head) } } },
                    _ => { p.faint { (l.say(texts::NO_ANSWER)) } },
                }
            }
        }
    };
    Ok(Page::at(Place::Webhooks, l.say(texts::ATTEMPT_TITLE), body).answer(&member))
}

/// What was sent, but for the signatures, which are not kept.
fn request(attempt: &WebhookAttempt) -> String {
    format!(
        "POST\nContent-Type: application/json\nUser-Agent: NEXO-ROUTE/1.0\n\
         X-NEXO-Signature: sha256=…\nX-NEXO-Event-Type: {}\nX-NEXO-Delivery-Id: {}\n\
         X-NEXO-Attempt-Id: {}\n\n{}",
        attempt.event_type, attempt.delivery_id, attempt.id, attempt.body
    )
}

async fn replay(
    posted: Posted<Member>,
    id: web::Path<String>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let member = posted.who;
    let attempt = attempt_of(&site, &member, &id).await?;
    let replayed = site
        .store
        .replay_webhook(attempt.id, Some(member.id()), unix_ms())
        .await;
    match replayed {
        Ok(new) => Ok(go(&member, &format!("/dashboard/webhook-attempts/{new}"))),
        Err(StoreError::Conflict(Conflict::EndpointRemoved | Conflict::AttemptUnknown)) => {
            Err(Refused::not_found(&member))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_its_link() {
        let there = AttemptPlace {
            created_at_ms: 1_780_000_000_123,
            id: WebhookAttemptId(Uuid::now_v7()),
        };
        assert_eq!(place(&text(there)), Some(there));
        assert_eq!(place("x"), None);
    }
}
