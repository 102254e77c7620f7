//! Adds security headers to every page and bounds the time of a page.

use std::time::Duration;

use actix_web::ResponseError;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;

use super::error::{ErrorKind, PageError};
use super::state::SiteState;

/// Allows only resources of this site: no inline scripts or styles, no framing.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
     img-src 'self'; connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'";
const STRICT_TRANSPORT_SECURITY: &str = "max-age=63072000";
/// Browsers then refuse plain HTTP on every subdomain of the public host, also of services that are not ours. So an
/// operator has to choose it.
const STRICT_TRANSPORT_SECURITY_WITH_SUBDOMAINS: &str = "max-age=63072000; includeSubDomains";
/// The longest time for a page. A slower page means that the database does not answer.
const PAGE_TIMEOUT: Duration = Duration::from_secs(20);

/// The middleware of all pages.
pub async fn secure(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let transport_security = transport_security(SiteState::of(request.request()));
    match tokio::time::timeout(PAGE_TIMEOUT, next.call(request)).await {
        Ok(response) => {
            let mut response = response?.map_into_boxed_body();
            add(response.headers_mut(), transport_security);
            Ok(response)
        }
        Err(_) => {
            let mut response = PageError::from(ErrorKind::Overloaded).error_response();
            add(response.headers_mut(), transport_security);
            Err(InternalError::from_response("the page took too long", response).into())
        }
    }
}

/// The Strict-Transport-Security of the site; `None` without HTTPS.
fn transport_security(site: &SiteState) -> Option<&'static str> {
    site.public_url.is_https().then_some(match site.hsts_include_subdomains {
        true => STRICT_TRANSPORT_SECURITY_WITH_SUBDOMAINS,
        false => STRICT_TRANSPORT_SECURITY,
    })
}

fn add(headers: &mut HeaderMap, transport_security: Option<&'static str>) {
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "strict-origin-when-cross-origin");
    set(
        HeaderName::from_static("permissions-policy"),
        "camera=(), microphone=(), geolocation=(), payment=()",
    );
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    if let Some(value) = transport_security {
        set(header::STRICT_TRANSPORT_SECURITY, value);
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}
