//! `nexo demo`: one OTP, end to end, in one command, with everything shown and checked.

use std::io::{IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::{App as WebApp, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::{Context, bail};
use nexo_actors::clock::unix_ms;
use nexo_domain::billing::ledger::Bucket;
use nexo_domain::money::Micros;
use nexo_domain::otp::Code;
use nexo_domain::phone::Phone;
use nexo_domain::webhook::HashedSecret;
use nexo_entities::store::Store;
use nexo_entities::store::accounts::accounts::NewAccount;
use nexo_entities::store::ledger::wallets::Credit;
use nexo_entities::store::webhooks::endpoints::NewEndpoint;
use nexo_voice::sandbox::{CallRecord, Party, SandboxEvent};
use rand::RngExt;
use serde_json::{Map, Value, json};
use tokio::sync::{broadcast, mpsc};

use super::serve::create_key;
use crate::app::{App, Ports, open_store};
use crate::cli::output::CommandOutput;
use crate::config::Config;
use crate::telemetry;

/// What the demo account starts with.
const CREDIT: Micros = Micros::new(10_000_000);
/// An OTP is terminal within 60 s; the webhook and the far end's last words come soon after.
const PATIENCE: Duration = Duration::from_secs(70);

/// What the demo is asked to do.
pub struct DemoArgs {
    pub phone: Phone,
    /// A random one where none is given.
    pub code: Option<Code>,
    /// Where the call is saved.
    pub save: PathBuf,
    /// Says nothing until the end, and then one object.
    pub as_json: bool,
}

/// Runs the demo. The answer has failed unless every part of it is right.
///
/// # Errors
/// What kept it from running at all.
pub async fn run(config: &Config, args: DemoArgs) -> anyhow::Result<CommandOutput> {
    let phone = args.phone.to_string();
    let code = match args.code {
        Some(code) => code
            .digits()
            .iter()
            .map(|digit| char::from(b'0' + digit))
            .collect(),
        None => format!("{:06}", rand::rng().random_range(0..1_000_000)),
    };
    let scratch = Scratch::new()?;
    let config = demo_config(config, scratch.path());
    let (hooks, receiver_url) = start_receiver()?;
    let recorder = telemetry::install_recorder()?;
    let ports = Ports::bind(&config)?;
    let store = open_store(&config).await?;
    let (key, secret) = furnish(&store, &receiver_url).await?;
    let app = App::start(&config, ports, store, recorder, None).await?;
    let Some(sandbox) = &app.sandbox else {
        bail!("the sandbox carrier is off: set sandbox.enabled = true");
    };
    let heard = sandbox.subscribe();
    let client = Client::new(app.http, &key);
    let mut report = Report::new(args.as_json);
    report.say("NEXO ROUTE demo: one OTP from HTTP to the phone's ear, on this machine alone.\n");
    let before = client.get("balance").await?;
    report.say(&format!("wallet   {} USD", exact(&before["total"])));
    report.say(&format!(
        "request  POST /api/v1/send-otp  {phone} code {code}"
    ));
    let timeline = Timeline::start(code.len(), heard, args.as_json);
    let (status, answer) = client.send_otp(&phone, &code).await?;
    report.say(&format!("answer   {status}  {answer}\n"));
    report.note("request", json!({ "phone": phone, "code": code }));
    report.note("answer", json!({ "status": status, "body": answer }));
    report.check("the API accepted the OTP (202)", status == 202);
    if status == 202 {
        let id = answer["id"].as_str().unwrap_or_default().to_owned();
        let (call, steps) = timeline.follow().await;
        report.note("timeline", json!(steps));
        report_call(&call, &code, &args.save, &mut report)?;
        report_webhook(hooks, &secret, &id, &mut report).await;
        report_books(&client, &id, &before, &mut report).await?;
    }
    app.shutdown().await;
    Ok(report.answer())
}

/// The configuration with every port free, a database of its own and only the sandbox to call.
fn demo_config(config: &Config, scratch: &Path) -> Config {
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut config = config.clone();
    config.server.listen = any_port;
    config.metrics.listen = any_port;
    config.database.url = format!("sqlite://{}", scratch.join("demo.db").display());
    config.sip.listen_udp = any_port;
    config.sip.rtp_ports = nexo_voice::rtp::send::ports::PortRange::ephemeral();
    config.sip.public_ip = None;
    config.webhooks.allow_private = true;
    config.webhooks.allow_http = true;
    config.sandbox.enabled = true;
    config.carriers.clear();
    config
}

/// A directory that goes when the demo does.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("nexo-demo-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An account with a key, credit and a webhook endpoint. Gives the key and the webhook's secret.
async fn furnish(store: &Store, receiver_url: &str) -> anyhow::Result<(String, String)> {
    let account_id = store
        .accounts()
        .create(NewAccount {
            email: "demo@localhost",
            password_hash: None,
            operator: false,
            language: None,
            page_language: None,
            created_at_ms: unix_ms(),
        })
        .await?;
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
    let key = create_key(store, account_id, "demo").await?;
    let secret = crate::secrets::new_webhook_secret();
    let hashed = HashedSecret::of(&secret);
    store
        .webhooks()
        .add_endpoint(NewEndpoint {
            account_id,
            url: receiver_url,
            secret: hashed,
            created_at_ms: unix_ms(),
        })
        .await?;
    Ok((key.reveal().to_owned(), secret))
}

/// The customer's side of HTTP.
struct Client {
    http: reqwest::Client,
    base: String,
    key: String,
}

impl Client {
    fn new(address: SocketAddr, key: &str) -> Self {
        Self {
            http: reqwest::Client::new(),
            base: format!("http://{address}/api/v1"),
            key: key.to_owned(),
        }
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("{}/{path}", self.base);
        let answer = self.http.get(url).bearer_auth(&self.key).send().await?;
        Ok(serde_json::from_slice(&answer.bytes().await?)?)
    }

    async fn send_otp(&self, phone: &str, code: &str) -> anyhow::Result<(u16, Value)> {
        let answer = self
            .http
            .post(format!("{}/send-otp", self.base))
            .bearer_auth(&self.key)
            .header("Content-Type", "application/json")
            .body(serde_json::json!({ "phone": phone, "code": code }).to_string())
            .send()
            .await?;
        let status = answer.status().as_u16();
        Ok((status, serde_json::from_slice(&answer.bytes().await?)?))
    }
}

/// One webhook as it arrived.
struct Hook {
    signature: String,
    body: Vec<u8>,
}

/// A webhook receiver on a free port. Gives what it receives, and its URL.
fn start_receiver() -> anyhow::Result<(mpsc::UnboundedReceiver<Hook>, String)> {
    let (received, hooks) = mpsc::unbounded_channel();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://{}/webhooks/nexo", listener.local_addr()?);
    let server = HttpServer::new(move || {
        WebApp::new()
            .app_data(web::Data::new(received.clone()))
            .route("/webhooks/nexo", web::post().to(receive))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)?
    .run();
    actix_web::rt::spawn(server);
    Ok((hooks, url))
}

async fn receive(
    request: HttpRequest,
    body: web::Bytes,
    received: web::Data<mpsc::UnboundedSender<Hook>>,
) -> HttpResponse {
    let signature = request
        .headers()
        .get("X-NEXO-Signature")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    // The demo may have ended.
    let _ = received.send(Hook {
        signature,
        body: body.to_vec(),
    });
    HttpResponse::Ok().finish()
}

/// Prints the call as it goes, from what the far end sees and hears.
struct Timeline {
    started: Instant,
    digits: usize,
    events: broadcast::Receiver<SandboxEvent>,
    heard: String,
    in_place: bool,
    /// The progress line that stands there is not ended yet.
    is_open: bool,
    is_quiet: bool,
    /// What happened, and when.
    steps: Vec<Value>,
}

impl Timeline {
    fn start(digits: usize, events: broadcast::Receiver<SandboxEvent>, is_quiet: bool) -> Self {
        Self {
            started: Instant::now(),
            digits,
            events,
            heard: String::new(),
            in_place: std::io::stdout().is_terminal(),
            is_open: false,
            is_quiet,
            steps: Vec::new(),
        }
    }

    /// Follows the far end until it has finished: what it knows of the call, `None` when it never does, and
    /// what happened.
    async fn follow(mut self) -> (Option<Arc<CallRecord>>, Vec<Value>) {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let event = tokio::time::timeout_at(until, self.events.recv()).await;
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
            SandboxEvent::Invited { .. } => self.line("INVITE reaches the phone's carrier"),
            SandboxEvent::Ringing { .. } => self.line("the phone rings"),
            SandboxEvent::Answered { .. } => self.line("answered; the voice greets"),
            SandboxEvent::DigitHeard { digit, .. } => self.digit(char::from(b'0' + digit)),
            SandboxEvent::Rejected { code, .. } => self.line(&format!("rejected with {code}")),
            SandboxEvent::Cancelled { .. } => self.line("the caller gave up"),
            SandboxEvent::HungUp {
                by: Party::Caller, ..
            } => self.line("we hang up"),
            SandboxEvent::HungUp {
                by: Party::Callee, ..
            } => self.line("the phone hangs up"),
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
        if std::mem::take(&mut self.is_open) {
            println!();
        }
        println!("  {:>6.2} s  {what}", self.started.elapsed().as_secs_f64());
    }

    fn digit(&mut self, digit: char) {
        self.heard.push(digit);
        self.step(&format!("the far end hears {digit}"));
        if self.is_quiet {
            return;
        }
        let place = (self.heard.len() - 1) % self.digits + 1;
        let reading = (self.heard.len() - 1) / self.digits + 1;
        let so_far = &self.heard[self.heard.len() - place..];
        let mut shown: String = so_far.chars().flat_map(|c| [c, ' ']).collect();
        shown.push_str(&"· ".repeat(self.digits - place));
        let text = format!(
            "  {:>6.2} s  reading {reading}: the far end hears  {shown}",
            self.started.elapsed().as_secs_f64()
        );
        self.is_open = self.in_place && place < self.digits;
        match self.is_open {
            true => print!("\r{text}"),
            false if self.in_place => println!("\r{text}"),
            false => println!("{text}"),
        }
        // A progress line that is not shown at once is none.
        let _ = std::io::stdout().flush();
    }
}

/// What is told: line by line to people, at the end as one object to programs; and what was right.
struct Report {
    is_quiet: bool,
    told: Map<String, Value>,
    checks: Vec<(String, bool)>,
}

impl Report {
    fn new(is_quiet: bool) -> Report {
        Report {
            is_quiet,
            told: Map::new(),
            checks: Vec::new(),
        }
    }

    fn say(&self, line: &str) {
        if !self.is_quiet {
            println!("{line}");
        }
    }

    fn note(&mut self, name: &str, value: Value) {
        self.told.insert(name.to_owned(), value);
    }

    fn check(&mut self, what: impl Into<String>, right: bool) {
        self.checks.push((what.into(), right));
    }

    /// Says what was right; the answer has failed unless all of it was.
    fn answer(mut self) -> CommandOutput {
        let all = self.checks.iter().all(|(_, right)| *right);
        self.say("");
        for (what, right) in &self.checks {
            self.say(&format!(
                "  {}  {what}",
                if *right { "ok  " } else { "FAIL" }
            ));
        }
        self.say(match all {
            true => "\nThe whole main job works.",
            false => "\nThe demo failed: see FAIL above.",
        });
        let checks = self.checks.iter();
        let checks = checks.map(|(what, right)| json!({ "what": what, "ok": right }));
        let checks = checks.collect();
        self.note("checks", checks);
        self.note("ok", json!(all));
        CommandOutput::said(all, Value::Object(self.told))
    }
}

fn report_call(
    call: &Option<Arc<CallRecord>>,
    code: &str,
    save: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let Some(call) = call else {
        report.check("the far end saw the call to its end", false);
        return Ok(());
    };
    report.say(&format!(
        "\nfar end  heard {:?} in {:.1} s",
        call.digits_heard,
        call.talk_time.as_secs_f64()
    ));
    report.note("digits_heard", json!(call.digits_heard));
    report.check("the phone was answered", call.answered);
    report.check(
        format!("the far end heard the code that was sent ({code})"),
        call.digits_heard == code,
    );
    if call.samples.is_empty() {
        report.check("the call was recorded", false);
        return Ok(());
    }
    nexo_voice::audio::wav::write(save, &call.samples)
        .with_context(|| format!("cannot save the call to {}", save.display()))?;
    report.say(&format!("audio    saved as {}", save.display()));
    report.note("recording", json!(save.display().to_string()));
    Ok(())
}

async fn report_webhook(
    mut hooks: mpsc::UnboundedReceiver<Hook>,
    secret: &str,
    id: &str,
    report: &mut Report,
) {
    let Ok(Some(hook)) = tokio::time::timeout(PATIENCE, hooks.recv()).await else {
        return report.check("a webhook arrived", false);
    };
    let body = String::from_utf8_lossy(&hook.body);
    report.say(&format!("webhook  {body}"));
    report.say(&format!("         X-NEXO-Signature: {}", hook.signature));
    let event: Value = serde_json::from_slice(&hook.body).unwrap_or_default();
    report.note(
        "webhook",
        json!({ "signature": hook.signature, "body": event }),
    );
    report.check(
        "the webhook's signature is right",
        HashedSecret::of(secret).verify(&hook.body, &hook.signature),
    );
    report.check(
        "the webhook says otp.delivered for this OTP",
        event["type"] == "otp.delivered" && event["id"] == id,
    );
}

fn amount(value: &Value) -> Option<Micros> {
    value.to_string().parse().ok()
}

/// An amount as the API writes it.
fn exact(value: &Value) -> String {
    amount(value).map_or_else(|| value.to_string(), |amount| amount.to_string())
}

async fn report_books(
    client: &Client,
    id: &str,
    before: &Value,
    report: &mut Report,
) -> anyhow::Result<()> {
    let delivery = client.get(&format!("deliveries/{id}")).await?;
    let after = client.get("balance").await?;
    report.say(&format!("delivery {delivery}"));
    report.say(&format!(
        "wallet   {} USD before, {} USD after",
        exact(&before["total"]),
        exact(&after["total"])
    ));
    report.note("delivery", delivery.clone());
    report.note("wallet", json!({ "before": before, "after": after }));
    report.check(
        "GET /deliveries says delivered",
        delivery["status"] == "delivered",
    );
    let paid = amount(&before["total"])
        .zip(amount(&after["total"]))
        .and_then(|(before, after)| before.checked_sub(after));
    report.check(
        "the wallet paid the OTP's cost, once",
        paid.is_some() && paid == amount(&delivery["cost"]),
    );
    Ok(())
}
