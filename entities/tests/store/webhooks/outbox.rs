//! Webhook endpoints and the outbox.

use std::sync::Arc;

use nexo_domain::ids::{EndpointId, WebhookAttemptId};
use nexo_domain::webhook::events::EventFilter;
use nexo_domain::webhook::{HashedSecret, MAX_ENDPOINTS};
use nexo_entities::store::cluster::nodes::NodeStart;
use nexo_entities::store::deliveries::daily_stats::DAY_MS;
use nexo_entities::store::ledger::posting::Settlement;
use nexo_entities::store::operations::operator_log::Operator;
use nexo_entities::store::webhooks::attempts::{ClaimLimits, ClaimedAttempt, FinishedAttempt};
use nexo_entities::store::webhooks::endpoints::EndpointChange;
use nexo_entities::store::{Conflict, StoreError};
use uuid::Uuid;

use crate::database::Database;
use crate::world::{COST, NOW, World, delivered, delivered_event, endpoint, otp, paid};

on_both!(
    a_settlement_queues_one_attempt_for_each_active_endpoint,
    an_endpoint_removed_behind_the_cache_gets_nothing,
    an_attempt_is_claimed_once_and_finished_once,
    an_attempt_that_was_not_sent_is_pending_again,
    a_busy_endpoint_does_not_delay_others,
    removing_an_endpoint_fails_pending_attempts_and_pausing_keeps_them,
    a_replay_sends_the_same_bytes_once_more,
    an_account_has_at_most_five_endpoints,
    the_old_secret_signs_until_it_expires,
    the_webhooks_of_a_suspended_account_wait_until_it_is_resumed,
);

const ALL: ClaimLimits = ClaimLimits { attempts: 100, per_endpoint: 100 };

/// Debits and settles one OTP with an event. Returns the settlement and the number of queued attempts.
async fn announce(world: &mut World, number: u32) -> (Settlement, u64) {
    let debit = otp(world.account, number);
    let parts = paid(&world.debit(std::slice::from_ref(&debit)).await[0]);
    let settlement = Settlement {
        event: Some(delivered_event(&debit)),
        completed_at_ms: NOW + i64::from(number),
        ..delivered(&debit, parts)
    };
    let committed = world.commit(&[], std::slice::from_ref(&settlement)).await;
    assert_eq!(committed.settled, [true]);
    (settlement, committed.webhooks)
}

fn body_of(settlement: &Settlement) -> String {
    settlement.event.as_ref().expect("the settlement has an event").body()
}

/// `sending`: the number of attempts in progress per endpoint.
async fn claim(
    world: &World,
    sending: &[(EndpointId, u32)],
    limits: ClaimLimits,
) -> Vec<ClaimedAttempt> {
    claim_at(world, sending, limits, NOW).await
}

async fn claim_at(
    world: &World,
    sending: &[(EndpointId, u32)],
    limits: ClaimLimits,
    now_ms: i64,
) -> Vec<ClaimedAttempt> {
    let sending = sending.iter().copied().collect();
    let claimed = world.store.webhooks().claim(&world.node, &sending, limits, now_ms).await;
    claimed.unwrap()
}

fn finished(id: WebhookAttemptId, delivered: bool) -> FinishedAttempt {
    FinishedAttempt {
        id,
        delivered,
        status_code: delivered.then_some(204),
        duration_ms: 31,
        response_head: delivered.then(|| "o\0k".to_owned()),
        error: (!delivered).then(|| "timed out after 5 s".to_owned()),
        finished_at_ms: NOW + 31,
    }
}

async fn a_settlement_queues_one_attempt_for_each_active_endpoint(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let (settlement, queued) = announce(&mut world, 1).await;
    assert_eq!(queued, 0);
    assert_eq!(world.store.webhooks().delivery_attempts(settlement.delivery_id).await.unwrap(), []);

    let first = endpoint(&world.store, world.account, "https://one.example.com").await;
    let second = endpoint(&world.store, world.account, "https://two.example.com").await;
    let paused = endpoint(&world.store, world.account, "https://three.example.com").await;
    let pause = EndpointChange::Pause;
    assert!(
        world.store.webhooks().change_endpoint(world.account, paused, pause, NOW).await.unwrap()
    );
    world.cache.invalidate_endpoints(world.account);
    let (settlement, queued) = announce(&mut world, 2).await;
    assert_eq!(queued, 2);
    let body = body_of(&settlement);
    let attempts = world.store.webhooks().delivery_attempts(settlement.delivery_id).await.unwrap();
    assert_eq!(attempts.len(), 2);
    for (attempt, endpoint) in attempts.iter().zip([first, second]) {
        assert_eq!((attempt.endpoint_id, attempt.body.as_str()), (endpoint, body.as_str()));
        assert_eq!(
            (attempt.status.as_str(), attempt.event_type.as_str()),
            ("pending", "otp.delivered")
        );
    }
    assert_eq!(world.store.webhooks().backlog().await.unwrap(), 2);
}

async fn an_endpoint_removed_behind_the_cache_gets_nothing(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let gone = endpoint(&world.store, world.account, "https://one.example.com").await;
    assert_eq!(announce(&mut world, 1).await.1, 1);
    let remove = EndpointChange::Remove;
    assert!(
        world.store.webhooks().change_endpoint(world.account, gone, remove, NOW).await.unwrap()
    );
    assert_eq!(announce(&mut world, 2).await.1, 0);
}

async fn an_attempt_is_claimed_once_and_finished_once(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let mut other = world.beside(&database, "n2").await;
    endpoint(&world.store, world.account, "https://one.example.com").await;
    for number in 1..=6 {
        announce(&mut world, number).await;
    }
    let (ours, theirs) = tokio::join!(claim(&world, &[], ALL), claim(&other, &[], ALL));
    let mut ids: Vec<_> = ours.iter().chain(&theirs).map(|attempt| attempt.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6);
    assert_eq!(ours.len() + theirs.len(), 6);
    assert_eq!(claim(&world, &[], ALL).await, []);

    let (good, bad) = (finished(ids[0], true), finished(ids[1], false));
    let both = [good.clone(), bad.clone()];
    assert_eq!(world.store.webhooks().finish(&both).await.unwrap(), 2);
    assert_eq!(world.store.webhooks().finish(&[good]).await.unwrap(), 0);
    let kept = world.store.webhooks().attempt(ids[0]).await.unwrap().unwrap();
    assert_eq!((kept.status.as_str(), kept.status_code), ("delivered", Some(204)));
    assert_eq!(kept.response_head.as_deref(), Some("o\u{fffd}k"));
    assert_eq!((kept.duration_ms, kept.finished_at_ms), (Some(31), Some(NOW + 31)));
    let kept = world.store.webhooks().attempt(ids[1]).await.unwrap().unwrap();
    assert_eq!((kept.status.as_str(), kept.status_code), ("failed", None));
    assert_eq!(kept.error.as_deref(), Some("timed out after 5 s"));

    // A node's death makes only its own attempts unknown.
    world.node =
        world.store.cluster().start_node(NodeStart::exclusive("n1", NOW + 9)).await.unwrap();
    other.node =
        other.store.cluster().start_node(NodeStart::exclusive("n2", NOW + 9)).await.unwrap();
    for id in &ids[2..] {
        let attempt = world.store.webhooks().attempt(*id).await.unwrap().unwrap();
        assert_eq!((attempt.status.as_str(), attempt.finished_at_ms), ("unknown", Some(NOW + 9)));
    }
    assert_eq!(claim(&world, &[], ALL).await, []);
}

async fn an_attempt_that_was_not_sent_is_pending_again(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let kept = endpoint(&world.store, world.account, "https://one.example.com").await;
    let removed = endpoint(&world.store, world.account, "https://two.example.com").await;
    announce(&mut world, 1).await;
    let claimed = claim(&world, &[], ALL).await;
    assert_eq!(claimed.len(), 2);
    let webhooks = world.store.webhooks();
    let remove = EndpointChange::Remove;
    let change = webhooks.change_endpoint(world.account, removed, remove, NOW);
    assert!(change.await.unwrap());
    let own: Vec<_> = claimed.iter().map(|attempt| (attempt.id, "n1")).collect();
    let foreign: Vec<_> = own.iter().map(|(id, _)| (*id, "n2")).collect();
    assert_eq!(webhooks.release(&foreign).await.unwrap(), 0);
    // The removed endpoint's attempt does not wait for it.
    assert_eq!(webhooks.release(&own).await.unwrap(), 1);
    let again = claim(&world, &[], ALL).await;
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].endpoint_id, kept);
    let webhooks = world.store.webhooks();
    let sent = finished(again[0].id, true);
    assert_eq!(webhooks.finish(&[sent]).await.unwrap(), 1);
    assert_eq!(webhooks.release(&own).await.unwrap(), 0, "it was sent");
}

async fn a_busy_endpoint_does_not_delay_others(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let slow = endpoint(&world.store, world.account, "https://slow.example.com").await;
    let quick = endpoint(&world.store, world.account, "https://quick.example.com").await;
    let mut sent = Vec::new();
    for number in 1..=4 {
        sent.push(body_of(&announce(&mut world, number).await.0));
    }
    let one_each = ClaimLimits { attempts: 10, per_endpoint: 1 };
    let claimed = claim(&world, &[], one_each).await;
    assert_eq!(claimed.len(), 2);
    assert!(claimed.iter().all(|attempt| attempt.body == sent[0]));
    assert_eq!(claimed[0].url, "https://slow.example.com");
    let rest = claim(&world, &[(slow, 100)], ALL).await;
    let bodies: Vec<&str> = rest.iter().map(|attempt| attempt.body.as_str()).collect();
    assert_eq!(bodies, sent[1..]);
    assert!(rest.iter().all(|attempt| attempt.endpoint_id == quick));
    assert_eq!(claim(&world, &[(slow, 100), (quick, 100)], ALL).await, []);
    // Attempts in progress count: one more of the three pending attempts may start.
    let one_more = claim(&world, &[(slow, 99)], ALL).await;
    assert_eq!(one_more.len(), 1);
    assert_eq!(one_more[0].body, sent[1]);
    let one = ClaimLimits { attempts: 1, per_endpoint: 100 };
    assert_eq!(claim(&world, &[], one).await.len(), 1);
    assert_eq!(world.store.webhooks().backlog().await.unwrap(), 1);
}

async fn removing_an_endpoint_fails_pending_attempts_and_pausing_keeps_them(
    database: Arc<Database>,
) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let removed = endpoint(&world.store, world.account, "https://one.example.com").await;
    let paused = endpoint(&world.store, world.account, "https://two.example.com").await;
    let (settlement, _) = announce(&mut world, 1).await;
    let store = world.store.clone();
    let account = world.account;
    let change = |id, change| store.webhooks().change_endpoint(account, id, change, NOW);
    assert!(change(removed, EndpointChange::Remove).await.unwrap());
    assert!(!change(removed, EndpointChange::Remove).await.unwrap());
    assert!(!change(removed, EndpointChange::Pause).await.unwrap());
    assert!(change(paused, EndpointChange::Pause).await.unwrap());
    assert!(!change(paused, EndpointChange::Pause).await.unwrap());
    assert_eq!(claim(&world, &[], ALL).await, []);
    let attempts = world.store.webhooks().delivery_attempts(settlement.delivery_id).await.unwrap();
    let status = |id| {
        let attempt = attempts.iter().find(|attempt| attempt.endpoint_id == id);
        attempt.unwrap().status.as_str()
    };
    assert_eq!((status(removed), status(paused)), ("failed", "pending"));

    assert!(change(paused, EndpointChange::Resume).await.unwrap());
    assert!(!change(paused, EndpointChange::Resume).await.unwrap());
    assert_eq!(claim(&world, &[], ALL).await.len(), 1);
    let left = world.store.webhooks().endpoints(Some(account)).await.unwrap();
    assert_eq!(left.iter().map(|endpoint| endpoint.id).collect::<Vec<_>>(), [paused]);
}

async fn a_replay_sends_the_same_bytes_once_more(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let target = endpoint(&world.store, world.account, "https://one.example.com").await;
    let body = body_of(&announce(&mut world, 1).await.0);
    let old = claim(&world, &[], ALL).await.remove(0);
    world.store.webhooks().finish(&[finished(old.id, false)]).await.unwrap();

    let account = Some(world.account);
    let replay = world.store.webhooks().replay(old.id, account, NOW + 60_000).await.unwrap();
    let claimed =
        world.store.webhooks().claim_one(&world.node, replay, NOW).await.unwrap().unwrap();
    assert_eq!((claimed.body.as_str(), claimed.endpoint_id), (body.as_str(), target));
    assert_eq!(claimed.secret, old.secret);
    assert_eq!(world.store.webhooks().claim_one(&world.node, replay, NOW).await.unwrap(), None);
    let kept = world.store.webhooks().attempt(replay).await.unwrap().unwrap();
    assert_eq!((kept.replay_of, kept.created_at_ms), (Some(old.id), NOW + 60_000));
    let untouched = world.store.webhooks().attempt(old.id).await.unwrap().unwrap();
    assert_eq!(untouched.status, "failed");

    let foreign = Some(nexo_domain::ids::AccountId(Uuid::from_u128(1)));
    let unknown = world.store.webhooks().replay(old.id, foreign, NOW).await.unwrap_err();
    assert!(matches!(unknown, StoreError::Conflict(Conflict::UnknownAttempt)));
    let remove = EndpointChange::Remove;
    world.store.webhooks().change_endpoint(world.account, target, remove, NOW).await.unwrap();
    let gone = world.store.webhooks().replay(old.id, account, NOW).await.unwrap_err();
    assert!(matches!(gone, StoreError::Conflict(Conflict::EndpointRemoved)));
}

async fn an_account_has_at_most_five_endpoints(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let mut ids = Vec::new();
    for n in 0..MAX_ENDPOINTS {
        ids.push(endpoint(&world.store, world.account, &format!("https://{n}.example.com")).await);
    }
    let one_more = nexo_entities::store::webhooks::endpoints::NewEndpoint {
        account_id: world.account,
        url: "https://more.example.com",
        secret: HashedSecret::of("whsec_more"),
        events: EventFilter::default(),
        created_at_ms: NOW,
    };
    let full = world.store.webhooks().add_endpoint(one_more.clone()).await.unwrap_err();
    let max = MAX_ENDPOINTS;
    assert!(
        matches!(full, StoreError::Conflict(Conflict::TooManyActiveEndpoints { max: m }) if m == max)
    );
    let remove = EndpointChange::Remove;
    world.store.webhooks().change_endpoint(world.account, ids[0], remove, NOW).await.unwrap();
    let resumed = world.store.webhooks().add_endpoint(one_more.clone()).await.unwrap();
    // A paused endpoint is not active: another one uses the slot, and the paused one cannot resume.
    let change = async |id, change| {
        world.store.webhooks().change_endpoint(world.account, id, change, NOW).await
    };
    assert!(change(resumed, EndpointChange::Pause).await.unwrap());
    let another = world.store.webhooks().add_endpoint(one_more.clone()).await.unwrap();
    let full = change(resumed, EndpointChange::Resume).await.unwrap_err();
    assert!(matches!(full, StoreError::Conflict(Conflict::TooManyActiveEndpoints { .. })));
    assert!(change(another, EndpointChange::Remove).await.unwrap());
    assert!(change(resumed, EndpointChange::Resume).await.unwrap());
    // The number of paused endpoints is limited.
    let mut kept = MAX_ENDPOINTS;
    let refused = loop {
        let paused = world.store.webhooks().endpoints(Some(world.account)).await.unwrap();
        let active = paused.iter().find(|one| one.paused_at_ms.is_none()).unwrap();
        assert!(change(active.id, EndpointChange::Pause).await.unwrap());
        match world.store.webhooks().add_endpoint(one_more.clone()).await {
            Ok(_) => kept += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!(kept, 20);
    assert!(matches!(refused, StoreError::Conflict(Conflict::TooManyStoredEndpoints { max: 20 })));
}

async fn the_old_secret_signs_until_it_expires(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let target = endpoint(&world.store, world.account, "https://one.example.com").await;
    let (old, new) = (HashedSecret::of("whsec_test"), HashedSecret::of("whsec_new"));
    for number in 1..=5 {
        announce(&mut world, number).await;
    }
    let one = ClaimLimits { attempts: 1, per_endpoint: 100 };
    let before = claim(&world, &[], one).await.remove(0);
    assert_eq!((&before.secret, before.old_secret), (&old, None));

    let (account, until_ms) = (world.account, NOW + DAY_MS);
    let rotated =
        world.store.webhooks().rotate_secret(account, target, new.clone(), until_ms).await;
    assert!(rotated.unwrap());
    for (now_ms, old_secret_signs) in
        [(NOW, true), (until_ms - 1, true), (until_ms, false), (until_ms + 1, false)]
    {
        let after_ms = now_ms - NOW;
        let expected = old_secret_signs.then(|| old.clone());
        let claimed = claim_at(&world, &[], one, now_ms).await.remove(0);
        assert_eq!(
            (&claimed.secret, &claimed.old_secret),
            (&new, &expected),
            "after {after_ms} ms"
        );
        // A replay is claimed individually.
        let replay = world.store.webhooks().replay(before.id, None, now_ms).await;
        let claimed = world
            .store
            .webhooks()
            .claim_one(&world.node, replay.unwrap(), now_ms)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (&claimed.secret, &claimed.old_secret),
            (&new, &expected),
            "replayed after {after_ms} ms"
        );
    }
}

async fn the_webhooks_of_a_suspended_account_wait_until_it_is_resumed(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let one = endpoint(&world.store, world.account, "https://one.example.com").await;
    announce(&mut world, 1).await;
    let store = world.store.clone();
    let (operations, webhooks) = (store.operations(), store.webhooks());
    let by = Operator::COMMAND_LINE;
    operations.suspend_account(by, world.account, "spam", NOW).await.unwrap();
    assert_eq!(claim(&world, &[], ALL).await, []);
    // They are not an overdue backlog.
    assert_eq!(webhooks.oldest_pending_ms().await.unwrap(), None);
    let attempts = webhooks.attempt_page(world.account, one, None, 10).await;
    let id = attempts.unwrap().attempts[0].id;
    let test = webhooks.queue_test_event(
        world.account,
        one,
        nexo_domain::ids::DeliveryId(Uuid::now_v7()),
        "{}".to_owned(),
        NOW,
    );
    let refusals = [
        webhooks.replay(id, Some(world.account), NOW).await.map(drop),
        webhooks.replay(id, None, NOW).await.map(drop),
        webhooks.replay_failed(world.account, one, 0, 10, NOW).await.map(drop),
        test.await.map(drop),
        webhooks.change_endpoint(world.account, one, EndpointChange::Pause, NOW).await.map(drop),
        webhooks.change_endpoint(world.account, one, EndpointChange::Resume, NOW).await.map(drop),
    ];
    let suspended = |result: &Result<(), StoreError>| {
        matches!(result, Err(StoreError::Conflict(Conflict::AccountSuspended)))
    };
    let refused: Vec<bool> = refusals.iter().map(suspended).collect();
    // Pausing sends nothing, so it stays possible.
    assert_eq!(refused, [true, true, true, true, false, true]);
    operations.resume_account(by, world.account, NOW).await.unwrap();
    webhooks.change_endpoint(world.account, one, EndpointChange::Resume, NOW).await.unwrap();
    let claimed = claim(&world, &[], ALL).await;
    assert_eq!(claimed.iter().map(|a| a.id).collect::<Vec<_>>(), [id]);
}
