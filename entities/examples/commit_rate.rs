//! Measures debits per second by batch size, each with its delivery, ledger entry and phone window,
//! and the minimum: one row and one balance in the same kind of transaction.
//!
//! Uses SQLite in a temporary directory, and PostgreSQL if `NEXO_TEST_POSTGRES_URL` names a fresh
//! database. Run with `--release`. Compare the two columns of one run, not of two runs.

use std::time::{Duration, Instant};

use nexo_domain::billing::ledger::Bucket;
use nexo_domain::customer_fields::CustomerFields;
use nexo_domain::ids::{AccountId, DeliveryId, KeyId};
use nexo_domain::money::Micros;
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::CarrierPlan;
use nexo_entities::store::accounts::NewAccount;
use nexo_entities::store::cluster::nodes::NodeStart;
use nexo_entities::store::ledger::posting::{Debit, DebitOutcome, NodeEpoch, WalletCache};
use nexo_entities::store::ledger::wallets::Credit;
use nexo_entities::{Store, StoreError};
use sea_orm::{ConnectionTrait, Statement, TransactionTrait};
use uuid::Uuid;

const BATCHES: [usize; 4] = [1, 10, 100, 1_000];
const MEASURED: Duration = Duration::from_secs(3);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite://{}/rate.db", folder.path().display());
    measure("SQLite", &url).await?;
    if let Ok(url) = std::env::var("NEXO_TEST_POSTGRES_URL") {
        measure("PostgreSQL", &url).await?;
    }
    Ok(())
}

async fn measure(name: &str, url: &str) -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::connect(url, 1).await?;
    nexo_migration::up(store.connection()).await?;
    let node = store.cluster().start_node(NodeStart::exclusive("rate", 0)).await?;
    let mut bench = Bench::new(&store, node).await?;
    for batch in BATCHES {
        bench.run(&store, batch, Duration::from_millis(300)).await?;
        let (debits, elapsed) = bench.run(&store, batch, MEASURED).await?;
        let least = least(&store, batch).await?;
        let rate = per_second(debits, elapsed);
        println!("{name:10} batch {batch:5}: {rate:7} debits/s, least {least:7} rows/s");
    }
    store.close().await?;
    Ok(())
}

fn per_second(count: usize, elapsed: Duration) -> u128 {
    count as u128 * 1_000_000_000 / elapsed.as_nanos()
}

/// Returns rows per second of a bare balance and a table without an index.
async fn least(store: &Store, batch: usize) -> Result<u128, sea_orm::DbErr> {
    let connection = store.connection();
    for sql in [
        "DROP TABLE IF EXISTS least_balance",
        "DROP TABLE IF EXISTS least_rows",
        "CREATE TABLE least_balance (micros bigint NOT NULL)",
        "CREATE TABLE least_rows (micros bigint NOT NULL, at_ms bigint NOT NULL)",
        "INSERT INTO least_balance VALUES (1000000000000)",
    ] {
        connection.execute_unprepared(sql).await?;
    }
    let rows = vec!["(22000, 1780000000000)"; batch].join(",");
    let insert = format!("INSERT INTO least_rows VALUES {rows}");
    let debit =
        format!("UPDATE least_balance SET micros = micros - {batch} WHERE micros >= {batch}");
    let prepared =
        |sql: &str| Statement::from_sql_and_values(connection.get_database_backend(), sql, []);
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < MEASURED {
        let transaction = connection.begin().await?;
        transaction.execute_raw(prepared(&debit)).await?;
        transaction.execute_raw(prepared(&insert)).await?;
        transaction.commit().await?;
        count += batch;
    }
    Ok(per_second(count, start.elapsed()))
}

struct Bench {
    account_id: AccountId,
    node: NodeEpoch,
    cache: WalletCache,
    plan: CarrierPlan,
    number: u32,
    made: i64,
}

impl Bench {
    async fn new(store: &Store, node: NodeEpoch) -> Result<Self, StoreError> {
        let account_id = store
            .accounts()
            .create(NewAccount {
                email: "rate@example.com",
                password_hash: None,
                operator: false,
                language: None,
                page_language: None,
                created_at_ms: 0,
            })
            .await?;
        let credit = Credit {
            account_id,
            bucket: Bucket::Balance,
            amount: Micros::new(1_000_000_000_000_000),
            reference: "rate",
            at_ms: 0,
        };
        store.ledger().credit_wallet(credit).await?;
        Ok(Self {
            account_id,
            node,
            cache: WalletCache::new(),
            plan: CarrierPlan::vietnam(),
            number: 0,
            made: 0,
        })
    }

    async fn run(
        &mut self,
        store: &Store,
        batch: usize,
        time: Duration,
    ) -> Result<(usize, Duration), StoreError> {
        let start = Instant::now();
        let mut posted = 0;
        while start.elapsed() < time {
            let debits: Vec<Debit> = (0..batch).map(|_| self.debit()).collect();
            let committed =
                store.ledger().commit(&mut self.cache, &self.node, &debits, &[]).await?;
            posted += committed
                .debits
                .iter()
                .filter(|outcome| matches!(outcome, DebitOutcome::Posted { .. }))
                .count();
        }
        Ok((posted, start.elapsed()))
    }

    /// Returns a debit for the next of ten million phones, in an order that looks random to the
    /// database.
    fn debit(&mut self) -> Debit {
        self.number = (self.number + 7_368_787) % 10_000_000;
        self.made += 1;
        let now_ms = self.made / 100;
        let phone = Phone::parse(&format!("+8498{:07}", self.number), &self.plan)
            .expect("+8498 and seven digits is a mobile number");
        Debit {
            delivery_id: DeliveryId(Uuid::now_v7()),
            account_id: self.account_id,
            key_id: KeyId(self.account_id.0),
            test: false,
            sandbox: false,
            fields: CustomerFields::default(),
            phone,
            carrier: phone.carrier(&self.plan).expect("a parsed number has a carrier"),
            cost: Micros::new(22_000),
            created_at_ms: now_ms,
            window_from_ms: now_ms,
            window_until_ms: now_ms + 30_000,
            idempotent: None,
            verification: None,
        }
    }
}
