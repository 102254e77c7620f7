//! The review of an account's access: its API keys, integrations, webhook endpoints and payout method, with check boxes to revoke
//! what the owner does not know. Sign-in leads here after a password reset.

use actix_web::web;
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_entities::store::accounts::api_keys::Key;
use nexo_entities::store::accounts::integrations::Integration;
use nexo_entities::store::webhooks::endpoints::{Endpoint, EndpointChange};

use crate::dashboard::auth::session::ACCESS_REVIEW_PATH;
use crate::dashboard::components::*;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::{Translate, account::access_review as texts};
use crate::dashboard::web::*;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/settings/access").get(show).post(finish));
}

async fn active_keys(site: &SiteState, member: &Member) -> Result<Vec<Key>, PageError> {
    let mut keys = site.store.accounts().keys(Some(member.id())).await?;
    keys.retain(|key| key.revoked_at_ms.is_none());
    Ok(keys)
}

async fn show(member: Member, site: Site) -> PageResult {
    let l = member.locale();
    let keys = active_keys(&site, &member).await?;
    let integrations = site.store.accounts().integrations(Some(member.id())).await?;
    let endpoints = site.store.webhooks().endpoints(Some(member.id())).await?;
    let wallet = site.store.billing().payout_wallet(member.id()).await?;
    let lead = match member.account.access_review_since_ms {
        Some(_) => texts::LEAD_AFTER_RESET,
        None => texts::LEAD,
    };
    let body = html! {
        (page_head(l.t(texts::TITLE), Some(l.t(lead)), html! {}))
        form method="post" action=(ACCESS_REVIEW_PATH) {
            (form_token(&member))
            (key_card(l, &keys))
            (integration_card(l, &integrations))
            (endpoint_card(l, &endpoints))
            @if let Some(wallet) = &wallet {
                section.card {
                    h2 { (l.t(texts::PAYOUT)) }
                    p { (l.t(payout_wallet_name(wallet.kind()))) " " code { (payout_address(wallet.kind(), &wallet.address())) } }
                    p { a href=(NavItem::Referrals.path()) { (l.t(texts::CHANGE_PAYOUT)) } }
                }
            }
            button type="submit" { (l.t(texts::FINISH)) }
        }
    };
    Ok(Page::new(NavItem::Settings, l.t(texts::TITLE), body).respond(&member))
}

fn key_card(l: Locale, keys: &[Key]) -> Markup {
    html! {
        section.card {
            h2 { (l.t(texts::KEYS)) }
            @if keys.is_empty() { p.faint { (l.t(texts::NO_KEYS)) } }
            @for key in keys {
                label.check {
                    input type="checkbox" name=(key_field(key)) value="yes";
                    span {
                        (key.name) " " code { "…" (key.hint) } br;
                        span.small.faint {
                            (l.t(texts::CREATED)) " " (time(l, key.created_at_ms)) " · "
                            (l.t(texts::LAST_USED)) " " (time_or_never(l, key.last_used_at_ms))
                        }
                    }
                }
            }
        }
    }
}

fn integration_card(l: Locale, integrations: &[Integration]) -> Markup {
    html! {
        section.card {
            h2 { (l.t(texts::INTEGRATIONS)) }
            @if integrations.is_empty() { p.faint { (l.t(texts::NO_INTEGRATIONS)) } }
            @for one in integrations {
                label.check {
                    input type="checkbox" name=(integration_field(one)) value="yes";
                    span {
                        (one.name) " " code { (one.body.kind()) } br;
                        span.small.faint {
                            (l.t(texts::CREATED)) " " (time(l, one.created_at_ms)) " · "
                            (l.t(texts::LAST_USED)) " " (time_or_never(l, one.last_used_at_ms))
                        }
                    }
                }
            }
        }
    }
}

fn endpoint_card(l: Locale, endpoints: &[Endpoint]) -> Markup {
    html! {
        section.card {
            h2 { (l.t(texts::ENDPOINTS)) }
            @if endpoints.is_empty() { p.faint { (l.t(texts::NO_ENDPOINTS)) } }
            @for endpoint in endpoints {
                label.check {
                    input type="checkbox" name=(endpoint_field(endpoint)) value="yes";
                    span {
                        code { (endpoint.url) } br;
                        span.small.faint { (l.t(texts::CREATED)) " " (time(l, endpoint.created_at_ms)) }
                    }
                }
            }
        }
    }
}

fn key_field(key: &Key) -> String {
    format!("key-{}", key.id)
}

fn integration_field(one: &Integration) -> String {
    format!("integration-{}", one.id)
}

fn endpoint_field(endpoint: &Endpoint) -> String {
    format!("endpoint-{}", endpoint.id)
}

/// Revokes what is ticked and keeps the rest.
async fn finish(Posted(member, fields): Posted<Member>, site: Site) -> PageResult {
    let (id, now) = (member.id(), unix_ms());
    for key in active_keys(&site, &member).await? {
        if fields.has(&key_field(&key)) {
            site.store.accounts().revoke_key(key.id, Some(id), now).await?;
        }
    }
    for one in site.store.accounts().integrations(Some(id)).await? {
        if fields.has(&integration_field(&one)) {
            site.store.accounts().remove_integration(one.id, Some(id), now).await?;
        }
    }
    for endpoint in site.store.webhooks().endpoints(Some(id)).await? {
        if fields.has(&endpoint_field(&endpoint)) {
            site.store
                .webhooks()
                .change_endpoint(id, endpoint.id, EndpointChange::Remove, now)
                .await?;
        }
    }
    site.store.accounts().finish_access_review(id).await?;
    Ok(redirect(&member, "/dashboard/settings?reviewed=1"))
}
