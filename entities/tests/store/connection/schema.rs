//! The migrations, up and down.

use std::sync::Arc;

use nexo_entities::StoreError;
use nexo_migration::MigrationError;
use sea_orm::ConnectionTrait;

use crate::database::Database;
use crate::world::{COST, World, otp};

on_both!(
    migrations_run_up_and_down_and_report_their_state,
    two_nodes_may_migrate_at_once,
    a_database_with_an_unknown_migration_is_left_unchanged,
    a_value_of_the_wrong_type_is_refused,
);

async fn migrations_run_up_and_down_and_report_their_state(database: Arc<Database>) {
    let store = database.open().await;
    store.ping().await.unwrap();
    let names = nexo_migration::names();
    let missing = store.check_migrations(&names).await.unwrap_err();
    assert!(matches!(missing, StoreError::MigrationsMissing { missing } if missing == names.len()));
    let status = nexo_migration::status(store.connection()).await.unwrap();
    assert!(status.iter().all(|step| !step.applied));

    nexo_migration::up(store.connection()).await.unwrap();
    nexo_migration::up(store.connection()).await.unwrap();
    store.check_migrations(&names).await.unwrap();
    let status = nexo_migration::status(store.connection()).await.unwrap();
    assert!(status.iter().all(|step| step.applied));
    assert_eq!(
        status.iter().map(|step| &step.name).collect::<Vec<_>>(),
        names.iter().collect::<Vec<_>>()
    );
    let unknown = store.check_migrations(&names[1..]).await.unwrap_err();
    assert!(matches!(unknown, StoreError::MigrationUnknown { name } if name == names[0]));

    let mut world = World::with_balance(&database, COST).await;
    world.debit(&[otp(world.account, 1)]).await;
    nexo_migration::down(store.connection(), 1).await.unwrap();
    let missing = store.check_migrations(&names).await.unwrap_err();
    assert!(matches!(missing, StoreError::MigrationsMissing { missing: 1 }));
    let rest = u32::try_from(names.len()).unwrap();
    nexo_migration::down(store.connection(), rest).await.unwrap();
    nexo_migration::up(store.connection()).await.unwrap();
    store.check_migrations(&names).await.unwrap();
    assert!(store.accounts().all().await.unwrap().is_empty());
}

async fn two_nodes_may_migrate_at_once(database: Arc<Database>) {
    let (one, two) = (database.open().await, database.open().await);
    let (first, second) =
        tokio::join!(nexo_migration::up(one.connection()), nexo_migration::up(two.connection()));
    first.unwrap();
    second.unwrap();
    one.check_migrations(&nexo_migration::names()).await.unwrap();
}

async fn a_database_with_an_unknown_migration_is_left_unchanged(database: Arc<Database>) {
    let store = database.open().await;
    let connection = store.connection();
    nexo_migration::up(connection).await.unwrap();
    nexo_migration::down(connection, 1).await.unwrap();
    connection
        .execute_unprepared("INSERT INTO seaql_migrations VALUES ('m0001_other', 0)")
        .await
        .unwrap();
    let errors = [
        nexo_migration::up(connection).await.unwrap_err(),
        nexo_migration::down(connection, 1).await.unwrap_err(),
        nexo_migration::status(connection).await.unwrap_err(),
    ];
    for error in errors {
        assert!(
            matches!(&error, MigrationError::Unknown { name } if name == "m0001_other"),
            "{error}"
        );
    }
    connection
        .execute_unprepared("DELETE FROM seaql_migrations WHERE version = 'm0001_other'")
        .await
        .unwrap();
    let status = nexo_migration::status(connection).await.unwrap();
    let missing = status.iter().filter(|it| !it.applied).count();
    assert_eq!(missing, 1);
}

async fn a_value_of_the_wrong_type_is_refused(database: Arc<Database>) {
    let world = World::with_balance(&database, COST).await;
    for sql in [
        "UPDATE wallets SET balance_micros = 'much'",
        "UPDATE wallets SET balance_micros = -1",
        "UPDATE accounts SET email = 'A@example.com'",
        "UPDATE accounts SET language = 'fr'",
        "INSERT INTO phone_windows VALUES ('else', '+84981234567', 0, 0, NULL)",
    ] {
        let refused = world.store.connection().execute_unprepared(sql).await;
        assert!(refused.is_err(), "{sql}");
    }
    world.assert_sound().await;
}
