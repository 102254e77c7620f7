//! Runs the binary in its own directory and with its own database.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};

use harness::{Backend, FreshDatabase, nexo_binary};
use nexo_entities::store::Store;
use serde_json::Value;
use tempfile::TempDir;

/// A directory in which tests run commands. The commands do not inherit the environment.
pub struct Nexo {
    dir: TempDir,
    variables: Vec<(String, String)>,
    database: Option<FreshDatabase>,
}

/// The result of a finished command.
#[derive(Debug)]
pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A command that runs until it is terminated. It is killed when this is dropped.
pub struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Nexo {
    /// The default configuration in an empty directory.
    pub fn without_database() -> Nexo {
        Nexo { dir: tempfile::tempdir().unwrap(), variables: Vec::new(), database: None }
    }

    /// A migrated database in an empty directory.
    pub fn migrated(backend: Backend) -> Nexo {
        let nexo = Nexo::empty(backend);
        nexo.succeed(&["migrate", "up"]);
        nexo
    }

    /// An empty database in an empty directory.
    pub fn empty(backend: Backend) -> Nexo {
        let mut nexo = Nexo::without_database();
        if backend == Backend::Postgres {
            let database = FreshDatabase::create(backend);
            nexo.set("NEXO_DATABASE__URL", &database.url);
            nexo.database = Some(database);
        }
        nexo
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Sets a variable of the commands' environment.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// The URL of the database that the commands use.
    pub fn database_url(&self) -> String {
        match &self.database {
            Some(database) => database.url.clone(),
            None => format!("sqlite://{}/data/nexo.db", self.dir().display()),
        }
    }

    /// Writes a file into the commands' directory.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir().join(name), text).unwrap();
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(nexo_binary());
        command
            .args(arguments)
            .current_dir(self.dir())
            .env_clear()
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts a command that runs until it is terminated.
    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::of(&mut self.command(arguments))
    }

    /// Starts the gateway on free ports and waits until it is ready. It allows webhooks to private addresses and by
    /// plain HTTP.
    pub fn start_gateway(&self) -> Running {
        let mut command = self.command(&["serve", "--json"]);
        command.envs([
            ("NEXO_SERVER__LISTEN", "127.0.0.1:0"),
            ("NEXO_METRICS__LISTEN", "127.0.0.1:0"),
            ("NEXO_SIP__LISTEN_UDP", "127.0.0.1:0"),
            ("NEXO_SIP__RTP_PORTS", "0"),
            ("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"),
            ("NEXO_WEBHOOKS__ALLOW_HTTP", "true"),
        ]);
        // Its log goes to the standard error of the test.
        let mut running = Running::of(command.stderr(Stdio::inherit()));
        running.line();
        running
    }

    pub fn run(&self, arguments: &[&str]) -> Finished {
        Finished::of(self.command(arguments).output().unwrap())
    }

    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Finished {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        Finished::of(child.wait_with_output().unwrap())
    }

    /// Runs a command that must succeed and returns its standard output.
    pub fn succeed(&self, arguments: &[&str]) -> String {
        let finished = self.run(arguments);
        assert_eq!(finished.code, 0, "{arguments:?}: {finished:?}");
        assert_eq!(finished.stderr, "", "{arguments:?}");
        finished.stdout
    }

    /// Runs a command that must succeed and returns the object that it prints with `--json`.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let stdout = self.succeed(&[arguments, &["--json"]].concat());
        assert_eq!(stdout.lines().count(), 1, "{stdout}");
        serde_json::from_str(&stdout).unwrap()
    }

    /// Runs a command that must fail and returns the single line that it prints to standard error.
    pub fn fail(&self, code: i32, arguments: &[&str]) -> String {
        let finished = self.run(arguments);
        assert_eq!(finished.code, code, "{arguments:?}: {finished:?}");
        finished.error()
    }

    /// Runs `work` on the database, for operations without a command.
    pub fn with_store<T>(&self, work: impl AsyncFnOnce(&Store) -> T) -> T {
        actix_web::rt::System::new().block_on(async {
            let store = Store::connect(&self.database_url(), 1).await.unwrap();
            let result = work(&store).await;
            store.close().await.unwrap();
            result
        })
    }

    /// Creates an account and returns its id.
    pub fn account(&self, email: &str) -> String {
        let created = self.json(&["account", "create", "--email", email]);
        created["id"].as_str().unwrap().to_owned()
    }
}

impl Running {
    fn of(command: &mut Command) -> Running {
        let mut child = command.spawn().unwrap();
        Running { stdout: BufReader::new(child.stdout.take().unwrap()), child }
    }

    /// The next line of its standard output.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        let length = self.stdout.read_line(&mut line).unwrap();
        assert_ne!(length, 0, "it has exited: {:?}", self.child.wait());
        line
    }

    /// Sends SIGTERM and waits for the exit.
    pub fn terminate(mut self) -> ExitStatus {
        // The shell's built-in `kill` also works on machines without procps.
        let kill = format!("kill {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(status.success());
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Finished {
    fn of(output: Output) -> Finished {
        Finished {
            code: output.status.code().expect("an exit without a signal"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The single line on standard error.
    pub fn error(&self) -> String {
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        assert!(self.stderr.starts_with("error: "), "{self:?}");
        self.stderr.trim_end().to_owned()
    }
}
