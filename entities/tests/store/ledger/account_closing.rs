//! Closing accounts and correcting wallets while debits and refunds are in progress.

use std::sync::Arc;

use nexo_domain::billing::ledger::{Bucket, Buckets, EntryKind};
use nexo_domain::call::CallEnd;
use nexo_domain::call::outcome::{Ending, Outcome, RefundPolicy, Status};
use nexo_domain::money::Micros;
use nexo_entities::store::ledger::entries::LedgerFilter;
use nexo_entities::store::ledger::posting::{Debit, DebitOutcome, Settlement};
use nexo_entities::store::ledger::wallets::Correction;
use nexo_entities::store::{Conflict, StoreError};

use crate::database::Database;
use crate::world::{COST, NOW, World, credit, delivered, otp, paid, refunded};

on_both!(
    closing_pays_the_cash_out_and_forfeits_the_rest,
    a_refund_after_the_closing_is_paid_out_by_the_next,
    a_closed_wallet_is_exact_with_debits_in_flight,
    a_correction_applies_once_and_never_overdraws,
    each_refund_policy_covers_every_outcome,
);

fn held(free: i64, bonus: i64, balance: i64) -> Buckets {
    Buckets { free: Micros::new(free), bonus: Micros::new(bonus), balance: Micros::new(balance) }
}

/// The ledger, oldest first: kind, bucket, amount, reference.
async fn entries(world: &World) -> Vec<(EntryKind, Bucket, i64, Option<String>)> {
    let page = world
        .store
        .ledger()
        .entries(world.account, &LedgerFilter::default(), None, 1_000)
        .await
        .unwrap();
    let entry = |e: nexo_entities::store::ledger::entries::LedgerEntry| {
        (e.kind, e.bucket, e.amount.get(), e.reference)
    };
    page.entries.into_iter().rev().map(entry).collect()
}

async fn closing_pays_the_cash_out_and_forfeits_the_rest(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    credit(&world.store, world.account, Bucket::Free, 5).await;
    credit(&world.store, world.account, Bucket::Bonus, 7).await;
    let debit = otp(world.account, 1);
    world.debit(std::slice::from_ref(&debit)).await;
    let closing = world.store.ledger().close_account(world.account, NOW).await.unwrap();
    let closing = closing.unwrap();
    assert!(closing.new);
    assert_eq!(closing.taken, held(0, 0, 9 * COST + 12));
    assert_eq!(closing.reference.as_deref(), Some("closing-1"));
    assert_eq!(closing.under_way, 1);
    assert_eq!(world.held().await, Buckets::default());
    let last = entries(&world).await.pop().unwrap();
    assert_eq!(
        last,
        (EntryKind::Payout, Bucket::Balance, -(9 * COST + 12), Some("closing-1".to_owned()))
    );
    world.assert_sound().await;
}

async fn a_refund_after_the_closing_is_paid_out_by_the_next(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    credit(&world.store, world.account, Bucket::Bonus, COST / 2).await;
    let debits = [otp(world.account, 1), otp(world.account, 2)];
    let outcomes = world.debit(&debits).await;
    let close = async |world: &World| {
        let closing = world.store.ledger().close_account(world.account, NOW).await.unwrap();
        closing.unwrap()
    };
    let first = close(&world).await;
    assert_eq!((first.under_way, first.taken.balance.get()), (2, 8 * COST + COST / 2));
    // The debit took half of its price from the bonus bucket, and the refund returns it there.
    world.settle(&[refunded(&debits[0], paid(&outcomes[0]))]).await;
    assert_eq!(world.held().await, held(0, COST / 2, COST / 2));
    world.assert_sound().await;
    assert_eq!(world.debit(&[otp(world.account, 3)]).await, [DebitOutcome::AccountClosed]);
    let second = close(&world).await;
    assert!(!second.new);
    assert_eq!(second.taken, held(0, COST / 2, COST / 2));
    assert_eq!((second.reference.as_deref(), second.under_way), (Some("closing-2"), 1));
    world.settle(&[delivered(&debits[1], paid(&outcomes[1]))]).await;
    let third = close(&world).await;
    assert_eq!((third.taken, third.reference, third.under_way), (Buckets::default(), None, 0));
    let kinds: Vec<_> = entries(&world).await.iter().map(|e| e.0).rev().take(5).collect();
    assert_eq!(
        kinds,
        [
            EntryKind::Payout,
            EntryKind::Forfeit,
            EntryKind::Refund,
            EntryKind::Refund,
            EntryKind::Payout,
        ]
    );
    world.assert_sound().await;
}

/// A node debits and refunds continuously while a command closes the account, twice.
async fn a_closed_wallet_is_exact_with_debits_in_flight(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 1_000 * COST).await;
    let command = database.open().await;
    let account = world.account;
    let started = Arc::new(tokio::sync::Notify::new());
    let signal = started.clone();
    let traffic = async {
        let mut refused = 0;
        for n in 0.. {
            let debits: Vec<Debit> = (0..4).map(|k| otp(account, 4 * n + k)).collect();
            let outcomes = world.debit(&debits).await;
            let mut ends = Vec::new();
            for (debit, outcome) in debits.iter().zip(&outcomes) {
                match outcome {
                    DebitOutcome::Posted { parts, .. } => ends.push(refunded(debit, *parts)),
                    DebitOutcome::AccountClosed => refused += 1,
                    other => panic!("{other:?}"),
                }
            }
            if n == 3 {
                signal.notify_one();
            }
            world.settle(&ends[..ends.len() / 2]).await;
            if refused > 0 {
                world.settle(&ends[ends.len() / 2..]).await;
                return;
            }
        }
    };
    let closing = async {
        started.notified().await;
        let closing = command.ledger().close_account(account, NOW).await.unwrap();
        closing.unwrap()
    };
    let ((), first) = tokio::join!(traffic, closing);
    assert!(first.new && first.taken.balance.get() > 0);
    world.assert_sound().await;
    let second = command.ledger().close_account(account, NOW).await.unwrap().unwrap();
    assert_eq!(world.held().await, Buckets::default());
    world.assert_sound().await;
    let sum = |kind: EntryKind, entries: &[(EntryKind, Bucket, i64, Option<String>)]| {
        let of_kind = entries.iter().filter(|e| e.0 == kind);
        of_kind.map(|e| e.2).sum::<i64>()
    };
    let entries = entries(&world).await;
    assert_eq!(
        -sum(EntryKind::Payout, &entries),
        first.taken.balance.get() + second.taken.balance.get()
    );
    assert_eq!(
        1_000 * COST,
        -sum(EntryKind::Debit, &entries)
            - sum(EntryKind::Refund, &entries)
            - sum(EntryKind::Payout, &entries)
    );
}

async fn a_correction_applies_once_and_never_overdraws(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    // Cache the wallet before a command corrects it.
    world.debit(&[otp(world.account, 1)]).await;
    let correction = |amount: i64, reference| Correction {
        account_id: world.account,
        bucket: Bucket::Balance,
        amount: Micros::new(amount),
        reference,
        note: Some("credited twice"),
        at_ms: NOW,
    };
    let store = world.store.clone();
    let (take, more, nothing, back) = (
        correction(-3 * COST, "fix-1"),
        correction(-6 * COST - 1, "fix-2"),
        correction(0, "fix-3"),
        correction(COST, "fix-4"),
    );
    let first = store.ledger().correct_wallet(take).await.unwrap();
    assert_eq!((first.new, first.buckets), (true, held(0, 0, 6 * COST)));
    let again = store.ledger().correct_wallet(take).await.unwrap();
    assert_eq!((again.new, again.buckets), (false, held(0, 0, 6 * COST)));
    for (correction, conflict) in [
        (more, Conflict::BucketShort { held: Micros::new(6 * COST) }),
        (nothing, Conflict::CorrectionZero),
    ] {
        match store.ledger().correct_wallet(correction).await.unwrap_err() {
            StoreError::Conflict(found) => assert_eq!(found, conflict),
            other => panic!("{other}"),
        }
    }
    let back = store.ledger().correct_wallet(back).await.unwrap();
    assert_eq!(back.buckets, held(0, 0, 7 * COST));
    let outcomes = world.debit(&[otp(world.account, 2)]).await;
    assert!(
        matches!(outcomes[0], DebitOutcome::Posted { after, .. } if after == held(0, 0, 6 * COST))
    );
    let page =
        store.ledger().entries(world.account, &LedgerFilter::default(), None, 3).await.unwrap();
    assert_eq!(page.entries[2].note.as_deref(), Some("credited twice"));
    assert_eq!(page.entries[2].reference.as_deref(), Some("fix-1"));
    world.assert_sound().await;
}

/// Whether the price is refunded under each policy: carrier, never, undelivered.
const KEPT: [bool; 3] = [false, false, false];
const REFUNDED_UNLESS_NEVER: [bool; 3] = [true, false, true];
const REFUNDED_IF_UNDELIVERED: [bool; 3] = [false, false, true];

fn rejected(code: u16, after_ringing: bool) -> Ending {
    Ending::Call(CallEnd::Rejected { code, after_ringing })
}

/// The contract's table of final states, checked row by row in the ledger.
async fn each_refund_policy_covers_every_outcome(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10_000 * COST).await;
    credit(&world.store, world.account, Bucket::Bonus, COST / 2).await;
    let rows = [
        (Ending::Call(CallEnd::Delivered), None, "success", KEPT),
        (
            Ending::Call(CallEnd::PartialPlayback),
            Some("partial_playback"),
            "hangup",
            REFUNDED_IF_UNDELIVERED,
        ),
        (rejected(486, true), Some("busy"), "busy", REFUNDED_IF_UNDELIVERED),
        (rejected(600, false), Some("busy"), "busy", REFUNDED_IF_UNDELIVERED),
        (rejected(603, true), Some("declined"), "declined", REFUNDED_IF_UNDELIVERED),
        (rejected(403, false), Some("declined"), "declined", REFUNDED_IF_UNDELIVERED),
        (rejected(433, false), Some("declined"), "declined", REFUNDED_IF_UNDELIVERED),
        (rejected(607, true), Some("declined"), "declined", REFUNDED_IF_UNDELIVERED),
        (Ending::Call(CallEnd::NoAnswer), Some("no_answer"), "no_answer", REFUNDED_IF_UNDELIVERED),
        (rejected(487, true), Some("no_answer"), "no_answer", REFUNDED_IF_UNDELIVERED),
        (rejected(408, true), Some("no_answer"), "no_answer", REFUNDED_IF_UNDELIVERED),
        (rejected(480, true), Some("no_answer"), "no_answer", REFUNDED_IF_UNDELIVERED),
        (rejected(480, false), Some("unreachable"), "unreachable", REFUNDED_UNLESS_NEVER),
        (rejected(410, true), Some("unreachable"), "unreachable", REFUNDED_UNLESS_NEVER),
        (rejected(404, false), Some("invalid_number"), "invalid_number", REFUNDED_UNLESS_NEVER),
        (rejected(484, false), Some("invalid_number"), "invalid_number", REFUNDED_UNLESS_NEVER),
        (rejected(604, true), Some("invalid_number"), "invalid_number", REFUNDED_UNLESS_NEVER),
        (rejected(503, true), Some("carrier_error"), "503", REFUNDED_UNLESS_NEVER),
        (rejected(400, false), Some("carrier_error"), "400", REFUNDED_UNLESS_NEVER),
        (rejected(606, true), Some("carrier_error"), "606", REFUNDED_UNLESS_NEVER),
        (
            Ending::Call(CallEnd::MediaLost),
            Some("carrier_error"),
            "media_lost",
            REFUNDED_UNLESS_NEVER,
        ),
        (
            Ending::Call(CallEnd::TransportLost),
            Some("carrier_error"),
            "transport_lost",
            REFUNDED_UNLESS_NEVER,
        ),
        (
            Ending::Call(CallEnd::Abandoned),
            Some("interrupted"),
            "interrupted",
            REFUNDED_UNLESS_NEVER,
        ),
        (Ending::Interrupted, Some("interrupted"), "interrupted", REFUNDED_UNLESS_NEVER),
    ];
    let policies = [RefundPolicy::Carrier, RefundPolicy::Never, RefundPolicy::Undelivered];
    let mut number = 0;
    for (ending, error_code, carrier_status, refunds) in rows {
        for (policy, refund) in policies.into_iter().zip(refunds) {
            number += 1;
            let what = format!("{ending:?} under {policy:?}");
            let debit = otp(world.account, number);
            let before = world.held().await;
            let outcome = world.debit(std::slice::from_ref(&debit)).await[0];
            let end = Outcome::of(&ending, policy);
            assert_eq!(end.error_code, error_code, "{what}");
            assert_eq!(end.carrier_status, carrier_status, "{what}");
            let status = match error_code {
                None => Status::Delivered,
                Some(_) => Status::Failed,
            };
            let settlement = Settlement {
                status: end.status,
                error_code: end.error_code,
                carrier_status: Some(end.carrier_status),
                refund: end.refund,
                ..delivered(&debit, paid(&outcome))
            };
            world.settle(&[settlement.clone(), settlement.clone()]).await;
            world.settle(&[settlement]).await;
            let after = match refund {
                true => before,
                false => before.debit(Micros::new(COST)).unwrap().0,
            };
            assert_eq!(world.held().await, after, "{what}");
            let kept = world.store.deliveries().get(world.account, debit.delivery_id);
            assert_eq!(kept.await.unwrap().unwrap().status, status, "{what}");
        }
    }
    world.assert_sound().await;
}
