//! The pages of API keys: make, revoke, rotate.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::account::api_key::{ApiKey, KeyMode};
use nexo_domain::ids::KeyId;
use nexo_domain::otp::Language;
use nexo_entities::store::accounts::api_keys::{Key, MAX_ACTIVE_KEYS, NewKey};
use nexo_entities::store::{Conflict, StoreError};
use rand::Rng;
use zeroize::Zeroizing;

use crate::cli::args;
use crate::dashboard::Site;
use crate::dashboard::auth::sign_in::query;
use crate::dashboard::texts::{Say, frame, keys as texts};
use crate::dashboard::web::error::{Refused, Why};
use crate::dashboard::web::extract::{Member, Reader};
use crate::dashboard::web::form::Posted;
use crate::dashboard::web::markup::{
    Field, Tone, field, head, nothing, notice, pill, problem, shown_once, time, time_or_never,
};
use crate::dashboard::web::navigation::Place;
use crate::dashboard::web::page::{Page, form_token, go};

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/api-keys").get(show).post(create))
        .service(
            web::resource("/api-keys/{id}/revoke")
                .get(ask_revoke)
                .post(revoke),
        )
        .service(
            web::resource("/api-keys/{id}/rotate")
                .get(ask_rotate)
                .post(rotate),
        );
}

/// The account's key of this id.
///
/// # Errors
/// Not found, also where it is another account's.
pub async fn key_of(site: &Site, member: &Member, id: &str) -> Result<Key, Refused> {
    let not_found = || Refused::not_found(member);
    let id: KeyId = id.parse().map_err(|_| not_found())?;
    let keys = site.store.keys(Some(member.id())).await?;
    keys.into_iter()
        .find(|key| key.id == id)
        .ok_or_else(not_found)
}

async fn active_key_of(site: &Site, member: &Member, id: &str) -> Result<Key, Refused> {
    let key = key_of(site, member, id).await?;
    match key.revoked_at_ms {
        None => Ok(key),
        Some(_) => Err(Refused::not_found(member)),
    }
}

async fn show(
    request: HttpRequest,
    member: Member,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let l = member.language();
    let told = match (query(&request, "revoked"), query(&request, "saved")) {
        (Some(id), _) => named(&site, &member, &id)
            .await
            .map(|name| notice(&l.tell(texts::WAS_REVOKED, &[("name", &name)]))),
        (None, Some(id)) => named(&site, &member, &id)
            .await
            .map(|name| notice(&l.tell(texts::ALLOWLIST_SAVED, &[("name", &name)]))),
        (None, None) => None,
    };
    list(&site, &member, told, "", StatusCode::OK).await
}

async fn named(site: &Site, member: &Member, id: &str) -> Option<String> {
    key_of(site, member, id).await.ok().map(|key| key.name)
}

async fn list(
    site: &Site,
    member: &Member,
    told: Option<Markup>,
    name: &str,
    status: StatusCode,
) -> Result<HttpResponse, Refused> {
    let l = member.language();
    let keys = site.store.keys(Some(member.id())).await?;
    let (active, revoked): (Vec<Key>, Vec<Key>) = keys
        .into_iter()
        .partition(|key| key.revoked_at_ms.is_none());
    let count = l.tell(
        texts::COUNT,
        &[("count", &active.len()), ("most", &MAX_ACTIVE_KEYS)],
    );
    let body = html! {
        (head(l.say(texts::TITLE), Some(l.say(texts::LEAD)), pill(Tone::Plain, &count)))
        @if let Some(told) = told { (told) }
        @if active.is_empty() { (nothing(l.say(texts::NONE))) }
        @else { (table(l, &active, true)) }
        (new_key(member, name))
        @if !revoked.is_empty() {
            details.more {
                summary { (l.tell(texts::SHOW_REVOKED, &[("count", &revoked.len())])) }
                (table(l, &revoked, false))
            }
        }
    };
    let page = Page::at(Place::ApiKeys, l.say(texts::TITLE), body).with_status(status);
    Ok(page.answer(member))
}

fn prefix(key: &Key) -> &'static str {
    if key.test { "sk_test_" } else { "sk_live_" }
}

fn table(l: Language, keys: &[Key], is_active: bool) -> Markup {
    html! {
        div.table tabindex="0" role="region" aria-label=(l.say(texts::TITLE)) {
            table {
                thead {
                    tr {
                        th scope="col" { (l.say(texts::NAME)) }
                        th scope="col" { (l.say(texts::KEY)) }
                        th scope="col" { (l.say(texts::FROM)) }
                        th scope="col" { (l.say(texts::LAST_USED)) }
                        th scope="col" { (l.say(texts::CREATED)) }
                        th scope="col" { (l.say(texts::STATE)) }
                    }
                }
                tbody { @for key in keys { (row(l, key, is_active)) } }
            }
        }
    }
}

fn row(l: Language, key: &Key, is_active: bool) -> Markup {
    let from = match key.allowlist.as_slice() {
        [] => l.say(texts::ANY_ADDRESS).to_owned(),
        [only] => only.clone(),
        many => l.tell(texts::ENTRIES, &[("count", &many.len())]),
    };
    let path = format!("/dashboard/api-keys/{}", key.id);
    html! {
        tr {
            th scope="row" { (key.name) }
            td.nowrap {
                code { (prefix(key)) "…" (key.hint) } " "
                @if key.test { (pill(Tone::Busy, l.say(texts::TEST))) }
            }
            td.nowrap {
                (from) " "
                @if is_active {
                    a.pill href={ (path) "/allowlist" } { (l.say(texts::ALLOWLIST)) }
                }
            }
            td { (time_or_never(l, key.last_used_at_ms)) }
            td { (time(key.created_at_ms)) }
            td {
                @if is_active {
                    div.actions {
                        a.button.second.small href={ (path) "/rotate" } { (l.say(texts::ROTATE)) }
                        a.button.second.small href={ (path) "/revoke" } { (l.say(texts::REVOKE)) }
                    }
                } @else {
                    (pill(Tone::Plain, l.say(texts::REVOKED))) " "
                    (time_or_never(l, key.revoked_at_ms))
                }
            }
        }
    }
}

fn new_key(member: &Member, name: &str) -> Markup {
    let l = member.language();
    html! {
        section.card #new {
            h2 { (l.say(texts::CREATE)) }
            form method="post" action="/dashboard/api-keys" {
                (form_token(member))
                (field(&Field {
                    name: "name",
                    label: l.say(texts::NAME),
                    kind: "text",
                    value: name,
                    hint: Some(l.say(texts::NAME_HINT)),
                    autocomplete: "off",
                    required: true,
                }))
                div.field {
                    label for="kind" { (l.say(texts::KIND)) }
                    select #kind name="kind" {
                        option value="live" { (l.say(texts::KIND_LIVE)) }
                        option value="test" { (l.say(texts::KIND_TEST)) }
                    }
                }
                button type="submit" { (l.say(texts::DO_CREATE)) }
            }
        }
    }
}

fn fresh(member: &Member, mode: KeyMode) -> Result<ApiKey, Refused> {
    let mut random = Zeroizing::new([0; 96]);
    rand::rng().fill_bytes(random.as_mut());
    ApiKey::from_random(mode, random.as_ref())
        .map_err(|_| Refused::because(Why::Internal).to(member))
}

async fn create(posted: Posted<Member>, site: web::Data<Site>) -> Result<HttpResponse, Refused> {
    let Posted {
        who: member,
        fields,
    } = posted;
    let l = member.language();
    let given = fields.trimmed("name");
    let Ok(name) = args::name(given) else {
        let told = Some(problem(l.say(texts::NAME_WRONG)));
        return list(&site, &member, told, given, StatusCode::BAD_REQUEST).await;
    };
    let is_test = fields.get("kind") == "test";
    let mode = if is_test {
        KeyMode::Test
    } else {
        KeyMode::Live
    };
    let key = fresh(&member, mode)?;
    let created = site
        .store
        .create_key(NewKey {
            account_id: member.id(),
            name: &name,
            hash: key.hash(),
            hint: key.hint(),
            test: is_test,
            allowlist: &[],
            created_at_ms: unix_ms(),
        })
        .await;
    match created {
        Ok(_) => Ok(made(&site, &member, &key)),
        Err(StoreError::Conflict(Conflict::TooManyKeys { max })) => {
            let told = problem(&l.tell(texts::TOO_MANY, &[("most", &max)]));
            list(&site, &member, Some(told), &name, StatusCode::CONFLICT).await
        }
        Err(error) => Err(error.into()),
    }
}

/// The page that shows a key, once. It is the answer to the form itself, so that no address shows it again.
fn made(site: &Site, member: &Member, key: &ApiKey) -> HttpResponse {
    let l = member.language();
    let url = site.public_url.link("/api/v1/send-otp");
    let example = format!(
        "curl -X POST {url} \\\n  -H \"Authorization: Bearer {}\" \\\n  -H \"Content-Type: application/json\" \\\n  -d '{{\"phone\":\"+84981234567\",\"code\":\"482917\"}}'",
        key.reveal()
    );
    let body = html! {
        (head(l.say(texts::TITLE), None, html! {}))
        (shown_once(l, l.say(texts::SHOWN_ONCE), key.reveal()))
        p.lead { (l.say(texts::KEEP_IT)) }
        section.card {
            h2 { (l.say(texts::TRY_IT)) }
            pre tabindex="0" { code { (example) } }
            div.actions {
                a.button href="/dashboard/deliveries" { (l.say(frame::DELIVERIES)) }
                a.button.second href="/dashboard/api-keys" { (l.say(frame::API_KEYS)) }
            }
        }
    };
    let page = Page::at(Place::ApiKeys, l.say(texts::TITLE), body);
    page.with_status(StatusCode::CREATED).answer(member)
}

/// Asks once more, on a page: without a script there is no other way to ask.
fn ask(
    member: &Member,
    id: KeyId,
    what: &str,
    title: &str,
    text: &str,
    button: &str,
) -> HttpResponse {
    let l = member.language();
    let body = html! {
        section.card {
            h1 { (title) }
            p { (text) }
            form.actions method="post" action={ "/dashboard/api-keys/" (id) "/" (what) } {
                (form_token(member))
                button.danger type="submit" { (button) }
                a.button.second href="/dashboard/api-keys" { (l.say(frame::CANCEL)) }
            }
        }
    };
    Page::at(Place::ApiKeys, title, body).answer(member)
}

async fn ask_revoke(
    member: Member,
    id: web::Path<String>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let l = member.language();
    let key = active_key_of(&site, &member, &id).await?;
    let title = l.tell(texts::REVOKE_ASK, &[("name", &key.name)]);
    let (text, button) = (l.say(texts::REVOKE_TELL), l.say(texts::REVOKE));
    Ok(ask(&member, key.id, "revoke", &title, text, button))
}

async fn revoke(
    posted: Posted<Member>,
    id: web::Path<String>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let member = posted.who;
    let key = key_of(&site, &member, &id).await?;
    site.store
        .revoke_key(key.id, Some(member.id()), unix_ms())
        .await?;
    let there = format!("/dashboard/api-keys?revoked={}", key.id);
    Ok(go(&member, &there))
}

async fn ask_rotate(
    member: Member,
    id: web::Path<String>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let l = member.language();
    let key = active_key_of(&site, &member, &id).await?;
    let title = l.tell(texts::ROTATE_ASK, &[("name", &key.name)]);
    let (text, button) = (l.say(texts::ROTATE_TELL), l.say(texts::ROTATE));
    Ok(ask(&member, key.id, "rotate", &title, text, button))
}

async fn rotate(
    posted: Posted<Member>,
    id: web::Path<String>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let member = posted.who;
    let old = active_key_of(&site, &member, &id).await?;
    let mode = if old.test {
        KeyMode::Test
    } else {
        KeyMode::Live
    };
    let key = fresh(&member, mode)?;
    let rotated = site
        .store
        .rotate_key(member.id(), old.id, key.hash(), key.hint(), unix_ms())
        .await?;
    match rotated {
        Some(_) => Ok(made(&site, &member, &key)),
        None => Err(Refused::not_found(&member)),
    }
}
