//! The site's cookies: their names, attributes and lifetimes.
//!
//! Over https every cookie except the language's and the time zone's has the `__Host-` prefix, so a sibling domain cannot set it.

use actix_web::HttpResponse;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::SET_COOKIE;
use nexo_domain::billing::referral::COOKIE_DAYS;
use nexo_domain::otp::Language;

use super::state::SiteState;
use crate::dashboard::auth::limits::known_browser;
use crate::dashboard::auth::tokens::Token;

pub const LANGUAGE_COOKIE: &str = "nexo_language";
const LANGUAGE_TTL: Duration = Duration::days(365);

/// The IANA name of the browser's time zone, which the script sets.
pub const TIME_ZONE_COOKIE: &str = "nexo_time_zone";

/// The session's cookie: a token that is new at each sign-in.
pub const SESSION_COOKIE: &str = "nexo_session";
/// The cookie of a browser without a session. Its token is stored nowhere; it only ties the forms of public
/// pages to the browser.
pub const VISIT_COOKIE: &str = "nexo_visit";
/// The cookie of the referral link that the browser followed last.
pub const REFERRAL_COOKIE: &str = "nexo_ref";
/// The cookie of a browser that signed in before, by which the limits on sign-in recognise it.
pub const KNOWN_BROWSER_COOKIE: &str = "nexo_browser";
/// The cookie between the password and the second factor.
pub const SECOND_STEP_COOKIE: &str = "nexo_step";

/// The cookie's full name.
pub fn cookie_name(site: &SiteState, name: &str) -> String {
    match site.public_url.is_https() && name != LANGUAGE_COOKIE {
        true => format!("__Host-{name}"),
        false => name.to_owned(),
    }
}

/// A cookie that scripts cannot read and that other sites' POSTs do not carry.
pub fn http_only_cookie(site: &SiteState, name: &str, value: String) -> Cookie<'static> {
    Cookie::build(cookie_name(site, name), value)
        .path("/")
        .http_only(true)
        .secure(site.public_url.is_https())
        .same_site(SameSite::Lax)
        .finish()
}

/// A cookie with a lifetime; `None` deletes it.
pub fn expiring_cookie(
    site: &SiteState,
    name: &str,
    value: Option<(String, Duration)>,
) -> Cookie<'static> {
    let (value, max_age) = value.unwrap_or((String::new(), Duration::ZERO));
    let mut cookie = http_only_cookie(site, name, value);
    cookie.set_max_age(max_age);
    cookie
}

/// The cookie of a session's token; `None` deletes it.
pub fn session_cookie(site: &SiteState, token: Option<&Token>) -> Cookie<'static> {
    // The server ends an idle session earlier.
    let ttl = Duration::milliseconds(site.terms.current().session_max_ms);
    let value = token.map(|token| (token.to_string(), ttl));
    expiring_cookie(site, SESSION_COOKIE, value)
}

/// The cookie of a browser that has just signed in.
pub fn known_browser_cookie(site: &SiteState, value: String) -> Cookie<'static> {
    let value = Some((value, Duration::milliseconds(known_browser::TTL_MS)));
    expiring_cookie(site, KNOWN_BROWSER_COOKIE, value)
}

/// The cookie of a chosen language.
pub fn language_cookie(site: &SiteState, language: Language) -> Cookie<'static> {
    let value = (language.code().to_owned(), LANGUAGE_TTL);
    expiring_cookie(site, LANGUAGE_COOKIE, Some(value))
}

/// The cookie of a referral code; `None` deletes it.
pub fn referral_cookie(site: &SiteState, code: Option<String>) -> Cookie<'static> {
    let value = code.map(|code| (code, Duration::days(COOKIE_DAYS)));
    expiring_cookie(site, REFERRAL_COOKIE, value)
}

/// Adds a cookie to a finished response.
pub fn set_cookie(response: &mut HttpResponse, cookie: &Cookie<'_>) {
    if let Ok(value) = cookie.encoded().to_string().parse() {
        response.headers_mut().append(SET_COOKIE, value);
    }
}
