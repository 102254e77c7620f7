//! Debits and settlements of one wallet actor.

use std::sync::Arc;

use nexo_domain::billing::ledger::{Bucket, Buckets, Parts};
use nexo_domain::call::outcome::{NO_ROUTE, Status};
use nexo_domain::ids::{AccountId, KeyId};
use nexo_domain::money::Micros;
use nexo_entities::store::cluster::nodes::NodeStart;
use nexo_entities::store::ledger::posting::{Debit, DebitOutcome, Settlement};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::database::Database;
use crate::world::{COST, NOW, World, call, credit, delivered, otp, paid, phone, refunded};

on_both!(
    a_posted_debit_is_a_delivery_an_entry_and_a_window,
    a_debit_without_funds_in_a_batch_fails_alone,
    a_debit_for_a_closed_account_is_refused_with_a_warm_cache,
    a_batch_larger_than_any_statement_is_posted_completely,
    a_second_debit_for_a_phone_waits_until_its_window_is_over,
    a_test_key_has_its_own_windows_and_writes_no_entries,
    a_settlement_is_written_once,
    a_settlement_of_an_earlier_epoch_is_not_written,
    a_refund_goes_back_to_the_buckets_it_came_from,
    a_released_window_lets_the_next_otp_in,
    a_refund_pays_for_a_debit_of_the_same_batch,
    ledger_entries_cannot_be_changed,
);

fn cash(balance: i64) -> Buckets {
    Buckets { balance: Micros::new(balance), ..Buckets::default() }
}

async fn a_posted_debit_is_a_delivery_an_entry_and_a_window(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 100_000).await;
    let debit = otp(world.account, 1);
    let outcome = world.debit(std::slice::from_ref(&debit)).await;
    let parts = Parts { balance: Micros::new(COST), ..Parts::default() };
    let after = cash(78_000);
    assert_eq!(outcome, [DebitOutcome::Posted { parts, after }]);
    assert_eq!(world.held().await, after);

    let delivery = world.store.deliveries().get(world.account, debit.delivery_id).await;
    let delivery = delivery.unwrap().unwrap();
    assert_eq!(delivery.status, Status::Sent);
    assert_eq!((delivery.phone.whole().unwrap(), delivery.carrier), (debit.phone, debit.carrier));
    assert_eq!(delivery.cost, debit.cost);
    assert_eq!((delivery.completed_at_ms, delivery.carrier_status), (None, None));
    let foreign = AccountId(Uuid::from_u128(1));
    let hidden = world.store.deliveries().get(foreign, debit.delivery_id).await;
    assert_eq!(hidden.unwrap(), None);

    let open = world.store.phone_windows().held_windows(NOW).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].phone, open[0].until_ms), (debit.phone, NOW + 30_000));
    assert_eq!((open[0].delivery_id, open[0].carrier), (debit.delivery_id, debit.carrier));
    assert_eq!(world.store.phone_windows().held_windows(NOW + 30_000).await.unwrap(), []);
    assert_eq!(world.store.phone_windows().delete_ended(NOW + 29_999).await.unwrap(), 0);
    let in_a_table = u64::from(!world.store.is_sqlite());
    let dropped = world.store.phone_windows().delete_ended(NOW + 30_000).await.unwrap();
    assert_eq!(dropped, in_a_table);
    world.assert_sound().await;
}

async fn a_debit_without_funds_in_a_batch_fails_alone(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 2 * COST + 5).await;
    let mut debits: Vec<Debit> = (0..4).map(|n| otp(world.account, n)).collect();
    debits[3].cost = Micros::new(5);
    let outcomes = world.debit(&debits).await;
    paid(&outcomes[0]);
    paid(&outcomes[1]);
    let total = Micros::new(5);
    assert_eq!(outcomes[2], DebitOutcome::FundsShort { total });
    paid(&outcomes[3]);
    assert_eq!(world.held().await.total(), Micros::ZERO);
    let none = world.store.deliveries().get(world.account, debits[2].delivery_id).await;
    assert_eq!(none.unwrap(), None);
    // The phone of the refused debit was not claimed.
    assert_eq!(world.store.phone_windows().held_windows(NOW).await.unwrap().len(), 3);
    world.assert_sound().await;
}

async fn a_debit_for_a_closed_account_is_refused_with_a_warm_cache(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 100_000).await;
    paid(&world.debit(&[otp(world.account, 1)]).await[0]);
    let closing = world.store.ledger().close_account(world.account, NOW).await.unwrap();
    assert!(closing.unwrap().new);
    let outcomes = world.debit(&[otp(world.account, 2)]).await;
    assert_eq!(outcomes, [DebitOutcome::AccountClosed]);
    let unknown = world.debit(&[otp(AccountId(Uuid::from_u128(1)), 3)]).await;
    assert_eq!(unknown, [DebitOutcome::AccountClosed]);
    world.assert_sound().await;
}

async fn a_batch_larger_than_any_statement_is_posted_completely(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 1_000 * COST).await;
    let debits: Vec<Debit> = (0..1_001).map(|n| otp(world.account, n)).collect();
    let outcomes = world.debit(&debits).await;
    outcomes[..1_000].iter().for_each(|outcome| {
        paid(outcome);
    });
    let total = Micros::ZERO;
    assert_eq!(outcomes[1_000], DebitOutcome::FundsShort { total });
    let settlements: Vec<Settlement> = debits
        .iter()
        .zip(&outcomes[..1_000])
        .map(|(debit, outcome)| refunded(debit, paid(outcome)))
        .collect();
    assert!(world.settle(&settlements).await.iter().all(|settled| *settled));
    assert_eq!(world.held().await, cash(1_000 * COST));
    world.assert_sound().await;
}

async fn a_second_debit_for_a_phone_waits_until_its_window_is_over(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 100_000).await;
    let until_ms = NOW + 30_000;
    let closed = DebitOutcome::WindowHeld { until_ms };
    let at = |ms: i64| Debit {
        created_at_ms: NOW + ms,
        window_from_ms: NOW + ms,
        window_until_ms: NOW + ms + 30_000,
        ..otp(world.account, 1)
    };
    let (first, same_batch, too_early, on_time) = (at(0), at(1), at(29_999), at(30_000));
    let outcomes = world.debit(&[first, same_batch]).await;
    paid(&outcomes[0]);
    assert_eq!(outcomes[1], closed);
    assert_eq!(world.debit(&[too_early]).await, [closed]);
    paid(&world.debit(&[on_time]).await[0]);
    assert_eq!(world.held().await, cash(100_000 - 2 * COST));
    world.assert_sound().await;
}

async fn a_test_key_has_its_own_windows_and_writes_no_entries(database: Arc<Database>) {
    let mut world = World::with_balance(&database, COST).await;
    let test = Debit {
        test: true,
        key_id: KeyId(Uuid::from_u128(8)),
        cost: Micros::ZERO,
        ..otp(world.account, 1)
    };
    let outcomes = world.debit(&[test.clone(), otp(world.account, 1)]).await;
    assert_eq!(paid(&outcomes[0]), Parts::default());
    assert_eq!(paid(&outcomes[1]).total(), Micros::new(COST));
    let again = Debit { delivery_id: otp(world.account, 1).delivery_id, ..test.clone() };
    let until_ms = NOW + 30_000;
    assert_eq!(world.debit(&[again]).await, [DebitOutcome::WindowHeld { until_ms }]);
    assert_eq!(world.settle(&[refunded(&test, Parts::default())]).await, [true]);
    assert_eq!(world.held().await.total(), Micros::ZERO);
    world.assert_sound().await;
}

async fn a_settlement_is_written_once(database: Arc<Database>) {
    let mut world = World::with_balance(&database, COST).await;
    let debit = otp(world.account, 1);
    let parts = paid(&world.debit(std::slice::from_ref(&debit)).await[0]);
    let failed = Settlement { attempts: vec![call(1), call(2)], ..refunded(&debit, parts) };
    let late = delivered(&debit, parts);
    let batch = [failed.clone(), failed.clone(), late.clone()];
    assert_eq!(world.settle(&batch).await, [true, false, false]);
    assert_eq!(world.settle(&[late, failed.clone()]).await, [false, false]);
    assert_eq!(world.held().await, cash(COST));

    let delivery = world.store.deliveries().get(world.account, debit.delivery_id).await;
    let delivery = delivery.unwrap().unwrap();
    assert_eq!(delivery.status, Status::Failed);
    assert_eq!(delivery.error_code.as_deref(), Some("carrier_error"));
    assert_eq!(delivery.carrier_status.as_deref(), Some("503"));
    assert_eq!(delivery.completed_at_ms, Some(NOW + 25_000));
    let calls = world.store.deliveries().call_attempts(debit.delivery_id).await.unwrap();
    assert_eq!(calls, failed.attempts);
    world.assert_sound().await;
}

async fn a_settlement_of_an_earlier_epoch_is_not_written(database: Arc<Database>) {
    let mut world = World::with_balance(&database, COST).await;
    let debit = otp(world.account, 1);
    let parts = paid(&world.debit(std::slice::from_ref(&debit)).await[0]);
    let next_life =
        world.store.cluster().start_node(NodeStart::exclusive("n1", NOW)).await.unwrap();
    assert_eq!(next_life.epoch, world.node.epoch + 1);
    assert_eq!(world.settle(&[delivered(&debit, parts)]).await, [false]);
    world.node = next_life;
    assert_eq!(world.settle(&[delivered(&debit, parts)]).await, [true]);
}

async fn a_refund_goes_back_to_the_buckets_it_came_from(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 100_000).await;
    credit(&world.store, world.account, Bucket::Free, 10_000).await;
    credit(&world.store, world.account, Bucket::Bonus, 5_000).await;
    let before = world.held().await;
    let debit = otp(world.account, 1);
    let parts = paid(&world.debit(std::slice::from_ref(&debit)).await[0]);
    assert_eq!(
        parts.taken().map(|(_, part)| part.get()).collect::<Vec<_>>(),
        [10_000, 5_000, 7_000]
    );
    assert_eq!(world.held().await, cash(93_000));
    assert_eq!(world.settle(&[refunded(&debit, parts)]).await, [true]);
    assert_eq!(world.held().await, before);
    assert_eq!(world.cache.buckets(world.account), Some(before));
    world.assert_sound().await;
}

async fn a_released_window_lets_the_next_otp_in(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 100_000).await;
    let debit = otp(world.account, 1);
    let parts = paid(&world.debit(std::slice::from_ref(&debit)).await[0]);
    let rejected =
        Settlement { error_code: Some(NO_ROUTE), release_window: true, ..refunded(&debit, parts) };
    // Released and claimed again in one batch.
    let next = otp(world.account, 1);
    let committed =
        world.commit(std::slice::from_ref(&next), std::slice::from_ref(&rejected)).await;
    paid(&committed.debits[0]);
    // The window now belongs to the second delivery: settling the first again releases nothing.
    assert_eq!(world.settle(&[rejected]).await, [false]);
    let open = world.store.phone_windows().held_windows(NOW).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].phone, open[0].delivery_id), (phone(1), next.delivery_id));
    world.assert_sound().await;
}

async fn a_refund_pays_for_a_debit_of_the_same_batch(database: Arc<Database>) {
    let mut world = World::with_balance(&database, COST).await;
    let debit = otp(world.account, 1);
    let parts = paid(&world.debit(std::slice::from_ref(&debit)).await[0]);
    let next = otp(world.account, 2);
    let committed = world.commit(&[next], &[refunded(&debit, parts)]).await;
    assert_eq!(paid(&committed.debits[0]), parts);
    assert_eq!(world.held().await.total(), Micros::ZERO);
    world.assert_sound().await;
}

async fn ledger_entries_cannot_be_changed(database: Arc<Database>) {
    let mut world = World::with_balance(&database, COST).await;
    paid(&world.debit(&[otp(world.account, 1)]).await[0]);
    let mut attempts = vec![
        "UPDATE ledger_entries SET amount_micros = 1 WHERE kind = 'deposit'",
        "DELETE FROM ledger_entries",
    ];
    if !world.store.is_sqlite() {
        attempts.push("TRUNCATE ledger_entries");
    }
    for sql in attempts {
        let refused = world.store.connection().execute_unprepared(sql).await;
        let message = refused.expect_err(sql).to_string();
        assert!(message.contains("ledger_entries is append-only"), "{message}");
    }
    world.assert_sound().await;
}
