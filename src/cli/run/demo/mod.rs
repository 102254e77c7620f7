//! `nexo demo`: sends one OTP from the HTTP API to the sandbox carrier's phone, and shows and checks each step.
//! Uses free ports and a temporary database; the configured gateway is not touched.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use nexo_actors::clock::unix_ms;
use nexo_domain::account::api_key::KeyMode;
use nexo_domain::billing::ledger::Bucket;
use nexo_domain::money::Micros;
use nexo_domain::otp::{Code, Language};
use nexo_domain::phone::Phone;
use nexo_domain::webhook::HashedSecret;
use nexo_domain::webhook::events::EventFilter;
use nexo_entities::store::Store;
use nexo_entities::store::ledger::wallets::Credit;
use nexo_entities::store::webhooks::endpoints::NewEndpoint;
use nexo_voice::sandbox::CallRecord;
use rand::RngExt;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use tokio::sync::mpsc;

mod customer;
mod timeline;

use self::customer::{Body, Client, OtpRequest, Webhook, start_receiver};
use self::timeline::Timeline;
use super::serve::{create_account, create_key};
use crate::app::{App, Ports, open_store};
use crate::cli::args;
use crate::cli::output::CommandOutput;
use crate::config::Config;
use crate::telemetry;

/// The demo account's initial credit.
const CREDIT: Micros = Micros::new(10_000_000);
/// An OTP reaches its final state within 60 s; the webhook and the end of the call follow soon after.
const TIMEOUT: Duration = Duration::from_secs(70);

/// The arguments of `nexo demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The number to call; its last two digits select the sandbox carrier's behaviour
    #[arg(default_value = "+84981234567", value_parser = args::phone)]
    phone: Phone,
    /// The code to read, 4 to 8 digits [default: a random one]
    #[arg(value_parser = args::code)]
    code: Option<Code>,
    /// Language of the voice, vi or en
    #[arg(long, value_parser = args::language())]
    language: Option<Language>,
    /// The WAV file for the recorded call
    #[arg(long, value_name = "FILE", default_value = "demo-call.wav")]
    save: PathBuf,
}

/// Runs the demo. The output is marked failed unless every check passes.
///
/// # Errors
/// If the demo cannot run.
pub async fn run(config: &Config, args: Args, as_json: bool) -> anyhow::Result<CommandOutput> {
    let phone = args.phone.to_string();
    let code = match args.code {
        Some(code) => code.digits().iter().map(|digit| char::from(b'0' + digit)).collect(),
        None => format!("{:06}", rand::rng().random_range(0..1_000_000)),
    };
    let temp_dir = TempDir::new()?;
    let mut config = demo_config(config, temp_dir.path());
    config.calls.language = args.language.unwrap_or(config.calls.language);
    let (webhooks, receiver_url) = start_receiver()?;
    let recorder = telemetry::install_recorder()?;
    let ports = Ports::bind(&config)?;
    let (store, serving) = open_store(&config).await?;
    let (key, secret) = set_up_customer(&store, &receiver_url).await?;
    let app = App::start(&config, ports, (store, serving), recorder, None).await?;
    let Some(sandbox) = &app.sandbox else {
        bail!("the sandbox carrier is disabled; set sandbox.enabled = true");
    };
    let events = sandbox.subscribe();
    let client = Client::new(app.http, &key);
    let mut report = Report::new(as_json);
    report.print("NEXO ROUTE demo: one OTP from the HTTP API to the phone, all on this machine.\n");
    let before = client.get("balance").await?;
    report.print(&format!("wallet   {} USD", before.exact("total")));
    report.print(&format!("request  POST /api/v1/send-otp  {phone} code {code}"));
    let timeline = Timeline::start(code.len(), events, as_json);
    let (status, response) = client.send_otp(&phone, &code).await?;
    report.print(&format!("response {status}  {response}\n"));
    report.set("request", OtpRequest { phone: &phone, code: &code });
    report.set("answer", Answer { status, body: &response });
    report.check("the API accepted the OTP (202)", status == 202);
    if status == 202 {
        let id = response.field("id");
        let id = id.as_str().unwrap_or_default().to_owned();
        let (call, steps) = timeline.follow().await;
        report.set("timeline", json!(steps));
        report_call(&call, &code, &args.save, &mut report)?;
        report_webhook(webhooks, &secret, &id, &mut report).await;
        report_wallet(&client, &id, &before, &mut report).await?;
    }
    app.shutdown().await;
    Ok(report.finish())
}

/// The configuration with free ports, a temporary database and the sandbox carrier only.
fn demo_config(config: &Config, temp_dir: &Path) -> Config {
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut config = config.clone();
    config.server.listen = any_port;
    config.metrics.listen = any_port;
    config.database.url = format!("sqlite://{}", temp_dir.join("demo.db").display());
    config.sip.listen_udp = any_port;
    config.sip.rtp_ports = nexo_voice::rtp::send::ports::PortRange::ephemeral();
    config.sip.public_ip = None;
    config.webhooks.allow_private = true;
    config.webhooks.allow_http = true;
    config.sandbox.enabled = true;
    config.carriers.clear();
    config
}

/// A temporary directory, removed on drop.
struct TempDir(PathBuf);

impl TempDir {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("nexo-demo-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Creates an account with a key, credit and a webhook endpoint. Returns the key and the webhook's secret.
async fn set_up_customer(store: &Store, receiver_url: &str) -> anyhow::Result<(String, String)> {
    let account_id = create_account(store, Micros::ZERO).await?;
    store
        .ledger()
        .credit_wallet(Credit {
            account_id,
            bucket: Bucket::Balance,
            amount: CREDIT,
            reference: "demo",
            at_ms: unix_ms(),
        })
        .await?;
    let key = create_key(store, account_id, "demo", KeyMode::Live).await?;
    let secret = crate::secrets::new_webhook_secret();
    let hashed = HashedSecret::of(&secret);
    store
        .webhooks()
        .add_endpoint(NewEndpoint {
            account_id,
            url: receiver_url,
            secret: hashed,
            events: EventFilter::default(),
            created_at_ms: unix_ms(),
        })
        .await?;
    Ok((key.reveal().to_owned(), secret))
}

/// The answer of `send-otp` in the report.
#[derive(Serialize)]
struct Answer<'a> {
    status: u16,
    body: &'a Body,
}

/// The webhook in the report.
#[derive(Serialize)]
struct ReceivedWebhook<'a> {
    signature: &'a str,
    body: &'a Body,
}

/// The wallet in the report.
#[derive(Serialize)]
struct Wallet<'a> {
    before: &'a Body,
    after: &'a Body,
}

/// The demo's report: lines printed as it runs, or one JSON object at the end, and the results of the checks.
struct Report {
    is_quiet: bool,
    json: BTreeMap<&'static str, Box<RawValue>>,
    checks: Vec<(String, bool)>,
}

impl Report {
    fn new(is_quiet: bool) -> Report {
        Report { is_quiet, json: BTreeMap::new(), checks: Vec::new() }
    }

    fn print(&self, line: &str) {
        if !self.is_quiet {
            println!("{line}");
        }
    }

    fn set(&mut self, name: &'static str, value: impl Serialize) {
        let value = to_raw_value(&value).expect("the report serializes");
        self.json.insert(name, value);
    }

    fn check(&mut self, what: impl Into<String>, ok: bool) {
        self.checks.push((what.into(), ok));
    }

    /// Prints the checks and returns the output.
    fn finish(mut self) -> CommandOutput {
        let all_ok = self.checks.iter().all(|(_, ok)| *ok);
        self.print("");
        for (what, ok) in &self.checks {
            self.print(&format!("  {}  {what}", if *ok { "ok  " } else { "FAIL" }));
        }
        self.print(match all_ok {
            true => "\nAll checks passed.",
            false => "\nSome checks failed; see FAIL above.",
        });
        let checks = self.checks.iter();
        let checks = checks.map(|(what, ok)| json!({ "what": what, "ok": ok }));
        let checks: Vec<Value> = checks.collect();
        self.set("checks", checks);
        self.set("ok", json!(all_ok));
        let output = CommandOutput::new("", self.json);
        match all_ok {
            true => output,
            false => output.failed(None),
        }
    }
}

fn report_call(
    call: &Option<Arc<CallRecord>>,
    code: &str,
    save: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let Some(call) = call else {
        report.check("the phone's call ended", false);
        return Ok(());
    };
    report.print(&format!(
        "\nphone    heard {:?} in {:.1} s",
        call.digits_heard,
        call.talk_time.as_secs_f64()
    ));
    report.set("digits_heard", json!(call.digits_heard));
    report.check("the phone was answered", call.answered);
    report.check(format!("the phone heard the code {code}"), call.digits_heard == code);
    if call.samples.is_empty() {
        report.check("the call was recorded", false);
        return Ok(());
    }
    nexo_voice::audio::wav::write(save, &call.samples)
        .with_context(|| format!("cannot save the call to {}", save.display()))?;
    report.print(&format!("audio    saved to {}", save.display()));
    report.set("recording", json!(save.display().to_string()));
    Ok(())
}

async fn report_webhook(
    mut webhooks: mpsc::UnboundedReceiver<Webhook>,
    secret: &str,
    id: &str,
    report: &mut Report,
) {
    let Ok(Some(webhook)) = tokio::time::timeout(TIMEOUT, webhooks.recv()).await else {
        return report.check("a webhook arrived", false);
    };
    let Ok(event) = Body::parse(&webhook.body) else {
        return report.check("the webhook is JSON", false);
    };
    report.print(&format!("webhook  {event}"));
    report.print(&format!("         X-NEXO-Signature: {}", webhook.signature));
    report.set("webhook", ReceivedWebhook { signature: &webhook.signature, body: &event });
    report.check(
        "the webhook's signature is valid",
        HashedSecret::of(secret).verify(&webhook.body, &webhook.signature),
    );
    report.check(
        "the webhook reports otp.delivered for this OTP",
        event.field("type") == "otp.delivered" && event.field("id") == id,
    );
}

async fn report_wallet(
    client: &Client,
    id: &str,
    before: &Body,
    report: &mut Report,
) -> anyhow::Result<()> {
    let delivery = client.get(&format!("deliveries/{id}")).await?;
    let after = client.get("balance").await?;
    report.print(&format!("delivery {delivery}"));
    report.print(&format!(
        "wallet   {} USD before, {} USD after",
        before.exact("total"),
        after.exact("total")
    ));
    report.set("delivery", &delivery);
    report.set("wallet", Wallet { before, after: &after });
    report.check("GET /deliveries reports delivered", delivery.field("status") == "delivered");
    let paid = before
        .amount("total")
        .zip(after.amount("total"))
        .and_then(|(before, after)| before.checked_sub(after));
    report.check(
        "the OTP was charged exactly once",
        paid.is_some() && paid == delivery.amount("cost"),
    );
    Ok(())
}
