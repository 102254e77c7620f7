//! A gateway that is made to die, with all that outlives it.

use harness::nexo_binary;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::far_end::FarEnd;
use super::receiver::Receiver;
use harness::{Backend, FreshDatabase};

const EMAIL: &str = "a@example.com";

/// One database with one customer, and the world around it.
pub struct Site {
    pub far_end: FarEnd,
    pub silent: FarEnd,
    pub receiver: Receiver,
    pub database: FreshDatabase,
    pub key: String,
    dir: TempDir,
}

/// A life of the gateway. Killed where a test forgets it.
pub struct Life {
    pub url: String,
    child: Child,
    _stdout: BufReader<ChildStdout>,
}

impl Site {
    pub fn new(backend: Backend) -> Site {
        let mut site = Site {
            far_end: FarEnd::answering(),
            silent: FarEnd::silent(),
            receiver: Receiver::start(),
            database: FreshDatabase::create(backend),
            key: String::new(),
            dir: tempfile::tempdir().unwrap(),
        };
        std::fs::write(site.dir.path().join("nexo.toml"), site.configuration()).unwrap();
        site.command(&["migrate", "up"]);
        site.command(&["account", "create", "--email", EMAIL]);
        for (bucket, amount) in [("free", "0.05"), ("bonus", "0.07"), ("balance", "5000")] {
            let credit = ["wallet", "credit", "--account", EMAIL, "--bucket", bucket];
            let amount = ["--amount", amount, "--reference", bucket];
            site.command(&[&credit[..], &amount[..]].concat());
        }
        let url = site.receiver.url();
        site.command(&["webhook", "add", "--account", EMAIL, "--url", &url]);
        let key = site.command(&["key", "create", "--account", EMAIL, "--name", "crash"]);
        site.key = key["key"].as_str().unwrap().to_owned();
        site
    }

    /// Viettel's numbers reach a far end that answers, MobiFone's one that is silent. Calls are short.
    fn configuration(&self) -> String {
        let (url, answering, silent) = (
            &self.database.url,
            self.far_end.address,
            self.silent.address,
        );
        format!(
            r#"
[server]
listen = "127.0.0.1:0"
[metrics]
listen = "127.0.0.1:0"
[sip]
listen_udp = "127.0.0.1:0"
rtp_ports = "0-0"
[database]
url = "{url}"
[calls]
repeat = 1
digit_gap_ms = 100
dispatch_timeout_ms = 600
gateway_timeout_ms = 300
[webhooks]
allow_private = true
allow_http = true
[[carriers]]
name = "viettel"
channels = 500
calls_per_second = 500
caller_ids = ["+842471234567"]
  [[carriers.gateways]]
  name = "answering"
  uri = "sip:{answering}"
  options_ping_seconds = 0
[[carriers]]
name = "mobifone"
channels = 500
calls_per_second = 500
caller_ids = ["+842471234567"]
  [[carriers.gateways]]
  name = "silent"
  uri = "sip:{silent}"
  options_ping_seconds = 0
"#
        )
    }

    /// Runs a command that must succeed; its JSON answer.
    pub fn command(&self, arguments: &[&str]) -> Value {
        let mut command = self.nexo(Command::new(nexo_binary()), arguments);
        let output = command.stderr(Stdio::piped()).output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn nexo(&self, mut command: Command, arguments: &[&str]) -> Command {
        command
            .arg("--json")
            .args(arguments)
            .current_dir(self.dir.path())
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(
                File::options()
                    .append(true)
                    .create(true)
                    .open(self.log())
                    .unwrap(),
            );
        command
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// What all lives have logged.
    pub fn logged(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Starts it and waits until it is ready.
    pub fn start(&self) -> Life {
        let program = Command::new(nexo_binary());
        self.life_of(program)
            .unwrap_or_else(|| panic!("it did not start: {}", self.logged()))
    }

    /// Starts it with system calls that fail as `strace -e inject=` says; `None` when that ended it before
    /// it was ready.
    pub fn start_injected(&self, inject: &str) -> Option<Life> {
        let mut strace = Command::new("strace");
        // -D: the gateway is our child, and strace its grandchild.
        strace.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e"]);
        strace.arg(format!("trace={}", inject.split(':').next().unwrap()));
        strace.args(["-e", &format!("inject={inject}")]);
        strace.arg("--").arg(nexo_binary());
        self.life_of(strace)
    }

    fn life_of(&self, program: Command) -> Option<Life> {
        let mut child = self.nexo(program, &["serve"]).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        // A killed process may have written half of it.
        let ready = stdout.read_line(&mut line).ok();
        let ready = ready.and_then(|_| serde_json::from_str::<Value>(&line).ok());
        let Some(ready) = ready else {
            let _ = child.kill();
            child.wait().unwrap();
            return None;
        };
        Some(Life {
            url: ready["http"].as_str().unwrap().to_owned(),
            child,
            _stdout: stdout,
        })
    }

    /// Starts it and kills it `after` that, ready or not.
    pub fn kill_at_start(&self, after: std::time::Duration) {
        let program = Command::new(nexo_binary());
        let mut child = self.nexo(program, &["serve"]).spawn().unwrap();
        std::thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Life {
    /// As a power cut does it.
    pub fn kill(mut self) {
        self.end();
    }

    /// Waits until it has died by itself.
    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.end();
    }
}
