//! Fills the statements of a batch with its rows.

use std::collections::{BTreeMap, HashMap, HashSet};

use nexo_domain::billing::ledger::{EntryKind, Parts};
use nexo_domain::call::steps;
use nexo_domain::customer_fields::{CustomerFields, Metadata, Reference};
use nexo_domain::ids::{AccountId, DeliveryId};
use nexo_domain::webhook::events::EventType;
use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, Value};
use uuid::Uuid;

use super::batch::Commission;
use super::cache::Wallet;
use super::records::{Debit, NodeEpoch, Settlement};
use super::sql::{
    ADD_PENDING, CLAIM_WINDOWS, INSERT_CALL_ATTEMPTS, INSERT_COMMISSIONS, INSERT_DELIVERIES,
    INSERT_DELIVERIES_FENCED, INSERT_ENTRIES, LOAD_WALLETS, LOCK_WALLETS, READ_WINDOWS,
    RELEASE_WINDOWS, SETTLE, SETTLE_RETURNING, WRITE_WALLETS,
};
use crate::store::StoreError;
use crate::store::sql::bulk::{Bulk, NULL_INT, Rows, Script};
use crate::store::sql::record::realm;
use crate::store::sql::rows::Columns;
use crate::store::webhooks::queue::{ActiveEndpoint, QUEUE_WEBHOOKS};

/// Reads the wallets of `accounts`. They may change before the transaction ends.
pub(super) async fn load_wallets(
    transaction: &DatabaseTransaction,
    accounts: &HashSet<AccountId>,
) -> Result<HashMap<AccountId, Wallet>, StoreError> {
    read_wallets(&LOAD_WALLETS, transaction, accounts).await
}

/// Reads and locks the wallets of `accounts` until the transaction ends.
///
/// Lock phone windows before wallets. The opposite order deadlocks two nodes.
pub(super) async fn lock_wallets(
    transaction: &DatabaseTransaction,
    accounts: &HashSet<AccountId>,
) -> Result<HashMap<AccountId, Wallet>, StoreError> {
    let lock = match transaction.get_database_backend() {
        DatabaseBackend::Sqlite => &LOAD_WALLETS,
        _ => &LOCK_WALLETS,
    };
    read_wallets(lock, transaction, accounts).await
}

async fn read_wallets(
    load: &'static Bulk,
    transaction: &DatabaseTransaction,
    accounts: &HashSet<AccountId>,
) -> Result<HashMap<AccountId, Wallet>, StoreError> {
    let mut rows = load.rows(accounts.len());
    for account in accounts {
        rows.push([account.0.into()]);
    }
    let mut wallets = HashMap::with_capacity(accounts.len());
    for row in load.query(transaction, &[], rows).await? {
        let mut row = Columns::of(&row);
        let account = AccountId(row.get()?);
        let wallet = Wallet {
            buckets: row.buckets()?,
            version: row.get()?,
            is_closed: row.get::<Option<i64>>()?.is_some(),
            is_referred: row.get::<Option<i64>>()?.is_some(),
        };
        wallets.insert(account, wallet);
    }
    Ok(wallets)
}

/// Sets the terminal state of each delivery that is still `sent`.
pub(super) fn push_settlements(script: &mut Script, node: &NodeEpoch, ended: &[&Settlement]) {
    script.push(&SETTLE, Vec::new(), settlement_rows(&SETTLE, node, ended));
}

/// Sets the terminal state of each delivery and returns those that were still `sent`.
pub(super) async fn settle_deliveries(
    transaction: &DatabaseTransaction,
    node: &NodeEpoch,
    settlements: &[&Settlement],
) -> Result<HashSet<DeliveryId>, StoreError> {
    let rows = settlement_rows(&SETTLE_RETURNING, node, settlements);
    let settled = SETTLE_RETURNING.query(transaction, &[], rows).await?;
    let ids: Result<_, DbErr> =
        settled.iter().map(|row| Ok(DeliveryId(row.try_get_by_index(0)?))).collect();
    Ok(ids?)
}

fn settlement_rows(bulk: &'static Bulk, node: &NodeEpoch, settlements: &[&Settlement]) -> Rows {
    let mut rows = bulk.rows(settlements.len());
    for s in settlements {
        rows.push([
            s.delivery_id.0.into(),
            s.status.as_str().into(),
            s.error_code.unwrap_or_default().into(),
            s.carrier_status.as_deref().unwrap_or_default().into(),
            s.completed_at_ms.into(),
            node.node.as_ref().into(),
            node.epoch.into(),
            s.refund.into(),
        ]);
    }
    rows
}

pub(super) fn push_releases(script: &mut Script, ended: &[&Settlement]) {
    let mut rows = RELEASE_WINDOWS.rows(0);
    for s in ended.iter().filter(|s| s.release_window) {
        rows.push([realm(s.test).into(), s.phone.to_string().into(), s.delivery_id.0.into()]);
    }
    script.push(&RELEASE_WINDOWS, Vec::new(), rows);
}

/// Claims the windows of the debits at `claims`.
pub(super) fn push_windows(script: &mut Script, debits: &[Debit], claims: &[usize]) {
    let mut in_order: Vec<&Debit> = claims.iter().map(|index| &debits[*index]).collect();
    // Every node locks phones in the same order, which prevents deadlocks.
    in_order.sort_unstable_by_key(|debit| (debit.test, debit.phone));
    let mut rows = CLAIM_WINDOWS.rows(claims.len());
    for debit in in_order {
        rows.push([
            realm(debit.test).into(),
            debit.phone.to_string().into(),
            debit.window_from_ms.into(),
            debit.window_until_ms.into(),
            debit.delivery_id.0.into(),
        ]);
    }
    script.push(&CLAIM_WINDOWS, Vec::new(), rows);
}

/// Claims the windows of the debits at `claims`. Returns the lost claims with the end of the
/// winner's window.
pub(super) async fn claim_windows(
    transaction: &DatabaseTransaction,
    debits: &[Debit],
    claims: &[usize],
) -> Result<HashMap<usize, i64>, StoreError> {
    let mut script = Script::default();
    push_windows(&mut script, debits, claims);
    let won = script.execute(transaction).await?;
    if won == claims.len() as u64 {
        return Ok(HashMap::new());
    }
    let mut rows = READ_WINDOWS.rows(claims.len());
    let mut indexes = HashMap::with_capacity(claims.len());
    for index in claims {
        let debit = &debits[*index];
        indexes.insert(debit.delivery_id.0, *index);
        rows.push([
            realm(debit.test).into(),
            debit.phone.to_string().into(),
            debit.delivery_id.0.into(),
        ]);
    }
    let mut lost = HashMap::new();
    for row in READ_WINDOWS.query(transaction, &[], rows).await? {
        let (delivery, until_ms): (Uuid, i64) = row.try_get_many_by_index()?;
        if let Some(index) = indexes.get(&delivery) {
            lost.insert(*index, until_ms);
        }
    }
    Ok(lost)
}

/// Writes the wallets that still have the expected version.
pub(super) fn push_wallets(script: &mut Script, wallets: &BTreeMap<AccountId, Wallet>) {
    script.push(&WRITE_WALLETS, Vec::new(), wallet_rows(wallets));
}

fn wallet_rows(wallets: &BTreeMap<AccountId, Wallet>) -> Rows {
    let mut rows = WRITE_WALLETS.rows(wallets.len());
    for (account, wallet) in wallets {
        rows.push([
            account.0.into(),
            wallet.buckets.free.get().into(),
            wallet.buckets.bonus.get().into(),
            wallet.buckets.balance.get().into(),
            wallet.version.into(),
        ]);
    }
    rows
}

/// Writes the wallets that still have the expected version. Returns the others.
pub(super) async fn write_wallets(
    transaction: &DatabaseTransaction,
    wallets: &BTreeMap<AccountId, Wallet>,
) -> Result<HashSet<AccountId>, StoreError> {
    let mut moved: HashSet<AccountId> = wallets.keys().copied().collect();
    let rows = wallet_rows(wallets);
    for row in WRITE_WALLETS.query(transaction, &[], rows).await? {
        moved.remove(&AccountId(row.try_get_by_index(0)?));
    }
    Ok(moved)
}

/// Inserts the deliveries of the posted debits; none if `node`'s epoch has ended.
///
/// An SQLite file is served by one process, so its epoch does not end while it runs.
pub(super) fn push_deliveries(
    script: &mut Script,
    backend: DatabaseBackend,
    node: &NodeEpoch,
    posted: &[(&Debit, Parts)],
) {
    let insert = match backend {
        DatabaseBackend::Sqlite => &INSERT_DELIVERIES,
        _ => &INSERT_DELIVERIES_FENCED,
    };
    let mut rows = insert.rows(posted.len());
    for (debit, _) in posted {
        let CustomerFields { reference, metadata } = &debit.fields;
        rows.push([
            debit.delivery_id.0.into(),
            debit.account_id.0.into(),
            debit.key_id.0.into(),
            debit.test.into(),
            debit.phone.to_string().into(),
            debit.carrier.name().into(),
            debit.cost.get().into(),
            debit.created_at_ms.into(),
            debit.sandbox.into(),
            reference.as_ref().map_or("", Reference::as_str).into(),
            metadata.as_ref().map(Metadata::to_json).unwrap_or_default().into(),
            debit.verification.map_or(Uuid::nil(), |send| send.sent.id.0).into(),
        ]);
    }
    let scalars = vec![node.node.as_ref().into(), node.epoch.into()];
    script.push(insert, scalars, rows);
}

/// Inserts the entries of the posted debits and of the refunds. The posting of a debit has the id
/// of its delivery.
pub(super) fn push_entries(script: &mut Script, posted: &[(&Debit, Parts)], ended: &[&Settlement]) {
    let mut rows = INSERT_ENTRIES.rows(posted.len());
    let mut push = |account: AccountId,
                    posting: Uuid,
                    delivery: DeliveryId,
                    kind: EntryKind,
                    bucket: &'static str,
                    amount: i64,
                    at_ms: i64| {
        let values: [Value; 7] = [
            account.0.into(),
            posting.into(),
            delivery.0.into(),
            kind.as_str().into(),
            bucket.into(),
            amount.into(),
            at_ms.into(),
        ];
        rows.push(values);
    };
    for (debit, parts) in posted {
        for (bucket, part) in parts.taken() {
            push(
                debit.account_id,
                debit.delivery_id.0,
                debit.delivery_id,
                EntryKind::Debit,
                bucket.as_str(),
                -part.get(),
                debit.created_at_ms,
            );
        }
    }
    for s in ended.iter().filter(|s| s.refund) {
        let posting = Uuid::now_v7();
        for (bucket, part) in s.parts.taken() {
            push(
                s.account_id,
                posting,
                s.delivery_id,
                EntryKind::Refund,
                bucket.as_str(),
                part.get(),
                s.completed_at_ms,
            );
        }
    }
    script.push(&INSERT_ENTRIES, Vec::new(), rows);
}

pub(super) fn push_call_attempts(script: &mut Script, ended: &[&Settlement]) {
    let mut rows = INSERT_CALL_ATTEMPTS.rows(0);
    let calls = ended.iter().flat_map(|s| s.attempts.iter().map(|call| (s.delivery_id, call)));
    for (delivery, call) in calls {
        let quality = call.quality;
        let round_trip_us = quality.and_then(|quality| quality.round_trip_us);
        rows.push([
            call.id.0.into(),
            delivery.0.into(),
            i64::from(call.number).into(),
            call.gateway.as_str().into(),
            call.call_id.as_str().into(),
            call.started_at_ms.into(),
            call.accepted_at_ms.unwrap_or(NULL_INT).into(),
            call.ringing_at_ms.unwrap_or(NULL_INT).into(),
            call.answered_at_ms.unwrap_or(NULL_INT).into(),
            call.ended_at_ms.into(),
            call.sip_code.map_or(NULL_INT, i64::from).into(),
            call.end_reason.as_ref().into(),
            call.codec.as_deref().unwrap_or_default().into(),
            i64::from(call.packets_sent).into(),
            call.packets_received.map_or(NULL_INT, i64::from).into(),
            quality.map_or(NULL_INT, |q| q.loss_ppm.into()).into(),
            quality.map_or(NULL_INT, |q| q.jitter_us.into()).into(),
            round_trip_us.map_or(NULL_INT, i64::from).into(),
            quality.map_or(NULL_INT, |q| q.mos_hundredths.into()).into(),
            steps::write(&call.steps).into(),
        ]);
    }
    script.push(&INSERT_CALL_ATTEMPTS, Vec::new(), rows);
}

/// Queues one attempt per settlement event and active endpoint that wants it, with the exact bytes to send.
pub(super) fn push_webhooks<'e>(
    script: &mut Script,
    ended: &[&Settlement],
    endpoints: impl Fn(AccountId) -> Option<&'e Vec<ActiveEndpoint>>,
) {
    let mut rows = QUEUE_WEBHOOKS.rows(0);
    for s in ended {
        let Some(event) = &s.event else {
            continue;
        };
        let event_type = EventType::of_otp(s.status);
        let endpoints = endpoints(s.account_id).map_or(&[][..], Vec::as_slice);
        let mut endpoints = endpoints.iter().filter(|one| one.events.wants(event_type)).peekable();
        if endpoints.peek().is_none() {
            continue;
        }
        let body = event.body();
        let trace = s.trace.map(|trace| trace.to_string()).unwrap_or_default();
        for endpoint in endpoints {
            rows.push([
                Uuid::now_v7().into(),
                endpoint.id.0.into(),
                s.account_id.0.into(),
                s.delivery_id.0.into(),
                event_type.as_str().into(),
                body.as_str().into(),
                s.completed_at_ms.into(),
                trace.as_str().into(),
            ]);
        }
    }
    script.push(&QUEUE_WEBHOOKS, Vec::new(), rows);
}

/// Adds the commissions to the referrers' pending sums and entries.
pub(super) fn push_commissions(script: &mut Script, earned: &[Commission]) {
    let mut sums: BTreeMap<AccountId, i64> = BTreeMap::new();
    let mut entries = INSERT_COMMISSIONS.rows(earned.len());
    for one in earned {
        *sums.entry(one.account_id).or_default() += one.amount.get();
        entries.push([
            one.account_id.0.into(),
            one.delivery_id.0.into(),
            one.amount.get().into(),
            one.at_ms.into(),
        ]);
    }
    let mut pending = ADD_PENDING.rows(sums.len());
    for (account, sum) in sums {
        pending.push([account.0.into(), sum.into()]);
    }
    script.push(&ADD_PENDING, Vec::new(), pending);
    script.push(&INSERT_COMMISSIONS, Vec::new(), entries);
}
