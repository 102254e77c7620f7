//! What a batch writes to the stored idempotent answers.
//!
//! These rows come last in a transaction, after windows and wallets, and nothing waits for a key:
//! the API looks keys up before it debits. The row counts differ from the expected ones only if
//! another node received the same request at the same moment. Then the transaction is rolled back,
//! and the retry finds the other node's row.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use nexo_domain::billing::ledger::Buckets;
use nexo_domain::call::acceptance::{ACCEPTED_STATUS, Accepted};
use nexo_domain::idempotency::{IdempotentRequest, KEPT_MS};
use nexo_domain::ids::{DeliveryId, KeyId};
use sea_orm::DatabaseTransaction;

use super::deciding::BatchDecision;
use super::sql::{FREE_KEYS, KEEP_REFUSALS, KEEP_WITH_DEBITS, CONFIRM_KEYS, READ_KEYS};
use super::{Batch, Debit, IdempotencyWrite, Settlement, Abort};
use crate::store::StoreError;
use crate::store::sql::bulk::{Rows, Script};

/// An API key and the idempotency key that a client sent.
type Place<'r> = (KeyId, &'r str);

fn place(request: &IdempotentRequest) -> Place<'_> {
    (request.key_id, request.key.as_str())
}

/// Returns the indexes of the debits whose keys are taken.
pub(super) async fn taken(
    transaction: &DatabaseTransaction,
    debits: &[Debit],
) -> Result<HashSet<usize>, StoreError> {
    let mut rows = READ_KEYS.rows(0);
    for debit in debits {
        if let Some(request) = &debit.idempotent {
            rows.push([
                request.key_id.0.into(),
                request.key.as_str().into(),
                (debit.created_at_ms - KEPT_MS).into(),
            ]);
        }
    }
    let mut found: HashSet<(KeyId, String)> = HashSet::new();
    for row in READ_KEYS.query(transaction, &[], rows).await? {
        found.insert((KeyId(row.try_get_by_index(0)?), row.try_get_by_index(1)?));
    }
    if found.is_empty() {
        return Ok(HashSet::new());
    }
    let found: HashSet<Place<'_>> = found.iter().map(|(id, key)| (*id, key.as_str())).collect();
    let is_taken = |debit: &Debit| {
        let request = debit.idempotent.as_deref();
        request.is_some_and(|request| found.contains(&place(request)))
    };
    let places = debits.iter().enumerate();
    Ok(places
        .filter(|(_, debit)| is_taken(debit))
        .map(|(place, _)| place)
        .collect())
}

/// Queues all writes on the assumption that no key is taken. Returns for each idempotency write
/// whether it takes effect.
pub(super) fn push(
    script: &mut Script,
    batch: &Batch<'_>,
    deciding: &BatchDecision<'_>,
    ended: &[&Settlement],
) -> Vec<bool> {
    let refusals = refusals(batch);
    script.push(&FREE_KEYS, Vec::new(), freed(ended));
    script.push(&CONFIRM_KEYS, Vec::new(), standing(batch.keep));
    push_debit_answers(script, deciding);
    script.push(&KEEP_REFUSALS, Vec::new(), refused(&refusals));
    batch
        .keep
        .iter()
        .map(|keep| is_written(keep, &refusals))
        .collect()
}

/// Like [`push`], but reads back what was written.
pub(super) async fn write(
    transaction: &DatabaseTransaction,
    batch: &Batch<'_>,
    deciding: &BatchDecision<'_>,
    ended: &[&Settlement],
) -> Result<Vec<bool>, Abort> {
    let mut changes = Script::default();
    changes.push(&FREE_KEYS, Vec::new(), freed(ended));
    changes.push(&CONFIRM_KEYS, Vec::new(), standing(batch.keep));
    changes.execute(transaction).await?;
    let mut kept = Script::default();
    push_debit_answers(&mut kept, deciding);
    let expected = kept.len();
    if kept.execute(transaction).await? != expected {
        return Err(Abort::Stale);
    }
    let mut refusals = refusals(batch);
    let mut written: HashSet<(KeyId, String)> = HashSet::new();
    let rows = refused(&refusals);
    for row in KEEP_REFUSALS.query(transaction, &[], rows).await? {
        written.insert((KeyId(row.try_get_by_index(0)?), row.try_get_by_index(1)?));
    }
    refusals.retain(|(id, key), _| written.contains(&(*id, (*key).to_owned())));
    Ok(batch
        .keep
        .iter()
        .map(|keep| is_written(keep, &refusals))
        .collect())
}

fn freed(ended: &[&Settlement]) -> Rows {
    let freed = ended
        .iter()
        .filter_map(|s| Some((s.releases_key.as_deref()?, s.delivery_id)));
    rows_of(freed.collect(), FREE_KEYS.rows(0))
}

fn standing(keep: &[IdempotencyWrite]) -> Rows {
    let accepted = keep.iter().filter_map(|keep| match keep {
        IdempotencyWrite::Accepted {
            request,
            delivery_id,
        } => Some((request.as_ref(), *delivery_id)),
        IdempotencyWrite::Refused { .. } => None,
    });
    rows_of(accepted.collect(), CONFIRM_KEYS.rows(0))
}

/// Sorts by key, the order in which every node locks rows.
fn rows_of(mut requests: Vec<(&IdempotentRequest, DeliveryId)>, mut rows: Rows) -> Rows {
    requests.sort_unstable_by_key(|(request, _)| place(request));
    for (request, delivery) in requests {
        rows.push([
            request.key_id.0.into(),
            request.key.as_str().into(),
            delivery.0.into(),
        ]);
    }
    rows
}

/// Queues the answers to the posted debits.
fn push_debit_answers(script: &mut Script, deciding: &BatchDecision<'_>) {
    let mut posted: Vec<(&Arc<IdempotentRequest>, &Debit, Buckets)> = deciding
        .posted()
        .filter_map(|(debit, _, after)| Some((debit.idempotent.as_ref()?, debit, after)))
        .collect();
    posted.sort_unstable_by_key(|(request, ..)| place(request));
    let mut rows = KEEP_WITH_DEBITS.rows(posted.len());
    for (request, debit, after) in posted {
        let answer = Accepted {
            id: debit.delivery_id,
            carrier: debit.carrier,
            cost: debit.cost,
            after,
        };
        rows.push([
            request.key_id.0.into(),
            request.key.as_str().into(),
            request.fingerprint.as_record().to_vec().into(),
            debit.delivery_id.0.into(),
            answer.body().into(),
            debit.created_at_ms.into(),
        ]);
    }
    let scalars = vec![i64::from(ACCEPTED_STATUS).into()];
    script.push(&KEEP_WITH_DEBITS, scalars, rows);
}

/// Returns the first refusal of each key that no debit of the batch uses.
fn refusals<'b>(batch: &Batch<'b>) -> BTreeMap<Place<'b>, &'b IdempotencyWrite> {
    let mut first = BTreeMap::new();
    for keep in batch.keep {
        if let IdempotencyWrite::Refused { request, .. } = keep {
            first.entry(place(request)).or_insert(keep);
        }
    }
    for debit in batch.debits {
        if let Some(request) = &debit.idempotent {
            first.remove(&place(request));
        }
    }
    first
}

fn is_written(keep: &IdempotencyWrite, refusals: &BTreeMap<Place<'_>, &IdempotencyWrite>) -> bool {
    match keep {
        IdempotencyWrite::Accepted { .. } => true,
        IdempotencyWrite::Refused { request, .. } => refusals
            .get(&place(request))
            .is_some_and(|written| std::ptr::eq(*written, keep)),
    }
}

fn refused(refusals: &BTreeMap<Place<'_>, &IdempotencyWrite>) -> Rows {
    let mut rows = KEEP_REFUSALS.rows(refusals.len());
    for keep in refusals.values() {
        if let IdempotencyWrite::Refused {
            request,
            status,
            body,
            at_ms,
        } = keep
        {
            rows.push([
                request.key_id.0.into(),
                request.key.as_str().into(),
                request.fingerprint.as_record().to_vec().into(),
                i64::from(*status).into(),
                body.as_str().into(),
                (*at_ms).into(),
            ]);
        }
    }
    rows
}
