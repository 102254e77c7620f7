//! Checks that the database responds and has the schema of this program version.

use sea_orm::{ConnectionTrait, DatabaseBackend};

use crate::store::{Store, StoreError};

impl Store {
    /// Checks that the database responds.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.core_reader.query_one_raw(self.sql("SELECT 1", [])).await?;
        Ok(())
    }

    /// Checks that exactly the `expected` migrations were applied.
    ///
    /// # Errors
    /// [`StoreError::MigrationsMissing`], [`StoreError::MigrationUnknown`].
    pub async fn check_migrations(&self, expected: &[String]) -> Result<(), StoreError> {
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
        let exists = self.core_reader.query_one_raw(self.sql(table, [])).await?;
        if exists.is_none() {
            return Ok(Vec::new());
        }
        let statement = self.sql("SELECT version FROM seaql_migrations", []);
        let rows = self.core_reader.query_all_raw(statement).await?;
        let names: Result<_, _> = rows.iter().map(|row| row.try_get_by_index(0)).collect();
        Ok(names?)
    }
}
