//! Complete OTPs per second and the CPU time of each: `nexo serve`, and SIPp which answers and hangs up at once.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::load::{Load, Sent};
use crate::process::Running;

#[derive(clap::Args)]
pub struct Args {
    /// OTPs per second
    #[arg(long, default_value_t = 2_000)]
    rate: u32,
    /// Duration in seconds
    #[arg(long, default_value_t = 15)]
    seconds: u32,
    /// The `nexo` binary to measure
    #[arg(long)]
    nexo: PathBuf,
    /// The scenario of SIPp
    #[arg(long)]
    scenario: PathBuf,
}

pub async fn run(args: Args) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let port = UdpSocket::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let far_end = Running::start(
        Command::new("sipp")
            .arg("-sf")
            .arg(std::path::absolute(&args.scenario)?)
            .args(["-i", "127.0.0.1", "-p", &port.to_string()])
            .args(["-nostdin", "-nd", "-buff_size", "8388608", "-l", "100000"])
            .current_dir(folder.path())
            .stderr(Stdio::null()),
    )
    .context("SIPp cannot be started; install Debian's package sip-tester")?;
    let nexo = Nexo::start(&args.nexo, folder.path(), port)?;
    let cpu_before = nexo.running.cpu()?;
    let sent = Load {
        url: format!("{}/api/v1/send-otp", nexo.url),
        key: nexo.key.clone(),
        rate: args.rate,
        seconds: args.seconds,
        skip: 0,
    }
    .run()
    .await?;
    nexo.settled(sent.accepted).await?;
    let used = nexo.running.cpu()? - cpu_before;
    report(&args, &sent, used);
    let ends = nexo.metric_lines("nexo_otps_total").await?;
    for line in &ends {
        println!("  {line}");
    }
    let hung_up = ends
        .iter()
        .filter(|line| line.contains("partial_playback"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum::<u64>();
    ensure!(
        hung_up == sent.accepted,
        "only {hung_up} of {} calls ended with partial_playback",
        sent.accepted
    );
    let audit = nexo.command(&["audit"])?;
    ensure!(audit["ok"] == true, "the audit fails: {audit}");
    nexo.running.end()?;
    drop(far_end);
    Ok(())
}

fn report(args: &Args, sent: &Sent, used: Duration) {
    println!(
        "Complete OTPs at {} per second for {} s, SIPp answers and hangs up at once:",
        args.rate, args.seconds
    );
    println!("  accepted                             {:>9}", sent.accepted);
    println!("  not accepted                         {:>9}", sent.refused);
    println!("  accepted per second                  {:>9.0}", sent.per_second());
    println!(
        "  latency p50 / p99 / worst            {:>9.1} / {:.1} / {:.1} ms",
        sent.latency_ms(0.5),
        sent.latency_ms(0.99),
        sent.latency_ms(1.0)
    );
    println!(
        "  CPU of the gateway per OTP           {:>9.1} us",
        used.as_secs_f64() * 1e6 / sent.accepted.max(1) as f64
    );
}

/// A running `nexo serve` with one customer.
struct Nexo {
    running: Running,
    binary: PathBuf,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    url: String,
    metrics: String,
    key: String,
}

impl Nexo {
    fn start(
        binary: &std::path::Path,
        folder: &std::path::Path,
        far_end: u16,
    ) -> anyhow::Result<Nexo> {
        let carriers = format!(
            r#"[{{name="viettel",channels=100000,calls_per_second=100000,gateways=[{{name="sipp",uri="sip:127.0.0.1:{far_end}"}}]}}]"#
        );
        let database = format!("sqlite://{}/bench.db", folder.display());
        let mut environment = crate::http::bench_variables(&database);
        environment.retain(|(key, _)| key != "NEXO_CARRIERS");
        environment.push(("NEXO_CARRIERS".into(), carriers));
        environment.push(("RUST_LOG".into(), "warn".into()));
        let binary = std::path::absolute(binary)?;
        let mut running = Running::start(
            Command::new(&binary)
                .args(["--json", "serve"])
                .envs(environment.iter().cloned())
                .current_dir(folder),
        )?;
        let ready = running.ready()?;
        let text = |key: &str| ready[key].as_str().unwrap_or_default().to_owned();
        let mut nexo = Nexo {
            running,
            binary,
            folder: folder.to_owned(),
            environment,
            url: text("http"),
            metrics: text("metrics"),
            key: String::new(),
        };
        let account = ["--account", "bench@example.com"];
        nexo.command(&["account", "create", "--email", account[1]])?;
        let credit = ["--bucket", "balance", "--amount", "1000000", "--reference", "bench"];
        nexo.command(&[&["wallet", "credit"], &account[..], &credit[..]].concat())?;
        let key =
            nexo.command(&[&["key", "create"], &account[..], &["--name", "bench"]].concat())?;
        nexo.key = key["key"].as_str().context("no key was created")?.to_owned();
        Ok(nexo)
    }

    fn command(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let output = Command::new(&self.binary)
            .arg("--json")
            .args(arguments)
            .envs(self.environment.iter().cloned())
            .current_dir(&self.folder)
            .output()?;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "nexo {arguments:?}: {error}");
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    async fn metric_lines(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let page = crate::load::client()?.get(&self.metrics).send().await?.text().await?;
        Ok(page
            .lines()
            .filter(|line| line.split(['{', ' ']).next() == Some(name))
            .filter(|line| !line.ends_with(" 0"))
            .map(str::to_owned)
            .collect())
    }

    /// Waits until every accepted OTP has its final state.
    async fn settled(&self, accepted: u64) -> anyhow::Result<()> {
        for _ in 0..600 {
            let ended: u64 = self
                .metric_lines("nexo_otps_total")
                .await?
                .iter()
                .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
                .sum();
            if ended >= accepted {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("not every call has ended after a minute")
    }
}
