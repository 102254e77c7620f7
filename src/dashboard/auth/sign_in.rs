//! Signing in: the password, then the second factor where there is one.

use actix_web::cookie::time::Duration as CookieDuration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::StatusCode;
use actix_web::http::header::SET_COOKIE;
use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};
use nexo_actors::clock::unix_ms;
use nexo_domain::account::email::EmailAddress;
use nexo_domain::ids::AccountId;
use nexo_entities::store::accounts::accounts::Account;
use nexo_entities::store::accounts::sessions::NewSession;
use url::form_urlencoded;

use super::throttle::Attempt;
use super::tokens;
use super::totp;
use super::totp::Ticket;
use crate::dashboard::Site;
use crate::dashboard::texts::{Say, Text, accounts as texts};
use crate::dashboard::web::error::{Refused, Why, safe_next};
use crate::dashboard::web::extract::{
    Reader, SESSION_LASTS_MS, Visitor, own_cookie, session_cookie, value_of,
};
use crate::dashboard::web::form::Posted;
use crate::dashboard::web::markup::{Field, field, problem};
use crate::dashboard::web::page::{Page, form_token, go};

const STEP_PATH: &str = "/auth/second-step";
/// Between the password and the code.
const STEP_LASTS: CookieDuration = CookieDuration::minutes(5);

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/sign-in").get(show).post(sign_in))
        .service(web::resource("/second-step").get(show_step).post(step));
}

/// A parameter of the query.
pub fn query(request: &HttpRequest, name: &str) -> Option<String> {
    value_of(request.query_string(), name)
}

/// Counts an attempt by address and by account.
///
/// # Errors
/// [`Why::TooOften`].
pub fn throttled(
    site: &Site,
    attempt: Attempt,
    reader: &impl Reader,
    account: &str,
) -> Result<(), Refused> {
    let address = reader.visitor().address;
    site.throttle
        .check(attempt, address, account)
        .map_err(|retry_after_seconds| {
            Refused::because(Why::TooOften {
                retry_after_seconds,
            })
            .to(reader)
        })
}

async fn show(request: HttpRequest, visitor: Visitor) -> HttpResponse {
    let next = query(&request, "next");
    if visitor.signed_in.is_some() {
        return go(&visitor, safe_next(next.as_deref()));
    }
    form(&visitor, "", safe_next(next.as_deref()), None)
}

fn form(visitor: &Visitor, email: &str, next: &str, wrong: Option<Text>) -> HttpResponse {
    let l = visitor.language;
    let body = html! {
        h1 { (l.say(texts::SIGN_IN_TITLE)) }
        p.lead { (l.say(texts::SIGN_IN_LEAD)) }
        @if let Some(wrong) = wrong { (problem(l.say(wrong))) }
        form method="post" action="/auth/sign-in" {
            (form_token(visitor))
            input type="hidden" name="next" value=(next);
            (email_field(visitor, email))
            (password_field(visitor, "password", texts::PASSWORD, "current-password", None))
            button.wide type="submit" { (l.say(texts::DO_SIGN_IN)) }
        }
        p.aside { a href="/auth/reset" { (l.say(texts::FORGOT)) } }
        p.aside {
            (l.say(texts::NO_ACCOUNT)) " "
            a href="/auth/sign-up" { (l.say(texts::SIGN_UP_TITLE)) }
        }
    };
    let page = Page {
        title: l.say(texts::SIGN_IN_TITLE),
        place: None,
        status: status(wrong),
        body,
    };
    page.answer_alone(visitor)
}

/// 400 for a form that was not taken.
pub fn status(wrong: Option<Text>) -> StatusCode {
    wrong.map_or(StatusCode::OK, |_| StatusCode::BAD_REQUEST)
}

pub fn email_field(reader: &impl Reader, value: &str) -> Markup {
    field(&Field {
        name: "email",
        label: reader.language().say(texts::EMAIL),
        kind: "email",
        value,
        hint: None,
        autocomplete: "username",
        required: true,
    })
}

pub fn password_field(
    reader: &impl Reader,
    name: &str,
    label: Text,
    autocomplete: &str,
    hint: Option<&str>,
) -> Markup {
    field(&Field {
        name,
        label: reader.language().say(label),
        kind: "password",
        value: "",
        hint,
        autocomplete,
        required: true,
    })
}

async fn sign_in(posted: Posted<Visitor>, site: web::Data<Site>) -> Result<HttpResponse, Refused> {
    let Posted {
        who: visitor,
        fields,
    } = posted;
    let given = fields.trimmed("email");
    let next = safe_next(Some(fields.get("next")));
    throttled(&site, Attempt::SignIn, &visitor, &given.to_lowercase())?;
    let email = given.parse::<EmailAddress>();
    // What is no address has no account, and is looked for like one.
    let wanted = email.as_ref().map_or("", EmailAddress::as_str);
    let account = site.store.account_by_email(wanted).await?;
    let account = account.filter(|account| account.closed_at_ms.is_none());
    let kept = account
        .as_ref()
        .and_then(|account| account.password_hash.clone());
    let is_right = site.hashing.verify(fields.secret("password"), kept).await?;
    let Some(account) = account.filter(|_| is_right) else {
        return Ok(form(&visitor, given, next, Some(texts::WRONG)));
    };
    if let Some(sealed) = &account.totp_sealed {
        let key = totp::key_of(&site.hashing, fields.secret("password"), sealed).await?;
        let Some(key) = key else {
            return Err(Refused::because(Why::Internal).to(&visitor));
        };
        let ticket = Ticket {
            account: account.id,
            key,
        };
        let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let mut answer = go(&visitor, &format!("{STEP_PATH}?next={next}"));
        set_cookie(&mut answer, &ticket_cookie(&site, Some(&ticket)));
        return Ok(answer);
    }
    let mut answer = go(&visitor, next);
    set_cookie(
        &mut answer,
        &session_for(&site, &visitor, account.id).await?,
    );
    Ok(answer)
}

/// Opens a session with a token of its own, and gives its cookie.
///
/// # Errors
/// What the database fails with.
pub async fn session_for(
    site: &Site,
    visitor: &Visitor,
    account: AccountId,
) -> Result<Cookie<'static>, Refused> {
    let token = tokens::new_token();
    let now = unix_ms();
    site.store
        .open_session(NewSession {
            token_hash: tokens::hash(&token),
            account_id: account,
            address: &visitor.address.to_string(),
            browser: &visitor.browser,
            created_at_ms: now,
            expires_at_ms: now + SESSION_LASTS_MS,
        })
        .await?;
    Ok(session_cookie(site, Some(&token)))
}

/// Adds a cookie to an answer that is made already.
pub fn set_cookie(answer: &mut HttpResponse, cookie: &Cookie<'_>) {
    if let Ok(value) = cookie.encoded().to_string().parse() {
        answer.headers_mut().append(SET_COOKIE, value);
    }
}

fn ticket_name(site: &Site) -> String {
    match site.public_url.is_https() {
        true => "__Host-nexo_step".to_owned(),
        false => "nexo_step".to_owned(),
    }
}

fn ticket_cookie(site: &Site, ticket: Option<&Ticket>) -> Cookie<'static> {
    let value = ticket.map_or(String::new(), |ticket| ticket.write().to_string());
    let mut cookie = own_cookie(site, ticket_name(site), value);
    cookie.set_same_site(SameSite::Strict);
    cookie.set_max_age(match ticket {
        Some(_) => STEP_LASTS,
        None => CookieDuration::ZERO,
    });
    cookie
}

fn ticket(request: &HttpRequest, site: &Site) -> Option<Ticket> {
    let cookie = request.cookie(&ticket_name(site))?;
    Ticket::read(cookie.value())
}

async fn show_step(request: HttpRequest, visitor: Visitor, site: web::Data<Site>) -> HttpResponse {
    let next = query(&request, "next");
    match ticket(&request, &site) {
        Some(_) => step_form(&visitor, safe_next(next.as_deref()), None),
        None => go(&visitor, "/auth/sign-in"),
    }
}

fn step_form(visitor: &Visitor, next: &str, wrong: Option<Text>) -> HttpResponse {
    let l = visitor.language;
    let body = html! {
        h1 { (l.say(texts::STEP_TITLE)) }
        p.lead { (l.say(texts::STEP_LEAD)) }
        @if let Some(wrong) = wrong { (problem(l.say(wrong))) }
        form method="post" action=(STEP_PATH) {
            (form_token(visitor))
            input type="hidden" name="next" value=(next);
            (field(&Field {
                name: "code",
                label: l.say(texts::CODE),
                kind: "text",
                value: "",
                hint: Some(l.say(texts::STEP_HINT)),
                autocomplete: "one-time-code",
                required: true,
            }))
            button.wide type="submit" { (l.say(texts::DO_SIGN_IN)) }
        }
    };
    let page = Page {
        title: l.say(texts::STEP_TITLE),
        place: None,
        status: status(wrong),
        body,
    };
    page.answer_alone(visitor)
}

async fn step(
    request: HttpRequest,
    posted: Posted<Visitor>,
    site: web::Data<Site>,
) -> Result<HttpResponse, Refused> {
    let Posted {
        who: visitor,
        fields,
    } = posted;
    let next = safe_next(Some(fields.get("next")));
    let Some(ticket) = ticket(&request, &site) else {
        return Ok(go(&visitor, "/auth/sign-in"));
    };
    let whose = ticket.account.to_string();
    throttled(&site, Attempt::SignIn, &visitor, &whose)?;
    let account = site.store.account(ticket.account).await?;
    let account = account.filter(|account| account.closed_at_ms.is_none());
    let is_right = match &account {
        Some(account) => takes(&site, account, &ticket, fields.trimmed("code")).await?,
        None => false,
    };
    let Some(account) = account.filter(|_| is_right) else {
        return Ok(step_form(&visitor, next, Some(texts::CODE_WRONG)));
    };
    let mut answer = go(&visitor, next);
    set_cookie(
        &mut answer,
        &session_for(&site, &visitor, account.id).await?,
    );
    set_cookie(&mut answer, &ticket_cookie(&site, None));
    Ok(answer)
}

/// Whether the code is the app's, not taken before, or the recovery code. Only who has the password holds a
/// ticket that opens the secret.
async fn takes(
    site: &Site,
    account: &Account,
    ticket: &Ticket,
    code: &str,
) -> Result<bool, Refused> {
    let Some(sealed) = &account.totp_sealed else {
        return Ok(false);
    };
    let Some(secret) = totp::open(&ticket.key, sealed, account.id) else {
        return Ok(false);
    };
    if let Some(step) = secret.step_of(code, unix_ms()) {
        return Ok(site.store.take_factor_step(account.id, step).await?);
    }
    let recovery = totp::recovery_hash(code);
    Ok(site.store.take_recovery_code(account.id, recovery).await?)
}
