//! The CPU time of a verification's start and of a check, compared with that of an OTP on the same gateway.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::http::{GatewayArgs, accepting_gateway};
use crate::ledger::medians;
use crate::process::Running;

#[derive(clap::Args)]
pub struct Args {
    /// Duration of each measurement, in seconds
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How many times all are measured, in turn
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Connections that wrk keeps busy
    #[arg(long, default_value_t = 256)]
    connections: u32,
    /// The script that generates wrk's OTPs
    #[arg(long)]
    otps: String,
    /// The script that generates wrk's verifications
    #[arg(long)]
    verifications: String,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// What wrk counted.
struct Counts {
    requests: f64,
    starts: f64,
    checks: f64,
}

pub async fn run(args: Args) -> anyhow::Result<()> {
    let mut gateway = Running::start(&mut accepting_gateway(&args.gateway)?)?;
    let ready = gateway.ready()?;
    let text = |key: &str| ready[key].as_str().unwrap_or_default().to_owned();
    let (url, key) = (text("url"), text("key"));
    let settled = Duration::from_millis(args.gateway.call_ms + 1_000);
    let mut rows = Vec::new();
    for round in 0..args.rounds {
        let mut measured = Vec::new();
        for (n, (script, mode)) in
            [(&args.otps, ""), (&args.verifications, "start"), (&args.verifications, "check")]
                .into_iter()
                .enumerate()
        {
            let before = gateway.cpu()?;
            let run = (round * 3 + n).to_string();
            let counts = wrk(&args, script, &url, &[&key, &run, mode])?;
            // The accepted calls are settled before the next measurement.
            tokio::time::sleep(settled).await;
            measured.push(((gateway.cpu()? - before).as_secs_f64() * 1e6, counts));
        }
        let [(otps, plain), (starts, verify), (both, mixed)] = &measured[..] else {
            unreachable!("three measurements");
        };
        let (otp, start) = (otps / plain.requests, starts / verify.requests);
        let check = (both - start * mixed.starts) / mixed.checks.max(1.0);
        rows.push([otp, start, check, start / otp, check / otp]);
    }
    let [otp, start, check, start_ratio, check_ratio] = medians(&rows);
    let database = if args.gateway.database.is_some() { "PostgreSQL" } else { "SQLite" };
    println!(
        "CPU of the gateway on {database}, wrk with {} connections (median of {}), calls settled:",
        args.connections, args.rounds
    );
    println!("  POST /send-otp                       {otp:>9.1} us");
    println!("  POST /verifications                  {start:>9.1} us   {start_ratio:.2} of that");
    println!("  POST /verifications/ID/check         {check:>9.1} us   {check_ratio:.2} of that");
    gateway.end().context("the gateway's ledger")
}

/// Fails if a request was refused.
fn wrk(args: &Args, script: &str, url: &str, arguments: &[&str]) -> anyhow::Result<Counts> {
    let output = Command::new("wrk")
        .args(["-t2", &format!("-c{}", args.connections)])
        .args([&format!("-d{}s", args.seconds), "-s", script, url, "--"])
        .args(arguments)
        .output()
        .context("wrk cannot be started; install Debian's package wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figure = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|figure| figure.trim().parse::<f64>().ok())
    };
    let (rate, failed) = (figure("rate:"), figure("failed:"));
    let (rate, failed) =
        rate.zip(failed).with_context(|| format!("unexpected output of wrk: {text}"))?;
    ensure!(failed == 0.0, "{failed} requests were refused: {text}");
    let count = |name| figure(name).unwrap_or(0.0);
    let requests = figure("requests:").unwrap_or(rate * args.seconds as f64);
    Ok(Counts { requests, starts: count("starts:"), checks: count("checks:") })
}
