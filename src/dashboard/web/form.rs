//! Forms posted from the site's own pages.
//!
//! Each form carries a token derived from its browser's cookie. Another site does not know that token, and the
//! browser names the site that a form comes from. Either is enough to refuse a foreign form.

use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_TYPE, HOST, HeaderMap, ORIGIN};
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt;
use subtle::ConstantTimeEq;
use tokio::time::{Instant, timeout_at};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::error::{ErrorKind, PageError};
use super::extract::Viewer;
use super::state::SiteState;
use crate::api::body::BODY_TIMEOUT;

/// The name of the hidden field with the form's token.
pub const TOKEN_FIELD: &str = "form_token";
/// The largest form in bytes: an allowlist of 50 entries and some room.
const MAX_FORM_BYTES: usize = 64 * 1024;
/// The resources that a suspended account may post to: forms that end access or protect the account, and none that
/// send or create anything. All others are refused.
const OPEN_TO_SUSPENDED: [&str; 14] = [
    "/auth/new-password",
    "/auth/reset",
    "/auth/second-step",
    "/auth/sign-in",
    "/auth/sign-out",
    "/auth/sign-out-everywhere",
    "/dashboard/api-keys/{id}/revoke",
    "/dashboard/settings/access",
    "/dashboard/settings/email/cancel",
    "/dashboard/settings/languages",
    "/dashboard/settings/password",
    "/dashboard/settings/second-factor",
    "/dashboard/settings/second-factor/remove",
    "/dashboard/settings/sessions/{id}/end",
];

/// The fields of a form. They may contain passwords, so they are wiped after use.
pub struct Fields(Vec<(String, Zeroizing<String>)>);

impl Fields {
    /// Parses an `application/x-www-form-urlencoded` body.
    fn parse(body: &[u8]) -> Fields {
        let fields = form_urlencoded::parse(body);
        Fields(
            fields
                .map(|(name, value)| (name.into_owned(), Zeroizing::new(value.into_owned())))
                .collect(),
        )
    }

    /// The field's text as typed; empty if the field is missing.
    pub fn get(&self, name: &str) -> &str {
        let field = self.0.iter().find(|(known, _)| known == name);
        field.map_or("", |(_, value)| value.as_str())
    }

    /// The texts of every field with this name, such as ticked checkboxes.
    pub fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        let fields = self.0.iter().filter(move |(known, _)| known == name);
        fields.map(|(_, value)| value.as_str())
    }

    /// The field's text without surrounding whitespace.
    pub fn trimmed(&self, name: &str) -> &str {
        self.get(name).trim()
    }

    /// A password, to be hashed on another thread.
    pub fn secret(&self, name: &str) -> Zeroizing<String> {
        Zeroizing::new(self.get(name).to_owned())
    }

    /// Whether the form has the field: a ticked checkbox.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }
}

/// A form that the viewer `V` posted from a page of this site.
///
/// The handler is not called for any other request: the response is 400 or 403.
pub struct Posted<V>(pub V, pub Fields);

impl<V: Viewer + FromRequest<Error = PageError> + 'static> FromRequest for Posted<V> {
    type Error = PageError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, PageError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let viewer = V::from_request(&request, &mut Payload::None).await?;
            let error = |kind| Err(PageError::new(kind, viewer.locale()));
            if !is_from_here(request.headers(), SiteState::of(&request)) {
                return error(ErrorKind::ForeignForm);
            }
            let Some(body) = read(&request, payload).await else {
                return error(ErrorKind::BadForm);
            };
            let fields = Fields::parse(&body);
            let expected = viewer.visitor().form_token();
            let token = fields.get(TOKEN_FIELD);
            if !bool::from(token.as_bytes().ct_eq(expected.as_bytes())) {
                return error(ErrorKind::ForeignForm);
            }
            // The matched pattern decides: a path can be percent-encoded in many ways.
            let pattern = request.match_pattern();
            if viewer.visitor().is_suspended() && !is_open_to_suspended(pattern.as_deref()) {
                return error(ErrorKind::Suspended);
            }
            Ok(Posted(viewer, fields))
        })
    }
}

/// Whether a suspended account may post to the resource with this pattern.
fn is_open_to_suspended(pattern: Option<&str>) -> bool {
    pattern.is_some_and(|pattern| OPEN_TO_SUSPENDED.contains(&pattern))
}

async fn read(request: &HttpRequest, mut payload: Payload) -> Option<Zeroizing<Vec<u8>>> {
    let kind = request.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    let kind = kind.split(';').next()?.trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return None;
    }
    let mut body = Zeroizing::new(Vec::new());
    let deadline = Instant::now() + BODY_TIMEOUT;
    while let Some(chunk) = timeout_at(deadline, payload.next()).await.ok()? {
        let chunk = chunk.ok()?;
        if body.len() + chunk.len() > MAX_FORM_BYTES {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body)
}

/// Whether the browser's headers name this site as the form's origin. A client without these headers is judged by
/// the token alone.
fn is_from_here(headers: &HeaderMap, site: &SiteState) -> bool {
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
            let origin_host =
                origin.port().map_or(name.to_owned(), |port| format!("{name}:{port}"));
            origin_host == public_host
                || host.is_some_and(|host| host.eq_ignore_ascii_case(&origin_host))
        }
        None => matches!(fetch_site, None | Some("same-origin" | "none")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_of_another_site_is_recognised_by_its_headers() {
        let check =
            |origin, fetch| is_same_site(origin, fetch, Some("10.0.0.5:8080"), "otp.example.com");
        assert!(check(Some("https://otp.example.com"), None));
        assert!(check(Some("http://10.0.0.5:8080"), Some("same-origin")));
        assert!(check(None, Some("same-origin")));
        assert!(check(None, None));
        assert!(!check(Some("https://evil.example"), None));
        assert!(!check(Some("https://otp.example.com.evil.example"), None));
        assert!(!check(Some("http://10.0.0.5"), None));
        assert!(!check(Some("null"), None));
        assert!(!check(None, Some("cross-site")));
        assert!(!check(None, Some("same-site")));
    }

    #[test]
    fn a_suspended_account_may_only_protect_itself() {
        for pattern in [
            "/auth/sign-out",
            "/dashboard/settings/password",
            "/dashboard/settings/second-factor",
            "/dashboard/api-keys/{id}/revoke",
        ] {
            assert!(is_open_to_suspended(Some(pattern)), "{pattern}");
        }
        for pattern in [
            "/auth/confirm-email",
            "/auth/sign-up",
            "/dashboard/settings",
            "/dashboard/settings/email",
            "/dashboard/settings/%65mail",
            "/dashboard/api-keys",
            "/dashboard/api-keys/{id}/rotate",
            "/dashboard/webhooks/{id}/test",
            "/dashboard/wallet/top-up",
            "/dashboard/operators/accounts/{id}/credit",
        ] {
            assert!(!is_open_to_suspended(Some(pattern)), "{pattern}");
        }
        assert!(!is_open_to_suspended(None));
    }

    #[test]
    fn fields_are_parsed_as_browsers_write_them() {
        let fields = Fields::parse(b"name=m%C3%A1y+ch%E1%BB%A7&empty=&test=on&name=second");
        assert_eq!(fields.get("name"), "máy chủ");
        assert_eq!(fields.get("missing"), "");
        assert_eq!(fields.all("name").collect::<Vec<_>>(), ["máy chủ", "second"]);
        assert!(fields.has("test") && fields.has("empty") && !fields.has("missing"));
    }
}
