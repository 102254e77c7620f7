//! A new password for who forgot the old one: a link by mail, once, for an hour.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use maud::html;
use nexo_actors::clock::unix_ms;
use nexo_domain::account::email::EmailAddress;
use nexo_domain::account::password::MIN_CHARACTERS;
use nexo_domain::ids::AccountId;
use nexo_entities::store::accounts::accounts::Account;
use nexo_entities::store::accounts::passwords::NewPassword;

use super::sign_in::{email_field, password_field, query, status, throttled};
use super::sign_up::refusal;
use super::throttle::Attempt;
use super::{tokens, totp};
use crate::dashboard::texts::{Say, Text, accounts as texts};
use crate::dashboard::web::error::{Refused, Why};
use crate::dashboard::web::extract::{Reader, Visitor};
use crate::dashboard::web::form::Posted;
use crate::dashboard::web::markup::{Field, field, problem};
use crate::dashboard::web::page::{alone, form_token, go};
use crate::dashboard::{Letter, Site};
use crate::password::PasswordError;

const LINK_LASTS_MS: i64 = 3_600_000;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/reset").get(show).post(ask))
        .service(web::resource("/new-password").get(show_new).post(set));
}

async fn show(visitor: Visitor) -> HttpResponse {
    let l = visitor.language;
    let body = html! {
        h1 { (l.say(texts::RESET_TITLE)) }
        p.lead { (l.say(texts::RESET_LEAD)) }
        form method="post" action="/auth/reset" {
            (form_token(&visitor))
            (email_field(&visitor, ""))
            button.wide type="submit" { (l.say(texts::DO_RESET)) }
        }
        p.aside { a href="/auth/sign-in" { (l.say(texts::SIGN_IN_TITLE)) } }
    };
    alone(&visitor, texts::RESET_TITLE, StatusCode::OK, body)
}

/// Says the same for every address. What differs happens after the answer.
async fn ask(posted: Posted<Visitor>, site: web::Data<Site>) -> Result<HttpResponse, Refused> {
    let Posted {
        who: visitor,
        fields,
    } = posted;
    let given = fields.trimmed("email").to_lowercase();
    throttled(&site, Attempt::Letter, &visitor, &given)?;
    if let Ok(email) = given.parse::<EmailAddress>() {
        let site = site.clone();
        let language = visitor.language;
        actix_web::rt::spawn(async move {
            if let Err(error) = send_link(&site, &email, language).await {
                tracing::error!(%error, "a reset link could not be sent");
            }
        });
    }
    let l = visitor.language;
    let body = html! {
        h1 { (l.say(texts::RESET_SENT_TITLE)) }
        p.lead { (l.tell(texts::RESET_SENT, &[("email", &given)])) }
        p.aside { a href="/auth/sign-in" { (l.say(texts::SIGN_IN_TITLE)) } }
    };
    Ok(alone(
        &visitor,
        texts::RESET_SENT_TITLE,
        StatusCode::OK,
        body,
    ))
}

async fn send_link(
    site: &Site,
    email: &EmailAddress,
    language: nexo_domain::otp::Language,
) -> Result<(), nexo_entities::StoreError> {
    let account = site.store.account_by_email(email.as_str()).await?;
    let Some(account) = account.filter(|account| account.closed_at_ms.is_none()) else {
        return Ok(());
    };
    let token = tokens::new_token();
    let now = unix_ms();
    site.store
        .begin_reset(account.id, tokens::hash(&token), now, now + LINK_LASTS_MS)
        .await?;
    let language = account.page_language.unwrap_or(language);
    let link = site
        .public_url
        .link(&format!("/auth/new-password?token={}", token.as_str()));
    site.mailer.post(Letter {
        to: account.email,
        subject: language.say(texts::MAIL_SUBJECT).to_owned(),
        text: language.tell(texts::MAIL_TEXT, &[("link", &link)]),
    });
    Ok(())
}

async fn account_of(site: &Site, token: &str) -> Result<Option<Account>, Refused> {
    if !tokens::is_token(token) {
        return Ok(None);
    }
    let hash = tokens::hash(token);
    let Some(id): Option<AccountId> = site.store.reset_account(&hash, unix_ms()).await? else {
        return Ok(None);
    };
    let account = site.store.account(id).await?;
    Ok(account.filter(|account| account.closed_at_ms.is_none()))
}

async fn show_new(
    request: HttpRequest,
    visitor: Visitor,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let token = query(&request, "token").unwrap_or_default();
    match account_of(&site, &token).await? {
        Some(account) => Ok(form(&visitor, &account, &token, None)),
        None => Ok(lost(&visitor)),
    }
}

fn lost(visitor: &Visitor) -> HttpResponse {
    let l = visitor.language;
    let body = html! {
        h1 { (l.say(texts::RESET_LOST_TITLE)) }
        p.lead { (l.say(texts::RESET_LOST)) }
        p { a.button href="/auth/reset" { (l.say(texts::DO_RESET)) } }
    };
    alone(visitor, texts::RESET_LOST_TITLE, StatusCode::GONE, body)
}

fn form(visitor: &Visitor, account: &Account, token: &str, wrong: Option<Text>) -> HttpResponse {
    let l = visitor.language;
    let hint = l.tell(texts::PASSWORD_HINT, &[("count", &MIN_CHARACTERS)]);
    let body = html! {
        h1 { (l.say(texts::RESET_TITLE)) }
        p.lead { (account.email) }
        @if let Some(wrong) = wrong {
            (problem(&l.tell(wrong, &[("count", &MIN_CHARACTERS)])))
        }
        form method="post" action="/auth/new-password" {
            (form_token(visitor))
            input type="hidden" name="token" value=(token);
            (password_field(visitor, "password", texts::NEW_PASSWORD, "new-password", Some(&hint)))
            @if account.totp_sealed.is_some() {
                (field(&Field {
                    name: "recovery",
                    label: l.say(texts::RESET_RECOVERY),
                    kind: "text",
                    value: "",
                    hint: Some(l.say(texts::RESET_RECOVERY_HINT)),
                    autocomplete: "off",
                    required: true,
                }))
            }
            button.wide type="submit" { (l.say(texts::DO_SET_PASSWORD)) }
        }
    };
    alone(visitor, texts::RESET_TITLE, status(wrong), body)
}

async fn set(posted: Posted<Visitor>, site: web::Data<Site>) -> Result<HttpResponse, Refused> {
    let Posted {
        who: visitor,
        fields,
    } = posted;
    let token = fields.trimmed("token");
    let Some(account) = account_of(&site, token).await? else {
        return Ok(lost(&visitor));
    };
    throttled(&site, Attempt::SignIn, &visitor, &account.id.to_string())?;
    let hashed = site
        .hashing
        .hash(fields.secret("password"), account.email.clone())
        .await?;
    let hash = match hashed {
        Ok(hash) => hash,
        Err(PasswordError::Refused(why)) => {
            return Ok(form(&visitor, &account, token, Some(refusal(why))));
        }
        Err(PasswordError::NotHashed) => {
            return Err(Refused::because(Why::Internal).to(visitor.visitor()));
        }
    };
    if account.totp_sealed.is_some() {
        let code = totp::recovery_hash(fields.get("recovery"));
        if !site.store.take_recovery_code(account.id, code).await? {
            return Ok(form(&visitor, &account, token, Some(texts::CODE_WRONG)));
        }
    }
    let new = NewPassword {
        account_id: account.id,
        hash,
        totp_sealed: None,
        spared: None,
        at_ms: unix_ms(),
    };
    match site.store.finish_reset(&tokens::hash(token), new).await? {
        true => Ok(go(&visitor, "/auth/sign-in")),
        false => Ok(lost(&visitor)),
    }
}
