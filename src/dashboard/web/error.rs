//! Every answer that is no page that was asked for.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{LOCATION, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use maud::html;
use nexo_domain::otp::Language;
use nexo_entities::store::StoreError;
use url::form_urlencoded;

use super::extract::{Reader, Visitor};
use super::page;
use crate::dashboard::auth::hashing::Busy;
use crate::dashboard::texts::{Say, Text, errors};

/// Why a page is not given, or a form not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// A member's page; `wanted` is its path.
    NotSignedIn {
        wanted: String,
    },
    /// There is no such thing, or it is not his.
    NotFound,
    /// The form did not come from a page of ours that this browser was given.
    ForeignForm,
    /// The form is too large, or is no form.
    BadForm,
    /// Tried too often.
    TooOften {
        retry_after_seconds: u64,
    },
    /// The database is away or slow, or too many passwords are being checked.
    Overloaded,
    Internal,
}

/// A refusal, and the language in which it is told: both, where that is not known.
#[derive(Debug, Clone)]
pub struct Refused {
    why: Why,
    language: Option<Language>,
}

impl Refused {
    pub fn because(why: Why) -> Refused {
        Refused {
            why,
            language: None,
        }
    }

    /// In the language of whom it is told.
    pub fn to(self, reader: &impl Reader) -> Refused {
        Refused {
            language: Some(reader.language()),
            ..self
        }
    }

    /// There is no such thing of his.
    pub fn not_found(reader: &impl Reader) -> Refused {
        Refused::because(Why::NotFound).to(reader)
    }

    fn words(&self) -> (Text, Text) {
        match self.why {
            Why::NotSignedIn { .. } => (errors::SIGN_IN_TITLE, errors::SIGN_IN),
            Why::NotFound => (errors::NOT_FOUND_TITLE, errors::NOT_FOUND),
            Why::ForeignForm => (errors::FOREIGN_FORM_TITLE, errors::FOREIGN_FORM),
            Why::BadForm => (errors::BAD_FORM_TITLE, errors::BAD_FORM),
            Why::TooOften { .. } => (errors::TOO_OFTEN_TITLE, errors::TOO_OFTEN),
            Why::Overloaded => (errors::OVERLOADED_TITLE, errors::OVERLOADED),
            Why::Internal => (errors::INTERNAL_TITLE, errors::INTERNAL),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.why)
    }
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        match self.why {
            Why::NotSignedIn { .. } => StatusCode::SEE_OTHER,
            Why::NotFound => StatusCode::NOT_FOUND,
            Why::ForeignForm => StatusCode::FORBIDDEN,
            Why::BadForm => StatusCode::BAD_REQUEST,
            Why::TooOften { .. } => StatusCode::TOO_MANY_REQUESTS,
            Why::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Why::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status_code());
        match &self.why {
            Why::NotSignedIn { wanted } => {
                answer.insert_header((LOCATION, sign_in_path(wanted)));
            }
            Why::TooOften {
                retry_after_seconds,
            } => {
                answer.insert_header((RETRY_AFTER, retry_after_seconds.to_string()));
            }
            Why::Overloaded => {
                answer.insert_header((RETRY_AFTER, "1"));
            }
            Why::NotFound | Why::ForeignForm | Why::BadForm | Why::Internal => {}
        }
        let languages = match self.language {
            Some(language) => vec![language],
            None => vec![Language::En, Language::Vi],
        };
        let (title, text) = self.words();
        let seconds = match self.why {
            Why::TooOften {
                retry_after_seconds,
            } => retry_after_seconds,
            _ => 0,
        };
        let body = html! {
            @for language in &languages {
                section lang=(language.code()) {
                    h1 { (language.say(title)) }
                    p { (language.tell(text, &[("seconds", &seconds)])) }
                    p { a.button href="/dashboard" { (language.say(errors::HOME)) } }
                }
            }
        };
        let title = languages[0].say(title);
        answer
            .content_type("text/html; charset=utf-8")
            .body(page::bare(languages[0], title, body).into_string())
    }
}

/// Where one signs in to get to `wanted`.
fn sign_in_path(wanted: &str) -> String {
    let next: String = form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
    format!("/auth/sign-in?next={next}")
}

/// `next` where it leads to a page of ours, else the dashboard.
pub fn safe_next(next: Option<&str>) -> &str {
    let is_ours = |path: &&str| {
        path.starts_with("/dashboard") && !path.contains(['\\', '\r', '\n']) && !path.contains("//")
    };
    next.filter(is_ours).unwrap_or("/dashboard")
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Refused {
        if error.is_outage() {
            tracing::error!(%error, "a page could not be read or written");
            return Refused::because(Why::Overloaded);
        }
        metrics::counter!("nexo_internal_errors_total").increment(1);
        tracing::error!(%error, "a page failed");
        Refused::because(Why::Internal)
    }
}

impl From<Busy> for Refused {
    fn from(_: Busy) -> Refused {
        Refused::because(Why::Overloaded)
    }
}

/// There is no page at this address.
pub async fn no_page(visitor: Visitor) -> Refused {
    Refused::not_found(&visitor)
}

impl actix_web::Responder for Refused {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &actix_web::HttpRequest) -> HttpResponse {
        self.error_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_away_from_the_site() {
        for (next, path) in [
            (Some("/dashboard/api-keys?x=1"), "/dashboard/api-keys?x=1"),
            (Some("//evil.example"), "/dashboard"),
            (Some("https://evil.example/dashboard"), "/dashboard"),
            (Some("/dashboard//evil.example"), "/dashboard"),
            (Some("/dashboard\\evil"), "/dashboard"),
            (Some("/auth/sign-out"), "/dashboard"),
            (None, "/dashboard"),
        ] {
            assert_eq!(safe_next(next), path, "{next:?}");
        }
        assert_eq!(
            sign_in_path("/dashboard?a=b"),
            "/auth/sign-in?next=%2Fdashboard%3Fa%3Db"
        );
    }
}
