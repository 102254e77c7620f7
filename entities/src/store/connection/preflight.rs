//! Looks at a database without changing anything: `nexo config check` finds what would keep a gateway from serving it.

use std::io;
use std::path::Path;
use std::str::FromStr;

use rustix::fs::{Access, access};
use rustix::io::Errno;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use sea_orm::{ConnectOptions, Database, DatabaseConnection};

use crate::store::connect::{
    BUSY_TIMEOUT, is_in_memory, reach, refuse_hard_links, sqlite_error, sqlite_options,
};
use crate::store::{StoreError, sqlite_path};

/// Whether the driver reads this as the URL of a database.
///
/// A PostgreSQL password with `#`, `?` or `/` ends the host name early: the driver refuses the rest as a port, or takes
/// it silently for a fragment, a parameter or the database's name. Both are refused here.
pub fn is_database_url(url: &str) -> bool {
    if url.starts_with("sqlite:") {
        return sqlite_path(url).is_some();
    }
    let Some((_, rest)) = url.split_once("://") else {
        return false;
    };
    let is_postgres = url.starts_with("postgres://") || url.starts_with("postgresql://");
    let (authority, after) = match rest.find(['/', '?', '#']) {
        Some(end) => rest.split_at(end),
        None => (rest, ""),
    };
    let path = match after.split_once('?') {
        // Without a path, what follows is the rest of a password rather than parameters.
        Some((path, _)) if !path.is_empty() => path,
        _ => after,
    };
    let is_cut = after.contains('#') || (path.contains('@') && !authority.contains('@'));
    is_postgres && !is_cut && PgConnectOptions::from_str(url).is_ok()
}

/// Opens one connection that writes nothing. `None` if the SQLite file does not exist and could be created.
///
/// # Errors
/// As [`Store::connect`](crate::store::Store::connect).
pub async fn open_unchanged(url: &str) -> Result<Option<DatabaseConnection>, StoreError> {
    let Some(path) = sqlite_path(url) else {
        let server = PgConnectOptions::from_str(url).map_err(|_| StoreError::BadUrl)?;
        reach(&server).await?;
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).sqlx_logging(false);
        return Ok(Some(Database::connect(options).await?));
    };
    if is_in_memory(url) {
        return Err(StoreError::InMemory);
    }
    if is_read_only(url) {
        return Err(StoreError::NoAccess { path, source: Errno::ROFS.into() });
    }
    if let Some(folder) = path.parent() {
        let path = folder.to_owned();
        can_create_in(folder).map_err(|source| match folder.is_dir() {
            true => StoreError::NoAccess { path, source },
            false => StoreError::CannotCreateDirectory { path, source },
        })?;
    }
    if !path.exists() {
        return Ok(None);
    }
    refuse_hard_links(&path)?;
    if let Err(error) = access(&path, Access::READ_OK | Access::WRITE_OK) {
        return Err(StoreError::NoAccess { path, source: error.into() });
    }
    // Opening a file in WAL mode creates its log, unless the file is declared immutable. It is not if it has a log.
    let mut log = path.clone().into_os_string();
    log.push("-wal");
    let has_log = Path::new(&log).exists();
    let read_only = move |file: SqliteConnectOptions| {
        file.read_only(true).immutable(!has_log).busy_timeout(BUSY_TIMEOUT)
    };
    let opened = Database::connect(sqlite_options(url, 1, read_only)).await;
    opened.map(Some).map_err(|error| sqlite_error(path, error))
}

fn is_read_only(url: &str) -> bool {
    let (_, parameters) = url.split_once('?').unwrap_or_default();
    let mut parameters = parameters.split('&');
    parameters.any(|one| matches!(one, "mode=ro" | "immutable=true" | "immutable=1"))
}

/// Whether this process may create `folder`, if it does not exist, and files in it.
///
/// # Errors
/// Why not.
pub fn can_create_in(folder: &Path) -> io::Result<()> {
    let nearest = folder.ancestors().find(|ancestor| ancestor.symlink_metadata().is_ok());
    // A relative path starts in the working directory.
    let nearest = nearest.filter(|ancestor| !ancestor.as_os_str().is_empty());
    let nearest = nearest.unwrap_or(Path::new("."));
    if !nearest.metadata()?.is_dir() {
        return Err(Errno::NOTDIR.into());
    }
    Ok(access(nearest, Access::WRITE_OK | Access::EXEC_OK)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_in_a_password_must_be_percent_encoded() {
        for url in [
            "sqlite://data/nexo.db",
            "sqlite:nexo.db",
            "postgres://nexo@db/nexo",
            "postgres://nexo:p%23ss@db:5432/nexo",
            "postgres://nexo:p:a@ss@db/nexo",
            "postgresql://db/nexo?user=nexo&password=a@b",
            "postgres:///nexo?host=/run/postgresql",
        ] {
            assert!(is_database_url(url), "{url}");
        }
        for url in [
            "postgres://nexo:p#ss@db/nexo",
            "postgres://nexo:12#34@db/nexo",
            "postgres://nexo:12/34@db/nexo",
            "postgres://nexo:12?34@db/nexo",
            "postgres://nexo:secret",
            "postgres://nexo@db:port/nexo",
            "postgres://nexo@db/nexo?sslmode=of",
            "mysql://nexo@db/nexo",
            "nexo.db",
        ] {
            assert!(!is_database_url(url), "{url}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_created_is_found() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        can_create_in(dir.path()).unwrap();
        can_create_in(&dir.path().join("a/b/c")).unwrap();
        can_create_in(Path::new("a/b")).unwrap();
        let error = can_create_in(&dir.path().join("file/a")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_look_at_a_database_leaves_its_folder_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/new/nexo.db", dir.path().display());
        assert!(open_unchanged(&url).await.unwrap().is_none());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

        let store = crate::store::Store::connect(&url, 1).await.unwrap();
        store.close().await.unwrap();
        let files = || {
            let entries = std::fs::read_dir(dir.path().join("new")).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let before = files();
        open_unchanged(&url).await.unwrap().unwrap().close().await.unwrap();
        assert_eq!(files(), before);
    }
}
