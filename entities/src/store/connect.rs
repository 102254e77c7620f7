//! Opens the database. Each way in which that fails has its own error.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{self, ConnectOptions as _, Connection};
use sea_orm::{ConnectOptions, Database, DbErr, SqlxError};
use tokio::time::timeout;

use super::connection::fail_stop::FailStop;
use super::connection::private_files;
use super::error::code;
use super::phone_windows::cache::PhoneWindowCache;
use super::{Store, StoreError};

/// How long a writer waits for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a query waits for a free SQLite connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a query waits for a free PostgreSQL connection. Short, so that clients get an error
/// soon during an outage.
const ACQUIRE_SERVER_TIMEOUT: Duration = Duration::from_secs(3);
/// Settings with which PostgreSQL drops clients that hang or vanish, so that their open
/// transactions do not block other nodes.
const SERVER_SETTINGS: [(&str, &str); 5] = [
    ("idle_in_transaction_session_timeout", "5s"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10s"),
];
/// How long connecting to the database server may take.
const REACH_TIMEOUT: Duration = Duration::from_secs(5);
/// Number of read-only connections.
const READ_CONNECTIONS: u32 = 4;
/// Enough for every size of every bulk statement.
const PREPARED_STATEMENTS: usize = 512;
/// A connection that was idle for longer is pinged before it is used.
const IDLE_BEFORE_PING: Duration = Duration::from_secs(15);

impl Store {
    /// Opens `sqlite://FILE`, creating the file and its folder, or connects to `postgres://…`.
    ///
    /// `lanes` is the number of concurrent write transactions on PostgreSQL. SQLite has one writer.
    ///
    /// PostgreSQL connections belong to the runtime that opened them. All are opened here, so the
    /// calling runtime must outlive the store.
    ///
    /// # Errors
    /// Each cause that an operator can fix has its own [`StoreError`].
    pub async fn connect(url: &str, lanes: u32) -> Result<Store, StoreError> {
        if url.starts_with("sqlite:") {
            Self::open_sqlite(url).await
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Self::connect_postgres(url, lanes.max(1)).await
        } else {
            Err(StoreError::BadUrl)
        }
    }

    async fn open_sqlite(url: &str) -> Result<Store, StoreError> {
        if url.contains(":memory:") || url.contains("mode=memory") {
            return Err(StoreError::InMemory);
        }
        let file = SqliteConnectOptions::from_str(url).map_err(|_| StoreError::BadUrl)?;
        let path = file.get_filename().to_path_buf();
        create_folder(&path)?;
        private_files::protect(&path);
        // The writer opens first: it creates the file and sets the journal mode to WAL.
        let fail_stop = Arc::new(FailStop::default());
        let mut options = sqlite_options(url, 1, sqlite_writer);
        let for_pool = Arc::clone(&fail_stop);
        options.map_sqlx_sqlite_pool_opts(move |pool| {
            let for_pool = Arc::clone(&for_pool);
            pool.before_acquire(move |_, _| {
                let is_sound = for_pool.is_sound();
                Box::pin(std::future::ready(Ok(is_sound)))
            })
        });
        let writer = Database::connect(options)
            .await
            .map_err(|error| sqlite_error(path.clone(), error))?;
        let reader = Database::connect(sqlite_options(url, READ_CONNECTIONS, sqlite_reader))
            .await
            .map_err(|error| sqlite_error(path.clone(), error))?;
        let windows = Some(PhoneWindowCache::of(&path));
        Ok(Store {
            writer,
            reader,
            windows,
            fail_stop,
        })
    }

    async fn connect_postgres(url: &str, lanes: u32) -> Result<Store, StoreError> {
        let server = PgConnectOptions::from_str(url).map_err(|_| StoreError::BadUrl)?;
        reach(&server).await?;
        let pool = |connections: u32| {
            let mut options = ConnectOptions::new(url);
            options
                .min_connections(connections)
                .max_connections(connections)
                .acquire_timeout(ACQUIRE_SERVER_TIMEOUT)
                .idle_timeout(None::<Duration>)
                .max_lifetime(None::<Duration>)
                .map_sqlx_postgres_opts(|server| server.options(SERVER_SETTINGS))
                .test_before_acquire(false)
                .test_before_acquire_if_idle_for(IDLE_BEFORE_PING)
                .set_application_name("nexo")
                .sqlx_logging(false);
            options
        };
        Ok(Store {
            writer: Database::connect(pool(lanes)).await?,
            reader: Database::connect(pool(READ_CONNECTIONS)).await?,
            windows: None,
            fail_stop: Arc::default(),
        })
    }
}

fn sqlite_options(
    url: &str,
    connections: u32,
    tune: fn(SqliteConnectOptions) -> SqliteConnectOptions,
) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .min_connections(1)
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // Connections to a file do not go stale, and their prepared statements are worth keeping.
        .idle_timeout(None::<Duration>)
        .max_lifetime(None::<Duration>)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(tune);
    options
}

fn sqlite_writer(file: SqliteConnectOptions) -> SqliteConnectOptions {
    file.create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL loses acknowledged rows in a power failure.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .statement_cache_capacity(PREPARED_STATEMENTS)
        // 64 MiB of pages: the inner pages of the indexes stay in memory.
        .pragma("cache_size", "-65536")
        // Checkpointing every 16 MiB of WAL writes a hot page once instead of four times.
        .pragma("wal_autocheckpoint", "4096")
        .pragma("temp_store", "MEMORY")
}

fn sqlite_reader(file: SqliteConnectOptions) -> SqliteConnectOptions {
    file.busy_timeout(BUSY_TIMEOUT).pragma("query_only", "ON")
}

fn create_folder(file: &Path) -> Result<(), StoreError> {
    let Some(folder) = file.parent().filter(|f| !f.as_os_str().is_empty()) else {
        return Ok(());
    };
    std::fs::create_dir_all(folder).map_err(|source| StoreError::CannotCreateDirectory {
        path: folder.to_path_buf(),
        source,
    })
}

/// Maps SQLite result codes: 8 read-only, 14 cannot open, 26 not a database.
fn sqlite_error(path: PathBuf, source: DbErr) -> StoreError {
    let result = code(&source).and_then(|code| code.parse::<u32>().ok());
    match result.map(|code| code & 0xff) {
        Some(8) => StoreError::NotWritable { path, source },
        Some(14) if !path.exists() => StoreError::NotWritable {
            path: path.parent().map(Path::to_path_buf).unwrap_or(path),
            source,
        },
        Some(26) => StoreError::NotADatabase { path, source },
        _ => StoreError::CannotOpen { path, source },
    }
}

/// Opens one connection outside the pool, because a pool retries silently.
async fn reach(server: &PgConnectOptions) -> Result<(), StoreError> {
    let unreachable = |source| StoreError::Unreachable {
        host: server.get_host().to_owned(),
        port: server.get_port(),
        source,
    };
    match timeout(REACH_TIMEOUT, server.clone().connect()).await {
        Err(_) => Err(unreachable(None)),
        Ok(Ok(connection)) => connection
            .close()
            .await
            .map_err(|error| unreachable(Some(error))),
        Ok(Err(error)) => Err(refusal(server, error).unwrap_or_else(|e| unreachable(Some(e)))),
    }
}

/// Maps the server's rejection of this user or database; returns any other error unchanged.
fn refusal(server: &PgConnectOptions, error: SqlxError) -> Result<StoreError, SqlxError> {
    let code = match &error {
        sqlx::Error::Database(e) => e.code().map(|code| code.into_owned()),
        _ => None,
    };
    match code.as_deref() {
        Some("3D000") => Ok(StoreError::DatabaseMissing {
            database: server
                .get_database()
                .unwrap_or(server.get_username())
                .to_owned(),
        }),
        Some("28P01" | "28000") => Ok(StoreError::AuthenticationRefused {
            user: server.get_username().to_owned(),
        }),
        _ => Err(error),
    }
}
