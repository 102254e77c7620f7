//! Node epochs, leases and takeovers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use nexo_entities::Store;
use nexo_entities::store::StoreError;
use nexo_entities::store::cluster::nodes::{NodeStart, Predecessor};
use nexo_entities::store::ledger::posting::{DebitOutcome, NodeEpoch, Settlement, WalletCache};
use nexo_entities::store::webhooks::attempts::ClaimLimits;

use crate::database::Database;
use crate::world::{
    COST, NOW, World, delivered, delivered_event, endpoint, interrupted, otp, paid, refunded,
};

on_both!(
    a_live_nodes_name_is_not_reassigned,
    a_dead_node_is_taken_over_by_one_and_settled_once,
    webhooks_a_dead_node_was_sending_are_unknown,
    a_takeover_whose_node_dies_is_taken_over,
    an_ended_epoch_posts_no_debit_and_claims_no_webhook,
    a_takeover_waits_for_a_debit_in_progress,
    a_session_holds_its_name_and_renews_only_its_own_epoch,
    a_change_notifies_listeners,
);

fn start(name: &str) -> NodeStart<'_> {
    NodeStart {
        lease_ms: 60_000,
        predecessor: Predecessor::MayBeAlive,
        ..NodeStart::exclusive(name, NOW)
    }
}

/// An epoch of a node whose lease ended a minute ago.
async fn dead(store: &Store, name: &str) -> NodeEpoch {
    let long_ago = NodeStart { lease_ms: -60_000, ..NodeStart::exclusive(name, NOW) };
    store.cluster().start_node(long_ago).await.unwrap()
}

async fn a_live_nodes_name_is_not_reassigned(database: Arc<Database>) {
    let store = database.migrated().await;
    assert_eq!(store.cluster().start_node(start("n1")).await.unwrap().epoch, 1);
    for predecessor in [Predecessor::MayBeAlive, Predecessor::Unlocked] {
        // The first process holds no lock, so a free lock proves nothing.
        let second = NodeStart { predecessor, ..start("n1") };
        let refused = store.cluster().start_node(second).await.unwrap_err();
        assert!(
            matches!(&refused, StoreError::NodeInUse { name, lease_until_ms }
                if name == "n1" && *lease_until_ms > 0),
            "{refused:?}"
        );
    }
    assert_eq!(store.cluster().start_node(start("n2")).await.unwrap().epoch, 1);
    let after_it = NodeStart { predecessor: Predecessor::Dead, is_locked: true, ..start("n1") };
    assert_eq!(store.cluster().start_node(after_it).await.unwrap().epoch, 2);
    let unlocked = NodeStart { predecessor: Predecessor::Unlocked, lease_ms: 0, ..start("n1") };
    assert_eq!(store.cluster().start_node(unlocked).await.unwrap().epoch, 3);
    // The lease has ended.
    assert_eq!(store.cluster().start_node(start("n1")).await.unwrap().epoch, 4);
}

async fn settle_for(store: &Store, node: &NodeEpoch) -> usize {
    let mut cache = WalletCache::new();
    store.deliveries().settle_unfinished(&mut cache, node, |_| false, interrupted).await.unwrap()
}

async fn a_dead_node_is_taken_over_by_one_and_settled_once(database: Arc<Database>) {
    let mut one = World::with_balance(&database, 10 * COST).await;
    endpoint(&one.store, one.account, "https://one.example.com").await;
    let two = one.beside(&database, "n2").await;
    let three = one.beside(&database, "n3").await;
    one.node = dead(&one.store, "n1").await;
    assert_eq!(two.store.cluster().dead_nodes("n2").await.unwrap(), [], "nothing to settle");
    let debit = otp(one.account, 1);
    let parts = paid(&one.debit(std::slice::from_ref(&debit)).await[0]);

    assert_eq!(one.store.cluster().dead_nodes("n1").await.unwrap(), [], "not itself");
    let found = two.store.cluster().dead_nodes("n2").await.unwrap();
    assert_eq!(found, std::slice::from_ref(&one.node));
    let (by_two, by_three) = tokio::join!(
        two.store.cluster().take_over(&one.node, 30_000, NOW),
        three.store.cluster().take_over(&one.node, 30_000, NOW)
    );
    let taken: Vec<NodeEpoch> =
        [by_two.unwrap(), by_three.unwrap()].into_iter().flatten().collect();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].epoch, one.node.epoch + 1);
    assert_eq!(
        three.store.cluster().dead_nodes("n3").await.unwrap(),
        [],
        "the takeover is in progress"
    );

    // Settlements of the dead epoch are not written.
    assert_eq!(one.settle(&[delivered(&debit, parts)]).await, [false]);
    assert_eq!(settle_for(&two.store, &taken[0]).await, 1);
    assert_eq!(settle_for(&two.store, &taken[0]).await, 0);
    assert_eq!(one.settle(&[refunded(&debit, parts)]).await, [false]);
    assert_eq!(one.held().await.total().get(), 10 * COST);
    assert_eq!(one.store.webhooks().backlog().await.unwrap(), 1);
    // The window stays closed: the phone may have change.
    let mut two = two;
    let again = two.debit(&[otp(one.account, 1)]).await;
    assert!(matches!(again[0], DebitOutcome::WindowHeld { .. }), "{again:?}");
    one.assert_sound().await;
}

async fn webhooks_a_dead_node_was_sending_are_unknown(database: Arc<Database>) {
    let mut one = World::with_balance(&database, 10 * COST).await;
    endpoint(&one.store, one.account, "https://one.example.com").await;
    let two = one.beside(&database, "n2").await;
    one.node = dead(&one.store, "n1").await;
    for number in [1, 2] {
        let debit = otp(one.account, number);
        let parts = paid(&one.debit(std::slice::from_ref(&debit)).await[0]);
        let settlement =
            Settlement { event: Some(delivered_event(&debit)), ..delivered(&debit, parts) };
        assert_eq!(one.settle(&[settlement]).await, [true]);
    }
    let none_sending = HashMap::new();
    let limits = |attempts| ClaimLimits { attempts, per_endpoint: 100 };
    let sending = one.store.webhooks().claim(&one.node, &none_sending, limits(1), NOW);
    let sending = sending.await.unwrap().remove(0);
    let dead = two.store.cluster().dead_nodes("n2").await.unwrap().remove(0);
    let taken = two.store.cluster().take_over(&dead, 30_000, NOW + 60_000).await.unwrap();
    assert!(taken.is_some());
    let attempt = two.store.webhooks().attempt(sending.id).await.unwrap().unwrap();
    assert_eq!((attempt.status.as_str(), attempt.finished_at_ms), ("unknown", Some(NOW + 60_000)));
    // The other attempt was never claimed and is sent by a live node.
    let rest = two.store.webhooks().claim(&two.node, &none_sending, limits(10), NOW);
    assert_eq!(rest.await.unwrap().len(), 1);
}

async fn a_takeover_whose_node_dies_is_taken_over(database: Arc<Database>) {
    let mut one = World::with_balance(&database, 10 * COST).await;
    let two = one.beside(&database, "n2").await;
    one.node = dead(&one.store, "n1").await;
    one.debit(&[otp(one.account, 1)]).await;
    // The first takeover settles nothing.
    let first = two.store.cluster().take_over(&one.node, -1, NOW).await.unwrap().unwrap();
    let found = two.store.cluster().dead_nodes("n2").await.unwrap();
    assert_eq!(found, std::slice::from_ref(&first));
    let second = two.store.cluster().take_over(&first, 30_000, NOW).await.unwrap().unwrap();
    assert_eq!(settle_for(&two.store, &first).await, 0);
    assert_eq!(settle_for(&two.store, &second).await, 1);
    one.assert_sound().await;
}

async fn an_ended_epoch_posts_no_debit_and_claims_no_webhook(database: Arc<Database>) {
    let mut one = World::with_balance(&database, 10 * COST).await;
    endpoint(&one.store, one.account, "https://one.example.com").await;
    let debit = otp(one.account, 1);
    let parts = paid(&one.debit(std::slice::from_ref(&debit)).await[0]);
    let settlement =
        Settlement { event: Some(delivered_event(&debit)), ..delivered(&debit, parts) };
    assert_eq!(one.settle(&[settlement]).await, [true]);
    if one.store.is_sqlite() {
        // Only one process uses the file, so no other node ends its epoch.
        return;
    }
    let next = one.store.cluster().start_node(NodeStart::exclusive("n1", NOW)).await.unwrap();
    for debits in [vec![otp(one.account, 2)], vec![otp(one.account, 3), otp(one.account, 4)]] {
        let fenced = one.store.ledger().commit(&mut one.cache, &one.node, &debits, &[]).await;
        assert!(matches!(fenced, Err(StoreError::Fenced)), "{fenced:?}");
    }
    assert_eq!(one.held().await.total().get(), 9 * COST);
    let limits = ClaimLimits { attempts: 10, per_endpoint: 10 };
    let claimed = one.store.webhooks().claim(&one.node, &HashMap::new(), limits, NOW).await;
    assert_eq!(claimed.unwrap(), []);
    let claimed = one.store.webhooks().claim(&next, &HashMap::new(), limits, NOW).await;
    assert_eq!(claimed.unwrap().len(), 1);
    // The refused debits did not claim the phones' windows.
    one.node = next;
    let posted = one.debit(&[otp(one.account, 2)]).await;
    assert!(matches!(posted[0], DebitOutcome::Posted { .. }), "{posted:?}");
    one.assert_sound().await;
}

/// Concurrent debits and takeovers of their node: each debit is either settled by the takeover or not
/// posted at all.
async fn a_takeover_waits_for_a_debit_in_progress(database: Arc<Database>) {
    let one = World::with_balance(&database, 1_000 * COST).await;
    if one.store.is_sqlite() {
        return;
    }
    let mut posted = 0;
    let mut settled = 0;
    for round in 0..20 {
        let node = dead(&one.store, "n1").await;
        let taking = async {
            let dead = one.store.cluster().take_over(&node, 30_000, NOW).await.unwrap();
            let Some(taken) = dead else { return 0 };
            settle_for(&one.store, &taken).await
        };
        let debiting = (0..4).map(|lane| {
            let (store, node) = (one.store.clone(), node.clone());
            let debit = otp(one.account, round * 4 + lane);
            async move {
                let mut cache = WalletCache::new();
                match store.ledger().commit(&mut cache, &node, &[debit], &[]).await {
                    Ok(_) => 1,
                    Err(StoreError::Fenced) => 0,
                    Err(error) => panic!("{error}"),
                }
            }
        });
        let debiting: Vec<_> = debiting.map(tokio::spawn).collect();
        tokio::time::sleep(Duration::from_millis(u64::from(round) % 5)).await;
        settled += taking.await;
        for debit in debiting {
            posted += debit.await.unwrap();
        }
    }
    assert_eq!(posted, settled, "the takeover settled each posted debit");
    assert_eq!(one.held().await.total().get(), 1_000 * COST);
    one.assert_sound().await;
}

async fn a_session_holds_its_name_and_renews_only_its_own_epoch(database: Arc<Database>) {
    let store = database.migrated().await;
    let node = store.cluster().start_node(start("n1")).await.unwrap();
    let session = store.cluster().node_session("n1").await.unwrap();
    let Some(mut session) = session else {
        assert!(store.is_sqlite());
        return;
    };
    assert!(session.is_locked() && !session.is_taken());
    let second = store.cluster().node_session("n1").await.unwrap().unwrap();
    assert!(second.is_taken() && !second.is_locked());
    let other_name = store.cluster().node_session("n2").await.unwrap().unwrap();
    assert!(other_name.is_locked());
    assert!(session.renew(&node, 10_000).await.unwrap().is_some());
    let later = NodeEpoch { epoch: node.epoch + 1, ..node.clone() };
    assert!(session.renew(&later, 10_000).await.unwrap().is_none());
    // The session registered its lock, so a free lock now proves that the holder is gone.
    drop(session);
    let unlocked = NodeStart { predecessor: Predecessor::Unlocked, ..start("n1") };
    assert_eq!(store.cluster().start_node(unlocked).await.unwrap().epoch, 2);
    let mut tries = 0;
    while !store.cluster().node_session("n1").await.unwrap().unwrap().is_locked() {
        tries += 1;
        assert!(tries < 500, "the name's lock is not released");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn a_change_notifies_listeners(database: Arc<Database>) {
    let store = database.migrated().await;
    let Some(mut listener) = store.cluster().listen().await.unwrap() else {
        assert!(store.is_sqlite());
        return;
    };
    let silent = tokio::time::timeout(Duration::from_millis(50), listener.changed()).await;
    assert!(silent.is_err());
    crate::world::account(&store, "a@example.com").await;
    let change = tokio::time::timeout(Duration::from_secs(5), listener.changed()).await;
    change.unwrap().unwrap();
}
