//! What the pages with a password share: limits on attempts, checking and hashing, and the fields.

use actix_web::http::StatusCode;
use nexo_domain::account::password::{MIN_CHARACTERS, PasswordRefused};
use zeroize::Zeroizing;

use super::throttle::Attempt;
use crate::dashboard::components::*;
use crate::dashboard::texts::{Text, Translate, accounts as texts};
use crate::dashboard::web::*;
use crate::password::PasswordError;

/// Counts an attempt against the limits of the client's address and of the account.
///
/// # Errors
/// [`ErrorKind::TooOften`].
pub fn check_limit(
    site: &SiteState,
    attempt: Attempt,
    viewer: &impl Viewer,
    account: &str,
) -> Result<(), PageError> {
    let address = viewer.visitor().address;
    let checked = site.throttle.check(attempt, address, account);
    checked.map_err(|retry_after_seconds| {
        let kind = ErrorKind::TooOften {
            retry_after_seconds,
        };
        PageError::new(kind, viewer.language())
    })
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
    check_limit(site, Attempt::SignIn, member, &member.account.email)?;
    let hash = member.account.password_hash.clone();
    Ok(site.hasher.verify(fields.secret(name), hash).await?)
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
    let text = match site.hasher.hash(password, email.to_owned()).await? {
        Ok(hash) => return Ok(Ok(hash)),
        Err(PasswordError::NotHashed) => return Err(PageError::internal(l)),
        Err(PasswordError::Refused(PasswordRefused::TooShort)) => texts::TOO_SHORT,
        Err(PasswordError::Refused(PasswordRefused::TooLong)) => texts::TOO_LONG,
        Err(PasswordError::Refused(PasswordRefused::Guessable)) => texts::GUESSABLE,
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
    Field::new(name, viewer.language().t(label))
        .kind("password")
        .autocomplete("current-password")
}

/// The hint of a new password's field.
pub fn password_hint(viewer: &impl Viewer) -> String {
    let language = viewer.language();
    language.t_with(texts::PASSWORD_HINT, &[("count", &MIN_CHARACTERS)])
}
