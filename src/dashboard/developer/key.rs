//! Looks up a key of the member's account for the pages about keys.

use nexo_domain::ids::KeyId;
use nexo_entities::store::accounts::api_keys::Key;

use crate::dashboard::web::*;

/// The account's key with this id.
///
/// # Errors
/// Not found, also if the key belongs to another account.
pub async fn key_of(site: &SiteState, member: &Member, id: &str) -> Result<Key, PageError> {
    let not_found = || PageError::not_found(member.locale());
    let id: KeyId = id.parse().map_err(|_| not_found())?;
    let keys = site.store.accounts().keys(Some(member.id())).await?;
    keys.into_iter().find(|key| key.id == id).ok_or_else(not_found)
}

/// The same, unless the key is revoked.
///
/// # Errors
/// Not found.
pub async fn active_key_of(site: &SiteState, member: &Member, id: &str) -> Result<Key, PageError> {
    let key = key_of(site, member, id).await?;
    match key.revoked_at_ms {
        None => Ok(key),
        Some(_) => Err(PageError::not_found(member.locale())),
    }
}

/// A key as lists show it: its prefix and its last four characters.
pub fn masked(key: &Key) -> String {
    let prefix = if key.test { "sk_test_" } else { "sk_live_" };
    format!("{prefix}…{}", key.hint)
}
