//! Resets a forgotten password by an e-mailed link that works once, for an hour.

use std::net::IpAddr;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use maud::html;
use nexo_actors::clock::unix_ms;
use nexo_domain::account::email::EmailAddress;
use nexo_domain::otp::Language;
use nexo_entities::StoreError;
use nexo_entities::store::accounts::Account;
use nexo_entities::store::accounts::passwords::NewPassword;

use super::credentials::{
    caller_for, check_limit, email_field, form_status, hash_password_of, password_field,
    password_hint,
};
use super::limits::{Attempt, Caller};
use super::link_pages::{link_expired, link_sent};
use super::session::remember_browser;
use super::{tokens, totp};
use crate::dashboard::components::*;
use crate::dashboard::mail::{Email, notices};
use crate::dashboard::texts::{Translate, accounts as texts};
use crate::dashboard::web::*;

const LINK_TTL_MS: i64 = 3_600_000;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/reset").get(show).post(request))
        .service(web::resource("/new-password").get(show_new).post(set_password));
}

async fn show(visitor: Visitor) -> HttpResponse {
    let l = visitor.locale;
    let body = html! {
        h1 { (l.t(texts::RESET_TITLE)) }
        p.lead { (l.t(texts::RESET_LEAD)) }
        form method="post" action="/auth/reset" {
            (form_token(&visitor))
            (email_field(&visitor, ""))
            button.wide type="submit" { (l.t(texts::DO_RESET)) }
        }
        p.aside { a href="/auth/sign-in" { (l.t(texts::SIGN_IN_TITLE)) } }
    };
    standalone(&visitor, texts::RESET_TITLE, StatusCode::OK, body)
}

/// Shows the same page for every address. The e-mail is sent after the response.
async fn request(Posted(visitor, fields): Posted<Visitor>, site: Site) -> PageResult {
    let typed = fields.trimmed("email").to_lowercase();
    let caller = caller_for(&site, &visitor, &typed).await?;
    let email = typed.parse::<EmailAddress>();
    let mailbox = email.as_ref().map_or_else(|_| typed.clone(), EmailAddress::mailbox);
    check_limit(&site, Attempt::SendEmail, &visitor, caller, &mailbox)?;
    let (l, address) = (visitor.locale, visitor.address);
    if let Ok(email) = email {
        actix_web::rt::spawn(async move {
            if let Err(error) = send_link(&site, &email, address, l.language).await {
                tracing::warn!(%error, "a password reset e-mail was not sent");
            }
        });
    }
    let text = l.t_with(texts::RESET_SENT, &[("email", &typed)]);
    Ok(link_sent(&visitor, &text))
}

async fn send_link(
    site: &SiteState,
    email: &EmailAddress,
    address: IpAddr,
    language: Language,
) -> Result<(), StoreError> {
    let account = site.store.accounts().by_email(email.as_str()).await?;
    let Some(account) = account.filter(|account| account.closed_at_ms.is_none()) else {
        return Ok(());
    };
    site.quotas.take_password_reset(account.id, address).await?;
    let token = tokens::new_token();
    let now = unix_ms();
    let (hash, expires_at) = (tokens::hash(&token), now + LINK_TTL_MS);
    let begun =
        site.store.accounts().begin_reset(account.id, &account.email, hash, now, expires_at);
    if !begun.await? {
        // The address was changed meanwhile.
        return Ok(());
    }
    let language = account.page_language.unwrap_or(language);
    let link = site.public_url.link(&format!("/auth/new-password?token={}", token.as_str()));
    let email = Email {
        to: account.email,
        subject: language.t(texts::MAIL_SUBJECT).to_owned(),
        text: language.t_with(texts::MAIL_TEXT, &[("link", &link)]),
    };
    // Not within the mailbox's quota of e-mails, which strangers can use up: resets have a quota of their own.
    site.mailer.send(email);
    Ok(())
}

/// The open account of a link's token; `None` if the link does not work any more.
async fn account_of(site: &SiteState, token: &str) -> Result<Option<Account>, PageError> {
    if !tokens::is_token(token) {
        return Ok(None);
    }
    let hash = tokens::hash(token);
    let Some(id) = site.store.accounts().reset_account(&hash, unix_ms()).await? else {
        return Ok(None);
    };
    let account = site.store.accounts().get(id).await?;
    Ok(account.filter(|account| account.closed_at_ms.is_none()))
}

async fn show_new(request: HttpRequest, visitor: Visitor, site: Site) -> PageResult {
    let token = query(&request, "token").unwrap_or_default();
    match account_of(&site, &token).await? {
        Some(account) => Ok(form(&visitor, &account, &token, None)),
        None => Ok(expired(&visitor)),
    }
}

fn expired(visitor: &Visitor) -> HttpResponse {
    let label = visitor.locale.t(texts::RESET_AGAIN);
    let next = html! { p { a.button href="/auth/reset" { (label) } } };
    link_expired(visitor, texts::RESET_EXPIRED, next)
}

fn form(visitor: &Visitor, account: &Account, token: &str, error: Option<&str>) -> HttpResponse {
    let l = visitor.locale;
    let hint = password_hint(visitor);
    let body = html! {
        h1 { (l.t(texts::RESET_TITLE)) }
        p.lead { (account.email) }
        @if let Some(error) = error { (error_notice(error)) }
        form method="post" action="/auth/new-password" {
            (form_token(visitor))
            input type="hidden" name="token" value=(token);
            (password_field(visitor, "password", texts::NEW_PASSWORD)
                .autocomplete("new-password").hint(hint.as_str()))
            @if account.totp_sealed.is_some() {
                (Field::new("recovery", l.t(texts::RESET_RECOVERY)).hint(l.t(texts::RESET_RECOVERY_HINT)))
            }
            button.wide type="submit" { (l.t(texts::DO_SET_PASSWORD)) }
        }
    };
    standalone(visitor, texts::RESET_TITLE, form_status(error), body)
}

async fn set_password(Posted(visitor, fields): Posted<Visitor>, site: Site) -> PageResult {
    let token = fields.trimmed("token");
    let Some(account) = account_of(&site, token).await? else {
        return Ok(expired(&visitor));
    };
    let caller = Caller::link(token);
    check_limit(&site, Attempt::Password, &visitor, caller, &account.email)?;
    let password = fields.secret("password");
    let hashed = hash_password_of(&site, &visitor, caller, password, &account.email);
    let hash = match hashed.await? {
        Ok(hash) => hash,
        Err(error) => return Ok(form(&visitor, &account, token, Some(&error))),
    };
    if account.totp_sealed.is_some() {
        let code = totp::recovery_hash(fields.get("recovery"));
        if !site.store.accounts().use_recovery_code(account.id, code, None).await? {
            let error = visitor.locale.t(texts::CODE_WRONG);
            return Ok(form(&visitor, &account, token, Some(error)));
        }
    }
    let new = NewPassword {
        account_id: account.id,
        hash: hash.clone(),
        totp_sealed: None,
        kept_session: None,
        at_ms: unix_ms(),
    };
    let finished = site.store.accounts().finish_reset(&tokens::hash(token), new).await?;
    if !finished {
        return Ok(expired(&visitor));
    }
    notices::password_changed(&site.mailer, &account, visitor.locale.language);
    if account.totp_sealed.is_some() {
        notices::second_factor_changed(&site.mailer, &account, visitor.locale.language, false);
    }
    let account = Account { password_hash: Some(hash), totp_sealed: None, ..account };
    let mut response = redirect(&visitor, "/auth/sign-in");
    // The owner of the mailbox chose this password here, so strangers do not slow down the sign-in that follows.
    remember_browser(&site, &visitor, &account, &mut response);
    Ok(response)
}
