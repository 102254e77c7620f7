//! The HTTP API, `/api/v1`, and the health pages.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{HttpResponse, web};
use ipnet::IpNet;
use metrics::Counter;
use nexo_actors::dispatch::DispatchDesk;
use nexo_entities::store::{Store, StoreError};

pub mod auth;
pub mod error;
pub mod health;
pub(crate) mod list;
pub(crate) mod middleware;
pub mod openapi;
pub mod otp;
pub mod resources;

pub use auth::caller::client_address;
pub use otp::send_otp::LARGEST_BODY;

use crate::terms::Terms;
use auth::keyring::KeyRing;
use error::ApiError;
use health::Health;
use middleware::meters::HttpMeters;
use otp::routing::Routing;

/// How long the database may take to answer a request's question.
const READ_WITHIN: Duration = Duration::from_secs(2);

/// What the handlers share.
pub struct Edge {
    pub store: Store,
    pub keys: Arc<KeyRing>,
    pub routing: Arc<Routing>,
    pub desk: Arc<DispatchDesk>,
    pub health: Health,
    pub trusted_proxies: Vec<IpNet>,
    /// Where a customer tops up.
    pub deposit_url: String,
    pub terms: Arc<Terms>,
    pub draining: Arc<AtomicBool>,
    pub internal_errors: Counter,
    /// Answers given again to requests with an idempotency key.
    pub replays: Counter,
}

impl Edge {
    /// Whether the gateway is shutting down and takes no more OTPs.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Logs and counts a failure that is ours.
    fn internal(&self, what: &'static str) -> ApiError {
        self.internal_errors.increment(1);
        tracing::error!("{what}");
        ApiError::Internal
    }

    /// Waits for the database's answer, within bounds. One that is down or slow is an overload, the rest is
    /// ours to mend.
    async fn read<T>(
        &self,
        what: &'static str,
        asked: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, ApiError> {
        let answer = tokio::time::timeout(READ_WITHIN, asked).await;
        match answer.unwrap_or(Err(StoreError::Slow)) {
            Ok(found) => Ok(found),
            Err(error) if error.is_outage() => {
                tracing::error!(%error, "{what} could not be read");
                Err(ApiError::Overloaded)
            }
            Err(error) => {
                self.internal_errors.increment(1);
                tracing::error!(%error, "{what} could not be read");
                Err(ApiError::Internal)
            }
        }
    }
}

/// Adds every route to an actix-web application.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::scope("/api/v1")
                .service(
                    web::resource("/send-otp")
                        .post(otp::send_otp::send_otp)
                        .default_service(web::to(|| only("POST"))),
                )
                .service(
                    web::resource("/deliveries")
                        .get(resources::deliveries::list)
                        .default_service(web::to(|| only("GET"))),
                )
                .service(
                    web::resource("/deliveries/{id}")
                        .get(resources::delivery_and_balance::delivery)
                        .default_service(web::to(|| only("GET"))),
                )
                .service(
                    web::resource("/ledger")
                        .get(resources::ledger::list)
                        .default_service(web::to(|| only("GET"))),
                )
                .service(
                    web::resource("/bank-notifications")
                        .post(resources::bank_notifications::notify)
                        .default_service(web::to(|| only("POST"))),
                )
                .service(
                    web::resource("/balance")
                        .get(resources::delivery_and_balance::balance)
                        .default_service(web::to(|| only("GET"))),
                )
                .service(
                    web::resource("/openapi.json")
                        .get(openapi::document)
                        .default_service(web::to(|| only("GET"))),
                ),
        )
        .service(
            web::resource("/healthz")
                .get(health::healthz)
                .default_service(web::to(|| only("GET"))),
        )
        .service(
            web::resource("/readyz")
                .get(health::readyz)
                .default_service(web::to(|| only("GET"))),
        )
        .default_service(web::to(nothing_here));
}

async fn only(allow: &'static str) -> HttpResponse {
    ApiError::MethodNotAllowed { allow }.response()
}

async fn nothing_here() -> HttpResponse {
    ApiError::NotFound.response()
}

/// Gives every answer its request id, counts it, and keeps what it logs under that id.
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

/// The middleware that [`around`] is.
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
