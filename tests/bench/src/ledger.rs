//! Debits: the wallet actor's group commit on one hot account, compared with one UPDATE per request and with the same
//! debits on many accounts.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nexo_actors::clock::unix_ms;
use nexo_actors::dns::Resolver;
use nexo_actors::node::lease::Lease;
use nexo_actors::supervision::supervisor::Supervisor;
use nexo_actors::wallet::{self, PostDebit, Wallet, Wallets};
use nexo_actors::webhook::client::{TargetRules, WebhookClient};
use nexo_actors::webhook::{self, WebhookActor};
use nexo_domain::ids::AccountId;
use nexo_entities::store::Store;
use nexo_entities::store::cluster::nodes::NodeStart;
use nexo_entities::store::ledger::posting::{DebitOutcome, NodeEpoch};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use tokio::sync::oneshot;

use crate::customer::{COST, Customer, Phones, rich_account};

/// Debits in flight: a fair load for one UPDATE per request.
const CLIENTS: usize = 32;
/// Debits in flight on a busy gateway.
const MANY_CLIENTS: usize = 256;
/// Number of accounts that the hot one is compared with.
const ACCOUNTS: usize = 1_000;

#[derive(clap::Args)]
pub struct Args {
    /// Duration of each measurement, in seconds
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// How many times both sides are measured, alternately
    #[arg(long, default_value_t = 3)]
    rounds: usize,
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
    let name = if args.database.is_some() { "PostgreSQL" } else { "SQLite" };
    let store = Store::connect(&url, 1).await?;
    nexo_migration::up(store.connection()).await?;
    let customer = Customer::create(&store).await?;
    let (wallets, node) = start_wallet(&store).await?;
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
    // A pool with one connection per client, if the database can use it.
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
    println!("Debits per second on one hot account, {name} (median of {}):", args.rounds);
    for (clients, plain, ours) in [(CLIENTS, plain_few, few), (MANY_CLIENTS, plain_many, many)] {
        println!("  one UPDATE per request, {clients:>3} in flight  {plain:>9.0}");
        println!(
            "  wallet actor, {clients:>3} in flight            {ours:>9.0}   {:.1} times",
            ours / plain
        );
    }
    println!(
        "  the same on {ACCOUNTS} accounts, {MANY_CLIENTS} in flight  {spread_rate:>9.0}   the hot one reaches {:.0} % of that",
        many / spread_rate * 100.0
    );
    println!(
        "  (the UPDATE writes a balance; a debit also writes a delivery, a ledger entry and a phone window)"
    );
    let audit = store.ledger().audit(unix_ms()).await?;
    let broken: Vec<_> = audit.iter().filter(|check| !check.ok).collect();
    ensure!(broken.is_empty(), "the audit fails: {broken:?}");
    plain.close().await?;
    Ok(())
}

/// The accounts that pay, in turn.
struct Payers {
    wallets: Wallets,
    node: Arc<NodeEpoch>,
    accounts: Rc<Vec<AccountId>>,
    phones: Rc<RefCell<Phones>>,
}

/// Starts one wallet actor, as the gateway does on SQLite, and the webhook actor that it notifies of commits.
async fn start_wallet(store: &Store) -> anyhow::Result<(Wallets, Arc<NodeEpoch>)> {
    let node = store.cluster().start_node(NodeStart::exclusive("bench", unix_ms())).await?;
    let lease = Lease::alone(node);
    let node = lease.node();
    let rules = TargetRules { allow_private: false, allow_http: false };
    let client = WebhookClient::new(rules, Duration::from_secs(5), Resolver::start(&[])?)?;
    let mut supervisor = Supervisor::default();
    let (webhook_store, webhook_lease) = (store.clone(), Arc::clone(&lease));
    let webhooks = supervisor.spawn("webhook", webhook::MAILBOX_CAPACITY, move |guard| {
        let state = Arc::new(webhook::WebhookState::default());
        WebhookActor::new(
            webhook_store.clone(),
            Arc::clone(&webhook_lease),
            client.clone(),
            state,
            guard,
        )
    });
    let wallet_store = store.clone();
    let wallet = supervisor.spawn("wallet", wallet::MAILBOX_CAPACITY, move |guard| {
        Wallet::new(wallet_store.clone(), Arc::clone(&lease), webhooks.clone(), guard)
    });
    actix_web::rt::spawn(supervisor.run(Arc::default(), |role| panic!("{role} keeps failing")));
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

/// Each client debits the cost in a separate transaction, as soon as its previous one is durable.
/// The pool has one connection for each of [`CLIENTS`]; further clients wait for a connection.
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

/// Each client posts a debit as soon as its previous one is durable.
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
