//! `X-Request-Id`: the caller's id if it is valid, otherwise a new one; set on every response.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_LENGTH: usize = 128;

/// The id of a request in the log and in the response.
pub fn request_id(headers: &HeaderMap) -> HeaderValue {
    match headers.get(X_REQUEST_ID) {
        Some(own) if is_valid(own) => own.clone(),
        Some(_) | None => fresh(),
    }
}

fn is_valid(id: &HeaderValue) -> bool {
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    (1..=MAX_LENGTH).contains(&id.len()) && id.as_bytes().iter().all(allowed)
}

fn fresh() -> HeaderValue {
    let mut text = Uuid::encode_buffer();
    let id = Uuid::new_v4().as_hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(id).expect("a UUID is a valid header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_id_is_kept_and_any_other_replaced() {
        let id_for = |own: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_bytes(own.as_bytes()).unwrap());
            request_id(&headers).to_str().unwrap().to_owned()
        };
        assert_eq!(id_for("order-42.try:1_a"), "order-42.try:1_a");
        for own in ["", "two words", "<script>", &"x".repeat(129), "naïve"] {
            let id = id_for(own);
            assert_ne!(id, own);
            assert!(Uuid::parse_str(&id).is_ok());
        }
        assert!(Uuid::parse_str(request_id(&HeaderMap::new()).to_str().unwrap()).is_ok());
    }
}
