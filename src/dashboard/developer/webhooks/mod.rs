//! The pages of webhook endpoints: the list with the form for a new one. [`endpoint`] is one endpoint, [`attempts`] one
//! attempt.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_actors::webhook::client::TargetError;
use nexo_domain::account::quota::QuotaKind;
use nexo_domain::ids::EndpointId;
use nexo_domain::webhook::events::{EventFilter, EventFilterError};
use nexo_domain::webhook::{HashedSecret, MAX_ENDPOINTS};
use nexo_entities::store::webhooks::endpoints::{Endpoint, NewEndpoint};
use nexo_entities::store::{Conflict, StoreError};

use crate::dashboard::components::*;
use crate::dashboard::texts::developer::webhooks as texts;
use crate::dashboard::texts::figures::Value;
use crate::dashboard::texts::{Text, Translate};
use crate::dashboard::web::*;
use crate::secrets::new_webhook_secret;

mod attempts;
mod endpoint;
mod events;
pub(super) mod receiver_examples;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/webhooks").get(show).post(add))
        .configure(endpoint::routes)
        .configure(events::routes)
        .configure(attempts::routes);
}

async fn show(member: Member, site: Site) -> PageResult {
    list(&site, &member, None, NewForm::default(), StatusCode::OK).await
}

/// The fields of the form for a new endpoint.
#[derive(Default, Clone, Copy)]
struct NewForm<'f> {
    url: &'f str,
    events: EventFilter,
}

async fn list(
    site: &SiteState,
    member: &Member,
    error: Option<String>,
    form: NewForm<'_>,
    status: StatusCode,
) -> PageResult {
    let l = member.locale();
    let endpoints = site.store.webhooks().endpoints(Some(member.id())).await?;
    let active = endpoints.iter().filter(|endpoint| endpoint.paused_at_ms.is_none()).count();
    let count = l.t_with(texts::COUNT, &[("count", &active), ("most", &MAX_ENDPOINTS)]);
    let body = html! {
        (page_head(l.t(texts::TITLE), Some(l.t(texts::LEAD)), pill(Tone::Plain, &count)))
        @if let Some(error) = error { (error_notice(&error)) }
        @if endpoints.is_empty() { (empty_state(&l.t_with(texts::NONE, &[("id", &"{id}")]))) }
        @else {
            (table(l, texts::TITLE, [Head(texts::URL), Left(texts::EVENTS), Left(texts::STATE), Actions],
                endpoints.iter().map(|endpoint| row(member, endpoint))))
        }
        section.card {
            h2 { (l.t(texts::ADD)) }
            form method="post" action="/dashboard/webhooks" {
                (form_token(member))
                (Field::new("url", l.t(texts::URL)).kind("url").value(form.url).hint(l.t(texts::URL_HINT)))
                (events::fields(l, form.events))
                button type="submit" { (l.t(texts::DO_ADD)) }
            }
        }
        (receiver_examples::snippets(l, endpoints.first().map(|endpoint| endpoint.url.as_str())))
    };
    let page = Page::new(NavItem::Webhooks, l.t(texts::TITLE), body).with_status(status);
    Ok(page.respond(member))
}

fn state(member: &Member, endpoint: &Endpoint) -> Markup {
    let l = member.locale();
    match endpoint.paused_at_ms {
        None => pill(Tone::Good, l.t(texts::ACTIVE)),
        Some(_) => pill(Tone::Busy, l.t(texts::PAUSED)),
    }
}

fn row(member: &Member, endpoint: &Endpoint) -> [Markup; 4] {
    let path = path_of(endpoint.id);
    [
        html! { a href=(path) { (endpoint.url) } },
        events::summary(endpoint.events),
        state(member, endpoint),
        html! { a.button.second.small href=(path) { (member.locale().t(texts::OPEN)) } },
    ]
}

fn path_of(id: EndpointId) -> String {
    format!("/dashboard/webhooks/{id}")
}

fn reason(error: &TargetError) -> Text {
    match error {
        TargetError::Malformed => texts::REASON_MALFORMED,
        TargetError::NotHttps => texts::REASON_NOT_HTTPS,
        TargetError::Credentials => texts::REASON_CREDENTIALS,
        TargetError::NotPublic => texts::REASON_NOT_PUBLIC,
        TargetError::Dns(_) => texts::REASON_UNRESOLVED,
    }
}

async fn add(Posted(member, fields): Posted<Member>, site: Site) -> PageResult {
    let l = member.locale();
    let mut typed = NewForm { url: fields.trimmed("url"), events: EventFilter::default() };
    match events::chosen(&fields) {
        Ok(events) => typed.events = events,
        // Without a choice: the default.
        Err(EventFilterError::Empty) => {}
        Err(EventFilterError::Unknown { pattern }) => {
            let allowed = EventFilter::all_patterns().collect::<Vec<_>>().join(", ");
            let values: [(&str, &dyn Value); 2] = [("event", &pattern), ("allowed", &allowed)];
            let error = l.t_with(texts::EVENT_REJECTED, &values);
            return list(&site, &member, Some(error), typed, StatusCode::BAD_REQUEST).await;
        }
    }
    let checked = site.webhook_rules.check_resolved(typed.url, &site.resolver);
    let url = match checked.await {
        Ok(url) => url,
        Err(error) => {
            let error = l.t_with(texts::URL_REJECTED, &[("reason", &l.t(reason(&error)))]);
            return list(&site, &member, Some(error), typed, StatusCode::BAD_REQUEST).await;
        }
    };
    site.quotas.take(QuotaKind::WebhookEndpoints, member.id()).await?;
    let secret = new_webhook_secret();
    let added = site
        .store
        .webhooks()
        .add_endpoint(NewEndpoint {
            account_id: member.id(),
            url: url.as_str(),
            secret: HashedSecret::of(&secret),
            events: typed.events,
            created_at_ms: unix_ms(),
        })
        .await;
    match added {
        Ok(id) => Ok(secret_page(&member, id, url.as_str(), &secret)),
        Err(StoreError::Conflict(Conflict::TooManyActiveEndpoints { max })) => {
            let error = l.t_with(texts::TOO_MANY, &[("most", &max)]);
            list(&site, &member, Some(error), typed, StatusCode::CONFLICT).await
        }
        Err(StoreError::Conflict(Conflict::TooManyStoredEndpoints { max })) => {
            let error = l.t_with(texts::TOO_MANY_STORED, &[("most", &max)]);
            list(&site, &member, Some(error), typed, StatusCode::CONFLICT).await
        }
        Err(error) => Err(error.into()),
    }
}

/// The page that shows a secret once.
fn secret_page(member: &Member, id: EndpointId, url: &str, secret: &str) -> HttpResponse {
    let l = member.locale();
    let body = html! {
        (page_head(l.t(texts::TITLE), Some(url), html! {
            a.button href=(path_of(id)) { (l.t(texts::OPEN)) }
        }))
        (secret_once(l, l.t(texts::SHOWN_ONCE), secret))
        (receiver_examples::snippets(l, Some(url)))
    };
    Page::new(NavItem::Webhooks, l.t(texts::TITLE), body)
        .with_status(StatusCode::CREATED)
        .respond(member)
}
