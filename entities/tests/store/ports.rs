//! Ported numbers: replaced as a whole, or not at all.

use std::sync::Arc;
use std::time::Duration;

use nexo_domain::phone::carrier_plan::Carrier;
use nexo_domain::phone::portability::PortTable;
use nexo_entities::StoreError;
use nexo_entities::store::cluster::changes::Change;
use sea_orm::ConnectionTrait;

use crate::database::Database;
use crate::world::{NOW, phone};

on_both!(
    a_set_replaces_the_older_one_and_is_told,
    half_a_set_is_never_in_force,
    a_set_of_several_pieces_comes_back_whole,
    of_imports_at_once_one_is_in_force_and_whole,
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
    // Cut off at any point: some set is in force, and whole. A commit that was on its way may come later.
    let (mut cut_off, mut tried) = (0, vec![first]);
    for round in 0..60 {
        let next = table(round..round + 20, "mobifone");
        let time = Duration::from_micros(u64::from(round) * 60);
        let import = store.replace_ports(&next, NOW);
        // A connection that was cut off may still hold what the next import wrote: that one fails whole.
        match tokio::time::timeout(time, import).await {
            Err(_) => cut_off += 1,
            Ok(Ok(()) | Err(StoreError::Contended)) => {}
            Ok(Err(error)) => panic!("{error}"),
        }
        tried.push(next);
        let in_force = store.ports().await.unwrap();
        assert!(tried.contains(&in_force), "cut off after {time:?}");
    }
    assert!(cut_off > 0);
}

async fn a_set_of_several_pieces_comes_back_whole(database: Arc<Database>) {
    let store = database.migrated().await;
    let large = table(0..250_000, "vinaphone");
    store.replace_ports(&large, NOW).await.unwrap();
    assert_eq!(store.ports().await.unwrap(), large);
}

async fn of_imports_at_once_one_is_in_force_and_whole(database: Arc<Database>) {
    let store = database.migrated().await;
    let mut imports = Vec::new();
    for n in 0..12 {
        let store = store.clone();
        imports.push(tokio::spawn(async move {
            store.replace_ports(&table(n..n + 50, "itel"), NOW).await
        }));
    }
    for import in imports {
        import.await.unwrap().unwrap();
        store.ports().await.unwrap();
    }
    assert_eq!(store.ports().await.unwrap().len(), 50);
}
