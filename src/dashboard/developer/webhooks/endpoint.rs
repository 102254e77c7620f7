//! One webhook endpoint: pause, rotate, remove, test and replay.

use actix_web::{HttpRequest, web};
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::account::quota::QuotaKind;
use nexo_domain::ids::{DeliveryId, EndpointId, WebhookAttemptId};
use nexo_domain::time_zone::Zone;
use nexo_domain::timestamp;
use nexo_domain::webhook::{HashedSecret, MAX_ENDPOINTS, test_body};
use nexo_entities::store::webhooks::endpoints::{Endpoint, EndpointChange};
use nexo_entities::store::webhooks::history::{AttemptCursor, MAX_REPLAYED};
use nexo_entities::store::{Conflict, StoreError};
use uuid::Uuid;

use super::{events, path_of, receiver_examples, secret_page, state};
use crate::api::list::cursor;
use crate::dashboard::components::*;
use crate::dashboard::texts::developer::webhooks as texts;
use crate::dashboard::texts::{Text, Translate};
use crate::dashboard::web::*;
use crate::secrets::new_webhook_secret;

/// Identifies the cursors of an endpoint's attempts.
const CURSOR_KIND: u8 = 3;
/// How long the old secret signs too after a rotation.
const OLD_SECRET_TTL_MS: i64 = 24 * 3_600_000;
const PAGE_SIZE: u64 = 25;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/webhooks/{id}").get(show_one))
        .service(web::resource("/webhooks/{id}/pause").post(pause))
        .service(web::resource("/webhooks/{id}/resume").post(resume))
        .service(web::resource("/webhooks/{id}/remove").get(confirm_remove).post(remove))
        .service(web::resource("/webhooks/{id}/rotate").get(confirm_rotate).post(rotate))
        .service(web::resource("/webhooks/{id}/test").post(test))
        .service(web::resource("/webhooks/{id}/replay-failed").post(replay_failed));
}

fn write_cursor(place: AttemptCursor) -> String {
    let (high, low) = place.id.0.as_u64_pair();
    cursor::write(CURSOR_KIND, [place.created_at_ms as u64, high, low])
}

fn parse_cursor(text: &str) -> Option<AttemptCursor> {
    let [created_at_ms, high, low] = cursor::read(CURSOR_KIND, text)?;
    Some(AttemptCursor {
        created_at_ms: created_at_ms as i64,
        id: WebhookAttemptId(Uuid::from_u64_pair(high, low)),
    })
}

pub(super) async fn endpoint_of(
    site: &SiteState,
    member: &Member,
    id: &str,
) -> Result<Endpoint, PageError> {
    let not_found = || PageError::not_found(member.locale());
    let id: EndpointId = id.parse().map_err(|_| not_found())?;
    let endpoint = site.store.webhooks().endpoint(member.id(), id).await?;
    endpoint.ok_or_else(not_found)
}

async fn show_one(request: HttpRequest, member: Member, id: Id, site: Site) -> PageResult {
    let l = member.locale();
    let endpoint = endpoint_of(&site, &member, &id).await?;
    let notice = match query(&request, "told").as_deref() {
        Some("test") => Some(success_notice(l.t(texts::TEST_SENT))),
        Some("paused") => Some(error_notice(l.t(texts::TEST_PAUSED))),
        Some("full") => Some(error_notice(&l.t_with(texts::TOO_MANY, &[("most", &MAX_ENDPOINTS)]))),
        Some("events") => Some(success_notice(l.t(texts::EVENTS_SAVED))),
        Some("no-events") => Some(error_notice(l.t(texts::EVENTS_NONE))),
        Some("since") => Some(error_notice(l.t(texts::SINCE_WRONG))),
        Some(count) => count
            .parse::<u64>()
            .ok()
            .map(|count| success_notice(&l.t_with(texts::REPLAYED, &[("count", &count)]))),
        None => None,
    };
    let after = query(&request, "after").and_then(|text| parse_cursor(&text));
    let page =
        site.store.webhooks().attempt_page(member.id(), endpoint.id, after, PAGE_SIZE).await?;
    let path = path_of(endpoint.id);
    let newest = after.map(|_| path.as_str());
    let next = page.next.map(|next| cursor_link(&path, [("after", write_cursor(next).as_str())]));
    let body = html! {
        (page_head(l.t(texts::ENDPOINT), Some(&endpoint.url), html! { (state(&member, &endpoint)) }))
        @if let Some(notice) = notice { (notice) }
        @if let Some(until) = endpoint.old_secret_until_ms.filter(|until| *until > unix_ms()) {
            p.notice.busy { (l.t_with(texts::OLD_UNTIL, &[("time", &l.minute(until))])) }
        }
        (controls(&member, &endpoint))
        h2 { (l.t(texts::ATTEMPTS)) }
        @if page.attempts.is_empty() { (empty_state(l.t(texts::NO_ATTEMPTS))) }
        @else { (attempt_table(&member, &page.attempts)) }
        (pager(l, newest, next.as_deref()))
        (events::form(&member, &endpoint))
        (replay_form(&member, &endpoint))
        (receiver_examples::snippets(l, Some(&endpoint.url)))
    };
    Ok(Page::new(NavItem::Webhooks, l.t(texts::ENDPOINT), body).respond(&member))
}

fn controls(member: &Member, endpoint: &Endpoint) -> Markup {
    let l = member.locale();
    let path = path_of(endpoint.id);
    let (action, label) = match endpoint.paused_at_ms {
        None => ("pause", texts::PAUSE),
        Some(_) => ("resume", texts::RESUME),
    };
    html! {
        div.actions.filters {
            (button_form(member, &format!("{path}/test"), "", l.t(texts::TEST)))
            (button_form(member, &format!("{path}/{action}"), "second", l.t(label)))
            a.button.second href={ (path) "/rotate" } { (l.t(texts::ROTATE)) }
            a.button.second href={ (path) "/remove" } { (l.t(texts::REMOVE)) }
        }
    }
}

fn replay_form(member: &Member, endpoint: &Endpoint) -> Markup {
    let l = member.locale();
    let since_ms = l.now_ms - 24 * 3_600_000;
    let since: String = l.zone.local(since_ms).to_string().chars().take(16).collect();
    let label = l.t_with(texts::REPLAY_SINCE, &[("offset", &l.offset(since_ms))]);
    html! {
        section.card {
            h2 { (l.t(texts::REPLAY_ALL)) }
            p.lead { (l.t_with(texts::REPLAY_TEXT, &[("most", &MAX_REPLAYED)])) }
            form.row.tight method="post" action={ (path_of(endpoint.id)) "/replay-failed" } {
                (form_token(member))
                (Field::new("since", &label).kind("datetime-local").value(&since))
                div.actions { button.second type="submit" { (l.t(texts::REPLAY_ALL)) } }
            }
        }
    }
}

async fn change(
    Posted(member, _): Posted<Member>,
    id: &str,
    site: &SiteState,
    change: EndpointChange,
) -> PageResult {
    let endpoint = endpoint_of(site, &member, id).await?;
    let changed =
        site.store.webhooks().change_endpoint(member.id(), endpoint.id, change, unix_ms()).await;
    if let Err(StoreError::Conflict(Conflict::TooManyActiveEndpoints { .. })) = changed {
        return Ok(redirect(&member, &format!("{}?told=full", path_of(endpoint.id))));
    }
    changed?;
    match change {
        EndpointChange::Remove => Ok(redirect(&member, NavItem::Webhooks.path())),
        EndpointChange::Pause | EndpointChange::Resume => {
            Ok(redirect(&member, &path_of(endpoint.id)))
        }
    }
}

async fn pause(posted: Posted<Member>, id: Id, site: Site) -> PageResult {
    change(posted, &id, &site, EndpointChange::Pause).await
}

async fn resume(posted: Posted<Member>, id: Id, site: Site) -> PageResult {
    change(posted, &id, &site, EndpointChange::Resume).await
}

async fn remove(posted: Posted<Member>, id: Id, site: Site) -> PageResult {
    change(posted, &id, &site, EndpointChange::Remove).await
}

async fn confirm(
    member: Member,
    id: &str,
    site: &SiteState,
    action: &str,
    labels: [Text; 3],
) -> PageResult {
    let endpoint = endpoint_of(site, &member, id).await?;
    let l = member.locale();
    let path = path_of(endpoint.id);
    let [title, text, button] = labels.map(|label| l.t(label));
    let page = Confirmation {
        title,
        details: html! { p { code { (endpoint.url) } } p { (text) } },
        fields: html! {},
        action: &format!("{path}/{action}"),
        button,
        back: &path,
    };
    Ok(Page::new(NavItem::Webhooks, title, page.draw(&member)).respond(&member))
}

async fn confirm_remove(member: Member, id: Id, site: Site) -> PageResult {
    let labels = [texts::REMOVE_TITLE, texts::REMOVE_TEXT, texts::REMOVE];
    confirm(member, &id, &site, "remove", labels).await
}

async fn confirm_rotate(member: Member, id: Id, site: Site) -> PageResult {
    let labels = [texts::ROTATE_TITLE, texts::ROTATE_TEXT, texts::ROTATE];
    confirm(member, &id, &site, "rotate", labels).await
}

async fn rotate(Posted(member, _): Posted<Member>, id: Id, site: Site) -> PageResult {
    let endpoint = endpoint_of(&site, &member, &id).await?;
    let secret = new_webhook_secret();
    let rotated = site
        .store
        .webhooks()
        .rotate_secret(
            member.id(),
            endpoint.id,
            HashedSecret::of(&secret),
            unix_ms() + OLD_SECRET_TTL_MS,
        )
        .await?;
    match rotated {
        true => Ok(secret_page(&member, endpoint.id, &endpoint.url, &secret)),
        false => Err(PageError::not_found(member.locale())),
    }
}

async fn test(Posted(member, _): Posted<Member>, id: Id, site: Site) -> PageResult {
    let endpoint = endpoint_of(&site, &member, &id).await?;
    if endpoint.paused_at_ms.is_some() {
        return Ok(redirect(&member, &format!("{}?told=paused", path_of(endpoint.id))));
    }
    site.quotas.take_test_event(member.id(), endpoint.id).await?;
    let delivery = DeliveryId(Uuid::now_v7());
    let now = unix_ms();
    let body = test_body(delivery, now);
    site.store.webhooks().queue_test_event(member.id(), endpoint.id, delivery, body, now).await?;
    Ok(redirect(&member, &format!("{}?told=test", path_of(endpoint.id))))
}

async fn replay_failed(Posted(member, fields): Posted<Member>, id: Id, site: Site) -> PageResult {
    let endpoint = endpoint_of(&site, &member, &id).await?;
    let path = path_of(endpoint.id);
    let Some(since) = parse_since(member.locale().zone, fields.trimmed("since")) else {
        return Ok(redirect(&member, &format!("{path}?told=since")));
    };
    let kind = QuotaKind::WebhookReplays;
    let most = site.quotas.take_up_to(kind, member.id(), MAX_REPLAYED).await?;
    let replayed =
        site.store.webhooks().replay_failed(member.id(), endpoint.id, since, most, unix_ms()).await;
    let unused = most - replayed.as_ref().copied().unwrap_or(0);
    site.quotas.give_back(kind, member.id(), unused).await?;
    let count = replayed?;
    Ok(redirect(&member, &format!("{path}?told={count}")))
}

/// Parses an RFC 3339 time, or the value of a `datetime-local` field, which is a time in the viewer's zone.
fn parse_since(zone: Zone, text: &str) -> Option<i64> {
    timestamp::parse(text).or_else(|| zone.at_ms(text.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_parsed_as_browsers_write_it() {
        let noon = timestamp::parse("2026-05-25T12:00:00Z");
        for text in ["2026-05-25T19:00", "2026-05-25T19:00:00", "2026-05-25T12:00:00Z"] {
            assert_eq!(parse_since(Zone::vietnam(), text), noon, "{text}");
        }
        assert_eq!(parse_since(Zone::vietnam(), "yesterday"), None);
    }

    #[test]
    fn a_cursor_survives_its_link() {
        let place = AttemptCursor {
            created_at_ms: 1_780_000_000_123,
            id: WebhookAttemptId(Uuid::now_v7()),
        };
        assert_eq!(parse_cursor(&write_cursor(place)), Some(place));
        assert_eq!(parse_cursor("x"), None);
    }
}
