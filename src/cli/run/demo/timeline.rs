//! The timeline of the demo's call.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Instant;

use nexo_voice::sandbox::{CallRecord, Party, SandboxEvent};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::TIMEOUT;

/// Prints the call as it happens, from the events of the sandbox carrier.
pub(super) struct Timeline {
    started: Instant,
    digits: usize,
    events: broadcast::Receiver<SandboxEvent>,
    heard: String,
    /// Whether a reading's digits update one line in place.
    is_terminal: bool,
    /// Whether the current line has no line end yet.
    is_line_open: bool,
    is_quiet: bool,
    /// The events with their times.
    steps: Vec<Value>,
}

impl Timeline {
    pub fn start(digits: usize, events: broadcast::Receiver<SandboxEvent>, is_quiet: bool) -> Self {
        Self {
            started: Instant::now(),
            digits,
            events,
            heard: String::new(),
            is_terminal: std::io::stdout().is_terminal(),
            is_line_open: false,
            is_quiet,
            steps: Vec::new(),
        }
    }

    /// Follows the call to its end. Returns the sandbox carrier's record, `None` after a timeout, and the events.
    pub async fn follow(mut self) -> (Option<Arc<CallRecord>>, Vec<Value>) {
        let deadline = tokio::time::Instant::now() + TIMEOUT;
        loop {
            let event = tokio::time::timeout_at(deadline, self.events.recv()).await;
            match event {
                Ok(Ok(SandboxEvent::Finished { record, .. })) => {
                    return (Some(record), self.steps);
                }
                Ok(Ok(event)) => self.show(&event),
                Ok(Err(broadcast::error::RecvError::Lagged(_))) => {}
                Ok(Err(broadcast::error::RecvError::Closed)) | Err(_) => {
                    return (None, self.steps);
                }
            }
        }
    }

    fn show(&mut self, event: &SandboxEvent) {
        match event {
            SandboxEvent::Invited { .. } => self.line("the carrier receives the INVITE"),
            SandboxEvent::Ringing { .. } => self.line("the phone rings"),
            SandboxEvent::Answered { .. } => {
                self.line("the phone is answered; the greeting starts")
            }
            SandboxEvent::DigitHeard { digit, .. } => self.digit(char::from(b'0' + digit)),
            SandboxEvent::Rejected { code, .. } => self.line(&format!("rejected with {code}")),
            SandboxEvent::Cancelled { .. } => self.line("the call is cancelled"),
            SandboxEvent::HungUp { by: Party::Caller, .. } => self.line("we hang up"),
            SandboxEvent::HungUp { by: Party::Callee, .. } => self.line("the phone hangs up"),
            SandboxEvent::Finished { .. } => {}
        }
    }

    fn step(&mut self, what: &str) {
        let seconds = self.started.elapsed().as_millis() as f64 / 1e3;
        self.steps.push(json!({ "seconds": seconds, "what": what }));
    }

    fn line(&mut self, what: &str) {
        self.step(what);
        if self.is_quiet {
            return;
        }
        if std::mem::take(&mut self.is_line_open) {
            println!();
        }
        println!("  {:>6.2} s  {what}", self.started.elapsed().as_secs_f64());
    }

    fn digit(&mut self, digit: char) {
        self.heard.push(digit);
        self.step(&format!("the phone hears {digit}"));
        if self.is_quiet {
            return;
        }
        let position = (self.heard.len() - 1) % self.digits + 1;
        let reading = (self.heard.len() - 1) / self.digits + 1;
        let so_far = &self.heard[self.heard.len() - position..];
        let mut shown: String = so_far.chars().flat_map(|c| [c, ' ']).collect();
        shown.push_str(&"· ".repeat(self.digits - position));
        let text = format!(
            "  {:>6.2} s  reading {reading}: the phone hears  {shown}",
            self.started.elapsed().as_secs_f64()
        );
        self.is_line_open = self.is_terminal && position < self.digits;
        match self.is_line_open {
            true => print!("\r{text}"),
            false if self.is_terminal => println!("\r{text}"),
            false => println!("{text}"),
        }
        // Without a line end, stdout is not flushed.
        let _ = std::io::stdout().flush();
    }
}
