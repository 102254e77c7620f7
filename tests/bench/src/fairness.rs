//! One account does as much as it can of what costs nothing while another one sends OTPs at a steady rate. Measures what
//! the other account's POSTs take, alternately with and without the attacker.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use nexo_entities::store::Store;
use tokio::task::JoinSet;

use crate::customer::Customer;
use crate::filling::Filling;
use crate::ledger::medians;
use crate::load::{Load, client};
use crate::process::Running;

/// The pause before each measurement, in which the previous one's calls end.
const PAUSE: Duration = Duration::from_secs(2);

/// What the attacker does.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Downloads and lists its deliveries
    Reads,
    /// Sends OTPs without money
    EmptyWallet,
    /// Opens connections and sends half of a request
    IdleConnections,
}

#[derive(clap::Args)]
pub struct Args {
    /// What the attacker does
    #[arg(long, value_enum, default_value = "reads")]
    attack: Kind,
    /// Deliveries of the account that downloads
    #[arg(long, default_value_t = 100_000)]
    deliveries: usize,
    /// Downloads that it has in progress, or tries to
    #[arg(long, default_value_t = 200)]
    downloads: usize,
    /// Requests for lists that it has in progress
    #[arg(long, default_value_t = 50)]
    lists: usize,
    /// Connections whose client requests a download and reads nothing, or sends half of a request
    #[arg(long, default_value_t = 100)]
    unread: usize,
    /// POSTs of the other account per second
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// Duration of each measurement, in seconds
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// How many times both sides are measured, alternately
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// An empty PostgreSQL database; by default SQLite in a temporary directory
    #[arg(long)]
    database: Option<String>,
}

pub async fn run(args: Args) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let name = match args.database {
        Some(_) => "PostgreSQL",
        None => "SQLite",
    };
    let url = args
        .database
        .clone()
        .unwrap_or_else(|| format!("sqlite://{}/bench.db", folder.path().display()));
    let executable = std::env::current_exe()?;
    let mut gateway = Running::start(Command::new(executable).args([
        "accepting-gateway",
        "--call-ms",
        "1000",
        "--database",
        &url,
    ]))?;
    let ready = gateway.ready()?;
    let text = |key: &str| ready[key].as_str().unwrap_or_default().to_owned();
    let (post, key) = (text("url"), text("key"));
    let api = post.trim_end_matches("/send-otp").to_owned();
    let store = Store::connect(&url, 1).await?;
    let attacker = Customer::named(&store, "attacker@example.com").await?;
    let penniless = Customer::penniless(&store, "penniless@example.com").await?;
    let attacker_key = match args.attack {
        Kind::EmptyWallet => penniless.key.reveal().to_owned(),
        Kind::Reads | Kind::IdleConnections => attacker.key.reveal().to_owned(),
    };
    let mut filling = Filling::start(store, attacker, args.deliveries).await?;
    filling.to(args.deliveries).await?;

    let mut rows = Vec::new();
    let mut attack = Attack::new(&api, &attacker_key);
    let mut number = 0;
    let mut measure = async || {
        tokio::time::sleep(PAUSE).await;
        let load = Load {
            url: post.clone(),
            key: key.clone(),
            rate: args.rate,
            seconds: args.seconds,
            // The phones after those of the account that downloads.
            skip: args.deliveries as u32 + number * args.rate * args.seconds,
        };
        number += 1;
        let sent = load.run().await?;
        ensure!(sent.refused == 0, "{} POSTs were refused", sent.refused);
        anyhow::Ok([0.5, 0.99].map(|share| sent.latency_ms(share)))
    };
    for _ in 0..args.rounds {
        let [quiet_p50, quiet] = measure().await?;
        attack.begin(&args)?;
        let [attacked_p50, attacked] = measure().await?;
        attack.end().await;
        rows.push([quiet_p50, attacked_p50, quiet, attacked, attacked / quiet]);
    }
    let [quiet_p50, attacked_p50, quiet, attacked, ratio] = medians(&rows);
    println!(
        "POST /send-otp of another account on {name}, {} per second (median of {}):",
        args.rate, args.rounds
    );
    println!("  alone                                p50 {quiet_p50:>7.2} ms, p99 {quiet:>7.2} ms");
    println!(
        "  beside the attacker                  p50 {attacked_p50:>7.2} ms, p99 {attacked:>7.2} ms"
    );
    println!("  p99, ratio                               {ratio:>7.2}");
    println!(
        "  the attacker's requests                  {} served, {} refused with 429 or 503",
        attack.served.load(Ordering::Relaxed),
        attack.refused.load(Ordering::Relaxed)
    );
    gateway.end().context("the gateway's ledger")
}

/// The account that reads as much as it can.
struct Attack {
    api: String,
    key: String,
    is_over: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    requests: JoinSet<anyhow::Result<()>>,
    unread: Vec<TcpStream>,
}

impl Attack {
    fn new(api: &str, key: &str) -> Attack {
        Attack {
            api: api.to_owned(),
            key: key.to_owned(),
            is_over: Arc::default(),
            served: Arc::default(),
            refused: Arc::default(),
            requests: JoinSet::new(),
            unread: Vec::new(),
        }
    }

    fn begin(&mut self, args: &Args) -> anyhow::Result<()> {
        self.is_over = Arc::default();
        match args.attack {
            Kind::Reads => self.begin_reads(args),
            Kind::EmptyWallet => self.begin_posts(args.downloads),
            Kind::IdleConnections => {
                for _ in 0..args.downloads + args.unread {
                    let mut stream = TcpStream::connect(self.host())?;
                    write!(stream, "POST /api/v1/send-otp HTTP/1.1\r\nHost: nexo\r\n")?;
                    self.unread.push(stream);
                }
                Ok(())
            }
        }
    }

    fn begin_posts(&mut self, clients: usize) -> anyhow::Result<()> {
        let client = client()?;
        for n in 0..clients {
            let request = client
                .post(format!("{}/send-otp", self.api))
                .bearer_auth(&self.key)
                .body(format!(r#"{{"phone":"+8497{:07}","code":"482917"}}"#, n * 7));
            let is_over = Arc::clone(&self.is_over);
            let (served, refused) = (Arc::clone(&self.served), Arc::clone(&self.refused));
            self.requests.spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    let request = request.try_clone().context("its body is a text")?;
                    match request.send().await?.status().as_u16() {
                        402 => served.fetch_add(1, Ordering::Relaxed),
                        429 | 503 => refused.fetch_add(1, Ordering::Relaxed),
                        status => anyhow::bail!("status {status}"),
                    };
                }
                Ok(())
            });
        }
        Ok(())
    }

    fn begin_reads(&mut self, args: &Args) -> anyhow::Result<()> {
        let client = client()?;
        for n in 0..args.downloads + args.lists {
            let (path, accept) = match n < args.downloads {
                true => ("deliveries", "text/csv"),
                false => ("deliveries?limit=200&carrier=wintel", "application/json"),
            };
            let request = client
                .get(format!("{}/{path}", self.api))
                .bearer_auth(&self.key)
                .header("Accept", accept);
            let is_over = Arc::clone(&self.is_over);
            let (served, refused) = (Arc::clone(&self.served), Arc::clone(&self.refused));
            self.requests.spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    let request = request.try_clone().context("it has no body")?;
                    let mut response = request.send().await?;
                    if response.status() == 429 {
                        refused.fetch_add(1, Ordering::Relaxed);
                        // Obeying Retry-After would be polite. This is a tenth of it.
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                    ensure!(response.status() == 200, "status {}", response.status());
                    while response.chunk().await?.is_some() {
                        if is_over.load(Ordering::Relaxed) {
                            return Ok(());
                        }
                    }
                    served.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        // Later than the others, so that these do not keep their places.
        for _ in 0..args.unread {
            self.unread.push(self.unread_download()?);
        }
        Ok(())
    }

    fn unread_download(&self) -> anyhow::Result<TcpStream> {
        let host = self.host();
        let mut stream = TcpStream::connect(host)?;
        write!(
            stream,
            "GET /api/v1/deliveries HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\nAccept: text/csv\r\n\r\n",
            self.key
        )?;
        Ok(stream)
    }

    /// The host and port of the API.
    fn host(&self) -> &str {
        let host = self.api.trim_start_matches("http://");
        host.split('/').next().unwrap_or_default()
    }

    async fn end(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.unread.clear();
        while let Some(request) = self.requests.join_next().await {
            if let Ok(Err(error)) = request {
                eprintln!("a request of the attacker failed: {error:#}");
            }
        }
    }
}
