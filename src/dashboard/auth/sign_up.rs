//! Sign-up. Without a mail server the account opens at once; otherwise its address is confirmed first
//! ([`super::confirmation`]).

use actix_web::{HttpResponse, web};
use maud::html;
use nexo_actors::clock::unix_ms;
use nexo_domain::account::email::EmailAddress;
use nexo_entities::store::accounts::sign_up::SignUp;
use nexo_entities::store::accounts::{NewAccount, ReferralVisit};
use nexo_entities::store::{Conflict, StoreError};

use super::confirmation::{self, SignUpRequest};
use super::credentials::{
    check_limit, check_password, email_field, form_status, hash_password_of, password_field,
    password_hint,
};
use super::limits::{Attempt, Caller};
use super::session::enter;
use crate::dashboard::components::*;
use crate::dashboard::texts::{Translate, accounts as texts};
use crate::dashboard::web::*;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/sign-up").get(show).post(sign_up));
}

async fn show(visitor: Visitor, site: Site) -> HttpResponse {
    match visitor.signed_in.is_some() {
        true => redirect(&visitor, "/dashboard"),
        false => form(&visitor, &site, "", None),
    }
}

fn form(visitor: &Visitor, site: &SiteState, email: &str, error: Option<&str>) -> HttpResponse {
    let l = visitor.locale;
    let free_otps = site.free_otps();
    let hint = password_hint(visitor);
    let body = html! {
        h1 { (l.t(texts::SIGN_UP_TITLE)) }
        @if free_otps > 0 {
            p.lead { (l.t_with(texts::SIGN_UP_LEAD, &[("count", &free_otps)])) }
            p.hint { (l.t(texts::SIGN_UP_ONCE)) }
        }
        @if let Some(error) = error { (error_notice(error)) }
        form method="post" action="/auth/sign-up" {
            (form_token(visitor))
            (email_field(visitor, email))
            (password_field(visitor, "password", texts::PASSWORD)
                .autocomplete("new-password").hint(hint.as_str()))
            button.wide type="submit" { (l.t(texts::DO_SIGN_UP)) }
        }
        p.aside { (l.t(texts::AGREE)) }
        p.aside {
            (l.t(texts::HAS_ACCOUNT)) " "
            a href="/auth/sign-in" { (l.t(texts::SIGN_IN_TITLE)) }
        }
    };
    standalone(visitor, texts::SIGN_UP_TITLE, form_status(error), body)
}

async fn sign_up(Posted(visitor, fields): Posted<Visitor>, site: Site) -> PageResult {
    let l = visitor.locale;
    let typed = fields.trimmed("email");
    let caller = Caller::Stranger(visitor.address);
    let counted = typed.to_lowercase();
    check_limit(&site, Attempt::SignUp, &visitor, caller, &counted)?;
    let Ok(email) = typed.parse::<EmailAddress>() else {
        let error = l.t(texts::EMAIL_WRONG);
        return Ok(form(&visitor, &site, typed, Some(error)));
    };
    let password = fields.secret("password");
    // A password that breaks a rule does not use up the quota.
    if let Err(error) = check_password(&site, &visitor, &password, email.as_str()) {
        return Ok(form(&visitor, &site, typed, Some(&error)));
    }
    // Taken before the hash, so that a network without sign-ups left cannot fill the queue of hashes.
    site.quotas.take_sign_up(visitor.address).await?;
    // Hashed for every address, so that the response time does not reveal which ones have an account. A session does
    // not make the caller a proven one: it is of another account.
    let hashed = hash_password_of(&site, &visitor, caller, password, email.as_str());
    let password_hash = match hashed.await? {
        Ok(hash) => hash,
        Err(error) => return Ok(form(&visitor, &site, typed, Some(&error))),
    };
    let landing = visitor.referral.clone();
    let landing = landing.map(|code| (code, visitor.signed_in.as_ref().map(|(_, a)| a.id)));
    if site.mailer.is_configured() {
        let request = SignUpRequest { email, password_hash, language: l.language, landing };
        return confirmation::request(&site, &visitor, request);
    }
    let opened = site
        .store
        .accounts()
        .sign_up(SignUp {
            account: NewAccount {
                email: email.as_str(),
                password_hash: Some(password_hash),
                operator: false,
                language: None,
                page_language: Some(l.language),
                created_at_ms: unix_ms(),
            },
            landing: landing.as_ref().map(|(code, account)| ReferralVisit {
                code: code.as_str(),
                signed_in_as: *account,
            }),
            offer: site.sign_up_offer(),
        })
        .await;
    if let Err(StoreError::Conflict(Conflict::EmailTaken)) = opened {
        let error = l.t(texts::EMAIL_TAKEN);
        return Ok(form(&visitor, &site, typed, Some(error)));
    }
    enter(&site, &visitor, opened?).await
}
