//! The HTTP API under `/api/v1`, and the health endpoints.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::web;

pub mod auth;
pub mod body;
pub mod error;
pub mod health;
pub mod hooks;
mod json;
pub(crate) mod list;
pub(crate) mod middleware;
pub mod openapi;
pub mod otp;
pub mod resources;
pub mod state;
pub mod verifications;

pub use auth::caller::client_address;
pub use body::MAX_BODY_BYTES;
pub use error::ApiError;
pub use middleware::pacing::Pacer;
pub use state::ApiState;

use crate::http::parser_errors::ErrorAnswer;
use middleware::meters::HttpMeters;
use middleware::pacing;

/// Adds every route to an actix-web application. Routes declare GET or POST; [`crate::http::methods`] derives the rest.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/healthz").get(health::healthz))
        .service(web::resource("/readyz").get(health::readyz))
        .service(
            web::scope("/api/v1")
                .service(web::resource("/send-otp").post(otp::send_otp::send_otp))
                .service(web::resource("/hooks/{kind}/{id}").post(hooks::hook))
                .service(web::resource("/deliveries").get(resources::deliveries::list))
                .service(
                    web::resource("/deliveries/{id}")
                        .get(resources::delivery_and_balance::delivery),
                )
                .service(
                    web::resource("/verifications")
                        .get(verifications::read::list)
                        .post(verifications::start::start),
                )
                .service(
                    web::resource("/verifications/{id}").get(verifications::read::verification),
                )
                .service(
                    web::resource("/verifications/{id}/check").post(verifications::check::check),
                )
                .service(
                    web::resource("/verifications/{id}/resend").post(verifications::resend::resend),
                )
                .service(
                    web::resource("/verifications/{id}/cancel").post(verifications::cancel::cancel),
                )
                .service(web::resource("/ledger").get(resources::ledger::list))
                .service(
                    web::resource("/bank-notifications")
                        .post(resources::bank_notifications::notify),
                )
                .service(web::resource("/balance").get(resources::delivery_and_balance::balance))
                .service(web::resource("/openapi.json").get(openapi::document)),
        )
        .default_service(web::to(async || ApiError::NotFound.response()));
}

/// Gives every answer its request id and the headers that all answers have, measures it, and runs the handler in a
/// span with that id.
pub async fn around<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    use tracing::Instrument;

    let id = middleware::request_id::request_id(request.headers());
    let span = tracing::error_span!("request", id = id.to_str().unwrap_or_default());
    let timer = HttpMeters::get().start(request.path());
    let is_api = is_api(request.path());
    let is_paced = request.path().starts_with("/api/");
    match next.call(request).instrument(span).await {
        Ok(response) => {
            let mut response = response.map_into_boxed_body();
            if is_api && response.status() == StatusCode::METHOD_NOT_ALLOWED {
                let refusal = ApiError::method_not_allowed(response.headers());
                response = response.into_response(refusal.response());
            }
            timer.finish(response.status());
            add_headers(response.headers_mut(), id);
            if is_paced {
                pacing::pace(&response).await;
            }
            Ok(response)
        }
        Err(error) => {
            let mut response = error.error_response();
            timer.finish(response.status());
            add_headers(response.headers_mut(), id);
            Err(InternalError::from_response(error, response).into())
        }
    }
}

/// Whether a path belongs to the API or to a health check, not to the site.
fn is_api(path: &str) -> bool {
    path.starts_with("/api/") || matches!(path, "/healthz" | "/readyz")
}

/// Adds the headers of every answer. Only static files may be stored; they say so themselves.
fn add_headers(headers: &mut HeaderMap, id: HeaderValue) {
    headers.insert(middleware::request_id::X_REQUEST_ID, id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Completes a refusal by the HTTP parser, as [`crate::http::parser_errors`] needs it.
pub fn complete_refusal(status: StatusCode) -> ErrorAnswer {
    let error = match status {
        StatusCode::REQUEST_TIMEOUT => ApiError::RequestTimeout,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => ApiError::HeadersTooLarge,
        _ => ApiError::InvalidRequest("The request is not valid HTTP/1.1."),
    };
    let id = middleware::request_id::request_id(&HeaderMap::new());
    let id = id.to_str().unwrap_or_default();
    ErrorAnswer {
        headers: format!(
            "content-type: application/json\r\ncache-control: no-store\r\n\
             x-content-type-options: nosniff\r\nx-request-id: {id}\r\n"
        ),
        body: error.body(),
    }
}

/// [`around`] as a middleware.
pub fn middleware<S, B>() -> impl actix_web::dev::Transform<
    S,
    ServiceRequest,
    Response = ServiceResponse<BoxBody>,
    Error = actix_web::Error,
    InitError = (),
>
where
    S: actix_web::dev::Service<
            ServiceRequest,
            Response = ServiceResponse<B>,
            Error = actix_web::Error,
        > + 'static,
    B: MessageBody + 'static,
{
    from_fn(around)
}
