//! Reading the ledger: the order of entries, and the wallet after each entry.

use std::collections::HashMap;
use std::sync::Arc;

use nexo_domain::billing::ledger::{Bucket, Buckets, EntryKind};
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;
use nexo_entities::Store;
use nexo_entities::store::ledger::entries::{LedgerEntry, LedgerFilter};
use nexo_entities::store::ledger::posting::{Debit, DebitOutcome};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::database::Database;
use crate::world::{COST, NOW, World, account, credit, delivered, otp, paid, refunded};

on_both!(
    every_entry_agrees_with_the_wallet,
    pages_agree_while_the_wallet_changes,
    two_nodes_write_one_sequence,
    an_account_without_entries_has_an_empty_ledger,
);

async fn walk(
    store: &Store,
    account: AccountId,
    filter: &LedgerFilter,
    limit: u32,
) -> Vec<LedgerEntry> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = store.ledger().entries(account, filter, after, limit).await.unwrap();
        assert!(page.next.is_none() || page.entries.len() == limit as usize);
        // The page is the same for any limit on the entries read. The first page may have changed in the
        // meantime.
        for max_walked in [0, 3].into_iter().filter(|_| after.is_some()) {
            let place = (after, limit);
            let other = store.ledger().entries_walking(max_walked, account, filter, place);
            assert_eq!(other.await.unwrap(), page);
        }
        all.extend(page.entries);
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

/// From oldest to newest, each entry's totals are the sum of all amounts so far.
fn assert_adds_up(newest_first: &[LedgerEntry], held: Buckets) {
    let mut sum = Buckets::default();
    for entry in newest_first.iter().rev() {
        sum = sum.credit(entry.bucket, entry.amount).unwrap();
        assert_eq!(entry.after, sum, "{entry:?}");
        assert!(Bucket::ALL.iter().all(|b| !sum.of(*b).is_negative()));
    }
    assert_eq!(sum, held);
}

/// One change of a wallet.
#[derive(Debug, Clone)]
enum Step {
    Debits(Vec<i64>),
    Settle(Vec<bool>),
    Credit(usize, i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop::collection::vec(0..9_000i64, 1..9).prop_map(Step::Debits),
        2 => prop::collection::vec(any::<bool>(), 1..9).prop_map(Step::Settle),
        2 => (0..3usize, 1..20_000i64).prop_map(|(bucket, amount)| Step::Credit(bucket, amount)),
    ]
}

fn filter() -> impl Strategy<Value = LedgerFilter> {
    let kind = prop::option::of(prop::sample::select(EntryKind::ALL[..4].to_vec()));
    let bucket = prop::option::of(prop::sample::select(Bucket::ALL.to_vec()));
    let time = || prop::option::of((0..9i64).prop_map(|n| NOW + n * 1_000));
    (kind, bucket, time(), time()).prop_map(|(kind, bucket, from_ms, to_ms)| LedgerFilter {
        kind,
        bucket,
        from_ms,
        to_ms,
    })
}

fn passes(filter: &LedgerFilter, entry: &LedgerEntry) -> bool {
    filter.kind.is_none_or(|kind| kind == entry.kind)
        && filter.bucket.is_none_or(|bucket| bucket == entry.bucket)
        && filter.from_ms.is_none_or(|at| entry.created_at_ms >= at)
        && filter.to_ms.is_none_or(|at| entry.created_at_ms < at)
}

async fn every_entry_agrees_with_the_wallet(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let runtime = tokio::runtime::Handle::current();
    let checked = tokio::task::spawn_blocking(move || {
        let mut runner =
            TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(16) });
        let world = std::cell::RefCell::new((world, 0u32));
        let history = prop::collection::vec(step(), 1..14);
        let cases = (history, prop::collection::vec(filter(), 4), 1..7u32);
        runner.run(&cases, |(steps, filters, limit)| {
            let (world, case) = &mut *world.borrow_mut();
            *case += 1;
            runtime.block_on(check(world, *case, steps, &filters, limit));
            Ok(())
        })
    });
    checked.await.unwrap().unwrap();
}

async fn check(
    world: &mut World,
    case: u32,
    steps: Vec<Step>,
    filters: &[LedgerFilter],
    limit: u32,
) {
    world.account = account(&world.store, &format!("{case}@example.com")).await;
    let mut sent: Vec<(Debit, DebitOutcome)> = Vec::new();
    for (n, step) in steps.into_iter().enumerate() {
        let now_ms = NOW + n as i64 * 1_000;
        match step {
            Step::Credit(bucket, amount) => {
                credit(&world.store, world.account, Bucket::ALL[bucket], amount).await;
            }
            Step::Debits(costs) => {
                let debits: Vec<Debit> = (0u32..)
                    .zip(&costs)
                    .map(|(phone, cost)| Debit {
                        cost: Micros::new(*cost),
                        created_at_ms: now_ms,
                        window_from_ms: now_ms,
                        window_until_ms: now_ms + 1,
                        ..otp(world.account, case * 10 + phone)
                    })
                    .collect();
                let outcomes = world.debit(&debits).await;
                let posted = |o: &DebitOutcome| matches!(o, DebitOutcome::Posted { .. });
                sent.extend(debits.into_iter().zip(outcomes).filter(|(_, o)| posted(o)));
            }
            Step::Settle(refunds) => {
                let ends: Vec<_> = sent
                    .drain(..refunds.len().min(sent.len()))
                    .zip(refunds)
                    .map(|((debit, outcome), refund)| match refund {
                        true => refunded(&debit, paid(&outcome)),
                        false => delivered(&debit, paid(&outcome)),
                    })
                    .collect();
                world.settle(&ends).await;
            }
        }
        let latest = world
            .store
            .ledger()
            .entries(world.account, &LedgerFilter::default(), None, 1)
            .await
            .unwrap();
        let held = world.held().await;
        assert_eq!(latest.entries.first().map_or(Buckets::default(), |e| e.after), held);
    }
    let all = walk(&world.store, world.account, &LedgerFilter::default(), limit).await;
    assert_adds_up(&all, world.held().await);
    for filter in filters {
        let found = walk(&world.store, world.account, filter, limit).await;
        let expected: Vec<_> = all.iter().filter(|e| passes(filter, e)).cloned().collect();
        assert_eq!(found, expected, "{filter:?}");
    }
}

async fn pages_agree_while_the_wallet_changes(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 100 * COST).await;
    let debits: Vec<Debit> = (0..20).map(|n| otp(world.account, n)).collect();
    world.debit(&debits).await;
    let before = walk(&world.store, world.account, &LedgerFilter::default(), 100).await;
    let only_debits = LedgerFilter { kind: Some(EntryKind::Debit), ..LedgerFilter::default() };
    let mut seen = Vec::new();
    let mut after = None;
    for number in 100.. {
        let page =
            world.store.ledger().entries(world.account, &only_debits, after, 3).await.unwrap();
        seen.extend(page.entries);
        after = page.next;
        if after.is_none() {
            break;
        }
        world.debit(&[otp(world.account, number)]).await;
        credit(&world.store, world.account, Bucket::Bonus, 7).await;
    }
    let debits: Vec<_> =
        before.iter().filter(|entry| entry.kind == EntryKind::Debit).cloned().collect();
    assert_eq!(seen, debits);
}

/// Concurrent debits of two nodes and credits of a command on one account.
async fn two_nodes_write_one_sequence(database: Arc<Database>) {
    let mut one = World::with_balance(&database, 500 * COST).await;
    let account = one.account;
    let store = one.store.clone();
    let mut two = match store.is_sqlite() {
        true => None,
        false => Some(one.beside(&database, "n2").await),
    };
    let spending = async {
        for n in 0..30 {
            let debits = [otp(account, 2 * n), otp(account, 2 * n + 1)];
            let outcomes = one.debit(&debits).await;
            one.settle(&[refunded(&debits[0], paid(&outcomes[0]))]).await;
        }
    };
    let spending_too = async {
        if let Some(two) = &mut two {
            for n in 1_000..1_030 {
                two.debit(&[otp(account, n)]).await;
            }
        }
    };
    let crediting = async {
        for n in 1..30 {
            credit(&store, account, Bucket::ALL[n % 3], n as i64).await;
        }
    };
    let reading = async {
        for _ in 0..30 {
            let all = walk(&store, account, &LedgerFilter::default(), 1_000).await;
            assert_adds_up(&all, all[0].after);
        }
    };
    tokio::join!(spending, spending_too, crediting, reading);
    let all = walk(&store, account, &LedgerFilter::default(), 11).await;
    assert_adds_up(&all, one.held().await);
    let mut by_kind: HashMap<EntryKind, usize> = HashMap::new();
    for entry in &all {
        *by_kind.entry(entry.kind).or_default() += 1;
    }
    assert!(by_kind[&EntryKind::Refund] >= 30, "{by_kind:?}");
    assert_eq!(by_kind[&EntryKind::Deposit], 11);
}

async fn an_account_without_entries_has_an_empty_ledger(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 3 * COST).await;
    let other = account(&world.store, "b@example.com").await;
    world.debit(&[otp(world.account, 1)]).await;
    for without_entries in [other, AccountId(uuid::Uuid::nil())] {
        let page = world
            .store
            .ledger()
            .entries(without_entries, &LedgerFilter::default(), None, 5)
            .await
            .unwrap();
        assert!(page.entries.is_empty() && page.next.is_none());
    }
    // A cursor of another account shows none of its entries.
    let page = world
        .store
        .ledger()
        .entries(world.account, &LedgerFilter::default(), None, 1)
        .await
        .unwrap();
    let beyond =
        world.store.ledger().entries(other, &LedgerFilter::default(), page.next, 5).await.unwrap();
    assert!(page.next.is_some() && beyond.entries.is_empty());
}
