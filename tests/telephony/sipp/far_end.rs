//! Runs SIPp as the far end of calls.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness::ports::free_ports;

/// SIPp running one of the scenarios of `scenarios/`. Killed when dropped.
pub struct FarEnd {
    pub port: u16,
    scenario: &'static str,
    sipp: Child,
    folder: tempfile::TempDir,
}

impl FarEnd {
    /// Starts SIPp, which takes `calls` calls and exits. `answer` is the status code and reason for
    /// scenarios that refuse calls.
    pub fn start(
        scenario: &'static str,
        calls: u32,
        answer: &[&str],
        arguments: &[&str],
    ) -> FarEnd {
        match answer {
            // SIPp has no keyword for a status code.
            [code, reason] => {
                let edits = [("[code]", *code), ("[reason]", reason)];
                FarEnd::edited(scenario, calls, &edits, arguments)
            }
            _ => FarEnd::edited(scenario, calls, &[], arguments),
        }
    }

    /// Like `start`, with these words of the scenario replaced.
    pub fn edited(
        scenario: &'static str,
        calls: u32,
        edits: &[(&str, &str)],
        arguments: &[&str],
    ) -> FarEnd {
        let text = edited(scenario, edits);
        // Another program may bind the free port first.
        for _ in 0..5 {
            let mut far_end = FarEnd::spawn(scenario, &text, calls, arguments, free_port());
            if far_end.listens() {
                return far_end;
            }
        }
        panic!("{scenario}: sipp found no free port");
    }

    /// Starts SIPp on the port of an earlier far end.
    pub fn at(port: u16, scenario: &'static str, calls: u32) -> FarEnd {
        let mut far_end = FarEnd::spawn(scenario, &edited(scenario, &[]), calls, &[], port);
        assert!(far_end.listens(), "{scenario}: {}", far_end.errors());
        far_end
    }

    fn spawn(
        scenario: &'static str,
        text: &str,
        calls: u32,
        arguments: &[&str],
        port: u16,
    ) -> FarEnd {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("scenario.xml");
        std::fs::write(&file, text).unwrap();
        let errors = folder.path().join("errors.log");
        let sipp = Command::new("sipp")
            .args(["-sf", file.to_str().unwrap()])
            .args(["-p", &port.to_string()])
            // Audio and video ports, each with its RTCP port.
            .args(["-mp", &free_ports(4).to_string(), "-m", &calls.to_string()])
            .args(["-nostdin", "-timeout", "100s", "-timeout_error"])
            .args(["-trace_err", "-error_file", errors.to_str().unwrap()])
            .args(["-trace_logs", "-log_file", folder.path().join("log").to_str().unwrap()])
            .args(arguments)
            .args(match arguments.contains(&"-i") {
                true => &[][..],
                false => &["-i", "127.0.0.1"],
            })
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sipp: install Debian's package sip-tester");
        FarEnd { port, scenario, sipp, folder }
    }

    /// Waits until SIPp has bound its port. Returns false if it exited before.
    fn listens(&mut self) -> bool {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let has_ended = self.sipp.try_wait().unwrap().is_some();
            if has_ended || has_port(self.sipp.id(), self.port) {
                return !has_ended;
            }
            let errors = self.errors();
            let scenario = self.scenario;
            assert!(Instant::now() < until, "{scenario}: sipp does not listen\n{errors}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until SIPp has taken its calls, and asserts that each followed the scenario.
    pub fn assert_passed(mut self) {
        let until = Instant::now() + Duration::from_secs(60);
        let status = loop {
            if let Some(status) = self.sipp.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "{}: sipp is still waiting", self.scenario);
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(status.success(), "{}: {status}\n{}", self.scenario, self.errors());
    }

    /// Whether SIPp still waits for calls.
    pub fn is_waiting(&mut self) -> bool {
        self.sipp.try_wait().unwrap().is_none()
    }

    /// The file with the scenario's log messages.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn errors(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("errors.log")).unwrap_or_default()
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        let _ = self.sipp.kill();
        let _ = self.sipp.wait();
    }
}

/// The text of a scenario with these words replaced.
pub fn edited(scenario: &str, edits: &[(&str, &str)]) -> String {
    let scenarios = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/telephony/sipp/scenarios");
    let text = std::fs::read_to_string(format!("{scenarios}/{scenario}.xml")).unwrap();
    let edit = |text: String, (word, by): &(&str, &str)| {
        assert!(text.contains(word), "{scenario} has no {word}");
        text.replace(word, by)
    };
    edits.iter().fold(text, edit)
}

/// Whether the process has a UDP socket or a TCP listener on this loopback port.
pub fn has_port(pid: u32, port: u16) -> bool {
    let tables = ["udp", "udp6", "tcp", "tcp6"];
    // Without IPv6 the table for it does not exist.
    let tables =
        tables.map(|name| std::fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default());
    let addresses =
        [format!("0100007F:{port:04X}"), format!("00000000000000000000000001000000:{port:04X}")];
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let local = fields.get(1)?;
        let is_it = addresses.iter().any(|address| address == local);
        is_it.then(|| format!("socket:[{}]", fields[9]))
    };
    // Another process may use the same port number on the other loopback address.
    let sockets: Vec<String> =
        tables.iter().flat_map(|table| table.lines()).filter_map(inode).collect();
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    files
        .flatten()
        .filter_map(|file| std::fs::read_link(file.path()).ok())
        .any(|target| sockets.iter().any(|socket| target.to_str() == Some(socket)))
}

/// A free even port for RTP, followed by a free port for RTCP, as SIPp requires.
pub fn free_port() -> u16 {
    free_ports(2)
}
