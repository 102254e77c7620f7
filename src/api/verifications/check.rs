//! `POST /verifications/{id}/check`: compares a code.

use actix_web::{HttpRequest, HttpResponse, web};
use nexo_actors::clock;
use nexo_actors::webhook::Wake;
use nexo_domain::ids::VerificationId;
use nexo_domain::otp::Code;
use nexo_domain::verification::Status;
use nexo_domain::verification::code::CodeKey;
use nexo_entities::store::verifications::{Checked, Verification};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::turns::is_final;
use super::{caller, closed, closed_meanwhile, of_caller};
use crate::api::body::{ok, read_body};
use crate::api::error::{ApiError, Error};
use crate::api::json;
use crate::api::otp::order::code;
use crate::api::state::ApiState;

/// How often a right code is tried again because the code was sent again at the same moment.
const MAX_ROUNDS: usize = 4;

/// A code to be checked.
#[derive(Deserialize, ToSchema)]
pub(in crate::api) struct CheckCode<'a> {
    /// What the person has heard and typed, 4 to 8 ASCII digits.
    #[serde(borrow)]
    #[schema(value_type = String, required = true, pattern = "^[0-9]{4,8}$", example = "482917")]
    code: Option<&'a RawValue>,
}

/// Whether the code was right.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct CodeChecked {
    ok: bool,
    #[schema(value_type = Uuid)]
    id: VerificationId,
    valid: bool,
    /// `approved` with the right code; `failed` with the last wrong one.
    #[schema(example = "approved")]
    status: Status,
    /// With a wrong code: how many are left.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 4)]
    attempts_left: Option<u8>,
}

/// Handles the request.
///
/// # Errors
/// The first check that fails.
#[utoipa::path(
    post,
    path = "/api/v1/verifications/{id}/check",
    operation_id = "checkVerification",
    summary = "Check a code",
    description = "One right code approves the verification, once. The fifth wrong one makes it `failed`.",
    params(("id" = Uuid, Path, description = "The verification's id. A malformed or foreign one is 404.")),
    request_body(content = CheckCode, description = "At most 16 KiB."),
    responses(
        (status = 200, description = "The code was compared.", body = CodeChecked),
        (status = 400, description = "`invalid_request`, or `invalid_code`: not 4 to 8 digits; costs no attempt.", body = Error),
        (status = 404, description = "`not_found`: unknown, foreign, malformed, or started by a key of the other kind, live or test.", body = Error),
        (status = 409, description = "`verification_closed`, with `status`: nothing was compared.", body = Error),
        (status = 413, description = "`payload_too_large`.", body = Error),
        (status = 501, description = "`verify_not_configured`: the operator has set no secret.", body = Error),
    ),
    security(("api_key" = []))
)]
pub async fn check(
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    const NOT_AN_OBJECT: ApiError = ApiError::InvalidRequest(
        "Send a JSON object in UTF-8 with code, once, such as {\"code\":\"482917\"}.",
    );
    let (key, codes) = caller(&request, &state).await?;
    let body = read_body(&request, payload).await?;
    let given: CheckCode = json::object(&body).ok_or(NOT_AN_OBJECT)?;
    let code = code(given.code)?;
    let verification_id = id.parse().map_err(|_| ApiError::NotFound)?;
    let among = state.checks.enter(key.account_id, key.test, verification_id);
    let mut known = among.turn().await.ok_or(ApiError::Overloaded)?;
    let checked = match *known {
        Some(status) => Err(ApiError::VerificationClosed { status }),
        None => {
            let verification = of_caller(&id, &key, &state).await?;
            compare(&verification, &code, codes, &state).await
        }
    };
    let status = match &checked {
        Ok(after) => Some(after.state.status),
        Err(ApiError::VerificationClosed { status }) => Some(*status),
        Err(_) => None,
    };
    *known = status.filter(|status| is_final(*status));
    drop(known);
    let meters = &state.verifications;
    match &checked {
        Ok(after) if after.state.status == Status::Approved => {
            meters.checks_right.increment(1);
            meters.approved.increment(1);
        }
        Ok(after) => {
            meters.checks_wrong.increment(1);
            if after.state.status == Status::Failed {
                meters.failed.increment(1);
            }
        }
        Err(ApiError::VerificationClosed { .. }) => meters.checks_closed.increment(1),
        Err(_) => {}
    }
    let after = checked?;
    let valid = after.state.status == Status::Approved;
    Ok(ok(&CodeChecked {
        ok: true,
        id: after.id,
        valid,
        status: after.state.status,
        attempts_left: (!valid).then_some(after.state.attempts_left()),
    }))
}

/// The verification after a check whose event, if there is one, is sent now.
fn told(checked: Checked, state: &ApiState) -> Verification {
    if checked.webhooks > 0 {
        // If the mailbox is full, the actor is awake. If the actor is dead, its successor scans within a second.
        let _ = state.health.webhooks.try_send(Wake);
    }
    checked.verification
}

/// Compares the code and records the result, with one durable write. Returns the verification after it.
///
/// The caller learns the result of the comparison only if that write found the verification pending. So of any number
/// of concurrent guesses five at most are answered.
async fn compare(
    verification: &Verification,
    code: &Code,
    codes: &CodeKey,
    state: &ApiState,
) -> Result<Verification, ApiError> {
    if let Some(closed) = closed(verification) {
        return Err(closed);
    }
    let store = state.store.verifications();
    let is_right = *code == codes.code(verification.id, verification.code_length);
    if !is_right {
        let counted = store.count_wrong_code(verification.id, clock::unix_ms());
        return match state.read("the count of a wrong code", counted).await? {
            Some(after) => Ok(told(after, state)),
            None => Err(closed_meanwhile(verification, state).await),
        };
    }
    let mut last_delivery_id = verification.last_delivery_id;
    for _ in 0..MAX_ROUNDS {
        let approved = store.approve(verification.id, last_delivery_id, clock::unix_ms());
        if let Some(after) = state.read("an approval", approved).await? {
            return Ok(told(after, state));
        }
        let now = store.get(verification.account_id, verification.id);
        let now = state.read("a verification", now).await?.ok_or(ApiError::NotFound)?;
        if let Some(closed) = closed(&now) {
            return Err(closed);
        }
        last_delivery_id = now.last_delivery_id;
    }
    Err(ApiError::Overloaded)
}
