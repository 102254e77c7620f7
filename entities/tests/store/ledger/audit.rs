//! The audit reports each broken invariant.

use std::sync::Arc;

use nexo_domain::billing::ledger::Bucket;
use nexo_domain::customer_fields::CustomerFields;
use nexo_domain::money::Micros;
use nexo_domain::phone::carrier_plan::CarrierPlan;
use nexo_domain::webhook::Event;
use nexo_entities::store::ledger::posting::Settlement;
use nexo_entities::store::ledger::wallets::Correction;
use nexo_entities::store::webhooks::endpoints::EndpointChange;
use sea_orm::ConnectionTrait;

use crate::database::Database;
use crate::world::{COST, NOW, World, credit, delivered, endpoint, otp, paid, refunded};

on_both!(
    a_sound_ledger_passes_with_its_figures,
    each_broken_invariant_is_reported,
    a_delivery_without_an_end_is_overdue,
    a_second_refund_is_reported,
    a_correction_reference_used_twice_is_reported,
    a_missing_webhook_is_reported,
    a_delivery_that_ends_during_a_pause_needs_no_webhook,
    the_audit_reads_one_snapshot_while_the_wallet_changes,
);

async fn broken(world: &World, at_ms: i64) -> Vec<&'static str> {
    let checks = world.store.ledger().audit(at_ms).await.unwrap();
    checks.iter().filter(|check| !check.ok).map(|check| check.name).collect()
}

async fn a_sound_ledger_passes_with_its_figures(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let debits = [otp(world.account, 1), otp(world.account, 2)];
    let outcomes = world.debit(&debits).await;
    world.settle(&[refunded(&debits[0], paid(&outcomes[0]))]).await;
    assert_eq!(broken(&world, NOW).await, Vec::<&str>::new());
    let checks = world.store.ledger().audit(NOW).await.unwrap();
    let totals = &checks.last().unwrap().detail;
    assert_eq!(totals, "came in 0.220, went out 0.000, spent 0.022, held 0.198 USD in 4 entries");
}

async fn each_broken_invariant_is_reported(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let debit = otp(world.account, 1);
    world.debit(std::slice::from_ref(&debit)).await;
    let tamper = |sql: &'static str| world.store.connection().execute_unprepared(sql);

    tamper("UPDATE wallets SET balance_micros = balance_micros + 1").await.unwrap();
    let wrong = ["wallets_equal_their_entries", "totals_balance"];
    assert_eq!(broken(&world, NOW).await, wrong);
    tamper("UPDATE wallets SET balance_micros = balance_micros - 1").await.unwrap();

    tamper("UPDATE deliveries SET cost_micros = cost_micros + 1").await.unwrap();
    assert_eq!(broken(&world, NOW).await, ["every_delivery_is_paid_exactly"]);
    tamper("UPDATE deliveries SET cost_micros = cost_micros - 1").await.unwrap();

    // A partial refund of a delivery that did not fail.
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
    tamper("UPDATE wallets SET balance_micros = balance_micros + 1").await.unwrap();

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
    assert_eq!(broken(&world, NOW + 120_001).await, ["no_delivery_is_overdue"]);
}

async fn a_second_refund_is_reported(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let debit = otp(world.account, 1);
    let outcome = world.debit(std::slice::from_ref(&debit)).await[0];
    world.settle(&[refunded(&debit, paid(&outcome))]).await;
    // A second refund to another bucket, which the table's own constraint permits.
    let posting = match world.store.is_sqlite() {
        true => "randomblob(16)",
        false => "gen_random_uuid()",
    };
    let again = format!(
        "INSERT INTO ledger_entries (account_id, posting_id, delivery_id, kind, bucket, \
         amount_micros, created_at_ms) SELECT account_id, {posting}, delivery_id, kind, 'bonus', \
         amount_micros, created_at_ms FROM ledger_entries WHERE kind = 'refund'"
    );
    let connection = world.store.connection();
    connection.execute_unprepared(&again).await.unwrap();
    let wrong = broken(&world, NOW).await;
    for name in [
        "deliveries_are_debited_and_refunded_once",
        "refunds_are_their_debits",
        "refunds_are_whole",
    ] {
        assert!(wrong.contains(&name), "{wrong:?}");
    }
}

async fn a_correction_reference_used_twice_is_reported(database: Arc<Database>) {
    let world = World::with_balance(&database, 10 * COST).await;
    let correction = Correction {
        account_id: world.account,
        bucket: Bucket::Balance,
        amount: Micros::new(-COST),
        reference: "fix-1",
        note: None,
        at_ms: NOW,
    };
    world.store.ledger().correct_wallet(correction).await.unwrap();
    world.assert_sound().await;
    let again = "INSERT INTO ledger_entries (account_id, posting_id, kind, bucket, amount_micros, \
                 reference, created_at_ms) SELECT account_id, posting_id, kind, 'bonus', \
                 -amount_micros, reference, created_at_ms FROM ledger_entries \
                 WHERE kind = 'correction'";
    let connection = world.store.connection();
    connection.execute_unprepared(again).await.unwrap();
    let wrong = broken(&world, NOW).await;
    assert!(wrong.contains(&"references_correct_once"), "{wrong:?}");
}

/// A settlement with an event for the account's endpoints, `at` ms after [`NOW`].
fn announced(settlement: Settlement, at: i64) -> Settlement {
    let plan = CarrierPlan::vietnam();
    let event = Event {
        delivery_id: settlement.delivery_id,
        phone: settlement.phone,
        carrier: settlement.phone.carrier(&plan).unwrap(),
        status: settlement.status,
        cost: Micros::new(COST),
        error_code: settlement.error_code,
        created_at_ms: NOW,
        completed_at_ms: NOW + at,
        fields: CustomerFields::default(),
    };
    Settlement { completed_at_ms: NOW + at, event: Some(event), ..settlement }
}

async fn a_missing_webhook_is_reported(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    endpoint(&world.store, world.account, "https://example.com/a").await;
    endpoint(&world.store, world.account, "https://example.com/b").await;
    let debits = [otp(world.account, 1), otp(world.account, 2), otp(world.account, 3)];
    let outcomes = world.debit(&debits).await;
    let unrouted = Settlement {
        error_code: Some("no_route"),
        release_window: true,
        ..refunded(&debits[2], paid(&outcomes[2]))
    };
    world
        .settle(&[
            announced(delivered(&debits[0], paid(&outcomes[0])), 25_000),
            announced(refunded(&debits[1], paid(&outcomes[1])), 25_000),
            unrouted,
        ])
        .await;
    world.assert_sound().await;
    let connection = world.store.connection();
    let lose = "DELETE FROM webhook_attempts WHERE id = (SELECT id FROM webhook_attempts LIMIT 1)";
    connection.execute_unprepared(lose).await.unwrap();
    assert_eq!(broken(&world, NOW).await, ["every_end_is_told"]);
}

async fn a_delivery_that_ends_during_a_pause_needs_no_webhook(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let endpoint = endpoint(&world.store, world.account, "https://example.com").await;
    let debits = [otp(world.account, 1), otp(world.account, 2)];
    let outcomes = world.debit(&debits).await;
    let change = async |world: &World, change, at: i64| {
        let changed =
            world.store.webhooks().change_endpoint(world.account, endpoint, change, NOW + at);
        assert!(changed.await.unwrap());
    };
    change(&world, EndpointChange::Pause, 100_000).await;
    world.cache.invalidate_endpoints(world.account);
    world.settle(&[announced(delivered(&debits[0], paid(&outcomes[0])), 150_000)]).await;
    world.assert_sound().await;
    change(&world, EndpointChange::Resume, 200_000).await;
    world.cache.invalidate_endpoints(world.account);
    world.assert_sound().await;
    // A delivery that ends after the pause needs a webhook.
    let unannounced =
        Settlement { completed_at_ms: NOW + 300_000, ..delivered(&debits[1], paid(&outcomes[1])) };
    world.settle(&[unannounced]).await;
    assert_eq!(broken(&world, NOW).await, ["every_end_is_told"]);
    change(&world, EndpointChange::Remove, 310_000).await;
    world.assert_sound().await;
}

async fn the_audit_reads_one_snapshot_while_the_wallet_changes(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 1_000 * COST).await;
    let store = world.store.clone();
    let account = world.account;
    let moving = async {
        for n in 0..40 {
            let debits = [otp(account, 2 * n), otp(account, 2 * n + 1)];
            let outcomes = world.debit(&debits).await;
            world.settle(&[refunded(&debits[0], paid(&outcomes[0]))]).await;
            credit(&world.store, account, Bucket::Bonus, 3).await;
        }
    };
    let auditing = async {
        for _ in 0..20 {
            let checks = store.ledger().audit(NOW).await.unwrap();
            let broken: Vec<_> = checks.iter().filter(|check| !check.ok).collect();
            assert!(broken.is_empty(), "{broken:?}");
        }
    };
    tokio::join!(moving, auditing);
}
