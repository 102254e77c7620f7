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
//! What is decided in between is pure ([`Deciding`]). Steps 2 to 7 go at once, in the hope that no delivery
//! was settled before, no window or key is lost and no wallet moved, as is so when this node's actors are the
//! only writers. Where the count of written rows says otherwise, all is undone and done step by step: there it
//! turns out whether our epoch is over, by which nothing is written. There, too, a
//! wallet whose version moved, since a command or another node wrote it, is read again and charged with the
//! same debits; where those do not fit any more, the batch is decided from the start. The cache learns of
//! anything only after COMMIT. On SQLite step 3 is a look into memory ([`WindowBook`]).

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
    CallAttempt, CallQuality, Committed, Debit, DebitOutcome, Keep, NodeEpoch, Settlement,
};

use crate::store::phone_windows::cache::WindowBook;
use crate::store::sql::bulk::Script;
use crate::store::{Store, StoreError};
use cache::Wallet;
use deciding::Deciding;

/// How often one batch is decided again because other writers were faster.
const MAX_ROUNDS: usize = 8;
/// How long a batch may take that nobody waits for.
const PATIENTLY: Duration = Duration::from_secs(60);

/// One transaction's work.
struct Batch<'a> {
    node: &'a NodeEpoch,
    debits: &'a [Debit],
    settlements: &'a [Settlement],
    keep: &'a [Keep],
    /// Until then everything is to be written but its COMMIT.
    give_up: Instant,
    pace: Pace,
}

/// Why a transaction did not come to its end.
enum Undone {
    /// A window or a key was lost, or a wallet moved, where that was not expected.
    TooBold,
    /// A wallet is not what the cache said, or a key was taken a moment ago.
    Moved,
    Failed(StoreError),
}

impl<E: Into<StoreError>> From<E> for Undone {
    fn from(error: E) -> Self {
        Undone::Failed(error.into())
    }
}

/// How a transaction goes about its writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pace {
    /// All at once, in the hope that no window is lost and no wallet moved. When one is, everything is
    /// undone and tried step by step.
    Bold,
    /// The windows, then the wallets, then the rest.
    StepByStep,
}

impl Store {
    /// Commits debits and settlements in one transaction. A debit that cannot be posted fails alone.
    ///
    /// Delivery ids of debits must be new. After [`StoreError::InDoubt`] the caller cannot know whether the
    /// batch was committed: what was is `sent`, and waits to be settled. After any other error nothing was.
    ///
    /// # Errors
    /// [`StoreError::Contended`] when other writers kept winning, [`StoreError::Fenced`] when there are debits
    /// and `node`'s epoch is over; what else the database fails with.
    pub async fn commit(
        &self,
        cache: &mut WalletCache,
        node: &NodeEpoch,
        debits: &[Debit],
        settlements: &[Settlement],
    ) -> Result<Committed, StoreError> {
        self.commit_within(PATIENTLY, cache, node, (debits, settlements, &[]))
            .await
    }

    /// [`Store::commit`], with what is to be kept under idempotency keys beside the debits. A database that
    /// has not come as far as the COMMIT `within` this time is given up.
    ///
    /// # Errors
    /// As [`Store::commit`]; [`StoreError::Slow`], and nothing was written.
    pub async fn commit_within(
        &self,
        within: Duration,
        cache: &mut WalletCache,
        node: &NodeEpoch,
        (debits, settlements, keep): (&[Debit], &[Settlement], &[Keep]),
    ) -> Result<Committed, StoreError> {
        let mut batch = Batch {
            node,
            debits,
            settlements,
            keep,
            give_up: Instant::now() + within,
            pace: cache.pace(),
        };
        for _ in 0..MAX_ROUNDS {
            match self.try_commit(cache, &batch).await {
                Ok(committed) => return Ok(committed),
                Err(Undone::TooBold) => cache.expect_others(),
                Err(Undone::Moved) => cache.forget_touched(debits, settlements),
                Err(Undone::Failed(error)) => {
                    cache.forget_touched(debits, settlements);
                    if !error.lost_to_another() {
                        return self.noted(Err(error));
                    }
                }
            }
            batch.pace = Pace::StepByStep;
        }
        Err(StoreError::Contended)
    }

    async fn try_commit(
        &self,
        cache: &mut WalletCache,
        batch: &Batch<'_>,
    ) -> Result<Committed, Undone> {
        let written = self.write_batch(cache, batch);
        let written = tokio::time::timeout_at(batch.give_up.into(), written).await;
        let Written {
            transaction,
            loaded,
            endpoints,
            done,
        } = written.map_err(|_| StoreError::Slow)??;
        let posted = |outcome: &DebitOutcome| matches!(outcome, DebitOutcome::Posted { .. });
        let changes = [&done.settled, &done.kept];
        if done.debits.iter().any(posted) || changes.iter().any(|done| done.contains(&true)) {
            let entered = self.book.as_deref().map(|book| {
                let debits = batch.debits.iter().zip(&done.debits);
                let new = debits.filter(|(_, outcome)| posted(outcome));
                book.write(
                    new.map(|(debit, _)| debit),
                    &ended(batch.settlements, &done.settled),
                )
            });
            self.end(transaction).await?;
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
            cache.forget_wallet(account);
        }
        Ok(Committed {
            debits: done.debits,
            settled: done.settled,
            webhooks: done.webhooks,
            kept: done.kept,
        })
    }

    /// Everything but the COMMIT.
    async fn write_batch(&self, cache: &WalletCache, batch: &Batch<'_>) -> Result<Written, Undone> {
        let doubtful = doubtful_wallets(cache, batch.debits, batch.settlements);
        let transaction = self.begin().await?;
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
            Pace::Bold => write_boldly(&transaction, batch, &known).await?,
            Pace::StepByStep => write(&transaction, batch, &known).await?,
        };
        Ok(Written {
            transaction,
            loaded,
            endpoints,
            done,
        })
    }

    /// The book of windows, where there is one and it is asked for. Read from the deliveries first,
    /// if it was not before.
    async fn read_book(
        &self,
        transaction: &DatabaseTransaction,
        debits: &[Debit],
    ) -> Result<Option<&WindowBook>, StoreError> {
        let Some(book) = self.book.as_deref() else {
            return Ok(None);
        };
        let earliest_ms = debits.iter().map(|debit| debit.created_at_ms).min();
        if let (false, Some(now_ms)) = (book.is_read(), earliest_ms) {
            book.read(&self.open_windows_on(transaction, now_ms).await?);
        }
        Ok(Some(book))
    }
}

/// A batch that lacks its COMMIT only.
struct Written {
    transaction: DatabaseTransaction,
    loaded: HashMap<AccountId, Wallet>,
    endpoints: HashMap<AccountId, Vec<EndpointId>>,
    done: Done,
}

/// What a transaction goes by beside its batch.
struct Known<'k, W, E> {
    /// An account's wallet, and whether it was read in this transaction.
    wallets: W,
    /// An account's active endpoints.
    endpoints: E,
    /// The windows, where they are not in a table.
    book: Option<&'k WindowBook>,
}

/// What a transaction wrote.
struct Done {
    debits: Vec<DebitOutcome>,
    settled: Vec<bool>,
    webhooks: u64,
    kept: Vec<bool>,
    touched: BTreeMap<AccountId, Wallet>,
    /// Accounts by which somebody earned until a moment ago.
    unreferred: Vec<AccountId>,
}

impl Done {
    fn of(deciding: Deciding<'_>, settled: Vec<bool>, webhooks: u64, kept: Vec<bool>) -> Done {
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

/// What one delivered OTP earns for whoever brought its account.
struct Earned {
    account_id: AccountId,
    delivery_id: DeliveryId,
    amount: Micros,
    at_ms: i64,
}

/// The settlements that took effect.
fn ended<'s>(settlements: &'s [Settlement], settled: &[bool]) -> Vec<&'s Settlement> {
    let both = settlements.iter().zip(settled);
    both.filter(|(_, settled)| **settled)
        .map(|(settlement, _)| settlement)
        .collect()
}

/// Of several settlements for one delivery only the first counts.
fn first_of_each(settlements: &[Settlement]) -> Vec<bool> {
    let mut seen = HashSet::with_capacity(settlements.len());
    settlements
        .iter()
        .map(|s| seen.insert(s.delivery_id))
        .collect()
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
        .chain(
            settlements
                .iter()
                .filter_map(earning)
                .map(|one| one.account_id),
        )
        .filter(|account| cache.wallet(*account).is_none());
    let short = deciding.round().doubted;
    short.into_iter().chain(unknown).collect()
}

/// What a settlement would earn, were its account referred.
fn earning(settlement: &Settlement) -> Option<Earned> {
    let amount = commission(settlement.parts.total());
    (settlement.status == Status::Delivered && amount > Micros::ZERO).then_some(Earned {
        account_id: settlement.account_id,
        delivery_id: settlement.delivery_id,
        amount,
        at_ms: settlement.completed_at_ms,
    })
}

/// What these ends earn, as far as the wallets say whose account was referred.
fn earned(
    ended: &[&Settlement],
    wallets: impl Fn(AccountId) -> Option<(Wallet, bool)>,
) -> Vec<Earned> {
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

/// Decides in one round and writes everything at once; counts the rows to see whether it held.
async fn write_boldly<'e>(
    transaction: &DatabaseTransaction,
    batch: &Batch<'_>,
    known: &Known<
        '_,
        impl Fn(AccountId) -> Option<(Wallet, bool)>,
        impl Fn(AccountId) -> Option<&'e Vec<EndpointId>>,
    >,
) -> Result<Done, Undone> {
    let settled = first_of_each(batch.settlements);
    let ended = ended(batch.settlements, &settled);
    let mut script = Script::default();
    statements::push_settlements(&mut script, batch.node, &ended);
    let mut deciding = refund_and_decide(batch, &ended, &known.wallets);
    match known.book {
        Some(book) => {
            decide_by_book(&mut deciding, batch.debits, &ended, book)?;
            // The window may be closed by the same request: its key says so, and is looked at first then.
            if deciding.has_keyed_late() {
                return Err(Undone::Moved);
            }
        }
        None => {
            statements::push_releases(&mut script, &ended);
            let round = deciding.round();
            if !round.doubted.is_empty() {
                return Err(Undone::Moved);
            }
            statements::push_windows(&mut script, batch.debits, &round.claims);
            deciding.close_round(round, &HashMap::new());
            // A second debit for a phone of this very batch has waited for the first one's claim.
            let rest = deciding.round();
            if !rest.claims.is_empty() || !rest.doubted.is_empty() {
                return Err(Undone::TooBold);
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
        Ok(_) => Err(Undone::TooBold),
        // What follows a settlement that was written before is there already.
        Err(error) if is_duplicate(&error) => Err(Undone::TooBold),
        Err(error) => Err(error.into()),
    }
}

fn is_duplicate(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

/// Decides round after round, each on the windows that the one before has won.
async fn write<'e>(
    transaction: &DatabaseTransaction,
    batch: &Batch<'_>,
    known: &Known<
        '_,
        impl Fn(AccountId) -> Option<(Wallet, bool)>,
        impl Fn(AccountId) -> Option<&'e Vec<EndpointId>>,
    >,
) -> Result<Done, Undone> {
    let settled = settle(transaction, batch).await?;
    let ended = ended(batch.settlements, &settled);
    let mut deciding = refund_and_decide(batch, &ended, &known.wallets);
    deciding.take_out(&keys::taken(transaction, batch.debits).await?);
    match known.book {
        Some(book) => decide_by_book(&mut deciding, batch.debits, &ended, book)?,
        None => {
            let mut releases = Script::default();
            statements::push_releases(&mut releases, &ended);
            releases.execute(transaction).await?;
            while deciding.undecided() {
                let round = deciding.round();
                if !round.doubted.is_empty() {
                    return Err(Undone::Moved);
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

/// Writes commissions. Where a referral has ended since the cache learnt of it, returns the accounts of all.
async fn accrue(
    transaction: &DatabaseTransaction,
    earned: &[Earned],
) -> Result<Vec<AccountId>, StoreError> {
    let mut script = Script::default();
    statements::push_commissions(&mut script, earned);
    let expected = script.len();
    match script.execute(transaction).await? == expected {
        true => Ok(Vec::new()),
        false => Ok(earned.iter().map(|one| one.account_id).collect()),
    }
}

/// Which of the settlements found their delivery `sent`.
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
) -> Deciding<'d> {
    let mut deciding = Deciding::new(batch.debits, refunded(batch.settlements), wallets);
    for settlement in ended.iter().filter(|s| s.refund) {
        deciding.refund(settlement.account_id, settlement.parts);
    }
    deciding
}

/// Decides all debits, the windows being known.
fn decide_by_book(
    deciding: &mut Deciding<'_>,
    debits: &[Debit],
    ended: &[&Settlement],
    book: &WindowBook,
) -> Result<(), Undone> {
    while deciding.undecided() {
        let round = deciding.round();
        if !round.doubted.is_empty() {
            return Err(Undone::Moved);
        }
        let lost = book.lost(debits, &round.claims, ended);
        deciding.close_round(round, &lost);
    }
    Ok(())
}

/// What follows from the decisions. Nothing but the end of our epoch keeps a row from being written.
fn push_records(
    script: &mut Script,
    transaction: &DatabaseTransaction,
    batch: &Batch<'_>,
    deciding: &Deciding<'_>,
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

/// Writes the touched wallets. Those that a command or another node moved are decided on again.
async fn write_wallets(
    transaction: &DatabaseTransaction,
    deciding: &mut Deciding<'_>,
) -> Result<(), Undone> {
    let moved = statements::write_wallets(transaction, &deciding.touched()).await?;
    if moved.is_empty() {
        return Ok(());
    }
    let fresh = statements::lock_wallets(transaction, &moved).await?;
    if !deciding.rebase(&fresh) {
        return Err(Undone::Moved);
    }
    let mut again = deciding.touched();
    again.retain(|account, _| moved.contains(account));
    match statements::write_wallets(transaction, &again)
        .await?
        .is_empty()
    {
        true => Ok(()),
        false => Err(Undone::Moved),
    }
}
