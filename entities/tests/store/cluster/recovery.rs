//! A restarted node settles the deliveries that its previous process left unfinished.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use nexo_domain::billing::ledger::Bucket;
use nexo_domain::call::outcome::Status;
use nexo_domain::ids::DeliveryId;
use nexo_domain::money::Micros;
use nexo_entities::store::cluster::nodes::NodeStart;
use nexo_entities::store::ledger::posting::{Debit, Settlement, WalletCache};

use crate::database::Database;
use crate::world::{COST, NOW, World, credit, delivered, endpoint, interrupted, otp, paid};

on_both!(
    a_restarted_node_refunds_and_announces_unfinished_deliveries,
    the_reaper_ignores_live_deliveries_whatever_their_time,
    a_delivery_that_becomes_live_while_the_reaper_reads_is_ignored,
    another_nodes_deliveries_are_not_touched,
);

async fn settle_all(world: &mut World, live: &HashSet<DeliveryId>) -> usize {
    world
        .store
        .deliveries()
        .settle_unfinished(
            &mut world.cache,
            &world.node,
            |delivery| live.contains(&delivery),
            interrupted,
        )
        .await
        .unwrap()
}

async fn a_restarted_node_refunds_and_announces_unfinished_deliveries(database: Arc<Database>) {
    // Enough for more than one page.
    let mut world = World::with_balance(&database, 600 * COST).await;
    credit(&world.store, world.account, Bucket::Free, 10_000).await;
    endpoint(&world.store, world.account, "https://one.example.com").await;
    let before = world.held().await;
    let debits: Vec<Debit> = (0..600).map(|n| otp(world.account, n)).collect();
    let outcomes = world.debit(&debits).await;
    // Settled without an event, before the cache knew of the endpoint.
    let finished =
        Settlement { completed_at_ms: NOW + 1, ..delivered(&debits[5], paid(&outcomes[5])) };
    assert_eq!(world.settle(&[finished]).await, [true]);

    world.node = world.store.cluster().start_node(NodeStart::exclusive("n1", NOW)).await.unwrap();
    world.cache = WalletCache::new();
    assert_eq!(settle_all(&mut world, &HashSet::new()).await, 599);
    assert_eq!(settle_all(&mut world, &HashSet::new()).await, 0);
    let spent = before.total().checked_sub(world.held().await.total());
    assert_eq!(spent, Some(Micros::new(COST)));
    assert_eq!(world.held().await.free, before.free);
    assert_eq!(world.store.webhooks().backlog().await.unwrap(), 599);
    let delivery = world.store.deliveries().get(world.account, debits[0].delivery_id).await;
    let delivery = delivery.unwrap().unwrap();
    assert_eq!(delivery.status, Status::Failed);
    assert_eq!(delivery.error_code.as_deref(), Some("interrupted"));
    let attempts = world.store.webhooks().delivery_attempts(delivery.id).await.unwrap();
    let body = &attempts[0].body;
    assert!(body.contains(r#""phone":"+84980000000""#), "{body}");
    assert!(body.contains(r#""cost":0.022,"error_code":"interrupted""#), "{body}");
    assert_eq!(attempts[0].event_type, "otp.failed");
    world.assert_sound().await;
}

async fn the_reaper_ignores_live_deliveries_whatever_their_time(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let (lost, live) = (otp(world.account, 1), otp(world.account, 2));
    // Accepted before the clock was set back by an hour.
    let ahead = Debit { created_at_ms: NOW + 3_600_000, ..otp(world.account, 3) };
    world.debit(&[lost.clone(), live.clone(), ahead.clone()]).await;
    let calls = HashSet::from([live.delivery_id]);
    assert_eq!(settle_all(&mut world, &calls).await, 2);
    for (debit, status) in [(lost, Status::Failed), (live, Status::Sent), (ahead, Status::Failed)] {
        let delivery = world.store.deliveries().get(world.account, debit.delivery_id).await;
        assert_eq!(delivery.unwrap().unwrap().status, status);
    }
    world.assert_sound().await;
}

async fn a_delivery_that_becomes_live_while_the_reaper_reads_is_ignored(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let debit = otp(world.account, 1);
    world.debit(std::slice::from_ref(&debit)).await;
    // The reaper asks only after it has read the delivery.
    let asked = AtomicU32::new(0);
    let settled = world
        .store
        .deliveries()
        .settle_unfinished(
            &mut world.cache,
            &world.node,
            |delivery| {
                asked.fetch_add(1, Ordering::Relaxed);
                delivery == debit.delivery_id
            },
            interrupted,
        )
        .await
        .unwrap();
    assert_eq!((settled, asked.into_inner()), (0, 1));
}

async fn another_nodes_deliveries_are_not_touched(database: Arc<Database>) {
    let mut one = World::with_balance(&database, 10 * COST).await;
    let mut two = one.beside(&database, "n2").await;
    let debit = otp(one.account, 1);
    let parts = paid(&one.debit(std::slice::from_ref(&debit)).await[0]);
    two.node = two.store.cluster().start_node(NodeStart::exclusive("n2", NOW)).await.unwrap();
    assert_eq!(settle_all(&mut two, &HashSet::new()).await, 0);
    assert_eq!(two.settle(&[delivered(&debit, parts)]).await, [false]);
    assert_eq!(one.settle(&[delivered(&debit, parts)]).await, [true]);
}
