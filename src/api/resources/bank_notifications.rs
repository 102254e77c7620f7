//! `POST /api/v1/bank-notifications`: a bank, or who watches its account, tells of a payment.
//!
//! The body is signed as our webhooks are: `X-NEXO-Bank-Signature: sha256=<hex>`, the HMAC-SHA256 of its bytes
//! under `[deposits] notification_secret`. What is not signed is nobody's word, and read no further.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use metrics::{Counter, counter};
use nexo_actors::clock::unix_ms;
use nexo_domain::billing::deposit::Kept;
use nexo_domain::webhook::HashedSecret;
use nexo_entities::store::Store;
use nexo_entities::store::billing::bank_payments::{NewPayment, Taken};
use serde::Deserialize;

use crate::api::error::ApiError;
use crate::api::otp::send_otp::{json, read_body};
use crate::config::deposits::DepositsConfig;

pub(in crate::api) const SIGNATURE: &str = "X-NEXO-Bank-Signature";
/// The longest memo that is kept.
const LONGEST_MEMO: usize = 1_000;

/// What the handler needs.
pub struct BankDesk {
    store: Store,
    /// `None` where no notifications are taken.
    secret: Option<HashedSecret>,
    credited: Counter,
    kept: Counter,
    refused: Counter,
}

impl BankDesk {
    pub fn new(config: &DepositsConfig, store: Store) -> BankDesk {
        let outcome = |outcome| counter!("nexo_bank_notifications_total", "outcome" => outcome);
        let secret = config.notification_secret.as_ref();
        BankDesk {
            store,
            // The secret's own text is the key.
            secret: secret.map(|secret| HashedSecret::from_record(secret.reveal().to_owned())),
            credited: outcome("credited"),
            kept: outcome("kept"),
            refused: outcome("refused"),
        }
    }
}

/// A bank's own id may be a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(u64),
}

#[derive(Deserialize)]
struct Notification {
    transaction_id: Id,
    amount: i64,
    #[serde(default = "dong")]
    currency: String,
    memo: String,
}

fn dong() -> String {
    "VND".to_owned()
}

/// Handles the request; every refusal is an [`ApiError`].
pub async fn notify(
    request: HttpRequest,
    payload: web::Payload,
    desk: web::Data<BankDesk>,
) -> HttpResponse {
    match take(&request, payload, &desk).await {
        Ok(answer) => answer,
        Err(refused) => {
            desk.refused.increment(1);
            refused.response()
        }
    }
}

async fn take(
    request: &HttpRequest,
    payload: web::Payload,
    desk: &BankDesk,
) -> Result<HttpResponse, ApiError> {
    let secret = desk.secret.as_ref().ok_or(ApiError::NotFound)?;
    let body = read_body(request, payload).await?;
    let signature = request.headers().get(SIGNATURE);
    let signature = signature.and_then(|value| value.to_str().ok());
    if !signature.is_some_and(|signature| secret.verify(&body, signature)) {
        return Err(ApiError::InvalidSignature);
    }
    let told: Notification = serde_json::from_slice(&body).map_err(|_| {
        ApiError::InvalidRequest(
            "Send a JSON object with transaction_id, amount in whole units, memo, and currency where it is not VND.",
        )
    })?;
    let bank_id = match told.transaction_id {
        Id::Text(text) => text,
        Id::Number(number) => number.to_string(),
    };
    if !(1..=64).contains(&bank_id.len()) || !bank_id.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(ApiError::InvalidRequest(
            "transaction_id is 1 to 64 ASCII characters without blanks.",
        ));
    }
    if told.amount <= 0 {
        return Err(ApiError::InvalidRequest(
            "amount is a whole number, more than zero: only what comes in is told.",
        ));
    }
    let is_code = told.currency.len() == 3 && told.currency.bytes().all(|b| b.is_ascii_uppercase());
    if !is_code {
        return Err(ApiError::InvalidRequest(
            "currency is three capitals (ISO 4217), such as VND.",
        ));
    }
    let memo: String = told.memo.chars().take(LONGEST_MEMO).collect();
    let payment = NewPayment {
        bank_id: &bank_id,
        amount: told.amount,
        currency: &told.currency,
        memo: &memo.replace(char::is_control, " "),
        at_ms: unix_ms(),
    };
    let (taken, is_new) = desk.store.take_payment(payment).await.map_err(|error| {
        tracing::error!(%error, "a bank's payment could not be taken");
        match error.is_outage() {
            true => ApiError::Overloaded,
            false => ApiError::Internal,
        }
    })?;
    if is_new {
        match &taken {
            Taken::Credited { .. } => desk.credited.increment(1),
            Taken::Kept(_) | Taken::Refused => desk.kept.increment(1),
        }
    }
    let (status, reason) = match &taken {
        Taken::Credited { .. } => ("credited", None),
        Taken::Kept(kept) => ("kept", Some(Kept::as_str(*kept))),
        Taken::Refused => ("refused", None),
    };
    let reason = serde_json::Value::from(reason);
    Ok(json(
        StatusCode::OK,
        format!(r#"{{"ok":true,"status":"{status}","reason":{reason},"new":{is_new}}}"#),
    ))
}
