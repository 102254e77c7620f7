//! Static checks of the packaging files. They need no service manager, container or cluster.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Validates a file with a program and fails if the program does. Skips the check if the program is not installed:
/// `tests/run` installs it.
fn validate_with(program: &str, arguments: &[&str], file: &str) {
    let result = Command::new(program).args(arguments).arg(path(file)).output();
    match result {
        Ok(output) => assert!(
            output.status.success(),
            "{file}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("skipped: {program} is not installed, {file} is not validated");
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

/// The value of a line `KEY=VALUE`.
fn setting<'f>(file: &'f str, key: &str) -> &'f str {
    let mut values = file.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.next().unwrap_or_else(|| panic!("no {key}"))
}

#[test]
fn the_systemd_unit_waits_for_readiness_and_for_the_longest_shutdown() {
    let unit = read("packaging/nexo.service");
    assert_eq!(setting(&unit, "Type"), "notify");
    assert!(setting(&unit, "ExecReload").contains("-HUP"));
    let seconds: u64 = setting(&unit, "TimeoutStopSec").parse().unwrap();
    // Calls 90 s, settling 5 s, webhooks 15 s.
    assert!(seconds >= 90 + 5 + 15, "{seconds}");
    for hardening in
        ["NoNewPrivileges", "PrivateTmp", "ProtectHome", "LockPersonality", "DynamicUser"]
    {
        assert_eq!(setting(&unit, hardening), "yes");
    }
    for (key, value) in [("UMask", "0077"), ("StateDirectoryMode", "0700"), ("LimitCORE", "0")] {
        assert_eq!(setting(&unit, key), value);
    }
    // An exposure level of at most 2.0.
    let arguments = ["security", "--offline=true", "--threshold=20"];
    validate_with("systemd-analyze", &arguments, "packaging/nexo.service");
}

#[test]
fn containers_wait_for_the_longest_shutdown_and_do_not_run_as_root() {
    let compose = read("compose.yml");
    assert!(compose.contains("stop_grace_period: 125s"));
    for service in ["nexo-a:", "nexo-b:", "postgres:", "haproxy:", "prometheus:", "grafana:"] {
        assert!(compose.contains(&format!("\n  {service}\n")), "{service}");
    }
    let dockerfile = read("Dockerfile");
    assert!(dockerfile.contains("USER nonroot"));
    assert!(
        dockerfile.matches("\nFROM ").count() + usize::from(dockerfile.starts_with("FROM ")) >= 2
    );
    // Every file that compose.yml mounts exists.
    for mounted in compose.split("./").skip(1) {
        let name = mounted.split(':').next().unwrap();
        assert!(path(name).exists(), "{name}");
    }
}

#[test]
fn haproxy_accepts_its_configurations() {
    for file in ["packaging/haproxy.cfg", "packaging/haproxy.compose.cfg"] {
        validate_with("haproxy", &["-c", "-f"], file);
    }
}

#[test]
fn prometheus_accepts_its_configuration_and_rules() {
    let file = "grafana/prometheus/prometheus.yml";
    validate_with("promtool", &["check", "config"], file);
}
