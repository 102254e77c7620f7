//! Opens and ends browser sessions.

use actix_web::HttpResponse;
use nexo_actors::clock::unix_ms;
use nexo_domain::ids::AccountId;
use nexo_entities::store::accounts::Account;
use nexo_entities::store::accounts::quotas::FreeCredit;
use nexo_entities::store::accounts::sessions::{Credentials, NewSession};
use nexo_entities::store::accounts::sign_up::SignedUp;

use super::limits::known_browser;
use super::tokens;
use crate::dashboard::web::cookies::{known_browser_cookie, session_cookie, set_cookie};
use crate::dashboard::web::*;
use crate::quotas::count_free_credit;

/// The page on which an owner reviews the account's keys and endpoints after a password reset.
pub const ACCESS_REVIEW_PATH: &str = "/dashboard/settings/access";

/// Opens a session with a new token, remembers the browser, and redirects to `path`. After a password reset the
/// review of the account's access comes first.
///
/// # Errors
/// If the credentials differ from `proven` by now; if the database fails.
pub async fn open_session(
    site: &SiteState,
    visitor: &Visitor,
    account: AccountId,
    proven: Option<Credentials>,
    path: &str,
) -> PageResult {
    let token = tokens::new_token();
    let now = unix_ms();
    site.store
        .accounts()
        .open_session(NewSession {
            token_hash: tokens::hash(&token),
            account_id: account,
            proven,
            address: &visitor.address.to_string(),
            browser: &visitor.user_agent,
            created_at_ms: now,
            expires_at_ms: site.session_expiry(now, now),
        })
        .await?;
    let account = site.store.accounts().get(account).await?;
    let account = account.ok_or_else(|| PageError::internal(visitor.locale))?;
    let path = match account.access_review_since_ms {
        Some(_) => ACCESS_REVIEW_PATH,
        None => path,
    };
    let mut response = redirect(visitor, path);
    set_cookie(&mut response, &session_cookie(site, Some(&token)));
    remember_browser(site, visitor, &account, &mut response);
    Ok(response)
}

/// Opens a session of a new account and leads to the dashboard, which says if there is no free credit.
///
/// # Errors
/// If the database fails.
pub async fn enter(site: &SiteState, visitor: &Visitor, signed_up: SignedUp) -> PageResult {
    count_free_credit(signed_up.credit);
    let path = match signed_up.credit {
        FreeCredit::Granted | FreeCredit::NotOffered => "/dashboard",
        FreeCredit::MailboxHadOne => "/dashboard?credit=mailbox",
        FreeCredit::DailyLimitReached => "/dashboard?credit=limit",
    };
    open_session(site, visitor, signed_up.id, None, path).await
}

/// Sets the cookie by which this browser is known to the account from now on.
pub fn remember_browser(
    site: &SiteState,
    visitor: &Visitor,
    account: &Account,
    response: &mut HttpResponse,
) {
    if let Some(value) = known_browser::remember(&visitor.known_browser, account, unix_ms()) {
        set_cookie(response, &known_browser_cookie(site, value));
    }
}

/// Redirects to sign-in and deletes the session's cookie.
pub fn signed_out(site: &SiteState, viewer: &impl Viewer) -> HttpResponse {
    let mut response = redirect(viewer, "/auth/sign-in");
    set_cookie(&mut response, &session_cookie(site, None));
    response
}
