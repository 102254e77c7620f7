//! An independent speech recogniser, which shares no code with the engine's.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::repository;

/// The readings recognised in a recording, separated by spaces.
pub fn recognised(recording: &Path) -> String {
    let script = repository("tests/telephony/python/recognise.py");
    let output = Command::new(python()).arg(script).arg(recording).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{error}"));
    let readings = json["readings"].as_array().unwrap();
    let readings = readings.iter().map(|reading| reading.as_str().unwrap());
    readings.collect::<Vec<_>>().join(" ")
}

/// Python with numpy, as set up by `tests/run`.
pub fn python() -> String {
    std::env::var("NEXO_TEST_PYTHON").unwrap_or_else(|_| "python3".into())
}

/// A program of the Python environment that `tests/run` sets up; `None` outside of it, and then the test is skipped.
pub fn installed(program: &str) -> Option<PathBuf> {
    let Some(python) = std::env::var_os("NEXO_TEST_PYTHON") else {
        println!("skipped: tests/run installs {program}");
        return None;
    };
    let path = PathBuf::from(python).with_file_name(program);
    assert!(path.exists(), "{} is not installed", path.display());
    Some(path)
}
