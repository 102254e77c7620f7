//! Deleting old records of test keys: live ones, young ones and the ledger stay.

use std::sync::Arc;

use nexo_domain::ids::DeliveryId;
use nexo_domain::money::Micros;
use nexo_domain::webhook::test_body;
use nexo_entities::store::ledger::posting::{Debit, Settlement};
use sea_orm::{ConnectionTrait, Statement};
use uuid::Uuid;

use crate::database::Database;
use crate::world::{COST, NOW, World, delivered, delivered_event, endpoint, otp_at, paid};

on_both!(old_test_records_are_deleted_and_everything_else_stays);

const DAY_MS: i64 = 86_400_000;

async fn count(world: &World, table: &str) -> i64 {
    let connection = world.store.connection();
    let backend = connection.get_database_backend();
    let sql = format!("SELECT COUNT(*) FROM {table}");
    let row = connection.query_one_raw(Statement::from_string(backend, sql)).await.unwrap();
    row.unwrap().try_get_by_index(0).unwrap()
}

async fn old_test_records_are_deleted_and_everything_else_stays(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let hook = endpoint(&world.store, world.account, "https://one.example.com").await;
    let age = |number: u32, days: i64, test: bool| {
        let debit = otp_at(world.account, number, NOW - days * DAY_MS);
        let cost = if test { Micros::ZERO } else { debit.cost };
        Debit { test, cost, ..debit }
    };
    let debits = [
        age(1, 9, true),
        age(2, 8, true),
        age(3, 6, true),
        age(4, 9, false),
        // This one has not ended.
        age(5, 9, true),
    ];
    let outcomes = world.debit(&debits).await;
    let ends: Vec<Settlement> = debits
        .iter()
        .zip(&outcomes)
        .take(4)
        .map(|(debit, outcome)| Settlement {
            event: Some(delivered_event(debit)),
            ..delivered(debit, paid(outcome))
        })
        .collect();
    assert_eq!(world.settle(&ends).await, [true; 4]);
    let webhooks = world.store.webhooks();
    for days in [9, 6] {
        let id = DeliveryId(Uuid::now_v7());
        let at_ms = NOW - days * DAY_MS;
        let body = test_body(id, at_ms);
        let queued = webhooks.queue_test_event(world.account, hook, id, body, at_ms);
        queued.await.unwrap();
    }
    assert_eq!(count(&world, "webhook_attempts").await, 6);
    let before_ms = NOW - 7 * DAY_MS;
    let deliveries = world.store.deliveries();
    // One batch after the other.
    for deleted in [1, 1, 0] {
        let batch = deliveries.delete_test_deliveries(before_ms, 1).await;
        assert_eq!(batch.unwrap(), deleted);
    }
    for deleted in [1, 0] {
        let batch = deliveries.delete_test_events(before_ms, 10).await;
        assert_eq!(batch.unwrap(), deleted);
    }
    for (index, debit) in debits.iter().enumerate() {
        let kept = deliveries.get(world.account, debit.delivery_id).await;
        assert_eq!(kept.unwrap().is_some(), index > 1, "{index}");
    }
    assert_eq!(count(&world, "deliveries").await, 3);
    assert_eq!(count(&world, "call_attempts").await, 2);
    // Two ends and the younger test event.
    assert_eq!(count(&world, "webhook_attempts").await, 3);
    assert_eq!(world.held().await.total(), Micros::new(9 * COST));
    let checks = world.store.ledger().audit(NOW + 30_000).await.unwrap();
    let broken: Vec<_> =
        checks.iter().filter(|check| !check.ok && check.name != "no_delivery_is_overdue").collect();
    assert!(broken.is_empty(), "{broken:?}");
}
