//! Statements over many rows, with one text for both databases.
//!
//! The rows are a derived table `v(column1, column2, …)`: a `VALUES` list on SQLite, an `UNNEST` of
//! one array per column on PostgreSQL. Arrays bind no nulls, so a nullable column is passed as `''`
//! or [`NULL_INT`] and converted by the statement's own `NULLIF`.

use std::sync::OnceLock;

use sea_orm::sea_query::ArrayType;
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, QueryResult, Statement, Value};

/// Stands for an absent number. No stored time, code or count is negative.
pub(crate) const NULL_INT: i64 = -1;

/// Row counts for which SQLite statements are prepared. Batches are padded with rows of nulls, so
/// that few statements serve every batch size.
const SIZES: [usize; 15] = [1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384];
const MAX_ROWS: usize = SIZES[SIZES.len() - 1];

/// The type of one column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Column {
    Uuid,
    Text,
    Int,
    Bool,
    Bytes,
}

impl Column {
    fn array(self) -> (&'static str, ArrayType) {
        match self {
            Column::Uuid => ("uuid", ArrayType::Uuid),
            Column::Text => ("text", ArrayType::String),
            Column::Int => ("bigint", ArrayType::BigInt),
            Column::Bool => ("boolean", ArrayType::Bool),
            Column::Bytes => ("bytea", ArrayType::Bytes),
        }
    }

    fn null(self) -> Value {
        match self {
            Column::Uuid => Value::Uuid(None),
            Column::Text => Value::String(None),
            Column::Int => Value::BigInt(None),
            Column::Bool => Value::Bool(None),
            Column::Bytes => Value::Bytes(None),
        }
    }
}

/// Returns the index in [`SIZES`] of the smallest size that holds `rows`.
fn size_for(rows: usize) -> usize {
    SIZES.iter().position(|size| *size >= rows).unwrap_or(SIZES.len() - 1)
}

/// A statement with the rows in its middle: `head FROM rows AS v tail`.
///
/// Parameters are written `?` and occur in the head only. The tail must drop rows whose first
/// column is null, by a condition or a join.
pub(crate) struct Bulk {
    head: &'static str,
    columns: &'static [Column],
    tail: &'static str,
    on_sqlite: [OnceLock<String>; SIZES.len()],
    on_postgres: OnceLock<String>,
}

/// Rows of one [`Bulk`], with their values in row order.
pub(crate) struct Rows {
    columns: &'static [Column],
    values: Vec<Value>,
}

impl Rows {
    pub(crate) fn push<const N: usize>(&mut self, row: [Value; N]) {
        debug_assert_eq!(N, self.columns.len());
        self.values.extend(row);
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len() / self.columns.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl Bulk {
    pub(crate) const fn new(
        head: &'static str,
        columns: &'static [Column],
        tail: &'static str,
    ) -> Self {
        Self {
            head,
            columns,
            tail,
            on_sqlite: [const { OnceLock::new() }; SIZES.len()],
            on_postgres: OnceLock::new(),
        }
    }

    pub(crate) fn rows(&self, capacity: usize) -> Rows {
        Rows { columns: self.columns, values: Vec::with_capacity(capacity * self.columns.len()) }
    }

    /// Executes the statement and returns the number of written rows.
    pub(crate) async fn execute(
        &self,
        connection: &impl ConnectionTrait,
        scalars: &[Value],
        rows: Rows,
    ) -> Result<u64, DbErr> {
        let mut written = 0;
        for statement in self.statements(connection.get_database_backend(), scalars, rows) {
            written += connection.execute_raw(statement).await?.rows_affected();
        }
        Ok(written)
    }

    /// Executes the statement and returns its result rows.
    pub(crate) async fn query(
        &self,
        connection: &impl ConnectionTrait,
        scalars: &[Value],
        rows: Rows,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let mut returned = Vec::with_capacity(rows.len());
        for statement in self.statements(connection.get_database_backend(), scalars, rows) {
            returned.extend(connection.query_all_raw(statement).await?);
        }
        Ok(returned)
    }

    fn statements(
        &self,
        backend: DatabaseBackend,
        scalars: &[Value],
        rows: Rows,
    ) -> Vec<Statement> {
        if rows.is_empty() {
            Vec::new()
        } else if backend == DatabaseBackend::Sqlite {
            self.sqlite_statements(scalars, rows)
        } else {
            vec![self.postgres_statement(scalars, rows)]
        }
    }

    fn sqlite_statements(&self, scalars: &[Value], mut rows: Rows) -> Vec<Statement> {
        let width = self.columns.len();
        let mut statements = Vec::with_capacity(rows.len().div_ceil(MAX_ROWS));
        while !rows.is_empty() {
            let count = rows.len().min(MAX_ROWS);
            let rest = rows.values.split_off(count * width);
            statements.push(self.sqlite_statement(scalars, rows, size_for(count)));
            rows = Rows { columns: self.columns, values: rest };
        }
        statements
    }

    /// Builds one statement for as many rows as the size at this index of [`SIZES`], padded with
    /// nulls.
    fn sqlite_statement(&self, scalars: &[Value], rows: Rows, size: usize) -> Statement {
        let count = rows.len();
        let mut values = Vec::with_capacity(scalars.len() + SIZES[size] * self.columns.len());
        values.extend_from_slice(scalars);
        values.extend(rows.values);
        for _ in count..SIZES[size] {
            values.extend(self.columns.iter().map(|column| column.null()));
        }
        let sql = self.on_sqlite[size].get_or_init(|| self.sqlite_text(SIZES[size]));
        Statement::from_sql_and_values(DatabaseBackend::Sqlite, sql.as_str(), values)
    }

    fn postgres_statement(&self, scalars: &[Value], rows: Rows) -> Statement {
        let count = rows.len();
        let mut arrays: Vec<Vec<Value>> =
            self.columns.iter().map(|_| Vec::with_capacity(count)).collect();
        for (place, value) in rows.values.into_iter().enumerate() {
            arrays[place % self.columns.len()].push(value);
        }
        let arrays = self
            .columns
            .iter()
            .zip(arrays)
            .map(|(column, values)| Value::Array(column.array().1, Some(Box::new(values))));
        let sql = self.on_postgres.get_or_init(|| self.postgres_text(scalars.len()));
        Statement::from_sql_and_values(
            DatabaseBackend::Postgres,
            sql.as_str(),
            scalars.iter().cloned().chain(arrays),
        )
    }

    pub(crate) fn sqlite_text(&self, rows: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns.len()].join(","));
        let rows = vec![row.as_str(); rows].join(",");
        format!("{} FROM (VALUES {rows}) AS v {}", self.head, self.tail)
    }

    fn postgres_text(&self, scalars: usize) -> String {
        let arrays: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .map(|(i, column)| format!("${}::{}[]", scalars + i + 1, column.array().0))
            .collect();
        let names: Vec<String> = (1..=self.columns.len()).map(|i| format!("column{i}")).collect();
        format!(
            "{} FROM UNNEST({}) AS v({}) {}",
            number_parameters(self.head, DatabaseBackend::Postgres),
            arrays.join(","),
            names.join(","),
            self.tail
        )
    }
}

/// Several bulk statements executed in order.
///
/// On SQLite they are sent as one text, because each text is a round trip to the connection's
/// thread. All its statements use one size, or one row: if each had its own size, hardly any text
/// would repeat, and SQLite would spend more time on parsing than on writing.
#[derive(Default)]
pub(crate) struct Script {
    parts: Vec<(&'static Bulk, Vec<Value>, Rows)>,
}

impl Script {
    /// Adds a statement unless it has no rows.
    pub(crate) fn push(&mut self, bulk: &'static Bulk, scalars: Vec<Value>, rows: Rows) {
        if !rows.is_empty() {
            self.parts.push((bulk, scalars, rows));
        }
    }

    /// Returns the number of rows written if no condition drops one.
    pub(crate) fn len(&self) -> u64 {
        self.parts.iter().map(|(_, _, rows)| rows.len() as u64).sum()
    }

    /// Executes the statements and returns the number of written rows.
    pub(crate) async fn execute(self, connection: &impl ConnectionTrait) -> Result<u64, DbErr> {
        let backend = connection.get_database_backend();
        let statements = match backend {
            DatabaseBackend::Sqlite => self.on_sqlite(),
            _ => self.one_by_one(backend),
        };
        let mut written = 0;
        for statement in statements {
            written += connection.execute_raw(statement).await?.rows_affected();
        }
        Ok(written)
    }

    fn one_by_one(self, backend: DatabaseBackend) -> Vec<Statement> {
        self.parts
            .into_iter()
            .flat_map(|(bulk, scalars, rows)| bulk.statements(backend, &scalars, rows))
            .collect()
    }

    fn on_sqlite(self) -> Vec<Statement> {
        let longest = self.parts.iter().map(|(_, _, rows)| rows.len()).max();
        let Some(longest @ ..=MAX_ROWS) = longest else {
            return self.one_by_one(DatabaseBackend::Sqlite);
        };
        let shared_size = size_for(longest);
        let statements: Vec<Statement> = self
            .parts
            .into_iter()
            .map(|(bulk, scalars, rows)| {
                let size = if rows.len() == 1 { 0 } else { shared_size };
                bulk.sqlite_statement(&scalars, rows, size)
            })
            .collect();
        vec![joined(statements)]
    }
}

/// Joins the statements into one text with all values: SQLite numbers each `?` in order, and sqlx
/// passes the values in order.
fn joined(statements: Vec<Statement>) -> Statement {
    let length = statements.iter().map(|s| s.sql.len() + 1).sum();
    let mut sql = String::with_capacity(length);
    let mut values = Vec::new();
    for statement in statements {
        sql.push_str(&statement.sql);
        sql.push(';');
        values.extend(statement.values.into_iter().flat_map(|values| values.0));
    }
    Statement::from_sql_and_values(DatabaseBackend::Sqlite, sql, values)
}

/// Returns `text` with its `?` parameters written as the database expects.
pub(crate) fn number_parameters(text: &str, backend: DatabaseBackend) -> String {
    if backend == DatabaseBackend::Sqlite {
        return text.to_owned();
    }
    let mut number_parameters = String::with_capacity(text.len() + 16);
    let mut number = 0;
    for part in text.split_inclusive('?') {
        match part.strip_suffix('?') {
            Some(before) => {
                number += 1;
                number_parameters.push_str(&format!("{before}${number}"));
            }
            None => number_parameters.push_str(part),
        }
    }
    number_parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    static INSERT: Bulk = Bulk::new(
        "INSERT INTO t (a, b, node) SELECT v.column1, v.column2, ?",
        &[Column::Int, Column::Text],
        "WHERE v.column1 IS NOT NULL",
    );

    fn rows(count: i64) -> Rows {
        let mut rows = INSERT.rows(8);
        for i in 0..count {
            rows.push([i.into(), "x".into()]);
        }
        rows
    }

    #[test]
    fn sqlite_statements_are_padded_to_few_sizes() {
        let statements = INSERT.statements(DatabaseBackend::Sqlite, &["n1".into()], rows(3));
        let [statement] = statements.as_slice() else {
            panic!("one statement, not {}", statements.len());
        };
        assert!(statement.sql.contains("FROM (VALUES (?,?),(?,?),(?,?),(?,?)) AS v WHERE"));
        let values = &statement.values.as_ref().unwrap().0;
        assert_eq!(values.len(), 1 + 4 * 2);
        assert_eq!(values[7], Value::BigInt(None));
    }

    #[test]
    fn rows_beyond_the_largest_size_take_several_statements() {
        let statements = INSERT.statements(DatabaseBackend::Sqlite, &["n1".into()], rows(800));
        let counts: Vec<usize> =
            statements.iter().map(|s| s.values.as_ref().unwrap().0.len() / 2).collect();
        assert_eq!(counts, [384, 384, 32]);
    }

    #[test]
    fn postgres_binds_one_array_per_column_after_the_scalars() {
        let statements = INSERT.statements(DatabaseBackend::Postgres, &["n1".into()], rows(800));
        assert_eq!(statements.len(), 1);
        assert_eq!(
            statements[0].sql,
            "INSERT INTO t (a, b, node) SELECT v.column1, v.column2, $1 \
             FROM UNNEST($2::bigint[],$3::text[]) AS v(column1,column2) \
             WHERE v.column1 IS NOT NULL"
        );
    }

    #[test]
    fn no_rows_make_no_statement() {
        assert!(INSERT.statements(DatabaseBackend::Sqlite, &[], rows(0)).is_empty());
        assert!(INSERT.statements(DatabaseBackend::Postgres, &[], rows(0)).is_empty());
    }
}
