//! What the pages with a password share: limits on attempts, checking and hashing, and the fields.

use actix_web::http::StatusCode;
use nexo_actors::clock::unix_ms;
use nexo_domain::account::email::EmailAddress;
use nexo_domain::account::password;
use nexo_domain::account::password::{MIN_CHARACTERS, PasswordContext, PasswordRefused};
use nexo_entities::store::accounts::Account;
use zeroize::Zeroizing;

use super::hashing::Priority;
use super::limits::{Attempt, Caller, known_browser};
use crate::dashboard::components::*;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::{Text, Translate, accounts as texts};
use crate::dashboard::web::*;
use crate::password::PasswordError;

/// Counts an attempt for an account, which is named by its address or id.
///
/// # Errors
/// [`ErrorKind::TooOften`].
pub fn check_limit(
    site: &SiteState,
    attempt: Attempt,
    viewer: &impl Viewer,
    caller: Caller,
    account: &str,
) -> Result<(), PageError> {
    let checked = site.throttle.check(attempt, caller, account);
    checked.map_err(|seconds| too_often(viewer, seconds))
}

/// Counts an attempt of a code with a second-step ticket that proves no password.
///
/// # Errors
/// [`ErrorKind::TooOften`].
pub fn check_unproven_code(site: &SiteState, visitor: &Visitor) -> Result<(), PageError> {
    let checked = site.throttle.check_unproven_code(visitor.address);
    checked.map_err(|seconds| too_often(visitor, seconds))
}

fn too_often(viewer: &impl Viewer, retry_after_seconds: u64) -> PageError {
    PageError::new(ErrorKind::TooOften { retry_after_seconds }, viewer.locale())
}

/// How the limits count an attempt of this visitor for the account: a session of it and a browser that signed in to
/// it before have limits of their own.
pub fn caller_of(visitor: &Visitor, account: &Account) -> Caller {
    match &visitor.signed_in {
        Some((session, own)) if own.id == account.id => Caller::session(session.id),
        _ => known_browser::recognise(&visitor.known_browser, account, unix_ms())
            .map_or(Caller::Stranger(visitor.address), Caller::browser),
    }
}

/// As [`caller_of`], for the account with this address. A text that is not an address has no account.
///
/// # Errors
/// If the database fails.
pub async fn caller_for(
    site: &SiteState,
    visitor: &Visitor,
    email: &str,
) -> Result<Caller, PageError> {
    // Strangers are counted before the database is read.
    if visitor.known_browser.is_empty() && visitor.signed_in.is_none() {
        return Ok(Caller::Stranger(visitor.address));
    }
    // PostgreSQL refuses a text with NUL, which no address contains.
    let Ok(email) = email.parse::<EmailAddress>() else {
        return Ok(Caller::Stranger(visitor.address));
    };
    let account = site.store.accounts().by_email(email.as_str()).await?;
    let caller = account.map(|account| caller_of(visitor, &account));
    Ok(caller.unwrap_or(Caller::Stranger(visitor.address)))
}

/// Checks the member's password in the form's field `name`.
///
/// # Errors
/// If there were too many attempts, or the database fails.
pub async fn is_password(
    site: &SiteState,
    member: &Member,
    fields: &Fields,
    name: &str,
) -> Result<bool, PageError> {
    let caller = Caller::session(member.session.id);
    check_limit(site, Attempt::Password, member, caller, &member.account.email)?;
    let hash = member.account.password_hash.clone();
    let password = fields.secret(name);
    Ok(site.hasher.verify(Priority::Proven, password, hash).await?)
}

/// Checks the rules for a new password without hashing it. The error is the message to show.
pub fn check_password(
    site: &SiteState,
    viewer: &impl Viewer,
    password: &str,
    email: &str,
) -> Result<(), String> {
    let context = PasswordContext { email, host: site.public_url.host_name() };
    password::check(password, &context).map_err(|reason| refusal_text(viewer.locale(), reason))
}

/// As [`hash_password_of`], for a member, whose session is one of the account.
///
/// # Errors
/// If too many hashes are waiting, or hashing fails.
pub async fn hash_password(
    site: &SiteState,
    member: &Member,
    password: Zeroizing<String>,
    email: &str,
) -> Result<Result<String, String>, PageError> {
    let caller = Caller::session(member.session.id);
    hash_password_of(site, member, caller, password, email).await
}

/// Hashes a new password. The inner error is the message to show if the password breaks a rule.
///
/// The priority is that of `caller`. A session alone proves nothing: it may be one of another account.
///
/// # Errors
/// If too many hashes are waiting, or hashing fails.
pub async fn hash_password_of(
    site: &SiteState,
    viewer: &impl Viewer,
    caller: Caller,
    password: Zeroizing<String>,
    email: &str,
) -> Result<Result<String, String>, PageError> {
    let l = viewer.locale();
    let host = site.public_url.host_name().to_owned();
    let hashed = site.hasher.hash(caller.priority(), password, email.to_owned(), host).await?;
    match hashed {
        Ok(hash) => Ok(Ok(hash)),
        Err(PasswordError::NotHashed) => Err(PageError::internal(l)),
        Err(PasswordError::Refused(reason)) => Ok(Err(refusal_text(l, reason))),
    }
}

fn refusal_text(l: Locale, reason: PasswordRefused) -> String {
    let text = match reason {
        PasswordRefused::TooShort => texts::TOO_SHORT,
        PasswordRefused::TooLong => texts::TOO_LONG,
        PasswordRefused::Guessable => texts::GUESSABLE,
        PasswordRefused::Common => texts::COMMON,
        PasswordRefused::Name => texts::NAME_PASSWORD,
    };
    l.t_with(text, &[("count", &MIN_CHARACTERS)])
}

/// 400 for a form that is shown again with an error.
pub fn form_status<T>(error: Option<T>) -> StatusCode {
    error.map_or(StatusCode::OK, |_| StatusCode::BAD_REQUEST)
}

pub fn email_field<'a>(viewer: &impl Viewer, value: &'a str) -> Field<'a> {
    Field::new("email", viewer.locale().t(texts::EMAIL))
        .kind("email")
        .value(value)
        .autocomplete("username")
}

/// The field of the member's current password.
pub fn password_field<'a>(viewer: &impl Viewer, name: &'a str, label: Text) -> Field<'a> {
    Field::new(name, viewer.locale().t(label)).kind("password").autocomplete("current-password")
}

/// The hint of a new password's field.
pub fn password_hint(viewer: &impl Viewer) -> String {
    let language = viewer.locale();
    language.t_with(texts::PASSWORD_HINT, &[("count", &MIN_CHARACTERS)])
}
