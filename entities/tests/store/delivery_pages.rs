//! Lists of deliveries: what is on a page, and that pages make the whole.

use std::sync::Arc;

use nexo_domain::carrier_plan::CarrierPlan;
use nexo_domain::ids::AccountId;
use nexo_domain::ledger::Bucket;
use nexo_domain::outcome::Status;
use nexo_entities::Store;
use nexo_entities::store::deliveries::Delivery;
use nexo_entities::store::delivery_pages::{DeliveryFilter, DeliveryPlace};
use nexo_entities::store::posting::Debit;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::database::Database;
use crate::world::{COST, NOW, World, account, credit, delivered, otp, paid, phone, refunded};

on_both!(
    pages_make_the_whole_while_new_deliveries_arrive,
    a_page_holds_exactly_what_its_filter_says,
    nobody_sees_anothers_deliveries,
);

/// Accepted `at` ms after [`NOW`].
fn otp_at(account: AccountId, number: u32, at: i64) -> Debit {
    let debit = otp(account, number);
    Debit {
        created_at_ms: NOW + at,
        window_until_ms: NOW + at,
        ..debit
    }
}

async fn walk(
    store: &Store,
    account: AccountId,
    filter: &DeliveryFilter,
    limit: u32,
) -> Vec<Delivery> {
    let mut all = Vec::new();
    let mut after: Option<DeliveryPlace> = None;
    loop {
        let page = store
            .delivery_page(account, filter, after, limit)
            .await
            .unwrap();
        assert!(page.deliveries.len() <= limit as usize);
        // Only the last page is not full.
        assert!(page.next.is_none() || page.deliveries.len() == limit as usize);
        all.extend(page.deliveries);
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

async fn pages_make_the_whole_while_new_deliveries_arrive(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 1_000 * COST).await;
    // Several of one millisecond, so that a page ends among them.
    let old: Vec<Debit> = (0..50)
        .map(|n| otp_at(world.account, n, i64::from(n / 7)))
        .collect();
    world.debit(&old).await;
    let mut seen = Vec::new();
    let mut after = None;
    let mut number = 50;
    loop {
        let page = world
            .store
            .delivery_page(world.account, &DeliveryFilter::default(), after, 6)
            .await
            .unwrap();
        seen.extend(page.deliveries.iter().map(|d| d.id));
        after = page.next;
        if after.is_none() {
            break;
        }
        let new: Vec<Debit> = (0..3)
            .map(|n| otp_at(world.account, number + n, 1_000 + i64::from(number)))
            .collect();
        number += 3;
        world.debit(&new).await;
    }
    let mut expected: Vec<_> = old
        .iter()
        .map(|d| (-d.created_at_ms, d.delivery_id))
        .collect();
    expected.sort();
    let expected: Vec<_> = expected.into_iter().map(|(_, id)| id).collect();
    assert_eq!(seen, expected);
    let all = walk(&world.store, world.account, &DeliveryFilter::default(), 200).await;
    assert_eq!(all.len(), number as usize);
}

fn filter() -> impl Strategy<Value = DeliveryFilter> {
    let status = prop::option::of(prop::sample::select(Status::ALL.to_vec()));
    let number = prop::option::of(0..6u32);
    let carrier = prop::option::of(prop::sample::select(vec![81u32, 98, 91]));
    let time = || prop::option::of(-1..12i64);
    (status, number, carrier, time(), time()).prop_map(|(status, number, carrier, from, to)| {
        DeliveryFilter {
            status,
            phone: number.map(phone),
            carrier: carrier.and_then(|prefix| CarrierPlan::vietnam().carrier(prefix as u8)),
            from_ms: from.map(|at| NOW + at),
            to_ms: to.map(|at| NOW + at),
        }
    })
}

fn passes(filter: &DeliveryFilter, d: &Delivery) -> bool {
    filter.status.is_none_or(|s| s == d.status)
        && filter.carrier.is_none_or(|c| c == d.carrier)
        && filter.phone.is_none_or(|p| Some(p) == d.phone.whole())
        && filter.from_ms.is_none_or(|at| d.created_at_ms >= at)
        && filter.to_ms.is_none_or(|at| d.created_at_ms < at)
}

async fn a_page_holds_exactly_what_its_filter_says(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 1_000 * COST).await;
    let plan = CarrierPlan::vietnam();
    for n in 0..60u32 {
        let prefixes = [98, 91, 98, 90];
        let debit = Debit {
            carrier: plan.carrier(prefixes[n as usize % 4]).unwrap(),
            ..otp_at(world.account, n % 6, i64::from(n / 6))
        };
        let outcome = world.debit(std::slice::from_ref(&debit)).await[0];
        match n % 5 {
            0 => world.settle(&[refunded(&debit, paid(&outcome))]).await,
            1 => Vec::new(),
            _ => world.settle(&[delivered(&debit, paid(&outcome))]).await,
        };
    }
    let all = walk(&world.store, world.account, &DeliveryFilter::default(), 200).await;
    assert_eq!(all.len(), 60);
    let runtime = tokio::runtime::Handle::current();
    let checked = tokio::task::spawn_blocking(move || {
        let mut runner = TestRunner::new(Config {
            failure_persistence: None,
            ..Config::with_cases(64)
        });
        runner.run(&(filter(), 1..9u32), |(filter, limit)| {
            let found = walk(&world.store, world.account, &filter, limit);
            let expected: Vec<_> = all.iter().filter(|d| passes(&filter, d)).collect();
            let found = runtime.block_on(found);
            prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected);
            Ok(())
        })
    });
    checked.await.unwrap().unwrap();
}

async fn nobody_sees_anothers_deliveries(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let other = account(&world.store, "b@example.com").await;
    credit(&world.store, other, Bucket::Balance, 10 * COST).await;
    let debits = [otp(world.account, 1), otp(other, 2), otp(world.account, 3)];
    world.debit(&debits).await;
    let own = walk(&world.store, other, &DeliveryFilter::default(), 2).await;
    let ids: Vec<_> = own.iter().map(|d| d.id).collect();
    assert_eq!(ids, [debits[1].delivery_id]);
    let theirs = DeliveryFilter {
        phone: Some(phone(1)),
        ..Default::default()
    };
    assert!(walk(&world.store, other, &theirs, 2).await.is_empty());
    // Another's place says where to go on in one's own list, and nothing else.
    let page = world
        .store
        .delivery_page(world.account, &DeliveryFilter::default(), None, 1)
        .await
        .unwrap();
    let beyond = world
        .store
        .delivery_page(other, &DeliveryFilter::default(), page.next, 5)
        .await
        .unwrap();
    assert!(beyond.deliveries.iter().all(|d| d.account_id == other));
}
