//! Writes a batch within a transaction, everything but the COMMIT.

use std::collections::{BTreeMap, HashMap};

use nexo_domain::billing::ledger::Parts;
use nexo_domain::ids::AccountId;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, SqlErr};

use super::batch::{Abort, Batch, Commission, WriteMode, ended, first_of_each, refunded};
use super::cache::{Wallet, WalletCache};
use super::decision::BatchDecision;
use super::records::{Debit, DebitOutcome, Settlement};
use super::{keys, statements, verifications};
use crate::store::StoreError;
use crate::store::phone_windows::cache::{Claim, PhoneWindowCache};
use crate::store::sql::bulk::Script;
use crate::store::webhooks::queue::ActiveEndpoint;

/// What a transaction reads besides its batch.
pub(super) struct Known<'k> {
    pub cache: &'k WalletCache,
    /// The wallets that were read in this transaction.
    pub wallets: &'k HashMap<AccountId, Wallet>,
    /// The active endpoints that were read in this transaction.
    pub endpoints: &'k HashMap<AccountId, Vec<ActiveEndpoint>>,
    /// The in-memory windows, if they are not in a table.
    pub windows: Option<&'k PhoneWindowCache>,
}

impl<'k> Known<'k> {
    /// Returns an account's wallet, and whether it was read in this transaction.
    fn wallet(&self, account: AccountId) -> Option<(Wallet, bool)> {
        match self.wallets.get(&account) {
            Some(wallet) => Some((*wallet, true)),
            None => self.cache.wallet(account).map(|wallet| (wallet, false)),
        }
    }

    /// Returns an account's active endpoints.
    fn endpoints(&self, account: AccountId) -> Option<&'k Vec<ActiveEndpoint>> {
        self.endpoints.get(&account).or(self.cache.endpoints(account))
    }

    /// Returns the commissions of the settlements whose accounts were referred.
    fn commissions(&self, ended: &[&Settlement]) -> Vec<Commission> {
        let is_referred =
            |account| self.wallet(account).is_some_and(|(wallet, _)| wallet.is_referred);
        let all = ended.iter().filter_map(|settlement| Commission::of(settlement));
        all.filter(|one| is_referred(one.account_id)).collect()
    }
}

/// What a transaction wrote.
pub(super) struct BatchResult {
    pub debits: Vec<DebitOutcome>,
    pub settled: Vec<bool>,
    pub webhooks: u64,
    pub answers: Vec<bool>,
    pub touched: BTreeMap<AccountId, Wallet>,
    /// Accounts whose referral has just ended.
    pub ended_referrals: Vec<AccountId>,
}

/// Writes the batch in its mode.
///
/// The order of the writes is the same in both modes: it is the order in which every node locks rows. An
/// optimistic write queues all statements and compares the number of written rows at the end. A stepwise write
/// executes and checks each step.
pub(super) async fn write(
    transaction: &DatabaseTransaction,
    batch: &Batch<'_>,
    known: &Known<'_>,
) -> Result<BatchResult, Abort> {
    let mode = batch.mode;
    let mut script = Script::default();
    let settled = match mode {
        WriteMode::Optimistic => first_of_each(batch.settlements),
        WriteMode::Stepwise => settle(transaction, batch).await?,
    };
    let ended = ended(batch.settlements, &settled);
    let mut decision = refund_and_decide(batch, &ended, known);
    match mode {
        WriteMode::Optimistic => {
            statements::push_settlements(&mut script, batch.node, &ended);
            decide_optimistically(&mut script, &mut decision, batch, &ended, known)?;
            statements::push_wallets(&mut script, &decision.touched());
        }
        WriteMode::Stepwise => {
            let closed = verifications::closed(transaction, batch.debits).await?;
            decision.reject(&closed, DebitOutcome::NotResendable);
            let taken = keys::taken(transaction, batch.debits).await?;
            decision.reject(&taken, DebitOutcome::KeyTaken);
            decide_stepwise(transaction, &mut decision, batch, &ended, known).await?;
            write_wallets(transaction, &mut decision).await?;
        }
    }
    push_records(&mut script, transaction, batch, &decision, &ended);
    if mode == WriteMode::Stepwise {
        let expected = script.len();
        if std::mem::take(&mut script).execute(transaction).await? != expected {
            return Err(StoreError::Fenced.into());
        }
    }
    let commissions = known.commissions(&ended);
    let (ended_referrals, answers) = match mode {
        WriteMode::Optimistic => {
            statements::push_commissions(&mut script, &commissions);
            let answers = keys::push(&mut script, batch, &decision, &ended);
            verifications::push(&mut script, &decision);
            (Vec::new(), answers)
        }
        WriteMode::Stepwise => {
            let ended_referrals = accrue(transaction, &commissions).await?;
            let answers = keys::write(transaction, batch, &decision, &ended).await?;
            verifications::write(transaction, &decision).await?;
            (ended_referrals, answers)
        }
    };
    let before = script.len();
    statements::push_webhooks(&mut script, &ended, |account| known.endpoints(account));
    let webhooks = match mode {
        WriteMode::Optimistic => execute_all(transaction, script).await? - before,
        WriteMode::Stepwise => script.execute(transaction).await?,
    };
    // In this order: one that becomes pending again may be canceled by another.
    verifications::take_back(transaction, &ended).await?;
    verifications::cancel_replaced(transaction, &decision).await?;
    Ok(BatchResult {
        answers,
        touched: decision.touched(),
        debits: decision.into_outcomes(),
        settled,
        webhooks,
        ended_referrals,
    })
}

/// Executes the script of an optimistic write. Returns the number of rows, all of which were written.
async fn execute_all(transaction: &DatabaseTransaction, script: Script) -> Result<u64, Abort> {
    let expected = script.len();
    match script.execute(transaction).await {
        Ok(written) if written == expected => Ok(written),
        Ok(_) => Err(Abort::OptimismFailed),
        // The rows that follow from an earlier settlement exist already.
        Err(error) if is_duplicate(&error) => Err(Abort::OptimismFailed),
        Err(error) => Err(error.into()),
    }
}

fn is_duplicate(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
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
    Ok(both.map(|(s, first)| first && found.contains(&s.delivery_id)).collect())
}

fn refund_and_decide<'d>(
    batch: &Batch<'d>,
    ended: &[&Settlement],
    known: &Known<'_>,
) -> BatchDecision<'d> {
    let wallets = |account| known.wallet(account);
    let mut decision = BatchDecision::new(batch.debits, refunded(batch.settlements), wallets);
    for settlement in ended.iter().filter(|s| s.refund) {
        decision.refund(settlement.account_id, settlement.parts);
    }
    decision
}

/// Decides in one round, assuming that all claims win.
fn decide_optimistically(
    script: &mut Script,
    decision: &mut BatchDecision<'_>,
    batch: &Batch<'_>,
    ended: &[&Settlement],
    known: &Known<'_>,
) -> Result<(), Abort> {
    if let Some(windows) = known.windows {
        decide_by_cache(decision, batch.debits, ended, windows)?;
        // The same request may hold the window; the stepwise write checks the key first.
        return match decision.has_keyed_window_conflict() {
            true => Err(Abort::Stale),
            false => Ok(()),
        };
    }
    statements::push_releases(script, ended);
    let round = decision.round();
    if !round.unverified.is_empty() {
        return Err(Abort::Stale);
    }
    statements::push_windows(script, batch.debits, &round.claims);
    decision.close_round(round, &HashMap::new());
    // A second debit for a phone of this batch waited for the first one's claim.
    let rest = decision.round();
    if !rest.claims.is_empty() || !rest.unverified.is_empty() {
        return Err(Abort::OptimismFailed);
    }
    decision.close_round(rest, &HashMap::new());
    Ok(())
}

/// Decides in rounds, each based on the windows won by the round before.
async fn decide_stepwise(
    transaction: &DatabaseTransaction,
    decision: &mut BatchDecision<'_>,
    batch: &Batch<'_>,
    ended: &[&Settlement],
    known: &Known<'_>,
) -> Result<(), Abort> {
    if let Some(windows) = known.windows {
        return decide_by_cache(decision, batch.debits, ended, windows);
    }
    let mut releases = Script::default();
    statements::push_releases(&mut releases, ended);
    releases.execute(transaction).await?;
    while decision.has_undecided() {
        let round = decision.round();
        if !round.unverified.is_empty() {
            return Err(Abort::Stale);
        }
        let lost = statements::claim_windows(transaction, batch.debits, &round.claims).await?;
        decision.close_round(round, &lost);
    }
    Ok(())
}

/// Decides all debits by the in-memory windows.
fn decide_by_cache(
    decision: &mut BatchDecision<'_>,
    debits: &[Debit],
    ended: &[&Settlement],
    windows: &PhoneWindowCache,
) -> Result<(), Abort> {
    let is_released =
        |delivery| ended.iter().any(|s| s.release_window && s.delivery_id == delivery);
    while decision.has_undecided() {
        let round = decision.round();
        if !round.unverified.is_empty() {
            return Err(Abort::Stale);
        }
        let claims = round.claims.iter().map(|index| (*index, claim(&debits[*index])));
        let lost = windows.lost(claims, is_released);
        decision.close_round(round, &lost);
    }
    Ok(())
}

/// Returns a debit's claim on the window of its phone.
pub(super) fn claim(debit: &Debit) -> Claim {
    Claim {
        window: (debit.test, debit.phone),
        delivery_id: debit.delivery_id,
        from_ms: debit.window_from_ms,
        until_ms: debit.window_until_ms,
    }
}

/// Queues the rows that follow from the decisions. Only the end of the epoch prevents them from being
/// written.
fn push_records(
    script: &mut Script,
    transaction: &DatabaseTransaction,
    batch: &Batch<'_>,
    decision: &BatchDecision<'_>,
    ended: &[&Settlement],
) {
    let posted: Vec<(&Debit, Parts)> =
        decision.posted().map(|(debit, parts, _)| (debit, parts)).collect();
    let backend = transaction.get_database_backend();
    statements::push_deliveries(script, backend, batch.node, &posted);
    statements::push_entries(script, &posted, ended);
    statements::push_call_attempts(script, ended);
}

/// Writes the changed wallets. Recomputes those that another process changed.
async fn write_wallets(
    transaction: &DatabaseTransaction,
    decision: &mut BatchDecision<'_>,
) -> Result<(), Abort> {
    let moved = statements::write_wallets(transaction, &decision.touched()).await?;
    if moved.is_empty() {
        return Ok(());
    }
    let fresh = statements::lock_wallets(transaction, &moved).await?;
    if !decision.rebase(&fresh) {
        return Err(Abort::Stale);
    }
    let mut again = decision.touched();
    again.retain(|account, _| moved.contains(account));
    match statements::write_wallets(transaction, &again).await?.is_empty() {
        true => Ok(()),
        false => Err(Abort::Stale),
    }
}

/// Writes commissions. If a referral ended since it was cached, returns the accounts of all commissions.
async fn accrue(
    transaction: &DatabaseTransaction,
    commissions: &[Commission],
) -> Result<Vec<AccountId>, StoreError> {
    let mut script = Script::default();
    statements::push_commissions(&mut script, commissions);
    let expected = script.len();
    match script.execute(transaction).await? == expected {
        true => Ok(Vec::new()),
        false => Ok(commissions.iter().map(|one| one.account_id).collect()),
    }
}
