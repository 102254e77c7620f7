//! A PostgreSQL server for a single test, which can stop and restart it.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::ports::free_ports;

pub struct Server {
    bin: PathBuf,
    dir: TempDir,
    port: u16,
}

impl Server {
    /// Starts a server. `None` if PostgreSQL is not installed.
    pub fn start() -> Option<Server> {
        let bin = newest_bin()?;
        let dir = tempfile::Builder::new().prefix("nexo-pg").tempdir_in("/tmp").unwrap();
        if is_root() {
            let folder = dir.path().to_str().unwrap();
            run(Command::new("chown").args(["postgres", folder]));
        }
        let port = free_ports(1);
        let server = Server { bin, dir, port };
        run(server
            .command("initdb")
            .args(["-U", "nexo", "-A", "trust", "--no-sync", "-D"])
            .arg(server.data()));
        server.start_again();
        Some(server)
    }

    pub fn url(&self) -> String {
        format!("postgres://nexo@127.0.0.1:{}/postgres", self.port)
    }

    /// Stops it immediately, as in a crash. It recovers from its write-ahead log when it starts again.
    pub fn crash(&self) {
        run(self.pg_ctl().args(["-m", "immediate", "stop"]));
    }

    pub fn start_again(&self) {
        let folder = self.dir.path().display();
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories={folder} -c max_connections=100",
            self.port
        );
        let log = self.dir.path().join("log");
        run(self.pg_ctl().arg("-l").arg(log).args(["-w", "-o", &options, "start"]));
    }

    fn pg_ctl(&self) -> Command {
        let mut command = self.command("pg_ctl");
        command.arg("-D").arg(self.data());
        command
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// PostgreSQL does not run as root.
    fn command(&self, program: &str) -> Command {
        let program = self.bin.join(program);
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("runuser");
                command.args(["-u", "postgres", "--"]).arg(program);
                command
            }
            false => Command::new(program),
        };
        command.current_dir("/tmp");
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be stopped already.
        let _ = self.pg_ctl().args(["-m", "immediate", "stop"]).output();
    }
}

fn newest_bin() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut bins: Vec<PathBuf> = versions
        .flatten()
        .map(|version| version.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    bins.sort();
    bins.pop()
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(Path::new("/proc/self")).unwrap().uid() == 0
}

fn run(command: &mut Command) {
    // Not `output()`: the server would inherit the pipes and hold them open.
    let status = command.stdout(std::process::Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}");
}
