//! What can go wrong with the database, each case with its own mend.

use std::io;
use std::path::PathBuf;

use nexo_domain::money::Micros;
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
    #[error("a correction is not zero")]
    CorrectionZero,
    #[error("the bucket holds {held} USD: a correction cannot take more than is there")]
    BucketShort { held: Micros },
}

impl StoreError {
    /// Whether the same call may succeed when made again: another writer was in the way.
    pub fn retryable(&self) -> bool {
        match self {
            StoreError::Contended => true,
            StoreError::Database(DbErr::ConnectionAcquire(_)) => true,
            StoreError::Database(error) => is_contention(error),
            _ => false,
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
