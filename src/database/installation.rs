//! The secret of the installation: from the configuration, or from a file beside an SQLite database.
//!
//! The file is made once, atomically: it exists completely or not at all, and of two processes that make it at once both
//! read the one that was first.

use std::fs::{File, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use nexo_domain::installation_secret::{InstallationSecret, KEY_BYTES};
use nexo_entities::store::cluster::secret::{SecretReset, stored_check};
use nexo_entities::store::{Store, sqlite_path};
use rand::Rng;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::config::Config;

/// What follows the name of the database in the name of the file.
const SUFFIX: &str = ".secret";
/// The access of other users, which the file must not allow.
const OTHERS: u32 = 0o077;
/// A longer file is no secret. One more byte than a secret and a line end.
const MAX_FILE_BYTES: u64 = 128;

/// The secret of this installation. Makes the file of an SQLite database that has none. `None` on PostgreSQL without
/// `[verify] secret`.
///
/// The database must be open, and on SQLite this process must be the one that serves it, or none may.
///
/// # Errors
/// What is wrong with the file, with the remedy.
pub async fn secret(config: &Config, store: &Store) -> anyhow::Result<Option<InstallationSecret>> {
    let Some(file) = secret_file(config) else {
        return Ok(config.verify.secret.clone());
    };
    if let Some(secret) = read(&file)? {
        return Ok(Some(secret));
    }
    // The secret that the database knows is lost. Without it only what depends on it is lost.
    if store.cluster().reset_secret().await? == SecretReset::Done {
        tracing::warn!(
            file = %file.display(),
            "the secret of this installation is missing, and a new one is made: pending verifications cannot be \
             approved any more, and what was encrypted under the old one is unreadable; if you have a copy, stop this \
             process, put the copy back and run `nexo secret reset`"
        );
    }
    make(&file).map(Some)
}

/// The secret of this installation for a command, which may run beside the gateway. Makes the file of an SQLite database
/// that was never served. `None` on PostgreSQL if neither the command nor a node has `[verify] secret`.
///
/// # Errors
/// If the secret is missing or is not that of the database, with the remedy.
pub async fn secret_for_command(
    config: &Config,
    store: &Store,
) -> anyhow::Result<Option<InstallationSecret>> {
    let stored = stored_check(store.connection()).await?;
    check(config, stored.as_deref())?;
    let found = match secret_file(config) {
        Some(file) => read(&file)?,
        None => config.verify.secret.clone(),
    };
    match (found, stored, secret_file(config)) {
        (Some(secret), ..) => Ok(Some(secret)),
        (None, None, Some(file)) => make(&file).map(Some),
        (None, None, None) => Ok(None),
        (None, Some(_), Some(file)) => bail!(
            "the secret of this installation, {}, is missing: put a copy back, or start `nexo serve`, which makes a new one",
            file.display()
        ),
        (None, Some(_), None) => bail!(
            "the nodes of this database have a secret: set the same [verify] secret for this command"
        ),
    }
}

/// Finds what would keep a start from using its secret. `stored` is the check value in the database. Changes nothing.
///
/// # Errors
/// In one line, with the remedy.
pub fn check(config: &Config, stored: Option<&[u8]>) -> anyhow::Result<()> {
    let secret = match secret_file(config) {
        Some(file) => read(&file)?,
        None => config.verify.secret.clone(),
    };
    match (secret, stored) {
        (Some(secret), Some(stored)) if secret.check_value() != *stored => Err(differs(config)),
        (None, Some(_)) if secret_file(config).is_none() => Err(differs(config)),
        _ => Ok(()),
    }
}

/// The refusal of a start whose secret is not that of the database.
pub fn differs(config: &Config) -> anyhow::Error {
    let source = match secret_file(config) {
        Some(file) => file.display().to_string(),
        None if config.verify.secret.is_none() => {
            return anyhow!(
                "the nodes of this database have a secret: set the same [verify] secret on this one; to do without it, \
                 stop all nodes and run `nexo secret reset`"
            );
        }
        None => "[verify] secret".to_owned(),
    };
    anyhow!(
        "{source} is not the secret that this database is used with: set the same one on all nodes; to change it on \
         purpose, stop all nodes and run `nexo secret reset`"
    )
}

/// The file of the secret, if it is not in the configuration.
fn secret_file(config: &Config) -> Option<PathBuf> {
    if config.verify.secret.is_some() {
        return None;
    }
    let path = sqlite_path(&config.database.url)?;
    // A link to the database leads to the same secret.
    let mut name = path.canonicalize().unwrap_or(path).into_os_string();
    name.push(SUFFIX);
    Some(name.into())
}

/// Reads the file; `None` if it does not exist.
fn read(path: &Path) -> anyhow::Result<Option<InstallationSecret>> {
    let shown = path.display();
    // Opening a named pipe would wait for its other end.
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        bail!("the secret in {shown} is not a regular file: put back a copy of it");
    }
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.with_context(|| format!("cannot read the secret in {shown}"))?,
    };
    let found = file.metadata().with_context(|| format!("cannot read the secret in {shown}"))?;
    let mode = found.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        bail!(
            "other users have access to the secret in {shown} (mode {mode:04o}): remove that with `chmod 600 {shown}`"
        );
    }
    let mut text = Zeroizing::new(String::with_capacity(MAX_FILE_BYTES as usize));
    let read = file.take(MAX_FILE_BYTES).read_to_string(&mut text);
    let secret = read.ok().and_then(|_| InstallationSecret::from_hex(text.trim_end()).ok());
    let secret = secret.with_context(|| {
        format!(
            "{shown} does not contain 64 hexadecimal digits: put back a copy of it, or remove it to get a new secret"
        )
    })?;
    Ok(Some(secret))
}

/// Makes the file with a new secret. If another process was first, returns that one's.
fn make(path: &Path) -> anyhow::Result<InstallationSecret> {
    let cannot_write = || format!("cannot write the secret to {}", path.display());
    let mut random = Zeroizing::new([0; KEY_BYTES]);
    rand::rng().fill_bytes(random.as_mut());
    let secret = InstallationSecret::from_random(*random);
    let mut partial = path.to_owned().into_os_string();
    partial.push(format!(".{}", Uuid::new_v4()));
    let partial = PathBuf::from(partial);
    let made = write_and_link(&partial, path, &secret);
    // What is left of a killed process is a secret that nothing uses.
    let _ = std::fs::remove_file(&partial);
    match made {
        Ok(()) => Ok(secret),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            read(path)?.with_context(cannot_write)
        }
        Err(error) => Err(error).with_context(cannot_write),
    }
}

/// Writes the secret to `partial` and gives it the name `path`, unless that exists. Durable on return.
fn write_and_link(partial: &Path, path: &Path, secret: &InstallationSecret) -> std::io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(partial)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(secret.to_hex().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::hard_link(partial, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_secret_is_made_once_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nexo.db.secret");
        assert!(read(&path).unwrap().is_none());
        let made = make(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(std::fs::read_to_string(&path).unwrap().len(), 65);
        // A process that is late gets the first one's.
        for late in [make(&path).unwrap(), read(&path).unwrap().unwrap()] {
            assert_eq!(late.check_value(), made.check_value());
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn of_many_processes_that_make_it_at_once_all_get_one_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nexo.db.secret");
        let made: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| make(&path).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap().check_value()).collect()
        });
        assert!(made.iter().all(|check| *check == made[0]));
    }

    #[test]
    fn a_file_with_other_content_or_a_wrong_mode_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nexo.db.secret");
        let refusal = || read(&path).unwrap_err().to_string();
        for text in ["", "00ff", &"0".repeat(65), &"x".repeat(64), &"0".repeat(4_096)] {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            let refusal = refusal();
            assert!(refusal.contains("64 hexadecimal digits"), "{refusal}");
            assert!(text.is_empty() || !refusal.contains(text), "{refusal}");
        }
        std::fs::write(&path, "0f".repeat(32)).unwrap();
        assert!(read(&path).unwrap().is_some());
        for mode in [0o640, 0o604, 0o666] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let refusal = refusal();
            assert!(refusal.contains("chmod 600") && !refusal.contains("0f0f"), "{refusal}");
        }
    }
}
