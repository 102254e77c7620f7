//! Putting a second factor in place, and taking it away.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use maud::html;
use nexo_actors::clock::unix_ms;
use nexo_entities::store::accounts::passwords::NewFactor;

use super::sign_in::{password_field, status};
use super::totp;
use super::totp::FactorSecret;
use crate::dashboard::Site;
use crate::dashboard::account::settings::is_password;
use crate::dashboard::texts::{Say, Text, accounts, settings as texts};
use crate::dashboard::web::error::{Refused, Why};
use crate::dashboard::web::extract::{Member, Reader};
use crate::dashboard::web::form::Posted;
use crate::dashboard::web::markup::{Field, field, head, problem, shown_once};
use crate::dashboard::web::navigation::Place;
use crate::dashboard::web::page::{Page, form_token, go};
use crate::qr;

const HERE: &str = "/dashboard/settings/second-factor";

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/settings/second-factor").get(show).post(put))
        .service(web::resource("/settings/second-factor/remove").post(remove));
}

async fn show(member: Member) -> Result<HttpResponse, Refused> {
    match member.account.totp_sealed.is_some() {
        true => Ok(removal(&member, None)),
        false => setup(&member, &FactorSecret::new(), None),
    }
}

/// The secret travels in the form until it is confirmed: nothing is kept before.
fn setup(
    member: &Member,
    secret: &FactorSecret,
    wrong: Option<Text>,
) -> Result<HttpResponse, Refused> {
    let l = member.language();
    let url = secret
        .url(&member.account.email)
        .ok_or_else(|| Refused::because(Why::Internal).to(member))?;
    let base32 = secret.base32();
    let body = html! {
        section.card {
            h1 { (l.say(texts::FACTOR)) }
            p.lead { (l.say(texts::FACTOR_SCAN)) }
            @if let Some(wrong) = wrong { (problem(l.say(wrong))) }
            (qr::picture(&url, l.say(texts::FACTOR_PICTURE)))
            p { (l.say(texts::FACTOR_SECRET)) ": " code { (base32.as_str()) } }
            form method="post" action=(HERE) {
                (form_token(member))
                input type="hidden" name="secret" value=(base32.as_str());
                (field(&Field {
                    name: "code",
                    label: l.say(accounts::CODE),
                    kind: "text",
                    value: "",
                    hint: None,
                    autocomplete: "one-time-code",
                    required: true,
                }))
                (password_field(member, "password", texts::PRESENT_PASSWORD, "current-password", None))
                button type="submit" { (l.say(texts::DO_FACTOR_ON)) }
            }
        }
    };
    let page = Page::at(Place::Settings, l.say(texts::FACTOR), body);
    Ok(page.with_status(status(wrong)).answer(member))
}

async fn put(posted: Posted<Member>, site: web::Data<Site>) -> Result<HttpResponse, Refused> {
    let Posted {
        who: member,
        fields,
    } = posted;
    let l = member.language();
    if member.account.totp_sealed.is_some() {
        return Ok(go(&member, HERE));
    }
    let Some(secret) = FactorSecret::from_base32(fields.get("secret")) else {
        return Ok(go(&member, HERE));
    };
    let step = secret.step_of(fields.get("code"), unix_ms());
    let is_right = is_password(&site, &member, &fields, "password").await?;
    let (Some(step), true) = (step, is_right) else {
        return setup(&member, &secret, Some(texts::FACTOR_WRONG));
    };
    let sealed = secret
        .seal(&site.hashing, fields.secret("password"), member.id())
        .await?;
    let sealed = sealed.ok_or_else(|| Refused::because(Why::Internal).to(&member))?;
    let recovery = totp::new_recovery_code();
    let factor = NewFactor {
        sealed,
        recovery_hash: totp::recovery_hash(&recovery),
    };
    site.store.set_factor(member.id(), Some(factor)).await?;
    // The code that proved the app is used up.
    site.store.take_factor_step(member.id(), step).await?;
    let body = html! {
        (head(l.say(texts::FACTOR), None, html! {}))
        (shown_once(l, l.say(texts::FACTOR_DONE), &recovery))
        p { a.button href="/dashboard/settings" { (l.say(texts::TO_SETTINGS)) } }
    };
    let page = Page::at(Place::Settings, l.say(texts::FACTOR), body);
    Ok(page.with_status(StatusCode::CREATED).answer(&member))
}

fn removal(member: &Member, wrong: Option<Text>) -> HttpResponse {
    let l = member.language();
    let body = html! {
        section.card {
            h1 { (l.say(texts::FACTOR)) }
            p.lead { (l.say(texts::FACTOR_ON)) }
            @if let Some(wrong) = wrong { (problem(l.say(wrong))) }
            form method="post" action={ (HERE) "/remove" } {
                (form_token(member))
                (password_field(member, "password", texts::PRESENT_PASSWORD, "current-password", None))
                button.danger type="submit" { (l.say(texts::DO_FACTOR_OFF)) }
            }
        }
    };
    let page = Page::at(Place::Settings, l.say(texts::FACTOR), body);
    page.with_status(status(wrong)).answer(member)
}

async fn remove(posted: Posted<Member>, site: web::Data<Site>) -> Result<HttpResponse, Refused> {
    let Posted {
        who: member,
        fields,
    } = posted;
    if !is_password(&site, &member, &fields, "password").await? {
        return Ok(removal(&member, Some(texts::PASSWORD_WRONG)));
    }
    site.store.set_factor(member.id(), None).await?;
    Ok(go(&member, "/dashboard/settings?saved=1"))
}
