//! What is posted, and by a page of ours.
//!
//! Each form carries a token that follows from its browser's cookie. A site that makes a browser post here
//! knows no such token, and its browser says where the form came from; either is enough to refuse it.

use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_TYPE, HOST, HeaderMap, ORIGIN};
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt;
use subtle::ConstantTimeEq;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::error::{Refused, Why};
use super::extract::{Who, site};
use crate::dashboard::Site;

/// The name of the hidden field of a form's token.
pub const TOKEN_FIELD: &str = "form_token";
/// The largest form: an allowlist of fifty entries and some room.
const LARGEST: usize = 64 * 1024;

/// The fields of a form, wiped after use: a password may be among them.
pub struct Fields(Vec<(String, Zeroizing<String>)>);

impl Fields {
    /// The fields of an `application/x-www-form-urlencoded` body.
    fn read(body: &[u8]) -> Fields {
        let fields = form_urlencoded::parse(body);
        Fields(
            fields
                .map(|(name, value)| (name.into_owned(), Zeroizing::new(value.into_owned())))
                .collect(),
        )
    }

    /// The field's text as it was given; empty where it is missing.
    pub fn get(&self, name: &str) -> &str {
        let field = self.0.iter().find(|(known, _)| known == name);
        field.map_or("", |(_, value)| value.as_str())
    }

    /// The field's text without blanks around it.
    pub fn trimmed(&self, name: &str) -> &str {
        self.get(name).trim()
    }

    /// A secret of the form, to be hashed elsewhere.
    pub fn secret(&self, name: &str) -> Zeroizing<String> {
        Zeroizing::new(self.get(name).to_owned())
    }

    /// Whether the field came at all: a ticked box.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }
}

/// A form that `who` posted from a page of ours.
///
/// Where it is no such form, the handler is not called, and the answer is 403.
pub struct Posted<W> {
    pub who: W,
    pub fields: Fields,
}

impl<W: Who> FromRequest for Posted<W> {
    type Error = Refused;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Refused>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let who = W::of(request.clone()).await?;
            if !is_from_here(request.headers(), site(&request)) {
                return Err(Refused::because(Why::ForeignForm).to(&who));
            }
            let Some(body) = read(&request, payload).await else {
                return Err(Refused::because(Why::BadForm).to(&who));
            };
            let fields = Fields::read(&body);
            let expected = who.visitor().form_token();
            let given = fields.get(TOKEN_FIELD);
            if !bool::from(given.as_bytes().ct_eq(expected.as_bytes())) {
                return Err(Refused::because(Why::ForeignForm).to(&who));
            }
            Ok(Posted { who, fields })
        })
    }
}

async fn read(request: &HttpRequest, mut payload: Payload) -> Option<Zeroizing<Vec<u8>>> {
    let kind = request.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    let kind = kind.split(';').next()?.trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return None;
    }
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.ok()?;
        if body.len() + chunk.len() > LARGEST {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body)
}

/// Whether the browser says that the form is of this site. A client that says nothing has only the token.
fn is_from_here(headers: &HeaderMap, site: &Site) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    is_same_site(
        text(ORIGIN.as_str()),
        text("sec-fetch-site"),
        text(HOST.as_str()),
        site.public_url.host(),
    )
}

fn is_same_site(
    origin: Option<&str>,
    fetch_site: Option<&str>,
    host: Option<&str>,
    public_host: &str,
) -> bool {
    match origin {
        Some(origin) => {
            let Ok(origin) = Url::parse(origin) else {
                return false;
            };
            let name = origin.host_str().unwrap_or_default();
            let of = origin
                .port()
                .map_or(name.to_owned(), |port| format!("{name}:{port}"));
            of == public_host || host.is_some_and(|host| host.eq_ignore_ascii_case(&of))
        }
        None => matches!(fetch_site, None | Some("same-origin" | "none")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_of_another_site_is_known_by_what_the_browser_says() {
        let of =
            |origin, fetch| is_same_site(origin, fetch, Some("10.0.0.5:8080"), "otp.example.com");
        assert!(of(Some("https://otp.example.com"), None));
        assert!(of(Some("http://10.0.0.5:8080"), Some("same-origin")));
        assert!(of(None, Some("same-origin")));
        assert!(of(None, None));
        assert!(!of(Some("https://evil.example"), None));
        assert!(!of(Some("https://otp.example.com.evil.example"), None));
        assert!(!of(Some("http://10.0.0.5"), None));
        assert!(!of(Some("null"), None));
        assert!(!of(None, Some("cross-site")));
        assert!(!of(None, Some("same-site")));
    }

    #[test]
    fn fields_are_read_as_browsers_write_them() {
        let fields = Fields::read(b"name=m%C3%A1y+ch%E1%BB%A7&empty=&test=on&name=second");
        assert_eq!(fields.get("name"), "máy chủ");
        assert_eq!(fields.get("missing"), "");
        assert!(fields.has("test") && fields.has("empty") && !fields.has("missing"));
    }
}
