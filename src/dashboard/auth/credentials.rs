//! What the pages with a password share: limits on attempts, checking and hashing, and the fields.

use actix_web::http::StatusCode;
use nexo_actors::clock::unix_ms;
use nexo_domain::account::password::{MIN_CHARACTERS, PasswordRefused};
use nexo_entities::store::accounts::Account;
use zeroize::Zeroizing;

use super::hashing::Priority;
use super::limits::{Attempt, Caller, known_browser};
use crate::dashboard::components::*;
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
    checked.map_err(|retry_after_seconds| {
        let kind = ErrorKind::TooOften { retry_after_seconds };
        PageError::new(kind, viewer.language())
    })
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

/// As [`caller_of`], for the account with this address.
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
    let account = site.store.accounts().by_email(email).await?;
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

/// Hashes a new password. The inner error is the message to show if the password breaks a rule.
///
/// # Errors
/// If too many hashes are waiting, or hashing fails.
pub async fn hash_password(
    site: &SiteState,
    viewer: &impl Viewer,
    password: Zeroizing<String>,
    email: &str,
) -> Result<Result<String, String>, PageError> {
    let l = viewer.language();
    let host = site.public_url.host_name().to_owned();
    let priority = match viewer.visitor().signed_in {
        Some(_) => Priority::Proven,
        None => Priority::Stranger,
    };
    let hashed = site.hasher.hash(priority, password, email.to_owned(), host).await?;
    let text = match hashed {
        Ok(hash) => return Ok(Ok(hash)),
        Err(PasswordError::NotHashed) => return Err(PageError::internal(l)),
        Err(PasswordError::Refused(PasswordRefused::TooShort)) => texts::TOO_SHORT,
        Err(PasswordError::Refused(PasswordRefused::TooLong)) => texts::TOO_LONG,
        Err(PasswordError::Refused(PasswordRefused::Guessable)) => texts::GUESSABLE,
        Err(PasswordError::Refused(PasswordRefused::Common)) => texts::COMMON,
        Err(PasswordError::Refused(PasswordRefused::Name)) => texts::NAME_PASSWORD,
    };
    Ok(Err(l.t_with(text, &[("count", &MIN_CHARACTERS)])))
}

/// 400 for a form that is shown again with an error.
pub fn form_status<T>(error: Option<T>) -> StatusCode {
    error.map_or(StatusCode::OK, |_| StatusCode::BAD_REQUEST)
}

pub fn email_field<'a>(viewer: &impl Viewer, value: &'a str) -> Field<'a> {
    Field::new("email", viewer.language().t(texts::EMAIL))
        .kind("email")
        .value(value)
        .autocomplete("username")
}

/// The field of the member's current password.
pub fn password_field<'a>(viewer: &impl Viewer, name: &'a str, label: Text) -> Field<'a> {
    Field::new(name, viewer.language().t(label)).kind("password").autocomplete("current-password")
}

/// The hint of a new password's field.
pub fn password_hint(viewer: &impl Viewer) -> String {
    let language = viewer.language();
    language.t_with(texts::PASSWORD_HINT, &[("count", &MIN_CHARACTERS)])
}
