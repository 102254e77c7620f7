//! Online backup of an SQLite database.

use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr};
use thiserror::Error;

use crate::store::Store;

/// Why a backup failed.
#[derive(Debug, Error)]
pub enum BackupError {
    #[error("backup is available for SQLite only; use pg_dump for PostgreSQL")]
    NotSqlite,
    #[error("{} already exists: choose another file", .0.display())]
    Exists(PathBuf),
    #[error("cannot write {}", path.display())]
    CannotWrite { path: PathBuf, source: io::Error },
    #[error("cannot copy the database")]
    Database(#[from] DbErr),
}

impl Store {
    /// Writes a consistent copy of the database to `file`, which must not exist, and syncs it to
    /// disk. Reads one snapshot and blocks no writer. Returns the size of the copy in bytes.
    ///
    /// # Errors
    /// See [`BackupError`]; a partial copy is removed.
    pub async fn back_up(&self, file: &Path) -> Result<u64, BackupError> {
        if self.backend() != DatabaseBackend::Sqlite {
            return Err(BackupError::NotSqlite);
        }
        if file.exists() {
            return Err(BackupError::Exists(file.to_owned()));
        }
        // Written under a temporary name until complete, so that a truncated copy is not mistaken
        // for a backup.
        let mut partial = file.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let copied = self.copy_into(&partial, file).await;
        if copied.is_err() {
            // The partial file may not exist.
            let _ = std::fs::remove_file(&partial);
        }
        copied
    }

    async fn copy_into(&self, partial: &Path, file: &Path) -> Result<u64, BackupError> {
        let cannot_write = |path: &Path| {
            let path = path.to_owned();
            move |source| BackupError::CannotWrite { path, source }
        };
        // One that a killed backup left may have another mode.
        match std::fs::remove_file(partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(cannot_write(partial)(error));
            }
            Ok(()) | Err(_) => {}
        }
        // Created here, so that a failure is reported as a file error and not as an SQL error.
        std::fs::File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(partial)
            .map_err(cannot_write(partial))?;
        let name = partial.to_string_lossy().into_owned();
        let copy = self.sql("VACUUM INTO ?", [name.into()]);
        self.writer.execute_raw(copy).await?;
        let copy = std::fs::File::open(partial).map_err(cannot_write(partial))?;
        copy.sync_all().map_err(cannot_write(partial))?;
        let bytes = copy.metadata().map_err(cannot_write(partial))?.len();
        std::fs::rename(partial, file).map_err(cannot_write(file))?;
        if let Some(folder) = file.parent().filter(|f| !f.as_os_str().is_empty()) {
            let folder = std::fs::File::open(folder).map_err(cannot_write(folder))?;
            folder.sync_all().map_err(cannot_write(file))?;
        }
        Ok(bytes)
    }
}
