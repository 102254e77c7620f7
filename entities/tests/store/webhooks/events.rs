//! The events that endpoints choose.

use std::collections::HashMap;
use std::sync::Arc;

use nexo_domain::call::outcome::Status;
use nexo_domain::ids::{EndpointId, VerificationId};
use nexo_domain::webhook::Event;
use nexo_entities::store::ledger::posting::Settlement;
use nexo_entities::store::webhooks::attempts::{ClaimLimits, FinishedAttempt};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::database::Database;
use crate::world::{
    COST, NOW, World, account, delivered, delivered_event, endpoint_for, otp, paid, refunded,
};

on_both!(
    an_end_queues_attempts_only_for_endpoints_that_want_its_type,
    changed_events_hold_for_the_next_end_and_for_no_other_account,
    an_endpoint_without_an_end_that_it_did_not_choose_is_sound,
    the_end_of_a_verification_is_another_event_than_that_of_its_otp,
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

async fn the_end_of_a_verification_is_another_event_than_that_of_its_otp(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let url = "https://hooks.example.com";
    let hook = endpoint_for(&world.store, world.account, url, "otp.*,verification.*").await;
    end(&mut world, 1, Status::Delivered, 25_000).await;
    let verification = VerificationId(Uuid::from_u128(9));
    let id = match world.store.is_sqlite() {
        true => ("randomblob(16)", "x'00000000000000000000000000000009'"),
        false => ("gen_random_uuid()", "'00000000-0000-0000-0000-000000000009'"),
    };
    let sql = format!(
        "INSERT INTO webhook_attempts (id, endpoint_id, account_id, delivery_id, event_type, body, \
         status, created_at_ms, verification_id) SELECT {}, endpoint_id, account_id, delivery_id, \
         'verification.approved', '{{}}', 'pending', created_at_ms + 1, {} FROM webhook_attempts",
        id.0, id.1
    );
    world.store.connection().execute_unprepared(&sql).await.unwrap();
    let webhooks = world.store.webhooks();
    let told = webhooks.verification_attempts(verification).await.unwrap();
    assert_eq!((told.len(), told[0].verification_id), (1, Some(verification)));
    let delivery = told[0].delivery_id;
    let otp = webhooks.delivery_attempts(delivery).await.unwrap();
    assert_eq!((otp.len(), otp[0].event_type.as_str()), (1, "otp.delivered"));

    // A receiver tells them apart by their ids.
    let all = ClaimLimits { attempts: 10, per_endpoint: 10 };
    let claimed = webhooks.claim(&world.node, &HashMap::new(), all, NOW).await.unwrap();
    let ids: Vec<_> = claimed.iter().map(|attempt| attempt.event_id()).collect();
    assert_eq!(ids, [delivery.0, verification.0]);
    assert!(claimed.iter().all(|attempt| attempt.delivery_id == delivery));
    let results = [(otp[0].id, false), (told[0].id, true)];
    let results = results.map(|(id, delivered)| FinishedAttempt {
        id,
        delivered,
        status_code: None,
        duration_ms: 1,
        response_head: None,
        error: None,
        finished_at_ms: NOW + 60_000,
    });
    webhooks.finish(&results).await.unwrap();

    // The OTP's event failed, although a later one of the same delivery arrived.
    let replayed = webhooks.replay_failed(world.account, hook, NOW, 10, NOW + 70_000).await;
    assert_eq!(replayed.unwrap(), 1);
    assert_eq!(webhooks.delivery_attempts(delivery).await.unwrap().len(), 2);
    let replay = webhooks.replay(told[0].id, Some(world.account), NOW + 70_000).await.unwrap();
    let replay = webhooks.attempt(replay).await.unwrap().unwrap();
    assert_eq!((replay.verification_id, replay.delivery_id), (Some(verification), delivery));

    // One does not stand for the other.
    world.assert_sound().await;
    let lose = "DELETE FROM webhook_attempts WHERE event_type = 'otp.delivered'";
    world.store.connection().execute_unprepared(lose).await.unwrap();
    let checks = world.store.ledger().audit(NOW).await.unwrap();
    assert!(checks.iter().any(|check| check.name == "every_end_is_told" && !check.ok));
}
