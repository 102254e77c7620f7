//! A copy of an SQLite database, made while others read and write it.

use std::io;
use std::path::{Path, PathBuf};

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr};
use thiserror::Error;

use crate::store::Store;

/// Why no copy was made.
#[derive(Debug, Error)]
pub enum BackupError {
    #[error("only SQLite is copied so")]
    NotSqlite,
    #[error("{} is there already: name another file", .0.display())]
    Exists(PathBuf),
    #[error("{} cannot be written", path.display())]
    CannotWrite { path: PathBuf, source: io::Error },
    #[error("the database could not be copied")]
    Database(#[from] DbErr),
}

impl Store {
    /// Copies the database as it is at one moment into `file`, which must not be there, and syncs it to the disk.
    /// Nobody waits for it: it reads one snapshot. Returns how many bytes the copy has.
    ///
    /// # Errors
    /// See [`BackupError`]; what was begun is removed again.
    pub async fn back_up(&self, file: &Path) -> Result<u64, BackupError> {
        if self.backend() != DatabaseBackend::Sqlite {
            return Err(BackupError::NotSqlite);
        }
        if file.exists() {
            return Err(BackupError::Exists(file.to_owned()));
        }
        // Under another name until it is whole: a copy that was cut off must not be taken for one.
        let mut partial = file.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let copied = self.copy_into(&partial, file).await;
        if copied.is_err() {
            // There may be nothing to remove.
            let _ = std::fs::remove_file(&partial);
        }
        copied
    }

    async fn copy_into(&self, partial: &Path, file: &Path) -> Result<u64, BackupError> {
        let cannot_write = |path: &Path| {
            let path = path.to_owned();
            move |source| BackupError::CannotWrite { path, source }
        };
        // Made by us, so that what keeps it from being made is told in plain words.
        std::fs::File::options()
            .write(true)
            .create(true)
            .truncate(true)
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
