//! What can go wrong with the database, each case with its own mend.

use std::io;
use std::path::PathBuf;

use sea_orm::sqlx::error::DatabaseError;
use sea_orm::{DbErr, RuntimeErr, SqlxError};
use thiserror::Error;

/// An error of the store. No variant carries a password or any other secret of the URL.
#[derive(Debug, Error)]
pub enum StoreError {
    #[error("the database URL is neither sqlite://FILE nor postgres://USER@HOST/DATABASE")]
    BadUrl,
    #[error("an in-memory database forgets every wallet: give a file, as in sqlite://data/nexo.db")]
    InMemory,
    #[error("cannot create the directory {path}")]
    CannotCreateDirectory { path: PathBuf, source: io::Error },
    #[error("cannot write to {path}: make it writable for this user, or give another file")]
    NotWritable { path: PathBuf, source: DbErr },
    #[error("{path} is no SQLite database")]
    NotADatabase { path: PathBuf, source: DbErr },
    #[error("cannot open the database {path}")]
    CannotOpen { path: PathBuf, source: DbErr },
    #[error("the server has no database {database}: create it with createdb {database}")]
    DatabaseMissing { database: String },
    #[error("the database server at {host}:{port} does not answer")]
    Unreachable {
        host: String,
        port: u16,
        source: Option<SqlxError>,
    },
    #[error("the database server refuses user {user}: check the name and password in its URL")]
    AuthenticationRefused { user: String },
    #[error("the database lacks {missing} migrations: run nexo migrate up")]
    MigrationsMissing { missing: usize },
    #[error("the database has the migration {name}, which this version does not know: update nexo")]
    MigrationUnknown { name: String },
    #[error(transparent)]
    Conflict(#[from] Conflict),
    #[error("other writers kept changing the same wallets")]
    Contended,
    #[error("the database did not answer in time; nothing was written")]
    Slow,
    #[error("the database failed while it committed: what was to be written may be")]
    InDoubt { source: Option<DbErr> },
    #[error("the {column} of a row of {table} cannot be read")]
    Unreadable {
        table: &'static str,
        column: &'static str,
    },
    #[error("the database failed: {0}")]
    Database(#[from] DbErr),
}

/// A write that the present data does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Conflict {
    #[error("an account with this e-mail address exists")]
    EmailTaken,
    #[error("there is no such account, or it is closed")]
    AccountClosed,
    #[error("an account has at most {max} active keys: revoke one first")]
    TooManyKeys { max: usize },
    #[error("a key has at most {max} allowlist entries")]
    AllowlistTooLong { max: usize },
    #[error("an account has at most {max} active webhook endpoints: remove one first")]
    TooManyEndpoints { max: usize },
    #[error("there is no such webhook endpoint, or it was removed")]
    EndpointRemoved,
    #[error("there is no such webhook attempt")]
    AttemptUnknown,
    #[error("a credit is more than zero")]
    CreditNotPositive,
    #[error("a wallet cannot hold that much")]
    WalletFull,
}

impl StoreError {
    /// Whether the same call may succeed when made again: another writer was in the way.
    pub fn retryable(&self) -> bool {
        match self {
            StoreError::Contended | StoreError::Slow => true,
            StoreError::Database(DbErr::ConnectionAcquire(_)) => true,
            StoreError::Database(error) => is_contention(error),
            _ => false,
        }
    }

    /// Whether the database is down, in the way of another, or out of room, rather than asked for something
    /// that it cannot do. The same call may succeed later.
    pub fn is_outage(&self) -> bool {
        match self {
            StoreError::Contended
            | StoreError::Slow
            | StoreError::InDoubt { .. }
            | StoreError::Unreachable { .. }
            | StoreError::Database(DbErr::ConnectionAcquire(_) | DbErr::Conn(_)) => true,
            StoreError::Database(
                error @ (DbErr::Exec(RuntimeErr::SqlxError(source))
                | DbErr::Query(RuntimeErr::SqlxError(source))),
            ) => match code(error) {
                Some(code) => is_outage_code(&code),
                None => is_broken_connection(source),
            },
            _ => false,
        }
    }

    /// A COMMIT that failed: whether it took effect is known only where the database gave it up for
    /// another writer's sake.
    pub(super) fn of_commit(error: DbErr) -> StoreError {
        match is_contention(&error) {
            true => StoreError::Database(error),
            false => StoreError::InDoubt {
                source: Some(error),
            },
        }
    }

    /// Whether PostgreSQL gave this transaction up in favour of another one.
    pub(super) fn lost_to_another(&self) -> bool {
        matches!(self, StoreError::Database(error)
            if matches!(code(error).as_deref(), Some("40001" | "40P01")))
    }
}

/// SQLite: busy or locked, in any of their extended forms. PostgreSQL: serialization or deadlock.
fn is_contention(error: &DbErr) -> bool {
    match code(error).as_deref() {
        Some("40001" | "40P01") => true,
        Some(code) => code.len() < 5 && code.parse().is_ok_and(|n: u32| matches!(n & 0xff, 5 | 6)),
        None => false,
    }
}

/// PostgreSQL: a connection's failure, a lost race, no more resources, shut down, or read-only while another
/// server takes over. SQLite: busy, locked, read-only, I/O failure, full, cannot open.
fn is_outage_code(code: &str) -> bool {
    match code.len() {
        5 => ["08", "40", "53", "57", "58"].contains(&&code[..2]) || code == "25006",
        _ => code
            .parse()
            .is_ok_and(|n: u32| matches!(n & 0xff, 5 | 6 | 8 | 10 | 13 | 14)),
    }
}

fn is_broken_connection(error: &SqlxError) -> bool {
    use sea_orm::sqlx::Error;

    matches!(
        error,
        Error::Io(_)
            | Error::Tls(_)
            | Error::Protocol(_)
            | Error::PoolTimedOut
            | Error::PoolClosed
            | Error::WorkerCrashed
    )
}

/// The database's own code for the error: SQLSTATE, or SQLite's extended result code.
pub(super) fn code(error: &DbErr) -> Option<String> {
    let source = match error {
        DbErr::Conn(RuntimeErr::SqlxError(e))
        | DbErr::Exec(RuntimeErr::SqlxError(e))
        | DbErr::Query(RuntimeErr::SqlxError(e)) => e,
        _ => return None,
    };
    source
        .as_database_error()
        .and_then(DatabaseError::code)
        .map(|code| code.into_owned())
}
