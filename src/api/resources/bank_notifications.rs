//! `POST /api/v1/bank-notifications`: the bank, or a service that watches its account, reports a payment.
//!
//! The body is signed like our webhooks: `X-NEXO-Bank-Signature: sha256=<hex>`, the HMAC-SHA256 of the body under
//! `[deposits] notification_secret`. Nothing is parsed before the signature is verified.

use actix_web::{HttpRequest, HttpResponse, web};
use metrics::{Counter, counter};
use nexo_actors::clock::unix_ms;
use nexo_domain::billing::deposit::HoldReason;
use nexo_domain::webhook::HashedSecret;
use nexo_entities::store::Store;
use nexo_entities::store::billing::bank_payments::{NewPayment, PaymentOutcome};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::body::{self, read_body};
use crate::api::error::{ApiError, Error};
use crate::api::json;
use crate::config::deposits::DepositsConfig;

pub(in crate::api) const SIGNATURE: &str = "X-NEXO-Bank-Signature";
/// A memo is stored up to this many characters.
const MAX_MEMO_LENGTH: usize = 1_000;

/// The state of the handler.
pub struct BankNotifications {
    store: Store,
    /// `None` if notifications are not configured.
    secret: Option<HashedSecret>,
    credited: Counter,
    kept: Counter,
    refused: Counter,
}

impl BankNotifications {
    pub fn new(config: &DepositsConfig, store: Store) -> BankNotifications {
        let outcome = |outcome| counter!("nexo_bank_notifications_total", "outcome" => outcome);
        let secret = config.notification_secret.as_ref();
        BankNotifications {
            store,
            // Unlike a webhook's, the secret itself is the HMAC key.
            secret: secret.map(|secret| HashedSecret::from_record(secret.reveal().to_owned())),
            credited: outcome("credited"),
            kept: outcome("kept"),
            refused: outcome("refused"),
        }
    }
}

/// A transaction id as banks send it.
#[derive(Deserialize)]
#[serde(untagged)]
enum TransactionId {
    Text(String),
    Number(u64),
}

/// A payment that has arrived.
#[derive(Deserialize, ToSchema)]
pub(in crate::api) struct BankNotification {
    /// The bank's own id of the payment, 1 to 64 ASCII characters; a whole number is accepted too.
    #[schema(value_type = String, min_length = 1, max_length = 64, pattern = "^[!-~]+$", example = "FT26147000123")]
    transaction_id: TransactionId,
    /// In whole units of its currency, positive.
    #[schema(minimum = 1, example = 260_000)]
    amount: i64,
    /// ISO 4217; VND if absent.
    #[serde(default = "dong")]
    #[schema(pattern = "^[A-Z]{3}$", example = "VND")]
    currency: String,
    /// As the payer wrote it, with additions by the bank.
    #[schema(example = "MBVCB.123.NX1A2B3C4D5.CT tu 0123")]
    memo: String,
}

/// What happened to a payment.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum NotificationStatus {
    /// It was credited to the wallet, now or earlier.
    Credited,
    /// It waits for an operator.
    Kept,
    /// An operator refused it.
    Refused,
}

/// The outcome of a notification.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct BankNotificationTaken {
    ok: bool,
    status: NotificationStatus,
    /// Why it is kept for an operator; null unless it is.
    #[schema(required = true)]
    reason: Option<HoldReason>,
    /// False if this payment was reported before.
    new: bool,
}

fn dong() -> String {
    "VND".to_owned()
}

/// Handles the request, and counts refusals.
///
/// # Errors
/// Every refusal.
#[utoipa::path(
    post,
    path = "/api/v1/bank-notifications",
    operation_id = "notifyBankPayment",
    summary = "Report an incoming payment (for the bank, or a service that watches the account)",
    description = "Available if the operator has set a notification secret. Credits the top-up whose reference is in the memo and whose amount matches, once; every other payment is kept for an operator. A repeated transaction_id changes nothing.",
    params(("X-NEXO-Bank-Signature" = String, Header, description = "`sha256=` and the HMAC-SHA256 of the body in hex, under the notification secret.")),
    request_body(content = BankNotification, description = "At most 16 KiB."),
    responses(
        (status = 200, description = "Accepted, now or earlier.", body = BankNotificationTaken),
        (status = 400, description = "`invalid_request`.", body = Error),
        (status = 401, description = "`invalid_signature`.", body = Error),
        (status = 404, description = "`not_found`: notifications are not configured.", body = Error),
        (status = 413, description = "`payload_too_large`.", body = Error),
        (status = 503, description = "`overloaded`: nothing was stored; send it again.", body = Error),
    )
)]
pub async fn notify(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<BankNotifications>,
) -> Result<HttpResponse, ApiError> {
    let taken = take(&request, payload, &state).await;
    taken.inspect_err(|_| state.refused.increment(1))
}

async fn take(
    request: &HttpRequest,
    payload: web::Payload,
    state: &BankNotifications,
) -> Result<HttpResponse, ApiError> {
    let secret = state.secret.as_ref().ok_or(ApiError::NotFound)?;
    let body = read_body(request, payload).await?;
    let signature = request.headers().get(SIGNATURE);
    let signature = signature.and_then(|value| value.to_str().ok());
    if !signature.is_some_and(|signature| secret.verify(&body, signature)) {
        return Err(ApiError::InvalidSignature);
    }
    let notification: BankNotification = json::object(&body).ok_or(ApiError::InvalidRequest(
        "Send a JSON object with transaction_id, amount in whole units, memo, and currency unless it is VND.",
    ))?;
    let bank_id = match notification.transaction_id {
        TransactionId::Text(text) => text,
        TransactionId::Number(number) => number.to_string(),
    };
    if !(1..=64).contains(&bank_id.len()) || !bank_id.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(ApiError::InvalidRequest(
            "transaction_id must be 1 to 64 ASCII characters without blanks.",
        ));
    }
    if notification.amount <= 0 {
        return Err(ApiError::InvalidRequest(
            "amount is a whole number, more than zero: only what comes in is notification.",
        ));
    }
    let is_code = notification.currency.len() == 3
        && notification.currency.bytes().all(|b| b.is_ascii_uppercase());
    if !is_code {
        return Err(ApiError::InvalidRequest(
            "currency must be an ISO 4217 code of three capital letters, such as VND.",
        ));
    }
    let memo: String = notification.memo.chars().take(MAX_MEMO_LENGTH).collect();
    let payment = NewPayment {
        bank_id: &bank_id,
        amount: notification.amount,
        currency: &notification.currency,
        memo: &memo.replace(char::is_control, " "),
        at_ms: unix_ms(),
    };
    let (taken, is_new) =
        state.store.billing().receive_payment(payment).await.map_err(|error| {
            tracing::error!(%error, "storing a bank payment failed");
            match error.is_outage() {
                true => ApiError::Overloaded,
                false => ApiError::Internal,
            }
        })?;
    if is_new {
        match &taken {
            PaymentOutcome::Credited { .. } => state.credited.increment(1),
            PaymentOutcome::Kept(_) | PaymentOutcome::Refused => state.kept.increment(1),
        }
    }
    let (status, reason) = match &taken {
        PaymentOutcome::Credited { .. } => (NotificationStatus::Credited, None),
        PaymentOutcome::Kept(reason) => (NotificationStatus::Kept, Some(*reason)),
        PaymentOutcome::Refused => (NotificationStatus::Refused, None),
    };
    Ok(body::ok(&BankNotificationTaken { ok: true, status, reason, new: is_new }))
}
