//! `POST /send-otp`: one OTP, checked in the contract's order.

use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::StreamExt;
use nexo_actors::dispatch::{Dispatched, OtpOrder};
use nexo_domain::carrier_plan::Carrier;
use nexo_domain::ids::DeliveryId;
use nexo_domain::ledger::Buckets;
use nexo_domain::money::Micros;
use nexo_domain::otp::{Code, Reading};
use nexo_domain::phone::Phone;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Edge;
use super::caller::authorize;
use super::error::ApiError;

/// The largest body that is read.
pub const LARGEST_BODY: usize = 16 * 1024;

/// Handles the request; every refusal is an [`ApiError`].
pub async fn send_otp(
    request: HttpRequest,
    payload: web::Payload,
    edge: web::Data<Edge>,
) -> HttpResponse {
    match accept(&request, payload, &edge).await {
        Ok(accepted) => accepted.response(),
        Err(refused) => refused.response(),
    }
}

async fn accept(
    request: &HttpRequest,
    payload: web::Payload,
    edge: &Edge,
) -> Result<Accepted, ApiError> {
    let key = authorize(request, edge).await?;
    let body = read_body(request, payload).await?;
    let (phone, code) = read_otp(&body, edge)?;
    drop(body);
    let carrier = edge.routing.carrier(phone).ok_or(ApiError::NoCarrier)?;
    if edge.is_draining() || edge.store.stopped().is_some() {
        return Err(ApiError::Overloaded);
    }
    let cost = if key.test { Micros::ZERO } else { edge.price };
    let order = OtpOrder {
        delivery_id: DeliveryId(Uuid::now_v7()),
        account_id: key.account_id,
        key_id: key.key_id,
        test: key.test,
        phone,
        code,
        carrier,
        cost,
        reading: Reading {
            language: key.language.unwrap_or(edge.reading.language),
            ..edge.reading
        },
    };
    let id = order.delivery_id;
    let dispatched = edge.desk.dispatch(order).await;
    match dispatched.unwrap_or(Dispatched::Lost) {
        Dispatched::Accepted { after } => Ok(Accepted {
            id,
            carrier,
            cost,
            after,
        }),
        Dispatched::FundsShort { total } => Err(ApiError::InsufficientBalance {
            deposit_url: edge.deposit_url.clone(),
            cost,
            total,
        }),
        Dispatched::WindowClosed {
            retry_after_seconds,
        } => Err(ApiError::RateLimited {
            retry_after_seconds,
        }),
        Dispatched::Throttled {
            retry_after_seconds,
        } => Err(ApiError::Throttled {
            id,
            retry_after_seconds,
        }),
        Dispatched::NoGateway => Err(ApiError::NoCarrier),
        Dispatched::NoRoute => Err(ApiError::NoRoute { id }),
        Dispatched::Overloaded => Err(ApiError::Overloaded),
        Dispatched::AccountClosed => Err(ApiError::InvalidKey),
        Dispatched::Lost => Err(edge.internal("the saga of an OTP was lost")),
    }
}

struct Accepted {
    id: DeliveryId,
    carrier: Carrier,
    cost: Micros,
    after: Buckets,
}

impl Accepted {
    fn response(&self) -> HttpResponse {
        let body = format!(
            r#"{{"ok":true,"id":"{}","carrier":"{}","status":"sent","cost":{},"balance":{},"total":{}}}"#,
            self.id,
            self.carrier,
            self.cost,
            self.after.balance,
            self.after.total(),
        );
        HttpResponse::Accepted()
            .content_type("application/json")
            .body(body)
    }
}

/// Reads at most [`LARGEST_BODY`]; wiped when dropped, since it holds a code.
async fn read_body(
    request: &HttpRequest,
    mut payload: web::Payload,
) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<usize>().ok())
        .unwrap_or(0);
    if announced > LARGEST_BODY {
        return Err(ApiError::PayloadTooLarge);
    }
    // Room for all of it at once: a vector that grows leaves copies behind.
    let mut body = Zeroizing::new(Vec::with_capacity(announced.max(256)));
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| ApiError::InvalidRequest("The body could not be read."))?;
        if body.len() + chunk.len() > LARGEST_BODY {
            return Err(ApiError::PayloadTooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    phone: Option<&'a RawValue>,
    #[serde(borrow, default)]
    code: Option<&'a RawValue>,
}

fn read_otp(body: &[u8], edge: &Edge) -> Result<(Phone, Code), ApiError> {
    const NOT_AN_OBJECT: ApiError = ApiError::InvalidRequest(
        "Send a JSON object with phone and code, such as {\"phone\":\"+84981234567\",\"code\":\"482917\"}.",
    );
    // serde would also take an array for a struct.
    let is_object = body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
    if !is_object {
        return Err(NOT_AN_OBJECT);
    }
    let body: Body = serde_json::from_slice(body).map_err(|_| NOT_AN_OBJECT)?;
    let phone = text(body.phone).ok_or(ApiError::PhoneMissing)?;
    let phone = Phone::parse(&phone, &edge.routing.plan).map_err(ApiError::InvalidPhone)?;
    let code = text(body.code).ok_or(ApiError::InvalidCode)?;
    let code = Code::parse(&code).map_err(|_| ApiError::InvalidCode)?;
    Ok((phone, code))
}

/// The value, if it is a JSON string.
fn text(value: Option<&RawValue>) -> Option<Zeroizing<String>> {
    serde_json::from_str::<String>(value?.get())
        .ok()
        .map(Zeroizing::new)
}
