//! Creates new databases for tests.

use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The database server of a gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    Sqlite,
    Postgres,
}

impl Backend {
    /// Whether tests can run on it: SQLite always, PostgreSQL if `NEXO_TEST_POSTGRES_URL` names a server.
    pub fn is_available(self) -> bool {
        let is_available =
            self == Backend::Sqlite || std::env::var_os("NEXO_TEST_POSTGRES_URL").is_some();
        if !is_available {
            eprintln!("skipped: NEXO_TEST_POSTGRES_URL names no PostgreSQL server");
        }
        is_available
    }
}

/// A new database, which is deleted when this is dropped.
pub struct FreshDatabase {
    pub url: String,
    postgres: Option<String>,
    _dir: TempDir,
}

impl FreshDatabase {
    pub fn create(backend: Backend) -> FreshDatabase {
        let dir = tempfile::tempdir().unwrap();
        let postgres = (backend == Backend::Postgres).then(create_database);
        FreshDatabase {
            url: match &postgres {
                Some(name) => database_url(name),
                None => format!("sqlite://{}/nexo.db", dir.path().display()),
            },
            postgres,
            _dir: dir,
        }
    }
}

impl Drop for FreshDatabase {
    fn drop(&mut self) {
        if let Some(name) = &self.postgres {
            psql(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        }
    }
}

/// Creates a database on the test server and returns its name.
pub(crate) fn create_database() -> String {
    let name = format!("nexo_test_{}", uuid::Uuid::new_v4().simple());
    psql(&format!("CREATE DATABASE {name}"));
    name
}

pub(crate) fn database_url(name: &str) -> String {
    let server = std::env::var("NEXO_TEST_POSTGRES_URL").unwrap();
    let (server, _) = server.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

pub(crate) fn psql(command: &str) {
    let status = Command::new("psql")
        .args([&std::env::var("NEXO_TEST_POSTGRES_URL").unwrap(), "-qc", command])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{command}");
}
