//! Verifications: with their debits and settlements, and by concurrent requests.

use nexo_domain::ids::{AccountId, VerificationId};
use nexo_domain::verification::answer::Sent;
use nexo_domain::verification::code::CodeLength;
use nexo_domain::verification::{MAX_ATTEMPTS, Status};
use nexo_entities::store::ledger::posting::{
    Debit, DebitOutcome, SendKind, Settlement, VerificationSend,
};
use nexo_entities::store::verifications::Verification;

use crate::world::{World, otp_at, paid, refunded};

mod events;
mod sends;
mod webhooks;

pub const TTL_MS: i64 = 300_000;
/// Longer than a phone's window.
pub const LATER_MS: i64 = 31_000;

/// The debit of a new verification of `phone(number)`.
pub fn start(account: AccountId, number: u32, at_ms: i64) -> Debit {
    let debit = otp_at(account, number, at_ms);
    let sent = Sent {
        // With an id of its time.
        id: VerificationId(otp_at(account, number, at_ms).delivery_id.0),
        phone: debit.phone,
        attempts_left: MAX_ATTEMPTS,
        expires_at_ms: at_ms + TTL_MS,
    };
    let kind = SendKind::Start { code_length: CodeLength::default(), language: None };
    Debit { verification: Some(VerificationSend { sent, kind }), ..debit }
}

/// The debit of a resend of the verification that `first` started.
pub fn resend(first: &Debit, at_ms: i64) -> Debit {
    let sent = first.verification.unwrap().sent;
    let next = otp_at(first.account_id, 0, at_ms);
    let verification = Some(VerificationSend { sent, kind: SendKind::Resend });
    Debit { phone: first.phone, carrier: first.carrier, verification, ..next }
}

pub fn id(debit: &Debit) -> VerificationId {
    debit.verification.unwrap().sent.id
}

/// No gateway accepted the call of this debit.
pub fn not_routed(debit: &Debit, outcome: &DebitOutcome) -> Settlement {
    Settlement {
        error_code: Some("no_route"),
        completed_at_ms: debit.created_at_ms + 1_000,
        release_window: true,
        takes_back: debit.verification.map(|send| send.sent.id),
        ..refunded(debit, paid(outcome))
    }
}

pub async fn get(world: &World, id: VerificationId) -> Option<Verification> {
    world.store.verifications().get(world.account, id).await.unwrap()
}

pub async fn status(world: &World, id: VerificationId) -> Option<Status> {
    Some(get(world, id).await?.state.status)
}
