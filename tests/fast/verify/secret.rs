//! The secret of the installation: where it comes from, who may read it, and what happens with another one.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use harness::{Backend, FreshDatabase, Gateway, nexo_binary};

use crate::cli::nexo::Nexo;

use super::{ONE, SECRET};
const OTHER: &str = "0202020202020202020202020202020202020202020202020202020202020202";

#[test]
fn the_first_start_makes_a_secret_that_no_output_shows() {
    let nexo = Nexo::empty(Backend::Sqlite);
    assert_eq!(nexo.succeed(&["config", "check"]), "ok\n");
    let file = nexo.dir().join("data/nexo.db.secret");
    assert!(!file.exists(), "the check changed something");
    assert!(nexo.start_gateway().terminate().success());
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let secret = std::fs::read_to_string(&file).unwrap();
    assert_eq!(secret.trim_end().len(), 64);
    // The same secret at the next start, also through a link to the database.
    std::os::unix::fs::symlink("data/nexo.db", nexo.dir().join("link.db")).unwrap();
    let mut linked = nexo.command(&["config", "check"]);
    let checked = linked.env("NEXO_DATABASE__URL", "sqlite://link.db").output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
    assert!(nexo.start_gateway().terminate().success());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), secret);
    for entry in std::fs::read_dir(nexo.dir().join("data")).unwrap() {
        let path = entry.unwrap().path();
        let content = std::fs::read(&path).unwrap();
        let bytes = hex::decode(secret.trim_end()).unwrap();
        let holds = |text: &[u8]| content.windows(text.len()).any(|window| window == text);
        assert!(path == file || !holds(secret.trim_end().as_bytes()), "{}", path.display());
        assert!(!holds(&bytes), "{}", path.display());
    }
}

#[test]
fn a_configured_secret_is_masked_and_a_malformed_one_is_refused_without_being_shown() {
    let mut nexo = Nexo::without_database();
    nexo.set(SECRET, ONE);
    let printed = nexo.json(&["config", "print"]);
    assert_eq!(printed["verify"]["secret"], "********");
    assert_eq!(printed["sources"]["verify.secret"], SECRET);
    for wrong in ["0101", &ONE.replace('0', "g"), &format!("{ONE}0")] {
        nexo.set(SECRET, wrong);
        let error = nexo.fail(1, &["config", "check"]);
        assert!(error.contains("verify.secret") && error.contains("64 hexadecimal"), "{error}");
        assert!(!error.contains(wrong), "{error}");
    }
}

#[test]
fn a_file_that_others_may_read_or_that_is_no_secret_stops_the_start() {
    let nexo = Nexo::empty(Backend::Sqlite);
    assert!(nexo.start_gateway().terminate().success());
    let file = nexo.dir().join("data/nexo.db.secret");
    let set_mode = |mode| std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
    let refused = |reason: &str| {
        for arguments in [&["config", "check"][..], &["serve"]] {
            let mut command = nexo.command(arguments);
            command.envs(FREE_PORTS);
            let output = command.output().unwrap();
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{error}");
            assert!(error.contains(reason), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    };
    set_mode(0o640);
    refused("nexo.db.secret (mode 0640): remove that with `chmod 600 ");
    set_mode(0o600);
    std::fs::write(&file, "short").unwrap();
    refused("does not contain 64 hexadecimal digits");
    std::fs::write(&file, OTHER).unwrap();
    refused("nexo secret reset");
    // On purpose.
    nexo.succeed(&["secret", "reset"]);
    assert!(nexo.start_gateway().terminate().success());
    // A lost one: the database serves, with a new one.
    std::fs::remove_file(&file).unwrap();
    assert!(nexo.start_gateway().terminate().success());
    assert_ne!(std::fs::read_to_string(&file).unwrap(), OTHER);
}

#[test]
fn a_node_with_another_secret_does_not_start() {
    if !Backend::Postgres.is_available() {
        return;
    }
    let mut gateway =
        Gateway::start(Backend::Postgres, &[(SECRET, ONE), ("NEXO_CLUSTER__NODE", "a")]);
    let (code, error) = gateway.second_server_with(&[(SECRET, OTHER), ("NEXO_CLUSTER__NODE", "b")]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("[verify] secret is not the secret"), "{error}");
    assert_eq!(gateway.query("SELECT COUNT(*) FROM nodes"), "1");
    // One without a secret could neither check its codes nor read what is encrypted under it.
    for command in [&["serve"][..], &["config", "check"]] {
        let error = gateway.fail(&[(SECRET, ""), ("NEXO_CLUSTER__NODE", "c")], command);
        assert!(error.contains("set the same [verify] secret on this one"), "{error}");
    }
    drop(gateway.beside(&[("NEXO_CLUSTER__NODE", "d")]));
    let error = gateway.fail(&[(SECRET, OTHER)], &["config", "check"]);
    assert!(error.contains("nexo secret reset"), "{error}");
    let error = gateway.fail(&[], &["secret", "reset"]);
    assert!(error.contains("run with the secret: stop them first"), "{error}");
    gateway.query("UPDATE nodes SET lease_until_ms = 0 WHERE name <> 'a'");
    assert_eq!(gateway.terminate(), Some(0));
    gateway.nexo(&["secret", "reset"]);
    drop(gateway.beside(&[(SECRET, OTHER), ("NEXO_CLUSTER__NODE", "e")]));
    assert_eq!(gateway.query("SELECT COUNT(*) FROM installation_secret"), "1");
}

#[test]
fn of_nodes_with_different_secrets_that_start_at_once_those_of_one_secret_serve() {
    if !Backend::Postgres.is_available() {
        return;
    }
    let database = FreshDatabase::create(Backend::Postgres);
    let dir = tempfile::tempdir().unwrap();
    let start = |node: usize| {
        let mut command = Command::new(nexo_binary());
        command.args(["--json", "serve"]).current_dir(dir.path()).envs(FREE_PORTS);
        command.env("NEXO_DATABASE__URL", &database.url);
        command.env("NEXO_CLUSTER__NODE", format!("n{node}"));
        command.env(SECRET, if node.is_multiple_of(2) { ONE } else { OTHER });
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        (node, command.spawn().unwrap())
    };
    let mut nodes: Vec<_> = (0..6).map(start).collect();
    let mut serving = Vec::new();
    for (node, child) in &mut nodes {
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
        if line.starts_with('{') {
            serving.push(*node);
        }
    }
    for (_, child) in &mut nodes {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let parity = serving.first().map(|node| node % 2);
    assert_eq!(serving.len(), 3, "{serving:?}");
    assert!(serving.iter().all(|node| Some(node % 2) == parity), "{serving:?}");
}

const FREE_PORTS: [(&str, &str); 5] = [
    ("RUST_LOG", "error"),
    ("NEXO_SERVER__LISTEN", "127.0.0.1:0"),
    ("NEXO_METRICS__LISTEN", "127.0.0.1:0"),
    ("NEXO_SIP__LISTEN_UDP", "127.0.0.1:0"),
    ("NEXO_SIP__RTP_PORTS", "0"),
];
