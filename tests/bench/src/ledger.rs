//! Debits: the wallet actor's group commit on one hot account beside one UPDATE a request, and beside the
//! same debits on many accounts.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nexo_actors::clock::unix_ms;
use nexo_actors::node::lease::Lease;
use nexo_actors::supervision::supervisor::Watcher;
use nexo_actors::wallet::{self, PostDebit, Wallet, Wallets};
use nexo_actors::webhook::client::{TargetRules, WebhookClient};
use nexo_actors::webhook::{self, WebhookDesk};
use nexo_domain::ids::AccountId;
use nexo_entities::store::Store;
use nexo_entities::store::cluster::nodes::NodeStart;
use nexo_entities::store::ledger::posting::{DebitOutcome, NodeEpoch};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use tokio::sync::oneshot;

use crate::customer::{COST, Customer, Phones, rich_account};

/// How many debits are in flight: a fair load for one UPDATE a request.
const CLIENTS: usize = 32;
/// What a busy gateway sees.
const MANY_CLIENTS: usize = 256;
/// How many accounts the hot one is compared with.
const ACCOUNTS: usize = 1_000;

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
    let store = Store::connect(&url, 1).await?;
    nexo_migration::up(store.connection()).await?;
    let customer = Customer::create(&store).await?;
    let (wallets, node) = hire(&store).await?;
    let mut spread = Vec::with_capacity(ACCOUNTS);
    for n in 0..ACCOUNTS {
        spread.push(rich_account(&store, &format!("bench{n}@example.com")).await?);
    }
    let phones = Rc::new(RefCell::new(Phones::new()));
    let payers = |accounts: Vec<AccountId>| Payers {
        wallets: wallets.clone(),
        node: Arc::clone(&node),
        accounts: Rc::new(accounts),
        phones: Rc::clone(&phones),
    };
    let (hot, spread) = (payers(vec![customer.account_id]), payers(spread));
    // A pool as wide as the clients, where the database can use one.
    let plain = Store::connect(&url, CLIENTS as u32).await?;
    prepare_plain(plain.connection()).await?;

    let length = Duration::from_secs(args.seconds);
    let mut rows = Vec::new();
    for _ in 0..args.rounds {
        rows.push([
            plain_updates(plain.connection(), CLIENTS, length).await?,
            debits(&hot, CLIENTS, length).await?,
            plain_updates(plain.connection(), MANY_CLIENTS, length).await?,
            debits(&hot, MANY_CLIENTS, length).await?,
            debits(&spread, MANY_CLIENTS, length).await?,
        ]);
    }
    let [plain_few, few, plain_many, many, spread_rate] = medians(&rows);
    println!(
        "Debits a second on one hot account, {name} (median of {}):",
        args.rounds
    );
    for (clients, plain, ours) in [(CLIENTS, plain_few, few), (MANY_CLIENTS, plain_many, many)] {
        println!("  one UPDATE a request, {clients:>3} in flight    {plain:>9.0}");
        println!(
            "  wallet actor, {clients:>3} in flight            {ours:>9.0}   {:.1} times",
            ours / plain
        );
    }
    println!(
        "  the same on {ACCOUNTS} accounts, {MANY_CLIENTS} in flight  {spread_rate:>9.0}   the hot one is {:.0} % of it",
        many / spread_rate * 100.0
    );
    println!(
        "  (the UPDATE writes a balance; a debit also its delivery, ledger entry and phone window)"
    );
    let audit = store.audit(unix_ms()).await?;
    let broken: Vec<_> = audit.iter().filter(|check| !check.ok).collect();
    ensure!(broken.is_empty(), "the audit fails: {broken:?}");
    plain.close().await?;
    Ok(())
}

/// The accounts that debits are of, in turn.
struct Payers {
    wallets: Wallets,
    node: Arc<NodeEpoch>,
    accounts: Rc<Vec<AccountId>>,
    phones: Rc<RefCell<Phones>>,
}

/// One wallet actor, as the gateway has on SQLite, and the webhook actor that it tells of its commits.
async fn hire(store: &Store) -> anyhow::Result<(Wallets, Arc<NodeEpoch>)> {
    let node = store
        .start_node(NodeStart::alone("bench", unix_ms()))
        .await?;
    let lease = Lease::alone(node);
    let node = lease.node();
    let rules = TargetRules {
        allow_private: false,
        allow_http: false,
    };
    let client = WebhookClient::new(rules, Duration::from_secs(5))?;
    let mut watcher = Watcher::default();
    let (its_store, its_lease) = (store.clone(), Arc::clone(&lease));
    let webhooks = watcher.hire("webhook", webhook::MAILBOX, move |life_line| {
        let posts = Arc::new(webhook::Desk::default());
        WebhookDesk::new(
            its_store.clone(),
            Arc::clone(&its_lease),
            client.clone(),
            posts,
            life_line,
        )
    });
    let its_store = store.clone();
    let wallet = watcher.hire("wallet", wallet::MAILBOX, move |life_line| {
        Wallet::new(
            its_store.clone(),
            Arc::clone(&lease),
            webhooks.clone(),
            life_line,
        )
    });
    actix_web::rt::spawn(watcher.watch(Arc::default(), |role| panic!("{role} keeps dying")));
    Ok((Wallets::new(vec![wallet]), node))
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
/// The pool has a connection for each of [`CLIENTS`]; more of them wait for one.
async fn plain_updates(
    connection: &DatabaseConnection,
    in_flight: usize,
    length: Duration,
) -> anyhow::Result<f64> {
    let sql = format!(
        "UPDATE bench_wallet SET balance = balance - {cost} WHERE id = 1 AND balance >= {cost}",
        cost = COST.get()
    );
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, []);
    let (started, mut clients) = (Instant::now(), tokio::task::JoinSet::new());
    for _ in 0..in_flight {
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
async fn debits(payers: &Payers, clients: usize, length: Duration) -> anyhow::Result<f64> {
    let started = Instant::now();
    let mut tasks = Vec::new();
    for client in 0..clients {
        let (wallets, node) = (payers.wallets.clone(), Arc::clone(&payers.node));
        let (accounts, phones) = (Rc::clone(&payers.accounts), Rc::clone(&payers.phones));
        tasks.push(actix_web::rt::spawn(async move {
            let mut done = 0u64;
            let mut next = client;
            while started.elapsed() < length {
                let account_id = accounts[next % accounts.len()];
                next += clients;
                let debit = phones.borrow_mut().debit(account_id)?;
                let (reply, outcome) = oneshot::channel();
                let node = Arc::clone(&node);
                wallets
                    .of(account_id)
                    .try_send(PostDebit { debit, node, reply })
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
