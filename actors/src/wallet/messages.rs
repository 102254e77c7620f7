//! The messages of a wallet actor.

use std::sync::Arc;

use actix::Message;
use nexo_domain::ids::AccountId;
use nexo_entities::store::ledger::posting::{
    Debit, DebitOutcome, IdempotencyWrite, NodeEpoch, Settlement,
};
use thiserror::Error;
use tokio::sync::oneshot;

/// Debits an OTP, and writes its delivery and phone window.
pub struct PostDebit {
    pub debit: Debit,
    /// The epoch in which the OTP was admitted. In another epoch the debit is refused.
    pub node: Arc<NodeEpoch>,
    pub reply: oneshot::Sender<Result<DebitOutcome, DebitError>>,
}

impl Message for PostDebit {
    type Result = ();
}

/// Why a debit has no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DebitError {
    #[error(
        "too many debits are waiting, the store is down or full, or the lease has expired; nothing was debited"
    )]
    Overloaded,
    #[error("the connection was lost during a commit; the debit may have been posted")]
    InDoubt,
    #[error("the store failed; nothing was debited")]
    Failed,
}

/// Writes the final state of a delivery, once.
pub struct SettleDelivery {
    pub settlement: Settlement,
    /// The epoch in which the delivery was debited. In another epoch the delivery belongs to another process.
    pub node: Arc<NodeEpoch>,
    /// Receives `Ok` when the settlement is durable. Dropped when that is not known.
    pub reply: oneshot::Sender<Result<(), StoreStopped>>,
}

impl Message for SettleDelivery {
    type Result = ();
}

/// The disk failed. The next start settles what was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the store writes nothing until the process is restarted")]
pub struct StoreStopped;

/// Stores a response under an idempotency key.
pub struct StoreResponse {
    pub keep: IdempotencyWrite,
    /// Receives, once that is durable, whether the response was written. Dropped when that is not known.
    pub reply: oneshot::Sender<bool>,
}

impl Message for StoreResponse {
    type Result = ();
}

/// Another process changed a wallet: its cached state is stale.
#[derive(Clone, Copy)]
pub struct ForgetWallet(pub AccountId);

impl Message for ForgetWallet {
    type Result = ();
}

/// Changes may have been missed: all cached state is stale.
#[derive(Clone, Copy)]
pub struct ForgetAll;

impl Message for ForgetAll {
    type Result = ();
}
