//! From a request body to an order for the dispatcher, and from its outcome to an answer.

use nexo_actors::dispatch::{Dispatched, OtpOrder, new_delivery};
use nexo_domain::account::quota::QuotaKind;
use nexo_domain::call::acceptance::Accepted;
use nexo_domain::ids::{AccountId, DeliveryId};
use nexo_domain::money::Micros;
use nexo_domain::otp::{Code, Reading};
use nexo_domain::phone::Phone;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::api::auth::keyring::Key;
use crate::api::error::ApiError;
use crate::api::json;
use crate::api::state::ApiState;

/// A request to send an OTP.
///
/// The values are raw JSON, so that each gets its own error and a code leaves no copy in the parser.
#[derive(Deserialize, ToSchema)]
pub(in crate::api) struct SendOtp<'a> {
    /// A Vietnamese mobile in E.164: `+84` and nine digits. With a live key it rings: try your own phone, not the example.
    #[serde(borrow)]
    #[schema(value_type = Phone, required = true, example = "+84981234567")]
    phone: Option<&'a RawValue>,
    /// The code to be read, 4 to 8 ASCII digits.
    #[serde(borrow)]
    #[schema(value_type = String, required = true, pattern = "^[0-9]{4,8}$", example = "482917")]
    code: Option<&'a RawValue>,
}

/// Checks the body in the documented order and makes the order for the dispatcher.
///
/// # Errors
/// The first check that fails. Nothing has been claimed or spent.
pub(super) fn order(key: &Key, body: &[u8], state: &ApiState) -> Result<OtpOrder, ApiError> {
    let (phone, code) = read_otp(body, state)?;
    let carrier = state.routing.carrier(phone).ok_or(ApiError::NoCarrier)?;
    if state.is_draining() || state.store.stop_reason().is_some() {
        return Err(ApiError::Overloaded);
    }
    // Only test OTPs are counted: a live one is paid for.
    if key.test {
        let taken = state.quotas.take_test_otp(key.account_id);
        taken.map_err(ApiError::QuotaExceeded)?;
    }
    let terms = state.terms.current();
    let (delivery_id, clock) = new_delivery();
    Ok(OtpOrder {
        delivery_id,
        clock,
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

/// What an error needs to know of an order that the dispatcher has consumed.
pub(super) struct OrderFacts {
    id: DeliveryId,
    account_id: AccountId,
    test: bool,
    cost: Micros,
}

impl OrderFacts {
    pub(super) fn of(order: &OtpOrder) -> OrderFacts {
        OrderFacts {
            id: order.delivery_id,
            account_id: order.account_id,
            test: order.test,
            cost: order.cost,
        }
    }

    /// The outcome of the order as an answer or an error of the API.
    pub(super) async fn answer(
        &self,
        outcome: Dispatched,
        state: &ApiState,
    ) -> Result<Accepted, ApiError> {
        if self.test && has_written_nothing(&outcome) {
            let quotas = &state.quotas;
            quotas.give_back_in_memory(QuotaKind::TestOtps, self.account_id);
        }
        match outcome {
            Dispatched::Accepted(accepted) => Ok(accepted),
            Dispatched::FundsShort { total } => Err(ApiError::InsufficientBalance {
                deposit_url: state.deposit_url.clone(),
                cost: self.cost,
                total,
            }),
            Dispatched::WindowHeld { retry_after_seconds } => {
                Err(ApiError::RateLimited { retry_after_seconds })
            }
            Dispatched::Throttled { retry_after_seconds } => {
                Err(ApiError::Throttled { id: self.id, retry_after_seconds })
            }
            Dispatched::NoGateway => Err(ApiError::NoCarrier),
            Dispatched::NoRoute => Err(ApiError::NoRoute { id: self.id }),
            Dispatched::Overloaded | Dispatched::KeyTaken => Err(ApiError::Overloaded),
            Dispatched::InDoubt => Err(ApiError::InDoubt),
            Dispatched::AccountClosed => Err(refused_account(self.account_id, state).await),
            Dispatched::Lost => Err(state.internal("the saga of an OTP was lost")),
        }
    }
}

/// Why the debit found the account closed to new OTPs: closed, or suspended since the key was checked.
async fn refused_account(id: AccountId, state: &ApiState) -> ApiError {
    let account = state.read("an account", state.store.accounts().get(id)).await;
    match account {
        Ok(Some(account)) if account.closed_at_ms.is_none() => match account.suspended_at_ms {
            Some(_) => ApiError::AccountSuspended,
            // Resumed in the meantime.
            None => ApiError::Overloaded,
        },
        Ok(_) => ApiError::InvalidKey,
        Err(error) => error,
    }
}

/// Whether an order left no record, so that it does not count as an OTP.
fn has_written_nothing(outcome: &Dispatched) -> bool {
    matches!(
        outcome,
        Dispatched::WindowHeld { .. } | Dispatched::NoGateway | Dispatched::Overloaded
    )
}

fn read_otp(body: &[u8], state: &ApiState) -> Result<(Phone, Code), ApiError> {
    const NOT_AN_OBJECT: ApiError = ApiError::InvalidRequest(
        "Send a JSON object in UTF-8 with phone and code, each once, such as {\"phone\":\"+84981234567\",\"code\":\"482917\"}.",
    );
    let body: SendOtp = json::object(body).ok_or(NOT_AN_OBJECT)?;
    let phone = string(body.phone).ok_or(ApiError::PhoneMissing)?;
    let phone = Phone::parse(&phone, &state.routing.plan).map_err(ApiError::InvalidPhone)?;
    let code = string(body.code).ok_or(ApiError::InvalidCode)?;
    let code = Code::parse(&code).map_err(|_| ApiError::InvalidCode)?;
    Ok((phone, code))
}

/// The value, if it is a JSON string.
fn string(value: Option<&RawValue>) -> Option<Zeroizing<String>> {
    serde_json::from_str::<String>(value?.get()).ok().map(Zeroizing::new)
}
