//! What this process does to itself first: private files, no core dumps, and as many descriptors as it may have.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};

use crate::config::Loaded;

/// The descriptors below which a start warns.
const FEW_FILES: u64 = 4_096;

/// Prepares the process. Must run before it opens a file or starts a thread.
///
/// Files are created with mode 0600 and directories with 0700, because they hold phones, e-mail addresses, password
/// hashes and signing keys. A core dump would contain codes. Failures are not fatal: sandboxes forbid some of this.
pub fn prepare() {
    umask(Mode::from_bits_truncate(0o077));
    // Also keeps other processes of the same user from reading this one's memory.
    let _ = prctl::set_dumpable(false);
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// A warning for each configuration file with secrets, and each TLS key, that every user may read. The gateway does not
/// own them, so it does not change them.
pub fn readable_secrets(loaded: &Loaded) -> Vec<String> {
    let gateways = loaded.config.carriers.iter().flat_map(|c| &c.gateways);
    let keys = gateways.filter_map(|gateway| gateway.tls.key.as_deref());
    let files = loaded.effective.files_with_secrets();
    let warning = |path: &Path| {
        let mode = std::fs::metadata(path).map_or(0, |file| file.permissions().mode());
        (mode & 0o007 != 0).then(|| {
            format!(
                "every user may read the secrets in {} (mode {:04o}): remove that with `chmod o=`",
                path.display(),
                mode & 0o7777
            )
        })
    };
    files.into_iter().map(Path::new).chain(keys).filter_map(warning).collect()
}

/// Logs a warning if the process may open few files.
pub fn warn_of_few_files() {
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    if files < FEW_FILES {
        tracing::warn!(
            files,
            "this process may open few files, so it serves few connections and webhooks at a time; raise the hard \
             limit (ulimit -Hn, LimitNOFILE) to {FEW_FILES} or more"
        );
    }
}
