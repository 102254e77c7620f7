//! The page of one webhook attempt: its request, its response, and replaying it.

use actix_web::web;
use maud::html;
use nexo_actors::clock::unix_ms;
use nexo_domain::account::quota::QuotaKind;
use nexo_domain::billing::low_balance::LOW_BALANCE_EVENT;
use nexo_domain::ids::WebhookAttemptId;
use nexo_domain::webhook::TEST_EVENT;
use nexo_entities::store::webhooks::attempts::WebhookAttempt;
use nexo_entities::store::{Conflict, StoreError};

use crate::dashboard::components::*;
use crate::dashboard::texts::Translate;
use crate::dashboard::texts::developer::webhooks as texts;
use crate::dashboard::web::*;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/webhook-attempts/{id}").get(show))
        .service(web::resource("/webhook-attempts/{id}/replay").post(replay));
}

async fn attempt_of(
    site: &SiteState,
    member: &Member,
    id: &str,
) -> Result<WebhookAttempt, PageError> {
    let not_found = || PageError::not_found(member.language());
    let id: WebhookAttemptId = id.parse().map_err(|_| not_found())?;
    let attempt = site.store.webhooks().attempt(id).await?;
    attempt.filter(|attempt| attempt.account_id == member.id()).ok_or_else(not_found)
}

async fn show(member: Member, id: Id, site: Site) -> PageResult {
    let l = member.language();
    let attempt = attempt_of(&site, &member, &id).await?;
    let endpoint = site.store.webhooks().endpoint(member.id(), attempt.endpoint_id).await?;
    let is_live = !is_finished(&attempt);
    let source = is_live.then(|| attempt_path(attempt.id));
    let has_delivery = ![TEST_EVENT, LOW_BALANCE_EVENT].contains(&attempt.event_type.as_str());
    let body = html! {
        div #attempt data-live=[source] {
            (page_head(l.t(texts::ATTEMPT_TITLE), None, html! {
                (attempt_state(&member, &attempt))
                @if !is_live && endpoint.is_some() { (replay_button(&member, &attempt)) }
            }))
            @if attempt.status == "unknown" { p.notice.busy { (l.t(texts::UNKNOWN_TEXT)) } }
            section.card {
                dl.facts {
                    @if let Some(endpoint) = &endpoint {
                        dt { (l.t(texts::ENDPOINT)) }
                        dd { a href={ "/dashboard/webhooks/" (endpoint.id) } { (endpoint.url) } }
                    }
                    @if has_delivery {
                        dt { (l.t(texts::DELIVERY)) }
                        dd { a href={ "/dashboard/deliveries/" (attempt.delivery_id) } {
                            (attempt.delivery_id)
                        } }
                    }
                    @if let Some(original) = attempt.replay_of {
                        dt { (l.t(texts::REPLAY_OF)) }
                        dd { a href=(attempt_path(original)) { (original) } }
                    }
                    dt { (l.t(texts::TIME)) } dd { (time_or_never(l, attempt.started_at_ms)) }
                    dt { (l.t(texts::RESPONSE)) }
                    dd {
                        (response_summary(&attempt))
                        @if let Some(ms) = attempt.duration_ms { " · " (ms) " ms" }
                    }
                    @if let Some(error) = &attempt.error {
                        dt { (l.t(texts::ERROR)) } dd { (error) }
                    }
                }
            }
            section.card {
                h2 { (l.t(texts::REQUEST)) }
                pre tabindex="0" { code { (request_text(&attempt)) } }
            }
            section.card {
                h2 { (l.t(texts::RESPONSE_BODY)) }
                @match attempt.response_head.as_deref() {
                    Some(head) if !head.is_empty() => { pre tabindex="0" { code { (head) } } },
                    _ => { p.faint { (l.t(texts::NO_RESPONSE)) } },
                }
            }
        }
    };
    Ok(Page::new(NavItem::Webhooks, l.t(texts::ATTEMPT_TITLE), body).respond(&member))
}

/// The request as it was sent, without the signatures, which are not stored.
fn request_text(attempt: &WebhookAttempt) -> String {
    format!(
        "POST\nContent-Type: application/json\nUser-Agent: NEXO-ROUTE/1.0\n\
         X-NEXO-Signature: sha256=…\nX-NEXO-Event-Type: {}\nX-NEXO-Delivery-Id: {}\n\
         X-NEXO-Attempt-Id: {}\n\n{}",
        attempt.event_type, attempt.delivery_id, attempt.id, attempt.body
    )
}

async fn replay(Posted(member, _): Posted<Member>, id: Id, site: Site) -> PageResult {
    let attempt = attempt_of(&site, &member, &id).await?;
    site.quotas.take(QuotaKind::WebhookReplays, member.id()).await?;
    let replayed = site.store.webhooks().replay(attempt.id, Some(member.id()), unix_ms()).await;
    match replayed {
        Ok(new) => Ok(redirect(&member, &attempt_path(new))),
        Err(StoreError::Conflict(Conflict::EndpointRemoved | Conflict::UnknownAttempt)) => {
            Err(PageError::not_found(member.language()))
        }
        Err(error) => Err(error.into()),
    }
}
