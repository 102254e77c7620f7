//! One text of SQL for both databases: only the words for types and table options differ.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DatabaseBackend};

/// The words of a schema text, and what they mean on SQLite and on PostgreSQL.
///
/// SQLite's tables are `STRICT`: a value of the wrong type is refused there as it is on PostgreSQL.
const WORDS: [(&str, &str, &str); 8] = [
    ("{uuid}", "BLOB", "uuid"),
    ("{bytes}", "BLOB", "bytea"),
    ("{bool}", "INTEGER", "boolean"),
    ("{int}", "INTEGER", "bigint"),
    ("{smallint}", "INTEGER", "smallint"),
    (
        "{sequence}",
        "INTEGER PRIMARY KEY AUTOINCREMENT",
        "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    ),
    ("{table}", "STRICT", ""),
    ("{table by key}", "STRICT, WITHOUT ROWID", ""),
];

/// Runs the statements of `schema` in the words of the connected database.
pub(crate) async fn run(manager: &SchemaManager<'_>, schema: &str) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let sqlite = connection.get_database_backend() == DatabaseBackend::Sqlite;
    let sql = WORDS
        .iter()
        .fold(schema.to_owned(), |sql, (word, on_sqlite, on_postgres)| {
            sql.replace(word, if sqlite { on_sqlite } else { on_postgres })
        });
    connection.execute_unprepared(&sql).await?;
    Ok(())
}

/// Drops `tables`, the dependent ones first.
pub(crate) async fn drop_tables(manager: &SchemaManager<'_>, tables: &[&str]) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    for table in tables {
        connection
            .execute_unprepared(&format!("DROP TABLE {table}"))
            .await?;
    }
    Ok(())
}

/// Makes the database itself refuse to change or delete a row of `table`.
pub(crate) async fn make_append_only(
    manager: &SchemaManager<'_>,
    table: &str,
) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let sql = match connection.get_database_backend() {
        DatabaseBackend::Sqlite => ["UPDATE", "DELETE"]
            .map(|action| {
                format!(
                    "CREATE TRIGGER {table}_refuse_{action} BEFORE {action} ON {table} \
                     BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END;"
                )
            })
            .concat(),
        _ => format!(
            "CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$; \
             CREATE TRIGGER {table}_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} \
             FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse();"
        ),
    };
    connection.execute_unprepared(&sql).await?;
    Ok(())
}

/// Undoes what [`make_append_only`] leaves behind when its table is dropped.
pub(crate) async fn forget_append_only(
    manager: &SchemaManager<'_>,
    table: &str,
) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    if connection.get_database_backend() != DatabaseBackend::Sqlite {
        connection
            .execute_unprepared(&format!("DROP FUNCTION {table}_refuse()"))
            .await?;
    }
    Ok(())
}
