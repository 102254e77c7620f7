//! Confirming the address of a new account, where letters can be sent: a link by mail, once, for a day.
//!
//! Whoever signs up sees the same page whether the address is free or has an account: only who reads its mail
//! learns which.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use maud::html;
use nexo_actors::clock::unix_ms;
use nexo_domain::account::email::EmailAddress;
use nexo_domain::billing::referral::ReferralCode;
use nexo_domain::ids::AccountId;
use nexo_domain::otp::Language;
use nexo_entities::store::accounts::accounts::Landing;
use nexo_entities::store::accounts::sign_up::PendingSignUp;
use nexo_entities::store::{Conflict, StoreError};

use super::sign_in::{query, session_for, set_cookie, throttled};
use super::throttle::Attempt;
use super::tokens;
use crate::dashboard::texts::{Say, accounts as texts};
use crate::dashboard::web::error::Refused;
use crate::dashboard::web::extract::Visitor;
use crate::dashboard::web::form::Posted;
use crate::dashboard::web::page::{alone, form_token, go};
use crate::dashboard::{Letter, Site};

const LINK_LASTS_MS: i64 = 86_400_000;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/confirm").get(show).post(confirm));
}

/// Who wants an account, as far as the form says.
pub struct Wish {
    pub email: EmailAddress,
    /// Argon2id, in PHC's text form.
    pub password_hash: String,
    pub language: Language,
    /// The code of the link they came by, and whose session their browser has.
    pub landing: Option<(ReferralCode, Option<AccountId>)>,
}

/// Answers the same for every address. What differs happens after the answer.
///
/// # Errors
/// Where this address was sent several letters a moment ago.
pub fn ask(site: &web::Data<Site>, visitor: &Visitor, wish: Wish) -> Result<HttpResponse, Refused> {
    throttled(site, Attempt::Letter, visitor, wish.email.as_str())?;
    let l = visitor.language;
    let body = html! {
        h1 { (l.say(texts::RESET_SENT_TITLE)) }
        p.lead { (l.tell(texts::CONFIRM_SENT, &[("email", &wish.email.as_str())])) }
        p.aside { a href="/auth/sign-in" { (l.say(texts::SIGN_IN_TITLE)) } }
    };
    let site = site.clone();
    actix_web::rt::spawn(async move {
        if let Err(error) = send_letter(&site, wish).await {
            tracing::error!(%error, "a letter to a newcomer could not be made");
        }
    });
    Ok(alone(
        visitor,
        texts::RESET_SENT_TITLE,
        StatusCode::OK,
        body,
    ))
}

async fn send_letter(site: &Site, wish: Wish) -> Result<(), StoreError> {
    let (l, email) = (wish.language, wish.email.as_str());
    let (subject, text) = match site.store.account_by_email(email).await? {
        Some(_) => {
            let link = site.public_url.link("/auth/sign-in");
            let text = l.tell(texts::KNOWN_MAIL_TEXT, &[("link", &link)]);
            (texts::KNOWN_MAIL_SUBJECT, text)
        }
        None => {
            let token = tokens::new_token();
            let now = unix_ms();
            let pending = PendingSignUp {
                email,
                password_hash: wish.password_hash,
                page_language: l,
                landing: wish.landing.as_ref().map(|(code, account)| Landing {
                    code: code.as_str(),
                    signed_in_as: *account,
                }),
                created_at_ms: now,
                expires_at_ms: now + LINK_LASTS_MS,
            };
            site.store
                .begin_sign_up(tokens::hash(&token), pending)
                .await?;
            let path = format!("/auth/confirm?token={}", token.as_str());
            let link = site.public_url.link(&path);
            let text = l.tell(texts::CONFIRM_MAIL_TEXT, &[("link", &link)]);
            (texts::CONFIRM_MAIL_SUBJECT, text)
        }
    };
    site.mailer.post(Letter {
        to: email.to_owned(),
        subject: l.say(subject).to_owned(),
        text,
    });
    Ok(())
}

/// The account is opened by a button: what only looks at links in letters opens none.
async fn show(
    request: HttpRequest,
    visitor: Visitor,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let token = query(&request, "token").unwrap_or_default();
    let email = match tokens::is_token(&token) {
        true => {
            let hash = tokens::hash(&token);
            site.store.pending_sign_up(&hash, unix_ms()).await?
        }
        false => None,
    };
    let Some(email) = email else {
        return Ok(lost(&visitor));
    };
    let l = visitor.language;
    let body = html! {
        h1 { (l.say(texts::CONFIRM_TITLE)) }
        p.lead { (email) }
        form method="post" action="/auth/confirm" {
            (form_token(&visitor))
            input type="hidden" name="token" value=(token);
            button.wide type="submit" { (l.say(texts::DO_CONFIRM)) }
        }
    };
    Ok(alone(&visitor, texts::CONFIRM_TITLE, StatusCode::OK, body))
}

fn lost(visitor: &Visitor) -> HttpResponse {
    let l = visitor.language;
    let body = html! {
        h1 { (l.say(texts::RESET_LOST_TITLE)) }
        p.lead { (l.say(texts::CONFIRM_LOST)) }
        p { a.button href="/auth/sign-up" { (l.say(texts::SIGN_UP_TITLE)) } }
        p.aside {
            (l.say(texts::HAS_ACCOUNT)) " "
            a href="/auth/sign-in" { (l.say(texts::SIGN_IN_TITLE)) }
        }
    };
    alone(visitor, texts::RESET_LOST_TITLE, StatusCode::GONE, body)
}

async fn confirm(posted: Posted<Visitor>, site: web::Data<Site>) -> Result<HttpResponse, Refused> {
    let Posted {
        who: visitor,
        fields,
    } = posted;
    let token = fields.trimmed("token");
    throttled(&site, Attempt::SignUp, &visitor, token)?;
    if !tokens::is_token(token) {
        return Ok(lost(&visitor));
    }
    let free = site.terms.now().free_credit;
    let opened = site
        .store
        .finish_sign_up(&tokens::hash(token), free, unix_ms())
        .await;
    let account = match opened {
        // Another link for the same address was quicker.
        Ok(None) | Err(StoreError::Conflict(Conflict::EmailTaken)) => return Ok(lost(&visitor)),
        Ok(Some(account)) => account,
        Err(error) => return Err(error.into()),
    };
    let mut answer = go(&visitor, "/dashboard");
    set_cookie(&mut answer, &session_for(&site, &visitor, account).await?);
    Ok(answer)
}
