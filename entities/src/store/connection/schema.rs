//! Whether the database is there and has the schema that this program was built for.

use sea_orm::{ConnectionTrait, DatabaseBackend};

use crate::store::{Store, StoreError};

impl Store {
    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.reader.query_one_raw(self.sql("SELECT 1", [])).await?;
        Ok(())
    }

    /// Checks that exactly the migrations in `expected` were applied.
    ///
    /// # Errors
    /// [`StoreError::MigrationsMissing`], [`StoreError::MigrationUnknown`]; what the database fails with.
    pub async fn migrations_current(&self, expected: &[String]) -> Result<(), StoreError> {
        let applied = self.applied_migrations().await?;
        if let Some(name) = applied.iter().find(|name| !expected.contains(name)) {
            let name = name.clone();
            return Err(StoreError::MigrationUnknown { name });
        }
        match expected.len() - applied.len() {
            0 => Ok(()),
            missing => Err(StoreError::MigrationsMissing { missing }),
        }
    }

    async fn applied_migrations(&self) -> Result<Vec<String>, StoreError> {
        let table = match self.backend() {
            DatabaseBackend::Sqlite => {
                "SELECT name FROM sqlite_master WHERE name = 'seaql_migrations'"
            }
            _ => {
                "SELECT table_name::text FROM information_schema.tables \
                 WHERE table_schema = current_schema() AND table_name = 'seaql_migrations'"
            }
        };
        let exists = self.reader.query_one_raw(self.sql(table, [])).await?;
        if exists.is_none() {
            return Ok(Vec::new());
        }
        let statement = self.sql("SELECT version FROM seaql_migrations", []);
        let rows = self.reader.query_all_raw(statement).await?;
        let names: Result<_, _> = rows.iter().map(|row| row.try_get_by_index(0)).collect();
        Ok(names?)
    }
}
