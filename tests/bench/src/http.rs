//! Durable POST /send-otp per second, compared with a bare actix-web JSON route and with a hook under the same wrk load.

use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App as WebApp, HttpResponse, HttpServer, web};
use anyhow::{Context, ensure};
use nexo_actors::clock::unix_ms;
use nexo_domain::integration::{HookBody, Kind};
use nexo_route::app::{App, Ports, WrapLine};
use nexo_route::config::Config;
use nexo_route::integrations::{self, HookKeys};
use nexo_route::telemetry;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::accepting_line::AcceptingLine;
use crate::customer::Customer;
use crate::ledger::medians;
use crate::process::Running;

#[derive(clap::Args)]
pub struct Args {
    /// Duration of each measurement, in seconds
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How many times both sides are measured, alternately
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Connections that wrk keeps busy
    #[arg(long, default_value_t = 1_024)]
    connections: u32,
    /// The script that generates wrk's requests
    #[arg(long)]
    script: String,
    #[command(flatten)]
    gateway: GatewayArgs,
}

#[derive(clap::Args)]
pub struct GatewayArgs {
    /// Duration of each call from its acceptance to its settlement, in milliseconds
    #[arg(long, default_value_t = 1_000)]
    pub call_ms: u64,
    /// An empty PostgreSQL database; by default SQLite in a temporary directory
    #[arg(long)]
    pub database: Option<String>,
}

pub async fn run(args: Args) -> anyhow::Result<()> {
    let executable = std::env::current_exe()?;
    let mut bare = Running::start(Command::new(&executable).arg("bare-route"))?;
    let mut gateway = Running::start(&mut accepting_gateway(&args.gateway)?)?;
    let bare_at = Target::of(&bare.ready()?, "url", "key");
    let ready = gateway.ready()?;
    let sides = [Target::of(&ready, "url", "key"), Target::of(&ready, "hook", "secret")];

    let mut rows = Vec::new();
    for round in 0..args.rounds {
        let bare = bare_at.wrk(&args, 2 * round)?;
        let mut measured = [[0.0; 2]; 2];
        // Each goes first in every other round.
        for side in [round % 2, 1 - round % 2] {
            let before = gateway.cpu()?;
            let rate = sides[side].wrk(&args, 2 * round + side + 1)?;
            // The accepted OTPs are settled before the other side is measured.
            tokio::time::sleep(Duration::from_millis(args.gateway.call_ms + 1_000)).await;
            let spent = gateway.cpu()? - before;
            measured[side] = [rate, spent.as_secs_f64() * 1e6 / (rate * args.seconds as f64)];
        }
        let [[ours, cpu], [hooks, hook_cpu]] = measured;
        rows.push([bare, ours, ours / bare, cpu, hooks, hook_cpu, hook_cpu / cpu]);
    }
    let [bare_rate, ours, ratio, cpu, hooks, hook_cpu, hook_ratio] = medians(&rows);
    let database = match args.gateway.database {
        Some(_) => "PostgreSQL",
        None => "SQLite",
    };
    println!(
        "POST /send-otp per second on {database}, wrk with {} connections (median of {}):",
        args.connections, args.rounds
    );
    println!("  bare actix-web JSON route            {bare_rate:>9.0}");
    println!("  durable, accepted and settled        {ours:>9.0}   {:.0} % of that", ratio * 100.0);
    println!("  CPU of the gateway per OTP           {cpu:>9.1} us");
    println!("  the same by a hook (logto)           {hooks:>9.0}");
    println!(
        "  CPU of the gateway per hook          {hook_cpu:>9.1} us  {hook_ratio:.2} times that"
    );
    bare.end()?;
    gateway.end().context("the gateway's ledger")
}

/// Starts this program as the gateway of [`serve_accepting_gateway`].
pub fn accepting_gateway(args: &GatewayArgs) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["accepting-gateway", "--call-ms", &args.call_ms.to_string()]);
    if let Some(url) = &args.database {
        command.args(["--database", url]);
    }
    Ok(command)
}

/// The URL to which wrk sends its requests, and the API key or the secret.
struct Target {
    url: String,
    key: String,
}

impl Target {
    /// Reads both from what a server has printed.
    fn of(ready: &Value, url: &str, key: &str) -> Target {
        let text = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
        Target { url: text(url), key: text(key) }
    }

    /// Returns the requests per second. Fails if one was not answered with success.
    fn wrk(&self, args: &Args, round: usize) -> anyhow::Result<f64> {
        let output = Command::new("wrk")
            .args(["-t2", &format!("-c{}", args.connections)])
            .args([&format!("-d{}s", args.seconds), "-s", &args.script, &self.url])
            .args(["--", &self.key, &round.to_string()])
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
        ensure!(failed == 0.0, "{failed} requests were not answered with success: {text}");
        Ok(rate)
    }
}

#[derive(Deserialize)]
struct Body {
    phone: String,
    code: String,
}

/// The least possible work of a JSON route: read one object, write one.
pub async fn serve_bare_route() -> anyhow::Result<()> {
    async fn bare(body: web::Json<Body>) -> HttpResponse {
        HttpResponse::Accepted().json(json!({
            "ok": body.phone.len() > body.code.len(),
            "id": "8f2e1c4d-0000-0000-0000-000000000000",
        }))
    }
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let url = format!("http://{}/api/v1/send-otp", listener.local_addr()?);
    println!("{}", json!({ "url": url, "key": "" }));
    let server = HttpServer::new(|| WebApp::new().route("/api/v1/send-otp", web::post().to(bare)));
    server.listen(listener)?.run().await?;
    Ok(())
}

/// Settings of a gateway that listens on free loopback ports only.
pub fn bench_variables(database: &str) -> Vec<(String, String)> {
    [
        ("NEXO_SERVER__LISTEN", "127.0.0.1:0"),
        ("NEXO_METRICS__LISTEN", "127.0.0.1:0"),
        ("NEXO_SIP__LISTEN_UDP", "127.0.0.1:0"),
        ("NEXO_SIP__RTP_PORTS", "0-0"),
        ("NEXO_DATABASE__URL", database),
        ("NEXO_VERIFY__SECRET", "0101010101010101010101010101010101010101010101010101010101010101"),
        (
            "NEXO_CARRIERS",
            r#"[{name="viettel",channels=100000,calls_per_second=100000,gateways=[{name="in-process",uri="sip:127.0.0.1:9"}]}]"#,
        ),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec()
}

/// Runs the whole gateway with an [`AcceptingLine`], and an audit at the end.
pub async fn serve_accepting_gateway(args: GatewayArgs) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let url =
        args.database.unwrap_or_else(|| format!("sqlite://{}/bench.db", folder.path().display()));
    let config = Config::from_texts(None, bench_variables(&url))?.config;
    let recorder = telemetry::install_recorder()?;
    let mut terminated = signal(SignalKind::terminate())?;
    let ports = Ports::bind(&config)?;
    let (store, serving) = nexo_route::app::open_store(&config).await?;
    let customer = Customer::create(&store).await?;
    let line = AcceptingLine::start(Duration::from_millis(args.call_ms));
    let wrap: WrapLine = Box::new(move |_| Arc::new(line));
    let app = App::start(&config, ports, (store.clone(), serving), recorder, Some(wrap)).await?;
    let url = format!("http://{}/api/v1/send-otp", app.http);
    let body = HookBody::new(Kind::Logto, None).context("logto needs no pointers")?;
    let secret = integrations::new_secret(Kind::Logto);
    let keys = HookKeys::default();
    let account = customer.account_id;
    let id = integrations::create(&store, &keys, account, "bench", &body, &secret).await?;
    let hook = format!("http://{}{}", app.http, integrations::path(Kind::Logto, id));
    let (key, secret) = (customer.key.reveal(), secret.reveal());
    println!("{}", json!({ "url": url, "key": key, "hook": hook, "secret": secret }));
    terminated.recv().await;
    while !app.engine.live.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let audit = store.ledger().audit(unix_ms()).await?;
    let broken: Vec<_> = audit.iter().filter(|check| !check.ok).collect();
    ensure!(broken.is_empty(), "the audit fails: {broken:?}");
    app.shutdown().await;
    Ok(())
}
