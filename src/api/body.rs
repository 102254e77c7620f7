//! Request bodies in, JSON answers out.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::StreamExt;
use serde::Serialize;
use zeroize::Zeroizing;

use super::error::ApiError;

/// The largest request body that is read.
pub const MAX_BODY_BYTES: usize = 16 * 1024;
/// How long a body may take to arrive: a connection held open is one fewer for other clients.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const TOO_SLOW: ApiError = ApiError::InvalidRequest("The body did not arrive in time.");

/// Reads a body of at most [`MAX_BODY_BYTES`]. It is wiped when dropped, because it may hold a code.
///
/// # Errors
/// [`ApiError::PayloadTooLarge`], or [`ApiError::InvalidRequest`] if the body does not arrive.
pub(super) async fn read_body(
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    read_body_within(BODY_TIMEOUT, request, payload).await
}

/// Like [`read_body`], within another time.
///
/// # Errors
/// As [`read_body`].
pub(super) async fn read_body_within(
    time: Duration,
    request: &HttpRequest,
    mut payload: web::Payload,
) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<usize>().ok())
        .unwrap_or(0);
    if announced > MAX_BODY_BYTES {
        return Err(ApiError::PayloadTooLarge);
    }
    // Allocate once: a vector that grows leaves unwiped copies behind.
    let mut body = Zeroizing::new(Vec::with_capacity(announced.max(256)));
    let deadline = tokio::time::Instant::now() + time;
    let mut next = async || tokio::time::timeout_at(deadline, payload.next()).await;
    while let Some(chunk) = next().await.map_err(|_| TOO_SLOW)? {
        let chunk = chunk.map_err(|_| ApiError::InvalidRequest("The body could not be read."))?;
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(ApiError::PayloadTooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A 200 with `shape` as JSON, its keys in the order of their declaration.
pub(super) fn ok(shape: &impl Serialize) -> HttpResponse {
    json_text(StatusCode::OK, to_json(shape))
}

/// An answer whose body is JSON text already.
pub(super) fn json_text(status: StatusCode, body: String) -> HttpResponse {
    HttpResponse::build(status).content_type("application/json").body(body)
}

/// The JSON text of an API shape.
pub(super) fn to_json(shape: &impl Serialize) -> String {
    serde_json::to_string(shape).expect("API shapes have string keys and finite numbers only")
}
