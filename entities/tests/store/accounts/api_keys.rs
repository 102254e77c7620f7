//! Stored answers for idempotency keys: written with a debit or separately, and kept for a day.

use std::sync::Arc;
use std::time::Duration;

use nexo_domain::account::api_key::{ApiKey, KeyMode};
use nexo_domain::call::outcome::NO_ROUTE;
use nexo_domain::idempotency::{
    Fingerprint, IdempotencyKey, IdempotentRequest, Lifetime, RETENTION_MS,
};
use nexo_domain::ids::KeyId;
use nexo_domain::money::Micros;
use nexo_entities::store::deliveries::idempotency::IdempotentAnswer;
use nexo_entities::store::ledger::posting::{Debit, DebitOutcome, IdempotencyWrite, Settlement};
use uuid::Uuid;

use crate::database::Database;
use crate::world::{COST, NOW, World, delivered, otp, otp_at, paid, refunded};

on_both!(
    a_debit_and_its_answer_are_written_together,
    a_debit_with_a_used_key_fails_alone_before_the_window_check,
    a_refused_debit_stores_no_answer,
    a_refund_frees_only_its_own_key,
    a_refusal_is_kept_once,
    a_key_expires_after_a_day_and_its_row_is_deleted,
    two_nodes_racing_for_one_key_have_one_winner,
    an_answer_that_lives_as_long_as_the_window_is_replaced_by_the_next_window,
    two_nodes_racing_for_one_window_have_one_answer,
);

const TIMEOUT: Duration = Duration::from_secs(10);

fn request(key: &str, body: &str) -> Arc<IdempotentRequest> {
    let random: Vec<u8> = (0..64).map(|n| n * 3).collect();
    let api_key = ApiKey::from_random(KeyMode::Live, &random).unwrap();
    Arc::new(IdempotentRequest {
        key_id: KeyId(Uuid::from_u128(7)),
        key: IdempotencyKey::parse(key.as_bytes()).unwrap(),
        fingerprint: Fingerprint::of(&api_key, body.as_bytes()),
        lifetime: Lifetime::Day,
    })
}

/// A request whose answer lives as long as its phone's window.
fn of_window(key: &str) -> Arc<IdempotentRequest> {
    let request = request(key, "body");
    Arc::new(IdempotentRequest { lifetime: Lifetime::PhoneWindow, ..(*request).clone() })
}

fn keyed(world: &World, number: u32, key: &str) -> Debit {
    Debit { idempotent: Some(request(key, "body")), ..otp(world.account, number) }
}

async fn kept(world: &World, key: &str, now_ms: i64) -> Option<IdempotentAnswer> {
    let request = request(key, "whatever");
    world.store.deliveries().idempotent_answer(&request, now_ms, now_ms).await.unwrap()
}

async fn keep(world: &mut World, keep: &[IdempotencyWrite]) -> Vec<bool> {
    world
        .store
        .ledger()
        .commit_within(TIMEOUT, &mut world.cache, &world.node, (&[], &[], keep))
        .await
        .unwrap()
        .answers
}

fn rejected(debit: &Debit, outcome: &DebitOutcome) -> Settlement {
    Settlement {
        error_code: Some(NO_ROUTE),
        release_window: true,
        releases_key: debit.idempotent.clone(),
        ..refunded(debit, paid(outcome))
    }
}

async fn a_debit_and_its_answer_are_written_together(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 100_000).await;
    let debit = keyed(&world, 1, "k");
    let outcome = world.debit(std::slice::from_ref(&debit)).await[0];
    let answer = kept(&world, "k", NOW).await.unwrap();
    assert_eq!(answer.fingerprint, request("k", "body").fingerprint);
    assert_eq!((answer.status, answer.is_final), (202, false));
    assert_eq!(answer.delivery_id, Some(debit.delivery_id));
    let id = debit.delivery_id;
    assert_eq!(
        answer.body,
        format!(
            r#"{{"ok":true,"id":"{id}","carrier":"{}","status":"sent","cost":0.022,"balance":0.078,"total":0.078}}"#,
            debit.carrier
        )
    );
    let accepted = IdempotencyWrite::Accepted { request: request("k", "body"), delivery_id: id };
    assert_eq!(keep(&mut world, &[accepted]).await, [true]);
    assert!(kept(&world, "k", NOW).await.unwrap().is_final);
    // If the process dies before the answer is marked final, settling the delivery makes it final.
    let lost = keyed(&world, 2, "l");
    let parts = paid(&world.debit(std::slice::from_ref(&lost)).await[0]);
    assert!(!kept(&world, "l", NOW).await.unwrap().is_final);
    assert_eq!(world.settle(&[refunded(&lost, parts)]).await, [true]);
    assert!(kept(&world, "l", NOW).await.unwrap().is_final);
    assert_eq!(world.settle(&[delivered(&debit, paid(&outcome))]).await, [true]);
    assert_eq!(kept(&world, "k", NOW).await.unwrap().body, answer.body);
    world.assert_sound().await;
}

async fn a_debit_with_a_used_key_fails_alone_before_the_window_check(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    paid(&world.debit(&[keyed(&world, 1, "k")]).await[0]);
    let batch = [
        otp(world.account, 2),
        // A repeated request; its phone's window is closed as well.
        keyed(&world, 1, "k"),
        keyed(&world, 3, "l"),
        // Twice in one batch: the second is refused.
        keyed(&world, 4, "l"),
    ];
    let outcomes = world.debit(&batch).await;
    paid(&outcomes[0]);
    assert_eq!(outcomes[1], DebitOutcome::KeyTaken);
    paid(&outcomes[2]);
    assert_eq!(outcomes[3], DebitOutcome::KeyTaken);
    assert_eq!(world.held().await.total(), Micros::new(7 * COST));
    assert_eq!(world.store.phone_windows().held_windows(NOW).await.unwrap().len(), 3);
    world.assert_sound().await;
}

async fn a_refused_debit_stores_no_answer(database: Arc<Database>) {
    let mut world = World::with_balance(&database, COST).await;
    let batch = [keyed(&world, 1, "posted"), keyed(&world, 2, "short"), keyed(&world, 1, "closed")];
    let outcomes = world.debit(&batch).await;
    paid(&outcomes[0]);
    assert!(matches!(outcomes[1], DebitOutcome::FundsShort { .. }));
    assert!(matches!(outcomes[2], DebitOutcome::WindowHeld { .. }));
    assert!(kept(&world, "posted", NOW).await.is_some());
    assert_eq!(kept(&world, "short", NOW).await, None);
    assert_eq!(kept(&world, "closed", NOW).await, None);
}

async fn a_refund_frees_only_its_own_key(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let (first, other) = (keyed(&world, 1, "k"), keyed(&world, 2, "l"));
    let outcomes = world.debit(&[first.clone(), other]).await;
    let refund = rejected(&first, &outcomes[0]);
    assert_eq!(world.settle(std::slice::from_ref(&refund)).await, [true]);
    assert_eq!(kept(&world, "k", NOW).await, None);
    assert!(kept(&world, "l", NOW).await.is_some());
    // The key now belongs to another OTP: settling the first again changes nothing.
    let again = keyed(&world, 1, "k");
    paid(&world.debit(std::slice::from_ref(&again)).await[0]);
    assert_eq!(world.settle(&[refund]).await, [false]);
    let answer = kept(&world, "k", NOW).await.unwrap();
    assert_eq!(answer.delivery_id, Some(again.delivery_id));
    world.assert_sound().await;
}

async fn a_refusal_is_kept_once(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let refused = |key: &str, body: &str| IdempotencyWrite::Refused {
        request: request(key, body),
        status: 400,
        body: format!("no {body}"),
        at_ms: NOW,
    };
    let batch = [refused("k", "a"), refused("k", "b"), refused("l", "a")];
    assert_eq!(keep(&mut world, &batch).await, [true, false, true]);
    let again = [refused("k", "b"), refused("m", "a")];
    assert_eq!(keep(&mut world, &again).await, [false, true]);
    let answer = kept(&world, "k", NOW).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (400, "no a"));
    assert_eq!((answer.delivery_id, answer.is_final), (None, true));
    // A debit cannot use a refusal's key, nor a refusal a debit's key.
    assert_eq!(world.debit(&[keyed(&world, 1, "k")]).await, [DebitOutcome::KeyTaken]);
    paid(&world.debit(&[keyed(&world, 2, "n")]).await[0]);
    assert_eq!(keep(&mut world, &[refused("n", "a")]).await, [false]);
    world.assert_sound().await;
}

async fn a_key_expires_after_a_day_and_its_row_is_deleted(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let first: Vec<Debit> = (0..5).map(|n| keyed(&world, n, &format!("k{n}"))).collect();
    for outcome in world.debit(&first).await {
        paid(&outcome);
    }
    let a_day_later = NOW + RETENTION_MS;
    assert!(kept(&world, "k0", a_day_later - 1).await.is_some());
    assert_eq!(kept(&world, "k0", a_day_later).await, None);
    let new = Debit {
        created_at_ms: a_day_later,
        window_from_ms: a_day_later,
        window_until_ms: a_day_later + 30_000,
        ..keyed(&world, 7, "k0")
    };
    let early = Debit {
        created_at_ms: a_day_later - 1,
        window_from_ms: a_day_later - 1,
        window_until_ms: a_day_later + 29_999,
        ..keyed(&world, 8, "k1")
    };
    let outcomes = world.debit(&[new.clone(), early]).await;
    paid(&outcomes[0]);
    assert_eq!(outcomes[1], DebitOutcome::KeyTaken);
    assert_eq!(
        world.store.deliveries().delete_expired_answers(a_day_later - 1, 9).await.unwrap(),
        0
    );
    assert_eq!(world.store.deliveries().delete_expired_answers(a_day_later, 3).await.unwrap(), 3);
    assert_eq!(world.store.deliveries().delete_expired_answers(a_day_later, 3).await.unwrap(), 1);
    let answer = kept(&world, "k0", a_day_later).await.unwrap();
    assert_eq!(answer.delivery_id, Some(new.delivery_id));
}

async fn two_nodes_racing_for_one_key_have_one_winner(database: Arc<Database>) {
    let mut one = World::with_balance(&database, 1_000 * COST).await;
    let mut two = one.beside(&database, "n2").await;
    for round in 0..10 {
        let debits = |world: &World, first: u32| -> Vec<Debit> {
            (0..10).map(|n| keyed(world, first + n, &format!("{round} {n}"))).collect()
        };
        let ours = debits(&one, round * 20);
        let mut theirs = debits(&two, round * 20 + 10);
        theirs.reverse();
        let (ours, mut theirs) = tokio::join!(one.debit(&ours), two.debit(&theirs));
        theirs.reverse();
        for (our, their) in ours.iter().zip(&theirs) {
            let taken = [our, their].map(|outcome| *outcome == DebitOutcome::KeyTaken);
            let posted = [our, their].map(|outcome| matches!(outcome, DebitOutcome::Posted { .. }));
            assert!(taken[0] != taken[1], "{our:?} {their:?}");
            assert!(posted[0] != posted[1], "{our:?} {their:?}");
        }
    }
    assert_eq!(one.held().await.total(), Micros::new(900 * COST));
    one.assert_sound().await;
}

async fn an_answer_that_lives_as_long_as_the_window_is_replaced_by_the_next_window(
    database: Arc<Database>,
) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let account = world.account;
    let at = |key: &str, from_ms: i64| Debit {
        idempotent: Some(of_window(key)),
        ..otp_at(account, 1, from_ms)
    };
    let (first, repeated) = (at("k", NOW), at("k", NOW + 29_999));
    let (second, third) = (at("k", NOW + 30_000), at("l", NOW + 60_000));
    let is_sqlite = world.store.is_sqlite();
    let stored = async |world: &World, key: &str, now_ms: i64| {
        let request = of_window(key);
        let read = world.store.deliveries().idempotent_answer(&request, now_ms, now_ms);
        read.await.unwrap().map(|stored| (stored.delivery_id.unwrap(), stored.holds_window))
    };
    paid(&world.debit(std::slice::from_ref(&first)).await[0]);
    assert_eq!(stored(&world, "k", NOW).await, Some((first.delivery_id, !is_sqlite)));
    // The window decides, not the key.
    let held = DebitOutcome::WindowHeld { until_ms: NOW + 30_000 };
    assert_eq!(world.debit(std::slice::from_ref(&repeated)).await, [held]);
    assert_eq!(stored(&world, "k", NOW + 29_999).await, Some((first.delivery_id, !is_sqlite)));
    assert_eq!(stored(&world, "k", NOW + 30_000).await, Some((first.delivery_id, false)));
    // The next window replaces it, however late it is deleted.
    paid(&world.debit(std::slice::from_ref(&second)).await[0]);
    assert_eq!(stored(&world, "k", NOW + 30_000).await, Some((second.delivery_id, !is_sqlite)));
    // Another code has the window after that.
    let outcomes = world.debit(std::slice::from_ref(&third)).await;
    assert_eq!(stored(&world, "k", NOW + 60_000).await, Some((second.delivery_id, false)));
    assert_eq!(stored(&world, "l", NOW + 60_000).await, Some((third.delivery_id, !is_sqlite)));
    // Its own refund deletes it, and frees the window.
    assert_eq!(world.settle(&[rejected(&third, &outcomes[0])]).await, [true]);
    assert_eq!(stored(&world, "l", NOW + 60_000).await, None);
    let deliveries = world.store.deliveries();
    assert_eq!(deliveries.delete_answers_of_ended_windows(NOW + 59_999, 9).await.unwrap(), 0);
    assert_eq!(deliveries.delete_answers_of_ended_windows(NOW + 60_000, 9).await.unwrap(), 1);
    assert_eq!(stored(&world, "k", NOW + 60_000).await, None);
    world.assert_sound().await;
}

async fn two_nodes_racing_for_one_window_have_one_answer(database: Arc<Database>) {
    let mut one = World::with_balance(&database, 1_000 * COST).await;
    let mut two = one.beside(&database, "n2").await;
    for round in 0..10 {
        let debits = |world: &World| -> Vec<Debit> {
            let debit = |n: u32| Debit {
                idempotent: Some(of_window(&format!("{round} {n}"))),
                ..otp(world.account, round * 10 + n)
            };
            (0..10).map(debit).collect()
        };
        let (ours, theirs) = (debits(&one), debits(&two));
        let (ours, theirs) = tokio::join!(one.debit(&ours), two.debit(&theirs));
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let is_posted = |outcome: &DebitOutcome| matches!(outcome, DebitOutcome::Posted { .. });
            let is_held =
                |outcome: &DebitOutcome| matches!(outcome, DebitOutcome::WindowHeld { .. });
            assert!(is_posted(ours) != is_posted(theirs), "{ours:?} {theirs:?}");
            assert!(is_held(ours) != is_held(theirs), "{ours:?} {theirs:?}");
        }
    }
    one.assert_sound().await;
}
