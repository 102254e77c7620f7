//! Concurrent writers: nodes, commands and interrupted commits.

use std::sync::Arc;
use std::time::Duration;

use nexo_domain::billing::ledger::Bucket;
use nexo_domain::money::Micros;
use nexo_entities::store::accounts::api_keys::{MAX_ACTIVE_KEYS, NewKey};
use nexo_entities::store::ledger::posting::{Debit, DebitOutcome};
use nexo_entities::store::ledger::wallets::Credit;
use nexo_entities::store::{Conflict, StoreError};

use crate::database::Database;
use crate::world::{COST, NOW, World, credit, otp, paid, refunded};

on_both!(
    two_hundred_debits_with_funds_for_ten_are_ten_deliveries,
    a_debit_without_cached_funds_notices_a_commands_credit,
    a_debit_is_decided_again_after_a_command_changed_the_wallet,
    two_nodes_racing_for_one_phone_have_one_winner,
    concurrent_credits_with_one_reference_apply_once,
    concurrent_key_creation_stops_at_ten_active_keys,
    an_interrupted_commit_leaves_wallet_and_cache_consistent,
);

fn posted(outcomes: &[DebitOutcome]) -> usize {
    outcomes.iter().filter(|outcome| matches!(outcome, DebitOutcome::Posted { .. })).count()
}

async fn two_hundred_debits_with_funds_for_ten_are_ten_deliveries(database: Arc<Database>) {
    let world = World::with_balance(&database, 10 * COST).await;
    let account = world.account;
    let mut nodes = Vec::new();
    for node in 0..4u32 {
        let mut node_world = world.beside(&database, &format!("node{node}")).await;
        nodes.push(tokio::spawn(async move {
            let mut count = 0;
            for batch in 0..5 {
                let first = node * 50 + batch * 10;
                let debits: Vec<Debit> = (first..first + 10).map(|n| otp(account, n)).collect();
                count += posted(&node_world.debit(&debits).await);
            }
            count
        }));
    }
    let mut total = 0;
    for node in nodes {
        total += node.await.unwrap();
    }
    assert_eq!(total, 10);
    assert_eq!(world.held().await.total(), Micros::ZERO);
    world.assert_sound().await;
}

async fn a_debit_without_cached_funds_notices_a_commands_credit(database: Arc<Database>) {
    let mut world = World::with_balance(&database, COST).await;
    paid(&world.debit(&[otp(world.account, 1)]).await[0]);
    let total = Micros::ZERO;
    assert_eq!(world.debit(&[otp(world.account, 2)]).await, [DebitOutcome::FundsShort { total }]);
    let command = database.open().await;
    credit(&command, world.account, Bucket::Bonus, COST).await;
    paid(&world.debit(&[otp(world.account, 3)]).await[0]);
    world.assert_sound().await;
}

async fn a_debit_is_decided_again_after_a_command_changed_the_wallet(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    paid(&world.debit(&[otp(world.account, 1)]).await[0]);
    let command = database.open().await;
    credit(&command, world.account, Bucket::Free, 2_000).await;
    // The cache still holds cash for nine OTPs and no free credit.
    let parts = paid(&world.debit(&[otp(world.account, 2)]).await[0]);
    assert_eq!((parts.free, parts.balance), (Micros::new(2_000), Micros::new(COST - 2_000)));
    world.assert_sound().await;
}

async fn two_nodes_racing_for_one_phone_have_one_winner(database: Arc<Database>) {
    let mut one = World::with_balance(&database, 1_000 * COST).await;
    let mut two = one.beside(&database, "n2").await;
    let account = one.account;
    for round in 0..10 {
        let phones = round * 20..round * 20 + 20;
        let ours: Vec<Debit> = phones.clone().map(|n| otp(account, n)).collect();
        let theirs: Vec<Debit> = phones.rev().map(|n| otp(account, n)).collect();
        let (ours, mut theirs) = tokio::join!(one.debit(&ours), two.debit(&theirs));
        theirs.reverse();
        for (our, their) in ours.iter().zip(&theirs) {
            assert_eq!(posted(&[*our, *their]), 1, "{our:?} {their:?}");
        }
    }
    assert_eq!(one.held().await.total(), Micros::new(800 * COST));
    one.assert_sound().await;
}

async fn concurrent_credits_with_one_reference_apply_once(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let account_id = world.account;
    let mut tries = Vec::new();
    for n in 0..8 {
        let store = world.store.clone();
        tries.push(tokio::spawn(async move {
            let credit = Credit {
                account_id,
                bucket: Bucket::ALL[n % 3],
                amount: Micros::new(5_000_000),
                reference: "invoice 7",
                at_ms: NOW,
            };
            store.ledger().credit_wallet(credit).await.unwrap()
        }));
    }
    let mut new = 0;
    for credited in tries {
        let credited = credited.await.unwrap();
        new += usize::from(credited.new);
        assert_eq!(credited.buckets.total(), Micros::new(5_000_000));
    }
    assert_eq!(new, 1);
    world.assert_sound().await;
}

async fn concurrent_key_creation_stops_at_ten_active_keys(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let account_id = world.account;
    let mut tries = Vec::new();
    for n in 0..16u8 {
        let store = world.store.clone();
        tries.push(tokio::spawn(async move {
            let new = NewKey {
                account_id,
                name: "load",
                hash: [n; 32],
                hint: "abcd",
                test: false,
                allowlist: &[],
                created_at_ms: NOW,
            };
            store.accounts().create_key(new).await
        }));
    }
    let mut created = 0;
    for tried in tries {
        match tried.await.unwrap() {
            Ok(_) => created += 1,
            Err(StoreError::Conflict(Conflict::TooManyKeys { max })) => {
                assert_eq!(max, MAX_ACTIVE_KEYS);
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(created, MAX_ACTIVE_KEYS);
    let listed = world.store.accounts().keys(Some(account_id)).await.unwrap();
    assert_eq!(listed.len(), MAX_ACTIVE_KEYS);
}

async fn an_interrupted_commit_leaves_wallet_and_cache_consistent(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 1_000 * COST).await;
    let mut cut_off = 0;
    for round in 0..60 {
        let debits: Vec<Debit> =
            (round * 3..round * 3 + 3).map(|n| otp(world.account, n)).collect();
        let time = Duration::from_micros(u64::from(round) * 40);
        let commit = world.store.ledger().commit(&mut world.cache, &world.node, &debits, &[]);
        if tokio::time::timeout(time, commit).await.is_err() {
            cut_off += 1;
        }
    }
    assert!(cut_off > 0);
    // Whether or not those commits took effect, later ones are correct.
    let debit = otp(world.account, 500);
    let parts = paid(&world.debit(std::slice::from_ref(&debit)).await[0]);
    assert_eq!(world.settle(&[refunded(&debit, parts)]).await, [true]);
    assert_eq!(world.cache.buckets(world.account), Some(world.held().await));
    world.assert_sound().await;
}
