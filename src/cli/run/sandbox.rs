//! `nexo sandbox`: runs the sandbox carrier without the gateway, and prints a line for each finished call.

use std::net::SocketAddr;
use std::path::PathBuf;

use nexo_voice::sandbox::{CallRecord, Sandbox, SandboxConfig, SandboxEvent};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::cli::output::print_line;
use crate::config::Config;
use crate::voice;

/// The arguments of `nexo sandbox`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// SIP address for UDP, such as 127.0.0.1:5070; port 0 selects a free one
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
    /// Directory to save each call's audio and details to [default: sandbox.record_dir]
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
}

/// Runs until SIGINT or SIGTERM. Prints its address, then one line for each finished call.
///
/// # Errors
/// If the address is not available or the directory is not writable.
pub async fn run(config: &Config, args: Args, as_json: bool) -> anyhow::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let settings = &config.sandbox;
    let configured = (!settings.record_dir.is_empty()).then(|| PathBuf::from(&settings.record_dir));
    let sandbox = Sandbox::start(SandboxConfig {
        record_dir: args.record.or(configured),
        loss_percent: settings.loss_percent,
        jitter_ms: settings.jitter_ms,
        voice: voice::recorded(config)?,
        seed: rand::random(),
        ..SandboxConfig::new(args.listen)
    })
    .await?;
    let events = sandbox.subscribe();
    let address = sandbox.local_addr();
    print_line(&match as_json {
        true => json!({ "listen": address.to_string() }).to_string(),
        false => {
            format!("The sandbox carrier listens on {address} (SIP over UDP). Stop it with Ctrl-C.")
        }
    });
    print_calls(events, as_json, &mut terminated, &mut interrupted).await;
    sandbox.shutdown().await;
    Ok(())
}

async fn print_calls(
    mut events: Receiver<SandboxEvent>,
    as_json: bool,
    terminated: &mut Signal,
    interrupted: &mut Signal,
) {
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            _ = terminated.recv() => return,
            _ = interrupted.recv() => return,
        };
        match event {
            Ok(SandboxEvent::Finished { record, .. }) => print_line(&match as_json {
                true => call_json(&record),
                false => call_text(&record),
            }),
            Ok(_) => {}
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "calls finish faster than they can be printed");
            }
            Err(RecvError::Closed) => return,
        }
    }
}

fn call_json(record: &CallRecord) -> String {
    json!({
        "call_id": *record.call_id,
        "phone": record.phone.to_string(),
        "answered": record.answered,
        "seconds": record.talk_time.as_secs_f64(),
        "digits_heard": record.digits_heard,
        "wav": record.wav,
    })
    .to_string()
}

fn call_text(record: &CallRecord) -> String {
    let phone = record.phone;
    if !record.answered {
        return format!("{phone}  not answered");
    }
    let seconds = record.talk_time.as_secs_f64();
    let heard = match record.digits_heard.as_str() {
        "" => "no digits",
        digits => digits,
    };
    let saved = match &record.wav {
        Some(file) => format!("  {}", file.display()),
        None => String::new(),
    };
    format!("{phone}  answered, {seconds:5.1} s, heard {heard}{saved}")
}
