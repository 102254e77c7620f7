//! Removes other users' access to an existing database. New files get their modes from the process's umask.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What SQLite and the gateway append to the name of the database for files beside it.
const SUFFIXES: [&str; 4] = ["", "-wal", "-shm", "-journal"];
const OTHERS: u32 = 0o077;
const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Makes the database and the files beside it private, and their folder if it contains nothing else. Logs a warning
/// for those whose modes cannot be changed.
///
/// Must run before SQLite opens the database: it gives new files beside it the same mode.
pub(crate) fn protect(database: &Path) {
    for suffix in SUFFIXES {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        make_private(Path::new(&name));
    }
    if let Some(folder) = database.parent().filter(|f| !f.as_os_str().is_empty()) {
        protect_folder(folder, database);
    }
}

/// Removes other users' access to a file or folder. Logs a warning if that fails. A missing file is not an error.
pub fn make_private(path: &Path) {
    let Ok(mode) = mode(path) else {
        return;
    };
    if mode & OTHERS == 0 {
        return;
    }
    match fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS)) {
        Ok(()) => tracing::info!(path = %path.display(), "other users' access was removed"),
        Err(error) => tracing::warn!(
            path = %path.display(),
            mode = format!("{mode:04o}"),
            %error,
            "other users have access to this file: remove it with `chmod go=`"
        ),
    }
}

/// A folder that holds only the database becomes private. Others may be shared on purpose.
fn protect_folder(folder: &Path, database: &Path) {
    let Ok(mode) = mode(folder) else {
        return;
    };
    if mode & OTHERS == 0 {
        return;
    }
    match holds_only(folder, database) {
        Ok(true) => make_private(folder),
        Ok(false) | Err(_) if mode & OTHERS_WRITE != 0 && mode & STICKY == 0 => tracing::warn!(
            path = %folder.display(),
            mode = format!("{mode:04o}"),
            "other users can replace the database in this folder: remove that with `chmod go-w`"
        ),
        Ok(false) | Err(_) => {}
    }
}

fn holds_only(folder: &Path, database: &Path) -> io::Result<bool> {
    let Some(name) = database.file_name() else {
        return Ok(false);
    };
    let mut has_database = false;
    for entry in fs::read_dir(folder)? {
        let entry = entry?.file_name();
        if !entry.as_encoded_bytes().starts_with(name.as_encoded_bytes()) {
            return Ok(false);
        }
        has_database = true;
    }
    Ok(has_database)
}

fn mode(path: &Path) -> io::Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_database_and_its_folder_become_private() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("data");
        fs::create_dir(&folder).unwrap();
        let database = folder.join("nexo.db");
        let files = SUFFIXES.map(|suffix| folder.join(format!("nexo.db{suffix}")));
        for file in &files {
            fs::write(file, "").unwrap();
            set(file, 0o664);
        }
        set(&folder, 0o755);
        protect(&database);
        for file in &files {
            assert_eq!(mode(file).unwrap(), 0o600, "{}", file.display());
        }
        assert_eq!(mode(&folder).unwrap(), 0o700);
    }

    #[test]
    fn a_folder_with_other_files_keeps_its_mode() {
        let root = tempfile::tempdir().unwrap();
        set(root.path(), 0o755);
        fs::write(root.path().join("nexo.db"), "").unwrap();
        fs::write(root.path().join("notes.txt"), "").unwrap();
        protect(&root.path().join("nexo.db"));
        assert_eq!(mode(root.path()).unwrap(), 0o755);
        let empty = tempfile::tempdir().unwrap();
        set(empty.path(), 0o755);
        protect(&empty.path().join("nexo.db"));
        assert_eq!(mode(empty.path()).unwrap(), 0o755);
    }
}
