//! A running gateway and the operations that tests perform on it.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::customer::{Customer, client};
use crate::database::{Backend, create_database, database_url, psql};
use crate::nexo_binary;

/// A running `nexo serve`. Killed when dropped.
pub struct Gateway {
    pub url: String,
    pub metrics: String,
    pub demo_key: Option<String>,
    pub dir: TempDir,
    env: Vec<(String, String)>,
    child: Child,
    _stdout: BufReader<ChildStdout>,
    postgres: Option<String>,
}

impl Gateway {
    /// Starts a gateway on a new database, with these settings in its environment.
    pub fn start(backend: Backend, settings: &[(&str, &str)]) -> Gateway {
        Gateway::configured(backend, "", settings)
    }

    /// Starts a gateway with this text as `nexo.toml` in its directory.
    pub fn configured(backend: Backend, file: &str, settings: &[(&str, &str)]) -> Gateway {
        let dir = tempfile::tempdir().unwrap();
        if !file.is_empty() {
            std::fs::write(dir.path().join("nexo.toml"), file).unwrap();
        }
        let mut env = base_env();
        let postgres = (backend == Backend::Postgres).then(create_database);
        if let Some(name) = &postgres {
            env.push(("NEXO_DATABASE__URL".into(), database_url(name)));
        }
        env.extend(settings.iter().map(|(k, v)| ((*k).into(), (*v).into())));
        Gateway::spawn(dir, env, postgres)
    }

    /// Replaces the configuration file and sends SIGHUP.
    pub fn reload(&self, file: &str) {
        std::fs::write(self.dir.path().join("nexo.toml"), file).unwrap();
        self.signal("HUP");
    }

    /// Starts another gateway on the same PostgreSQL database, with these additional settings. The database is
    /// dropped with the first gateway.
    pub fn beside(&self, settings: &[(&str, &str)]) -> Gateway {
        let mut env = self.env.clone();
        env.extend(settings.iter().map(|(k, v)| ((*k).into(), (*v).into())));
        Gateway::spawn(tempfile::tempdir().unwrap(), env, None)
    }

    fn spawn(dir: TempDir, env: Vec<(String, String)>, postgres: Option<String>) -> Gateway {
        let mut child = spawn(dir.path(), &env);
        let (ready, stdout) = read_ready(&mut child);
        Gateway {
            url: ready["http"].as_str().unwrap().to_owned(),
            metrics: ready["metrics"].as_str().unwrap().to_owned(),
            demo_key: ready["demo_key"].as_str().map(str::to_owned),
            dir,
            env,
            child,
            _stdout: stdout,
            postgres,
        }
    }

    /// The URL of its database, for tests that query it.
    pub fn database_url(&self) -> String {
        let mut urls = self.env.iter().filter(|(key, _)| key == "NEXO_DATABASE__URL");
        match urls.next_back() {
            Some((_, url)) => url.clone(),
            None => format!("sqlite://{}/data/nexo.db", self.dir.path().display()),
        }
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Kills it with SIGKILL and starts it again on the same database.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.restart();
    }

    /// Starts it again after it was killed.
    pub fn restart(&mut self) {
        self.child = spawn(self.dir.path(), &self.env);
        let (ready, stdout) = read_ready(&mut self.child);
        self.url = ready["http"].as_str().unwrap().to_owned();
        self.metrics = ready["metrics"].as_str().unwrap().to_owned();
        self._stdout = stdout;
    }

    /// Sends it a signal, such as `STOP` or `CONT`.
    pub fn signal(&self, name: &str) {
        let signal = format!("-{name}");
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([signal, pid]).status();
        assert!(status.unwrap().success(), "{name}");
    }

    /// The single value that this query of its PostgreSQL database returns.
    pub fn query(&self, sql: &str) -> String {
        let url = self.env.iter().rfind(|(k, _)| k == "NEXO_DATABASE__URL");
        let (_, url) = url.expect("a node on PostgreSQL");
        let output = Command::new("psql").args([url.as_str(), "-qAtc", sql]).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {error}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The CPU time that its threads have used. It does not depend on the load of the machine.
    pub fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let used = |task: std::io::Result<std::fs::DirEntry>| -> Option<u64> {
            // A thread may end in the meantime.
            let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse().ok()
        };
        Duration::from_nanos(tasks.filter_map(used).sum())
    }

    /// Sets its soft limit of open files. `None`: to the hard limit.
    pub fn limit_files(&self, soft: Option<u32>) {
        let (_, hard) = self.limit("Max open files");
        let limit = soft.map_or(hard, |soft| soft.to_string());
        let pid = self.child.id().to_string();
        let status =
            Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={limit}:")]).status();
        assert!(status.unwrap().success(), "prlimit");
    }

    /// Its limits of open files, soft and hard, or of another resource as `/proc` names it.
    pub fn limit(&self, resource: &str) -> (String, String) {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", self.child.id())).unwrap();
        let line = limits.lines().find(|line| line.starts_with(resource));
        let mut values = line.unwrap()[resource.len()..].split_whitespace();
        let mut next = || values.next().unwrap().to_owned();
        (next(), next())
    }

    /// Sends SIGTERM, waits for the exit and returns the exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        let deadline = Instant::now() + Duration::from_secs(100);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "nexo serve does not exit");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts another `nexo serve` on the same database and waits for its exit. Returns its exit code and
    /// standard error.
    pub fn second_server(&self) -> (Option<i32>, String) {
        self.second_server_with(&[])
    }

    /// Like [`Gateway::second_server`], with these additional settings.
    pub fn second_server_with(&self, settings: &[(&str, &str)]) -> (Option<i32>, String) {
        let mut command = Command::new(nexo_binary());
        command.arg("serve").current_dir(self.dir.path());
        command.envs(self.env.iter().cloned());
        let output = command.envs(settings.iter().copied()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), error)
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = nexo_command(&self.env);
        command.args(args).current_dir(self.dir.path());
        command.envs(self.env.iter().cloned()).output().unwrap()
    }

    /// Runs a `nexo` command that must fail, with these additional settings. Returns its standard error.
    pub fn fail(&self, settings: &[(&str, &str)], args: &[&str]) -> String {
        let mut command = Command::new(nexo_binary());
        command.args(args).current_dir(self.dir.path()).envs(self.env.iter().cloned());
        let output = command.envs(settings.iter().copied()).output().unwrap();
        assert!(!output.status.success(), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Runs a `nexo` command on the same database and returns its JSON output.
    pub fn nexo(&self, args: &[&str]) -> Value {
        let output = self.run(&[&["--json"], args].concat());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {error}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Makes its `carriers`, `wallets` or `webhooks` actors panic.
    pub fn panic(&self, actors: &str) {
        let socket = UnixDatagram::unbound().unwrap();
        socket.send_to(actors.as_bytes(), self.dir.path().join(PANICS)).unwrap();
    }

    /// Adds a webhook endpoint to an account and returns the output of `nexo webhook add`.
    pub fn add_webhook(&self, email: &str, url: &str) -> Value {
        self.nexo(&["webhook", "add", "--account", email, "--url", url])
    }

    /// Creates an account with this much cash and an API key.
    pub fn customer(&self, email: &str, cash: &str) -> Customer {
        self.nexo(&["account", "create", "--email", email]);
        if cash != "0" {
            let credit = ["wallet", "credit", "--account", email, "--bucket", "balance"];
            let credit = [&credit[..], &["--amount", cash, "--reference", "start"]].concat();
            self.nexo(&credit);
        }
        let key = self.nexo(&["key", "create", "--account", email, "--name", "test"]);
        Customer {
            key: key["key"].as_str().unwrap().to_owned(),
            key_id: key["id"].as_str().unwrap().to_owned(),
            api: format!("{}/api/v1", self.url),
            http: client(),
        }
    }

    /// Creates another key of an account: the same customer with a test key.
    pub fn with_test_key(&self, customer: &Customer, email: &str) -> Customer {
        let create = ["key", "create", "--account", email, "--name", "test"];
        let key = self.nexo(&[&create[..], &["--test"]].concat());
        Customer {
            key: key["key"].as_str().unwrap().to_owned(),
            key_id: key["id"].as_str().unwrap().to_owned(),
            ..customer.clone()
        }
    }

    /// The log so far. It is only kept if the test sets `RUST_LOG`.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join(LOG)).unwrap()
    }

    /// Waits for its exit after a SIGTERM and returns the exit code.
    pub async fn wait_for_exit(&mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(110);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "nexo serve does not exit");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sets its wall clock this many milliseconds off the machine's, also for the next start.
    pub fn set_clock(&mut self, offset_ms: i64) {
        self.panic(&format!("clock {offset_ms}"));
        let variable = "NEXO_TEST_CLOCK_OFFSET_MS".to_owned();
        self.env.push((variable, offset_ms.to_string()));
    }

    /// The value of a metric, summed over all labels.
    pub async fn metric(&self, name: &str) -> f64 {
        let page = client().get(&self.metrics).send().await.unwrap();
        let page = page.text().await.unwrap();
        page.lines()
            .filter(|line| line.split(['{', ' ']).next() == Some(name))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Asserts that every invariant of the ledger holds.
    pub fn audit(&self) {
        let audit = self.nexo(&["audit"]);
        assert_eq!(audit["ok"], true, "{audit:#}");
    }

    /// Whether every invariant of the ledger holds.
    pub fn is_sound(&self) -> bool {
        self.run(&["audit"]).status.success()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The state of its trunks explains why a call was refused.
            let trunks = self.metrics.replace("/metrics", "/trunks");
            let output = Command::new("curl").args(["-s", "-m", "2", &trunks]).output();
            let state = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            eprintln!("trunks: {}", state.unwrap_or_default());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(name) = &self.postgres {
            psql(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        }
    }
}

fn base_env() -> Vec<(String, String)> {
    [
        ("NEXO_SERVER__LISTEN", "127.0.0.1:0"),
        ("NEXO_METRICS__LISTEN", "127.0.0.1:0"),
        ("NEXO_SIP__LISTEN_UDP", "127.0.0.1:0"),
        ("NEXO_SIP__RTP_PORTS", "0-0"),
        ("RUST_LOG", "warn"),
    ]
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .to_vec()
}

/// The log file of a gateway whose test sets `RUST_LOG`.
const LOG: &str = "log.txt";
/// The socket through which a test makes actors panic.
const PANICS: &str = "panics";

/// A setting with shell commands, such as `ulimit -n 300`, that run before `nexo serve`.
pub const SHELL: &str = "HARNESS_SHELL";

/// `nexo`, after the commands of [`SHELL`].
fn nexo_command(env: &[(String, String)]) -> Command {
    let Some((_, commands)) = env.iter().rfind(|(name, _)| name == SHELL) else {
        return Command::new(nexo_binary());
    };
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{commands}; exec \"$0\" \"$@\"")]);
    command.arg(nexo_binary());
    command
}

fn spawn(dir: &Path, env: &[(String, String)]) -> Child {
    let sets_log_level = env.iter().filter(|(name, _)| name == "RUST_LOG").count() > 1;
    let log = || {
        let file = std::fs::OpenOptions::new();
        let file = file.clone().append(true).create(true).open(dir.join(LOG));
        Stdio::from(file.unwrap())
    };
    nexo_command(env)
        .args(["--json", "serve"])
        .current_dir(dir)
        .env("NEXO_TEST_PANICS", dir.join(PANICS))
        .envs(env.iter().cloned())
        .stdout(Stdio::piped())
        .stderr(if sets_log_level { log() } else { Stdio::inherit() })
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

fn read_ready(child: &mut Child) -> (Value, BufReader<ChildStdout>) {
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let ready = serde_json::from_str(&line)
        .unwrap_or_else(|_| panic!("nexo serve printed {line:?} instead of its listen addresses"));
    (ready, stdout)
}
