//! The API's errors: status, headers and body of each. The only place that maps errors to HTTP.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use nexo_domain::account::quota::QuotaExceeded;
use nexo_domain::ids::DeliveryId;
use nexo_domain::integration::{HookCodeError, ProofScheme};
use nexo_domain::money::Micros;
use nexo_domain::phone::PhoneError;
use nexo_domain::schema::words;
use nexo_domain::timestamp::rfc3339;
use nexo_domain::verification::Status as VerificationStatus;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};
use uuid::Uuid;

use crate::read_limits::TooManyReads;

/// `Retry-After` when a queue is full.
pub const OVERLOADED_RETRY_SECONDS: u32 = 1;

/// Every error that the API answers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiError {
    MissingAuth,
    InvalidKey,
    /// A bank notification without a valid signature.
    InvalidSignature,
    /// A hook's caller that did not prove to be the integration's auth server.
    UnprovenHook(ProofScheme),
    /// The key's account is suspended.
    AccountSuspended,
    IpNotAllowed {
        detected_ip: IpAddr,
    },
    InvalidRequest(&'static str),
    /// An invalid query parameter; `message` names it and the allowed values.
    InvalidParameter {
        parameter: String,
        message: String,
    },
    PayloadTooLarge,
    PhoneMissing,
    InvalidPhone(PhoneError),
    InvalidCode,
    /// A hook's body without a phone.
    HookPhoneMissing,
    /// A hook's body without a code that can be read aloud.
    HookCode(HookCodeError),
    InsufficientBalance {
        deposit_url: String,
        cost: Micros,
        total: Micros,
    },
    RateLimited {
        retry_after_seconds: u32,
    },
    Throttled {
        id: DeliveryId,
        retry_after_seconds: u32,
    },
    /// A quota of free actions is used up, or a rate beside it.
    QuotaExceeded(QuotaExceeded),
    /// No carrier is configured for the number; nothing was debited.
    NoCarrier,
    /// Every gateway rejected the call or did not answer; refunded.
    NoRoute {
        id: DeliveryId,
    },
    Overloaded,
    /// The database did not confirm the debit in time. If it was written, it is refunded.
    InDoubt,
    /// The account has too much in progress; nothing was read.
    TooManyRequests(TooManyReads),
    /// The request's idempotency key was used with another body.
    IdempotencyConflict,
    NotFound,
    /// The verification is not pending.
    VerificationClosed {
        status: VerificationStatus,
    },
    /// The code of the verification was sent as often as it may be.
    TooManySends,
    /// The installation has no secret, from which codes are made.
    VerifyNotConfigured,
    NotAcceptable,
    MethodNotAllowed {
        allow: String,
    },
    /// The head of the request did not arrive in time.
    RequestTimeout,
    /// The head of the request is too large.
    HeadersTooLarge,
    Internal,
}

impl ApiError {
    /// The refusal of a method, with the methods that the router's answer lists.
    pub(super) fn method_not_allowed(headers: &HeaderMap) -> ApiError {
        let allow = headers.get(header::ALLOW);
        let allow = allow.and_then(|allow| allow.to_str().ok());
        ApiError::MethodNotAllowed { allow: allow.unwrap_or_default().to_owned() }
    }

    /// An error of each kind, for the documentation.
    pub fn one_of_each() -> Vec<ApiError> {
        let id = DeliveryId(Uuid::nil());
        vec![
            ApiError::InvalidRequest(""),
            ApiError::InvalidParameter { parameter: String::new(), message: String::new() },
            ApiError::PhoneMissing,
            ApiError::InvalidPhone(PhoneError::NotMobile),
            ApiError::InvalidCode,
            ApiError::MissingAuth,
            ApiError::InvalidKey,
            ApiError::InvalidSignature,
            ApiError::UnprovenHook(ProofScheme::StandardWebhooks),
            ApiError::UnprovenHook(ProofScheme::Bearer),
            ApiError::HookPhoneMissing,
            ApiError::HookCode(HookCodeError::NotOneNumber),
            ApiError::InsufficientBalance {
                deposit_url: String::new(),
                cost: Micros::ZERO,
                total: Micros::ZERO,
            },
            ApiError::AccountSuspended,
            ApiError::IpNotAllowed { detected_ip: Ipv4Addr::UNSPECIFIED.into() },
            ApiError::NotFound,
            ApiError::MethodNotAllowed { allow: String::new() },
            ApiError::NotAcceptable,
            ApiError::RequestTimeout,
            ApiError::IdempotencyConflict,
            ApiError::VerificationClosed { status: VerificationStatus::Approved },
            ApiError::TooManySends,
            ApiError::PayloadTooLarge,
            ApiError::RateLimited { retry_after_seconds: 1 },
            ApiError::QuotaExceeded(QuotaExceeded::of_rate("", 0, 0, 0)),
            ApiError::Throttled { id, retry_after_seconds: 1 },
            ApiError::TooManyRequests(TooManyReads::Reads),
            ApiError::HeadersTooLarge,
            ApiError::Internal,
            ApiError::VerifyNotConfigured,
            ApiError::NoRoute { id },
            ApiError::NoCarrier,
            ApiError::Overloaded,
            ApiError::InDoubt,
        ]
    }

    /// The delivery that the error is about, if one was written.
    pub fn delivery_id(&self) -> Option<DeliveryId> {
        match self {
            ApiError::Throttled { id, .. } | ApiError::NoRoute { id } => Some(*id),
            _ => None,
        }
    }

    pub fn status(&self) -> StatusCode {
        match self {
            ApiError::MissingAuth
            | ApiError::InvalidKey
            | ApiError::InvalidSignature
            | ApiError::UnprovenHook(_) => StatusCode::UNAUTHORIZED,
            ApiError::AccountSuspended | ApiError::IpNotAllowed { .. } => StatusCode::FORBIDDEN,
            ApiError::InvalidRequest(_)
            | ApiError::InvalidParameter { .. }
            | ApiError::PhoneMissing
            | ApiError::InvalidPhone(_)
            | ApiError::InvalidCode
            | ApiError::HookPhoneMissing
            | ApiError::HookCode(_) => StatusCode::BAD_REQUEST,
            ApiError::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ApiError::InsufficientBalance { .. } => StatusCode::PAYMENT_REQUIRED,
            ApiError::RateLimited { .. }
            | ApiError::Throttled { .. }
            | ApiError::TooManyRequests(_)
            | ApiError::QuotaExceeded(_) => StatusCode::TOO_MANY_REQUESTS,
            ApiError::NoCarrier | ApiError::NoRoute { .. } => StatusCode::BAD_GATEWAY,
            ApiError::Overloaded | ApiError::InDoubt => StatusCode::SERVICE_UNAVAILABLE,
            ApiError::IdempotencyConflict
            | ApiError::VerificationClosed { .. }
            | ApiError::TooManySends => StatusCode::CONFLICT,
            ApiError::VerifyNotConfigured => StatusCode::NOT_IMPLEMENTED,
            ApiError::NotFound => StatusCode::NOT_FOUND,
            ApiError::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            ApiError::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            ApiError::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            ApiError::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            ApiError::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The stable error code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            ApiError::MissingAuth => "missing_auth",
            ApiError::InvalidKey => "invalid_key",
            ApiError::InvalidSignature => "invalid_signature",
            ApiError::UnprovenHook(scheme) if scheme.is_signature() => "invalid_signature",
            ApiError::UnprovenHook(_) => "invalid_key",
            ApiError::AccountSuspended => "account_suspended",
            ApiError::IpNotAllowed { .. } => "ip_not_allowed",
            ApiError::InvalidRequest(_) | ApiError::InvalidParameter { .. } => "invalid_request",
            ApiError::PayloadTooLarge => "payload_too_large",
            ApiError::PhoneMissing | ApiError::InvalidPhone(_) | ApiError::HookPhoneMissing => {
                "invalid_phone"
            }
            ApiError::InvalidCode | ApiError::HookCode(_) => "invalid_code",
            ApiError::InsufficientBalance { .. } => "insufficient_balance",
            ApiError::RateLimited { .. } => "rate_limited",
            ApiError::QuotaExceeded(_) => "quota_exceeded",
            ApiError::Throttled { .. } | ApiError::NoCarrier | ApiError::NoRoute { .. } => {
                "no_route"
            }
            ApiError::Overloaded | ApiError::InDoubt => "overloaded",
            ApiError::TooManyRequests(_) => "too_many_requests",
            ApiError::IdempotencyConflict => "idempotency_conflict",
            ApiError::VerificationClosed { .. } => "verification_closed",
            ApiError::TooManySends => "too_many_sends",
            ApiError::VerifyNotConfigured => "verify_not_configured",
            ApiError::NotFound => "not_found",
            ApiError::NotAcceptable => "not_acceptable",
            ApiError::MethodNotAllowed { .. } => "method_not_allowed",
            ApiError::RequestTimeout => "request_timeout",
            ApiError::HeadersTooLarge => "headers_too_large",
            ApiError::Internal => "internal",
        }
    }

    pub(super) fn message(&self) -> String {
        match self {
            ApiError::MissingAuth => {
                "Send your API key with every request, as Authorization: Bearer sk_live_….".into()
            }
            ApiError::InvalidKey => {
                "This API key is mistyped, revoked or unknown; use an active key.".into()
            }
            ApiError::InvalidSignature => {
                "Sign the body with the notification secret: X-NEXO-Bank-Signature: sha256=<hex HMAC-SHA256>.".into()
            }
            ApiError::UnprovenHook(ProofScheme::StandardWebhooks) => {
                "Sign the body with this integration's secret by the Standard Webhooks, at a time within 5 minutes of ours.".into()
            }
            ApiError::UnprovenHook(ProofScheme::Zitadel) => {
                "Sign the body with this integration's secret as ZITADEL-Signature: t=<unix>,v1=<hex>, at a time within 5 minutes of ours.".into()
            }
            ApiError::UnprovenHook(ProofScheme::Bearer) => {
                "Send this integration's secret as Authorization: Bearer.".into()
            }
            ApiError::UnprovenHook(ProofScheme::BearerOrBasic) => {
                "Send this integration's secret as Authorization: Bearer, or as the password of Basic.".into()
            }
            ApiError::AccountSuspended => {
                "This account is suspended; contact the operator of this gateway.".into()
            }
            ApiError::IpNotAllowed { detected_ip } => format!(
                "{detected_ip} is not on this key's IP allowlist; add it, or call from an address on the list."
            ),
            ApiError::InvalidRequest(what) => (*what).to_owned(),
            ApiError::InvalidParameter { message, .. } => message.clone(),
            ApiError::PayloadTooLarge => "The body may be at most 16 KiB.".into(),
            ApiError::PhoneMissing => {
                "Send phone as a JSON string of +84 and 9 digits, such as \"+84981234567\".".into()
            }
            ApiError::InvalidPhone(why) => format!(
                "Not a Vietnamese mobile number in E.164 format (+84 and 9 digits, such as +84981234567): {why}."
            ),
            ApiError::InvalidCode => {
                "Send code as a JSON string of 4 to 8 digits 0-9, such as \"482917\".".into()
            }
            ApiError::HookPhoneMissing => {
                "The body has no phone number as a JSON string where this integration expects it.".into()
            }
            ApiError::HookCode(why) => why.to_string(),
            ApiError::InsufficientBalance { cost, total, .. } => format!(
                "The wallet holds {total} USD and this OTP costs {cost} USD; top up at deposit_url."
            ),
            ApiError::RateLimited {
                retry_after_seconds,
            } => format!(
                "This phone was called less than 30 seconds ago; try again in {retry_after_seconds} s."
            ),
            ApiError::Throttled {
                retry_after_seconds,
                ..
            } => format!(
                "The carrier is throttling calls; the OTP was refunded, try again in {retry_after_seconds} s."
            ),
            ApiError::QuotaExceeded(exceeded) => format!(
                "The quota {} allows {}; it is free again at {}.",
                exceeded.quota,
                exceeded.limit,
                rfc3339(exceeded.resets_at_ms)
            ),
            ApiError::NoCarrier => {
                "No carrier is configured for this number; nothing was charged.".into()
            }
            ApiError::NoRoute { .. } => {
                "The carrier did not accept the call; the OTP was refunded, try again later.".into()
            }
            ApiError::InDoubt => {
                "The database did not confirm in time; the phone is not called, and a debit is refunded within seconds.".into()
            }
            ApiError::Overloaded => {
                "The gateway is at its limit; nothing was charged, try again in a moment.".into()
            }
            ApiError::TooManyRequests(refused) => refused.to_string(),
            ApiError::IdempotencyConflict => {
                "This Idempotency-Key was used with another body within the last 24 hours; use a new key for each OTP.".into()
            }
            ApiError::VerificationClosed { status } => format!(
                "This verification is {}; start a new one for another code.",
                status.as_str()
            ),
            ApiError::TooManySends => {
                "The code was sent 5 times; start a new verification for another code.".into()
            }
            ApiError::VerifyNotConfigured => {
                "Verifications need a secret: the operator sets [verify] secret to 64 hexadecimal digits, the same on all nodes.".into()
            }
            ApiError::NotFound => "Not found.".into(),
            ApiError::NotAcceptable => {
                "Not acceptable. This list is available as application/json and text/csv.".into()
            }
            ApiError::MethodNotAllowed { allow } => {
                format!("Method not allowed. Use {allow}.")
            }
            ApiError::RequestTimeout => {
                "The head of the request did not arrive within 5 seconds.".into()
            }
            ApiError::HeadersTooLarge => {
                "The head of a request may have at most 96 headers and 128 KiB.".into()
            }
            ApiError::Internal => {
                "Internal error. We have been notified; quote the X-Request-Id.".into()
            }
        }
    }

    /// Seconds for `Retry-After`, if a retry can succeed.
    fn retry_after_seconds(&self) -> Option<u32> {
        match self {
            ApiError::RateLimited { retry_after_seconds }
            | ApiError::Throttled { retry_after_seconds, .. } => Some(*retry_after_seconds),
            ApiError::TooManyRequests(refused) => Some(refused.retry_after_seconds()),
            ApiError::QuotaExceeded(exceeded) => Some(exceeded.retry_after_seconds),
            ApiError::Overloaded | ApiError::InDoubt => Some(OVERLOADED_RETRY_SECONDS),
            _ => None,
        }
    }

    /// The JSON body: `ok`, `error`, `message`, and the fields of this error.
    pub fn body(&self) -> String {
        let mut body =
            Error { ok: false, error: self.code(), message: self.message(), ..Error::default() };
        match self {
            ApiError::IpNotAllowed { detected_ip } => body.detected_ip = Some(*detected_ip),
            ApiError::InsufficientBalance { deposit_url, cost, total } => {
                body.deposit_url = Some(deposit_url);
                body.cost = Some(*cost);
                body.total = Some(*total);
            }
            ApiError::RateLimited { retry_after_seconds } => {
                body.retry_after_seconds = Some(*retry_after_seconds)
            }
            ApiError::TooManyRequests(refused) => {
                body.retry_after_seconds = Some(refused.retry_after_seconds());
            }
            ApiError::Throttled { id, retry_after_seconds } => {
                body.id = Some(*id);
                body.retry_after_seconds = Some(*retry_after_seconds);
            }
            ApiError::QuotaExceeded(exceeded) => {
                body.quota = Some(exceeded.quota);
                body.limit = Some(exceeded.limit);
                body.resets_at = Some(rfc3339(exceeded.resets_at_ms));
                body.retry_after_seconds = Some(exceeded.retry_after_seconds);
            }
            ApiError::NoRoute { id } => body.id = Some(*id),
            ApiError::VerificationClosed { status } => body.status = Some(*status),
            ApiError::InvalidParameter { parameter, .. } => body.parameter = Some(parameter),
            _ => {}
        }
        serde_json::to_string(&body).expect("error bodies hold texts and numbers only")
    }

    /// The complete HTTP response.
    pub fn response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status());
        answer.content_type("application/json");
        if let Some(seconds) = self.retry_after_seconds() {
            answer.insert_header((header::RETRY_AFTER, HeaderValue::from(seconds)));
        }
        match self {
            ApiError::MissingAuth => {
                answer.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
            }
            ApiError::UnprovenHook(scheme) if scheme.is_signature() => {}
            ApiError::InvalidKey | ApiError::UnprovenHook(_) => {
                answer.insert_header((header::WWW_AUTHENTICATE, r#"Bearer error="invalid_token""#));
            }
            ApiError::MethodNotAllowed { allow } => {
                answer.insert_header((header::ALLOW, allow.as_str()));
            }
            _ => {}
        }
        answer.body(self.body())
    }
}

impl From<TooManyReads> for ApiError {
    fn from(refused: TooManyReads) -> ApiError {
        ApiError::TooManyRequests(refused)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    fn error_response(&self) -> HttpResponse {
        self.response()
    }
}

/// The codes of all errors.
fn codes() -> RefOr<Schema> {
    let mut codes: Vec<&str> = ApiError::one_of_each().iter().map(ApiError::code).collect();
    codes.sort_unstable();
    codes.dedup();
    words("A stable error code for programs.", codes)
}

/// Why a request was refused.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct Error<'a> {
    ok: bool,
    /// A stable error code for programs.
    #[schema(schema_with = codes)]
    error: &'static str,
    /// One sentence for the developer.
    message: String,
    /// With `ip_not_allowed`: the address that the request came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    detected_ip: Option<IpAddr>,
    /// With `insufficient_balance`: the top-up page.
    #[serde(skip_serializing_if = "Option::is_none")]
    deposit_url: Option<&'a str>,
    /// With `insufficient_balance`: the price of this OTP in USD.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<Micros>,
    /// With `insufficient_balance`: the wallet's total in USD.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<Micros>,
    /// With `no_route` after a debit: the refunded OTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    id: Option<DeliveryId>,
    /// With `verification_closed`: the verification's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<VerificationStatus>,
    /// With `quota_exceeded`: the quota, such as `test_otps`, or the rate, such as `test_otps_per_minute`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "test_otps")]
    quota: Option<&'static str>,
    /// With `quota_exceeded`: how much the quota allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    /// With `quota_exceeded`: when the next action is possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    resets_at: Option<String>,
    /// With `rate_limited`, `quota_exceeded` and `too_many_requests`, and with `no_route` when the carrier throttles.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u32>,
    /// With `invalid_request` for a query parameter or an option of the body: its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_body_is_json_with_its_code_and_fields() {
        let id: DeliveryId = "8f2e1c4d-0000-4000-8000-000000000001".parse().unwrap();
        for (error, status, more) in [
            (ApiError::MissingAuth, 401, ""),
            (
                ApiError::IpNotAllowed { detected_ip: [203, 0, 113, 9].into() },
                403,
                r#""detected_ip":"203.0.113.9""#,
            ),
            (
                ApiError::InsufficientBalance {
                    deposit_url: "https://x/dashboard/wallet".into(),
                    cost: Micros::new(22_000),
                    total: Micros::ZERO,
                },
                402,
                r#""deposit_url":"https://x/dashboard/wallet","cost":0.022,"total":0.000"#,
            ),
            (
                ApiError::Throttled { id, retry_after_seconds: 17 },
                429,
                r#""retry_after_seconds":17"#,
            ),
            (ApiError::NoRoute { id }, 502, r#""id":"8f2e1c4d-0000-4000-8000-000000000001""#),
            (
                ApiError::InvalidParameter {
                    parameter: "a\"b".into(),
                    message: "There is no parameter \"a\\\"b\" here.".into(),
                },
                400,
                r#""parameter":"a\"b""#,
            ),
            (ApiError::AccountSuspended, 403, ""),
            (
                ApiError::QuotaExceeded(QuotaExceeded {
                    quota: "test_otps",
                    limit: 1_000,
                    resets_at_ms: 1_779_753_600_000,
                    retry_after_seconds: 60,
                }),
                429,
                r#""quota":"test_otps","limit":1000,"resets_at":"2026-05-26T00:00:00Z","retry_after_seconds":60"#,
            ),
            (ApiError::NotAcceptable, 406, ""),
            (ApiError::TooManyRequests(TooManyReads::Exports), 429, r#""retry_after_seconds":5"#),
            (ApiError::Overloaded, 503, ""),
            (ApiError::InDoubt, 503, "refunded"),
            (ApiError::IdempotencyConflict, 409, ""),
            (
                ApiError::VerificationClosed { status: VerificationStatus::Failed },
                409,
                r#""status":"failed""#,
            ),
            (ApiError::TooManySends, 409, ""),
            (ApiError::VerifyNotConfigured, 501, "[verify] secret"),
        ] {
            let body = error.body();
            let json: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(json["ok"], false);
            assert_eq!(json["error"], error.code());
            assert!(json["message"].as_str().unwrap().ends_with('.'), "{body}");
            assert!(body.contains(more), "{body}");
            assert_eq!(error.response().status(), status);
        }
    }

    #[test]
    fn errors_that_a_retry_can_cure_say_when() {
        let retry = |error: ApiError| {
            let response = error.response();
            let value = response.headers().get(header::RETRY_AFTER).cloned();
            value.map(|v| v.to_str().unwrap().to_owned())
        };
        assert_eq!(retry(ApiError::RateLimited { retry_after_seconds: 30 }).as_deref(), Some("30"));
        assert_eq!(retry(ApiError::Overloaded).as_deref(), Some("1"));
        assert_eq!(retry(ApiError::Internal), None);
    }
}
