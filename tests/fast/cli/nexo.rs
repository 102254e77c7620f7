//! Runs the binary in a directory and with a database of its own.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};

use harness::{Backend, FreshDatabase, nexo_binary};
use nexo_entities::store::Store;
use serde_json::Value;
use tempfile::TempDir;

/// A place to run commands in. Nothing of the environment reaches them.
pub struct Nexo {
    dir: TempDir,
    variables: Vec<(String, String)>,
    database: Option<FreshDatabase>,
}

/// What a command came to.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A command that runs until it is told to end; killed where a test forgets it.
pub struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Nexo {
    /// The default configuration in an empty directory.
    pub fn without_database() -> Nexo {
        Nexo {
            dir: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
            database: None,
        }
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

    /// Starts a command that runs until it is told to end.
    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::of(&mut self.command(arguments))
    }

    /// Starts the gateway on free ports, and waits until it is ready. It may call any webhook.
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
        // Its log goes where the test's does.
        let mut running = Running::of(command.stderr(Stdio::inherit()));
        running.line();
        running
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        Ran::of(child.wait_with_output().unwrap())
    }

    /// Runs a command that must succeed, and gives what it says.
    pub fn succeed(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
        assert_eq!(ran.stderr, "", "{arguments:?}");
        ran.stdout
    }

    /// Runs a command that must succeed, and gives the object that it prints with `--json`.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let said = self.succeed(&[arguments, &["--json"]].concat());
        assert_eq!(said.lines().count(), 1, "{said}");
        serde_json::from_str(&said).unwrap()
    }

    /// Runs a command that must fail, and gives the one line that it says on standard error.
    pub fn fail(&self, code: i32, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
        ran.error()
    }

    /// The database, for what no command does.
    pub fn with_store<T>(&self, work: impl AsyncFnOnce(&Store) -> T) -> T {
        actix_web::rt::System::new().block_on(async {
            let store = Store::connect(&self.database_url(), 1).await.unwrap();
            let done = work(&store).await;
            store.close().await.unwrap();
            done
        })
    }

    /// An account that is ready to be used.
    pub fn account(&self, email: &str) -> String {
        let created = self.json(&["account", "create", "--email", email]);
        created["id"].as_str().unwrap().to_owned()
    }
}

impl Running {
    fn of(command: &mut Command) -> Running {
        let mut child = command.spawn().unwrap();
        Running {
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// The next line that it says.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        let length = self.stdout.read_line(&mut line).unwrap();
        assert_ne!(length, 0, "it has ended: {:?}", self.child.wait());
        line
    }

    /// Tells it to end, and waits until it has.
    pub fn terminate(mut self) -> ExitStatus {
        // A shell has `kill` built in; a machine without procps has no other.
        let kill = format!("kill {}", self.child.id());
        let told = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(told.success());
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ran {
    fn of(output: Output) -> Ran {
        Ran {
            code: output.status.code().expect("it ended by itself"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The one line on standard error.
    pub fn error(&self) -> String {
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        assert!(self.stderr.starts_with("error: "), "{self:?}");
        self.stderr.trim_end().to_owned()
    }
}
