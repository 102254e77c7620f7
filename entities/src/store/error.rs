//! The store's errors, one variant for each remedy.

use std::io;
use std::path::PathBuf;

use nexo_domain::account::quota::QuotaExceeded;
use nexo_domain::money::Micros;
use sea_orm::sqlx::error::DatabaseError;
use sea_orm::{DbErr, RuntimeErr, SqlxError};
use thiserror::Error;

/// An error of the store. No variant contains a password or another secret of the URL.
#[derive(Debug, Error)]
pub enum StoreError {
    #[error("the database URL is neither sqlite://FILE nor postgres://USER@HOST/DATABASE")]
    BadUrl,
    #[error("an in-memory database forgets every wallet: give a file, as in sqlite://data/nexo.db")]
    InMemory,
    #[error("cannot create the directory {path}")]
    CannotCreateDirectory { path: PathBuf, source: io::Error },
    #[error("cannot write to {path}: make it writable for this user, or give another file")]
    NoAccess { path: PathBuf, source: io::Error },
    #[error("cannot write to {path}: make it writable for this user, or give another file")]
    NotWritable { path: PathBuf, source: DbErr },
    #[error(
        "{path} has {links} hard links: through another name SQLite would use another journal and destroy the \
         database; keep one name (symbolic links may be used)"
    )]
    HardLinked { path: PathBuf, links: u64 },
    #[error("{path} is not an SQLite database")]
    NotADatabase { path: PathBuf, source: DbErr },
    #[error("cannot open the database {path}")]
    CannotOpen { path: PathBuf, source: DbErr },
    #[error("the server has no database {database}: create it with createdb {database}")]
    DatabaseMissing { database: String },
    #[error("the database server at {host}:{port} does not answer")]
    Unreachable { host: String, port: u16, source: Option<SqlxError> },
    #[error("the database server refuses user {user}: check the name and password in its URL")]
    AuthenticationRefused { user: String },
    #[error("the database lacks {missing} migrations: run nexo migrate up")]
    MigrationsMissing { missing: usize },
    #[error(
        "the database has the migration {name}, which this version does not know: it was created by a newer \
         version or by a development version; update nexo, or set database.url to another database"
    )]
    MigrationUnknown { name: String },
    #[error(transparent)]
    Conflict(#[from] Conflict),
    #[error("other writers kept changing the same wallets")]
    Contended,
    #[error("another process runs as node {name}")]
    NodeInUse { name: String, lease_until_ms: i64 },
    #[error("the nodes of this database use another secret")]
    SecretDiffers,
    #[error("this node's epoch has ended: another node took over, nothing was written")]
    Fenced,
    #[error("the database did not answer in time; nothing was written")]
    Timeout,
    #[error("the database failed during COMMIT: the write may have taken effect")]
    InDoubt { source: Option<DbErr> },
    #[error("cannot read column {column} of a row of {table}")]
    Unreadable { table: &'static str, column: &'static str },
    #[error("the disk under the database failed: nothing is written until this process restarts")]
    Stopped,
    #[error("the database failed: {0}")]
    Database(#[from] DbErr),
}

/// A write that the current data does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Conflict {
    #[error("an account with this e-mail address exists")]
    EmailTaken,
    #[error("no such account, or it is closed")]
    AccountClosed,
    #[error("the password or the second factor was changed meanwhile: sign in again")]
    CredentialsChanged,
    #[error("the account is suspended; `nexo account resume` ends the suspension")]
    AccountSuspended,
    #[error("{0}")]
    QuotaExceeded(QuotaExceeded),
    #[error("an account has at most {max} active keys: revoke one first")]
    TooManyKeys { max: usize },
    #[error("a key has at most {max} allowlist entries")]
    AllowlistTooLong { max: usize },
    #[error("an account has at most {max} integrations: remove one first")]
    TooManyIntegrations { max: usize },
    #[error("an account has at most {max} active webhook endpoints: pause or remove one first")]
    TooManyActiveEndpoints { max: usize },
    #[error(
        "an account keeps at most {max} webhook endpoints, paused ones included: remove one first"
    )]
    TooManyStoredEndpoints { max: usize },
    #[error("no such webhook endpoint, or it was removed")]
    EndpointRemoved,
    #[error("no such webhook attempt")]
    UnknownAttempt,
    #[error("a credit must be more than zero")]
    CreditNotPositive,
    #[error("the wallet cannot hold that much")]
    WalletFull,
    #[error("an account has at most {max} open top-ups: pay or withdraw one first")]
    TooManyDeposits { max: usize },
    #[error(
        "this payment is not in đồng, or worth nothing: credit the wallet by hand and refuse it here"
    )]
    PaymentNotConvertible,
    #[error("a correction must not be zero")]
    CorrectionZero,
    #[error("the bucket holds {held} USD: a correction cannot take more than is there")]
    BucketShort { held: Micros },
}

impl StoreError {
    /// Whether the same call may succeed when repeated: another writer interfered.
    pub fn is_retryable(&self) -> bool {
        match self {
            StoreError::Contended | StoreError::Timeout => true,
            StoreError::Database(DbErr::ConnectionAcquire(_)) => true,
            StoreError::Database(error) => is_contention(error),
            _ => false,
        }
    }

    /// Whether the database is unavailable, contended or out of space, rather than rejecting the
    /// statement. The same call may succeed later.
    pub fn is_outage(&self) -> bool {
        self.is_retryable()
            || self.is_unavailable()
            || self.wrote_nothing()
            || self.is_interrupted()
    }

    /// Whether the database cannot be reached or does not serve. Unless this is
    /// [`StoreError::InDoubt`], nothing was written.
    pub fn is_unavailable(&self) -> bool {
        match self {
            StoreError::Unreachable { .. } | StoreError::Timeout | StoreError::InDoubt { .. } => {
                true
            }
            StoreError::Database(error) => is_unavailability(error),
            _ => false,
        }
    }

    /// Whether the database stopped a query that ran for too long: SQLite's interrupt (9), or
    /// PostgreSQL's query_canceled.
    pub(super) fn is_interrupted(&self) -> bool {
        matches!(self, StoreError::Database(error)
            if sqlite_result(error) == Some(9) || code(error).as_deref() == Some("57014"))
    }

    /// A stored value that this version cannot parse.
    pub(super) fn unreadable(table: &'static str, column: &'static str) -> StoreError {
        StoreError::Unreadable { table, column }
    }

    /// Classifies an error of COMMIT. If the server rejected it, nothing was written; otherwise the
    /// outcome is unknown.
    pub(super) fn from_commit(error: DbErr) -> StoreError {
        let error = StoreError::Database(error);
        match error {
            StoreError::Database(lost) if is_unavailability(&lost) => {
                StoreError::InDoubt { source: Some(lost) }
            }
            known => known,
        }
    }

    /// Whether it is certain that nothing was written: the store was stopped or the disk is full.
    pub fn wrote_nothing(&self) -> bool {
        matches!(self, StoreError::Stopped) || self.is_disk_full()
    }

    /// Whether the disk is full: SQLite's FULL (13), or PostgreSQL's disk_full. If PostgreSQL's
    /// write-ahead log runs out of space, the server stops instead.
    pub(super) fn is_disk_full(&self) -> bool {
        matches!(self, StoreError::Database(error)
            if sqlite_result(error) == Some(13) || code(error).as_deref() == Some("53100"))
    }

    /// Whether the state of the SQLite file is unknown: I/O error (10), malformed file (11) or not
    /// a database (26).
    pub(super) fn is_disk_failure(&self) -> bool {
        matches!(self, StoreError::Database(error)
            if matches!(sqlite_result(error), Some(10 | 11 | 26)))
    }

    /// Whether PostgreSQL aborted this transaction in favour of another (serialization failure or
    /// deadlock).
    pub(super) fn is_serialization_failure(&self) -> bool {
        matches!(self, StoreError::Database(error)
            if matches!(code(error).as_deref(), Some("40001" | "40P01")))
    }
}

/// SQLite: busy or locked, with extended codes. PostgreSQL: serialization failure or deadlock.
fn is_contention(error: &DbErr) -> bool {
    matches!(code(error).as_deref(), Some("40001" | "40P01"))
        || matches!(sqlite_result(error), Some(5 | 6))
}

/// Returns SQLite's primary result code. An SQLSTATE has five characters, SQLite's codes have
/// fewer.
fn sqlite_result(error: &DbErr) -> Option<u32> {
    let code = code(error).filter(|code| code.len() < 5)?;
    code.parse().ok().map(|code: u32| code & 0xff)
}

/// PostgreSQL's classes 08 (connection), 53 (resources) and 57P (shutdown or startup), 25P03 (idle
/// in transaction timeout) and 25006 (a standby).
fn is_unavailability(error: &DbErr) -> bool {
    let source = match error {
        DbErr::ConnectionAcquire(_) => return true,
        DbErr::Conn(RuntimeErr::SqlxError(e))
        | DbErr::Exec(RuntimeErr::SqlxError(e))
        | DbErr::Query(RuntimeErr::SqlxError(e)) => e,
        _ => return false,
    };
    match source.as_ref() {
        SqlxError::Io(_)
        | SqlxError::Tls(_)
        | SqlxError::Protocol(_)
        | SqlxError::PoolTimedOut
        | SqlxError::PoolClosed
        | SqlxError::WorkerCrashed
        | SqlxError::BeginFailed => true,
        SqlxError::Database(error) => error.code().is_some_and(|code| {
            code.len() == 5
                && (["08", "53", "57P"].iter().any(|class| code.starts_with(class))
                    || ["25P03", "25006"].contains(&code.as_ref()))
        }),
        _ => false,
    }
}

/// Returns the database's own error code: SQLSTATE, or SQLite's extended result code.
pub(super) fn code(error: &DbErr) -> Option<String> {
    let source = match error {
        DbErr::Conn(RuntimeErr::SqlxError(e))
        | DbErr::Exec(RuntimeErr::SqlxError(e))
        | DbErr::Query(RuntimeErr::SqlxError(e)) => e,
        _ => return None,
    };
    source.as_database_error().and_then(DatabaseError::code).map(|code| code.into_owned())
}
