//! The hot path: many waiting debits and settlements in one transaction.
//!
//! | step | statement | read |
//! |---|---|---|
//! | 1 | wallets not in the cache, or short by it, are loaded | only then |
//! | 2 | `sent` deliveries of this epoch take their terminal state | no |
//! | 3 | phone windows are given back, then claimed; the losers drop out | only for losers |
//! | 4 | each touched wallet is written once, if its version is the known one | only for those moved |
//! | 5 | deliveries, entries, call attempts, webhook attempts | no |
//! | 6 | commissions, where an account that was referred has a delivered OTP | no |
//! | 7 | answers kept under idempotency keys, where requests carry them | only for losers |
//!
//! What is decided in between is pure ([`BatchDecision`]). Steps 2 to 7 go at once, in the hope that no delivery
//! was settled before, no window or key is lost and no wallet moved, as is so when this node's actors are the
//! only writers. Where the count of written rows says otherwise, all is undone and done step by step: there it
//! turns out whether our epoch is over, by which nothing is written. There, too, a
//! wallet whose version moved, since a command or another node wrote it, is read again and charged with the
//! same debits; where those do not fit any more, the batch is decided from the start. The cache learns of
//! anything only after COMMIT. On SQLite step 3 is a look into memory ([`PhoneWindowCache`]).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use nexo_domain::billing::ledger::Parts;
use nexo_domain::billing::referral::commission;
use nexo_domain::call::outcome::Status;
use nexo_domain::ids::{AccountId, DeliveryId, EndpointId};
use nexo_domain::money::Micros;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, SqlErr};

mod cache;
mod deciding;
mod keys;
mod records;
mod sql;
mod statements;

pub use cache::WalletCache;
pub use records::{
    CallAttempt, CallQuality, Committed, Debit, DebitOutcome, IdempotencyWrite, NodeEpoch, Settlement,
};

use crate::store::phone_windows::cache::PhoneWindowCache;
use crate::store::sql::bulk::Script;
use crate::store::StoreError;
use crate::store::views::Ledger;
use cache::Wallet;
use deciding::BatchDecision;

/// How often a batch is decided again after conflicts with other writers.
const MAX_ROUNDS: usize = 8;
/// Time limit of a batch that no client waits for.
const DEFAULT_BATCH_TIMEOUT: Duration = Duration::from_secs(60);

/// One transaction's work.
struct Batch<'a> {
    node: &'a NodeEpoch,
    debits: &'a [Debit],
    settlements: &'a [Settlement],
    keep: &'a [IdempotencyWrite],
    /// By when everything but the COMMIT must be written.
    deadline: Instant,
    pace: WriteMode,
}

/// Why a transaction was abandoned.
enum Abort {
    /// A window or key was lost, or a wallet changed, in an optimistic write.
    OptimismFailed,
    /// A wallet differs from the cache, or a key was taken a moment ago.
    Stale,
    Failed(StoreError),
}

impl<E: Into<StoreError>> From<E> for Abort {
    fn from(error: E) -> Self {
        Abort::Failed(error.into())
    }
}

/// How a transaction writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum WriteMode {
    /// Everything at once, assuming that no window is lost and no wallet changed. On failure the
    /// transaction is rolled back and retried stepwise.
    Optimistic,
    /// Windows, then wallets, then the rest, each checked.
    Stepwise,
}

impl Ledger<'_> {
    /// Commits debits and settlements in one transaction. A debit that cannot be posted fails
    /// alone.
    ///
    /// The delivery ids of debits must be new. After [`StoreError::InDoubt`] the batch may have
    /// been committed: then its deliveries are `sent` and wait to be settled. After any other error
    /// nothing was written.
    ///
    /// # Errors
    /// [`StoreError::Contended`] if other writers kept winning; [`StoreError::Fenced`] if there are
    /// debits and `node`'s epoch has ended.
    pub async fn commit(
        self,
        cache: &mut WalletCache,
        node: &NodeEpoch,
        debits: &[Debit],
        settlements: &[Settlement],
    ) -> Result<Committed, StoreError> {
        self.commit_within(DEFAULT_BATCH_TIMEOUT, cache, node, (debits, settlements, &[]))
            .await
    }

    /// Like [`Ledger::commit`], with writes of idempotent answers, and abandoned if the COMMIT is
    /// not reached within the time `within`.
    ///
    /// # Errors
    /// As [`Ledger::commit`]; [`StoreError::Timeout`], and nothing was written.
    pub async fn commit_within(
        self,
        within: Duration,
        cache: &mut WalletCache,
        node: &NodeEpoch,
        (debits, settlements, keep): (&[Debit], &[Settlement], &[IdempotencyWrite]),
    ) -> Result<Committed, StoreError> {
        let mut batch = Batch {
            node,
            debits,
            settlements,
            keep,
            deadline: Instant::now() + within,
            pace: cache.pace(),
        };
        for _ in 0..MAX_ROUNDS {
            match self.try_commit(cache, &batch).await {
                Ok(committed) => return Ok(committed),
                Err(Abort::OptimismFailed) => cache.expect_conflicts(),
                Err(Abort::Stale) => cache.invalidate_touched(debits, settlements),
                Err(Abort::Failed(error)) => {
                    cache.invalidate_touched(debits, settlements);
                    if !error.is_serialization_failure() {
                        return self.store.check_write(Err(error));
                    }
                }
            }
            batch.pace = WriteMode::Stepwise;
        }
        Err(StoreError::Contended)
    }

    async fn try_commit(
        self,
        cache: &mut WalletCache,
        batch: &Batch<'_>,
    ) -> Result<Committed, Abort> {
        let written = self.write_batch(cache, batch);
        let written = tokio::time::timeout_at(batch.deadline.into(), written).await;
        let Written {
            transaction,
            loaded,
            endpoints,
            done,
        } = written.map_err(|_| StoreError::Timeout)??;
        let posted = |outcome: &DebitOutcome| matches!(outcome, DebitOutcome::Posted { .. });
        let changes = [&done.settled, &done.kept];
        if done.debits.iter().any(posted) || changes.iter().any(|done| done.contains(&true)) {
            let entered = self.store.windows.as_deref().map(|book| {
                let debits = batch.debits.iter().zip(&done.debits);
                let new = debits.filter(|(_, outcome)| posted(outcome));
                book.write(
                    new.map(|(debit, _)| debit),
                    &ended(batch.settlements, &done.settled),
                )
            });
            self.store.commit(transaction).await?;
            if let Some(entered) = entered {
                entered.keep();
            }
        } else {
            transaction.rollback().await?;
        }
        cache.learn(loaded, endpoints);
        for (account, wallet) in done.touched {
            cache.put(account, wallet.written());
        }
        for account in done.unreferred {
            cache.invalidate_wallet(account);
        }
        Ok(Committed {
            debits: done.debits,
            settled: done.settled,
            webhooks: done.webhooks,
            kept: done.kept,
        })
    }

    /// Writes everything but the COMMIT.
    async fn write_batch(self, cache: &WalletCache, batch: &Batch<'_>) -> Result<Written, Abort> {
        let doubtful = unverified_wallets(cache, batch.debits, batch.settlements);
        let transaction = self.store.begin().await?;
        let book = self.read_book(&transaction, batch.debits).await?;
        let loaded = statements::load_wallets(&transaction, &doubtful).await?;
        let endpoints = load_endpoints(&transaction, cache, batch.settlements).await?;
        let known = Known {
            wallets: |account| match loaded.get(&account) {
                Some(wallet) => Some((*wallet, true)),
                None => cache.wallet(account).map(|wallet| (wallet, false)),
            },
            endpoints: |account| endpoints.get(&account).or(cache.endpoints(account)),
            book,
        };
        let done = match batch.pace {
            WriteMode::Optimistic => write_boldly(&transaction, batch, &known).await?,
            WriteMode::Stepwise => write(&transaction, batch, &known).await?,
        };
        Ok(Written {
            transaction,
            loaded,
            endpoints,
            done,
        })
    }

    /// Returns the in-memory windows, if they are used, and loads them from the deliveries on first
    /// use.
    async fn read_book(
        self,
        transaction: &DatabaseTransaction,
        debits: &[Debit],
    ) -> Result<Option<&PhoneWindowCache>, StoreError> {
        let Some(book) = self.store.windows.as_deref() else {
            return Ok(None);
        };
        let earliest_ms = debits.iter().map(|debit| debit.created_at_ms).min();
        if let (false, Some(now_ms)) = (book.is_read(), earliest_ms) {
            book.read(self.store.phone_windows().open_windows_on(transaction, now_ms).await?);
        }
        Ok(Some(book))
    }
}

/// A batch that only lacks its COMMIT.
struct Written {
    transaction: DatabaseTransaction,
    loaded: HashMap<AccountId, Wallet>,
    endpoints: HashMap<AccountId, Vec<EndpointId>>,
    done: Done,
}

/// What a transaction reads besides its batch.
struct Known<'k, W, E> {
    /// An account's wallet, and whether it was read in this transaction.
    wallets: W,
    /// An account's active endpoints.
    endpoints: E,
    /// The in-memory windows, if they are not in a table.
    book: Option<&'k PhoneWindowCache>,
}

/// What a transaction wrote.
struct Done {
    debits: Vec<DebitOutcome>,
    settled: Vec<bool>,
    webhooks: u64,
    kept: Vec<bool>,
    touched: BTreeMap<AccountId, Wallet>,
    /// Accounts whose referral has just ended.
    unreferred: Vec<AccountId>,
}

impl Done {
    fn of(deciding: BatchDecision<'_>, settled: Vec<bool>, webhooks: u64, kept: Vec<bool>) -> Done {
        Done {
            kept,
            touched: deciding.touched(),
            debits: deciding.into_outcomes(),
            settled,
            webhooks,
            unreferred: Vec::new(),
        }
    }
}

/// The commission that one delivered OTP earns for the referrer of its account.
struct Commission {
    account_id: AccountId,
    delivery_id: DeliveryId,
    amount: Micros,
    at_ms: i64,
}

/// Returns the settlements that took effect.
fn ended<'s>(settlements: &'s [Settlement], settled: &[bool]) -> Vec<&'s Settlement> {
    let both = settlements.iter().zip(settled);
    both.filter(|(_, settled)| **settled)
        .map(|(settlement, _)| settlement)
        .collect()
}

/// Marks the first settlement of each delivery; the others have no effect.
fn first_of_each(settlements: &[Settlement]) -> Vec<bool> {
    let mut seen = HashSet::with_capacity(settlements.len());
    settlements
        .iter()
        .map(|s| seen.insert(s.delivery_id))
        .collect()
}

/// Returns the wallets that are not cached and those that are short by the cache: they may have
/// been credited since.
fn unverified_wallets(
    cache: &WalletCache,
    debits: &[Debit],
    settlements: &[Settlement],
) -> HashSet<AccountId> {
    let mut deciding = BatchDecision::new(debits, std::iter::empty(), |account| {
        cache.wallet(account).map(|wallet| (wallet, false))
    });
    let unknown = debits
        .iter()
        .map(|debit| debit.account_id)
        .chain(refunded(settlements))
        .chain(
            settlements
                .iter()
                .filter_map(earning)
                .map(|one| one.account_id),
        )
        .filter(|account| cache.wallet(*account).is_none());
    let short = deciding.round().unverified;
    short.into_iter().chain(unknown).collect()
}

/// Returns what a settlement earns if its account was referred.
fn earning(settlement: &Settlement) -> Option<Commission> {
    let amount = commission(settlement.parts.total());
    (settlement.status == Status::Delivered && amount > Micros::ZERO).then_some(Commission {
        account_id: settlement.account_id,
        delivery_id: settlement.delivery_id,
        amount,
        at_ms: settlement.completed_at_ms,
    })
}

/// Returns the commissions of the settlements whose accounts were referred.
fn earned(
    ended: &[&Settlement],
    wallets: impl Fn(AccountId) -> Option<(Wallet, bool)>,
) -> Vec<Commission> {
    let referred = |account| wallets(account).is_some_and(|(wallet, _)| wallet.referred);
    let all = ended.iter().filter_map(|settlement| earning(settlement));
    all.filter(|one| referred(one.account_id)).collect()
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
        .filter(|s| s.event.is_some() && cache.endpoints(s.account_id).is_none())
        .map(|s| s.account_id)
        .collect();
    statements::load_endpoints(transaction, &unknown).await
}

/// Decides in one round and writes everything at once; compares the row count to detect conflicts.
async fn write_boldly<'e>(
    transaction: &DatabaseTransaction,
    batch: &Batch<'_>,
    known: &Known<
        '_,
        impl Fn(AccountId) -> Option<(Wallet, bool)>,
        impl Fn(AccountId) -> Option<&'e Vec<EndpointId>>,
    >,
) -> Result<Done, Abort> {
    let settled = first_of_each(batch.settlements);
    let ended = ended(batch.settlements, &settled);
    let mut script = Script::default();
    statements::push_settlements(&mut script, batch.node, &ended);
    let mut deciding = refund_and_decide(batch, &ended, &known.wallets);
    match known.book {
        Some(book) => {
            decide_by_book(&mut deciding, batch.debits, &ended, book)?;
            // The same request may hold the window; the stepwise write checks the key first.
            if deciding.has_keyed_window_conflict() {
                return Err(Abort::Stale);
            }
        }
        None => {
            statements::push_releases(&mut script, &ended);
            let round = deciding.round();
            if !round.unverified.is_empty() {
                return Err(Abort::Stale);
            }
            statements::push_windows(&mut script, batch.debits, &round.claims);
            deciding.close_round(round, &HashMap::new());
            // A second debit for a phone of this batch waited for the first one's claim.
            let rest = deciding.round();
            if !rest.claims.is_empty() || !rest.unverified.is_empty() {
                return Err(Abort::OptimismFailed);
            }
            deciding.close_round(rest, &HashMap::new());
        }
    }
    statements::push_wallets(&mut script, &deciding.touched());
    push_records(&mut script, transaction, batch, &deciding, &ended);
    statements::push_commissions(&mut script, &earned(&ended, &known.wallets));
    let kept = keys::push(&mut script, batch, &deciding, &ended);
    let before = script.len();
    statements::push_webhooks(&mut script, &ended, &known.endpoints);
    let expected = script.len();
    match script.execute(transaction).await {
        Ok(written) if written == expected => {
            Ok(Done::of(deciding, settled, expected - before, kept))
        }
        Ok(_) => Err(Abort::OptimismFailed),
        // The rows that follow from an earlier settlement exist already.
        Err(error) if is_duplicate(&error) => Err(Abort::OptimismFailed),
        Err(error) => Err(error.into()),
    }
}

fn is_duplicate(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

/// Decides in rounds, each based on the windows won by the round before.
async fn write<'e>(
    transaction: &DatabaseTransaction,
    batch: &Batch<'_>,
    known: &Known<
        '_,
        impl Fn(AccountId) -> Option<(Wallet, bool)>,
        impl Fn(AccountId) -> Option<&'e Vec<EndpointId>>,
    >,
) -> Result<Done, Abort> {
    let settled = settle(transaction, batch).await?;
    let ended = ended(batch.settlements, &settled);
    let mut deciding = refund_and_decide(batch, &ended, &known.wallets);
    deciding.reject(&keys::taken(transaction, batch.debits).await?);
    match known.book {
        Some(book) => decide_by_book(&mut deciding, batch.debits, &ended, book)?,
        None => {
            let mut releases = Script::default();
            statements::push_releases(&mut releases, &ended);
            releases.execute(transaction).await?;
            while deciding.has_undecided() {
                let round = deciding.round();
                if !round.unverified.is_empty() {
                    return Err(Abort::Stale);
                }
                let lost =
                    statements::claim_windows(transaction, batch.debits, &round.claims).await?;
                deciding.close_round(round, &lost);
            }
        }
    }
    write_wallets(transaction, &mut deciding).await?;
    let mut script = Script::default();
    push_records(&mut script, transaction, batch, &deciding, &ended);
    let expected = script.len();
    if script.execute(transaction).await? != expected {
        return Err(StoreError::Fenced.into());
    }
    let unreferred = accrue(transaction, &earned(&ended, &known.wallets)).await?;
    let kept = keys::write(transaction, batch, &deciding, &ended).await?;
    let mut webhooks = Script::default();
    statements::push_webhooks(&mut webhooks, &ended, &known.endpoints);
    let queued = webhooks.execute(transaction).await?;
    Ok(Done {
        unreferred,
        ..Done::of(deciding, settled, queued, kept)
    })
}

/// Writes commissions. If a referral ended since it was cached, returns the accounts of all
/// commissions.
async fn accrue(
    transaction: &DatabaseTransaction,
    earned: &[Commission],
) -> Result<Vec<AccountId>, StoreError> {
    let mut script = Script::default();
    statements::push_commissions(&mut script, earned);
    let expected = script.len();
    match script.execute(transaction).await? == expected {
        true => Ok(Vec::new()),
        false => Ok(earned.iter().map(|one| one.account_id).collect()),
    }
}

/// Returns which settlements found their delivery `sent`.
async fn settle(
    transaction: &DatabaseTransaction,
    batch: &Batch<'_>,
) -> Result<Vec<bool>, StoreError> {
    let first = first_of_each(batch.settlements);
    let firsts = ended(batch.settlements, &first);
    let found = statements::settle_deliveries(transaction, batch.node, &firsts).await?;
    let both = batch.settlements.iter().zip(first);
    Ok(both
        .map(|(s, first)| first && found.contains(&s.delivery_id))
        .collect())
}

fn refund_and_decide<'d>(
    batch: &Batch<'d>,
    ended: &[&Settlement],
    wallets: impl Fn(AccountId) -> Option<(Wallet, bool)>,
) -> BatchDecision<'d> {
    let mut deciding = BatchDecision::new(batch.debits, refunded(batch.settlements), wallets);
    for settlement in ended.iter().filter(|s| s.refund) {
        deciding.refund(settlement.account_id, settlement.parts);
    }
    deciding
}

/// Decides all debits by the in-memory windows.
fn decide_by_book(
    deciding: &mut BatchDecision<'_>,
    debits: &[Debit],
    ended: &[&Settlement],
    book: &PhoneWindowCache,
) -> Result<(), Abort> {
    while deciding.has_undecided() {
        let round = deciding.round();
        if !round.unverified.is_empty() {
            return Err(Abort::Stale);
        }
        let lost = book.lost(debits, &round.claims, ended);
        deciding.close_round(round, &lost);
    }
    Ok(())
}

/// Queues the rows that follow from the decisions. Only the end of the epoch prevents them from
/// being written.
fn push_records(
    script: &mut Script,
    transaction: &DatabaseTransaction,
    batch: &Batch<'_>,
    deciding: &BatchDecision<'_>,
    ended: &[&Settlement],
) {
    let posted: Vec<(&Debit, Parts)> = deciding
        .posted()
        .map(|(debit, parts, _)| (debit, parts))
        .collect();
    let backend = transaction.get_database_backend();
    statements::push_deliveries(script, backend, batch.node, &posted);
    statements::push_entries(script, &posted, ended);
    statements::push_call_attempts(script, ended);
}

/// Writes the changed wallets. Recomputes those that another process changed.
async fn write_wallets(
    transaction: &DatabaseTransaction,
    deciding: &mut BatchDecision<'_>,
) -> Result<(), Abort> {
    let moved = statements::write_wallets(transaction, &deciding.touched()).await?;
    if moved.is_empty() {
        return Ok(());
    }
    let fresh = statements::lock_wallets(transaction, &moved).await?;
    if !deciding.rebase(&fresh) {
        return Err(Abort::Stale);
    }
    let mut again = deciding.touched();
    again.retain(|account, _| moved.contains(account));
    match statements::write_wallets(transaction, &again)
        .await?
        .is_empty()
    {
        true => Ok(()),
        false => Err(Abort::Stale),
    }
}
