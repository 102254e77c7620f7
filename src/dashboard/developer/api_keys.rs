//! The pages of API keys: create, revoke, rotate.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::account::api_key::{ApiKey, KeyMode};
use nexo_domain::account::quota::QuotaKind;
use nexo_entities::store::accounts::api_keys::{Key, MAX_ACTIVE_KEYS, NewKey};
use nexo_entities::store::{Conflict, StoreError};

use super::key::{active_key_of, key_of, masked};
use crate::dashboard::components::*;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::developer::api_keys as texts;
use crate::dashboard::texts::{Text, Translate, frame};
use crate::dashboard::web::*;
use crate::input;
use crate::secrets::new_api_key;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/api-keys").get(show).post(create))
        .service(web::resource("/api-keys/{id}/revoke").get(confirm_revoke).post(revoke))
        .service(web::resource("/api-keys/{id}/rotate").get(confirm_rotate).post(rotate));
}

async fn show(request: HttpRequest, member: Member, site: Site) -> PageResult {
    let changed = [("revoked", texts::WAS_REVOKED), ("saved", texts::ALLOWLIST_SAVED)];
    let changed = changed.into_iter().find_map(|(name, text)| Some((query(&request, name)?, text)));
    let notice = match changed {
        Some((id, text)) => changed_notice(&site, &member, &id, text).await,
        None => None,
    };
    list(&site, &member, notice, "", StatusCode::OK).await
}

async fn changed_notice(site: &SiteState, member: &Member, id: &str, text: Text) -> Option<Markup> {
    let key = key_of(site, member, id).await.ok()?;
    let text = member.locale().t_with(text, &[("name", &key.name)]);
    Some(success_notice(&text))
}

async fn list(
    site: &SiteState,
    member: &Member,
    notice: Option<Markup>,
    name: &str,
    status: StatusCode,
) -> PageResult {
    let l = member.locale();
    let keys = site.store.accounts().keys(Some(member.id())).await?;
    let (active, revoked): (Vec<Key>, Vec<Key>) =
        keys.into_iter().partition(|key| key.revoked_at_ms.is_none());
    let count = l.t_with(texts::COUNT, &[("count", &active.len()), ("most", &MAX_ACTIVE_KEYS)]);
    let body = html! {
        (page_head(l.t(texts::TITLE), Some(l.t(texts::LEAD)), pill(Tone::Plain, &count)))
        @if let Some(notice) = notice { (notice) }
        @if active.is_empty() { (empty_state(l.t(texts::NONE))) }
        @else { (key_table(l, &active)) }
        (new_key_form(member, name))
        @if !revoked.is_empty() {
            details.more {
                summary { (l.t_with(texts::SHOW_REVOKED, &[("count", &revoked.len())])) }
                (key_table(l, &revoked))
            }
        }
    };
    let page = Page::new(NavItem::ApiKeys, l.t(texts::TITLE), body).with_status(status);
    Ok(page.respond(member))
}

fn key_table(l: Locale, keys: &[Key]) -> Markup {
    let columns = [Head(texts::KEY), Left(texts::ALLOWED_IPS), Left(texts::LAST_USED), Actions];
    table(l, texts::TITLE, columns, keys.iter().map(|key| row(l, key)))
}

fn row(l: Locale, key: &Key) -> [Markup; 4] {
    let allowed = match key.allowlist.as_slice() {
        [] => l.t(texts::ANY_ADDRESS).to_owned(),
        [only] => only.clone(),
        many => l.t_with(texts::ENTRIES, &[("count", &many.len())]),
    };
    let path = format!("/dashboard/api-keys/{}", key.id);
    [
        html! {
            (key.name)
            @if key.test { " " (pill(Tone::Busy, l.t(texts::TEST))) }
            div.more {
                code { (masked(key)) } " · " (l.t(texts::CREATED)) " " (time(l, key.created_at_ms))
            }
        },
        html! { (allowed) },
        time_or_never(l, key.last_used_at_ms),
        html! {
            @if key.revoked_at_ms.is_none() {
                div.actions {
                    a.button.second.small href={ (path) "/allowlist" } { (l.t(texts::ALLOWLIST)) }
                    a.button.second.small href={ (path) "/rotate" } { (l.t(texts::ROTATE)) }
                    a.button.danger.small href={ (path) "/revoke" } { (l.t(texts::REVOKE)) }
                }
            } @else {
                (pill(Tone::Plain, l.t(texts::REVOKED))) " "
                (time_or_never(l, key.revoked_at_ms))
            }
        },
    ]
}

fn new_key_form(member: &Member, name: &str) -> Markup {
    let l = member.locale();
    let kinds = [("live", l.t(texts::KIND_LIVE)), ("test", l.t(texts::KIND_TEST))];
    // The page of test OTPs leads here to create a test key.
    let wants_test = query_of_path(&member.visitor.path, "kind").as_deref() == Some("test");
    let kind = if wants_test { "test" } else { "live" };
    html! {
        section.card #new {
            h2 { (l.t(texts::CREATE)) }
            form method="post" action="/dashboard/api-keys" {
                (form_token(member))
                (Field::new("name", l.t(texts::NAME)).value(name).hint(l.t(texts::NAME_HINT)))
                (select("kind", l.t(texts::KIND), kind, kinds))
                button type="submit" { (l.t(texts::DO_CREATE)) }
            }
        }
    }
}

async fn create(Posted(member, fields): Posted<Member>, site: Site) -> PageResult {
    let l = member.locale();
    let typed = fields.trimmed("name");
    let Ok(name) = input::name(typed) else {
        let error = Some(error_notice(l.t(texts::NAME_WRONG)));
        return list(&site, &member, error, typed, StatusCode::BAD_REQUEST).await;
    };
    site.quotas.take(QuotaKind::ApiKeys, member.id()).await?;
    let is_test = fields.get("kind") == "test";
    let mode = if is_test { KeyMode::Test } else { KeyMode::Live };
    let key = new_api_key(mode).map_err(|_| PageError::internal(member.locale()))?;
    let created = site
        .store
        .accounts()
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
        Ok(_) => Ok(created_page(&site, &member, &key)),
        Err(StoreError::Conflict(Conflict::TooManyKeys { max })) => {
            let error = error_notice(&l.t_with(texts::TOO_MANY, &[("most", &max)]));
            list(&site, &member, Some(error), &name, StatusCode::CONFLICT).await
        }
        Err(error) => Err(error.into()),
    }
}

/// The page that shows a key once. It is the response to the form itself, so no address shows the key again.
fn created_page(site: &SiteState, member: &Member, key: &ApiKey) -> HttpResponse {
    let l = member.locale();
    let example = send_otp_curl(&site.public_url.link("/api/v1/send-otp"), key.reveal());
    let body = html! {
        (page_head(l.t(texts::TITLE), None, html! {}))
        (secret_once(l, l.t(texts::SHOWN_ONCE), key.reveal()))
        p.lead { (l.t(texts::STORED_AS_HASH)) }
        section.card {
            h2 { (l.t(texts::TRY_IT)) }
            (code_block(l, &example))
            div.actions {
                a.button href="/dashboard/deliveries" { (l.t(frame::DELIVERIES)) }
                a.button.second href="/dashboard/api-keys" { (l.t(frame::API_KEYS)) }
            }
        }
    };
    let page = Page::new(NavItem::ApiKeys, l.t(texts::TITLE), body);
    page.with_status(StatusCode::CREATED).respond(member)
}

async fn confirm(
    member: Member,
    id: &str,
    site: &SiteState,
    action: &str,
    [title, text, button]: [Text; 3],
) -> PageResult {
    let l = member.locale();
    let key = active_key_of(site, &member, id).await?;
    let title = l.t_with(title, &[("name", &key.name)]);
    let page = Confirmation {
        title: &title,
        details: html! { p { (l.t(text)) } },
        fields: html! {},
        action: &format!("/dashboard/api-keys/{}/{action}", key.id),
        button: l.t(button),
        back: NavItem::ApiKeys.path(),
    };
    Ok(Page::new(NavItem::ApiKeys, &title, page.draw(&member)).respond(&member))
}

async fn confirm_revoke(member: Member, id: Id, site: Site) -> PageResult {
    let labels = [texts::REVOKE_TITLE, texts::REVOKE_TEXT, texts::REVOKE];
    confirm(member, &id, &site, "revoke", labels).await
}

async fn revoke(Posted(member, _): Posted<Member>, id: Id, site: Site) -> PageResult {
    let key = key_of(&site, &member, &id).await?;
    site.store.accounts().revoke_key(key.id, Some(member.id()), unix_ms()).await?;
    let path = format!("/dashboard/api-keys?revoked={}", key.id);
    Ok(redirect(&member, &path))
}

async fn confirm_rotate(member: Member, id: Id, site: Site) -> PageResult {
    let labels = [texts::ROTATE_TITLE, texts::ROTATE_TEXT, texts::ROTATE];
    confirm(member, &id, &site, "rotate", labels).await
}

async fn rotate(Posted(member, _): Posted<Member>, id: Id, site: Site) -> PageResult {
    let old = active_key_of(&site, &member, &id).await?;
    site.quotas.take(QuotaKind::ApiKeys, member.id()).await?;
    let mode = if old.test { KeyMode::Test } else { KeyMode::Live };
    let key = new_api_key(mode).map_err(|_| PageError::internal(member.locale()))?;
    let rotated = site
        .store
        .accounts()
        .rotate_key(member.id(), old.id, key.hash(), key.hint(), unix_ms())
        .await?;
    match rotated {
        Some(_) => Ok(created_page(&site, &member, &key)),
        None => Err(PageError::not_found(member.locale())),
    }
}
