//! Extractors of the viewer: a [`Visitor`] is anyone, a [`Member`] has a session, an [`Operator`] is a member
//! who may make operators' decisions.
//!
//! Without a session, member pages redirect to sign-in and back. Operator pages return 404 to everyone else.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::cookie::Cookie;
use actix_web::dev::Payload;
use actix_web::http::header::{AcceptLanguage, Header, Quality, USER_AGENT};
use actix_web::{FromRequest, HttpRequest};
use nexo_actors::clock::unix_ms;
use nexo_domain::billing::referral::ReferralCode;
use nexo_domain::ids::AccountId;
use nexo_domain::otp::Language;
use nexo_domain::time_zone::Zone;
use nexo_entities::store::accounts::Account;
use nexo_entities::store::accounts::sessions::Session;
use url::form_urlencoded;

use super::cookies::*;
use super::error::{ErrorKind, PageError};
use super::navigation::SECOND_FACTOR_PATH;
use super::state::SiteState;
use crate::api;
use crate::dashboard::auth::tokens;
use crate::dashboard::auth::tokens::Token;
use crate::dashboard::locale::Locale;
use crate::read_limits::{ReadLimits, ReadTurn};

/// The least time between two updates of a session's last use.
const SESSION_UPDATE_INTERVAL_MS: i64 = 5 * 60_000;

/// Anyone who requests a page.
pub struct Visitor {
    /// The language, time zone and time of the page.
    pub locale: Locale,
    /// The time zone of the pages if the account has not chosen one.
    pub automatic_zone: Zone,
    /// The client's address, behind trusted proxies.
    pub address: IpAddr,
    /// The requested path and query.
    pub path: String,
    pub user_agent: String,
    /// The referral link followed now or within the last 90 days.
    pub referral: Option<ReferralCode>,
    /// The cookie of the accounts that this browser signed in to before; empty without one. It is not verified.
    pub known_browser: String,
    /// The session, if signed in.
    pub signed_in: Option<(Session, Account)>,
    token: Token,
    /// Set with the response.
    cookies: Vec<Cookie<'static>>,
}

/// A visitor with a session.
pub struct Member {
    pub visitor: Visitor,
    pub account: Account,
    pub session: Session,
    /// The account's turn to read. A page reads the database until its response is complete.
    _turn: ReadTurn,
}

/// A member who may make operators' decisions.
pub struct Operator {
    pub member: Member,
}

/// What a page's frame needs to know of the person who sees it.
pub trait Viewer {
    fn visitor(&self) -> &Visitor;

    /// The language, time zone and time of the page.
    fn locale(&self) -> Locale {
        self.visitor().locale
    }
}

impl Viewer for Visitor {
    fn visitor(&self) -> &Visitor {
        self
    }
}

impl Viewer for Member {
    fn visitor(&self) -> &Visitor {
        &self.visitor
    }
}

impl Viewer for Operator {
    fn visitor(&self) -> &Visitor {
        &self.member.visitor
    }
}

impl Member {
    pub fn id(&self) -> AccountId {
        self.account.id
    }
}

impl Visitor {
    /// The token that this browser's forms carry.
    pub fn form_token(&self) -> String {
        tokens::form_token(&self.token)
    }

    /// Whether the visitor is signed in to a suspended account.
    pub fn is_suspended(&self) -> bool {
        let account = self.signed_in.as_ref().map(|(_, account)| account);
        account.is_some_and(|account| account.suspended_at_ms.is_some())
    }

    /// The cookies to set with the response.
    pub fn cookies(&self) -> &[Cookie<'static>] {
        &self.cookies
    }

    async fn of(request: HttpRequest) -> Result<Visitor, PageError> {
        let site = SiteState::of(&request);
        let address = api::client_address(&request, &site.trusted_sources);
        let mut cookies = Vec::new();
        let (signed_in, token) = session(&request, site, address, &mut cookies).await?;
        let token = match token.or_else(|| token_cookie(&request, site, VISIT_COOKIE)) {
            Some(token) => token,
            None => {
                let token = tokens::new_token();
                cookies.push(http_only_cookie(site, VISIT_COOKIE, token.to_string()));
                token
            }
        };
        let account = signed_in.as_ref().map(|(_, account)| account);
        let language = language(&request, site, account, &mut cookies).await?;
        let zone = account.and_then(|account| account.time_zone);
        let automatic = Locale::now(language, automatic_zone(&request, language));
        let referral = referral(&request, site, account, &mut cookies);
        let known_browser = request.cookie(&cookie_name(site, KNOWN_BROWSER_COOKIE));
        let user_agent = request.headers().get(USER_AGENT);
        let user_agent = user_agent.and_then(|text| text.to_str().ok());
        let path = request.uri().path_and_query();
        Ok(Visitor {
            locale: Locale { zone: zone.unwrap_or(automatic.zone), ..automatic },
            automatic_zone: automatic.zone,
            address,
            path: path.map_or_else(String::new, ToString::to_string),
            user_agent: user_agent.unwrap_or_default().to_owned(),
            referral,
            known_browser: known_browser.map_or_else(String::new, |c| c.value().to_owned()),
            signed_in,
            token,
            cookies,
        })
    }

    async fn into_member(self, limits: &Arc<ReadLimits>) -> Result<Member, PageError> {
        let Some((session, account)) = self.signed_in.clone() else {
            let kind = ErrorKind::NotSignedIn { next: self.path };
            return Err(PageError::new(kind, self.locale));
        };
        let turn = limits.read(account.id).await;
        let refused = |error| PageError::new(ErrorKind::TooManyReads(error), self.locale);
        Ok(Member { _turn: turn.map_err(refused)?, visitor: self, account, session })
    }
}

fn token_cookie(request: &HttpRequest, site: &SiteState, name: &str) -> Option<Token> {
    let cookie = request.cookie(&cookie_name(site, name))?;
    let value = cookie.value();
    tokens::is_token(value).then(|| Token::new(value.to_owned()))
}

/// The session of the request's cookie and the cookie's token. An expired session's cookie is deleted.
async fn session(
    request: &HttpRequest,
    site: &SiteState,
    address: IpAddr,
    cookies: &mut Vec<Cookie<'static>>,
) -> Result<(Option<(Session, Account)>, Option<Token>), PageError> {
    let Some(token) = token_cookie(request, site, SESSION_COOKIE) else {
        return Ok((None, None));
    };
    let now = unix_ms();
    let Some((session, account)) =
        site.store.accounts().session(&tokens::hash(&token), now).await?
    else {
        cookies.push(session_cookie(site, None));
        return Ok((None, None));
    };
    // The maximum may have been lowered since the session's expiry was stored.
    let expires_at = site.session_expiry(session.created_at_ms, now);
    if expires_at <= now {
        let ended = site.store.accounts().end_session(account.id, session.id);
        // It is not accepted any more even if this write fails.
        if let Err(error) = ended.await {
            tracing::warn!(%error, "an expired session could not be removed");
        }
        cookies.push(session_cookie(site, None));
        return Ok((None, None));
    }
    if now - session.seen_at_ms > SESSION_UPDATE_INTERVAL_MS {
        let address = address.to_string();
        let updated = site.store.accounts().touch_session(session.id, &address, now, expires_at);
        // The page is shown even if this write fails.
        if let Err(error) = updated.await {
            tracing::warn!(%error, "the last use of a session could not be recorded");
        }
    }
    Ok((Some((session, account)), Some(token)))
}

/// The language of the page: the one that the URL chooses, else the account's, else the cookie's, else the
/// browser's. A language that the URL chooses is remembered.
async fn language(
    request: &HttpRequest,
    site: &SiteState,
    account: Option<&Account>,
    cookies: &mut Vec<Cookie<'static>>,
) -> Result<Language, PageError> {
    let chosen = match request.path() {
        "/en" => Some(Language::En),
        "/vi" => Some(Language::Vi),
        _ => query(request, "lang").and_then(|code| Language::from_code(&code)),
    };
    if let Some(language) = chosen {
        cookies.push(language_cookie(site, language));
        if let Some(account) = account.filter(|a| a.page_language != Some(language)) {
            site.store.accounts().set_page_language(account.id, language).await?;
        }
    }
    let remembered = || {
        let cookie = request.cookie(LANGUAGE_COOKIE)?;
        Language::from_code(cookie.value())
    };
    Ok(chosen
        .or(account.and_then(|account| account.page_language))
        .or_else(remembered)
        .unwrap_or_else(|| accepted_language(request)))
}

/// The time zone of pages in this language for an account that chose none: on English pages the browser's, which the
/// script tells in a cookie.
fn automatic_zone(request: &HttpRequest, language: Language) -> Option<Zone> {
    match language {
        Language::En => Zone::named(request.cookie(TIME_ZONE_COOKIE)?.value()),
        Language::Vi => None,
    }
}

/// The first parameter of this name in the request's query.
pub fn query(request: &HttpRequest, name: &str) -> Option<String> {
    query_value(request.query_string(), name)
}

/// The first parameter of this name in the query of a path.
pub fn query_of_path(path: &str, name: &str) -> Option<String> {
    query_value(path.split_once('?')?.1, name)
}

fn query_value(query: &str, name: &str) -> Option<String> {
    let mut fields = form_urlencoded::parse(query.as_bytes());
    let (_, value) = fields.find(|(field, _)| field == name)?;
    Some(value.into_owned())
}

/// The referral code of this page's link, which is then remembered, or the remembered one. The last link counts.
/// An account's own code does not count, and is deleted once its browser signs in.
fn referral(
    request: &HttpRequest,
    site: &SiteState,
    account: Option<&Account>,
    cookies: &mut Vec<Cookie<'static>>,
) -> Option<ReferralCode> {
    let is_own = |code: &ReferralCode| account.is_some_and(|a| a.referral_code == code.as_str());
    // A redirect to sign-in carries the link in `next`.
    let next = query(request, "next");
    let next = next.as_deref().and_then(|path| path.split_once('?'));
    let code = query(request, "ref").or_else(|| next.and_then(|(_, q)| query_value(q, "ref")));
    let code = code.and_then(|code| ReferralCode::parse(&code));
    if let Some(code) = code.filter(|code| !is_own(code)) {
        cookies.push(referral_cookie(site, Some(code.to_string())));
        return Some(code);
    }
    let cookie = request.cookie(&cookie_name(site, REFERRAL_COOKIE))?;
    let code = ReferralCode::parse(cookie.value()).filter(|code| !is_own(code));
    if code.is_none() {
        cookies.push(referral_cookie(site, None));
    }
    code
}

/// The site's language that the browser prefers; English if it accepts neither.
fn accepted_language(request: &HttpRequest) -> Language {
    let Ok(accepted) = AcceptLanguage::parse(request) else {
        return Language::En;
    };
    let mut best = (Language::En, Quality::ZERO);
    for item in &accepted.0 {
        let tag = item.item.item().map_or("", |tag| tag.primary_language());
        if let Some(language) = Language::from_code(&tag.to_ascii_lowercase())
            && item.quality > best.1
        {
            best = (language, item.quality);
        }
    }
    best.0
}

type Extraction<T> = Pin<Box<dyn Future<Output = Result<T, PageError>>>>;

impl FromRequest for Visitor {
    type Error = PageError;
    type Future = Extraction<Visitor>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        Box::pin(Visitor::of(request.clone()))
    }
}

impl FromRequest for Member {
    type Error = PageError;
    type Future = Extraction<Member>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        let limits = Arc::clone(&SiteState::of(&request).read_limits);
        Box::pin(async move {
            let member = Visitor::of(request.clone()).await?.into_member(&limits).await?;
            match needs_second_factor(&member, &request) {
                true => Err(PageError::new(ErrorKind::NeedsSecondFactor, member.locale())),
                false => Ok(member),
            }
        })
    }
}

/// Whether the member is an operator who must set up a second factor before using the requested page.
fn needs_second_factor(member: &Member, request: &HttpRequest) -> bool {
    const ALLOWED: [&str; 3] = [SECOND_FACTOR_PATH, "/auth/sign-out", "/auth/sign-out-everywhere"];
    let terms = SiteState::of(request).terms.current();
    terms.operators_need_second_factor
        && member.account.operator
        && member.account.totp_sealed.is_none()
        && !ALLOWED.contains(&request.path())
}

impl FromRequest for Operator {
    type Error = PageError;
    type Future = Extraction<Operator>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let member = Member::from_request(request, payload);
        Box::pin(async {
            let member = member.await?;
            match member.account.operator && !member.visitor.is_suspended() {
                true => Ok(Operator { member }),
                false => Err(PageError::not_found(member.locale())),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::ACCEPT_LANGUAGE;
    use actix_web::test::TestRequest;

    #[test]
    fn the_language_that_the_browser_prefers_is_chosen() {
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
            let request = TestRequest::default().insert_header((ACCEPT_LANGUAGE, accept));
            let request = request.to_http_request();
            assert_eq!(accepted_language(&request), language, "{accept:?}");
        }
    }
}
