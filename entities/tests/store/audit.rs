//! The audit finds what is wrong.

use std::sync::Arc;

use sea_orm::ConnectionTrait;

use crate::database::Database;
use crate::world::{COST, NOW, World, otp, paid, refunded};

on_both!(
    a_sound_ledger_passes_with_its_figures,
    each_broken_invariant_is_named,
    a_delivery_without_an_end_is_overdue,
);

async fn broken(world: &World, at_ms: i64) -> Vec<&'static str> {
    let checks = world.store.audit(at_ms).await.unwrap();
    checks
        .iter()
        .filter(|check| !check.ok)
        .map(|check| check.name)
        .collect()
}

async fn a_sound_ledger_passes_with_its_figures(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let debits = [otp(world.account, 1), otp(world.account, 2)];
    let outcomes = world.debit(&debits).await;
    world
        .settle(&[refunded(&debits[0], paid(&outcomes[0]))])
        .await;
    assert_eq!(broken(&world, NOW).await, Vec::<&str>::new());
    let checks = world.store.audit(NOW).await.unwrap();
    let totals = &checks.last().unwrap().detail;
    assert_eq!(
        totals,
        "came in 0.220, spent 0.022, held 0.198 USD in 4 entries"
    );
}

async fn each_broken_invariant_is_named(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let debit = otp(world.account, 1);
    world.debit(std::slice::from_ref(&debit)).await;
    let tamper = |sql: &'static str| world.store.connection().execute_unprepared(sql);

    tamper("UPDATE wallets SET balance_micros = balance_micros + 1")
        .await
        .unwrap();
    let wrong = ["wallets_equal_their_entries", "totals_balance"];
    assert_eq!(broken(&world, NOW).await, wrong);
    tamper("UPDATE wallets SET balance_micros = balance_micros - 1")
        .await
        .unwrap();

    tamper("UPDATE deliveries SET cost_micros = cost_micros + 1")
        .await
        .unwrap();
    assert_eq!(
        broken(&world, NOW).await,
        ["every_delivery_is_paid_exactly"]
    );
    tamper("UPDATE deliveries SET cost_micros = cost_micros - 1")
        .await
        .unwrap();

    // A refund of a delivery that did not fail, and only of a part.
    let refund = "INSERT INTO ledger_entries (account_id, posting_id, delivery_id, kind, bucket, \
                  amount_micros, created_at_ms) SELECT account_id, posting_id, delivery_id, \
                  'refund', bucket, 1, created_at_ms FROM ledger_entries WHERE kind = 'debit'";
    tamper(refund).await.unwrap();
    let wrong = [
        "wallets_equal_their_entries",
        "refunds_are_their_debits",
        "refunds_are_whole",
        "totals_balance",
    ];
    assert_eq!(broken(&world, NOW).await, wrong);
    tamper("UPDATE wallets SET balance_micros = balance_micros + 1")
        .await
        .unwrap();

    tamper("DELETE FROM deliveries").await.unwrap();
    tamper("DELETE FROM wallets").await.unwrap();
    let wrong = broken(&world, NOW).await;
    for name in ["every_entry_has_its_wallet", "every_debit_has_its_delivery"] {
        assert!(wrong.contains(&name), "{wrong:?}");
    }
}

async fn a_delivery_without_an_end_is_overdue(database: Arc<Database>) {
    let mut world = World::with_balance(&database, COST).await;
    world.debit(&[otp(world.account, 1)]).await;
    assert_eq!(broken(&world, NOW + 120_000).await, Vec::<&str>::new());
    assert_eq!(
        broken(&world, NOW + 120_001).await,
        ["no_delivery_is_overdue"]
    );
}
