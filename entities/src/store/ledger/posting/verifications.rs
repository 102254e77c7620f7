//! What a batch writes of verifications.
//!
//! A verification is written with the debit of its first call, and a resend is counted with the debit of its call, so
//! that nothing of a refused request remains. If no gateway accepts the call, its settlement takes the send back.
//!
//! These rows come last in a transaction, after deliveries. A resend counts only if its verification is pending: the
//! number of written rows differs from the expected one if a check, a cancel or another resend came first. Then the
//! transaction is rolled back, and the retry rejects that debit alone.

use std::collections::HashSet;

use nexo_domain::customer_fields::{Metadata, Reference};
use nexo_domain::ids::{DeliveryId, VerificationId};
use nexo_domain::otp::Language;
use sea_orm::DatabaseTransaction;
use uuid::Uuid;

use super::batch::Abort;
use super::decision::BatchDecision;
use super::records::{Debit, SendKind, Settlement, VerificationSend};
use crate::store::StoreError;
use crate::store::sql::bulk::Column::{Bool, Int, Text, Uuid as Id};
use crate::store::sql::bulk::{Bulk, Script};

static INSERT: Bulk = Bulk::new(
    "INSERT INTO verifications (status, attempts, sends, id, account_id, test, phone, code_length, language, \
     last_delivery_id, created_at_ms, expires_at_ms, reference, metadata) \
     SELECT 'pending', 0, 1, v.column1, v.column2, v.column3, v.column4, v.column5, NULLIF(v.column6, ''), \
     v.column7, v.column8, v.column9, NULLIF(v.column10, ''), NULLIF(v.column11, '')",
    &[Id, Id, Bool, Text, Int, Text, Id, Int, Int, Text, Text],
    "WHERE v.column1 IS NOT NULL",
);

/// `closed_at_ms IS NULL` implies `pending` by a constraint of the table. With a condition on the status SQLite would search
/// the index of pending verifications instead of the id.
static COUNT_SEND: Bulk = Bulk::new(
    "UPDATE verifications SET sends = verifications.sends + 1, last_delivery_id = v.column2",
    &[Id, Id, Int],
    "WHERE verifications.id = v.column1 AND verifications.closed_at_ms IS NULL \
     AND verifications.expires_at_ms > v.column3 AND verifications.sends < 5",
);

/// Selects the verifications that [`COUNT_SEND`] would find.
static READ_RESENDABLE: Bulk = Bulk::new(
    "SELECT o.id",
    &[Id, Int],
    "JOIN verifications AS o ON o.id = v.column1 WHERE o.closed_at_ms IS NULL \
     AND o.expires_at_ms > v.column2 AND o.sends < 5",
);

/// Selects the pending verifications that new ones replace. One that has expired stays pending, so that the job marks it.
/// `CROSS JOIN` makes SQLite look up those of each row, rather than the rows of all pending ones.
static READ_REPLACED: Bulk = Bulk::new(
    "SELECT o.id, v.column1, v.column5",
    &[Id, Id, Bool, Text, Int],
    "CROSS JOIN verifications AS o WHERE o.account_id = v.column2 AND o.phone = v.column4 \
     AND o.status = 'pending' AND o.test = v.column3 AND o.expires_at_ms > v.column5 \
     AND o.id <> v.column1",
);

static CANCEL_REPLACED: Bulk = Bulk::new(
    "UPDATE verifications SET status = 'canceled', replaced_by = v.column2, closed_at_ms = v.column3",
    &[Id, Id, Int],
    "WHERE verifications.id = v.column1 AND verifications.closed_at_ms IS NULL",
);

/// The steps of [`take_back`], for verifications in column 1 and deliveries in column 2. Deliveries are locked before
/// verifications, as everywhere.
static TAKE_BACK: [Bulk; 5] = [
    Bulk::new(
        "UPDATE deliveries SET verification_id = NULL, converted = NULL",
        &[Id, Id],
        "WHERE deliveries.id = v.column2",
    ),
    // The mark of an approval that came while the call was being placed moves to the call that was heard.
    Bulk::new(
        "UPDATE deliveries SET converted = TRUE",
        &[Id, Id],
        "JOIN verifications AS o ON o.id = v.column1 AND o.status = 'approved' \
         AND o.last_delivery_id = v.column2 \
         WHERE deliveries.id = (SELECT d.id FROM deliveries AS d \
         WHERE d.verification_id = v.column1 ORDER BY d.id DESC LIMIT 1)",
    ),
    Bulk::new(
        "UPDATE verifications SET status = 'pending', closed_at_ms = NULL, replaced_by = NULL",
        &[Id, Id],
        "JOIN verifications AS o ON o.id = v.column1 AND o.sends = 1 AND o.last_delivery_id = v.column2 \
         WHERE verifications.replaced_by = v.column1",
    ),
    Bulk::new(
        "DELETE FROM verifications WHERE sends = 1 AND (id, last_delivery_id) IN ( \
         SELECT v.column1, v.column2",
        &[Id, Id],
        "WHERE v.column1 IS NOT NULL)",
    ),
    Bulk::new(
        "UPDATE verifications SET sends = verifications.sends - 1, last_delivery_id = COALESCE((SELECT d.id \
         FROM deliveries AS d WHERE d.verification_id = verifications.id ORDER BY d.id DESC LIMIT 1), \
         verifications.last_delivery_id)",
        &[Id, Id],
        "WHERE verifications.id = v.column1 AND verifications.last_delivery_id = v.column2 \
         AND verifications.sends > 1",
    ),
];

/// Returns the indexes of the debits whose verifications cannot be sent again.
pub(super) async fn closed(
    transaction: &DatabaseTransaction,
    debits: &[Debit],
) -> Result<HashSet<usize>, StoreError> {
    let resends = || {
        let debits = debits.iter().enumerate();
        debits.filter_map(|(index, debit)| Some((index, debit, resend(debit)?)))
    };
    let mut rows = READ_RESENDABLE.rows(0);
    for (_, debit, id) in resends() {
        rows.push([id.0.into(), debit.created_at_ms.into()]);
    }
    let mut open: HashSet<Uuid> = HashSet::new();
    for row in READ_RESENDABLE.query(transaction, &[], rows).await? {
        open.insert(row.try_get_by_index(0)?);
    }
    let closed = resends().filter(|(_, _, id)| !open.contains(&id.0));
    Ok(closed.map(|(index, ..)| index).collect())
}

/// Queues the new verifications and the counts of resends.
pub(super) fn push(script: &mut Script, decision: &BatchDecision<'_>) {
    let (mut new, mut resends) = (INSERT.rows(0), Vec::new());
    for (debit, ..) in decision.posted() {
        match debit.verification {
            Some(VerificationSend { sent, kind: SendKind::Start { code_length, language } }) => {
                new.push([
                    sent.id.0.into(),
                    debit.account_id.0.into(),
                    debit.test.into(),
                    debit.phone.to_string().into(),
                    i64::from(code_length.get()).into(),
                    language.map_or("", Language::code).into(),
                    debit.delivery_id.0.into(),
                    debit.created_at_ms.into(),
                    sent.expires_at_ms.into(),
                    debit.fields.reference.as_ref().map_or("", Reference::as_str).into(),
                    debit
                        .fields
                        .metadata
                        .as_ref()
                        .map(Metadata::to_json)
                        .unwrap_or_default()
                        .into(),
                ]);
            }
            Some(VerificationSend { sent, kind: SendKind::Resend }) => {
                resends.push((sent.id, debit));
            }
            None => {}
        }
    }
    // Every node locks verifications in the same order.
    resends.sort_unstable_by_key(|(id, _)| *id);
    let mut counts = COUNT_SEND.rows(resends.len());
    for (id, debit) in resends {
        counts.push([id.0.into(), debit.delivery_id.0.into(), debit.created_at_ms.into()]);
    }
    script.push(&INSERT, Vec::new(), new);
    script.push(&COUNT_SEND, Vec::new(), counts);
}

/// Like [`push`], but checks what was written.
pub(super) async fn write(
    transaction: &DatabaseTransaction,
    decision: &BatchDecision<'_>,
) -> Result<(), Abort> {
    let mut script = Script::default();
    push(&mut script, decision);
    let expected = script.len();
    match script.execute(transaction).await? == expected {
        true => Ok(()),
        false => Err(Abort::Stale),
    }
}

/// Cancels the pending verifications of the same account and phone. The phone's window keeps others from starting one
/// at the same time.
pub(super) async fn cancel_replaced(
    transaction: &DatabaseTransaction,
    decision: &BatchDecision<'_>,
) -> Result<(), StoreError> {
    let mut rows = READ_REPLACED.rows(0);
    for (debit, ..) in decision.posted() {
        if let Some(VerificationSend { sent, kind: SendKind::Start { .. } }) = debit.verification {
            rows.push([
                sent.id.0.into(),
                debit.account_id.0.into(),
                debit.test.into(),
                debit.phone.to_string().into(),
                debit.created_at_ms.into(),
            ]);
        }
    }
    let found = READ_REPLACED.query(transaction, &[], rows).await?;
    let mut replaced = Vec::with_capacity(found.len());
    for row in &found {
        let (id, by, at_ms): (Uuid, Uuid, i64) = row.try_get_many_by_index()?;
        replaced.push((id, by, at_ms));
    }
    // Every node locks verifications in the same order.
    replaced.sort_unstable();
    let mut rows = CANCEL_REPLACED.rows(replaced.len());
    for (id, by, at_ms) in replaced {
        rows.push([id.into(), by.into(), at_ms.into()]);
    }
    CANCEL_REPLACED.execute(transaction, &[], rows).await?;
    Ok(())
}

/// Takes back the sends of the calls that no gateway accepted.
pub(super) async fn take_back(
    transaction: &DatabaseTransaction,
    ended: &[&Settlement],
) -> Result<(), StoreError> {
    let taken = ended.iter().filter_map(|s| Some((s.takes_back?, s.delivery_id)));
    let mut taken: Vec<(VerificationId, DeliveryId)> = taken.collect();
    if taken.is_empty() {
        return Ok(());
    }
    taken.sort_unstable();
    let mut script = Script::default();
    for step in &TAKE_BACK {
        let mut rows = step.rows(taken.len());
        for (verification, delivery) in &taken {
            rows.push([verification.0.into(), delivery.0.into()]);
        }
        script.push(step, Vec::new(), rows);
    }
    script.execute(transaction).await?;
    Ok(())
}

fn resend(debit: &Debit) -> Option<VerificationId> {
    debit.verification.filter(|send| send.kind == SendKind::Resend).map(|send| send.sent.id)
}

#[cfg(test)]
pub(super) mod tests {
    use nexo_domain::verification::MAX_SENDS;

    use super::*;

    /// For the test that no statement of a batch scans a table.
    pub(in crate::store::ledger::posting) fn statements() -> Vec<&'static Bulk> {
        let own = [&INSERT, &COUNT_SEND, &READ_RESENDABLE, &READ_REPLACED, &CANCEL_REPLACED];
        own.into_iter().chain(&TAKE_BACK).collect()
    }

    #[test]
    fn a_send_is_counted_up_to_the_limit() {
        let limit = format!("sends < {MAX_SENDS}");
        for bulk in [&COUNT_SEND, &READ_RESENDABLE] {
            assert!(bulk.sqlite_text(1).contains(&limit));
        }
    }
}
