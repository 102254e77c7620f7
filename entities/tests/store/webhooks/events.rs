//! The events that endpoints choose.

use std::sync::Arc;

use nexo_domain::call::outcome::Status;
use nexo_domain::ids::EndpointId;
use nexo_domain::webhook::Event;
use nexo_entities::store::ledger::posting::Settlement;
use sea_orm::ConnectionTrait;

use crate::database::Database;
use crate::world::{
    COST, NOW, World, account, delivered, delivered_event, endpoint_for, otp, paid, refunded,
};

on_both!(
    an_end_queues_attempts_only_for_endpoints_that_want_its_type,
    changed_events_hold_for_the_next_end_and_for_no_other_account,
    an_endpoint_without_an_end_that_it_did_not_choose_is_sound,
);

/// Ends one OTP `at_ms` after [`NOW`]. Returns the endpoints with an attempt.
async fn end(world: &mut World, number: u32, status: Status, at_ms: i64) -> Vec<EndpointId> {
    let debit = otp(world.account, number);
    let parts = paid(&world.debit(std::slice::from_ref(&debit)).await[0]);
    let settlement = match status {
        Status::Delivered => delivered(&debit, parts),
        Status::Sent | Status::Failed => refunded(&debit, parts),
    };
    let event = Event { status, completed_at_ms: NOW + at_ms, ..delivered_event(&debit) };
    let ended =
        Settlement { status, completed_at_ms: NOW + at_ms, event: Some(event), ..settlement };
    assert_eq!(world.commit(&[], &[ended]).await.settled, [true]);
    let attempts = world.store.webhooks().delivery_attempts(debit.delivery_id).await.unwrap();
    attempts.into_iter().map(|attempt| attempt.endpoint_id).collect()
}

async fn an_end_queues_attempts_only_for_endpoints_that_want_its_type(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let mut ids = Vec::new();
    for events in ["otp.*", "otp.delivered", "otp.failed,verification.*", "verification.*"] {
        let url = "https://hooks.example.com";
        ids.push(endpoint_for(&world.store, world.account, url, events).await);
    }
    let stored = world.store.webhooks().endpoints(Some(world.account)).await.unwrap();
    assert_eq!(stored[2].events.to_string(), "otp.failed,verification.*");
    assert_eq!(end(&mut world, 1, Status::Delivered, 25_000).await, [ids[0], ids[1]]);
    assert_eq!(end(&mut world, 2, Status::Failed, 25_000).await, [ids[0], ids[2]]);
    world.assert_sound().await;
}

async fn changed_events_hold_for_the_next_end_and_for_no_other_account(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let stranger = account(&world.store, "b@example.com").await;
    let url = "https://hooks.example.com";
    let id = endpoint_for(&world.store, world.account, url, "verification.*").await;
    assert_eq!(end(&mut world, 1, Status::Delivered, 25_000).await, []);

    let webhooks = world.store.webhooks();
    let events = "otp.failed".parse().unwrap();
    let at_ms = NOW + 50_000;
    assert!(!webhooks.choose_events(stranger, id, events, at_ms).await.unwrap());
    assert!(webhooks.choose_events(world.account, id, events, at_ms).await.unwrap());
    world.cache.invalidate_endpoints(world.account);
    assert_eq!(end(&mut world, 2, Status::Failed, 75_000).await, [id]);
    assert_eq!(end(&mut world, 3, Status::Delivered, 75_000).await, []);
    world.assert_sound().await;
}

async fn an_endpoint_without_an_end_that_it_did_not_choose_is_sound(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let url = "https://hooks.example.com";
    endpoint_for(&world.store, world.account, url, "verification.*,otp.failed").await;
    assert_eq!(end(&mut world, 1, Status::Delivered, 25_000).await, []);
    world.assert_sound().await;
    assert_eq!(end(&mut world, 2, Status::Failed, 25_000).await.len(), 1);
    world.assert_sound().await;
    let lose = "DELETE FROM webhook_attempts";
    world.store.connection().execute_unprepared(lose).await.unwrap();
    let checks = world.store.ledger().audit(NOW).await.unwrap();
    let broken: Vec<_> = checks.iter().filter(|check| !check.ok).collect();
    assert_eq!((broken.len(), broken[0].name), (1, "every_end_is_told"));
    assert!(broken[0].detail.starts_with("1 ends"), "{broken:?}");
}
