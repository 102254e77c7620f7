//! Child processes: started, measured, and always ended.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

/// A child process. It is killed when this is dropped.
pub struct Running {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Running {
    pub fn start(command: &mut Command) -> anyhow::Result<Running> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{program} cannot be started"))?;
        let stdout = child.stdout.take().map(BufReader::new);
        Ok(Running { child, stdout })
    }

    /// Reads the line of JSON that a server prints when it is ready.
    pub fn ready(&mut self) -> anyhow::Result<Value> {
        let mut line = String::new();
        let stdout = self.stdout.as_mut().context("its output was read already")?;
        stdout.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("unexpected output: {line:?}"))
    }

    /// The user and system time used so far.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // proc(5): utime and stime are the 14th and 15th fields; the 2nd ends with the last ')'.
        let fields: Vec<&str> =
            stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| -> anyhow::Result<u64> {
            Ok(fields.get(index).context("a short /proc/PID/stat")?.parse()?)
        };
        // USER_HZ, which is 100 on every Linux that Debian ships.
        Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
    }

    /// Whether it has ended. It stays a zombie until it is waited for.
    pub fn has_ended(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        stat.map_or(true, |stat| stat.rsplit(')').next().is_some_and(|s| s.trim().starts_with('Z')))
    }

    /// Sends SIGTERM and waits for a successful exit.
    pub fn end(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status()?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the process ended with {status}");
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
