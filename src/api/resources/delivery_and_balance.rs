//! `GET /deliveries/{id}` and `GET /balance`.

use actix_web::{HttpRequest, HttpResponse, web};
use nexo_domain::ids::DeliveryId;
use nexo_domain::timestamp::rfc3339;
use nexo_entities::store::deliveries::deliveries::Delivery;

use crate::api::Edge;
use crate::api::auth::caller::authorize;
use crate::api::error::ApiError;

/// One delivery of the caller's account.
pub async fn delivery(
    request: HttpRequest,
    id: web::Path<String>,
    edge: web::Data<Edge>,
) -> HttpResponse {
    match read_delivery(&request, &id, &edge).await {
        Ok(body) => json(body),
        Err(refused) => refused.response(),
    }
}

async fn read_delivery(request: &HttpRequest, id: &str, edge: &Edge) -> Result<String, ApiError> {
    let key = authorize(request, edge).await?;
    let id: DeliveryId = id.parse().map_err(|_| ApiError::NotFound)?;
    let delivery = edge
        .read("a delivery", edge.store.delivery(key.account_id, id))
        .await?
        .ok_or(ApiError::NotFound)?;
    Ok(format!(r#"{{"ok":true,{}}}"#, fields(&delivery)))
}

/// What the API tells of a delivery, as the inside of a JSON object.
pub fn fields(delivery: &Delivery) -> String {
    let quoted = |text: Option<&str>| {
        text.map_or("null".to_owned(), |t| {
            serde_json::Value::from(t).to_string()
        })
    };
    let completed_at = delivery.completed_at_ms.map(rfc3339);
    format!(
        concat!(
            r#""id":"{}","phone":"{}","carrier":"{}","status":"{}","cost":{},"#,
            r#""error_code":{},"carrier_status":{},"created_at":"{}","completed_at":{}"#
        ),
        delivery.id,
        delivery.phone,
        delivery.carrier,
        delivery.status.as_str(),
        delivery.cost,
        quoted(delivery.error_code.as_deref()),
        quoted(delivery.carrier_status.as_deref()),
        rfc3339(delivery.created_at_ms),
        quoted(completed_at.as_deref()),
    )
}

/// The caller's wallet.
pub async fn balance(request: HttpRequest, edge: web::Data<Edge>) -> HttpResponse {
    match read_balance(&request, &edge).await {
        Ok(body) => json(body),
        Err(refused) => refused.response(),
    }
}

async fn read_balance(request: &HttpRequest, edge: &Edge) -> Result<String, ApiError> {
    let key = authorize(request, edge).await?;
    let wallet = edge
        .read("a wallet", edge.store.wallet(key.account_id))
        .await?
        .ok_or(ApiError::NotFound)?;
    Ok(format!(
        concat!(
            r#"{{"ok":true,"currency":"USD","balance":{},"bonus_credit":{},"#,
            r#""free_credit":{},"total":{}}}"#
        ),
        wallet.balance,
        wallet.bonus,
        wallet.free,
        wallet.total(),
    ))
}

fn json(body: String) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(body)
}
