//! Confirms a new account's e-mail address by a link that works once, for a day.
//!
//! Sign-up shows the same page whether or not the address has an account. Only the owner of the mailbox learns
//! which.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use maud::html;
use nexo_actors::clock::unix_ms;
use nexo_domain::account::email::EmailAddress;
use nexo_domain::billing::referral::ReferralCode;
use nexo_domain::ids::AccountId;
use nexo_domain::otp::Language;
use nexo_entities::store::accounts::ReferralVisit;
use nexo_entities::store::accounts::sign_up::PendingSignUp;
use nexo_entities::store::{Conflict, StoreError};

use super::credentials::check_limit;
use super::limits::{Attempt, Caller};
use super::link_pages::{link_expired, link_sent};
use super::session::enter;
use super::tokens;
use crate::dashboard::mail::Email;
use crate::dashboard::texts::{Translate, accounts as texts};
use crate::dashboard::web::*;

const LINK_TTL_MS: i64 = 86_400_000;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/confirm").get(show).post(confirm));
}

/// A sign-up whose address is not confirmed yet.
pub struct SignUpRequest {
    pub email: EmailAddress,
    /// Argon2id, in PHC's text form.
    pub password_hash: String,
    pub language: Language,
    /// The referral code and the account that the browser was signed in to, if it followed a referral link.
    pub landing: Option<(ReferralCode, Option<AccountId>)>,
}

/// Shows the same page for every address. The e-mail is sent after the response.
///
/// # Errors
/// If this address was sent too many e-mails recently.
pub fn request(site: &Site, visitor: &Visitor, request: SignUpRequest) -> PageResult {
    // All addresses of one mailbox share a limit.
    let caller = Caller::Stranger(visitor.address);
    let mailbox = request.email.mailbox();
    check_limit(site, Attempt::SendEmail, visitor, caller, &mailbox)?;
    let l = visitor.locale;
    let text = l.t_with(texts::CONFIRM_SENT, &[("email", &request.email.as_str())]);
    let site = site.clone();
    actix_web::rt::spawn(async move {
        if let Err(error) = send_link(&site, request).await {
            tracing::error!(%error, "a confirmation e-mail could not be prepared");
        }
    });
    Ok(link_sent(visitor, &text))
}

async fn send_link(site: &SiteState, request: SignUpRequest) -> Result<(), StoreError> {
    let (l, email) = (request.language, request.email.as_str());
    let (subject, text) = match site.store.accounts().by_email(email).await? {
        Some(_) => {
            let link = site.public_url.link("/auth/sign-in");
            let text = l.t_with(texts::KNOWN_MAIL_TEXT, &[("link", &link)]);
            (texts::KNOWN_MAIL_SUBJECT, text)
        }
        None => {
            let token = tokens::new_token();
            let now = unix_ms();
            let pending = PendingSignUp {
                email,
                password_hash: request.password_hash,
                page_language: l,
                landing: request.landing.as_ref().map(|(code, account)| ReferralVisit {
                    code: code.as_str(),
                    signed_in_as: *account,
                }),
                created_at_ms: now,
                expires_at_ms: now + LINK_TTL_MS,
            };
            site.store.accounts().begin_sign_up(tokens::hash(&token), pending).await?;
            let path = format!("/auth/confirm?token={}", token.as_str());
            let link = site.public_url.link(&path);
            let text = l.t_with(texts::CONFIRM_MAIL_TEXT, &[("link", &link)]);
            (texts::CONFIRM_MAIL_SUBJECT, text)
        }
    };
    let email = Email { to: email.to_owned(), subject: l.t(subject).to_owned(), text };
    site.send_within_quota(email).await;
    Ok(())
}

/// The e-mail address of a link's sign-up; `None` if the link does not work any more.
async fn pending(site: &SiteState, token: &str) -> Result<Option<String>, PageError> {
    if !tokens::is_token(token) {
        return Ok(None);
    }
    let hash = tokens::hash(token);
    let pending = site.store.accounts().pending_sign_up(&hash, unix_ms());
    Ok(pending.await?)
}

/// A button opens the account. Programs that only fetch the links of e-mails do not open one.
async fn show(request: HttpRequest, visitor: Visitor, site: Site) -> PageResult {
    let token = query(&request, "token").unwrap_or_default();
    let Some(email) = pending(&site, &token).await? else {
        return Ok(expired(&visitor));
    };
    let l = visitor.locale;
    let body = html! {
        h1 { (l.t(texts::CONFIRM_TITLE)) }
        p.lead { (email) }
        form method="post" action="/auth/confirm" {
            (form_token(&visitor))
            input type="hidden" name="token" value=(token);
            button.wide type="submit" { (l.t(texts::DO_CONFIRM)) }
        }
    };
    let title = texts::CONFIRM_TITLE;
    Ok(standalone(&visitor, title, StatusCode::OK, body))
}

fn expired(visitor: &Visitor) -> HttpResponse {
    let l = visitor.locale;
    let next = html! {
        p { a.button href="/auth/sign-up" { (l.t(texts::SIGN_UP_TITLE)) } }
        p.aside {
            (l.t(texts::HAS_ACCOUNT)) " "
            a href="/auth/sign-in" { (l.t(texts::SIGN_IN_TITLE)) }
        }
    };
    link_expired(visitor, texts::CONFIRM_EXPIRED, next)
}

async fn confirm(Posted(visitor, fields): Posted<Visitor>, site: Site) -> PageResult {
    let token = fields.trimmed("token");
    if pending(&site, token).await?.is_none() {
        return Ok(expired(&visitor));
    }
    let caller = Caller::link(token);
    check_limit(&site, Attempt::SignUp, &visitor, caller, token)?;
    let opened = site
        .store
        .accounts()
        .finish_sign_up(&tokens::hash(token), site.sign_up_offer(), unix_ms())
        .await;
    match opened {
        Ok(Some(signed_up)) => enter(&site, &visitor, signed_up).await,
        // Another link for the same address was used first.
        Ok(None) | Err(StoreError::Conflict(Conflict::EmailTaken)) => Ok(expired(&visitor)),
        Err(error) => Err(error.into()),
    }
}
