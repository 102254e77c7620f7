//! The policy for dependencies, `deny.toml`: licences, sources, and second versions of a crate.

use std::path::Path;
use std::process::{Command, Output};

use harness::recogniser::installed;

/// Runs cargo-deny with a policy; `None` without it.
fn check(policy: &Path) -> Option<Output> {
    let program = installed("cargo-deny")?;
    let output = Command::new(program)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["--locked", "--config"])
        .arg(policy)
        .args(["check", "--hide-inclusion-graph"])
        // A rule that no longer applies is removed from the policy.
        .args(["--deny", "unmatched-skip", "licenses", "bans", "sources"])
        .output();
    Some(output.unwrap())
}

#[test]
fn licences_sources_and_second_versions_obey_the_policy() {
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml");
    let Some(output) = check(&policy) else {
        return;
    };
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{report}");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(report.contains("bans ok, licenses ok, sources ok"), "{report}");

    // The check notices each kind of violation.
    let policy = std::fs::read_to_string(policy).unwrap();
    for (rule, weaker, complaint) in [
        ("  \"ISC\",\n", "", "rejected"),
        ("  { crate = \"http@0.2\", reason = \"actix-http 3\" },\n", "", "duplicate"),
        ("rust-lang/crates.io-index", "example/index", "source-not-allowed"),
        ("crate = \"openssl-sys\"", "crate = \"rustls\"", "banned"),
    ] {
        assert!(policy.contains(rule), "{rule}");
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("deny.toml");
        std::fs::write(&file, policy.replace(rule, weaker)).unwrap();
        let output = check(&file).unwrap();
        let report = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{rule}: {report}");
        assert!(report.contains(complaint), "{complaint}: {report}");
    }
}
