//! The HTTP API under `/api/v1`, and the health endpoints.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{HttpResponse, Resource, web};

pub mod auth;
pub mod body;
pub mod error;
pub mod health;
pub(crate) mod list;
pub(crate) mod middleware;
pub mod openapi;
pub mod otp;
pub mod resources;
pub mod state;

pub use auth::caller::client_address;
pub use body::MAX_BODY_BYTES;
pub use error::ApiError;
pub use state::ApiState;

use middleware::meters::HttpMeters;

/// Adds every route to an actix-web application.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::scope("/api/v1")
                .service(post_only("/send-otp").post(otp::send_otp::send_otp))
                .service(get_only("/deliveries").get(resources::deliveries::list))
                .service(
                    get_only("/deliveries/{id}").get(resources::delivery_and_balance::delivery),
                )
                .service(get_only("/ledger").get(resources::ledger::list))
                .service(
                    post_only("/bank-notifications").post(resources::bank_notifications::notify),
                )
                .service(get_only("/balance").get(resources::delivery_and_balance::balance))
                .service(get_only("/openapi.json").get(openapi::document)),
        )
        .service(get_only("/healthz").get(health::healthz))
        .service(get_only("/readyz").get(health::readyz))
        .default_service(web::to(async || ApiError::NotFound.response()));
}

fn get_only(path: &str) -> Resource {
    web::resource(path).default_service(web::to(|| method_not_allowed("GET")))
}

fn post_only(path: &str) -> Resource {
    web::resource(path).default_service(web::to(|| method_not_allowed("POST")))
}

async fn method_not_allowed(allow: &'static str) -> HttpResponse {
    ApiError::MethodNotAllowed { allow }.response()
}

/// Gives every answer its request id, measures it, and runs the handler in a span with that id.
pub async fn around<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    use tracing::Instrument;

    let id = middleware::request_id::request_id(request.headers());
    let span = tracing::error_span!("request", id = id.to_str().unwrap_or_default());
    let timer = HttpMeters::get().start(request.path());
    let mut response = next.call(request).instrument(span).await?;
    timer.finish(response.status());
    response
        .headers_mut()
        .insert(middleware::request_id::X_REQUEST_ID, id);
    Ok(response)
}

/// [`around`] as a middleware.
pub fn middleware<S, B>() -> impl actix_web::dev::Transform<
    S,
    ServiceRequest,
    Response = ServiceResponse<B>,
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
