//! Turns the second factor on and off.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use maud::html;
use nexo_actors::clock::unix_ms;
use nexo_entities::store::accounts::Account;
use nexo_entities::store::accounts::passwords::NewTotp;

use super::TotpSecret;
use crate::dashboard::auth::credentials::{check_limit, form_status, is_password, password_field};
use crate::dashboard::auth::limits::{Attempt, Caller};
use crate::dashboard::auth::session::remember_browser;
use crate::dashboard::auth::totp;
use crate::dashboard::components::*;
use crate::dashboard::mail::notices;
use crate::dashboard::texts::{Text, Translate, account::settings as texts, accounts};
use crate::dashboard::web::navigation::SECOND_FACTOR_PATH;
use crate::dashboard::web::*;
use crate::qr;

const PATH: &str = SECOND_FACTOR_PATH;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/settings/second-factor").get(show).post(turn_on))
        .service(web::resource("/settings/second-factor/remove").post(turn_off));
}

async fn show(member: Member, site: Site) -> PageResult {
    match member.account.totp_sealed.is_some() {
        true => Ok(removal_form(&member, &site, None)),
        false => setup_form(&member, &site, &TotpSecret::new(), None),
    }
}

/// Whether the member must have a second factor.
fn is_required(member: &Member, site: &SiteState) -> bool {
    member.account.operator && site.terms.current().operators_need_second_factor
}

/// The form carries the secret until it is confirmed. Nothing is stored before.
fn setup_form(
    member: &Member,
    site: &SiteState,
    secret: &TotpSecret,
    error: Option<Text>,
) -> PageResult {
    let l = member.locale();
    let url = secret.url(&member.account.email).ok_or_else(|| PageError::internal(l))?;
    let base32 = secret.base32();
    let body = html! {
        section.card {
            h1 { (l.t(texts::FACTOR)) }
            @if is_required(member, site) { p.notice.busy { (l.t(texts::FACTOR_REQUIRED)) } }
            p.lead { (l.t(texts::FACTOR_SCAN)) }
            @if let Some(error) = error { (error_notice(l.t(error))) }
            (qr::picture(&url, l.t(texts::FACTOR_PICTURE)))
            p { (l.t(texts::FACTOR_SECRET)) ": " code { (base32.as_str()) } }
            form method="post" action=(PATH) {
                (form_token(member))
                input type="hidden" name="secret" value=(base32.as_str());
                (Field::new("code", l.t(accounts::CODE)).autocomplete("one-time-code"))
                (password_field(member, "password", texts::CURRENT_PASSWORD))
                button type="submit" { (l.t(texts::DO_FACTOR_ON)) }
            }
        }
    };
    let page = Page::new(NavItem::Settings, l.t(texts::FACTOR), body);
    Ok(page.with_status(form_status(error)).respond(member))
}

async fn turn_on(Posted(member, fields): Posted<Member>, site: Site) -> PageResult {
    let l = member.locale();
    if member.account.totp_sealed.is_some() {
        return Ok(redirect(&member, PATH));
    }
    let Some(secret) = TotpSecret::from_base32(fields.get("secret")) else {
        return Ok(redirect(&member, PATH));
    };
    let step = secret.step_of(fields.get("code"), unix_ms());
    let is_right = is_password(&site, &member, &fields, "password").await?;
    let (Some(step), true) = (step, is_right) else {
        return setup_form(&member, &site, &secret, Some(texts::FACTOR_WRONG));
    };
    let sealed = secret.seal(&site.hasher, fields.secret("password"), member.id()).await?;
    let sealed = sealed.ok_or_else(|| PageError::internal(l))?;
    let recovery = totp::new_recovery_code();
    let factor = NewTotp { sealed: sealed.clone(), recovery_hash: totp::recovery_hash(&recovery) };
    // Other sessions were opened without a code, so they end.
    let kept_session = Some(member.session.id);
    site.store.accounts().set_totp(member.id(), Some(factor), kept_session).await?;
    // The code of this form cannot be used again for sign-in.
    site.store.accounts().use_totp_step(member.id(), step).await?;
    notices::second_factor_changed(&site.mailer, &member.account, l.language, true);
    let body = html! {
        (page_head(l.t(texts::FACTOR), None, html! {}))
        (secret_once(l, l.t(texts::FACTOR_DONE), &recovery))
        p { a.button href="/dashboard/settings" { (l.t(texts::TO_SETTINGS)) } }
    };
    let page = Page::new(NavItem::Settings, l.t(texts::FACTOR), body);
    let mut response = page.with_status(StatusCode::CREATED).respond(&member);
    let account = Account { totp_sealed: Some(sealed), ..member.account.clone() };
    remember_browser(&site, &member.visitor, &account, &mut response);
    Ok(response)
}

fn removal_form(member: &Member, site: &SiteState, error: Option<Text>) -> HttpResponse {
    let l = member.locale();
    let body = html! {
        section.card {
            h1 { (l.t(texts::FACTOR)) }
            p.lead { (l.t(texts::FACTOR_ON)) }
            @if let Some(error) = error { (error_notice(l.t(error))) }
            @if is_required(member, site) {
                p { (l.t(texts::FACTOR_REQUIRED)) }
            } @else {
                form method="post" action={ (PATH) "/remove" } {
                    (form_token(member))
                    (password_field(member, "password", texts::CURRENT_PASSWORD))
                    (Field::new("code", l.t(accounts::CODE)).hint(l.t(accounts::STEP_HINT)).autocomplete("one-time-code"))
                    button.danger type="submit" { (l.t(texts::DO_FACTOR_OFF)) }
                }
            }
        }
    };
    let page = Page::new(NavItem::Settings, l.t(texts::FACTOR), body);
    page.with_status(form_status(error)).respond(member)
}

async fn turn_off(Posted(member, fields): Posted<Member>, site: Site) -> PageResult {
    if is_required(&member, &site) {
        return Ok(removal_form(&member, &site, Some(texts::FACTOR_REQUIRED)));
    }
    let Some(sealed) = &member.account.totp_sealed else {
        return Ok(redirect(&member, "/dashboard/settings"));
    };
    if !is_password(&site, &member, &fields, "password").await? {
        return Ok(removal_form(&member, &site, Some(texts::PASSWORD_WRONG)));
    }
    if !is_code(&site, &member, &fields, sealed).await? {
        return Ok(removal_form(&member, &site, Some(accounts::CODE_WRONG)));
    }
    site.store.accounts().set_totp(member.id(), None, Some(member.session.id)).await?;
    notices::second_factor_changed(&site.mailer, &member.account, member.locale().language, false);
    let mut response = redirect(&member, "/dashboard/settings?saved=1");
    let account = Account { totp_sealed: None, ..member.account.clone() };
    remember_browser(&site, &member.visitor, &account, &mut response);
    Ok(response)
}

/// Consumes the form's code: a code of the app that was not used before, or the recovery code. Returns false if it is
/// wrong. The form's password must be verified before.
///
/// # Errors
/// If there were too many attempts, or the database fails.
async fn is_code(
    site: &SiteState,
    member: &Member,
    fields: &Fields,
    sealed: &[u8],
) -> Result<bool, PageError> {
    let id = member.id();
    let caller = Caller::session(member.session.id);
    check_limit(site, Attempt::Code, member, caller, &id.to_string())?;
    let key = totp::derive_key(&site.hasher, fields.secret("password"), sealed).await?;
    let secret = key.and_then(|key| totp::open(&key, sealed, id));
    let secret = secret.ok_or_else(|| PageError::internal(member.locale()))?;
    let code = fields.trimmed("code");
    let accounts = site.store.accounts();
    let is_right = match secret.step_of(code, unix_ms()) {
        Some(step) => accounts.use_totp_step(id, step).await?,
        None => {
            accounts
                .use_recovery_code(id, totp::recovery_hash(code), Some(member.session.id))
                .await?
        }
    };
    Ok(is_right)
}
