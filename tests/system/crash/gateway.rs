//! A gateway process that tests kill, and everything that outlives it.

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

/// One database with one customer, the carrier's far ends and the webhook receiver.
pub struct Site {
    pub far_end: FarEnd,
    pub silent: FarEnd,
    pub receiver: Receiver,
    pub database: FreshDatabase,
    pub key: String,
    dir: TempDir,
}

/// A running gateway. Killed when dropped.
pub struct Process {
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

    /// Viettel routes to a far end that answers, MobiFone to a silent one. Calls are short.
    fn configuration(&self) -> String {
        let (url, answering, silent) =
            (&self.database.url, self.far_end.address, self.silent.address);
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

    /// Runs a command that must succeed and returns its JSON output.
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
            .stderr(File::options().append(true).create(true).open(self.log()).unwrap());
        command
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// The log of all processes so far.
    pub fn logged(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Starts the gateway and waits until it is ready.
    pub fn start(&self) -> Process {
        let program = Command::new(nexo_binary());
        self.spawn(program)
            .unwrap_or_else(|| panic!("the gateway did not start: {}", self.logged()))
    }

    /// Starts the gateway with system calls that fail according to `strace -e inject=`. Returns `None` if
    /// it exits before it is ready.
    pub fn start_injected(&self, inject: &str) -> Option<Process> {
        let mut strace = Command::new("strace");
        // -D makes the gateway our child and strace its grandchild.
        strace.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e"]);
        strace.arg(format!("trace={}", inject.split(':').next().unwrap()));
        strace.args(["-e", &format!("inject={inject}")]);
        strace.arg("--").arg(nexo_binary());
        self.spawn(strace)
    }

    fn spawn(&self, program: Command) -> Option<Process> {
        let mut child = self.nexo(program, &["serve"]).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        // A killed process may have written a partial line.
        let ready = stdout.read_line(&mut line).ok();
        let ready = ready.and_then(|_| serde_json::from_str::<Value>(&line).ok());
        let Some(ready) = ready else {
            let _ = child.kill();
            child.wait().unwrap();
            return None;
        };
        Some(Process { url: ready["http"].as_str().unwrap().to_owned(), child, _stdout: stdout })
    }

    /// Starts the gateway and kills it `after` this time, ready or not.
    pub fn kill_at_start(&self, after: std::time::Duration) {
        let program = Command::new(nexo_binary());
        let mut child = self.nexo(program, &["serve"]).spawn().unwrap();
        std::thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Process {
    /// Sends SIGKILL, which is the closest to a power failure.
    pub fn kill(mut self) {
        self.end();
    }

    /// Whether the process has exited by itself.
    pub fn has_exited(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
