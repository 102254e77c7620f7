//! `nexo sandbox` as a carrier's gateway: a far end that answers calls by the number's last two digits.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::nexo_binary;

/// A running `nexo sandbox`. Killed when dropped.
pub struct SandboxCarrier {
    pub address: String,
    child: Child,
}

impl SandboxCarrier {
    pub fn start() -> SandboxCarrier {
        let mut child = Command::new(nexo_binary())
            .args(["--json", "sandbox", "--listen", "127.0.0.1:0"])
            .current_dir(std::env::temp_dir())
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        // It prints each call, and would stop at a full pipe.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        SandboxCarrier { address: ready["listen"].as_str().unwrap().to_owned(), child }
    }

    /// Its table in the configuration file.
    pub fn table(&self, name: &str) -> String {
        let address = &self.address;
        format!(
            "[[carriers.gateways]]\nname = \"{name}\"\nuri = \"sip:{address}\"\noptions_ping_seconds = 0\n"
        )
    }
}

impl Drop for SandboxCarrier {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
