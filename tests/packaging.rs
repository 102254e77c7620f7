//! What is shipped beside the binary agrees with it, as far as that can be seen without a service manager, a container
//! or a cluster.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The value of a line `KEY=VALUE`.
fn setting<'f>(file: &'f str, key: &str) -> &'f str {
    let mut values = file
        .lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.next().unwrap_or_else(|| panic!("no {key}"))
}

#[test]
fn the_unit_waits_for_readiness_and_for_the_longest_shutdown() {
    let unit = read("packaging/nexo.service");
    assert_eq!(setting(&unit, "Type"), "notify");
    assert!(setting(&unit, "ExecReload").contains("-HUP"));
    let seconds: u64 = setting(&unit, "TimeoutStopSec").parse().unwrap();
    // Calls 90 s, settling 5 s, webhooks 15 s.
    assert!(seconds >= 90 + 5 + 15, "{seconds}");
    for hardening in [
        "NoNewPrivileges",
        "PrivateTmp",
        "ProtectHome",
        "LockPersonality",
        "DynamicUser",
    ] {
        assert_eq!(setting(&unit, hardening), "yes");
    }
    // The analysis needs systemd's own tool, as CI may not have it.
    if let Ok(output) = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=20"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/nexo.service"))
        .output()
    {
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "exposed more than 2.0: {said}");
    }
}

#[test]
fn containers_get_as_long_to_stop_and_run_as_nobody() {
    let compose = read("compose.yml");
    assert!(compose.contains("stop_grace_period: 125s"));
    for service in [
        "nexo-a:",
        "nexo-b:",
        "postgres:",
        "haproxy:",
        "prometheus:",
        "grafana:",
    ] {
        assert!(compose.contains(&format!("\n  {service}\n")), "{service}");
    }
    let dockerfile = read("Dockerfile");
    assert!(dockerfile.contains("USER nonroot"));
    assert!(
        dockerfile.matches("\nFROM ").count() + usize::from(dockerfile.starts_with("FROM ")) >= 2
    );
    // Every file that compose.yml mounts is there.
    for mounted in compose.split("./").skip(1) {
        let path = mounted.split(':').next().unwrap();
        assert!(
            Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists(),
            "{path}"
        );
    }
}

#[test]
fn haproxy_takes_its_configuration() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/haproxy.cfg");
    let output = Command::new("haproxy")
        .arg("-c")
        .arg("-f")
        .arg(file)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
