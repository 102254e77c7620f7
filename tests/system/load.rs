//! Short runs of the k6 scripts. `tests/load/run NAME` runs the long form.

use harness::nexo_binary;
use std::path::Path;
use std::process::Command;

/// Runs one script against its own gateway and returns the script's output.
fn run(name: &str) -> String {
    let python = std::env::var("NEXO_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut load = Command::new(&python);
    load.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/load/run"))
        .args([name, "--short"])
        .env("NEXO_BIN", nexo_binary());
    let k6 = Path::new(&python).with_file_name("k6");
    if k6.exists() {
        load.env("K6", k6);
    }
    let output = load.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}:\n{said}{error}");
    said
}

/// The scripts run one after the other because each needs the whole machine.
#[test]
fn smoke_and_five_times_the_capacity_keep_every_threshold_and_every_invariant() {
    let smoke = run("smoke");
    assert!(smoke.contains("audit     ok"), "{smoke}");
    let spike = run("spike");
    assert!(spike.contains("overloaded"), "{spike}");
    assert!(spike.contains("errors    0"), "{spike}");
}
