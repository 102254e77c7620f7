//! What all customers hold together, and how long the oldest webhook has waited.

use std::sync::Arc;

use nexo_domain::billing::ledger::Bucket;
use nexo_domain::money::Micros;
use nexo_entities::store::ledger::posting::Settlement;
use nexo_entities::store::webhooks::endpoints::EndpointChange;

use crate::database::Database;
use crate::world::{COST, NOW, World, account, credit, delivered, endpoint, otp, paid, told};

on_both!(
    open_wallets_are_added_up_and_the_empty_told_from_the_new,
    the_oldest_waiting_webhook_is_told_unless_its_endpoint_is_paused,
);

async fn open_wallets_are_added_up_and_the_empty_told_from_the_new(database: Arc<Database>) {
    let mut world = World::with_balance(&database, COST).await;
    let rich = account(&world.store, "rich@example.com").await;
    credit(&world.store, rich, Bucket::Bonus, 5 * COST).await;
    account(&world.store, "new@example.com").await;
    let price = Micros::new(COST);
    let before = world.store.holdings(price).await.unwrap();
    assert_eq!((before.funded, before.out_of_funds), (2, 0));
    assert_eq!(before.held.balance, Micros::new(COST));
    assert_eq!(before.held.bonus, Micros::new(5 * COST));
    let debit = otp(world.account, 1);
    world.debit(&[debit]).await;
    let after = world.store.holdings(price).await.unwrap();
    assert_eq!((after.funded, after.out_of_funds), (1, 1));
    assert_eq!(after.held.balance, Micros::ZERO);
    assert_eq!(after.held.total(), Micros::new(5 * COST));
}

async fn the_oldest_waiting_webhook_is_told_unless_its_endpoint_is_paused(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let oldest = async |world: &World| world.store.oldest_waiting_webhook_ms().await.unwrap();
    assert_eq!(oldest(&world).await, None);
    let url = "https://one.example.com";
    let endpoint = endpoint(&world.store, world.account, url).await;
    let debit = otp(world.account, 1);
    let outcomes = world.debit(std::slice::from_ref(&debit)).await;
    let settlement = Settlement {
        event: Some(told(&debit)),
        ..delivered(&debit, paid(&outcomes[0]))
    };
    let ended_at_ms = settlement.completed_at_ms;
    world.settle(&[settlement]).await;
    assert_eq!(oldest(&world).await, Some(ended_at_ms));
    let pause = EndpointChange::Pause;
    world
        .store
        .change_endpoint(world.account, endpoint, pause, NOW + 1)
        .await
        .unwrap();
    assert_eq!(oldest(&world).await, None);
}
