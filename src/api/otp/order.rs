//! From a request body to an order for the dispatcher, and from its outcome to an answer.

use std::ops::RangeInclusive;

use nexo_actors::dispatch::{Dispatched, OtpOrder, new_delivery};
use nexo_domain::account::quota::QuotaKind;
use nexo_domain::call::acceptance::Accepted;
use nexo_domain::customer_fields::{CustomerFields, Metadata, Reference};
use nexo_domain::ids::{AccountId, DeliveryId, VerificationId};
use nexo_domain::money::Micros;
use nexo_domain::otp::{Code, Language, MAX_REPEAT, Reading};
use nexo_domain::phone::Phone;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::api::auth::keyring::Key;
use crate::api::error::ApiError;
use crate::api::json;
use crate::api::list::parameters::invalid;
use crate::api::state::ApiState;
use crate::api::verifications::not_resendable;

/// What `repeat` may be.
const REPEATS: &str = "1, 2 or 3";

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
    /// The language of this call: `vi` or `en`. Default: the account's.
    #[serde(borrow)]
    #[schema(value_type = Option<Language>)]
    language: Option<&'a RawValue>,
    /// How often the code is read. Default: `[calls] repeat`.
    #[serde(borrow)]
    #[schema(value_type = Option<u8>, minimum = 1, maximum = 3)]
    repeat: Option<&'a RawValue>,
    #[serde(borrow)]
    #[schema(value_type = Option<Reference>, example = "order-42")]
    reference: Option<&'a RawValue>,
    #[serde(borrow)]
    #[schema(value_type = Option<Metadata>)]
    metadata: Option<&'a RawValue>,
}

/// Checks the body in the documented order and makes the order for the dispatcher.
///
/// # Errors
/// The first check that fails. Nothing has been claimed or spent.
pub(super) fn order(key: &Key, body: &[u8], state: &ApiState) -> Result<OtpOrder, ApiError> {
    Request::read(body, state)?.order(key, state)
}

/// What an error needs to know of an order that the dispatcher has consumed.
pub(in crate::api) struct OrderFacts {
    pub id: DeliveryId,
    account_id: AccountId,
    test: bool,
    cost: Micros,
    verification: Option<VerificationId>,
}

impl OrderFacts {
    pub(in crate::api) fn of(order: &OtpOrder) -> OrderFacts {
        OrderFacts {
            id: order.delivery_id,
            account_id: order.account_id,
            test: order.test,
            cost: order.cost,
            verification: order.verification.map(|send| send.sent.id),
        }
    }

    /// The outcome of the order as an answer or an error of the API.
    pub(in crate::api) async fn answer(
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
            Dispatched::NotResendable => {
                Err(not_resendable(self.account_id, self.verification, state).await)
            }
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
        Dispatched::WindowHeld { .. }
            | Dispatched::NoGateway
            | Dispatched::Overloaded
            | Dispatched::NotResendable
    )
}

/// One OTP, checked.
#[derive(Clone)]
pub(in crate::api) struct Request {
    pub phone: Phone,
    pub code: Code,
    pub language: Option<Language>,
    pub repeat: Option<u8>,
    pub fields: CustomerFields,
}

impl Request {
    /// Makes the order for the dispatcher.
    ///
    /// # Errors
    /// Why the OTP cannot be sent now. Nothing has been claimed or spent.
    pub fn order(self, key: &Key, state: &ApiState) -> Result<OtpOrder, ApiError> {
        let carrier = state.routing.carrier(self.phone).ok_or(ApiError::NoCarrier)?;
        if state.is_draining() || state.store.stop_reason().is_some() {
            return Err(ApiError::Overloaded);
        }
        // Only test OTPs are counted: a live one is paid for.
        if key.test {
            let taken = state.quotas.take_test_otp(key.account_id);
            taken.map_err(ApiError::QuotaExceeded)?;
        }
        let terms = state.terms.current();
        let reading = self.reading(key.language, terms.reading);
        let (delivery_id, clock) = new_delivery();
        Ok(OtpOrder {
            delivery_id,
            clock,
            account_id: key.account_id,
            key_id: key.key_id,
            test: key.test,
            phone: self.phone,
            code: self.code,
            carrier,
            cost: if key.test { Micros::ZERO } else { terms.price },
            reading,
            fields: self.fields,
            verification: None,
        })
    }

    fn read(body: &[u8], state: &ApiState) -> Result<Request, ApiError> {
        const NOT_AN_OBJECT: ApiError = ApiError::InvalidRequest(
            "Send a JSON object in UTF-8 with phone and code, each once, such as {\"phone\":\"+84981234567\",\"code\":\"482917\"}.",
        );
        let body: SendOtp = json::object(body).ok_or(NOT_AN_OBJECT)?;
        let language = language(body.language)?;
        let repeat = option(body.repeat, "repeat", REPEATS, |raw| {
            // JSON has one kind of number: 2.0 is 2.
            let times: f64 = serde_json::from_str(raw.get()).ok()?;
            (1..=MAX_REPEAT).find(|allowed| f64::from(*allowed) == times)
        })?;
        let fields = CustomerFields::parse(body.reference, body.metadata);
        let fields = fields.map_err(|(name, allowed)| invalid(name, &allowed))?;
        let phone = phone(body.phone, state)?;
        let code = code(body.code)?;
        Ok(Request { phone, code, language, repeat, fields })
    }

    /// How the code is read: as the request says, else in the account's language, else as configured.
    fn reading(&self, of_account: Option<Language>, configured: Reading) -> Reading {
        Reading {
            language: self.language.or(of_account).unwrap_or(configured.language),
            repeat: self.repeat.unwrap_or(configured.repeat),
            ..configured
        }
    }
}

/// The phone to call.
///
/// # Errors
/// [`ApiError::PhoneMissing`] or [`ApiError::InvalidPhone`].
pub(in crate::api) fn phone(value: Option<&RawValue>, state: &ApiState) -> Result<Phone, ApiError> {
    let phone = string(value).ok_or(ApiError::PhoneMissing)?;
    Phone::parse(&phone, &state.routing.plan).map_err(ApiError::InvalidPhone)
}

/// A code of 4 to 8 digits.
///
/// # Errors
/// [`ApiError::InvalidCode`].
pub(in crate::api) fn code(value: Option<&RawValue>) -> Result<Code, ApiError> {
    let code = string(value).ok_or(ApiError::InvalidCode)?;
    Code::parse(&code).map_err(|_| ApiError::InvalidCode)
}

/// The voice of the call.
///
/// # Errors
/// [`ApiError::InvalidParameter`].
pub(in crate::api) fn language(value: Option<&RawValue>) -> Result<Option<Language>, ApiError> {
    option(value, "language", "\"vi\" or \"en\"", |raw| Language::from_code(&string(Some(raw))?))
}

/// An optional number of the body that must be whole and within `range`. JSON has one kind of number: 2.0 is 2.
///
/// # Errors
/// [`ApiError::InvalidParameter`].
pub(in crate::api) fn whole_number(
    value: Option<&RawValue>,
    name: &'static str,
    range: RangeInclusive<u32>,
) -> Result<Option<u32>, ApiError> {
    let allowed = format!("a whole number from {} to {}", range.start(), range.end());
    option(value, name, &allowed, |raw| {
        let number: f64 = serde_json::from_str(raw.get()).ok()?;
        let is_whole = number.fract() == 0.0 && number >= 0.0 && number <= f64::from(u32::MAX);
        is_whole.then_some(number as u32).filter(|number| range.contains(number))
    })
}

/// An optional value of the body; null counts as absent.
fn option<T>(
    value: Option<&RawValue>,
    name: &'static str,
    allowed: &str,
    read: impl FnOnce(&RawValue) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    match value {
        None => Ok(None),
        Some(raw) => read(raw).map(Some).ok_or_else(|| invalid(name, allowed)),
    }
}

/// The value, if it is a JSON string.
fn string(value: Option<&RawValue>) -> Option<Zeroizing<String>> {
    serde_json::from_str::<String>(value?.get()).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use nexo_domain::phone::carrier_plan::CarrierPlan;

    use super::*;

    #[test]
    fn the_request_then_the_account_then_the_configuration_decides_how_a_code_is_read() {
        let configured = Reading { language: Language::Vi, repeat: 2, digit_gap_ms: 350 };
        let mut request = Request {
            phone: Phone::parse("+84981234567", &CarrierPlan::vietnam()).unwrap(),
            code: Code::parse("482917").unwrap(),
            language: None,
            repeat: None,
            fields: CustomerFields::default(),
        };
        assert_eq!(request.reading(None, configured), configured);
        let english = Reading { language: Language::En, ..configured };
        assert_eq!(request.reading(Some(Language::En), configured), english);
        (request.language, request.repeat) = (Some(Language::Vi), Some(3));
        let asked = Reading { repeat: 3, ..configured };
        assert_eq!(request.reading(Some(Language::En), configured), asked);
    }
}
