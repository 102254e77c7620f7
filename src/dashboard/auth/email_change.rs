//! Changes an account's e-mail address. With a mail server, a link to the new address confirms it first; the link
//! works once, for a day. Without one the change takes effect at once, as sign-up does.
//!
//! A change ends the links that were sent to the old address, and the account's other sessions. Both addresses are
//! notified.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use maud::html;
use nexo_actors::clock::unix_ms;
use nexo_domain::account::email::EmailAddress;
use nexo_entities::store::accounts::Account;
use nexo_entities::store::accounts::email_changes::{NewEmailChange, PendingEmailChange};
use nexo_entities::store::{Conflict, StoreError};

use super::credentials::check_limit;
use super::limits::{Attempt, Caller};
use super::link_pages::link_expired;
use super::session::remember_browser;
use super::tokens;
use crate::dashboard::mail::{Email, notices};
use crate::dashboard::texts::{Translate, accounts as texts};
use crate::dashboard::web::*;

const LINK_TTL_MS: i64 = 86_400_000;
const PATH: &str = "/auth/confirm-email";

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/confirm-email").get(show).post(confirm));
}

/// What became of a requested change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailChange {
    /// The new address was sent a link.
    LinkSent,
    /// The account has the new address.
    Done,
    /// Another account has the address. Only reported without a mail server.
    Taken,
}

/// Requests the change of the member's address, after the password was checked.
///
/// # Errors
/// If too many e-mails were sent to the new address, or the database fails.
pub async fn request(
    site: &SiteState,
    member: &Member,
    email: &EmailAddress,
) -> Result<EmailChange, PageError> {
    let accounts = site.store.accounts();
    if !site.mailer.is_configured() {
        let session = Some(member.session.id);
        return match accounts.set_email(member.id(), email.as_str(), session).await {
            Err(StoreError::Conflict(Conflict::EmailTaken)) => Ok(EmailChange::Taken),
            changed => {
                changed?;
                let (before, l) = (&member.account, member.locale());
                notices::email_changed(&site.mailer, before, l.language, email.as_str());
                Ok(EmailChange::Done)
            }
        };
    }
    // To the new mailbox, the member is a stranger.
    let caller = Caller::Stranger(member.visitor.address);
    check_limit(site, Attempt::SendEmail, member, caller, &email.mailbox())?;
    let token = tokens::new_token();
    let now = unix_ms();
    // Stored for a taken address too, so that the pages do not reveal which addresses have accounts.
    accounts
        .begin_email_change(NewEmailChange {
            account_id: member.id(),
            email: email.as_str(),
            token_hash: tokens::hash(&token),
            at_ms: now,
            expires_at_ms: now + LINK_TTL_MS,
        })
        .await?;
    let l = member.locale();
    let (subject, text) = match accounts.by_email(email.as_str()).await? {
        Some(_) => (texts::KNOWN_MAIL_SUBJECT, l.t(texts::CHANGE_KNOWN_MAIL_TEXT).to_owned()),
        None => {
            let path = format!("{PATH}?token={}", token.as_str());
            let link = site.public_url.link(&path);
            let text = l.t_with(texts::CHANGE_MAIL_TEXT, &[("link", &link)]);
            (texts::CHANGE_MAIL_SUBJECT, text)
        }
    };
    site.mailer.send(Email {
        to: email.as_str().to_owned(),
        subject: l.t(subject).to_owned(),
        text,
    });
    notices::email_change_requested(&site.mailer, &member.account, l.language, email.as_str());
    Ok(EmailChange::LinkSent)
}

/// The change of a link; `None` if the link does not work any more.
async fn pending(site: &SiteState, token: &str) -> Result<Option<PendingEmailChange>, PageError> {
    if !tokens::is_token(token) {
        return Ok(None);
    }
    let hash = tokens::hash(token);
    let pending = site.store.accounts().email_change(&hash, unix_ms());
    Ok(pending.await?)
}

/// A button changes the address. Programs that only fetch the links of e-mails change nothing.
async fn show(request: HttpRequest, visitor: Visitor, site: Site) -> PageResult {
    let token = query(&request, "token").unwrap_or_default();
    let Some(change) = pending(&site, &token).await? else {
        return Ok(expired(&visitor));
    };
    let l = visitor.locale;
    let body = html! {
        h1 { (l.t(texts::CONFIRM_TITLE)) }
        p.lead { (l.t_with(texts::CHANGE_LEAD, &[("email", &change.email)])) }
        form method="post" action=(PATH) {
            (form_token(&visitor))
            input type="hidden" name="token" value=(token);
            button.wide type="submit" { (l.t(texts::DO_CHANGE)) }
        }
    };
    let title = texts::CONFIRM_TITLE;
    Ok(standalone(&visitor, title, StatusCode::OK, body))
}

fn expired(visitor: &Visitor) -> HttpResponse {
    let label = visitor.locale.t(texts::TO_SETTINGS);
    let next = html! { p { a.button href="/dashboard/settings" { (label) } } };
    link_expired(visitor, texts::CHANGE_EXPIRED, next)
}

async fn confirm(Posted(visitor, fields): Posted<Visitor>, site: Site) -> PageResult {
    let token = fields.trimmed("token");
    let Some(change) = pending(&site, token).await? else {
        return Ok(expired(&visitor));
    };
    let caller = Caller::link(token);
    check_limit(&site, Attempt::SignUp, &visitor, caller, &change.email)?;
    let own_session = visitor.signed_in.as_ref();
    let own_session = own_session.filter(|(_, account)| account.id == change.account_id);
    let kept_session = own_session.map(|(session, _)| session.id);
    let finished = site
        .store
        .accounts()
        .finish_email_change(&tokens::hash(token), kept_session, unix_ms())
        .await;
    let before = match finished {
        Ok(Some(before)) => before,
        // Another account took the address meanwhile.
        Ok(None) | Err(StoreError::Conflict(Conflict::EmailTaken)) => return Ok(expired(&visitor)),
        // The visitor may be signed out, so the form's check does not know the account.
        Err(StoreError::Conflict(Conflict::AccountSuspended)) => {
            return Err(PageError::new(ErrorKind::Suspended, visitor.locale));
        }
        Err(error) => return Err(error.into()),
    };
    notices::email_changed(&site.mailer, &before, visitor.locale.language, &change.email);
    if kept_session.is_none() {
        return Ok(redirect(&visitor, "/auth/sign-in"));
    }
    let account = Account { email: change.email, ..before };
    let mut response = redirect(&visitor, "/dashboard/settings?saved=1");
    remember_browser(&site, &visitor, &account, &mut response);
    Ok(response)
}
