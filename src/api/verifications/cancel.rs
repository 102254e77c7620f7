//! `POST /verifications/{id}/cancel`: the code is not accepted any more.

use actix_web::{HttpRequest, HttpResponse, web};
use nexo_actors::clock;
use nexo_domain::ids::VerificationId;
use nexo_domain::verification::Status;
use serde::Serialize;
use utoipa::ToSchema;

use super::{caller, closed, closed_meanwhile, of_caller};
use crate::api::body;
use crate::api::error::{ApiError, Error};
use crate::api::state::ApiState;

/// A canceled verification.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct VerificationCanceled {
    ok: bool,
    #[schema(value_type = Uuid)]
    id: VerificationId,
    #[schema(example = "canceled")]
    status: Status,
}

/// Handles the request. Its body is not read. A call in progress goes on.
///
/// # Errors
/// The first check that fails.
#[utoipa::path(
    post,
    path = "/api/v1/verifications/{id}/cancel",
    operation_id = "cancelVerification",
    summary = "Cancel a verification",
    description = "Its code is not accepted any more. A call in progress goes on, and nothing is refunded.",
    params(("id" = Uuid, Path, description = "The verification's id. A malformed or foreign one is 404.")),
    responses(
        (status = 200, description = "It is canceled.", body = VerificationCanceled),
        (status = 404, description = "`not_found`: unknown, foreign, malformed, or started by a key of the other kind, live or test.", body = Error),
        (status = 409, description = "`verification_closed`, with `status`.", body = Error),
        (status = 501, description = "`verify_not_configured`: the operator has set no secret.", body = Error),
    ),
    security(("api_key" = []))
)]
pub async fn cancel(
    request: HttpRequest,
    id: web::Path<String>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let (key, _) = caller(&request, &state).await?;
    let verification = of_caller(&id, &key, &state).await?;
    if let Some(closed) = closed(&verification) {
        return Err(closed);
    }
    let canceled = state.store.verifications().cancel(verification.id, clock::unix_ms());
    let Some(after) = state.read("a cancellation", canceled).await? else {
        return Err(closed_meanwhile(&verification, &state).await);
    };
    state.verifications.canceled.increment(1);
    Ok(body::ok(&VerificationCanceled { ok: true, id: after.id, status: after.state.status }))
}
