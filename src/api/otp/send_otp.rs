//! `POST /send-otp`: one OTP, checked in the contract's order.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::StreamExt;
use nexo_actors::dispatch::{Dispatched, OtpOrder};
use nexo_domain::call::acceptance::Accepted;
use nexo_domain::ids::DeliveryId;
use nexo_domain::money::Micros;
use nexo_domain::otp::{Code, Reading};
use nexo_domain::phone::Phone;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::idempotency;
use crate::api::Edge;
use crate::api::auth::caller::{authorize, given_key};
use crate::api::auth::keyring::Key;
use crate::api::error::ApiError;

/// The largest body that is read.
pub const LARGEST_BODY: usize = 16 * 1024;
/// How long a body may take to arrive: a connection held open is one less for others.
const BODY_WITHIN: Duration = Duration::from_secs(10);
const TOO_SLOW: ApiError = ApiError::InvalidRequest("The body did not arrive within 10 seconds.");

/// Handles the request; every refusal is an [`ApiError`].
pub async fn send_otp(
    request: HttpRequest,
    payload: web::Payload,
    edge: web::Data<Edge>,
) -> HttpResponse {
    let answered = answer(&request, payload, &edge).await;
    answered.unwrap_or_else(|refused| refused.response())
}

async fn answer(
    request: &HttpRequest,
    payload: web::Payload,
    edge: &Edge,
) -> Result<HttpResponse, ApiError> {
    // Without a lease nothing is decided, not even whose key it is: the database may be away. Whether there
    // is a key at all needs none.
    if !edge.desk.lease.is_valid() {
        given_key(request.headers())?;
        return Err(ApiError::Overloaded);
    }
    let key = authorize(request, edge).await?;
    let body = read_body(request, payload).await?;
    if let Some(asked) = idempotency::asked(request.headers(), &key, &body)? {
        return idempotency::answer_once(&asked, &key, &body, edge).await;
    }
    let order = check(&key, &body, edge)?;
    drop(body);
    let facts = Facts::of(&order);
    let dispatched = edge.desk.dispatch(order, None).await;
    let accepted = facts.told(dispatched.unwrap_or(Dispatched::Lost), edge)?;
    Ok(json(StatusCode::ACCEPTED, accepted.body()))
}

/// A JSON answer of this status.
pub(in crate::api) fn json(status: StatusCode, body: String) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("application/json")
        .body(body)
}

/// What the body asks for, if it can be had.
pub(in crate::api) fn check(key: &Key, body: &[u8], edge: &Edge) -> Result<OtpOrder, ApiError> {
    let (phone, code) = read_otp(body, edge)?;
    let carrier = edge.routing.carrier(phone).ok_or(ApiError::NoCarrier)?;
    if edge.is_draining() || edge.store.stopped().is_some() {
        return Err(ApiError::Overloaded);
    }
    let terms = edge.terms.now();
    Ok(OtpOrder {
        delivery_id: DeliveryId(Uuid::now_v7()),
        account_id: key.account_id,
        key_id: key.key_id,
        test: key.test,
        phone,
        code,
        carrier,
        cost: if key.test { Micros::ZERO } else { terms.price },
        reading: Reading {
            language: key.language.unwrap_or(terms.reading.language),
            ..terms.reading
        },
    })
}

/// What a refusal tells of an order that was handed on.
pub(in crate::api) struct Facts {
    id: DeliveryId,
    cost: Micros,
}

impl Facts {
    pub(in crate::api) fn of(order: &OtpOrder) -> Facts {
        Facts {
            id: order.delivery_id,
            cost: order.cost,
        }
    }

    /// What became of the order, in the API's words.
    pub(in crate::api) fn told(
        &self,
        dispatched: Dispatched,
        edge: &Edge,
    ) -> Result<Accepted, ApiError> {
        match dispatched {
            Dispatched::Accepted(accepted) => Ok(accepted),
            Dispatched::FundsShort { total } => Err(ApiError::InsufficientBalance {
                deposit_url: edge.deposit_url.clone(),
                cost: self.cost,
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
                id: self.id,
                retry_after_seconds,
            }),
            Dispatched::NoGateway => Err(ApiError::NoCarrier),
            Dispatched::NoRoute => Err(ApiError::NoRoute { id: self.id }),
            Dispatched::Overloaded | Dispatched::InDoubt | Dispatched::KeyTaken => {
                Err(ApiError::Overloaded)
            }
            Dispatched::AccountClosed => Err(ApiError::InvalidKey),
            Dispatched::Lost => Err(edge.internal("the saga of an OTP was lost")),
        }
    }
}

/// Reads at most [`LARGEST_BODY`]; wiped when dropped, since it holds a code.
pub(in crate::api) async fn read_body(
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
    let give_up = tokio::time::Instant::now() + BODY_WITHIN;
    let mut next = async || tokio::time::timeout_at(give_up, payload.next()).await;
    while let Some(chunk) = next().await.map_err(|_| TOO_SLOW)? {
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
