//! Authentication of a request: its API key, and the client address that the allowlist sees.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use nexo_actors::clock::unix_ms;
use nexo_domain::account::api_key::ApiKey;
use nexo_domain::account::client_ip::{ClientHeaders, TrustedSources, client_ip, is_allowed};

use super::keyring::Key;
use crate::api::error::ApiError;
use crate::api::middleware::pacing;
use crate::api::state::ApiState;

/// Checks the key, its account and its allowlist, in the documented order.
///
/// # Errors
/// [`ApiError::MissingAuth`], [`ApiError::InvalidKey`], [`ApiError::AccountSuspended`],
/// [`ApiError::IpNotAllowed`], or a failing database's.
pub async fn authorize(request: &HttpRequest, state: &ApiState) -> Result<Arc<Key>, ApiError> {
    let key = presented_key(request.headers())?;
    let key = state
        .read("an API key", state.keys.find(&key, &state.store))
        .await?
        .ok_or(ApiError::InvalidKey)?;
    pacing::note_account(request, key.account_id);
    if key.is_suspended {
        return Err(ApiError::AccountSuspended);
    }
    if !key.allowlist.is_empty() {
        let detected_ip = client_address(request, &state.trusted_sources);
        if !is_allowed(&key.allowlist, detected_ip) {
            return Err(ApiError::IpNotAllowed { detected_ip });
        }
    }
    key.record_use(unix_ms());
    Ok(key)
}

/// The key that the request presents, if its checksum is right. Does not check that the key exists.
///
/// # Errors
/// [`ApiError::MissingAuth`] or [`ApiError::InvalidKey`].
pub fn presented_key(headers: &HeaderMap) -> Result<ApiKey, ApiError> {
    let text = bearer(headers).ok_or(ApiError::MissingAuth)?;
    ApiKey::parse(text).map_err(|_| ApiError::InvalidKey)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, credentials) = match value.iter().position(|b| *b == b' ') {
        Some(blank) => value.split_at(blank),
        None => (value, &value[value.len()..]),
    };
    // Credentials that are not UTF-8 become an empty key, which is refused as invalid.
    scheme
        .eq_ignore_ascii_case(b"bearer")
        .then(|| std::str::from_utf8(credentials).unwrap_or("").trim_matches(' '))
}

/// The client's address, as far as the headers come from a trusted source.
pub fn client_address(request: &HttpRequest, trusted: &TrustedSources) -> IpAddr {
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let lines = |name: &str| -> Vec<&[u8]> {
        let values = request.headers().get_all(name);
        values.map(HeaderValue::as_bytes).collect()
    };
    let headers = ClientHeaders {
        cf_connecting_ip: &lines("cf-connecting-ip"),
        cloudflare_connecting_ip: &lines("cloudflare-connecting-ip"),
        forwarded_for: &lines("x-forwarded-for"),
    };
    client_ip(peer, headers, trusted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bearer_scheme_carries_a_key() {
        for (value, key) in [
            ("Bearer sk_live_x", Some("sk_live_x")),
            ("bearer  sk_live_x ", Some("sk_live_x")),
            ("BEARER sk_live_x", Some("sk_live_x")),
            ("Bearer", Some("")),
            ("Bearer ", Some("")),
            ("Basic dXNlcjpwdw==", None),
            ("sk_live_x", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            assert_eq!(bearer(&headers), key, "{value:?}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
