//! What a batch writes to the stored idempotent answers.
//!
//! These rows come last in a transaction, after windows and wallets, and nothing waits for a key:
//! the API looks keys up before it debits. The row counts differ from the expected ones only if
//! another node received the same request at the same moment. Then the transaction is rolled back,
//! and the retry finds the other node's row.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use nexo_domain::billing::ledger::Buckets;
use nexo_domain::call::acceptance::ACCEPTED_STATUS;
use nexo_domain::idempotency::{IdempotentRequest, Lifetime, RETENTION_MS};
use nexo_domain::ids::{DeliveryId, KeyId};
use sea_orm::{DatabaseTransaction, DbErr, QueryResult};

use super::batch::{Abort, Batch};
use super::decision::BatchDecision;
use super::records::{Debit, IdempotencyWrite, Settlement};
use super::sql::{CONFIRM_ANSWERS, DELETE_ANSWERS, READ_KEYS, STORE_DEBIT_ANSWERS, STORE_REFUSALS};
use crate::store::StoreError;
use crate::store::sql::bulk::{NULL_INT, Rows, Script};

/// An API key and the idempotency key that a client sent.
type RequestKey<'r> = (KeyId, &'r str);

fn request_key(request: &IdempotentRequest) -> RequestKey<'_> {
    (request.key_id, request.key.as_str())
}

/// Reads a key from a row of its two columns.
fn stored_key(row: &QueryResult) -> Result<(KeyId, String), DbErr> {
    let (id, key) = row.try_get_many_by_index()?;
    Ok((KeyId(id), key))
}

/// Returns the indexes of the debits whose keys are taken.
///
/// Not of keys that live as long as the phone's window: the window itself decides about those.
pub(super) async fn taken(
    transaction: &DatabaseTransaction,
    debits: &[Debit],
) -> Result<HashSet<usize>, StoreError> {
    let mut rows = READ_KEYS.rows(0);
    for debit in debits {
        if let Some(request) = &debit.idempotent
            && request.lifetime == Lifetime::Day
        {
            rows.push([
                request.key_id.0.into(),
                request.key.as_str().into(),
                (debit.created_at_ms - RETENTION_MS).into(),
            ]);
        }
    }
    let mut found: HashSet<(KeyId, String)> = HashSet::new();
    for row in READ_KEYS.query(transaction, &[], rows).await? {
        found.insert(stored_key(&row)?);
    }
    if found.is_empty() {
        return Ok(HashSet::new());
    }
    let found: HashSet<RequestKey<'_>> =
        found.iter().map(|(id, key)| (*id, key.as_str())).collect();
    let is_taken = |debit: &Debit| {
        let request = debit.idempotent.as_deref();
        request.is_some_and(|request| found.contains(&request_key(request)))
    };
    let debits = debits.iter().enumerate();
    Ok(debits.filter(|(_, debit)| is_taken(debit)).map(|(index, _)| index).collect())
}

/// Queues all writes on the assumption that no key is taken. Returns for each idempotency write
/// whether it takes effect.
pub(super) fn push(
    script: &mut Script,
    batch: &Batch<'_>,
    decision: &BatchDecision<'_>,
    ended: &[&Settlement],
) -> Vec<bool> {
    let refusals = refusals(batch);
    script.push(&DELETE_ANSWERS, Vec::new(), released_rows(ended));
    script.push(&CONFIRM_ANSWERS, Vec::new(), confirmed_rows(batch.answers));
    push_debit_answers(script, decision);
    script.push(&STORE_REFUSALS, Vec::new(), refusal_rows(&refusals));
    batch.answers.iter().map(|answer| is_written(answer, &refusals)).collect()
}

/// Like [`push`], but reads back what was written.
pub(super) async fn write(
    transaction: &DatabaseTransaction,
    batch: &Batch<'_>,
    decision: &BatchDecision<'_>,
    ended: &[&Settlement],
) -> Result<Vec<bool>, Abort> {
    let mut changes = Script::default();
    changes.push(&DELETE_ANSWERS, Vec::new(), released_rows(ended));
    changes.push(&CONFIRM_ANSWERS, Vec::new(), confirmed_rows(batch.answers));
    changes.execute(transaction).await?;
    let mut answers = Script::default();
    push_debit_answers(&mut answers, decision);
    let expected = answers.len();
    if answers.execute(transaction).await? != expected {
        return Err(Abort::Stale);
    }
    let mut refusals = refusals(batch);
    let mut written: HashSet<(KeyId, String)> = HashSet::new();
    let rows = refusal_rows(&refusals);
    for row in STORE_REFUSALS.query(transaction, &[], rows).await? {
        written.insert(stored_key(&row)?);
    }
    refusals.retain(|(id, key), _| written.contains(&(*id, (*key).to_owned())));
    Ok(batch.answers.iter().map(|answer| is_written(answer, &refusals)).collect())
}

fn released_rows(ended: &[&Settlement]) -> Rows {
    let released = ended.iter().filter_map(|s| Some((s.releases_key.as_deref()?, s.delivery_id)));
    rows_of(released.collect(), DELETE_ANSWERS.rows(0))
}

fn confirmed_rows(answer: &[IdempotencyWrite]) -> Rows {
    let accepted = answer.iter().filter_map(|answer| match answer {
        IdempotencyWrite::Accepted { request, delivery_id } => {
            Some((request.as_ref(), *delivery_id))
        }
        IdempotencyWrite::Refused { .. } => None,
    });
    rows_of(accepted.collect(), CONFIRM_ANSWERS.rows(0))
}

/// Sorts by key, the order in which every node locks rows.
fn rows_of(mut requests: Vec<(&IdempotentRequest, DeliveryId)>, mut rows: Rows) -> Rows {
    requests.sort_unstable_by_key(|(request, _)| request_key(request));
    for (request, delivery) in requests {
        rows.push([request.key_id.0.into(), request.key.as_str().into(), delivery.0.into()]);
    }
    rows
}

/// Queues the answers to the posted debits.
fn push_debit_answers(script: &mut Script, decision: &BatchDecision<'_>) {
    let mut posted: Vec<(&Arc<IdempotentRequest>, &Debit, Buckets)> = decision
        .posted()
        .filter_map(|(debit, _, after)| Some((debit.idempotent.as_ref()?, debit, after)))
        .collect();
    posted.sort_unstable_by_key(|(request, ..)| request_key(request));
    let mut rows = STORE_DEBIT_ANSWERS.rows(posted.len());
    for (request, debit, after) in posted {
        rows.push([
            request.key_id.0.into(),
            request.key.as_str().into(),
            request.fingerprint.as_record().to_vec().into(),
            debit.delivery_id.0.into(),
            debit.answer(after).body().into(),
            debit.created_at_ms.into(),
            match request.lifetime {
                Lifetime::Day => NULL_INT.into(),
                Lifetime::PhoneWindow => debit.window_until_ms.into(),
            },
        ]);
    }
    let scalars = vec![i64::from(ACCEPTED_STATUS).into()];
    script.push(&STORE_DEBIT_ANSWERS, scalars, rows);
}

/// Returns the first refusal of each key that no debit of the batch uses.
fn refusals<'b>(batch: &Batch<'b>) -> BTreeMap<RequestKey<'b>, &'b IdempotencyWrite> {
    let mut first = BTreeMap::new();
    for answer in batch.answers {
        if let IdempotencyWrite::Refused { request, .. } = answer {
            first.entry(request_key(request)).or_insert(answer);
        }
    }
    for debit in batch.debits {
        if let Some(request) = &debit.idempotent {
            first.remove(&request_key(request));
        }
    }
    first
}

fn is_written(
    answer: &IdempotencyWrite,
    refusals: &BTreeMap<RequestKey<'_>, &IdempotencyWrite>,
) -> bool {
    match answer {
        IdempotencyWrite::Accepted { .. } => true,
        IdempotencyWrite::Refused { request, .. } => refusals
            .get(&request_key(request))
            .is_some_and(|written| std::ptr::eq(*written, answer)),
    }
}

fn refusal_rows(refusals: &BTreeMap<RequestKey<'_>, &IdempotencyWrite>) -> Rows {
    let mut rows = STORE_REFUSALS.rows(refusals.len());
    for answer in refusals.values() {
        if let IdempotencyWrite::Refused { request, status, body, at_ms } = answer {
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
