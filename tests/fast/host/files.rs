//! Other users of the machine can read nothing that a command writes, whatever the umask.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::{Backend, Gateway, SHELL, nexo_binary, phone, until};

use crate::cli::voice::{prompt_names, prompt_tone, record};

/// All files and directories below `dir`, with their permission bits.
fn modes(dir: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        if metadata.is_symlink() {
            continue;
        }
        found.push((path.clone(), metadata.permissions().mode() & 0o7777));
        if metadata.is_dir() {
            found.extend(modes(&path));
        }
    }
    found
}

/// Asserts that the files are private, apart from the test's own.
fn assert_private(dir: &Path, own: &[&str]) {
    for (path, mode) in modes(dir) {
        let name = path.strip_prefix(dir).unwrap();
        if own.iter().any(|own| name.starts_with(own)) {
            continue;
        }
        assert_eq!(mode & 0o077, 0, "{}: {mode:04o}", path.display());
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Runs `nexo` in `dir` without a umask.
fn run(dir: &Path, arguments: &[&str]) {
    run_with(dir, arguments, &[]);
}

fn run_with(dir: &Path, arguments: &[&str], settings: &[(&str, &str)]) {
    let output = Command::new("sh")
        .args(["-c", "umask 000; exec \"$0\" \"$@\""])
        .arg(nexo_binary())
        .args(arguments)
        .current_dir(dir)
        .env("NEXO_CALLS__REPEAT", "1")
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_that_a_command_writes_is_private() {
    let settings = [
        (SHELL, "umask 000"),
        ("NEXO_SANDBOX__RECORD_DIR", "recordings"),
        ("NEXO_CALLS__REPEAT", "1"),
    ];
    let gateway = Gateway::start(Backend::Sqlite, &settings);
    let dir = gateway.dir.path();
    let customer = gateway.customer("a@example.com", "1.00");
    let sent = customer.send(&phone(1), "4829").await;
    let id = sent.json["id"].as_str().unwrap();
    customer.terminal(id).await;
    gateway.nexo(&["backup", "copy.db"]);
    gateway.nexo(&["audit"]);
    until("a recording", Duration::from_secs(20), async || {
        (modes(&dir.join("recordings")).len() >= 2).then_some(())
    })
    .await;
    for file in ["data/nexo.db", "data/nexo.db-wal", "copy.db"] {
        assert!(dir.join(file).exists(), "{file}");
    }
    assert_private(dir, &["panics"]);

    let commands = tempfile::tempdir().unwrap();
    let dir = commands.path();
    let studio = dir.join("studio/vi");
    std::fs::create_dir_all(&studio).unwrap();
    for name in prompt_names() {
        record(&studio.join(format!("{name}.wav")), prompt_tone(&name));
    }
    run(dir, &["migrate", "up"]);
    run(dir, &["account", "create", "--email", "a@example.com"]);
    for _ in 0..2 {
        run_with(dir, &["prompts", "import", "studio"], &[("NEXO_CALLS__VOICE_DIR", "voice")]);
    }
    run(dir, &["prompts", "render", "482917", "--out", "render.wav"]);
    run(dir, &["demo", "--save", "demo.wav"]);
    // Files that a previous version or another program created are replaced by private ones.
    for file in ["render.wav", "left.db.partial"] {
        std::fs::write(dir.join(file), "old").unwrap();
        set_mode(&dir.join(file), 0o666);
    }
    run(dir, &["prompts", "render", "482917", "--out", "render.wav"]);
    run(dir, &["backup", "left.db"]);
    for file in ["data/nexo.db", "voice", "render.wav", "demo.wav", "left.db"] {
        assert!(dir.join(file).exists(), "{file}");
    }
    assert_private(dir, &["studio"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_makes_existing_files_private() {
    let settings = [(SHELL, "umask 000"), ("NEXO_SANDBOX__RECORD_DIR", "recordings")];
    let mut gateway = Gateway::start(Backend::Sqlite, &settings);
    gateway.kill();
    let dir = gateway.dir.path().to_owned();
    for name in ["recordings/a.wav", "recordings/a.json"] {
        std::fs::write(dir.join(name), "").unwrap();
    }
    for (path, mode) in modes(&dir) {
        let is_dir = path.is_dir();
        // A secret that others may have read is refused instead.
        if path.extension().is_some_and(|extension| extension == "secret") {
            continue;
        }
        set_mode(&path, if is_dir { mode | 0o055 } else { mode | 0o044 });
    }
    gateway.restart();
    assert_private(&dir, &["panics"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_directory_and_a_readable_configuration_are_named_in_a_warning() {
    let secret = "[mail]\nsmtp_url = \"smtp://user:geheim@127.0.0.1:1\"\n";
    let config = format!("[database]\nurl = \"sqlite://shared/nexo.db\"\n{secret}");
    let settings = [("RUST_LOG", "warn")];
    let mut gateway = Gateway::configured(Backend::Sqlite, &config, &settings);
    gateway.kill();
    let dir = gateway.dir.path().to_owned();
    std::fs::write(dir.join("shared/notes.txt"), "").unwrap();
    set_mode(&dir.join("shared"), 0o777);
    set_mode(&dir.join("nexo.toml"), 0o644);
    gateway.restart();
    let log = gateway.log();
    for named in ["shared", "nexo.toml"] {
        let line = log.lines().find(|line| line.contains(named));
        assert!(line.is_some_and(|line| line.contains("WARN")), "{named}: {log}");
    }
    assert!(!log.contains("geheim"), "{log}");
    assert_eq!(std::fs::metadata(dir.join("shared")).unwrap().permissions().mode() & 0o777, 0o777);
}
