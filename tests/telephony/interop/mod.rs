//! Independent peers: Kamailio as a carrier's registrar and SBC, baresip as a phone that records and
//! presses keys, and a separate recogniser for the recordings.

pub mod peers;
mod phones;
mod sbcs;

use std::process::Command;

use harness::recogniser::python;

#[test]
fn the_python_recogniser_passes_its_own_tests() {
    let output = Command::new(python())
        .args(["-m", "unittest", "-q"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/telephony/python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
}
