//! What a batch does to the answers kept under idempotency keys.
//!
//! They come last in a transaction, behind windows and wallets. Nobody waits for a key who could be
//! refused at once: the edge looks its key up before it debits, so that the count of written rows says
//! otherwise only where another node had the same request at the same moment. Then all is undone and
//! the batch, tried again, finds the other one's row.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use nexo_domain::billing::ledger::Buckets;
use nexo_domain::call::acceptance::{ACCEPTED_STATUS, Accepted};
use nexo_domain::idempotency::{IdempotentRequest, KEPT_MS};
use nexo_domain::ids::{DeliveryId, KeyId};
use sea_orm::DatabaseTransaction;

use super::deciding::Deciding;
use super::sql::{FREE_KEYS, KEEP_REFUSALS, KEEP_WITH_DEBITS, LET_STAND, READ_KEYS};
use super::{Batch, Debit, Keep, Settlement, Undone};
use crate::store::StoreError;
use crate::store::sql::bulk::{Rows, Script};

/// A customer's API key and what it has written on a request.
type Place<'r> = (KeyId, &'r str);

fn place(request: &IdempotentRequest) -> Place<'_> {
    (request.key_id, request.key.as_str())
}

/// The debits, by place, whose keys are taken.
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

/// Writes everything, in the hope that no key is taken. Returns for each of the batch's keepings whether
/// it is written then.
pub(super) fn push(
    script: &mut Script,
    batch: &Batch<'_>,
    deciding: &Deciding<'_>,
    ended: &[&Settlement],
) -> Vec<bool> {
    let refusals = refusals(batch);
    script.push(&FREE_KEYS, Vec::new(), freed(ended));
    script.push(&LET_STAND, Vec::new(), standing(batch.keep));
    push_kept(script, deciding);
    script.push(&KEEP_REFUSALS, Vec::new(), refused(&refusals));
    batch
        .keep
        .iter()
        .map(|keep| is_written(keep, &refusals))
        .collect()
}

/// The same, with a look at what was written.
pub(super) async fn write(
    transaction: &DatabaseTransaction,
    batch: &Batch<'_>,
    deciding: &Deciding<'_>,
    ended: &[&Settlement],
) -> Result<Vec<bool>, Undone> {
    let mut changes = Script::default();
    changes.push(&FREE_KEYS, Vec::new(), freed(ended));
    changes.push(&LET_STAND, Vec::new(), standing(batch.keep));
    changes.execute(transaction).await?;
    let mut kept = Script::default();
    push_kept(&mut kept, deciding);
    let expected = kept.len();
    if kept.execute(transaction).await? != expected {
        return Err(Undone::Moved);
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
        .filter_map(|s| Some((s.frees.as_deref()?, s.delivery_id)));
    rows_of(freed.collect(), FREE_KEYS.rows(0))
}

fn standing(keep: &[Keep]) -> Rows {
    let accepted = keep.iter().filter_map(|keep| match keep {
        Keep::Accepted {
            request,
            delivery_id,
        } => Some((request.as_ref(), *delivery_id)),
        Keep::Refused { .. } => None,
    });
    rows_of(accepted.collect(), LET_STAND.rows(0))
}

/// In the order of their keys, as every node locks them.
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

/// The answers to the posted debits.
fn push_kept(script: &mut Script, deciding: &Deciding<'_>) {
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

/// The refusals, one a key, whose keys no debit of the batch has.
fn refusals<'b>(batch: &Batch<'b>) -> BTreeMap<Place<'b>, &'b Keep> {
    let mut first = BTreeMap::new();
    for keep in batch.keep {
        if let Keep::Refused { request, .. } = keep {
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

fn is_written(keep: &Keep, refusals: &BTreeMap<Place<'_>, &Keep>) -> bool {
    match keep {
        Keep::Accepted { .. } => true,
        Keep::Refused { request, .. } => refusals
            .get(&place(request))
            .is_some_and(|written| std::ptr::eq(*written, keep)),
    }
}

fn refused(refusals: &BTreeMap<Place<'_>, &Keep>) -> Rows {
    let mut rows = KEEP_REFUSALS.rows(refusals.len());
    for keep in refusals.values() {
        if let Keep::Refused {
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
