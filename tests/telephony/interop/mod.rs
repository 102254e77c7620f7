//! Peers that are not ours: Kamailio as a carrier's registrar and SBC, baresip as a phone that records and
//! presses keys, and a recogniser of another make that listens to the recording.

mod peers;
mod phones;
mod sbcs;

use std::process::Command;

use harness::recogniser::python;

#[test]
fn the_recogniser_tells_what_was_said_from_what_was_not() {
    let output = Command::new(python())
        .args(["-m", "unittest", "-q"])
        .current_dir(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/telephony/python"
        ))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
}
