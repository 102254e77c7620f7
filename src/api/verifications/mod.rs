//! Verify: `/verifications` makes a code, sends it, and checks it. The code is computed and never stored.
//!
//! A start and a resend are OTPs: they take the way of `send-otp`, through the same admission, debit and settlement.

use actix_web::HttpRequest;
use metrics::Counter;
use nexo_actors::clock;
use nexo_domain::ids::{AccountId, VerificationId};
use nexo_domain::verification::code::CodeKey;
use nexo_domain::verification::{MAX_SENDS, Status};
use nexo_entities::store::verifications::Verification;
use std::sync::Arc;

use super::auth::caller::authorize;
use super::auth::keyring::Key;
use super::error::ApiError;
use super::state::ApiState;

pub mod cancel;
pub mod check;
pub mod read;
pub mod resend;
pub mod start;
pub mod turns;

/// Counts what happens to verifications.
pub struct VerificationMeters {
    started: Counter,
    approved: Counter,
    failed: Counter,
    canceled: Counter,
    checks_right: Counter,
    checks_wrong: Counter,
    checks_closed: Counter,
}

impl VerificationMeters {
    pub fn register() -> VerificationMeters {
        let outcome = |outcome: &'static str| metrics::counter!("nexo_verifications_total", "outcome" => outcome);
        let checks = |result: &'static str| metrics::counter!("nexo_verification_checks_total", "result" => result);
        VerificationMeters {
            started: outcome("started"),
            approved: outcome("approved"),
            failed: outcome("failed"),
            canceled: outcome("canceled"),
            checks_right: checks("right"),
            checks_wrong: checks("wrong"),
            checks_closed: checks("closed"),
        }
    }
}

/// The caller's key, and the key of the codes.
///
/// # Errors
/// Those of [`authorize`], and [`ApiError::VerifyNotConfigured`].
async fn caller<'s>(
    request: &HttpRequest,
    state: &'s ApiState,
) -> Result<(Arc<Key>, &'s CodeKey), ApiError> {
    let key = authorize(request, state).await?;
    let codes = state.codes.as_ref().ok_or(ApiError::VerifyNotConfigured)?;
    // Without a lease another node may have started with another secret, and codes by the old one count no more.
    if !state.dispatcher.lease.is_valid() {
        return Err(ApiError::Overloaded);
    }
    Ok((key, codes))
}

/// The verification with this id, if the key may act on it: of its account, and started by a key of the same kind.
///
/// # Errors
/// [`ApiError::NotFound`].
async fn of_caller(id: &str, key: &Key, state: &ApiState) -> Result<Verification, ApiError> {
    let found = find(id, key.account_id, state).await?;
    match found.test == key.test {
        true => Ok(found),
        false => Err(ApiError::NotFound),
    }
}

/// The account's verification with this id.
///
/// # Errors
/// [`ApiError::NotFound`] for an unknown, foreign or malformed id.
async fn find(id: &str, account: AccountId, state: &ApiState) -> Result<Verification, ApiError> {
    let id: VerificationId = id.parse().map_err(|_| ApiError::NotFound)?;
    let found = state.store.verifications().get(account, id);
    state.read("a verification", found).await?.ok_or(ApiError::NotFound)
}

/// The refusal of a request that needs a pending verification; `None` if it is pending.
fn closed(verification: &Verification) -> Option<ApiError> {
    let status = verification.state.status_at(clock::unix_ms());
    (status != Status::Pending).then_some(ApiError::VerificationClosed { status })
}

/// Why the debit found that the code cannot be sent again.
pub(super) async fn not_resendable(
    account: AccountId,
    id: Option<VerificationId>,
    state: &ApiState,
) -> ApiError {
    let Some(id) = id else {
        return state.internal("an OTP without a verification was refused as a resend");
    };
    let found = state.store.verifications().get(account, id);
    match state.read("a verification", found).await {
        Ok(Some(verification)) => match closed(&verification) {
            Some(closed) => closed,
            None if verification.state.sends >= MAX_SENDS => ApiError::TooManySends,
            // A send was taken back in the meantime.
            None => ApiError::Overloaded,
        },
        Ok(None) => ApiError::NotFound,
        Err(error) => error,
    }
}

/// The refusal of a request that another one was faster than.
async fn closed_meanwhile(verification: &Verification, state: &ApiState) -> ApiError {
    let found = state.store.verifications().get(verification.account_id, verification.id);
    match state.read("a verification", found).await {
        Ok(Some(now)) => closed(&now).unwrap_or(ApiError::Overloaded),
        Ok(None) => ApiError::NotFound,
        Err(error) => error,
    }
}
