//! The same random steps on SQLite and on PostgreSQL produce the same outcomes and the same entries.

use std::collections::HashMap;

use nexo_domain::billing::ledger::Bucket;
use nexo_domain::ids::{AccountId, DeliveryId};
use nexo_domain::money::Micros;
use nexo_entities::store::ledger::posting::{Debit, DebitOutcome, Settlement};
use nexo_entities::store::ledger::wallets::Credit;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sea_orm::{ConnectionTrait, Statement, TransactionTrait};
use uuid::Uuid;

use crate::database::Database;
use crate::world::{NOW, World, account, delivered, otp, paid, refunded};

const CASES: u32 = 12;

/// One step, executed on both databases.
#[derive(Debug, Clone)]
enum Step {
    /// One batch of debits (cost and phone) together with settlements of the oldest deliveries, each
    /// refunded or not.
    Batch(Vec<(i64, u32)>, Vec<bool>),
    Credit(usize, i64),
    /// A connection is dropped mid-transaction with the wallet partly written, and the node restarts.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let costs = prop::collection::vec((0..9_000i64, 0..40u32), 0..14);
    let ends = prop::collection::vec(any::<bool>(), 0..9);
    prop_oneof![
        4 => (costs, ends).prop_map(|(costs, ends)| Step::Batch(costs, ends)),
        1 => (0..3usize, 1..20_000i64).prop_map(|(bucket, amount)| Step::Credit(bucket, amount)),
        1 => Just(Step::Crash),
    ]
}

/// The state of a run on one database.
struct Side {
    database: Database,
    world: World,
    sent: Vec<(Debit, DebitOutcome)>,
}

impl Side {
    async fn new(database: Database) -> Side {
        let world = World::with_balance(&database, 0).await;
        Side { database, world, sent: Vec::new() }
    }

    /// Executes a step and returns the debits' outcomes.
    async fn execute(&mut self, step: &Step, debits: &[Debit], now_ms: i64) -> Vec<DebitOutcome> {
        match step {
            Step::Batch(_, ends) => return self.batch(debits, ends).await,
            Step::Credit(bucket, amount) => {
                let credit = Credit {
                    account_id: self.world.account,
                    bucket: Bucket::ALL[*bucket],
                    amount: Micros::new(*amount),
                    reference: &now_ms.to_string(),
                    at_ms: now_ms,
                };
                self.world.store.ledger().credit_wallet(credit).await.unwrap();
            }
            Step::Crash => {
                let transaction = self.world.store.connection().begin().await.unwrap();
                let corrupt_wallet = "UPDATE wallets SET version = version + 7, balance_micros = 1";
                transaction.execute_unprepared(corrupt_wallet).await.unwrap();
                let raise_costs = "UPDATE deliveries SET cost_micros = cost_micros + 1";
                transaction.execute_unprepared(raise_costs).await.unwrap();
                drop(transaction);
                self.world.restart(&self.database).await;
                self.sent.clear();
            }
        }
        Vec::new()
    }

    async fn batch(&mut self, debits: &[Debit], ends: &[bool]) -> Vec<DebitOutcome> {
        // Each side has its own account.
        let account_id = self.world.account;
        let debits: Vec<Debit> =
            debits.iter().map(|debit| Debit { account_id, ..debit.clone() }).collect();
        let ended = self.sent.drain(..ends.len().min(self.sent.len()));
        let settlements: Vec<Settlement> = ended
            .zip(ends)
            .map(|((debit, outcome), refund)| match refund {
                true => refunded(&debit, paid(&outcome)),
                false => delivered(&debit, paid(&outcome)),
            })
            .collect();
        let committed = self.world.commit(&debits, &settlements).await;
        assert!(committed.settled.iter().all(|settled| *settled));
        let both = debits.into_iter().zip(committed.debits.clone());
        let posted = |outcome: &DebitOutcome| matches!(outcome, DebitOutcome::Posted { .. });
        self.sent.extend(both.filter(|(_, outcome)| posted(outcome)));
        committed.debits
    }

    /// Every entry in write order, with postings numbered by first appearance.
    async fn entries(&self) -> Vec<String> {
        let connection = self.world.store.connection();
        let sql = "SELECT posting_id, delivery_id, kind, bucket, amount_micros, reference, created_at_ms \
                   FROM ledger_entries ORDER BY id";
        let statement = Statement::from_string(connection.get_database_backend(), sql);
        let mut postings = HashMap::new();
        let rows = connection.query_all_raw(statement).await.unwrap();
        let entry = |row: &sea_orm::QueryResult| {
            let posting: Uuid = row.try_get("", "posting_id").unwrap();
            let next = postings.len();
            let posting = *postings.entry(posting).or_insert(next);
            let delivery: Option<Uuid> = row.try_get("", "delivery_id").unwrap();
            let [kind, bucket] = ["kind", "bucket"].map(|c| row.try_get::<String>("", c).unwrap());
            let amount: i64 = row.try_get("", "amount_micros").unwrap();
            let reference: Option<String> = row.try_get("", "reference").unwrap();
            let at_ms: i64 = row.try_get("", "created_at_ms").unwrap();
            format!("{posting} {delivery:?} {kind} {bucket} {amount} {reference:?} {at_ms}")
        };
        rows.iter().map(entry).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_steps_give_the_same_ledger_on_both_databases() {
    let Some(postgres) = Database::postgres().await else {
        return;
    };
    let server = postgres;
    let sides = [Side::new(Database::sqlite()).await, Side::new(server.share()).await];
    let runtime = tokio::runtime::Handle::current();
    let checked = tokio::task::spawn_blocking(move || {
        let mut runner =
            TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(CASES) });
        let sides = std::cell::RefCell::new((sides, 0u32));
        runner.run(&prop::collection::vec(step(), 1..14), |steps| {
            let (sides, case) = &mut *sides.borrow_mut();
            *case += 1;
            runtime.block_on(run_case(sides, *case, &steps));
            Ok(())
        })
    });
    let checked = checked.await;
    server.remove().await;
    checked.unwrap().unwrap();
}

/// Each case uses its own account and phones.
async fn run_case(sides: &mut [Side; 2], case: u32, steps: &[Step]) {
    for side in sides.iter_mut() {
        side.sent.clear();
        side.world.account = account(&side.world.store, &format!("{case}@example.com")).await;
    }
    let mut now_ms = NOW;
    for step in steps {
        now_ms += 7_000;
        let debits = match step {
            Step::Batch(costs, _) => debits(costs, case, now_ms),
            Step::Credit(..) | Step::Crash => Vec::new(),
        };
        let [sqlite, postgres] = &mut *sides;
        let outcomes = sqlite.execute(step, &debits, now_ms).await;
        assert_eq!(outcomes, postgres.execute(step, &debits, now_ms).await);
        assert_eq!(sqlite.world.held().await, postgres.world.held().await);
    }
    let [sqlite, postgres] = &*sides;
    let (ours, theirs) = (sqlite.entries().await, postgres.entries().await);
    assert_eq!(ours, theirs);
    for side in &*sides {
        side.world.assert_sound_at(now_ms).await;
    }
}

fn debits(costs: &[(i64, u32)], case: u32, now_ms: i64) -> Vec<Debit> {
    let placeholder = AccountId(Uuid::nil());
    let debit = |(cost, phone): &(i64, u32)| Debit {
        delivery_id: DeliveryId(Uuid::now_v7()),
        cost: Micros::new(*cost),
        created_at_ms: now_ms,
        window_from_ms: now_ms,
        window_until_ms: now_ms + 30_000,
        ..otp(placeholder, case * 40 + phone)
    };
    costs.iter().map(debit).collect()
}
