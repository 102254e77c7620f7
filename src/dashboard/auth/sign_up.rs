//! Signing up. Without a mail server the account is open at once; with one, a letter comes first ([`confirm`]).

use actix_web::{HttpRequest, HttpResponse, web};
use maud::html;
use nexo_actors::clock::unix_ms;
use nexo_domain::account::email::EmailAddress;
use nexo_domain::account::password::{MIN_CHARACTERS, PasswordRefused};
use nexo_entities::store::accounts::accounts::{Landing, NewAccount};
use nexo_entities::store::accounts::sign_up::SignUp;
use nexo_entities::store::{Conflict, StoreError};

use super::confirmation;
use super::confirmation::Wish;
use super::sign_in::{email_field, password_field, session_for, set_cookie, status, throttled};
use super::throttle::Attempt;
use crate::dashboard::Site;
use crate::dashboard::texts::{Say, Text, accounts as texts};
use crate::dashboard::web::error::{Refused, Why};
use crate::dashboard::web::extract::Visitor;
use crate::dashboard::web::form::Posted;
use crate::dashboard::web::markup::problem;
use crate::dashboard::web::page::{Page, form_token, go};
use crate::password::PasswordError;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/sign-up").get(show).post(sign_up));
}

async fn show(visitor: Visitor, site: web::Data<Site>) -> HttpResponse {
    match visitor.signed_in.is_some() {
        true => go(&visitor, "/dashboard"),
        false => form(&visitor, &site, "", None),
    }
}

fn form(visitor: &Visitor, site: &Site, email: &str, wrong: Option<Text>) -> HttpResponse {
    let l = visitor.language;
    let free = site.terms.now().free_credit.get() / site.terms.now().price.get().max(1);
    let hint = l.tell(texts::PASSWORD_HINT, &[("count", &MIN_CHARACTERS)]);
    let body = html! {
        h1 { (l.say(texts::SIGN_UP_TITLE)) }
        @if free > 0 {
            p.lead { (l.tell(texts::SIGN_UP_LEAD, &[("count", &free)])) }
        }
        @if let Some(wrong) = wrong {
            (problem(&l.tell(wrong, &[("count", &MIN_CHARACTERS)])))
        }
        form method="post" action="/auth/sign-up" {
            (form_token(visitor))
            (email_field(visitor, email))
            (password_field(visitor, "password", texts::PASSWORD, "new-password", Some(&hint)))
            button.wide type="submit" { (l.say(texts::DO_SIGN_UP)) }
        }
        p.aside { (l.say(texts::AGREE)) }
        p.aside {
            (l.say(texts::HAS_ACCOUNT)) " "
            a href="/auth/sign-in" { (l.say(texts::SIGN_IN_TITLE)) }
        }
    };
    let page = Page {
        title: l.say(texts::SIGN_UP_TITLE),
        place: None,
        status: status(wrong),
        body,
    };
    page.answer_alone(visitor)
}

/// Which text says that a password is refused.
pub fn refusal(refused: PasswordRefused) -> Text {
    match refused {
        PasswordRefused::TooShort => texts::TOO_SHORT,
        PasswordRefused::TooLong => texts::TOO_LONG,
        PasswordRefused::Guessable => texts::GUESSABLE,
    }
}

async fn sign_up(
    _request: HttpRequest,
    posted: Posted<Visitor>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let Posted {
        who: visitor,
        fields,
    } = posted;
    let given = fields.trimmed("email");
    throttled(&site, Attempt::SignUp, &visitor, &given.to_lowercase())?;
    let Ok(email) = given.parse::<EmailAddress>() else {
        return Ok(form(&visitor, &site, given, Some(texts::EMAIL_WRONG)));
    };
    // Hashed whether the address is free or not: the time tells nobody.
    let hashed = site
        .hashing
        .hash(fields.secret("password"), email.as_str().to_owned())
        .await?;
    let hash = match hashed {
        Ok(hash) => hash,
        Err(PasswordError::Refused(why)) => {
            return Ok(form(&visitor, &site, given, Some(refusal(why))));
        }
        Err(PasswordError::NotHashed) => {
            return Err(Refused::because(Why::Internal).to(&visitor));
        }
    };
    let landing = visitor.referral.clone();
    let landing = landing.map(|code| (code, visitor.signed_in.as_ref().map(|(_, a)| a.id)));
    if site.mailer.sends() {
        let wish = Wish {
            email,
            password_hash: hash,
            language: visitor.language,
            landing,
        };
        return confirmation::ask(&site, &visitor, wish);
    }
    let opened = site
        .store
        .sign_up(SignUp {
            account: NewAccount {
                email: email.as_str(),
                password_hash: Some(hash),
                operator: false,
                language: None,
                page_language: Some(visitor.language),
                created_at_ms: unix_ms(),
            },
            landing: landing.as_ref().map(|(code, account)| Landing {
                code: code.as_str(),
                signed_in_as: *account,
            }),
            free: site.terms.now().free_credit,
        })
        .await;
    let account = match opened {
        Err(StoreError::Conflict(Conflict::EmailTaken)) => {
            return Ok(form(&visitor, &site, given, Some(texts::EMAIL_TAKEN)));
        }
        opened => opened?,
    };
    let mut answer = go(&visitor, "/dashboard");
    set_cookie(&mut answer, &session_for(&site, &visitor, account).await?);
    Ok(answer)
}
