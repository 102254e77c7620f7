//! Who asks: [`Visitor`] is anybody, [`Member`] is signed in, [`Operator`] may decide what operators do.
//!
//! Each is an extractor. A member's page that a stranger asks for sends him to sign in and back; an operator's
//! page is not there for anybody else.
//!
//! A browser holds one of two cookies. `nexo_session` is a session's token, new at each sign-in. Who is not
//! signed in holds `nexo_visit`, which is written nowhere: it only ties the forms of public pages to his
//! browser. Where the site is reached by https both are `__Host-` cookies, which no sister domain can set.

use std::net::IpAddr;
use std::pin::Pin;

use actix_web::cookie::time::Duration as CookieDuration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::Payload;
use actix_web::http::header::{ACCEPT_LANGUAGE, HeaderMap, USER_AGENT};
use actix_web::{FromRequest, HttpRequest, web};
use nexo_actors::clock::unix_ms;
use nexo_domain::billing::referral::{COOKIE_DAYS, ReferralCode};
use nexo_domain::ids::AccountId;
use nexo_domain::otp::Language;
use nexo_entities::store::accounts::accounts::Account;
use nexo_entities::store::accounts::sessions::Session;

use super::error::{Refused, Why};
use crate::api;
use crate::dashboard::Site;
use crate::dashboard::auth::tokens;
use crate::dashboard::auth::tokens::Token;

/// A session that is not seen for so long has ended.
pub const SESSION_LASTS_MS: i64 = 14 * 24 * 3_600_000;
/// A session is noted as seen no more often.
const NOTE_EVERY_MS: i64 = 5 * 60_000;
const LANGUAGE_COOKIE: &str = "nexo_language";
const LANGUAGE_LASTS: CookieDuration = CookieDuration::days(365);

/// Anybody.
pub struct Visitor {
    /// Of the page that he gets.
    pub language: Language,
    /// Where he is, behind trusted proxies.
    pub address: IpAddr,
    /// The path and query that he asked for.
    pub path: String,
    /// What his browser calls itself.
    pub browser: String,
    /// By whose link he came, here or within the last 90 days.
    pub referral: Option<ReferralCode>,
    /// Whose he is, where he is signed in.
    pub signed_in: Option<(Session, Account)>,
    token: Token,
    /// Set with the answer.
    cookies: Vec<Cookie<'static>>,
}

/// Somebody who is signed in.
pub struct Member {
    pub visitor: Visitor,
    pub account: Account,
    pub session: Session,
}

/// A member who may decide what operators do.
pub struct Operator {
    pub member: Member,
}

/// Everybody is a visitor: what a page's frame needs to know.
pub trait Reader {
    fn visitor(&self) -> &Visitor;

    /// Of the page that he gets.
    fn language(&self) -> Language {
        self.visitor().language
    }
}

impl Reader for Visitor {
    fn visitor(&self) -> &Visitor {
        self
    }
}

impl Reader for Member {
    fn visitor(&self) -> &Visitor {
        &self.visitor
    }
}

impl Reader for Operator {
    fn visitor(&self) -> &Visitor {
        &self.member.visitor
    }
}

impl Member {
    /// Whose pages these are.
    pub fn id(&self) -> AccountId {
        self.account.id
    }
}

impl Visitor {
    /// What the forms of his pages carry.
    pub fn form_token(&self) -> String {
        tokens::form_token(&self.token)
    }

    /// The cookies that go with his answer.
    pub fn cookies(&self) -> &[Cookie<'static>] {
        &self.cookies
    }

    async fn of(request: HttpRequest) -> Result<Visitor, Refused> {
        let site = site(&request);
        let now = unix_ms();
        let address = api::client_address(&request, &site.trusted_proxies);
        let cookie = |name: String| {
            let cookie = request.cookie(&name)?;
            let value = cookie.value();
            tokens::is_token(value).then(|| Token::new(value.to_owned()))
        };
        let mut cookies = Vec::new();
        let mut signed_in = None;
        let mut token = None;
        if let Some(held) = cookie(session_cookie_name(site)) {
            signed_in = site.store.session(&tokens::hash(&held), now).await?;
            match signed_in {
                Some(_) => token = Some(held),
                None => cookies.push(session_cookie(site, None)),
            }
        }
        if let Some((session, _)) = &signed_in
            && now - session.seen_at_ms > NOTE_EVERY_MS
        {
            let until = now + SESSION_LASTS_MS;
            let address = address.to_string();
            let noted = site.store.note_session(session.id, &address, now, until);
            // A page is not refused because this could not be written.
            if let Err(error) = noted.await {
                tracing::warn!(%error, "a session could not be noted as seen");
            }
        }
        let token = match token.or_else(|| cookie(visit_cookie_name(site))) {
            Some(token) => token,
            None => {
                let token = tokens::new_token();
                cookies.push(own_cookie(site, visit_cookie_name(site), token.to_string()));
                token
            }
        };
        let account = signed_in.as_ref().map(|(_, account)| account);
        let chosen = chosen_language(&request);
        if let Some(language) = chosen {
            cookies.push(language_cookie(site, language));
            if let Some(account) = account.filter(|a| a.page_language != Some(language)) {
                site.store.set_page_language(account.id, language).await?;
            }
        }
        let kept = request
            .cookie(LANGUAGE_COOKIE)
            .and_then(|cookie| Language::from_code(cookie.value()));
        let referral = landed(&request, site, account, &mut cookies);
        let browser = request.headers().get(USER_AGENT);
        Ok(Visitor {
            language: chosen
                .or(account.and_then(|account| account.page_language))
                .or(kept)
                .unwrap_or_else(|| spoken_language(request.headers())),
            address,
            path: request
                .uri()
                .path_and_query()
                .map_or_else(String::new, ToString::to_string),
            browser: browser
                .and_then(|text| text.to_str().ok())
                .unwrap_or_default()
                .to_owned(),
            referral,
            signed_in,
            token,
            cookies,
        })
    }

    fn member(self) -> Result<Member, Refused> {
        match self.signed_in.clone() {
            Some((session, account)) => Ok(Member {
                visitor: self,
                account,
                session,
            }),
            None => Err(Refused::because(Why::NotSignedIn {
                wanted: self.path.clone(),
            })
            .to(&self)),
        }
    }
}

/// The site that a request was made to.
pub fn site(request: &HttpRequest) -> &Site {
    request
        .app_data::<web::Data<Site>>()
        .expect("the site is given to the application with its routes")
}

/// `/vi` or `?lang=vi`: how a page is read in the other language.
fn chosen_language(request: &HttpRequest) -> Option<Language> {
    match request.path() {
        "/en" => return Some(Language::En),
        "/vi" => return Some(Language::Vi),
        _ => {}
    }
    Language::from_code(&value_of(request.query_string(), "lang")?)
}

/// The first value of this name in a query string.
pub(in crate::dashboard) fn value_of(query: &str, name: &str) -> Option<String> {
    let mut fields = url::form_urlencoded::parse(query.as_bytes());
    let (_, value) = fields.find(|(given, _)| given == name)?;
    Some(value.into_owned())
}

/// Whose link is this visitor's: the one of this very page, which is then remembered, or a remembered one. The
/// last link counts. An account's own is nobody's, and is forgotten once its browser signs in.
fn landed(
    request: &HttpRequest,
    site: &Site,
    account: Option<&Account>,
    cookies: &mut Vec<Cookie<'static>>,
) -> Option<ReferralCode> {
    let name = prefixed(site, "nexo_ref");
    let is_own = |code: &ReferralCode| account.is_some_and(|a| a.referral_code == code.as_str());
    // Whoever must sign in first landed on the page that is next.
    let next = value_of(request.query_string(), "next");
    let next = next.as_deref().and_then(|path| path.split_once('?'));
    let here = value_of(request.query_string(), "ref")
        .or_else(|| next.and_then(|(_, query)| value_of(query, "ref")));
    let here = here.and_then(|code| ReferralCode::parse(&code));
    if let Some(code) = here.filter(|code| !is_own(code)) {
        let mut cookie = own_cookie(site, name, code.to_string());
        cookie.set_max_age(CookieDuration::days(COOKIE_DAYS));
        cookies.push(cookie);
        return Some(code);
    }
    let kept = request.cookie(&name)?;
    let code = ReferralCode::parse(kept.value());
    if code.as_ref().is_none_or(is_own) {
        let mut cookie = own_cookie(site, name, String::new());
        cookie.set_max_age(CookieDuration::ZERO);
        cookies.push(cookie);
        return None;
    }
    code
}

/// The one of our languages that the browser likes best; English where it likes neither.
fn spoken_language(headers: &HeaderMap) -> Language {
    let accept = headers
        .get(ACCEPT_LANGUAGE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut best: Option<(Language, f32)> = None;
    for part in accept.split(',') {
        let (tag, parameters) = part.split_once(';').unwrap_or((part, ""));
        let quality = parameters.trim().strip_prefix("q=");
        let quality = quality.map_or(Some(1.0), |q| q.parse::<f32>().ok());
        let primary = tag.trim().split('-').next().unwrap_or_default();
        let language = Language::from_code(&primary.to_ascii_lowercase());
        if let (Some(language), Some(quality)) = (language, quality)
            && quality > best.map_or(0.0, |(_, best)| best)
        {
            best = Some((language, quality));
        }
    }
    best.map_or(Language::En, |(language, _)| language)
}

fn prefixed(site: &Site, name: &str) -> String {
    match site.public_url.is_https() {
        true => format!("__Host-{name}"),
        false => name.to_owned(),
    }
}

fn session_cookie_name(site: &Site) -> String {
    prefixed(site, "nexo_session")
}

fn visit_cookie_name(site: &Site) -> String {
    prefixed(site, "nexo_visit")
}

/// A cookie that no script reads and no other site sends with a POST.
pub fn own_cookie(site: &Site, name: String, value: String) -> Cookie<'static> {
    Cookie::build(name, value)
        .path("/")
        .http_only(true)
        .secure(site.public_url.is_https())
        .same_site(SameSite::Lax)
        .finish()
}

/// The cookie of a session's token; of `None`, the one that takes it away.
pub fn session_cookie(site: &Site, token: Option<&Token>) -> Cookie<'static> {
    let value = token.map_or(String::new(), |token| token.to_string());
    let mut cookie = own_cookie(site, session_cookie_name(site), value);
    cookie.set_max_age(match token {
        Some(_) => CookieDuration::milliseconds(SESSION_LASTS_MS),
        None => CookieDuration::ZERO,
    });
    cookie
}

/// The cookie of a language that somebody chose.
pub fn language_cookie(site: &Site, language: Language) -> Cookie<'static> {
    let value = language.code().to_owned();
    let mut cookie = own_cookie(site, LANGUAGE_COOKIE.to_owned(), value);
    cookie.set_max_age(LANGUAGE_LASTS);
    cookie
}

/// Whom an extractor asks for.
pub trait Who: Reader + Sized + 'static {
    fn of(request: HttpRequest) -> Pin<Box<dyn Future<Output = Result<Self, Refused>>>>;
}

impl Who for Visitor {
    fn of(request: HttpRequest) -> Pin<Box<dyn Future<Output = Result<Self, Refused>>>> {
        Box::pin(Visitor::of(request))
    }
}

impl Who for Member {
    fn of(request: HttpRequest) -> Pin<Box<dyn Future<Output = Result<Self, Refused>>>> {
        Box::pin(async { Visitor::of(request).await?.member() })
    }
}

impl Who for Operator {
    fn of(request: HttpRequest) -> Pin<Box<dyn Future<Output = Result<Self, Refused>>>> {
        Box::pin(async {
            let member = Visitor::of(request).await?.member()?;
            match member.account.operator {
                true => Ok(Operator { member }),
                false => Err(Refused::because(Why::NotFound).to(&member)),
            }
        })
    }
}

macro_rules! extractor {
    ($who:ty) => {
        impl FromRequest for $who {
            type Error = Refused;
            type Future = Pin<Box<dyn Future<Output = Result<Self, Refused>>>>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                <$who as Who>::of(request.clone())
            }
        }
    };
}

extractor!(Visitor);
extractor!(Member);
extractor!(Operator);

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    #[test]
    fn the_language_that_a_browser_likes_best_is_spoken() {
        for (accept, language) in [
            ("vi-VN,vi;q=0.9,en;q=0.8", Language::Vi),
            ("en-GB,en;q=0.9,vi;q=0.8", Language::En),
            ("fr, vi;q=0.2", Language::Vi),
            ("en;q=0.1, VI;q=0.7", Language::Vi),
            ("fr", Language::En),
            ("vi;q=0", Language::En),
            ("vi;q=x", Language::En),
            ("", Language::En),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_str(accept).unwrap());
            assert_eq!(spoken_language(&headers), language, "{accept:?}");
        }
    }
}
