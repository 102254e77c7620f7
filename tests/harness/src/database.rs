//! Fresh databases.

use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The database that a gateway runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// SQLite always; PostgreSQL where `tests/run` has started one.
pub fn backends() -> Vec<Backend> {
    match std::env::var("NEXO_TEST_POSTGRES_URL") {
        Ok(_) => vec![Backend::Sqlite, Backend::Postgres],
        Err(_) => vec![Backend::Sqlite],
    }
}

/// A database for a gateway in the test's own process. Dropped with this.
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

/// A new database on the test's server; its name.
pub(super) fn create_database() -> String {
    let name = format!("nexo_test_{}", uuid::Uuid::new_v4().simple());
    psql(&format!("CREATE DATABASE {name}"));
    name
}

pub(super) fn database_url(name: &str) -> String {
    let server = std::env::var("NEXO_TEST_POSTGRES_URL").unwrap();
    let (server, _) = server.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

pub(super) fn psql(command: &str) {
    let status = Command::new("psql")
        .args([
            &std::env::var("NEXO_TEST_POSTGRES_URL").unwrap(),
            "-qc",
            command,
        ])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{command}");
}
