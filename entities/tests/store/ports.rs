//! Ported numbers: replaced as a whole, or not at all.

use std::sync::Arc;
use std::time::Duration;

use nexo_domain::carrier_plan::Carrier;
use nexo_domain::ports::PortTable;
use nexo_entities::store::changes::Change;
use sea_orm::ConnectionTrait;

use crate::database::Database;
use crate::world::{NOW, phone};

on_both!(
    a_set_replaces_the_older_one_and_is_told,
    half_a_set_is_never_in_force,
    a_set_of_several_pieces_comes_back_whole,
);

fn table(numbers: std::ops::Range<u32>, carrier: &str) -> PortTable {
    let carrier = Carrier::named(carrier).unwrap();
    PortTable::of(numbers.map(|n| (phone(n), carrier)).collect()).unwrap()
}

async fn a_set_replaces_the_older_one_and_is_told(database: Arc<Database>) {
    let store = database.migrated().await;
    assert!(store.ports().await.unwrap().is_empty());
    let before = store.last_change().await.unwrap();
    let (first, second) = (table(0..10, "itel"), table(5..8, "mobifone"));
    store.replace_ports(&first, NOW).await.unwrap();
    assert_eq!(store.ports().await.unwrap(), first);
    store.replace_ports(&second, NOW).await.unwrap();
    assert_eq!(store.ports().await.unwrap(), second);
    let told = store.changes_since(before).await.unwrap().changes;
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|change| matches!(change, Change::Ports(_))));
    store
        .replace_ports(&PortTable::default(), NOW)
        .await
        .unwrap();
    assert!(store.ports().await.unwrap().is_empty());
    let left = store
        .connection()
        .query_one_raw(sea_orm::Statement::from_string(
            store.connection().get_database_backend(),
            "SELECT (SELECT count(*) FROM port_pieces), (SELECT count(*) FROM port_sets)",
        ));
    let left = left.await.unwrap().unwrap();
    let count = |place| left.try_get_by_index::<i64>(place).unwrap();
    assert_eq!((count(0), count(1)), (0, 1));
}

async fn half_a_set_is_never_in_force(database: Arc<Database>) {
    let store = database.migrated().await;
    let first = table(0..10, "itel");
    store.replace_ports(&first, NOW).await.unwrap();
    // Cut off at any point: what was in force stays, or the new one is there whole.
    let mut cut_off = 0;
    for round in 0..60 {
        let next = table(round..round + 20, "mobifone");
        let before = store.ports().await.unwrap();
        let time = Duration::from_micros(u64::from(round) * 60);
        let import = store.replace_ports(&next, NOW);
        cut_off += u32::from(tokio::time::timeout(time, import).await.is_err());
        let after = store.ports().await.unwrap();
        assert!(after == before || after == next, "cut off after {time:?}");
    }
    assert!(cut_off > 0);
}

async fn a_set_of_several_pieces_comes_back_whole(database: Arc<Database>) {
    let store = database.migrated().await;
    let large = table(0..250_000, "vinaphone");
    store.replace_ports(&large, NOW).await.unwrap();
    assert_eq!(store.ports().await.unwrap(), large);
}
