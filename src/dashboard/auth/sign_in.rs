//! Sign-in: the password, then the second factor if the account has one.

use actix_web::cookie::time::Duration as CookieDuration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::{HttpRequest, HttpResponse, web};
use maud::html;
use nexo_actors::clock::unix_ms;
use nexo_domain::account::email::EmailAddress;
use nexo_domain::otp::Language;
use nexo_entities::store::accounts::Account;
use nexo_entities::store::accounts::sessions::Credentials;
use url::form_urlencoded;

use super::credentials::{
    caller_for, caller_of, check_limit, check_unproven_code, email_field, form_status,
    password_field,
};
use super::limits::Attempt;
use super::session::open_session;
use super::totp;
use super::totp::{SecondStepTicket, TotpSecret};
use crate::dashboard::components::*;
use crate::dashboard::mail::notices;
use crate::dashboard::texts::{Text, Translate, accounts as texts};
use crate::dashboard::web::cookies::{
    SECOND_STEP_COOKIE, cookie_name, expiring_cookie, set_cookie,
};
use crate::dashboard::web::error::safe_next;
use crate::dashboard::web::*;

const STEP_PATH: &str = "/auth/second-step";
/// The time between the password and the code.
const STEP_TTL: CookieDuration = CookieDuration::minutes(5);

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/sign-in").get(show).post(sign_in))
        .service(web::resource("/second-step").get(show_step).post(step));
}

async fn show(request: HttpRequest, visitor: Visitor) -> HttpResponse {
    let next = query(&request, "next");
    let next = safe_next(next.as_deref());
    match visitor.signed_in.is_some() {
        true => redirect(&visitor, next),
        false => form(&visitor, "", next, None),
    }
}

fn form(visitor: &Visitor, email: &str, next: &str, error: Option<Text>) -> HttpResponse {
    let l = visitor.locale;
    let body = html! {
        h1 { (l.t(texts::SIGN_IN_TITLE)) }
        p.lead { (l.t(texts::SIGN_IN_LEAD)) }
        @if let Some(error) = error { (error_notice(l.t(error))) }
        form method="post" action="/auth/sign-in" {
            (form_token(visitor))
            input type="hidden" name="next" value=(next);
            (email_field(visitor, email))
            (password_field(visitor, "password", texts::PASSWORD))
            button.wide type="submit" { (l.t(texts::DO_SIGN_IN)) }
        }
        p.aside { a href="/auth/reset" { (l.t(texts::FORGOT)) } }
        p.aside {
            (l.t(texts::NO_ACCOUNT)) " "
            a href="/auth/sign-up" { (l.t(texts::SIGN_UP_TITLE)) }
        }
    };
    standalone(visitor, texts::SIGN_IN_TITLE, form_status(error), body)
}

async fn sign_in(Posted(visitor, fields): Posted<Visitor>, site: Site) -> PageResult {
    let typed = fields.trimmed("email");
    let next = safe_next(Some(fields.get("next")));
    let counted = typed.to_lowercase();
    let caller = caller_for(&site, &visitor, &counted).await?;
    check_limit(&site, Attempt::Password, &visitor, caller, &counted)?;
    let email = typed.parse::<EmailAddress>();
    // A malformed address is looked up too, so that it takes as long as any other.
    let email = email.as_ref().map_or("", EmailAddress::as_str);
    let account = site.store.accounts().by_email(email).await?;
    let account = account.filter(|account| account.closed_at_ms.is_none());
    let hash = account.as_ref().and_then(|account| account.password_hash.clone());
    let is_right =
        site.hasher.verify(caller.priority(), fields.secret("password"), hash.clone()).await?;
    let Some(account) = account.filter(|_| is_right) else {
        return Ok(form(&visitor, typed, next, Some(texts::WRONG)));
    };
    let Some(sealed) = &account.totp_sealed else {
        let proven = Credentials { password_hash: hash, totp_sealed: None };
        return open_session(&site, &visitor, account.id, Some(proven), next).await;
    };
    let key = totp::derive_key(&site.hasher, fields.secret("password"), sealed).await?;
    let ticket = SecondStepTicket {
        account: account.id,
        key: key.ok_or_else(|| PageError::internal(visitor.locale))?,
    };
    let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
    let mut response = redirect(&visitor, &format!("{STEP_PATH}?next={next}"));
    set_cookie(&mut response, &ticket_cookie(&site, Some(&ticket)));
    Ok(response)
}

fn ticket_cookie(site: &SiteState, ticket: Option<&SecondStepTicket>) -> Cookie<'static> {
    let value = ticket.map(|ticket| (ticket.encode().to_string(), STEP_TTL));
    let mut cookie = expiring_cookie(site, SECOND_STEP_COOKIE, value);
    cookie.set_same_site(SameSite::Strict);
    cookie
}

fn ticket(request: &HttpRequest, site: &SiteState) -> Option<SecondStepTicket> {
    let cookie = request.cookie(&cookie_name(site, SECOND_STEP_COOKIE))?;
    SecondStepTicket::parse(cookie.value())
}

async fn show_step(request: HttpRequest, visitor: Visitor, site: Site) -> HttpResponse {
    let next = query(&request, "next");
    match ticket(&request, &site) {
        Some(_) => step_form(&visitor, safe_next(next.as_deref()), None),
        None => redirect(&visitor, "/auth/sign-in"),
    }
}

fn step_form(visitor: &Visitor, next: &str, error: Option<Text>) -> HttpResponse {
    let l = visitor.locale;
    let body = html! {
        h1 { (l.t(texts::STEP_TITLE)) }
        p.lead { (l.t(texts::STEP_LEAD)) }
        @if let Some(error) = error { (error_notice(l.t(error))) }
        form method="post" action=(STEP_PATH) {
            (form_token(visitor))
            input type="hidden" name="next" value=(next);
            (Field::new("code", l.t(texts::CODE)).hint(l.t(texts::STEP_HINT)).autocomplete("one-time-code"))
            button.wide type="submit" { (l.t(texts::DO_SIGN_IN)) }
        }
    };
    standalone(visitor, texts::STEP_TITLE, form_status(error), body)
}

async fn step(
    request: HttpRequest,
    Posted(visitor, fields): Posted<Visitor>,
    site: Site,
) -> PageResult {
    let next = safe_next(Some(fields.get("next")));
    let Some(ticket) = ticket(&request, &site) else {
        return Ok(redirect(&visitor, "/auth/sign-in"));
    };
    let account = site.store.accounts().get(ticket.account).await?;
    let account = account.filter(|account| account.closed_at_ms.is_none());
    let secret = account.as_ref().and_then(|account| {
        let sealed = account.totp_sealed.as_ref()?;
        totp::open(&ticket.key, sealed, account.id)
    });
    let proven = match (&account, secret) {
        (Some(account), Some(secret)) => {
            let caller = caller_of(&visitor, account);
            let id = account.id.to_string();
            check_limit(&site, Attempt::Code, &visitor, caller, &id)?;
            check_code(&site, account, &secret, fields.trimmed("code")).await?
        }
        _ => {
            // This ticket proves no password, so it must not use up or push out the limits of accounts.
            check_unproven_code(&site, &visitor)?;
            None
        }
    };
    let (Some(account), Some(proven)) = (account, proven) else {
        return Ok(step_form(&visitor, next, Some(texts::CODE_WRONG)));
    };
    let mut response = open_session(&site, &visitor, account.id, Some(proven), next).await?;
    set_cookie(&mut response, &ticket_cookie(&site, None));
    Ok(response)
}

/// Accepts the app's code, if it was not used before, or the recovery code, which turns the second factor off. Returns
/// the credentials that the account has then.
async fn check_code(
    site: &SiteState,
    account: &Account,
    secret: &TotpSecret,
    code: &str,
) -> Result<Option<Credentials>, PageError> {
    let accounts = site.store.accounts();
    let password_hash = account.password_hash.clone();
    if let Some(step) = secret.step_of(code, unix_ms()) {
        let is_right = accounts.use_totp_step(account.id, step).await?;
        let totp_sealed = account.totp_sealed.clone();
        return Ok(is_right.then_some(Credentials { password_hash, totp_sealed }));
    }
    let recovery = totp::recovery_hash(code);
    let is_right = accounts.use_recovery_code(account.id, recovery, None).await?;
    if is_right {
        notices::second_factor_changed(&site.mailer, account, Language::En, false);
    }
    Ok(is_right.then_some(Credentials { password_hash, totp_sealed: None }))
}
