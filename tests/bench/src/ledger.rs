//! Debits on one hot account: the wallet actor's group commit beside one UPDATE a request.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nexo_actors::wallet::{PostDebit, Wallets};
use nexo_domain::ids::AccountId;
use nexo_entities::store::Store;
use nexo_entities::store::posting::DebitOutcome;
use nexo_route::app::{App, Ports};
use nexo_route::config::Config;
use nexo_route::telemetry;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use tokio::sync::oneshot;

use crate::accepting_line::AcceptingLine;
use crate::customer::{COST, Customer, Phones};
use crate::http::bench_variables;

/// As many clients as the comparison is about.
const CLIENTS: usize = 32;
/// Group commit is made for more that wait: what a busy gateway sees.
const MANY_CLIENTS: usize = 512;

#[derive(clap::Args)]
pub struct Args {
    /// Each measurement's length
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// How often both sides are measured in turn
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// A fresh PostgreSQL database; SQLite in a temporary directory where none is given
    #[arg(long)]
    database: Option<String>,
}

pub async fn run(args: Args) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let url = match &args.database {
        Some(url) => url.clone(),
        None => format!("sqlite://{}/bench.db", folder.path().display()),
    };
    let name = if args.database.is_some() {
        "PostgreSQL"
    } else {
        "SQLite"
    };
    let variables = bench_variables(&url);
    let config = Config::from_texts(None, variables)?.config;
    let recorder = telemetry::install_recorder()?;
    let ports = Ports::bind(&config)?;
    let store = nexo_route::app::open_store(&config).await?;
    let customer = Customer::create(&store).await?;
    let line = AcceptingLine::start(Duration::from_secs(1));
    let wrap: nexo_route::app::WrapLine = Box::new(move |_| Arc::new(line));
    let app = App::start(&config, ports, store.clone(), recorder, Some(wrap)).await?;
    // A pool as wide as the clients, where the database can use one.
    let plain = Store::connect(&url, CLIENTS as u32).await?;
    prepare_plain(plain.connection()).await?;

    let length = Duration::from_secs(args.seconds);
    let wallets = &app.engine.desk.wallets;
    let phones = Rc::new(RefCell::new(Phones::new()));
    let mut rows = Vec::new();
    for _ in 0..args.rounds {
        let plain = plain_updates(plain.connection(), length).await?;
        let ours = debits(wallets, customer.account_id, &phones, CLIENTS, length).await?;
        let many = debits(wallets, customer.account_id, &phones, MANY_CLIENTS, length).await?;
        rows.push([plain, ours, many]);
    }
    let [plain_rate, ours, many] = medians(&rows);
    println!(
        "Debits a second on one hot account, {name} (median of {}):",
        args.rounds
    );
    println!("  one UPDATE a request, {CLIENTS} clients        {plain_rate:>9.0}");
    println!(
        "  wallet actor, {CLIENTS} clients                {ours:>9.0}   {:.1} times",
        ours / plain_rate
    );
    println!(
        "  wallet actor, {MANY_CLIENTS} clients               {many:>9.0}   {:.1} times",
        many / plain_rate
    );
    println!(
        "  (the UPDATE writes a balance; a debit also its delivery, ledger entry and phone window)"
    );
    let audit = store.audit(nexo_actors::clock::unix_ms()).await?;
    let broken: Vec<_> = audit.iter().filter(|check| !check.ok).collect();
    // The deliveries of debits that were posted here have no saga and stay `sent`: their time is not up.
    ensure!(broken.is_empty(), "the audit fails: {broken:?}");
    plain.close().await?;
    Ok(())
}

/// The median of each column.
pub fn medians<const N: usize>(rows: &[[f64; N]]) -> [f64; N] {
    std::array::from_fn(|column| {
        let mut values: Vec<f64> = rows.iter().map(|row| row[column]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    })
}

async fn prepare_plain(connection: &DatabaseConnection) -> anyhow::Result<()> {
    for sql in [
        "DROP TABLE IF EXISTS bench_wallet",
        "CREATE TABLE bench_wallet (id bigint PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0))",
        "INSERT INTO bench_wallet VALUES (1, 1000000000000000)",
    ] {
        connection.execute_unprepared(sql).await?;
    }
    Ok(())
}

/// Each client takes the cost in a transaction of its own, as soon as its last one is durable.
async fn plain_updates(connection: &DatabaseConnection, length: Duration) -> anyhow::Result<f64> {
    let sql = format!(
        "UPDATE bench_wallet SET balance = balance - {cost} WHERE id = 1 AND balance >= {cost}",
        cost = COST.get()
    );
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, []);
    let (started, mut clients) = (Instant::now(), tokio::task::JoinSet::new());
    for _ in 0..CLIENTS {
        let (connection, statement) = (connection.clone(), statement.clone());
        clients.spawn(async move {
            let mut done = 0u64;
            while started.elapsed() < length {
                let written = connection.execute_raw(statement.clone()).await?;
                done += written.rows_affected();
            }
            Ok::<u64, sea_orm::DbErr>(done)
        });
    }
    let mut done = 0;
    while let Some(client) = clients.join_next().await {
        done += client??;
    }
    Ok(done as f64 / started.elapsed().as_secs_f64())
}

/// Each client posts a debit as soon as its last one is durable.
async fn debits(
    wallets: &Wallets,
    account_id: AccountId,
    phones: &Rc<RefCell<Phones>>,
    clients: usize,
    length: Duration,
) -> anyhow::Result<f64> {
    let started = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..clients {
        let (wallets, phones) = (wallets.clone(), Rc::clone(phones));
        tasks.push(actix_web::rt::spawn(async move {
            let mut done = 0u64;
            while started.elapsed() < length {
                let debit = phones.borrow_mut().debit(account_id)?;
                let (reply, outcome) = oneshot::channel();
                wallets
                    .of(account_id)
                    .try_send(PostDebit { debit, reply })
                    .ok()
                    .context("the wallet's mailbox is full")?;
                match outcome.await?? {
                    DebitOutcome::Posted { .. } => done += 1,
                    refused => bail!("a debit was refused: {refused:?}"),
                }
            }
            Ok(done)
        }));
    }
    let mut done = 0;
    for task in tasks {
        done += task.await??;
    }
    Ok(done as f64 / started.elapsed().as_secs_f64())
}
