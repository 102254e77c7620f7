//! Checks, cancels and the end of the time: each statement does what the state machine says, also by many at once.

use std::sync::Arc;

use nexo_domain::verification::{Event, MAX_ATTEMPTS, Refusal, State, Status};
use nexo_entities::store::ledger::posting::DebitOutcome;
use nexo_entities::store::verifications::pages::{VerificationCursor, VerificationFilter};

use super::{LATER_MS, TTL_MS, get, id, resend, start, status};
use crate::database::Database;
use crate::world::{COST, NOW, World, paid};

on_both!(
    the_statements_do_what_the_state_machine_says,
    of_a_thousand_wrong_codes_at_once_five_count,
    of_a_hundred_right_codes_at_once_one_is_approved,
    expired_ones_are_marked_once_by_several_nodes,
    pages_show_each_status_at_the_time_of_the_query,
);

/// A pseudo-random sequence that is the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

async fn the_statements_do_what_the_state_machine_says(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10_000 * COST).await;
    let mut numbers = Numbers(7);
    let end_ms = 10 * LATER_MS;
    for sequence in 0..40 {
        let mut first = start(world.account, sequence, NOW);
        first.verification.as_mut().unwrap().sent.expires_at_ms = NOW + end_ms;
        paid(&world.debit(std::slice::from_ref(&first)).await[0]);
        let mut state = State::new(NOW + end_ms);
        let mut now_ms = NOW;
        for _ in 0..12 {
            now_ms += LATER_MS * if numbers.below(8) == 0 { 6 } else { 1 };
            let event = match numbers.below(9) {
                0..5 => Event::Check { is_right: false },
                5 => Event::Check { is_right: true },
                6 | 7 => Event::Resend,
                _ if numbers.below(3) > 0 => Event::Expire,
                _ => Event::Cancel,
            };
            let expected = state.step(event, now_ms);
            let verifications = world.store.verifications();
            let is_done = match event {
                Event::Check { is_right: true } => {
                    let last = get(&world, id(&first)).await.unwrap().last_delivery_id;
                    verifications.approve(id(&first), last, now_ms).await.unwrap().is_some()
                }
                Event::Check { is_right: false } => {
                    verifications.count_wrong_code(id(&first), now_ms).await.unwrap().is_some()
                }
                Event::Cancel => verifications.cancel(id(&first), now_ms).await.unwrap().is_some(),
                Event::Expire => {
                    let marked = verifications.mark_expired(now_ms, 99).await.unwrap();
                    marked.iter().any(|marked| marked.id == id(&first))
                }
                Event::Resend => {
                    let outcome = world.debit(&[resend(&first, now_ms)]).await[0];
                    matches!(outcome, DebitOutcome::Posted { .. })
                }
            };
            assert_eq!(is_done, expected.is_ok(), "{event:?}: {expected:?}");
            let stored = get(&world, id(&first)).await.unwrap();
            assert_eq!(stored.state, state, "{event:?}");
            let is_open = stored.state.status == Status::Pending;
            assert_eq!(stored.closed_at_ms.is_none(), is_open, "{stored:?}");
            let status = state.status_at(now_ms);
            if let Err(Refusal::Closed(closed)) = expected {
                assert_eq!(closed, status);
            }
        }
    }
    world.assert_sound().await;
}

async fn of_a_thousand_wrong_codes_at_once_five_count(database: Arc<Database>) {
    let mut world = World::with_balance(&database, COST).await;
    let first = start(world.account, 1, NOW);
    paid(&world.debit(std::slice::from_ref(&first)).await[0]);
    let other = database.open().await;
    let guesses = (0..1_000).map(|n| {
        let store = if n % 2 == 0 { world.store.clone() } else { other.clone() };
        let id = id(&first);
        tokio::spawn(async move { store.verifications().count_wrong_code(id, NOW + 1).await })
    });
    let mut attempts = Vec::new();
    for guess in guesses.collect::<Vec<_>>() {
        if let Some(after) = guess.await.unwrap().unwrap() {
            attempts.push(after.verification.state.attempts);
        }
    }
    attempts.sort_unstable();
    assert_eq!(attempts, [1, 2, 3, 4, MAX_ATTEMPTS]);
    assert_eq!(status(&world, id(&first)).await, Some(Status::Failed));
}

async fn of_a_hundred_right_codes_at_once_one_is_approved(database: Arc<Database>) {
    let mut world = World::with_balance(&database, COST).await;
    let first = start(world.account, 1, NOW);
    paid(&world.debit(std::slice::from_ref(&first)).await[0]);
    let other = database.open().await;
    let checks = (0..100).map(|n| {
        let store = if n % 2 == 0 { world.store.clone() } else { other.clone() };
        let (id, last) = (id(&first), first.delivery_id);
        tokio::spawn(async move { store.verifications().approve(id, last, NOW + 1).await })
    });
    let mut approved = 0;
    for check in checks.collect::<Vec<_>>() {
        approved += usize::from(check.await.unwrap().unwrap().is_some());
    }
    assert_eq!(approved, 1);
    assert_eq!(status(&world, id(&first)).await, Some(Status::Approved));
    world.assert_sound().await;
}

async fn expired_ones_are_marked_once_by_several_nodes(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 1_000 * COST).await;
    let debits: Vec<_> = (0..60).map(|n| start(world.account, n, NOW)).collect();
    for outcome in world.debit(&debits).await {
        paid(&outcome);
    }
    let early = world.store.verifications().mark_expired(NOW + TTL_MS - 1, 10).await.unwrap();
    assert!(early.is_empty());
    let nodes = (0..4).map(|_| {
        let store = world.store.clone();
        tokio::spawn(async move {
            let mut marked = Vec::new();
            loop {
                let batch = store.verifications().mark_expired(NOW + TTL_MS, 7).await.unwrap();
                assert!(batch.len() <= 7);
                if batch.is_empty() {
                    return marked;
                }
                marked.extend(batch.into_iter().map(|marked| marked.id));
            }
        })
    });
    let mut marked = Vec::new();
    for node in nodes.collect::<Vec<_>>() {
        marked.extend(node.await.unwrap());
    }
    // A node may stop while others hold the last rows.
    marked.sort_unstable();
    let mut expected: Vec<_> = debits.iter().map(id).collect();
    expected.sort_unstable();
    assert_eq!(marked, expected);
    let one = get(&world, expected[0]).await.unwrap();
    assert_eq!((one.state.status, one.closed_at_ms), (Status::Expired, Some(NOW + TTL_MS)));
}

async fn pages_show_each_status_at_the_time_of_the_query(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 1_000 * COST).await;
    let debits: Vec<_> = (0..6).map(|n| start(world.account, n, NOW + i64::from(n))).collect();
    for outcome in world.debit(&debits).await {
        paid(&outcome);
    }
    let verifications = world.store.verifications();
    verifications.approve(id(&debits[0]), debits[0].delivery_id, NOW + 9).await.unwrap().unwrap();
    verifications.cancel(id(&debits[1]), NOW + 9).await.unwrap().unwrap();
    for _ in 0..MAX_ATTEMPTS {
        verifications.count_wrong_code(id(&debits[2]), NOW + 9).await.unwrap().unwrap();
    }
    // The fourth is marked as expired, the fifth has expired, the sixth is pending.
    let now_ms = NOW + 4 + TTL_MS;
    assert_eq!(verifications.mark_expired(NOW + 3 + TTL_MS, 9).await.unwrap().len(), 1);
    let found = async |filter: VerificationFilter| {
        let page = verifications.page(world.account, &filter, None, 9, now_ms).await.unwrap();
        assert_eq!(page.next, None);
        let places = page
            .verifications
            .iter()
            .map(|found| debits.iter().position(|debit| id(debit) == found.id).unwrap());
        places.collect::<Vec<_>>()
    };
    let none = VerificationFilter::default;
    assert_eq!(found(none()).await, [5, 4, 3, 2, 1, 0]);
    for (status, expected) in [
        (Status::Approved, vec![0]),
        (Status::Canceled, vec![1]),
        (Status::Failed, vec![2]),
        (Status::Expired, vec![4, 3]),
        (Status::Pending, vec![5]),
    ] {
        assert_eq!(found(VerificationFilter { status: Some(status), ..none() }).await, expected);
    }
    let phone = Some(debits[3].phone);
    assert_eq!(found(VerificationFilter { phone, ..none() }).await, [3]);
    let (from_ms, to_ms) = (Some(NOW + 1), Some(NOW + 3));
    assert_eq!(found(VerificationFilter { from_ms, to_ms, ..none() }).await, [2, 1]);
    // Page by page.
    let (mut after, mut all): (Option<VerificationCursor>, Vec<_>) = (None, Vec::new());
    loop {
        let page = verifications.page(world.account, &none(), after, 2, now_ms).await.unwrap();
        all.extend(page.verifications.iter().map(|found| found.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let expected: Vec<_> = debits.iter().rev().map(id).collect();
    assert_eq!(all, expected);
}
