//! Opens the database. Each way in which that fails has its own error.

use std::cell::Cell;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous,
};
use sea_orm::sqlx::{self, ConnectOptions as _, Connection};
use sea_orm::{ConnectOptions, Database, DbErr, SqlxError};
use tokio::time::timeout;

use super::connection::fail_stop::FailStop;
use super::connection::private_files;
use super::error::code;
use super::phone_windows::cache::PhoneWindowCache;
use super::{Store, StoreError};

/// How long a writer waits for another process's transaction.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
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
/// Read connections for what keeps the gateway running.
const CORE_CONNECTIONS: u32 = 4;
/// Read connections for background jobs.
const JOB_CONNECTIONS: u32 = 2;
/// Read connections for lists and pages, unless configured.
pub const DEFAULT_LIST_CONNECTIONS: u32 = 4;
/// How long a query of a list or page may run. A client that gave up earlier does not stop its query, so
/// this bounds how long an abandoned query occupies its connection.
const LIST_QUERY_TIMEOUT: Duration = Duration::from_secs(3);
/// The niceness of the threads that run queries of lists and pages.
const LIST_NICENESS: i32 = 10;
/// How many instructions SQLite executes between two checks of the time limit. About 0.1 ms.
const STEPS_PER_CHECK: i32 = 4_096;
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
        Self::connect_with(url, lanes, DEFAULT_LIST_CONNECTIONS).await
    }

    /// Like [`Store::connect`], with this number of read connections for lists and pages.
    ///
    /// # Errors
    /// As [`Store::connect`].
    pub async fn connect_with(
        url: &str,
        lanes: u32,
        list_connections: u32,
    ) -> Result<Store, StoreError> {
        let lists = list_connections.max(1);
        if url.starts_with("sqlite:") {
            Self::open_sqlite(url, lists).await
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Self::connect_postgres(url, lanes.max(1), lists).await
        } else {
            Err(StoreError::BadUrl)
        }
    }

    async fn open_sqlite(url: &str, lists: u32) -> Result<Store, StoreError> {
        if is_in_memory(url) {
            return Err(StoreError::InMemory);
        }
        let file = SqliteConnectOptions::from_str(url).map_err(|_| StoreError::BadUrl)?;
        let path = file.get_filename().to_path_buf();
        create_folder(&path)?;
        refuse_hard_links(&path)?;
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
        let writer =
            Database::connect(options).await.map_err(|error| sqlite_error(path.clone(), error))?;
        let readers = async |connections| {
            Database::connect(sqlite_options(url, connections, sqlite_reader))
                .await
                .map_err(|error| sqlite_error(path.clone(), error))
        };
        let core_reader = readers(CORE_CONNECTIONS).await?;
        let job_reader = readers(JOB_CONNECTIONS).await?;
        let mut options = sqlite_options(url, lists, sqlite_reader);
        options.map_sqlx_sqlite_pool_opts(|pool| {
            pool.after_connect(|connection, _| Box::pin(limit_queries(connection))).before_acquire(
                |connection, _| {
                    Box::pin(async move { limit_queries(connection).await.map(|()| true) })
                },
            )
        });
        let reader =
            Database::connect(options).await.map_err(|error| sqlite_error(path.clone(), error))?;
        let windows = Some(PhoneWindowCache::of(&path));
        Ok(Store { writer, core_reader, job_reader, reader, windows, fail_stop })
    }

    async fn connect_postgres(url: &str, lanes: u32, lists: u32) -> Result<Store, StoreError> {
        let server = PgConnectOptions::from_str(url).map_err(|_| StoreError::BadUrl)?;
        reach(&server).await?;
        let pool = |connections: u32, settings: Vec<(&'static str, String)>| {
            let mut options = ConnectOptions::new(url);
            options
                .min_connections(connections)
                .max_connections(connections)
                .acquire_timeout(ACQUIRE_SERVER_TIMEOUT)
                .idle_timeout(None::<Duration>)
                .max_lifetime(None::<Duration>)
                .map_sqlx_postgres_opts(move |server| {
                    server.options(SERVER_SETTINGS).options(settings.clone())
                })
                .test_before_acquire(false)
                .test_before_acquire_if_idle_for(IDLE_BEFORE_PING)
                .set_application_name("nexo")
                .sqlx_logging(false);
            options
        };
        let limit = LIST_QUERY_TIMEOUT.as_millis().to_string();
        let limit = vec![("statement_timeout", limit)];
        Ok(Store {
            writer: Database::connect(pool(lanes, Vec::new())).await?,
            core_reader: Database::connect(pool(CORE_CONNECTIONS, Vec::new())).await?,
            job_reader: Database::connect(pool(JOB_CONNECTIONS, Vec::new())).await?,
            reader: Database::connect(pool(lists, limit)).await?,
            windows: None,
            fail_stop: Arc::default(),
        })
    }
}

/// Returns the file of an `sqlite:` URL, as SQLite opens it; `None` for any other URL.
pub fn sqlite_path(url: &str) -> Option<PathBuf> {
    if !url.starts_with("sqlite:") {
        return None;
    }
    let file = SqliteConnectOptions::from_str(url).ok()?;
    Some(file.get_filename().to_path_buf())
}

pub(super) fn is_in_memory(url: &str) -> bool {
    url.contains(":memory:") || url.contains("mode=memory")
}

pub(super) fn sqlite_options(
    url: &str,
    connections: u32,
    tune: impl Fn(SqliteConnectOptions) -> SqliteConnectOptions + Send + Sync + 'static,
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

/// Interrupts a query that this connection still runs [`LIST_QUERY_TIMEOUT`] from now.
async fn limit_queries(connection: &mut SqliteConnection) -> Result<(), SqlxError> {
    let deadline = Instant::now() + LIST_QUERY_TIMEOUT;
    let mut handle = connection.lock_handle().await?;
    handle.set_progress_handler(STEPS_PER_CHECK, move || {
        lower_thread_priority();
        Instant::now() < deadline
    });
    Ok(())
}

/// Lowers the priority of the calling thread, once. Each SQLite connection has a thread of its own: lists and exports
/// then take only what OTPs leave of the processor.
fn lower_thread_priority() {
    thread_local! {
        static IS_LOW: Cell<bool> = const { Cell::new(false) };
    }
    if !IS_LOW.replace(true) {
        // Linux applies this to the calling thread only. A failure costs nothing but speed.
        let _ = rustix::process::setpriority_process(None, LIST_NICENESS);
    }
}

/// SQLite derives the name of its journal from the file's name: two names would have two journals.
pub(super) fn refuse_hard_links(file: &Path) -> Result<(), StoreError> {
    let found = std::fs::metadata(file).ok().filter(|found| found.is_file());
    match found.map_or(1, |found| found.nlink()) {
        0 | 1 => Ok(()),
        links => Err(StoreError::HardLinked { path: file.to_owned(), links }),
    }
}

fn create_folder(file: &Path) -> Result<(), StoreError> {
    let Some(folder) = file.parent().filter(|f| !f.as_os_str().is_empty()) else {
        return Ok(());
    };
    std::fs::create_dir_all(folder)
        .map_err(|source| StoreError::CannotCreateDirectory { path: folder.to_path_buf(), source })
}

/// Maps SQLite result codes: 8 read-only, 14 cannot open, 26 not a database.
pub(super) fn sqlite_error(path: PathBuf, source: DbErr) -> StoreError {
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
pub(super) async fn reach(server: &PgConnectOptions) -> Result<(), StoreError> {
    let unreachable = |source| StoreError::Unreachable {
        host: server.get_host().to_owned(),
        port: server.get_port(),
        source,
    };
    match timeout(REACH_TIMEOUT, server.clone().connect()).await {
        Err(_) => Err(unreachable(None)),
        Ok(Ok(connection)) => connection.close().await.map_err(|error| unreachable(Some(error))),
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
            database: server.get_database().unwrap_or(server.get_username()).to_owned(),
        }),
        Some("28P01" | "28000") => {
            Ok(StoreError::AuthenticationRefused { user: server.get_username().to_owned() })
        }
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::ConnectionTrait;

    use super::*;

    const ENDLESS: &str =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n";

    #[tokio::test]
    async fn a_list_query_that_takes_too_long_is_stopped_and_its_connection_stays_usable() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/slow.db", folder.path().display());
        let store = Store::connect_with(&url, 1, 1).await.unwrap();
        for _ in 0..2 {
            let error = store.reader.query_one_raw(store.sql(ENDLESS, [])).await;
            let error = StoreError::from(error.unwrap_err());
            assert!(error.is_interrupted() && error.is_outage(), "{error}");
        }
        // The client gave up first. Its query ends by itself and frees the only connection.
        let abandoned = store.reader.query_one_raw(store.sql(ENDLESS, []));
        let abandoned = timeout(Duration::from_millis(50), abandoned).await;
        assert!(abandoned.is_err());
        let next = store.reader.query_one_raw(store.sql("SELECT 1", []));
        assert!(next.await.unwrap().is_some());
        store.close().await.unwrap();
    }
}
