//! Opens and ends browser sessions.

use actix_web::HttpResponse;
use nexo_actors::clock::unix_ms;
use nexo_domain::ids::AccountId;
use nexo_entities::store::accounts::quotas::FreeCredit;
use nexo_entities::store::accounts::sessions::NewSession;
use nexo_entities::store::accounts::sign_up::SignedUp;

use super::tokens;
use crate::dashboard::web::cookies::{SESSION_TTL_MS, session_cookie, set_cookie};
use crate::dashboard::web::*;
use crate::quotas::count_free_credit;

/// Opens a session with a new token and redirects to `path`.
///
/// # Errors
/// If the database fails.
pub async fn open_session(
    site: &SiteState,
    visitor: &Visitor,
    account: AccountId,
    path: &str,
) -> PageResult {
    let token = tokens::new_token();
    let now = unix_ms();
    site.store
        .accounts()
        .open_session(NewSession {
            token_hash: tokens::hash(&token),
            account_id: account,
            address: &visitor.address.to_string(),
            browser: &visitor.user_agent,
            created_at_ms: now,
            expires_at_ms: now + SESSION_TTL_MS,
        })
        .await?;
    let mut response = redirect(visitor, path);
    set_cookie(&mut response, &session_cookie(site, Some(&token)));
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
    open_session(site, visitor, signed_up.id, path).await
}

/// Redirects to sign-in and deletes the session's cookie.
pub fn signed_out(site: &SiteState, viewer: &impl Viewer) -> HttpResponse {
    let mut response = redirect(viewer, "/auth/sign-in");
    set_cookie(&mut response, &session_cookie(site, None));
    response
}
