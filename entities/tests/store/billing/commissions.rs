//! Random sequences of OTPs, revocations and payouts for a referrer, compared with a simple model on both
//! databases, including failures and crashes.

use std::collections::HashSet;
use std::sync::Arc;

use nexo_domain::billing::ledger::Bucket;
use nexo_domain::billing::payout::{Month, PayoutWallet};
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;
use nexo_entities::store::accounts::{NewAccount, ReferralVisit};
use nexo_entities::store::ledger::posting::{Debit, Settlement};
use nexo_entities::store::operations::operator_log::Operator;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::database::Database;
use crate::world::{NOW, World, account, credit, delivered, otp, paid, refunded};

on_both!(random_sequences_match_the_models_commissions);

const BY: Operator<'static> = Operator::COMMAND_LINE;
const FRIENDS: usize = 3;
const DAY_MS: i64 = 86_400_000;

/// One step of a sequence.
#[derive(Debug, Clone)]
enum Step {
    /// One batch of OTPs: the friend, the cost, and whether it is delivered.
    Otps(Vec<(usize, i64, bool)>),
    /// A batch whose process dies while settling it, after this number of polls.
    Crash(Vec<(usize, i64)>, usize),
    Revoke(usize),
    /// A month passes.
    Wait,
    /// Runs the payout of the month this many months back, this many times concurrently.
    Payout(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let friend = 0..FRIENDS;
    prop_oneof![
        5 => prop::collection::vec((friend.clone(), 0..60_000i64, any::<bool>()), 1..10).prop_map(Step::Otps),
        1 => (prop::collection::vec((friend.clone(), 0..60_000i64), 1..6), 0..24usize)
            .prop_map(|(otps, polls)| Step::Crash(otps, polls)),
        1 => friend.prop_map(Step::Revoke),
        2 => Just(Step::Wait),
        2 => (0..3usize, 1..3usize).prop_map(|(back, times)| Step::Payout(back, times)),
    ]
}

/// Each friend's commissions with their times, and the amount already paid or reversed.
#[derive(Default)]
struct Model {
    earned: [Vec<(i64, i64)>; FRIENDS],
    taken: [i64; FRIENDS],
    revoked: [bool; FRIENDS],
    paid: i64,
    months: HashSet<String>,
}

impl Model {
    fn pending(&self, friend: usize) -> i64 {
        let earned: i64 = self.earned[friend].iter().map(|(_, amount)| amount).sum();
        earned - self.taken[friend]
    }

    fn earn(&mut self, friend: usize, cost: i64, at_ms: i64) {
        if !self.revoked[friend] && cost >= 10 {
            self.earned[friend].push((at_ms, cost / 10));
        }
    }

    fn pay(&mut self, month: Month) {
        let due: Vec<i64> = (0..FRIENDS)
            .map(|friend| {
                let later = self.earned[friend].iter();
                let later = later.filter(|(at_ms, _)| *at_ms >= month.end_ms());
                let later: i64 = later.map(|(_, amount)| amount).sum();
                (self.pending(friend) - later).max(0)
            })
            .collect();
        let total: i64 = due.iter().sum();
        if total > 0 && self.months.insert(month.to_string()) {
            for (taken, due) in self.taken.iter_mut().zip(due) {
                *taken += due;
            }
            self.paid += total;
        }
    }
}

async fn random_sequences_match_the_models_commissions(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let runtime = tokio::runtime::Handle::current();
    let cases = if world.store.is_sqlite() { 24 } else { 12 };
    let checked = tokio::task::spawn_blocking(move || {
        let mut runner =
            TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(cases) });
        let world = std::cell::RefCell::new((world, 0u32));
        runner.run(&prop::collection::vec(step(), 1..14), |steps| {
            let (world, case) = &mut *world.borrow_mut();
            *case += 1;
            runtime.block_on(walk(world, &database, *case, steps));
            Ok(())
        })
    });
    checked.await.unwrap().unwrap();
}

/// A referrer and the accounts it referred, which have money.
async fn referrer_and_friends(world: &World, case: u32) -> (AccountId, Vec<AccountId>) {
    let store = &world.store;
    let referrer = account(store, &format!("r{case}@example.com")).await;
    let code = store.accounts().get(referrer).await.unwrap().unwrap().referral_code;
    let bank = PayoutWallet::parse("bank", "970436 0123456789 NGUYEN VAN A").unwrap();
    store.billing().set_payout_wallet(referrer, Some(&bank), NOW).await.unwrap();
    let mut friends = Vec::new();
    for number in 0..FRIENDS {
        let landing = ReferralVisit { code: &code, signed_in_as: None };
        let new = NewAccount {
            email: &format!("f{case}.{number}@example.com"),
            password_hash: None,
            operator: false,
            language: None,
            page_language: None,
            created_at_ms: NOW,
        };
        let friend = store.accounts().create_referred(Some(landing), new).await.unwrap();
        credit(store, friend, Bucket::ALL[number], 100_000_000).await;
        friends.push(friend);
    }
    (referrer, friends)
}

async fn walk(world: &mut World, database: &Database, case: u32, steps: Vec<Step>) {
    let (referrer, friends) = referrer_and_friends(world, case).await;
    let mut model = Model::default();
    let mut now_ms = NOW;
    let mut number = case * 500;
    for step in steps {
        now_ms += 40_000;
        match step {
            Step::Otps(otps) => {
                let debits = debits(&friends, otps.iter().map(|o| (o.0, o.1)), &mut number, now_ms);
                let outcomes = world.debit(&debits).await;
                let ends: Vec<Settlement> = debits
                    .iter()
                    .zip(&outcomes)
                    .zip(&otps)
                    .map(|((debit, outcome), (friend, cost, is_delivered))| {
                        let parts = paid(outcome);
                        let end = match is_delivered {
                            true => delivered(debit, parts),
                            false => refunded(debit, parts),
                        };
                        if *is_delivered {
                            model.earn(*friend, *cost, now_ms);
                        }
                        Settlement { completed_at_ms: now_ms, ..end }
                    })
                    .collect();
                assert!(world.settle(&ends).await.iter().all(|done| *done));
            }
            Step::Crash(otps, polls) => {
                let debits = debits(&friends, otps.iter().copied(), &mut number, now_ms);
                let outcomes = world.debit(&debits).await;
                let ends: Vec<Settlement> = debits
                    .iter()
                    .zip(&outcomes)
                    .map(|(debit, outcome)| Settlement {
                        completed_at_ms: now_ms,
                        ..delivered(debit, paid(outcome))
                    })
                    .collect();
                world.commit_cut_off(&[], &ends, polls).await;
                world.restart(database).await;
                // Either all of them were delivered, or none.
                for (debit, (friend, cost)) in debits.iter().zip(&otps) {
                    let account = friends[*friend];
                    let found = world.store.deliveries().get(account, debit.delivery_id).await;
                    let found = found.unwrap().unwrap();
                    if found.status == nexo_domain::call::outcome::Status::Delivered {
                        model.earn(*friend, *cost, now_ms);
                    }
                }
            }
            Step::Revoke(friend) => {
                let store = &world.store;
                let revoked = store.billing().revoke_referral(BY, friends[friend], "x", now_ms);
                let reversed = revoked.await.unwrap();
                let expected = (!model.revoked[friend]).then(|| model.pending(friend));
                assert_eq!(reversed.map(Micros::get), expected);
                model.taken[friend] += expected.unwrap_or(0);
                model.revoked[friend] = true;
            }
            Step::Wait => now_ms += 31 * DAY_MS,
            Step::Payout(back, times) => {
                let at = now_ms - back as i64 * 31 * DAY_MS;
                let text = nexo_domain::timestamp::rfc3339(at);
                let month = Month::parse(&text[..7]).unwrap();
                let runs = (0..times).map(|_| {
                    let store = world.store.clone();
                    tokio::spawn(
                        async move { store.billing().run_payouts(BY, month, now_ms).await },
                    )
                });
                for run in runs.collect::<Vec<_>>() {
                    run.await.unwrap().unwrap();
                }
                model.pay(month);
            }
        }
        let earnings = world.store.billing().earnings(referrer).await.unwrap();
        let pending: i64 = (0..FRIENDS).map(|friend| model.pending(friend)).sum();
        let accrued = model.earned.iter().flatten().map(|(_, amount)| amount);
        assert_eq!(earnings.pending.get(), pending);
        assert_eq!(earnings.accrued.get(), accrued.sum::<i64>());
        assert_eq!(earnings.paid.get(), model.paid);
    }
    world.assert_sound_at(now_ms).await;
}

fn debits(
    friends: &[AccountId],
    otps: impl Iterator<Item = (usize, i64)>,
    number: &mut u32,
    now_ms: i64,
) -> Vec<Debit> {
    otps.map(|(friend, cost)| {
        *number += 1;
        Debit {
            cost: Micros::new(cost),
            created_at_ms: now_ms,
            window_from_ms: now_ms,
            window_until_ms: now_ms + 30_000,
            ..otp(friends[friend], *number)
        }
    })
    .collect()
}
