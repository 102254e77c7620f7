//! Random batches compared with a simple model of one wallet.

use std::collections::HashMap;
use std::sync::Arc;

use nexo_domain::billing::ledger::{Bucket, Buckets};
use nexo_domain::call::outcome::Status;
use nexo_domain::money::Micros;
use nexo_entities::store::ledger::posting::{Debit, DebitOutcome, Settlement};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::database::Database;
use crate::world::{NOW, World, account, credit, delivered, otp, paid, refunded};

on_both!(random_debits_refunds_credits_and_crashes_match_the_model);

/// One change of the wallet.
#[derive(Debug, Clone)]
enum Step {
    /// One batch of debits: cost in micro-dollars and phone.
    Debits(Vec<(i64, u32)>),
    /// Settles the oldest deliveries, each refunded or not.
    Settle(Vec<bool>),
    /// A command credits a bucket without the cache's knowledge.
    Credit(usize, i64),
    /// The process dies while it commits these debits and settlements, after this number of polls.
    Crash(Vec<(i64, u32)>, Vec<bool>, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let costs = || prop::collection::vec((0..9_000i64, 0..40u32), 1..14);
    let ends = || prop::collection::vec(any::<bool>(), 1..9);
    prop_oneof![
        3 => costs().prop_map(Step::Debits),
        2 => ends().prop_map(Step::Settle),
        1 => (costs(), ends(), 0..24usize).prop_map(|(costs, ends, polls)| Step::Crash(costs, ends, polls)),
        1 => (0..3usize, 1..20_000i64).prop_map(|(bucket, amount)| Step::Credit(bucket, amount)),
    ]
}

/// The wallet as simple arithmetic, one debit after the other.
#[derive(Default)]
struct Model {
    buckets: Buckets,
    windows: HashMap<u32, i64>,
}

impl Model {
    fn debit(&mut self, cost: i64, phone: u32, now_ms: i64) -> Option<()> {
        if self.windows.get(&phone).is_some_and(|until| *until > now_ms) {
            return None;
        }
        let (after, _) = self.buckets.debit(Micros::new(cost)).ok()?;
        self.buckets = after;
        self.windows.insert(phone, now_ms + 30_000);
        Some(())
    }
}

async fn random_debits_refunds_credits_and_crashes_match_the_model(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let runtime = tokio::runtime::Handle::current();
    let cases = if world.store.is_sqlite() { 24 } else { 12 };
    let checked = tokio::task::spawn_blocking(move || {
        let mut runner =
            TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(cases) });
        let world = std::cell::RefCell::new((world, 0u32));
        runner.run(&prop::collection::vec(step(), 1..12), |steps| {
            let (world, case) = &mut *world.borrow_mut();
            *case += 1;
            runtime.block_on(walk(world, &database, *case, steps));
            Ok(())
        })
    });
    checked.await.unwrap().unwrap();
}

/// Each case uses its own account and phones.
async fn walk(world: &mut World, database: &Database, case: u32, steps: Vec<Step>) {
    world.account = account(&world.store, &format!("{case}@example.com")).await;
    let mut model = Model::default();
    let mut sent: Vec<(Debit, DebitOutcome)> = Vec::new();
    let mut now_ms = NOW;
    for step in steps {
        now_ms += 7_000;
        match step {
            Step::Credit(bucket, amount) => {
                let bucket = Bucket::ALL[bucket];
                credit(&world.store, world.account, bucket, amount).await;
                model.buckets = model.buckets.credit(bucket, Micros::new(amount)).unwrap();
            }
            Step::Debits(costs) => {
                let debits = debits(world, case, &costs, now_ms);
                let outcomes = world.debit(&debits).await;
                check_debits(&mut model, &costs, &outcomes, now_ms);
                let posted =
                    |outcome: &DebitOutcome| matches!(outcome, DebitOutcome::Posted { .. });
                sent.extend(debits.into_iter().zip(outcomes).filter(|(_, o)| posted(o)));
            }
            Step::Settle(refunds) => {
                let ends: Vec<Settlement> = sent
                    .drain(..refunds.len().min(sent.len()))
                    .zip(refunds)
                    .map(|((debit, outcome), refund)| end(&mut model, &debit, &outcome, refund))
                    .collect();
                assert!(world.settle(&ends).await.iter().all(|settled| *settled));
            }
            Step::Crash(costs, refunds, polls) => {
                let debits = debits(world, case, &costs, now_ms);
                let uncertain: Vec<_> = sent
                    .iter()
                    .zip(refunds)
                    .map(|((debit, outcome), refund)| match refund {
                        true => refunded(debit, paid(outcome)),
                        false => delivered(debit, paid(outcome)),
                    })
                    .collect();
                world.commit_cut_off(&debits, &uncertain, polls).await;
                world.restart(database).await;
                for (debit, outcome) in sent.drain(..) {
                    // Delivered if the commit took effect; otherwise refunded by the commit or the restart.
                    if status(world, &debit).await != Some(Status::Delivered) {
                        model.buckets = model.buckets.refund(paid(&outcome));
                    }
                }
                for (debit, (_, phone)) in debits.iter().zip(&costs) {
                    // A posted debit is refunded, but its phone may have rung.
                    if let Some(status) = status(world, debit).await {
                        assert_eq!(status, Status::Failed);
                        model.windows.insert(*phone, debit.window_until_ms);
                    }
                }
            }
        }
        assert_eq!(world.held().await, model.buckets);
    }
    world.assert_sound_at(now_ms).await;
}

fn debits(world: &World, case: u32, costs: &[(i64, u32)], now_ms: i64) -> Vec<Debit> {
    let debit = |(cost, phone): &(i64, u32)| Debit {
        cost: Micros::new(*cost),
        created_at_ms: now_ms,
        window_from_ms: now_ms,
        window_until_ms: now_ms + 30_000,
        ..otp(world.account, case * 40 + phone)
    };
    costs.iter().map(debit).collect()
}

/// The delivery's status, if the debit was committed.
async fn status(world: &World, debit: &Debit) -> Option<Status> {
    let delivery = world.store.deliveries().get(world.account, debit.delivery_id).await;
    delivery.unwrap().map(|delivery| delivery.status)
}

/// Checks each outcome against the model. A debit after a closed window may be decided out of order, so
/// only a batch without a closed window must agree debit by debit.
fn check_debits(model: &mut Model, costs: &[(i64, u32)], outcomes: &[DebitOutcome], now_ms: i64) {
    let lost = |outcome: &DebitOutcome| matches!(outcome, DebitOutcome::WindowHeld { .. });
    if outcomes.iter().any(lost) {
        for ((_, phone), outcome) in costs.iter().zip(outcomes) {
            if let DebitOutcome::Posted { parts, .. } = outcome {
                let (after, taken) = model.buckets.debit(parts.total()).unwrap();
                assert_eq!(taken.total(), parts.total());
                model.buckets = after;
                let until = model.windows.insert(*phone, now_ms + 30_000);
                assert!(until.is_none_or(|until| until <= now_ms));
            }
        }
        return;
    }
    for ((cost, phone), outcome) in costs.iter().zip(outcomes) {
        let expected = model.debit(*cost, *phone, now_ms);
        assert_eq!(expected.is_some(), matches!(outcome, DebitOutcome::Posted { .. }));
        if let DebitOutcome::Posted { after, .. } = outcome {
            assert_eq!(*after, model.buckets);
        }
    }
}

fn end(model: &mut Model, debit: &Debit, outcome: &DebitOutcome, refund: bool) -> Settlement {
    let parts = paid(outcome);
    if refund {
        model.buckets = model.buckets.refund(parts);
        refunded(debit, parts)
    } else {
        delivered(debit, parts)
    }
}
