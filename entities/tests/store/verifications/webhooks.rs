//! The webhooks that tell the ends of verifications.

use std::sync::Arc;

use nexo_domain::verification::{MAX_ATTEMPTS, Status};
use nexo_entities::store::ledger::posting::Debit;
use nexo_entities::store::webhooks::attempts::WebhookAttempt;
use nexo_entities::store::webhooks::endpoints::EndpointChange;
use sea_orm::ConnectionTrait;

use super::{LATER_MS, TTL_MS, id, start, status};
use crate::database::Database;
use crate::world::{COST, NOW, World, account, delivered, endpoint_for, paid};

on_both!(
    an_end_is_told_to_the_active_endpoints_of_its_account_that_want_it,
    a_check_that_ends_nothing_and_a_cancellation_are_not_told,
    a_batch_that_expires_is_told_once,
    a_missing_event_is_reported_by_the_audit,
    a_masked_phone_is_masked_in_an_event_that_came_later,
);

async fn started(world: &mut World, number: u32) -> Debit {
    let first = start(world.account, number, NOW);
    paid(&world.debit(std::slice::from_ref(&first)).await[0]);
    first
}

async fn told(world: &World, first: &Debit) -> Vec<WebhookAttempt> {
    world.store.webhooks().verification_attempts(id(first)).await.unwrap()
}

/// Returns the number of queued attempts.
async fn approve(world: &World, first: &Debit, after_ms: i64) -> u64 {
    let verifications = world.store.verifications();
    let approved = verifications.approve(id(first), first.delivery_id, NOW + after_ms).await;
    approved.unwrap().unwrap().webhooks
}

async fn an_end_is_told_to_the_active_endpoints_of_its_account_that_want_it(
    database: Arc<Database>,
) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let stranger = account(&world.store, "b@example.com").await;
    let url = "https://hooks.example.com";
    let all = endpoint_for(&world.store, world.account, url, "otp.*,verification.*").await;
    let one = endpoint_for(&world.store, world.account, url, "verification.approved").await;
    endpoint_for(&world.store, world.account, url, "otp.*,verification.failed").await;
    endpoint_for(&world.store, stranger, url, "verification.*").await;
    let paused = endpoint_for(&world.store, world.account, url, "verification.*").await;
    let pause =
        world.store.webhooks().change_endpoint(world.account, paused, EndpointChange::Pause, NOW);
    assert!(pause.await.unwrap());
    let first = started(&mut world, 1).await;
    assert_eq!(approve(&world, &first, 20_000).await, 2);
    let attempts = told(&world, &first).await;
    let endpoints: Vec<_> = attempts.iter().map(|attempt| attempt.endpoint_id).collect();
    assert_eq!(endpoints, [all, one]);
    for attempt in attempts {
        let begin = format!(
            r#"{{"type":"verification.approved","data":{{"id":"{}","phone":"{}","status":"approved","#,
            id(&first),
            first.phone
        );
        assert!(attempt.body.starts_with(&begin), "{}", attempt.body);
        assert_eq!(attempt.event_type, "verification.approved");
        assert_eq!((attempt.status.as_str(), attempt.created_at_ms), ("pending", NOW + 20_000));
        assert_eq!((attempt.account_id, attempt.delivery_id), (world.account, first.delivery_id));
    }
    world.assert_sound().await;
}

async fn a_check_that_ends_nothing_and_a_cancellation_are_not_told(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let url = "https://hooks.example.com";
    endpoint_for(&world.store, world.account, url, "verification.*").await;
    let (first, second) = (started(&mut world, 1).await, started(&mut world, 2).await);
    let verifications = world.store.verifications();
    for attempt in 1..=MAX_ATTEMPTS {
        let counted = verifications.count_wrong_code(id(&first), NOW + 1).await.unwrap().unwrap();
        assert_eq!(counted.webhooks, u64::from(attempt == MAX_ATTEMPTS), "{attempt}");
    }
    assert_eq!(verifications.count_wrong_code(id(&first), NOW + 1).await.unwrap(), None);
    let attempts = told(&world, &first).await;
    assert_eq!((attempts.len(), attempts[0].event_type.as_str()), (1, "verification.failed"));
    // A new one for the phone cancels the pending one.
    let third = start(world.account, 2, NOW + LATER_MS);
    paid(&world.debit(std::slice::from_ref(&third)).await[0]);
    assert_eq!(status(&world, id(&second)).await, Some(Status::Canceled));
    let verifications = world.store.verifications();
    assert!(verifications.cancel(id(&third), NOW + LATER_MS + 1).await.unwrap().is_some());
    for canceled in [&second, &third] {
        assert_eq!(told(&world, canceled).await, []);
    }
    assert_eq!(world.store.webhooks().backlog().await.unwrap(), 1);
}

async fn a_batch_that_expires_is_told_once(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let other = world.beside(&database, "n2").await;
    let url = "https://hooks.example.com";
    endpoint_for(&world.store, world.account, url, "verification.expired").await;
    let mut all = Vec::new();
    for number in 1..=5 {
        all.push(started(&mut world, number).await);
    }
    let (ours, theirs) = tokio::join!(
        world.store.verifications().mark_expired(NOW + TTL_MS, 3),
        other.store.verifications().mark_expired(NOW + TTL_MS, 3),
    );
    let mut marked = ours.unwrap().len() + theirs.unwrap().len();
    while marked < 5 {
        marked += world.store.verifications().mark_expired(NOW + TTL_MS, 3).await.unwrap().len();
    }
    for first in &all {
        let attempts = told(&world, first).await;
        assert_eq!((attempts.len(), attempts[0].event_type.as_str()), (1, "verification.expired"));
    }
}

async fn a_missing_event_is_reported_by_the_audit(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let url = "https://hooks.example.com";
    endpoint_for(&world.store, world.account, url, "verification.failed").await;
    endpoint_for(&world.store, world.account, url, "verification.approved").await;
    let first = started(&mut world, 1).await;
    // An endpoint counts some seconds after it was added.
    assert_eq!(approve(&world, &first, 20_000).await, 1);
    world.assert_sound().await;
    let lose = "DELETE FROM webhook_attempts WHERE event_type = 'verification.approved'";
    world.store.connection().execute_unprepared(lose).await.unwrap();
    let checks = world.store.ledger().audit(NOW).await.unwrap();
    let broken: Vec<_> = checks.iter().filter(|check| !check.ok).collect();
    assert_eq!((broken.len(), broken[0].name), (1, "every_verification_end_is_told"));
}

async fn a_masked_phone_is_masked_in_an_event_that_came_later(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let url = "https://hooks.example.com";
    endpoint_for(&world.store, world.account, url, "verification.*").await;
    let first = start(world.account, 1, NOW);
    let parts = paid(&world.debit(std::slice::from_ref(&first)).await[0]);
    world.settle(&[delivered(&first, parts)]).await;
    let masked = world.store.deliveries().mask_phones(None, NOW + 1, 10).await.unwrap();
    assert_eq!(masked.deliveries, 1);
    world.store.verifications().mark_expired(NOW + TTL_MS, 10).await.unwrap();
    let whole = first.phone.international();
    assert!(told(&world, &first).await[0].body.contains(&whole));
    let masked = world.store.verifications().mask_phones(None, NOW + 1, 10).await.unwrap();
    assert_eq!(masked.verifications, 1);
    let body = told(&world, &first).await[0].body.clone();
    assert!(!body.contains(&whole) && body.contains("+8498***"), "{body}");
}
