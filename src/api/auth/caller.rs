//! Who asks: the key, the account and the address behind a request.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use ipnet::IpNet;
use nexo_actors::clock::unix_ms;
use nexo_domain::account::api_key::ApiKey;
use nexo_domain::account::client_ip::{Claims, allowed, client_ip};

use super::keyring::Key;
use crate::api::Edge;
use crate::api::error::ApiError;

/// Checks the key and its allowlist, in the contract's order.
pub async fn authorize(request: &HttpRequest, edge: &Edge) -> Result<Arc<Key>, ApiError> {
    let key = given_key(request.headers())?;
    let key = edge
        .read("an API key", edge.keys.find(&key, &edge.store))
        .await?
        .ok_or(ApiError::InvalidKey)?;
    if !key.allowlist.is_empty() {
        let detected_ip = client_address(request, &edge.trusted_proxies);
        if !allowed(&key.allowlist, detected_ip) {
            return Err(ApiError::IpNotAllowed { detected_ip });
        }
    }
    key.used(unix_ms());
    Ok(key)
}

/// The key that a request comes with, mistyped ones refused; whether there is such a key is not asked.
pub fn given_key(headers: &HeaderMap) -> Result<ApiKey, ApiError> {
    let text = bearer(headers).ok_or(ApiError::MissingAuth)?;
    ApiKey::parse(text).map_err(|_| ApiError::InvalidKey)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, credentials) = match value.iter().position(|b| *b == b' ') {
        Some(blank) => value.split_at(blank),
        None => (value, &value[value.len()..]),
    };
    // What is not text is no key either, and is refused as one.
    scheme.eq_ignore_ascii_case(b"bearer").then(|| {
        std::str::from_utf8(credentials)
            .unwrap_or("")
            .trim_matches(' ')
    })
}

/// The client's address behind the trusted proxies.
pub fn client_address(request: &HttpRequest, trusted_proxies: &[IpNet]) -> IpAddr {
    let peer = request
        .peer_addr()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let headers = request.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let forwarded: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .filter_map(|value| value.to_str().ok())
        .collect();
    let forwarded = forwarded.join(",");
    let connecting_ip = [text("cf-connecting-ip"), text("cloudflare-connecting-ip")]
        .into_iter()
        .flatten()
        .find(|value| value.trim().parse::<IpAddr>().is_ok());
    let claims = Claims {
        connecting_ip,
        forwarded_for: (!forwarded.is_empty()).then_some(forwarded.as_str()),
    };
    client_ip(peer, claims, trusted_proxies)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

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
