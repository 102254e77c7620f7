//! Totals of all customers' wallets, and the age of the oldest pending webhook.

use std::sync::Arc;

use nexo_domain::billing::ledger::Bucket;
use nexo_domain::money::Micros;
use nexo_entities::store::ledger::posting::Settlement;
use nexo_entities::store::webhooks::endpoints::EndpointChange;

use crate::database::Database;
use crate::world::{
    COST, NOW, World, account, credit, delivered, delivered_event, endpoint, otp, paid,
};

on_both!(
    totals_sum_open_wallets_and_distinguish_empty_from_new,
    the_oldest_pending_webhook_ignores_paused_endpoints,
);

async fn totals_sum_open_wallets_and_distinguish_empty_from_new(database: Arc<Database>) {
    let mut world = World::with_balance(&database, COST).await;
    let rich = account(&world.store, "rich@example.com").await;
    credit(&world.store, rich, Bucket::Bonus, 5 * COST).await;
    account(&world.store, "new@example.com").await;
    let price = Micros::new(COST);
    let before = world.store.ledger().totals(price).await.unwrap();
    assert_eq!((before.funded, before.out_of_funds), (2, 0));
    assert_eq!(before.held.balance, Micros::new(COST));
    assert_eq!(before.held.bonus, Micros::new(5 * COST));
    let debit = otp(world.account, 1);
    world.debit(&[debit]).await;
    let after = world.store.ledger().totals(price).await.unwrap();
    assert_eq!((after.funded, after.out_of_funds), (1, 1));
    assert_eq!(after.held.balance, Micros::ZERO);
    assert_eq!(after.held.total(), Micros::new(5 * COST));
}

async fn the_oldest_pending_webhook_ignores_paused_endpoints(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let oldest = async |world: &World| world.store.webhooks().oldest_pending_ms().await.unwrap();
    assert_eq!(oldest(&world).await, None);
    let url = "https://one.example.com";
    let endpoint = endpoint(&world.store, world.account, url).await;
    let debit = otp(world.account, 1);
    let outcomes = world.debit(std::slice::from_ref(&debit)).await;
    let settlement = Settlement {
        event: Some(delivered_event(&debit)),
        ..delivered(&debit, paid(&outcomes[0]))
    };
    let ended_at_ms = settlement.completed_at_ms;
    world.settle(&[settlement]).await;
    assert_eq!(oldest(&world).await, Some(ended_at_ms));
    let pause = EndpointChange::Pause;
    world.store.webhooks().change_endpoint(world.account, endpoint, pause, NOW + 1).await.unwrap();
    assert_eq!(oldest(&world).await, None);
}
