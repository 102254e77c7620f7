//! `POST /hooks/{kind}/{id}`: an auth server's own hook asks for a call.
//!
//! A hook is a request of the integration's account as by an API key. What differs by kind is in
//! [`nexo_domain::integration`]: who proves it, where phone and code are, and how a refusal is told. These servers repeat
//! a request when they are in doubt, so each phone rings once for a code ([`once`]), and each answer is sent within
//! [`ANSWER_WITHIN`].

use std::time::{Duration, Instant};

use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::{HttpRequest, HttpResponse, web};
use nexo_actors::clock::unix_ms;
use nexo_actors::dispatch::Dispatched;
use nexo_domain::call::acceptance::Accepted;
use nexo_domain::customer_fields::CustomerFields;
use nexo_domain::ids::IntegrationId;
use nexo_domain::integration::proof::{ProofHeaders, Proven};
use nexo_domain::integration::{HookBody, Kind};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

mod answer;
mod once;
pub mod registry;

pub(in crate::api) use answer::HookAnswer;

use super::auth::keyring::Key;
use super::body::read_body_within;
use super::error::{ApiError, Error};
use super::json;
use super::middleware::pacing;
use super::otp::order::{OrderFacts, Request};
use super::state::ApiState;
use answer::respond;
use once::{Ring, ring_once};
use registry::HookIntegration;

/// How long after its arrival a request is answered at the latest. The servers wait for 5 s, and 4.5 s are promised; the
/// rest is for a busy machine. More than `[calls] dispatch_timeout_ms` by default, so that a silent carrier is told.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(4_250);
/// How long a body may take to arrive. The rest of the time is for the call.
const BODY_WITHIN: Duration = Duration::from_secs(2);

/// Handles the request. Every answer has the form of its kind.
#[utoipa::path(
    post,
    path = "/api/v1/hooks/{kind}/{id}",
    operation_id = "hook",
    summary = "Take a code from an auth server's own hook",
    description = "The URL of an integration, which an auth server calls with its own body: `nexo integration create`, or the page Integrations. It is a request of the integration's account as by an API key. While the phone's window is held, the same phone and code get the first answer again, and nothing rings. Every answer is sent within 4.5 s. To `supabase`, a refusal of a proven request is a 200 with `error`, and no answer has `Retry-After`.",
    params(
        ("kind" = Kind, Path, description = "The kind of the integration."),
        ("id" = Uuid, Path, description = "The integration's id.")
    ),
    request_body(content = serde_json::Value, description = "The auth server's JSON object; at most 16 KiB."),
    responses(
        (status = 200, description = "The carrier accepted the call: `{}`. To `supabase` also a refusal, in `error`.", body = HookAnswer, headers(("Idempotent-Replayed" = Option<String>, description = "`true` if this phone and code were taken before, and nothing rang."))),
        (status = 400, description = "`invalid_request`, `invalid_phone` or `invalid_code`.", body = Error),
        (status = 401, description = "`invalid_signature` or `invalid_key`: the caller is not proven.", body = Error),
        (status = 402, description = "`insufficient_balance`.", body = Error),
        (status = 403, description = "`account_suspended`.", body = Error),
        (status = 404, description = "`not_found`: the integration is unknown, was removed or is of another kind.", body = Error),
        (status = 413, description = "`payload_too_large`.", body = Error),
        (status = 429, description = "`rate_limited`: this phone was called with another code less than 30 s ago. `no_route`: the carrier throttles; refunded.", body = Error),
        (status = 502, description = "`no_route`: no carrier accepted the call.", body = Error),
        (status = 503, description = "`overloaded`: nothing was spent, or the debit is refunded within seconds.", body = Error),
    )
)]
pub async fn hook(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
    state: web::Data<ApiState>,
) -> HttpResponse {
    let deadline = Instant::now() + ANSWER_WITHIN;
    pacing::note_deadline(&request, deadline);
    let (kind, id) = path.into_inner();
    let (Some(kind), Ok(id)) = (Kind::named(&kind), id.parse()) else {
        return ApiError::NotFound.response();
    };
    let rang = take(&request, (kind, id), payload, &state, deadline).await;
    if let Ok(Ring::First) = rang {
        pacing::note_paid(&request);
    }
    state.integrations.meters.count(kind, &rang);
    respond(kind, rang)
}

async fn take(
    request: &HttpRequest,
    (kind, id): (Kind, IntegrationId),
    payload: web::Payload,
    state: &ApiState,
    deadline: Instant,
) -> Result<Ring, ApiError> {
    if !state.dispatcher.lease.is_valid() {
        return Err(ApiError::Overloaded);
    }
    let read = read(request, (kind, id), payload, state);
    let read = tokio::time::timeout_at(deadline.into(), read).await;
    let (integration, proven, otp) = read.map_err(|_| ApiError::Overloaded)??;
    state.integrations.record_use(id, unix_ms());
    let identity = state.integrations.identity(&integration, &proven, &otp);
    ring_once(identity.into(), &integration.key, otp, state, deadline).await
}

/// Reads the request, and checks who sent it.
async fn read(
    request: &HttpRequest,
    (kind, id): (Kind, IntegrationId),
    payload: web::Payload,
    state: &ApiState,
) -> Result<(std::sync::Arc<HookIntegration>, Proven, Request), ApiError> {
    let found = state.integrations.find(id, &state.store);
    let integration = state.read("an integration", found).await?;
    let integration =
        integration.filter(|found| found.body.kind() == kind).ok_or(ApiError::NotFound)?;
    let headers = proof_headers(request.headers());
    let now_seconds = unix_ms() / 1000;
    let unproven = ApiError::UnprovenHook(kind.proof());
    let verifier = &integration.verifier;
    // The secret in a header is checked before the body is read.
    let by_header = match verifier.needs_body() {
        true => None,
        false => Some(verifier.verify(headers, &[], now_seconds).ok_or(unproven.clone())?),
    };
    let body = read_body_within(BODY_WITHIN, request, payload).await?;
    let proven = by_header.or_else(|| verifier.verify(headers, &body, now_seconds));
    let proven = proven.ok_or(unproven)?;
    pacing::note_account(request, integration.key.account_id);
    if integration.key.is_suspended {
        return Err(ApiError::AccountSuspended);
    }
    let otp = otp_of(&integration.body, &body, state)?;
    Ok((integration, proven, otp))
}

/// The OTP that a body asks for.
fn otp_of(form: &HookBody, body: &[u8], state: &ApiState) -> Result<Request, ApiError> {
    const NOT_AN_OBJECT: ApiError =
        ApiError::InvalidRequest("Send a JSON object in UTF-8 that names no field twice.");
    let body: &RawValue = json::object(body).ok_or(NOT_AN_OBJECT)?;
    let asked = form.read(body, &state.routing.plan);
    let phone = asked.phone.map_err(|why| match why {
        Some(why) => ApiError::InvalidPhone(why),
        None => ApiError::HookPhoneMissing,
    })?;
    let code = asked.code.map_err(ApiError::HookCode)?;
    Ok(Request {
        phone,
        code,
        language: asked.language,
        repeat: None,
        fields: CustomerFields::default(),
    })
}

/// Sends the OTP that a body of this form asks for, as a test: the sandbox carrier answers, whatever was sent before.
///
/// # Errors
/// Those of a hook.
pub async fn send_test(
    form: &HookBody,
    key: &Key,
    body: Zeroizing<Vec<u8>>,
    state: &ApiState,
) -> Result<Accepted, ApiError> {
    if !state.dispatcher.lease.is_valid() {
        return Err(ApiError::Overloaded);
    }
    let order = otp_of(form, &body, state)?.order(key, state)?;
    drop(body);
    let facts = OrderFacts::of(&order);
    let outcome = state.dispatcher.dispatch(order, None).await;
    facts.answer(outcome.unwrap_or(Dispatched::Lost), state).await
}

/// The headers of a proof. One that occurs twice proves nothing.
fn proof_headers(headers: &HeaderMap) -> ProofHeaders<'_> {
    let only = |name: &'static str| {
        let mut values = headers.get_all(HeaderName::from_static(name));
        let value = values.next().filter(|_| values.next().is_none())?;
        value.to_str().ok()
    };
    ProofHeaders {
        authorization: only("authorization"),
        webhook_id: only("webhook-id"),
        webhook_timestamp: only("webhook-timestamp"),
        webhook_signature: only("webhook-signature"),
        zitadel_signature: only("zitadel-signature"),
    }
}
