//! Wallet actors: debits and settlements, many in one transaction.
//!
//! An account always maps to the same actor, so its postings are serial without a lock. The actor commits
//! everything that is waiting with one fsync (group commit). A batch holds one posting when the actor is idle, and
//! grows under load (see `group_commit`).

mod actor;
mod batch;
mod group_commit;
mod messages;

pub use actor::{MAILBOX_CAPACITY, MAX_BATCH, MAX_QUEUE, MAX_WAIT, Wallet, Wallets};
pub use batch::COMMIT_TIMEOUT;
pub use messages::{
    DebitError, ForgetAll, ForgetWallet, PostDebit, SettleDelivery, StoreResponse, StoreStopped,
};
