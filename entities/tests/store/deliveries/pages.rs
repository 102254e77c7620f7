//! Pages of deliveries: the contents of a page, and that the pages cover the whole list.

use std::sync::Arc;

use nexo_domain::billing::ledger::Bucket;
use nexo_domain::call::outcome::Status;
use nexo_domain::customer_fields::{CustomerFields, Reference};
use nexo_domain::ids::{AccountId, DeliveryId};
use nexo_domain::phone::carrier_plan::{Carrier, CarrierPlan};
use nexo_entities::Store;
use nexo_entities::store::deliveries::Delivery;
use nexo_entities::store::deliveries::pages::{DeliveryCursor, DeliveryFilter};
use nexo_entities::store::ledger::posting::Debit;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sea_orm::{ConnectionTrait, Statement};
use uuid::{NoContext, Timestamp, Uuid};

use crate::database::Database;
use crate::world::{COST, NOW, World, account, credit, delivered, otp, paid, phone, refunded};

on_both!(
    pages_cover_the_list_while_new_deliveries_arrive,
    a_page_holds_exactly_the_deliveries_that_match_its_filter,
    an_account_sees_only_its_own_deliveries,
    lists_stay_the_same_once_filters_are_built,
    a_filter_omits_phones_masked_while_it_was_built,
);

/// A debit accepted `at` ms after [`NOW`].
fn otp_at(account: AccountId, number: u32, at: i64) -> Debit {
    let debit = otp(account, number);
    Debit { created_at_ms: NOW + at, window_from_ms: NOW + at, window_until_ms: NOW + at, ..debit }
}

async fn walk(
    store: &Store,
    account: AccountId,
    filter: &DeliveryFilter,
    limit: u32,
) -> Vec<Delivery> {
    let mut all = Vec::new();
    let mut after: Option<DeliveryCursor> = None;
    loop {
        let page = store.deliveries().page(account, filter, after, limit).await.unwrap();
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

async fn pages_cover_the_list_while_new_deliveries_arrive(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 1_000 * COST).await;
    // Several deliveries share a millisecond, so that a page ends among them.
    let old: Vec<Debit> = (0..50).map(|n| otp_at(world.account, n, i64::from(n / 7))).collect();
    world.debit(&old).await;
    let mut seen = Vec::new();
    let mut after = None;
    let mut number = 50;
    loop {
        let page = world
            .store
            .deliveries()
            .page(world.account, &DeliveryFilter::default(), after, 6)
            .await
            .unwrap();
        seen.extend(page.deliveries.iter().map(|d| d.id));
        after = page.next;
        if after.is_none() {
            break;
        }
        let new: Vec<Debit> =
            (0..3).map(|n| otp_at(world.account, number + n, 1_000 + i64::from(number))).collect();
        number += 3;
        world.debit(&new).await;
    }
    let mut expected: Vec<_> = old.iter().map(|d| (-d.created_at_ms, d.delivery_id)).collect();
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
    let reference = prop::option::of(0..3u32);
    let parts = (status, number, carrier, reference, time(), time());
    parts.prop_map(|(status, number, carrier, reference, from, to)| DeliveryFilter {
        status,
        phone: number.map(phone),
        carrier: carrier.and_then(|prefix| CarrierPlan::vietnam().carrier(prefix as u8)),
        reference: reference.and_then(self::reference),
        from_ms: from.map(|at| NOW + at),
        to_ms: to.map(|at| NOW + at),
    })
}

/// One of few references.
fn reference(number: u32) -> Option<Reference> {
    Reference::parse(&format!("r{number}"))
}

fn passes(filter: &DeliveryFilter, d: &Delivery) -> bool {
    filter.status.is_none_or(|s| s == d.status)
        && filter.carrier.is_none_or(|c| c == d.carrier)
        && filter.phone.is_none_or(|p| Some(p) == d.phone.whole())
        && filter.reference.as_ref().is_none_or(|r| Some(r) == d.fields.reference.as_ref())
        && filter.from_ms.is_none_or(|at| d.created_at_ms >= at)
        && filter.to_ms.is_none_or(|at| d.created_at_ms < at)
}

async fn a_page_holds_exactly_the_deliveries_that_match_its_filter(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 1_000 * COST).await;
    let plan = CarrierPlan::vietnam();
    for n in 0..60u32 {
        let prefixes = [98, 91, 98, 90];
        let debit = Debit {
            carrier: plan.carrier(prefixes[n as usize % 4]).unwrap(),
            fields: CustomerFields { reference: reference(n % 7), ..CustomerFields::default() },
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
        let mut runner =
            TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(64) });
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

async fn an_account_sees_only_its_own_deliveries(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let other = account(&world.store, "b@example.com").await;
    credit(&world.store, other, Bucket::Balance, 10 * COST).await;
    let debits = [otp(world.account, 1), otp(other, 2), otp(world.account, 3)];
    world.debit(&debits).await;
    let own = walk(&world.store, other, &DeliveryFilter::default(), 2).await;
    let ids: Vec<_> = own.iter().map(|d| d.id).collect();
    assert_eq!(ids, [debits[1].delivery_id]);
    let theirs = DeliveryFilter { phone: Some(phone(1)), ..Default::default() };
    assert!(walk(&world.store, other, &theirs, 2).await.is_empty());
    // A cursor into another account's list only marks a position in the reader's own list.
    let page = world
        .store
        .deliveries()
        .page(world.account, &DeliveryFilter::default(), None, 1)
        .await
        .unwrap();
    let beyond = world
        .store
        .deliveries()
        .page(other, &DeliveryFilter::default(), page.next, 5)
        .await
        .unwrap();
    assert!(beyond.deliveries.iter().all(|d| d.account_id == other));
}

/// A debit whose id matches its time.
fn old(account: AccountId, number: u32, at_ms: i64) -> Debit {
    let ms = at_ms.unsigned_abs();
    let time = Timestamp::from_unix(NoContext, ms / 1000, (ms % 1000) as u32 * 1_000_000);
    Debit {
        delivery_id: DeliveryId(Uuid::new_v7(time)),
        created_at_ms: at_ms,
        window_from_ms: at_ms,
        window_until_ms: at_ms,
        ..otp(account, number)
    }
}

/// Two accounts' deliveries. One phone of the first account occurs only at the very beginning and again
/// later.
async fn lists_stay_the_same_once_filters_are_built(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 1_000 * COST).await;
    let other = account(&world.store, "other@example.com").await;
    credit(&world.store, other, Bucket::Balance, 1_000 * COST).await;
    let mine = world.account;
    let numbers = [vec![0, 1, 2], (10..90).collect(), vec![0, 3]].concat();
    for (n, number) in numbers.iter().enumerate() {
        let at_ms = NOW + n as i64 * 700;
        let debits = [old(mine, *number, at_ms), old(other, 500 + *number, at_ms)];
        let outcomes = world.debit(&debits).await;
        for (debit, outcome) in debits.iter().zip(&outcomes) {
            let end = match number % 3 {
                0 => refunded(debit, paid(outcome)),
                _ => delivered(debit, paid(outcome)),
            };
            assert_eq!(world.settle(&[end]).await, [true]);
        }
    }
    let none = DeliveryFilter::default;
    let viettel = Carrier::named("viettel");
    let of = |number| DeliveryFilter { phone: Some(phone(number)), ..none() };
    let filters = [
        of(0),
        of(1),
        of(3),
        of(45),
        of(500),
        of(777),
        DeliveryFilter { carrier: viettel, ..none() },
        DeliveryFilter { carrier: Carrier::named("gmobile"), ..none() },
        DeliveryFilter { status: Some(Status::Failed), carrier: viettel, ..none() },
        DeliveryFilter { status: Some(Status::Delivered), ..of(0) },
        DeliveryFilter { status: Some(Status::Sent), ..of(0) },
        DeliveryFilter { from_ms: Some(NOW + 1), ..of(0) },
        DeliveryFilter { to_ms: Some(NOW + 7_000), carrier: viettel, ..none() },
        DeliveryFilter { from_ms: Some(NOW + 9), to_ms: Some(NOW + 9), ..of(0) },
    ];
    let before = lists(&world.store, mine, &filters).await;
    assert_eq!(before.iter().map(Vec::len).take(6).collect::<Vec<_>>(), [2, 1, 1, 1, 0, 0]);
    // First a part of the deliveries has filters, then all but the last few.
    for at_ms in [NOW + 70_000, NOW + 1_000_000] {
        while world.store.deliveries().build_filter_of(7, at_ms).await.unwrap() {}
        assert_eq!(lists(&world.store, mine, &filters).await, before);
    }
    // Masking also clears the phones in the filters, which would otherwise reveal them.
    let filled = "SELECT COUNT(*) FROM delivery_filters WHERE length(phones) > 0";
    assert!(count(&world.store, filled).await > 20);
    let masked = world.store.deliveries().mask_phones(None, NOW + 1_000_000, 1_000).await;
    assert_eq!(masked.unwrap().deliveries, 2 * numbers.len() as u64);
    assert_eq!(count(&world.store, filled).await, 0);
    let after = lists(&world.store, mine, &filters).await;
    assert!(after.iter().take(6).all(Vec::is_empty));
    assert_eq!(after[6].len(), before[6].len());
}

/// Phones read for a filter and masked before the filter is written.
async fn a_filter_omits_phones_masked_while_it_was_built(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 1_000 * COST).await;
    for number in 0..20 {
        let debit = old(world.account, number, NOW + i64::from(number));
        let outcome = world.debit(std::slice::from_ref(&debit)).await.remove(0);
        let end = delivered(&debit, paid(&outcome));
        assert_eq!(world.settle(&[end]).await, [true]);
    }
    let later = NOW + 1_000_000;
    let filled = "SELECT COUNT(*) FROM delivery_filters WHERE length(phones) > 0";
    let store = &world.store;
    // Of the first two groups of five, all phones are masked; of the third, some remain.
    for (masked, filled_after) in [(5, 0), (5, 0), (3, 1), (0, 2)] {
        let mask = async || {
            if masked > 0 {
                let done = store.deliveries().mask_phones(None, later, masked).await.unwrap();
                assert_eq!(done.deliveries, u64::from(masked));
            }
        };
        assert!(store.deliveries().build_filter_while(5, later, mask).await.unwrap());
        assert_eq!(count(store, filled).await, filled_after);
    }
    // Masking the remaining phones clears the remaining filters.
    assert_eq!(store.deliveries().mask_phones(None, later, 99).await.unwrap().deliveries, 7);
    assert_eq!(count(store, filled).await, 0);
}

async fn count(store: &Store, sql: &str) -> i64 {
    let statement = Statement::from_string(store.connection().get_database_backend(), sql);
    let row = store.connection().query_one_raw(statement).await;
    row.unwrap().unwrap().try_get_by_index(0).unwrap()
}

async fn lists(
    store: &Store,
    account: AccountId,
    filters: &[DeliveryFilter],
) -> Vec<Vec<DeliveryId>> {
    let mut lists = Vec::new();
    for filter in filters {
        let all = walk(store, account, filter, 4).await;
        lists.push(all.iter().map(|delivery| delivery.id).collect());
    }
    lists
}
