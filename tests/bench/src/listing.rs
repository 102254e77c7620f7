//! Lists of a customer with many OTPs, through the gateway: the first page of each filter, and the whole list as CSV.
//! Measured with a tenth of the deliveries and with all of them, to show which times grow.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nexo_actors::clock::unix_ms;
use nexo_domain::ids::{AccountId, EndpointId};
use nexo_domain::timestamp::rfc3339;
use nexo_domain::webhook::HashedSecret;
use nexo_domain::webhook::events::EventFilter;
use nexo_entities::store::Store;
use nexo_entities::store::accounts::NewAccount;
use nexo_entities::store::accounts::sessions::NewSession;
use nexo_entities::store::webhooks::endpoints::NewEndpoint;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::customer::Customer;
use crate::filling::{Filling, RATE};
use crate::process::Running;

/// How many times each page is requested.
const SAMPLES: usize = 15;
/// The longest allowed time of a page.
const MAX_PAGE_TIME: Duration = Duration::from_millis(50);

#[derive(clap::Args)]
pub struct Args {
    /// Number of deliveries at the end
    #[arg(long, default_value_t = 1_000_000)]
    deliveries: usize,
    /// The `nexo` binary to measure
    #[arg(long)]
    nexo: PathBuf,
    /// An empty PostgreSQL database; by default SQLite in a temporary directory
    #[arg(long)]
    database: Option<String>,
}

pub async fn run(args: Args) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let url = match &args.database {
        Some(url) => url.clone(),
        None => format!("sqlite://{}/bench.db", folder.path().display()),
    };
    let name = match args.database {
        Some(_) => "PostgreSQL",
        None => "SQLite",
    };
    let store = Store::connect(&url, 1).await?;
    nexo_migration::up(store.connection()).await?;
    let customer = Customer::create(&store).await?;
    let operator = NewAccount {
        email: "operator@example.com",
        password_hash: None,
        operator: true,
        language: None,
        page_language: None,
        created_at_ms: unix_ms(),
    };
    let endpoint = NewEndpoint {
        account_id: customer.account_id,
        url: "https://hooks.example.com/nexo",
        secret: HashedSecret::of("whsec_bench"),
        events: EventFilter::default(),
        created_at_ms: unix_ms(),
    };
    let site = Site {
        operator: store.accounts().create(operator).await?,
        endpoint: store.webhooks().add_endpoint(endpoint).await?,
    };
    let mut filling = Filling::start(store, customer, args.deliveries).await?;
    let mut columns = Vec::new();
    for deliveries in [args.deliveries / 10, args.deliveries] {
        let began = Instant::now();
        filling.to(deliveries).await?;
        eprintln!("filled to {deliveries} in {:.0?}", began.elapsed());
        columns.push(measure(&args.nexo, folder.path(), &url, &filling, &site).await?);
    }
    report(name, &args, &columns);
    let slow: Vec<&str> = columns
        .iter()
        .flatten()
        .filter(|line| line.is_page && line.took > MAX_PAGE_TIME)
        .map(|line| line.what.trim())
        .collect();
    ensure!(slow.is_empty(), "pages that take longer than {MAX_PAGE_TIME:?}: {slow:?}");
    Ok(())
}

/// What the pages need besides deliveries.
struct Site {
    /// The account that may see the operators' pages.
    operator: AccountId,
    endpoint: EndpointId,
}

/// A list or page, and its measurement.
struct Line {
    what: &'static str,
    took: Duration,
    is_page: bool,
}

async fn measure(
    nexo: &Path,
    folder: &Path,
    database: &str,
    filling: &Filling,
    site: &Site,
) -> anyhow::Result<Vec<Line>> {
    let mut environment = crate::http::bench_variables(database);
    environment.push(("RUST_LOG".into(), "warn".into()));
    // Without https the cookies have no `__Host-` prefix.
    let public_url = "http://127.0.0.1:8080";
    environment.push(("NEXO_SERVER__PUBLIC_URL".into(), public_url.into()));
    let mut running = Running::start(
        Command::new(std::path::absolute(nexo)?)
            .args(["--json", "serve"])
            .envs(environment)
            .current_dir(folder),
    )?;
    let ready = running.ready()?;
    let url = ready["http"].as_str().context("no URL in its output")?.to_owned();
    let (phone, delivery) = filling.sample.context("the database contains no delivery")?;
    let middle = filling.since_ms + filling.filled as i64 * 500 / RATE;
    let (from, to) = (rfc3339(middle), rfc3339(middle + 60_000));
    let lists = [
        ("a page of deliveries", "deliveries".to_owned()),
        ("  that failed", "deliveries?status=failed".to_owned()),
        ("  that are in progress (none)", "deliveries?status=sent".to_owned()),
        ("  of a minute in the middle", format!("deliveries?from={from}&to={to}")),
        ("  of the oldest phone", format!("deliveries?phone={phone}")),
        ("  of a carrier without any", "deliveries?carrier=gmobile".to_owned()),
        ("a page of the ledger", "ledger".to_owned()),
        ("  of refunds", "ledger?kind=refund".to_owned()),
        ("  of the one deposit", "ledger?kind=deposit".to_owned()),
    ];
    let customer = ApiClient {
        http: crate::load::client()?,
        api: format!("{url}/api/v1"),
        key: filling.customer.key.reveal().to_owned(),
    };
    // A gateway builds the filters in the background, one span after another.
    while filling.store.deliveries().build_next_filter(unix_ms()).await? {}
    while filling.store.deliveries().update_daily_stats(unix_ms()).await? {}
    let mut lines = Vec::new();
    for (what, path) in &lists {
        let took = median(async || customer.page(path).await).await?;
        let is_page = false;
        lines.push(Line { what, took, is_page });
    }
    let account = filling.customer.account_id;
    let member = Member {
        http: crate::load::client()?,
        url: url.clone(),
        cookie: sign_in(&filling.store, account).await?,
    };
    let operator = Member {
        http: crate::load::client()?,
        url: url.clone(),
        cookie: sign_in(&filling.store, site.operator).await?,
    };
    let member_pages = [
        ("the overview", "/dashboard".to_owned()),
        ("the page of deliveries", "/dashboard/deliveries".to_owned()),
        (
            "  searched for the oldest phone",
            format!("/dashboard/deliveries?q={}", phone.national()),
        ),
        ("  searched for a phone without any", "/dashboard/deliveries?q=0901234567".to_owned()),
        ("  of a carrier without any", "/dashboard/deliveries?carrier=gmobile".to_owned()),
        ("  that failed", "/dashboard/deliveries?status=failed".to_owned()),
        ("one delivery", format!("/dashboard/deliveries/{delivery}")),
        ("the wallet", "/dashboard/wallet".to_owned()),
        ("the top-ups", "/dashboard/wallet/top-up".to_owned()),
        ("the referrals", "/dashboard/referrals".to_owned()),
        ("the keys", "/dashboard/api-keys".to_owned()),
        ("the webhooks", "/dashboard/webhooks".to_owned()),
        ("one endpoint", format!("/dashboard/webhooks/{}", site.endpoint)),
        ("the settings", "/dashboard/settings".to_owned()),
        ("the second factor", "/dashboard/settings/second-factor".to_owned()),
        ("the public page", "/en".to_owned()),
        ("the reference", "/docs".to_owned()),
        ("its OpenAPI page", "/docs/openapi".to_owned()),
    ];
    let operator_pages = [
        ("operators: accounts", "/dashboard/operators/accounts".to_owned()),
        ("  one account", format!("/dashboard/operators/accounts/{account}")),
        ("  carriers", "/dashboard/operators/carriers".to_owned()),
        ("  deposits", "/dashboard/operators/deposits".to_owned()),
        ("  reviews", "/dashboard/operators/reviews".to_owned()),
        ("  payouts", "/dashboard/operators/payouts".to_owned()),
        ("  revocations", "/dashboard/operators/revocations".to_owned()),
    ];
    let of_member = member_pages.iter().map(|page| (&member, page));
    let of_operator = operator_pages.iter().map(|page| (&operator, page));
    for (reader, (what, path)) in of_member.chain(of_operator) {
        let took = median(async || reader.page(path).await).await?;
        let is_page = true;
        lines.push(Line { what, took, is_page });
    }
    for (what, path, least) in [
        ("all deliveries as CSV", "deliveries", filling.filled),
        ("the whole ledger as CSV", "ledger", filling.filled),
    ] {
        let took = customer.csv(path, least).await?;
        let is_page = false;
        lines.push(Line { what, took, is_page });
    }
    running.end()?;
    Ok(lines)
}

/// The median of several requests.
async fn median(request: impl AsyncFn() -> anyhow::Result<Duration>) -> anyhow::Result<Duration> {
    let mut times = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        times.push(request().await?);
    }
    times.sort();
    Ok(times[SAMPLES / 2])
}

/// Opens a session of the account. Returns the cookie.
async fn sign_in(store: &Store, account_id: AccountId) -> anyhow::Result<String> {
    let token = format!("{}{}", Uuid::new_v4().simple(), "x".repeat(11));
    let now = unix_ms();
    store
        .accounts()
        .open_session(NewSession {
            proven: None,
            token_hash: Sha256::digest(token.as_bytes()).into(),
            account_id,
            address: "127.0.0.1",
            browser: "nexo-bench",
            created_at_ms: now,
            expires_at_ms: now + 3_600_000,
        })
        .await?;
    Ok(format!("nexo_session={token}"))
}

/// A browser with a session.
struct Member {
    http: reqwest::Client,
    url: String,
    cookie: String,
}

impl Member {
    /// Requests a page. Returns the time to its last byte.
    async fn page(&self, path: &str) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let request = self.http.get(format!("{}{path}", self.url));
        let answer = request.header("Cookie", &self.cookie).send().await?;
        let (status, ended_at) = (answer.status(), answer.url().path().to_owned());
        let text = answer.text().await?;
        ensure!(status.is_success(), "{path}: {status} {text}");
        ensure!(path.starts_with(&ended_at), "{path} redirected to {ended_at}");
        Ok(began.elapsed())
    }
}

/// A client of the API.
struct ApiClient {
    http: reqwest::Client,
    api: String,
    key: String,
}

impl ApiClient {
    /// Requests a page. Returns the time to its last byte.
    async fn page(&self, path: &str) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let request = self.http.get(format!("{}/{path}", self.api));
        let answer = request.bearer_auth(&self.key).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(began.elapsed())
    }

    /// Requests a whole list with at least this many rows. Returns the time to its last byte.
    async fn csv(&self, path: &str, least: usize) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let request = self.http.get(format!("{}/{path}", self.api));
        let request = request.bearer_auth(&self.key).header("Accept", "text/csv");
        let mut answer = request.send().await?.error_for_status()?;
        let mut rows = 0;
        while let Some(chunk) = answer.chunk().await? {
            rows += chunk.iter().filter(|byte| **byte == b'\n').count();
        }
        ensure!(rows > least, "{path}: {rows} rows, expected at least {least}");
        Ok(began.elapsed())
    }
}

fn report(name: &str, args: &Args, columns: &[Vec<Line>]) {
    let [tenth, whole] = columns else {
        return;
    };
    println!(
        "Lists and pages of one account, {name}, milliseconds (pages: median of {SAMPLES}):\n  {:<34}{:>12}{:>12}",
        "",
        args.deliveries / 10,
        args.deliveries
    );
    for (few, many) in tenth.iter().zip(whole) {
        let ms = |line: &Line| line.took.as_secs_f64() * 1e3;
        println!(
            "  {:<34}{:>12.1}{:>12.1}   {:.1} times",
            few.what,
            ms(few),
            ms(many),
            ms(many) / ms(few)
        );
    }
}
