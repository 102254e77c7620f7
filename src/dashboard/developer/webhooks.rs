//! The pages of webhook endpoints: add, pause, rotate, remove, test.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_actors::webhook::client::TargetError;
use nexo_domain::ids::{DeliveryId, EndpointId};
use nexo_domain::timestamp::{self, rfc3339};
use nexo_domain::webhook::{HashedSecret, MAX_ENDPOINTS, test_body};
use nexo_entities::store::webhooks::endpoints::{Endpoint, EndpointChange, NewEndpoint};
use nexo_entities::store::webhooks::history::MOST_REPLAYED;
use nexo_entities::store::{Conflict, StoreError};
use uuid::Uuid;

use super::receiver_examples;
use super::webhook_attempts;
use super::webhook_attempts::attempt_rows;
use crate::cli::manage::webhook::new_secret;
use crate::dashboard::Site;
use crate::dashboard::auth::sign_in::query;
use crate::dashboard::cursor_link;
use crate::dashboard::texts::{Say, Text, frame, webhooks as texts};
use crate::dashboard::web::error::Refused;
use crate::dashboard::web::extract::{Member, Reader};
use crate::dashboard::web::form::Posted;
use crate::dashboard::web::markup::{
    Field, Tone, field, head, nothing, notice, pill, problem, shown_once,
};
use crate::dashboard::web::navigation::Place;
use crate::dashboard::web::page::{Page, form_token, go};

/// Both secrets sign for so long.
const BOTH_SIGN_MS: i64 = 24 * 3_600_000;
const ATTEMPTS_ON_A_PAGE: u64 = 25;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/webhooks").get(show).post(add))
        .service(web::resource("/webhooks/{id}").get(show_one))
        .service(web::resource("/webhooks/{id}/pause").post(pause))
        .service(web::resource("/webhooks/{id}/resume").post(resume))
        .service(
            web::resource("/webhooks/{id}/remove")
                .get(ask_remove)
                .post(remove),
        )
        .service(
            web::resource("/webhooks/{id}/rotate")
                .get(ask_rotate)
                .post(rotate),
        )
        .service(web::resource("/webhooks/{id}/test").post(test))
        .service(web::resource("/webhooks/{id}/replay-failed").post(replay_failed))
        .configure(webhook_attempts::routes);
}

async fn endpoint_of(site: &Site, member: &Member, id: &str) -> Result<Endpoint, Refused> {
    let not_found = || Refused::not_found(member);
    let id: EndpointId = id.parse().map_err(|_| not_found())?;
    let endpoint = site.store.endpoint(member.id(), id).await?;
    endpoint.ok_or_else(not_found)
}

async fn show(member: Member, site: web::Data<Site>) -> Result<HttpResponse, Refused> {
    list(&site, &member, None, "", StatusCode::OK).await
}

async fn list(
    site: &Site,
    member: &Member,
    told: Option<String>,
    url: &str,
    status: StatusCode,
) -> Result<HttpResponse, Refused> {
    let l = member.language();
    let endpoints = site.store.endpoints(Some(member.id())).await?;
    let active = endpoints
        .iter()
        .filter(|endpoint| endpoint.paused_at_ms.is_none())
        .count();
    let count = l.tell(
        texts::COUNT,
        &[("count", &active), ("most", &MAX_ENDPOINTS)],
    );
    let body = html! {
        (head(l.say(texts::TITLE), Some(l.say(texts::LEAD)), pill(Tone::Plain, &count)))
        @if let Some(told) = told { (problem(&told)) }
        @if endpoints.is_empty() { (nothing(&l.tell(texts::NONE, &[("id", &"{id}")]))) }
        @else {
            div.table tabindex="0" role="region" aria-label=(l.say(texts::TITLE)) {
                table {
                    thead { tr {
                        th scope="col" { (l.say(texts::URL)) }
                        th scope="col" { (l.say(texts::STATE)) }
                        td {}
                    } }
                    tbody { @for endpoint in &endpoints { (row(member, endpoint)) } }
                }
            }
        }
        section.card {
            h2 { (l.say(texts::ADD)) }
            form method="post" action="/dashboard/webhooks" {
                (form_token(member))
                (field(&Field {
                    name: "url",
                    label: l.say(texts::URL),
                    kind: "url",
                    value: url,
                    hint: Some(l.say(texts::URL_HINT)),
                    autocomplete: "off",
                    required: true,
                }))
                button type="submit" { (l.say(texts::DO_ADD)) }
            }
        }
        (receiver_examples::snippets(l, endpoints.first().map(|endpoint| endpoint.url.as_str())))
    };
    let page = Page::at(Place::Webhooks, l.say(texts::TITLE), body).with_status(status);
    Ok(page.answer(member))
}

fn state(member: &Member, endpoint: &Endpoint) -> Markup {
    let l = member.language();
    match endpoint.paused_at_ms {
        None => pill(Tone::Good, l.say(texts::ACTIVE)),
        Some(_) => pill(Tone::Busy, l.say(texts::PAUSED)),
    }
}

fn row(member: &Member, endpoint: &Endpoint) -> Markup {
    let path = path_of(endpoint.id);
    html! {
        tr {
            th scope="row" { a href=(path) { (endpoint.url) } }
            td { (state(member, endpoint)) }
            td.right {
                a.button.second.small href=(path) {
                    (member.language().say(texts::OPEN))
                }
            }
        }
    }
}

fn path_of(id: EndpointId) -> String {
    format!("/dashboard/webhooks/{id}")
}

fn why(error: &TargetError) -> Text {
    match error {
        TargetError::Malformed => texts::WHY_MALFORMED,
        TargetError::NotHttps => texts::WHY_NOT_HTTPS,
        TargetError::Credentials => texts::WHY_CREDENTIALS,
        TargetError::NotPublic => texts::WHY_NOT_PUBLIC,
        TargetError::Unresolved => texts::WHY_UNRESOLVED,
    }
}

async fn add(posted: Posted<Member>, site: web::Data<Site>) -> Result<HttpResponse, Refused> {
    let Posted {
        who: member,
        fields,
    } = posted;
    let l = member.language();
    let given = fields.trimmed("url");
    let url = match site.webhook_rules.check_resolved(given).await {
        Ok(url) => url,
        Err(error) => {
            let told = l.tell(texts::NOT_TAKEN, &[("why", &l.say(why(&error)))]);
            return list(&site, &member, Some(told), given, StatusCode::BAD_REQUEST).await;
        }
    };
    let secret = new_secret();
    let added = site
        .store
        .add_endpoint(NewEndpoint {
            account_id: member.id(),
            url: url.as_str(),
            secret: HashedSecret::of(&secret),
            created_at_ms: unix_ms(),
        })
        .await;
    match added {
        Ok(id) => Ok(made(&member, id, url.as_str(), &secret)),
        Err(StoreError::Conflict(Conflict::TooManyEndpoints { max })) => {
            let told = l.tell(texts::TOO_MANY, &[("most", &max)]);
            list(&site, &member, Some(told), given, StatusCode::CONFLICT).await
        }
        Err(StoreError::Conflict(Conflict::EndpointsKept { max })) => {
            let told = l.tell(texts::TOO_MANY_KEPT, &[("most", &max)]);
            list(&site, &member, Some(told), given, StatusCode::CONFLICT).await
        }
        Err(error) => Err(error.into()),
    }
}

/// The page that shows a secret, once.
fn made(member: &Member, id: EndpointId, url: &str, secret: &str) -> HttpResponse {
    let l = member.language();
    let body = html! {
        (head(l.say(texts::TITLE), Some(url), html! {
            a.button href=(path_of(id)) { (l.say(texts::OPEN)) }
        }))
        (shown_once(l, l.say(texts::SHOWN_ONCE), secret))
        (receiver_examples::snippets(l, Some(url)))
    };
    Page::at(Place::Webhooks, l.say(texts::TITLE), body)
        .with_status(StatusCode::CREATED)
        .answer(member)
}

async fn show_one(
    request: HttpRequest,
    member: Member,
    id: web::Path<String>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let l = member.language();
    let endpoint = endpoint_of(&site, &member, &id).await?;
    let told = match query(&request, "told").as_deref() {
        Some("test") => Some(notice(l.say(texts::TEST_SENT))),
        Some("paused") => Some(problem(l.say(texts::TEST_PAUSED))),
        Some("full") => Some(problem(
            &l.tell(texts::TOO_MANY, &[("most", &MAX_ENDPOINTS)]),
        )),
        Some("since") => Some(problem(l.say(texts::SINCE_WRONG))),
        Some(count) => count
            .parse::<u64>()
            .ok()
            .map(|count| notice(&l.tell(texts::REPLAYED, &[("count", &count)]))),
        None => None,
    };
    let after = query(&request, "after").and_then(|text| webhook_attempts::place(&text));
    let page = site
        .store
        .attempt_page(member.id(), endpoint.id, after, ATTEMPTS_ON_A_PAGE)
        .await?;
    let next = page.next.map(|next| {
        cursor_link(
            &path_of(endpoint.id),
            &[],
            "after",
            &webhook_attempts::text(next),
        )
    });
    let body = html! {
        (head(l.say(texts::ENDPOINT), Some(&endpoint.url), html! { (state(&member, &endpoint)) }))
        @if let Some(told) = told { (told) }
        @if let Some(until) = endpoint.old_secret_until_ms.filter(|until| *until > unix_ms()) {
            p.notice.busy { (l.tell(texts::OLD_UNTIL, &[("time", &minute(until))])) }
        }
        (controls(&member, &endpoint))
        h2 { (l.say(texts::ATTEMPTS)) }
        @if page.attempts.is_empty() { (nothing(l.say(texts::NO_ATTEMPTS))) }
        @else { (attempt_rows(&member, &page.attempts)) }
        div.pager {
            @if after.is_some() {
                a.button.second href=(path_of(endpoint.id)) { (l.say(frame::NEWEST)) }
            } @else { span {} }
            @if let Some(next) = next {
                a.button.second rel="next" href=(next) { (l.say(frame::OLDER)) }
            }
        }
        (replay_form(&member, &endpoint))
        (receiver_examples::snippets(l, Some(&endpoint.url)))
    };
    Ok(Page::at(Place::Webhooks, l.say(texts::ENDPOINT), body).answer(&member))
}

fn minute(at_ms: i64) -> String {
    let exact = rfc3339(at_ms);
    exact.chars().take(16).collect::<String>().replace('T', " ")
}

fn controls(member: &Member, endpoint: &Endpoint) -> Markup {
    let l = member.language();
    let path = path_of(endpoint.id);
    let (what, word) = match endpoint.paused_at_ms {
        None => ("pause", texts::PAUSE),
        Some(_) => ("resume", texts::RESUME),
    };
    html! {
        div.actions.filters {
            form method="post" action={ (path) "/test" } {
                (form_token(member))
                button type="submit" { (l.say(texts::TEST)) }
            }
            form method="post" action={ (path) "/" (what) } {
                (form_token(member))
                button.second type="submit" { (l.say(word)) }
            }
            a.button.second href={ (path) "/rotate" } { (l.say(texts::ROTATE)) }
            a.button.second href={ (path) "/remove" } { (l.say(texts::REMOVE)) }
        }
    }
}

fn replay_form(member: &Member, endpoint: &Endpoint) -> Markup {
    let l = member.language();
    let since: String = rfc3339(unix_ms() - 24 * 3_600_000)
        .chars()
        .take(16)
        .collect();
    html! {
        section.card {
            h2 { (l.say(texts::REPLAY_ALL)) }
            p.lead { (l.tell(texts::REPLAY_TELL, &[("most", &MOST_REPLAYED)])) }
            form.row.tight method="post" action={ (path_of(endpoint.id)) "/replay-failed" } {
                (form_token(member))
                (field(&Field {
                    name: "since",
                    label: l.say(texts::REPLAY_SINCE),
                    kind: "datetime-local",
                    value: &since,
                    hint: None,
                    autocomplete: "off",
                    required: true,
                }))
                button.second type="submit" { (l.say(texts::REPLAY_ALL)) }
            }
        }
    }
}

async fn change(
    posted: Posted<Member>,
    id: &str,
    site: &Site,
    change: EndpointChange,
) -> Result<HttpResponse, Refused> {
    let member = posted.who;
    let endpoint = endpoint_of(site, &member, id).await?;
    let changed = site
        .store
        .change_endpoint(member.id(), endpoint.id, change, unix_ms())
        .await;
    if let Err(StoreError::Conflict(Conflict::TooManyEndpoints { .. })) = changed {
        return Ok(go(&member, &format!("{}?told=full", path_of(endpoint.id))));
    }
    changed?;
    match change {
        EndpointChange::Remove => Ok(go(&member, Place::Webhooks.path())),
        EndpointChange::Pause | EndpointChange::Resume => Ok(go(&member, &path_of(endpoint.id))),
    }
}

async fn pause(
    posted: Posted<Member>,
    id: web::Path<String>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    change(posted, &id, &site, EndpointChange::Pause).await
}

async fn resume(
    posted: Posted<Member>,
    id: web::Path<String>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    change(posted, &id, &site, EndpointChange::Resume).await
}

async fn remove(
    posted: Posted<Member>,
    id: web::Path<String>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    change(posted, &id, &site, EndpointChange::Remove).await
}

fn ask(member: &Member, endpoint: &Endpoint, what: &str, words: [Text; 3]) -> HttpResponse {
    let l = member.language();
    let [title, text, button] = words.map(|text| l.say(text));
    let body = html! {
        section.card {
            h1 { (title) }
            p { code { (endpoint.url) } }
            p { (text) }
            form.actions method="post" action={ (path_of(endpoint.id)) "/" (what) } {
                (form_token(member))
                button.danger type="submit" { (button) }
                a.button.second href=(path_of(endpoint.id)) { (l.say(frame::CANCEL)) }
            }
        }
    };
    Page::at(Place::Webhooks, title, body).answer(member)
}

async fn ask_remove(
    member: Member,
    id: web::Path<String>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let endpoint = endpoint_of(&site, &member, &id).await?;
    let words = [texts::REMOVE_ASK, texts::REMOVE_TELL, texts::REMOVE];
    Ok(ask(&member, &endpoint, "remove", words))
}

async fn ask_rotate(
    member: Member,
    id: web::Path<String>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let endpoint = endpoint_of(&site, &member, &id).await?;
    let words = [texts::ROTATE_ASK, texts::ROTATE_TELL, texts::ROTATE];
    Ok(ask(&member, &endpoint, "rotate", words))
}

async fn rotate(
    posted: Posted<Member>,
    id: web::Path<String>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let member = posted.who;
    let endpoint = endpoint_of(&site, &member, &id).await?;
    let secret = new_secret();
    let rotated = site
        .store
        .rotate_secret(
            member.id(),
            endpoint.id,
            HashedSecret::of(&secret),
            unix_ms() + BOTH_SIGN_MS,
        )
        .await?;
    match rotated {
        true => Ok(made(&member, endpoint.id, &endpoint.url, &secret)),
        false => Err(Refused::not_found(&member)),
    }
}

async fn test(
    posted: Posted<Member>,
    id: web::Path<String>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let member = posted.who;
    let endpoint = endpoint_of(&site, &member, &id).await?;
    if endpoint.paused_at_ms.is_some() {
        return Ok(go(
            &member,
            &format!("{}?told=paused", path_of(endpoint.id)),
        ));
    }
    let delivery = DeliveryId(Uuid::now_v7());
    let now = unix_ms();
    let body = test_body(delivery, now);
    site.store
        .queue_test_event(member.id(), endpoint.id, delivery, body, now)
        .await?;
    Ok(go(&member, &format!("{}?told=test", path_of(endpoint.id))))
}

async fn replay_failed(
    posted: Posted<Member>,
    id: web::Path<String>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let Posted {
        who: member,
        fields,
    } = posted;
    let endpoint = endpoint_of(&site, &member, &id).await?;
    let path = path_of(endpoint.id);
    let Some(since) = since(fields.trimmed("since")) else {
        return Ok(go(&member, &format!("{path}?told=since")));
    };
    let count = site
        .store
        .replay_failed(member.id(), endpoint.id, since, unix_ms())
        .await?;
    Ok(go(&member, &format!("{path}?told={count}")))
}

/// A time as a browser's field gives it, UTC.
fn since(text: &str) -> Option<i64> {
    timestamp::parse(text)
        .or_else(|| timestamp::parse(&format!("{text}:00Z")))
        .or_else(|| timestamp::parse(&format!("{text}Z")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_browsers_give_it() {
        let noon = timestamp::parse("2026-05-25T12:00:00Z");
        for text in [
            "2026-05-25T12:00",
            "2026-05-25T12:00:00",
            "2026-05-25T12:00:00Z",
        ] {
            assert_eq!(since(text), noon, "{text}");
        }
        assert_eq!(since("yesterday"), None);
    }
}
