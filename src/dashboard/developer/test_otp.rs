//! Sends a test OTP from the site: the request of a test key to the API, with the outcome to choose. No phone rings.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use maud::{Markup, html};
use nexo_domain::otp::{MAX_DIGITS, MIN_DIGITS};
use nexo_entities::store::accounts::api_keys::Key;
use serde_json::json;
use zeroize::Zeroizing;

use super::key::masked;
use super::sandbox_numbers::{ANSWERS, outcomes, random_phone};
use crate::api::ApiState;
use crate::api::auth::keyring;
use crate::api::error::ApiError;
use crate::api::otp::send_otp::send;
use crate::dashboard::components::*;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::developer::test_otp as texts;
use crate::dashboard::texts::{Translate, deliveries};
use crate::dashboard::web::*;

const PATH: &str = "/dashboard/test-otp";
/// The code that the form suggests.
const SUGGESTED: &str = "482917";
pub fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/test-otp").get(show).post(submit));
}

/// The fields of the form, as typed.
struct Typed<'a> {
    key: &'a str,
    ending: u8,
    code: &'a str,
}

async fn show(request: HttpRequest, member: Member, site: Site) -> PageResult {
    let ending = query(&request, "ending").and_then(|text| text.parse().ok());
    let typed = Typed { key: "", ending: ending.unwrap_or(ANSWERS), code: SUGGESTED };
    draw(&member, &test_keys(&site, &member).await?, &typed, html! {}, StatusCode::OK)
}

/// The account's active test keys, newest first.
async fn test_keys(site: &SiteState, member: &Member) -> Result<Vec<Key>, PageError> {
    let mut keys = site.store.accounts().keys(Some(member.id())).await?;
    keys.retain(|key| key.test && key.revoked_at_ms.is_none());
    keys.reverse();
    Ok(keys)
}

fn draw(
    member: &Member,
    keys: &[Key],
    typed: &Typed<'_>,
    answer: Markup,
    status: StatusCode,
) -> PageResult {
    let l = member.locale();
    let body = html! {
        (page_head(l.t(texts::TITLE), Some(l.t(texts::LEAD)), html! {}))
        (answer)
        @if keys.is_empty() {
            div.nothing {
                p { (l.t(texts::NO_KEY)) }
                p { br; a.button href="/dashboard/api-keys?kind=test#new" { (l.t(texts::CREATE_KEY)) } }
            }
        } @else {
            (form(member, keys, typed))
        }
    };
    let page = Page::new(NavItem::Deliveries, l.t(texts::TITLE), body).with_status(status);
    Ok(page.respond(member))
}

fn form(member: &Member, keys: &[Key], typed: &Typed<'_>) -> Markup {
    let l = member.locale();
    let keys =
        keys.iter().map(|key| (key.id.to_string(), format!("{} ({})", key.name, masked(key))));
    let hint = l.t_with(texts::CODE_HINT, &[("least", &MIN_DIGITS), ("most", &MAX_DIGITS)]);
    html! {
        section.card {
            form method="post" action=(PATH) {
                (form_token(member))
                (select("ending", l.t(texts::OUTCOME), &typed.ending.to_string(), outcomes(l)))
                (Field::new("code", l.t(texts::CODE)).value(typed.code).hint(hint.as_str()))
                (select("key", l.t(texts::KEY), typed.key, keys))
                button type="submit" { (l.t(texts::DO_SEND)) }
            }
        }
        p.hint { (l.t(texts::NOTE)) }
    }
}

async fn submit(
    Posted(member, fields): Posted<Member>,
    site: Site,
    api: web::Data<ApiState>,
) -> PageResult {
    let l = member.locale();
    let keys = test_keys(&site, &member).await?;
    let ending = fields.get("ending").parse().unwrap_or(ANSWERS);
    let code = fields.trimmed("code");
    // A page never contains a code that was sent.
    let typed = Typed { key: fields.get("key"), ending, code: SUGGESTED };
    let Some(key) = keys.iter().find(|key| key.id.to_string() == typed.key) else {
        let notice = error_notice(l.t(texts::KEY_WRONG));
        return draw(&member, &keys, &typed, notice, StatusCode::BAD_REQUEST);
    };
    let key = keyring::Key::of_test_key(key.id, member.id(), member.account.language);
    let body = json!({ "phone": random_phone(ending), "code": code });
    let body = Zeroizing::new(body.to_string().into_bytes());
    match send(&key, body, &api).await {
        Ok(accepted) => Ok(redirect(&member, &format!("/dashboard/deliveries/{}", accepted.id))),
        Err(ApiError::QuotaExceeded(exceeded)) => {
            Err(PageError::new(ErrorKind::Quota(exceeded), l))
        }
        Err(error) => {
            let status = match error.status() {
                status if status.is_client_error() => status,
                // The page itself works: the answer that it shows is what was asked for.
                _ => StatusCode::OK,
            };
            let code = if error == ApiError::InvalidCode { code } else { SUGGESTED };
            draw(&member, &keys, &Typed { code, ..typed }, refusal(l, &error), status)
        }
    }
}

/// The answer of the API, as a program gets it.
pub(super) fn refusal(l: Locale, error: &ApiError) -> Markup {
    html! {
        section.card {
            h2 { (l.t_with(texts::ANSWER, &[("status", &error.status().as_u16())])) }
            (code_block(l, &error.body()))
            @if let Some(id) = error.delivery_id() {
                p { a href={ "/dashboard/deliveries/" (id) } { (l.t(deliveries::ONE_TITLE)) } }
            }
        }
    }
}
