//! Reads values from result rows.

use nexo_domain::billing::ledger::Buckets;
use nexo_domain::money::Micros;
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement, TryGetable};

/// Returns the first column of the first row; `None` without rows.
pub(crate) async fn scalar<T: TryGetable>(
    connection: &impl ConnectionTrait,
    statement: Statement,
) -> Result<Option<T>, DbErr> {
    let row = connection.query_one_raw(statement).await?;
    row.map(|row| row.try_get_by_index(0)).transpose()
}

/// Reads the columns of a row from left to right, in the order of its `SELECT`.
pub(crate) struct Columns<'r> {
    row: &'r QueryResult,
    index: usize,
}

impl<'r> Columns<'r> {
    pub fn of(row: &'r QueryResult) -> Self {
        Self { row, index: 0 }
    }

    pub fn get<T: TryGetable>(&mut self) -> Result<T, DbErr> {
        let value = self.row.try_get_by_index(self.index)?;
        self.index += 1;
        Ok(value)
    }

    pub fn micros(&mut self) -> Result<Micros, DbErr> {
        self.get().map(Micros::new)
    }

    /// Reads three columns: free, bonus, balance.
    pub fn buckets(&mut self) -> Result<Buckets, DbErr> {
        Ok(Buckets { free: self.micros()?, bonus: self.micros()?, balance: self.micros()? })
    }
}
