//! `GET /deliveries/{id}` and `GET /balance`.

use actix_web::{HttpRequest, HttpResponse, web};
use nexo_domain::call::outcome::{ErrorCode, Status};
use nexo_domain::customer_fields::{Metadata, Reference};
use nexo_domain::ids::DeliveryId;
use nexo_domain::money::Micros;
use nexo_domain::phone::RecordedPhone;
use nexo_domain::phone::carrier_plan::Carrier;
use nexo_domain::timestamp::rfc3339;
use nexo_entities::store::deliveries::Delivery as Record;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::auth::caller::authorize;
use crate::api::body;
use crate::api::error::{ApiError, Error};
use crate::api::state::ApiState;

/// One OTP: its state and its cost.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Delivery {
    ok: bool,
    #[serde(flatten)]
    delivery: ListedDelivery,
}

/// One OTP of a list: the fields of `GET /deliveries/{id}` without `ok`.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct ListedDelivery {
    #[schema(value_type = Uuid)]
    id: DeliveryId,
    #[schema(value_type = RecordedPhone, example = "+84981234567")]
    phone: String,
    #[schema(example = "viettel")]
    carrier: Carrier,
    #[schema(example = "delivered")]
    status: Status,
    #[schema(example = 0.022)]
    cost: Micros,
    /// Null unless it failed.
    #[schema(required = true, value_type = Option<ErrorCode>)]
    error_code: Option<String>,
    /// The carrier's outcome; null while `sent`.
    #[schema(required = true, example = "success")]
    carrier_status: Option<String>,
    #[schema(format = DateTime, example = "2026-05-25T10:00:00Z")]
    created_at: String,
    /// Null while `sent`.
    #[schema(required = true, format = DateTime, example = "2026-05-25T10:00:25Z")]
    completed_at: Option<String>,
    /// Whether the cost was refunded.
    refunded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata>,
}

impl ListedDelivery {
    pub(super) fn of(delivery: &Record) -> ListedDelivery {
        ListedDelivery {
            id: delivery.id,
            phone: delivery.phone.to_string(),
            carrier: delivery.carrier,
            status: delivery.status,
            cost: delivery.cost,
            error_code: delivery.error_code.clone(),
            carrier_status: delivery.carrier_status.clone(),
            created_at: rfc3339(delivery.created_at_ms),
            completed_at: delivery.completed_at_ms.map(rfc3339),
            refunded: delivery.refunded,
            reference: delivery.fields.reference.clone(),
            metadata: delivery.fields.metadata.clone(),
        }
    }
}

/// The wallet's three buckets, in USD. Spent in the order free, bonus, cash.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Balance {
    ok: bool,
    #[schema(pattern = "^USD$", example = "USD")]
    currency: &'static str,
    #[schema(example = 9.978)]
    balance: Micros,
    #[schema(example = 2.0)]
    bonus_credit: Micros,
    #[schema(example = 0.066)]
    free_credit: Micros,
    #[schema(example = 12.044)]
    total: Micros,
}

/// Answers with one delivery of the caller's account.
///
/// # Errors
/// [`ApiError::NotFound`] for an unknown, foreign or malformed id.
#[utoipa::path(
    get,
    path = "/api/v1/deliveries/{id}",
    operation_id = "getDelivery",
    summary = "One OTP",
    params(("id" = Uuid, Path, description = "The id from the 202 answer. A malformed or foreign one is 404.")),
    responses(
        (status = 200, description = "The delivery.", body = Delivery),
        (status = 404, description = "`not_found`: unknown, foreign or malformed.", body = Error),
    ),
    security(("api_key" = []))
)]
pub async fn delivery(
    request: HttpRequest,
    id: web::Path<String>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let key = authorize(&request, &state).await?;
    let id: DeliveryId = id.parse().map_err(|_| ApiError::NotFound)?;
    let delivery = state
        .read("a delivery", state.store.deliveries().get(key.account_id, id))
        .await?
        .ok_or(ApiError::NotFound)?;
    Ok(body::ok(&Delivery { ok: true, delivery: ListedDelivery::of(&delivery) }))
}

/// Answers with the caller's wallet.
///
/// # Errors
/// [`ApiError::NotFound`] if the account has none.
#[utoipa::path(
    get,
    path = "/api/v1/balance",
    operation_id = "getBalance",
    summary = "The wallet",
    responses(
        (status = 200, description = "The wallet.", body = Balance),
    ),
    security(("api_key" = []))
)]
pub async fn balance(
    request: HttpRequest,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let key = authorize(&request, &state).await?;
    let wallet = state
        .read("a wallet", state.store.ledger().wallet(key.account_id))
        .await?
        .ok_or(ApiError::NotFound)?;
    Ok(body::ok(&Balance {
        ok: true,
        currency: "USD",
        balance: wallet.balance,
        bonus_credit: wallet.bonus,
        free_credit: wallet.free,
        total: wallet.total(),
    }))
}
