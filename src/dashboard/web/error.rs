//! Responses to requests that no page answers: sign-in redirects, refused forms, limits and failures.

use std::fmt;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{LOCATION, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError};
use maud::html;
use nexo_domain::account::quota::QuotaExceeded;
use nexo_domain::otp::Language;
use nexo_entities::store::{Conflict, StoreError};
use url::form_urlencoded;

use super::document::document;
use super::navigation::SECOND_FACTOR_PATH;
use crate::api::error::ApiError;
use crate::dashboard::auth::hashing::Busy;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::{Text, Translate, errors};
use crate::read_limits::TooManyReads;

/// The result of a handler.
pub type PageResult = Result<HttpResponse, PageError>;

/// Why a page is not shown, or a form not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// The page at the path `next` needs a session.
    NotSignedIn { next: String },
    /// An operator must set up a second factor before anything else.
    NeedsSecondFactor,
    /// The page or record does not exist, or belongs to another account.
    NotFound,
    /// The form's token is not this browser's, or the form comes from another site.
    ForeignForm,
    /// The form is too large or malformed.
    BadForm,
    /// Too many attempts.
    TooOften { retry_after_seconds: u64 },
    /// The account reads too much at the same time.
    TooManyReads(TooManyReads),
    /// A quota of free actions is used up.
    Quota(QuotaExceeded),
    /// The account is suspended and may not do this.
    Suspended,
    /// The database is unavailable or slow, or too many passwords are being checked.
    Overloaded,
    /// A defect or an unexpected failure.
    Internal,
}

/// An error page. It is shown in both languages if the viewer's language is unknown.
#[derive(Debug, Clone)]
pub struct PageError {
    kind: ErrorKind,
    locale: Option<Locale>,
}

impl PageError {
    /// An error for a viewer of this locale.
    pub fn new(kind: ErrorKind, locale: Locale) -> PageError {
        PageError { kind, locale: Some(locale) }
    }

    /// [`ErrorKind::NotFound`] for a viewer of this locale.
    pub fn not_found(locale: Locale) -> PageError {
        PageError::new(ErrorKind::NotFound, locale)
    }

    /// [`ErrorKind::Internal`] for a viewer of this locale.
    pub fn internal(locale: Locale) -> PageError {
        PageError::new(ErrorKind::Internal, locale)
    }

    /// The page for an error of a list that the API and the site share.
    pub fn of_list(error: ApiError, locale: Locale) -> PageError {
        let kind = match error {
            ApiError::TooManyRequests(refused) => ErrorKind::TooManyReads(refused),
            ApiError::QuotaExceeded(exceeded) => ErrorKind::Quota(exceeded),
            ApiError::Overloaded => ErrorKind::Overloaded,
            _ => ErrorKind::Internal,
        };
        PageError::new(kind, locale)
    }

    fn parts(&self) -> (StatusCode, Text, Text) {
        let (status, title, text) = match self.kind {
            ErrorKind::NotSignedIn { .. } => (303, errors::SIGN_IN_TITLE, errors::SIGN_IN),
            ErrorKind::NeedsSecondFactor => (303, errors::FACTOR_TITLE, errors::FACTOR),
            ErrorKind::NotFound => (404, errors::NOT_FOUND_TITLE, errors::NOT_FOUND),
            ErrorKind::ForeignForm => (403, errors::FOREIGN_FORM_TITLE, errors::FOREIGN_FORM),
            ErrorKind::BadForm => (400, errors::BAD_FORM_TITLE, errors::BAD_FORM),
            ErrorKind::TooOften { .. } => (429, errors::TOO_OFTEN_TITLE, errors::TOO_OFTEN),
            ErrorKind::TooManyReads(TooManyReads::Reads) => {
                (429, errors::TOO_MANY_TITLE, errors::TOO_MANY_READS)
            }
            ErrorKind::TooManyReads(TooManyReads::AccountExports { .. }) => {
                (429, errors::TOO_MANY_TITLE, errors::TOO_MANY_EXPORTS)
            }
            ErrorKind::TooManyReads(TooManyReads::Exports) => {
                (429, errors::TOO_MANY_TITLE, errors::EXPORTS_BUSY)
            }
            ErrorKind::Quota(_) => (429, errors::QUOTA_TITLE, errors::QUOTA),
            ErrorKind::Suspended => (403, errors::SUSPENDED_TITLE, errors::SUSPENDED),
            ErrorKind::Overloaded => (503, errors::OVERLOADED_TITLE, errors::OVERLOADED),
            ErrorKind::Internal => (500, errors::INTERNAL_TITLE, errors::INTERNAL),
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, title, text)
    }
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)
    }
}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        self.parts().0
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        let mut seconds = 0;
        match &self.kind {
            ErrorKind::NotSignedIn { next } => {
                response.insert_header((LOCATION, sign_in_path(next)));
            }
            ErrorKind::NeedsSecondFactor => {
                response.insert_header((LOCATION, SECOND_FACTOR_PATH));
            }
            ErrorKind::TooOften { retry_after_seconds } => {
                seconds = *retry_after_seconds;
                response.insert_header((RETRY_AFTER, seconds.to_string()));
            }
            ErrorKind::TooManyReads(refused) => {
                seconds = u64::from(refused.retry_after_seconds());
                response.insert_header((RETRY_AFTER, seconds.to_string()));
            }
            ErrorKind::Quota(exceeded) => {
                let seconds = exceeded.retry_after_seconds.to_string();
                response.insert_header((RETRY_AFTER, seconds));
            }
            ErrorKind::Overloaded => {
                response.insert_header((RETRY_AFTER, "1"));
            }
            ErrorKind::NotFound
            | ErrorKind::ForeignForm
            | ErrorKind::BadForm
            | ErrorKind::Suspended
            | ErrorKind::Internal => {}
        }
        let locales = match self.locale {
            Some(locale) => vec![locale],
            None => [Language::En, Language::Vi].map(|l| Locale::now(l, None)).to_vec(),
        };
        let (_, title, text) = self.parts();
        let (quota, limit, resets_at_ms) = match &self.kind {
            ErrorKind::Quota(exceeded) => (exceeded.quota, exceeded.limit, exceeded.resets_at_ms),
            _ => ("", 0, 0),
        };
        let main = html! {
            main #content.alone { div.card {
                @for l in &locales {
                    section lang=(l.code()) {
                        h1 { (l.t(title)) }
                        p {
                            (l.t_with(text, &[
                                ("seconds", &seconds), ("quota", &quota), ("limit", &limit),
                                ("time", &l.minute(resets_at_ms)),
                            ]))
                        }
                        p { a.button href="/dashboard" { (l.t(errors::HOME)) } }
                    }
                }
            } }
        };
        response
            .content_type("text/html; charset=utf-8")
            .body(document(locales[0], locales[0].t(title), main).into_string())
    }
}

/// The sign-in page, which leads on to `next`.
fn sign_in_path(next: &str) -> String {
    let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
    format!("/auth/sign-in?next={next}")
}

/// `next` if it is a path of the dashboard, otherwise the dashboard itself. Control characters are refused, because
/// no header can contain them.
pub fn safe_next(next: Option<&str>) -> &str {
    let is_refused = |c: char| c == '\\' || c.is_control();
    let is_local = |path: &&str| {
        path.starts_with("/dashboard") && !path.contains(is_refused) && !path.contains("//")
    };
    next.filter(is_local).unwrap_or("/dashboard")
}

impl From<ErrorKind> for PageError {
    fn from(kind: ErrorKind) -> PageError {
        PageError { kind, locale: None }
    }
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> PageError {
        match error {
            StoreError::Conflict(Conflict::QuotaExceeded(exceeded)) => {
                return ErrorKind::Quota(exceeded).into();
            }
            StoreError::Conflict(Conflict::AccountSuspended) => {
                return ErrorKind::Suspended.into();
            }
            StoreError::Conflict(Conflict::CredentialsChanged) => {
                return ErrorKind::NotSignedIn { next: "/dashboard".into() }.into();
            }
            _ => {}
        }
        if error.is_outage() {
            tracing::error!(%error, "the database is unavailable for a page");
            return ErrorKind::Overloaded.into();
        }
        metrics::counter!("nexo_internal_errors_total").increment(1);
        tracing::error!(%error, "a page failed");
        ErrorKind::Internal.into()
    }
}

/// The page for a download that the API refused.
impl From<Busy> for PageError {
    fn from(_: Busy) -> PageError {
        ErrorKind::Overloaded.into()
    }
}

impl Responder for PageError {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.error_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_always_a_page_of_this_site() {
        for (next, path) in [
            (Some("/dashboard/api-keys?x=1"), "/dashboard/api-keys?x=1"),
            (Some("//evil.example"), "/dashboard"),
            (Some("https://evil.example/dashboard"), "/dashboard"),
            (Some("/dashboard//evil.example"), "/dashboard"),
            (Some("/dashboard\\evil"), "/dashboard"),
            (Some("/dashboard\0"), "/dashboard"),
            (Some("/dashboard\r\nSet-Cookie: a=b"), "/dashboard"),
            (Some("/dashboard\t/"), "/dashboard"),
            (Some("/dashboard\u{7f}"), "/dashboard"),
            (Some("/dashboard\u{85}"), "/dashboard"),
            (Some("/auth/sign-out"), "/dashboard"),
            (None, "/dashboard"),
        ] {
            assert_eq!(safe_next(next), path, "{next:?}");
        }
        assert_eq!(sign_in_path("/dashboard?a=b"), "/auth/sign-in?next=%2Fdashboard%3Fa%3Db");
    }
}
