//! Ported numbers: a set is replaced completely or not at all.

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
    a_set_replaces_the_previous_one_and_is_announced,
    a_partial_set_is_never_in_force,
    a_set_of_several_chunks_is_read_back_completely,
    concurrent_imports_leave_one_complete_set,
);

fn table(numbers: std::ops::Range<u32>, carrier: &str) -> PortTable {
    let carrier = Carrier::named(carrier).unwrap();
    PortTable::of(numbers.map(|n| (phone(n), carrier)).collect()).unwrap()
}

async fn a_set_replaces_the_previous_one_and_is_announced(database: Arc<Database>) {
    let store = database.migrated().await;
    assert!(store.operations().ported_numbers().await.unwrap().is_empty());
    let before = store.cluster().last_change().await.unwrap();
    let (first, second) = (table(0..10, "itel"), table(5..8, "mobifone"));
    store.operations().replace_ported_numbers(&first, NOW).await.unwrap();
    assert_eq!(store.operations().ported_numbers().await.unwrap(), first);
    store.operations().replace_ported_numbers(&second, NOW).await.unwrap();
    assert_eq!(store.operations().ported_numbers().await.unwrap(), second);
    let announced = store.cluster().changes_since(before).await.unwrap().changes;
    assert_eq!(announced.len(), 2);
    assert!(announced.iter().all(|change| matches!(change, Change::Ports(_))));
    store.operations().replace_ported_numbers(&PortTable::default(), NOW).await.unwrap();
    assert!(store.operations().ported_numbers().await.unwrap().is_empty());
    let left = store.connection().query_one_raw(sea_orm::Statement::from_string(
        store.connection().get_database_backend(),
        "SELECT (SELECT count(*) FROM port_pieces), (SELECT count(*) FROM port_sets)",
    ));
    let left = left.await.unwrap().unwrap();
    let count = |place| left.try_get_by_index::<i64>(place).unwrap();
    assert_eq!((count(0), count(1)), (0, 1));
}

async fn a_partial_set_is_never_in_force(database: Arc<Database>) {
    let store = database.migrated().await;
    let first = table(0..10, "itel");
    store.operations().replace_ported_numbers(&first, NOW).await.unwrap();
    // Interrupted at any point, a complete set stays in force. An interrupted commit may take effect later.
    let (mut cut_off, mut tried) = (0, vec![first]);
    for round in 0..60 {
        let next = table(round..round + 20, "mobifone");
        let time = Duration::from_micros(u64::from(round) * 60);
        let import = store.operations().replace_ported_numbers(&next, NOW);
        // An interrupted connection may still lock the rows, in which case the whole import fails.
        match tokio::time::timeout(time, import).await {
            Err(_) => cut_off += 1,
            Ok(Ok(()) | Err(StoreError::Contended)) => {}
            Ok(Err(error)) => panic!("{error}"),
        }
        tried.push(next);
        let in_force = store.operations().ported_numbers().await.unwrap();
        assert!(tried.contains(&in_force), "cut off after {time:?}");
    }
    assert!(cut_off > 0);
}

async fn a_set_of_several_chunks_is_read_back_completely(database: Arc<Database>) {
    let store = database.migrated().await;
    let large = table(0..250_000, "vinaphone");
    store.operations().replace_ported_numbers(&large, NOW).await.unwrap();
    assert_eq!(store.operations().ported_numbers().await.unwrap(), large);
}

async fn concurrent_imports_leave_one_complete_set(database: Arc<Database>) {
    let store = database.migrated().await;
    let mut imports = Vec::new();
    for n in 0..12 {
        let store = store.clone();
        imports.push(tokio::spawn(async move {
            store.operations().replace_ported_numbers(&table(n..n + 50, "itel"), NOW).await
        }));
    }
    for import in imports {
        import.await.unwrap().unwrap();
        store.operations().ported_numbers().await.unwrap();
    }
    assert_eq!(store.operations().ported_numbers().await.unwrap().len(), 50);
}
