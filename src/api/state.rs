//! What the API's handlers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::Counter;
use nexo_actors::dispatch::Dispatcher;
use nexo_actors::supervision::handle::Handle;
use nexo_actors::webhook::WebhookActor;
use nexo_domain::account::client_ip::TrustedSources;
use nexo_domain::verification::code::CodeKey;
use nexo_entities::store::{Store, StoreError};

use super::auth::keyring::KeyRing;
use super::error::ApiError;
use super::hooks::registry::Integrations;
use super::middleware::pacing::Pacer;
use super::otp::routing::Routing;
use super::verifications::VerificationMeters;
use super::verifications::turns::Turns;
use crate::quotas::Quotas;
use crate::read_limits::ReadLimits;
use crate::terms::Terms;

/// How long the database may take to answer a query of a request.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// The state of the HTTP API, one per process.
pub struct ApiState {
    pub store: Store,
    pub keys: Arc<KeyRing>,
    pub integrations: Arc<Integrations>,
    pub routing: Arc<Routing>,
    pub dispatcher: Arc<Dispatcher>,
    pub health: Health,
    pub trusted_sources: TrustedSources,
    /// The page on which a customer tops up.
    pub deposit_url: String,
    pub terms: Arc<Terms>,
    pub read_limits: Arc<ReadLimits>,
    pub pacer: Arc<Pacer>,
    pub quotas: Arc<Quotas>,
    pub draining: Arc<AtomicBool>,
    /// The key of the codes of verifications; `None` if the installation has no secret.
    pub codes: Option<CodeKey>,
    pub verifications: VerificationMeters,
    /// The verifications that are being checked.
    pub checks: Turns,
    pub internal_errors: Counter,
    /// Counts answers replayed for an idempotency key.
    pub replays: Counter,
}

/// What `/readyz` checks besides the dispatcher and the store.
pub struct Health {
    pub migrations: Vec<String>,
    pub webhooks: Handle<WebhookActor>,
    pub sip_endpoint_is_up: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl ApiState {
    /// Whether the gateway is shutting down and accepts no more OTPs.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Logs and counts an internal error.
    pub(super) fn internal(&self, what: &'static str) -> ApiError {
        self.internal_errors.increment(1);
        tracing::error!("{what}");
        ApiError::Internal
    }

    /// Runs a query with a time limit. `what` names the data in the log.
    ///
    /// # Errors
    /// [`ApiError::Overloaded`] if the database is down or slow, else [`ApiError::Internal`].
    pub(super) async fn read<T>(
        &self,
        what: &'static str,
        query: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, ApiError> {
        let result = tokio::time::timeout(READ_TIMEOUT, query).await;
        result.unwrap_or(Err(StoreError::Timeout)).map_err(|error| {
            tracing::error!(%error, "reading {what} failed");
            match error.is_outage() {
                true => ApiError::Overloaded,
                false => {
                    self.internal_errors.increment(1);
                    ApiError::Internal
                }
            }
        })
    }
}
