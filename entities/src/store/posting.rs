//! The hot path: many waiting debits and settlements in one transaction.
//!
//! | step | statement | read |
//! |---|---|---|
//! | 1 | wallets not in the cache, or short by it, are loaded | only then |
//! | 2 | `sent` deliveries of this epoch take their terminal state | no |
//! | 3 | phone windows are given back, then claimed; the losers drop out | only for losers |
//! | 4 | each touched wallet is written once, if its version is the known one | only for those moved |
//! | 5 | deliveries, entries, call attempts, webhook attempts | no |
//!
//! What is decided in between is pure ([`Deciding`]). A wallet whose version moved, since a command
//! or another node wrote it, is read again and charged with the same debits; where those do not fit any
//! more, the transaction is undone and the whole batch decided again. The cache learns of anything only
//! after COMMIT.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use nexo_domain::carrier_plan::Carrier;
use nexo_domain::ids::{AccountId, AttemptId, DeliveryId, EndpointId, KeyId};
use nexo_domain::ledger::{Buckets, Parts};
use nexo_domain::money::Micros;
use nexo_domain::outcome::Status;
use nexo_domain::phone::Phone;
use sea_orm::DatabaseTransaction;

mod cache;
mod deciding;
mod statements;

pub use cache::WalletCache;

use super::{Store, StoreError};
use deciding::Deciding;

/// How often one batch is decided again because other writers were faster.
const MAX_ROUNDS: usize = 8;

/// This node in its present life. Deliveries carry it, and only it settles them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEpoch {
    pub node: Arc<str>,
    pub epoch: i64,
}

/// One OTP that waits to be paid. Ids are best made in the order of time (UUIDv7): the database
/// then appends instead of writing all over its indexes.
#[derive(Debug, Clone)]
pub struct Debit {
    pub delivery_id: DeliveryId,
    pub account_id: AccountId,
    pub key_id: KeyId,
    /// Whether its key is a test key. Its windows are apart from the live ones.
    pub test: bool,
    pub phone: Phone,
    pub carrier: Carrier,
    /// Zero writes no entries.
    pub cost: Micros,
    pub created_at_ms: i64,
    pub window_until_ms: i64,
}

/// What became of a [`Debit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DebitOutcome {
    /// Paid; the delivery is `sent` and the phone's window is taken.
    Posted { parts: Parts, after: Buckets },
    /// The wallet holds less than the cost: `total`.
    FundsShort { total: Micros },
    /// Another OTP has the phone's window.
    WindowClosed { until_ms: i64 },
    /// The account is closed or unknown.
    AccountClosed,
}

/// The end of one delivery.
#[derive(Debug, Clone)]
pub struct Settlement {
    pub delivery_id: DeliveryId,
    pub account_id: AccountId,
    pub test: bool,
    pub phone: Phone,
    /// Delivered or failed.
    pub status: Status,
    pub error_code: Option<&'static str>,
    pub carrier_status: Option<Cow<'static, str>>,
    pub completed_at_ms: i64,
    /// What the delivery paid, known from its debit. Given back where `refund` is set.
    pub parts: Parts,
    pub refund: bool,
    /// Whether the phone may be called again at once.
    pub release_window: bool,
    pub attempts: Vec<CallAttempt>,
    /// The exact bytes for each active endpoint; without them no webhook is queued.
    pub webhook_body: Option<String>,
}

/// The call detail record of one finished leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallAttempt {
    pub id: AttemptId,
    /// From 1, in the order of dialling.
    pub number: u16,
    pub gateway: String,
    /// SIP's Call-ID.
    pub call_id: String,
    pub started_at_ms: i64,
    pub accepted_at_ms: Option<i64>,
    pub ringing_at_ms: Option<i64>,
    pub answered_at_ms: Option<i64>,
    pub ended_at_ms: i64,
    pub sip_code: Option<u16>,
    pub end_reason: Cow<'static, str>,
    pub codec: Option<Cow<'static, str>>,
    pub packets_sent: u32,
}

/// What a batch came to, in the order of its debits and settlements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub debits: Vec<DebitOutcome>,
    /// False where the delivery had been settled before, or is another epoch's: nothing was written.
    pub settled: Vec<bool>,
    /// How many webhook attempts were queued.
    pub webhooks: u64,
}

/// Why a transaction did not come to its end.
enum Undone {
    /// A wallet is not what the cache said.
    Moved,
    Failed(StoreError),
}

impl<E: Into<StoreError>> From<E> for Undone {
    fn from(error: E) -> Self {
        Undone::Failed(error.into())
    }
}

impl Store {
    /// Commits debits and settlements in one transaction. A debit that cannot be posted fails alone.
    ///
    /// Delivery ids of debits must be new. After an error the caller cannot know whether the batch was
    /// committed: what was is `sent` and will be settled by the reaper.
    ///
    /// # Errors
    /// [`StoreError::Contended`] when other writers kept winning; what else the database fails with.
    pub async fn commit(
        &self,
        cache: &mut WalletCache,
        node: &NodeEpoch,
        debits: &[Debit],
        settlements: &[Settlement],
    ) -> Result<Committed, StoreError> {
        for _ in 0..MAX_ROUNDS {
            match self.try_commit(cache, node, debits, settlements).await {
                Ok(committed) => return Ok(committed),
                Err(Undone::Moved) => cache.forget_touched(debits, settlements),
                Err(Undone::Failed(error)) => {
                    cache.forget_touched(debits, settlements);
                    if !error.lost_to_another() {
                        return Err(error);
                    }
                }
            }
        }
        Err(StoreError::Contended)
    }

    async fn try_commit(
        &self,
        cache: &mut WalletCache,
        node: &NodeEpoch,
        debits: &[Debit],
        settlements: &[Settlement],
    ) -> Result<Committed, Undone> {
        let doubtful = doubtful_wallets(cache, debits, settlements);
        let transaction = self.begin().await?;
        let loaded = statements::load_wallets(&transaction, &doubtful).await?;
        let endpoints = load_endpoints(&transaction, cache, settlements).await?;

        let settled = settle(&transaction, node, settlements).await?;
        let settled_now = || {
            settlements
                .iter()
                .zip(&settled)
                .filter(|(_, s)| **s)
                .map(|(s, _)| s)
        };
        let mut deciding = Deciding::new(debits, refunded(settlements), |account| {
            match loaded.get(&account) {
                Some(wallet) => Some((*wallet, true)),
                None => cache.wallet(account).map(|wallet| (wallet, false)),
            }
        });
        for settlement in settled_now().filter(|s| s.refund) {
            deciding.refund(settlement.account_id, settlement.parts);
        }
        statements::release_windows(&transaction, settled_now()).await?;
        decide(&transaction, &mut deciding).await?;

        write(&transaction, &mut deciding).await?;

        let touched = deciding.touched();
        let outcomes = deciding.into_outcomes();
        statements::insert_deliveries(&transaction, node, debits, &outcomes).await?;
        statements::insert_entries(&transaction, debits, &outcomes, settled_now()).await?;
        statements::insert_call_attempts(&transaction, settled_now()).await?;
        let webhooks = statements::queue_webhooks(&transaction, settled_now(), |account| {
            endpoints.get(&account).or(cache.endpoints(account))
        })
        .await?;

        let posted = |outcome: &DebitOutcome| matches!(outcome, DebitOutcome::Posted { .. });
        if outcomes.iter().any(posted) || settled.contains(&true) {
            transaction.commit().await?;
        } else {
            transaction.rollback().await?;
        }
        cache.learn(loaded, endpoints);
        for (account, wallet) in touched {
            cache.put(account, wallet.written());
        }
        Ok(Committed {
            debits: outcomes,
            settled,
            webhooks,
        })
    }
}

/// The wallets that the cache does not know, and those that by the cache hold too little: a command
/// may just have credited them.
fn doubtful_wallets(
    cache: &WalletCache,
    debits: &[Debit],
    settlements: &[Settlement],
) -> HashSet<AccountId> {
    let mut deciding = Deciding::new(debits, std::iter::empty(), |account| {
        cache.wallet(account).map(|wallet| (wallet, false))
    });
    let unknown = debits
        .iter()
        .map(|debit| debit.account_id)
        .chain(refunded(settlements))
        .filter(|account| cache.wallet(*account).is_none());
    let short = deciding.round().doubted;
    short.into_iter().chain(unknown).collect()
}

fn refunded(settlements: &[Settlement]) -> impl Iterator<Item = AccountId> {
    settlements
        .iter()
        .filter(|s| s.refund)
        .map(|s| s.account_id)
}

async fn load_endpoints(
    transaction: &DatabaseTransaction,
    cache: &WalletCache,
    settlements: &[Settlement],
) -> Result<HashMap<AccountId, Vec<EndpointId>>, StoreError> {
    let unknown: HashSet<AccountId> = settlements
        .iter()
        .filter(|s| s.webhook_body.is_some() && cache.endpoints(s.account_id).is_none())
        .map(|s| s.account_id)
        .collect();
    statements::load_endpoints(transaction, &unknown).await
}

/// Which of `settlements` found their delivery `sent`. Of two for one delivery the first counts.
async fn settle(
    transaction: &DatabaseTransaction,
    node: &NodeEpoch,
    settlements: &[Settlement],
) -> Result<Vec<bool>, StoreError> {
    let mut seen = HashSet::with_capacity(settlements.len());
    let first: Vec<bool> = settlements
        .iter()
        .map(|s| seen.insert(s.delivery_id))
        .collect();
    let firsts = settlements
        .iter()
        .zip(&first)
        .filter(|(_, f)| **f)
        .map(|(s, _)| s);
    let found = statements::settle_deliveries(transaction, node, firsts).await?;
    Ok(settlements
        .iter()
        .zip(first)
        .map(|(s, first)| first && found.contains(&s.delivery_id))
        .collect())
}

/// Decides round after round until every debit has its outcome.
async fn decide(
    transaction: &DatabaseTransaction,
    deciding: &mut Deciding<'_>,
) -> Result<(), Undone> {
    while deciding.undecided() {
        let round = deciding.round();
        if !round.doubted.is_empty() {
            return Err(Undone::Moved);
        }
        let lost = statements::claim_windows(transaction, deciding.debits(), &round.claims).await?;
        deciding.close_round(round, &lost);
    }
    Ok(())
}

/// Writes the touched wallets. Those that a command or another node moved are decided on again.
async fn write(
    transaction: &DatabaseTransaction,
    deciding: &mut Deciding<'_>,
) -> Result<(), Undone> {
    let touched = deciding.touched();
    let moved = statements::write_wallets(transaction, touched.into_iter()).await?;
    if moved.is_empty() {
        return Ok(());
    }
    let fresh = statements::lock_wallets(transaction, &moved).await?;
    if !deciding.rebase(&fresh) {
        return Err(Undone::Moved);
    }
    let mut again = deciding.touched();
    again.retain(|account, _| moved.contains(account));
    let moved = statements::write_wallets(transaction, again.into_iter()).await?;
    match moved.is_empty() {
        true => Ok(()),
        false => Err(Undone::Moved),
    }
}
