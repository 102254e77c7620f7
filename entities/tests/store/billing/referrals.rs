//! Referrals, commissions, payouts and revocations.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use nexo_domain::billing::ledger::Bucket;
use nexo_domain::billing::payout::{Month, PayoutWallet};
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;
use nexo_domain::otp::Language;
use nexo_entities::Store;
use nexo_entities::store::accounts::sign_up::{PendingSignUp, SignUpOffer};
use nexo_entities::store::accounts::{NewAccount, ReferralVisit};
use nexo_entities::store::billing::payouts::PayoutRun;
use nexo_entities::store::operations::operator_log::Operator;
use nexo_entities::store::{Conflict, StoreError};
use sea_orm::ConnectionTrait;

use crate::database::Database;
use crate::world::{COST, NOW, World, account, credit, delivered, otp, paid, refunded};

on_both!(
    a_first_sign_up_through_a_referral_link_is_referred_once,
    an_account_cannot_refer_itself,
    a_sign_up_that_is_confirmed_later_is_referred_too,
    a_closed_referrer_gains_no_referrals_and_no_commissions,
    each_account_has_a_person_and_its_own_referral_code,
    a_tenth_accrues_for_every_paying_bucket,
    failed_and_free_deliveries_earn_nothing,
    a_repeated_settlement_accrues_once,
    a_revocation_reverses_pending_commissions,
    a_revocation_between_batches_is_noticed,
    a_month_is_paid_once,
    concurrent_payout_runs_pay_a_month_once,
    commissions_of_a_later_month_wait_for_its_payout,
    a_payout_waits_for_a_wallet,
    a_payout_into_the_referrers_own_wallet_is_cash,
    the_audit_reports_a_broken_commission,
);

const BY: Operator<'static> = Operator::COMMAND_LINE;
/// The month of [`NOW`].
const MAY: &str = "2026-05";
const SHARE: i64 = COST / 10;
const DAY_MS: i64 = 86_400_000;

async fn code(store: &Store, account: AccountId) -> String {
    store.accounts().get(account).await.unwrap().unwrap().referral_code
}

async fn sign_up(store: &Store, email: &str, code: &str) -> AccountId {
    sign_up_from(store, email, code, None).await
}

async fn sign_up_from(
    store: &Store,
    email: &str,
    code: &str,
    signed_in_as: Option<AccountId>,
) -> AccountId {
    let new = NewAccount {
        email,
        password_hash: None,
        operator: false,
        language: None,
        page_language: None,
        created_at_ms: NOW,
    };
    let landing = ReferralVisit { code, signed_in_as };
    let opened = store.accounts().create_referred(Some(landing), new).await;
    opened.unwrap()
}

/// The world's account with money, referred by another account.
async fn referred(database: &Database) -> (World, AccountId) {
    let mut world = World::with_balance(database, 0).await;
    let referrer = world.account;
    let code = code(&world.store, referrer).await;
    world.account = sign_up(&world.store, "friend@example.com", &code).await;
    credit(&world.store, world.account, Bucket::Balance, 1_000 * COST).await;
    (world, referrer)
}

/// Sends OTPs to `count` phones from number `first` on and settles them as delivered at `at_ms`.
async fn deliver(world: &mut World, first: u32, count: u32, at_ms: i64) {
    let debits: Vec<_> = (first..first + count).map(|number| otp(world.account, number)).collect();
    let outcomes = world.debit(&debits).await;
    let ends: Vec<_> = debits
        .iter()
        .zip(&outcomes)
        .map(|(debit, outcome)| {
            let mut end = delivered(debit, paid(outcome));
            end.completed_at_ms = at_ms;
            end
        })
        .collect();
    assert!(world.settle(&ends).await.iter().all(|done| *done));
}

async fn pending(store: &Store, account: AccountId) -> i64 {
    store.billing().earnings(account).await.unwrap().pending.get()
}

async fn run(store: &Store, month: &str) -> PayoutRun {
    let month = Month::parse(month).unwrap();
    store.billing().run_payouts(BY, month, NOW + 40 * DAY_MS).await.unwrap()
}

async fn nominate(store: &Store, account: AccountId) {
    let wallet = PayoutWallet::parse("bank", "970436 0123456789 NGUYEN VAN A").unwrap();
    store.billing().set_payout_wallet(account, Some(&wallet), NOW).await.unwrap();
}

async fn a_first_sign_up_through_a_referral_link_is_referred_once(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let store = &world.store;
    let code = code(store, world.account).await;
    assert_eq!(code.len(), 12);
    let upper = code.to_uppercase();
    let friend = sign_up(store, "friend@example.com", &upper).await;
    let referral = store.billing().referral_of(friend).await.unwrap().unwrap();
    assert_eq!((referral.referrer, referral.referred), (world.account, friend));
    assert_eq!(referral.ended_at_ms, None);
    // The same person signed up before.
    let again = sign_up(store, "friend+2@example.com", &code).await;
    assert!(store.billing().referral_of(again).await.unwrap().is_none());
    // A missing or unknown code does not prevent the sign-up.
    for wrong in ["ffffffffffff", "'; --", ""] {
        let email = format!("{}@example.org", wrong.len());
        let newcomer = sign_up(store, &email, wrong).await;
        assert!(store.billing().referral_of(newcomer).await.unwrap().is_none(), "{wrong}");
    }
    let earnings = store.billing().earnings(world.account).await.unwrap();
    assert_eq!(earnings.people, 1);
    world.assert_sound().await;
}

async fn a_sign_up_that_is_confirmed_later_is_referred_too(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let store = &world.store;
    let code = code(store, world.account).await;
    let landing = |signed_in_as| ReferralVisit { code: &code, signed_in_as };
    let pending = |email, landing| PendingSignUp {
        email,
        password_hash: "$argon2id$".to_owned(),
        page_language: Language::En,
        landing: Some(landing),
        created_at_ms: NOW,
        expires_at_ms: NOW + 1_000,
    };
    let friend = pending("friend@example.com", landing(None));
    store.accounts().begin_sign_up([1; 32], friend.clone()).await.unwrap();
    store.accounts().begin_sign_up([2; 32], friend).await.unwrap();
    let own = pending("other@example.com", landing(Some(world.account)));
    store.accounts().begin_sign_up([3; 32], own).await.unwrap();
    let waiting = store.accounts().pending_sign_up(&[1; 32], NOW + 999).await.unwrap();
    assert_eq!(waiting.as_deref(), Some("friend@example.com"));
    assert_eq!(store.accounts().pending_sign_up(&[1; 32], NOW + 1_000).await.unwrap(), None);
    let free = Micros::new(5 * COST);
    let finish = |token: u8, at_ms| async move {
        let hash = [token; 32];
        let offer = SignUpOffer::unlimited(free);
        let signed_up = store.accounts().finish_sign_up(&hash, offer, at_ms).await;
        signed_up.map(|signed_up| signed_up.map(|signed_up| signed_up.id))
    };
    assert_eq!(finish(1, NOW + 1_000).await.unwrap(), None);
    assert_eq!(finish(9, NOW).await.unwrap(), None);
    let opened = finish(2, NOW + 5).await.unwrap().expect("an account");
    assert_eq!(finish(2, NOW + 5).await.unwrap(), None);
    let wallet = store.ledger().wallet(opened).await.unwrap().unwrap();
    assert_eq!(wallet.free, free);
    let referral = store.billing().referral_of(opened).await.unwrap().unwrap();
    assert_eq!(referral.referrer, world.account);
    let own = finish(3, NOW + 5).await.unwrap().expect("an account");
    assert!(store.billing().referral_of(own).await.unwrap().is_none());
    let taken = pending("friend@example.com", landing(None));
    store.accounts().begin_sign_up([4; 32], taken).await.unwrap();
    assert!(matches!(finish(4, NOW + 5).await, Err(StoreError::Conflict(Conflict::EmailTaken))));
    store.accounts().delete_expired(NOW + 1_000).await.unwrap();
    assert_eq!(store.accounts().pending_sign_up(&[4; 32], NOW).await.unwrap(), None);
    world.assert_sound().await;
}

async fn an_account_cannot_refer_itself(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let store = &world.store;
    let me = account(store, "minh.tran@gmail.com").await;
    let code = code(store, me).await;
    for (email, signed_in_as) in [
        ("minhtran@gmail.com", None),
        ("minh.tran+otp@googlemail.com", None),
        ("somebody@example.com", Some(me)),
    ] {
        let newcomer = sign_up_from(store, email, &code, signed_in_as).await;
        assert!(store.billing().referral_of(newcomer).await.unwrap().is_none(), "{email}");
    }
    // A sign-up from another account's session still counts as referred.
    let other = sign_up_from(store, "other@example.com", &code, Some(world.account)).await;
    assert!(store.billing().referral_of(other).await.unwrap().is_some());
}

async fn a_closed_referrer_gains_no_referrals_and_no_commissions(database: Arc<Database>) {
    let (mut world, referrer) = referred(&database).await;
    let code = code(&world.store, referrer).await;
    deliver(&mut world, 0, 3, NOW).await;
    world.store.ledger().close_account(referrer, NOW + 1).await.unwrap();
    // The node has not seen the change yet.
    deliver(&mut world, 10, 3, NOW + 2).await;
    deliver(&mut world, 20, 3, NOW + 3).await;
    assert_eq!(pending(&world.store, referrer).await, 3 * SHARE);
    let late = sign_up(&world.store, "late@example.com", &code).await;
    assert!(world.store.billing().referral_of(late).await.unwrap().is_none());
    world.assert_sound_at(NOW + DAY_MS).await;
}

async fn each_account_has_a_person_and_its_own_referral_code(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let store = &world.store;
    let persons = [
        ("a.b.c@gmail.com", "abc@gmail.com"),
        ("a.b+x+y@googlemail.com", "ab@gmail.com"),
        ("x.y+tag@example.com", "x.y@example.com"),
        ("+tag@example.com", "+tag@example.com"),
        ("plain@localhost", "plain@localhost"),
        ("a@b.c+d.example", "a@b.c+d.example"),
    ];
    for (email, _) in persons {
        account(store, email).await;
    }
    let sql = "SELECT email, person FROM accounts";
    let statement = sea_orm::Statement::from_string(store.connection().get_database_backend(), sql);
    let rows = store.connection().query_all_raw(statement).await.unwrap();
    assert_eq!(rows.len(), persons.len() + 1);
    let stored: HashMap<String, String> = rows
        .iter()
        .map(|row| (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap()))
        .collect();
    for (email, person) in persons {
        assert_eq!(stored[email], person, "{email}");
    }
    let accounts = store.accounts().all().await.unwrap();
    let codes: HashSet<String> = accounts.into_iter().map(|it| it.referral_code).collect();
    assert_eq!(codes.len(), persons.len() + 1);
}

async fn a_tenth_accrues_for_every_paying_bucket(database: Arc<Database>) {
    let (mut world, referrer) = referred(&database).await;
    credit(&world.store, world.account, Bucket::Free, COST).await;
    credit(&world.store, world.account, Bucket::Bonus, COST + 5).await;
    world.cache.invalidate_wallet(world.account);
    deliver(&mut world, 0, 4, NOW).await;
    assert_eq!(pending(&world.store, referrer).await, 4 * SHARE);
    let entries = world.store.billing().commission_entries(referrer, 10).await.unwrap();
    assert_eq!(entries.len(), 4);
    let friend = Some("friend@example.com");
    assert!(entries.iter().all(|entry| entry.email.as_deref() == friend
        && entry.kind == "commission"
        && entry.amount == Micros::new(SHARE)
        && entry.delivery_id.is_some()));
    // The referrer itself has no referrer: its own OTPs earn nothing.
    world.account = referrer;
    credit(&world.store, referrer, Bucket::Balance, COST).await;
    deliver(&mut world, 50, 1, NOW).await;
    assert_eq!(pending(&world.store, referrer).await, 4 * SHARE);
    world.assert_sound_at(NOW + DAY_MS).await;
}

async fn failed_and_free_deliveries_earn_nothing(database: Arc<Database>) {
    let (mut world, referrer) = referred(&database).await;
    let mut debits: Vec<_> = (0..5).map(|n| otp(world.account, n)).collect();
    debits[2].cost = Micros::ZERO;
    debits[3].cost = Micros::new(9);
    debits[4].cost = Micros::new(29);
    let outcomes = world.debit(&debits).await;
    let mut kept = refunded(&debits[1], paid(&outcomes[1]));
    kept.refund = false;
    let ends = [
        refunded(&debits[0], paid(&outcomes[0])),
        kept,
        delivered(&debits[2], paid(&outcomes[2])),
        delivered(&debits[3], paid(&outcomes[3])),
        delivered(&debits[4], paid(&outcomes[4])),
    ];
    world.settle(&ends).await;
    // A tenth of 29, rounded down.
    assert_eq!(pending(&world.store, referrer).await, 2);
    world.assert_sound_at(NOW + DAY_MS).await;
}

async fn a_repeated_settlement_accrues_once(database: Arc<Database>) {
    let (mut world, referrer) = referred(&database).await;
    let debits = [otp(world.account, 1), otp(world.account, 2)];
    let outcomes = world.debit(&debits).await;
    let ends =
        [delivered(&debits[0], paid(&outcomes[0])), delivered(&debits[0], paid(&outcomes[0]))];
    assert_eq!(world.settle(&ends).await, [true, false]);
    let again =
        [delivered(&debits[0], paid(&outcomes[0])), delivered(&debits[1], paid(&outcomes[1]))];
    assert_eq!(world.settle(&again).await, [false, true]);
    assert_eq!(pending(&world.store, referrer).await, 2 * SHARE);
    world.assert_sound_at(NOW + DAY_MS).await;
}

async fn a_revocation_reverses_pending_commissions(database: Arc<Database>) {
    let (mut world, referrer) = referred(&database).await;
    let friend = world.account;
    let code = code(&world.store, referrer).await;
    let honest = sign_up(&world.store, "honest@example.com", &code).await;
    credit(&world.store, honest, Bucket::Balance, COST).await;
    deliver(&mut world, 0, 3, NOW).await;
    world.account = honest;
    deliver(&mut world, 10, 1, NOW).await;
    let store = world.store.clone();
    let revoke = async || {
        let revoked = store.billing().revoke_referral(BY, friend, "bots", NOW + 1);
        revoked.await.unwrap()
    };
    assert_eq!(revoke().await, Some(Micros::new(3 * SHARE)));
    assert_eq!(revoke().await, None);
    assert_eq!(pending(&store, referrer).await, SHARE);
    let referral = store.billing().referral_of(friend).await.unwrap().unwrap();
    assert!(referral.revoked && referral.ended_for.as_deref() == Some("bots"));
    assert_eq!(referral.accrued, Micros::new(3 * SHARE));
    let unknown = store.billing().revoke_referral(BY, referrer, "x", NOW).await.unwrap();
    assert_eq!(unknown, None);
    let actions = store.operations().operator_actions(Some(friend), None, 10).await.unwrap();
    assert_eq!(actions.len(), 1);
    assert_eq!(actions[0].action, "revoke_referral");
    assert_eq!(actions[0].detail.as_deref(), Some("bots"));
    world.assert_sound_at(NOW + DAY_MS).await;
}

async fn a_revocation_between_batches_is_noticed(database: Arc<Database>) {
    let (mut world, referrer) = referred(&database).await;
    let friend = world.account;
    deliver(&mut world, 0, 2, NOW).await;
    world.store.billing().revoke_referral(BY, friend, "abuse", NOW + 1).await.unwrap();
    for round in 1..4 {
        deliver(&mut world, round * 10, 2, NOW + 2).await;
    }
    assert_eq!(pending(&world.store, referrer).await, 0);
    world.assert_sound_at(NOW + DAY_MS).await;
}

async fn a_month_is_paid_once(database: Arc<Database>) {
    let (mut world, referrer) = referred(&database).await;
    nominate(&world.store, referrer).await;
    deliver(&mut world, 0, 5, NOW).await;
    assert_eq!(run(&world.store, "2026-04").await, PayoutRun::default());
    let first = run(&world.store, MAY).await;
    assert_eq!((first.made.len(), first.waiting.len()), (1, 0));
    assert_eq!(run(&world.store, MAY).await, PayoutRun::default());
    let payouts = world.store.billing().payouts(Some(referrer), None, 10).await.unwrap();
    assert_eq!(payouts.len(), 1);
    assert_eq!(payouts[0].amount, Micros::new(5 * SHARE));
    assert_eq!(payouts[0].wallet_address, "970436 0123456789 NGUYEN VAN A");
    let earnings = world.store.billing().earnings(referrer).await.unwrap();
    assert_eq!(earnings.pending, Micros::ZERO);
    assert_eq!((earnings.paid, earnings.accrued), (payouts[0].amount, payouts[0].amount));
    // Paid commissions are not reversed.
    let revoked = world.store.billing().revoke_referral(BY, world.account, "late", NOW).await;
    assert_eq!(revoked.unwrap(), Some(Micros::ZERO));
    let id = payouts[0].id;
    let sent =
        async || world.store.billing().mark_payout_sent(BY, id, "FT1", NOW + 9).await.unwrap();
    assert!(sent().await);
    assert!(!sent().await);
    world.assert_sound_at(NOW + DAY_MS).await;
}

async fn concurrent_payout_runs_pay_a_month_once(database: Arc<Database>) {
    let (mut world, referrer) = referred(&database).await;
    nominate(&world.store, referrer).await;
    deliver(&mut world, 0, 8, NOW).await;
    let store = world.store.clone();
    let others = database.open().await;
    let (a, b, c, d, _) = tokio::join!(
        run(&store, MAY),
        run(&others, MAY),
        run(&store, "2026-06"),
        run(&others, MAY),
        deliver(&mut world, 20, 4, NOW),
    );
    let made: usize = [a, b, c, d].iter().map(|run| run.made.len()).sum();
    assert!((1..=2).contains(&made), "{made}");
    let earnings = store.billing().earnings(referrer).await.unwrap();
    assert_eq!(earnings.accrued, Micros::new(12 * SHARE));
    assert_eq!(earnings.pending.get() + earnings.paid.get(), 12 * SHARE);
    let payouts = store.billing().payouts(Some(referrer), None, 10).await.unwrap();
    assert_eq!(payouts.len(), made);
    world.assert_sound_at(NOW + DAY_MS).await;
}

async fn commissions_of_a_later_month_wait_for_its_payout(database: Arc<Database>) {
    let (mut world, referrer) = referred(&database).await;
    nominate(&world.store, referrer).await;
    deliver(&mut world, 0, 2, NOW).await;
    deliver(&mut world, 10, 3, NOW + 20 * DAY_MS).await;
    let amount = async |month: &str| {
        let made = run(&world.store, month).await.made;
        let payouts = world.store.billing().payouts(Some(referrer), None, 10).await.unwrap();
        let made: Vec<i64> = payouts
            .iter()
            .filter(|payout| made.contains(&payout.id))
            .map(|payout| payout.amount.get())
            .collect();
        made
    };
    assert_eq!(amount(MAY).await, [2 * SHARE]);
    assert_eq!(amount("2026-06").await, [3 * SHARE]);
    assert!(amount("2026-05").await.is_empty());
    assert!(amount("2026-07").await.is_empty());
    world.assert_sound_at(NOW + 30 * DAY_MS).await;
}

async fn a_payout_waits_for_a_wallet(database: Arc<Database>) {
    let (mut world, referrer) = referred(&database).await;
    deliver(&mut world, 0, 2, NOW).await;
    let due = vec![(referrer, Micros::new(2 * SHARE))];
    assert_eq!(run(&world.store, MAY).await.waiting, due);
    nominate(&world.store, referrer).await;
    let store = world.store.clone();
    assert!(store.operations().suspend_account(BY, referrer, "a look", NOW).await.unwrap());
    assert_eq!(run(&store, MAY).await.waiting, due);
    assert!(store.operations().resume_account(BY, referrer, NOW).await.unwrap());
    assert_eq!(run(&store, MAY).await.made.len(), 1);
    world.assert_sound_at(NOW + DAY_MS).await;
}

async fn a_payout_into_the_referrers_own_wallet_is_cash(database: Arc<Database>) {
    let (mut world, referrer) = referred(&database).await;
    let own = PayoutWallet::Balance;
    world.store.billing().set_payout_wallet(referrer, Some(&own), NOW).await.unwrap();
    deliver(&mut world, 0, 2, NOW).await;
    assert_eq!(run(&world.store, MAY).await.made.len(), 1);
    let held = world.store.ledger().wallet(referrer).await.unwrap().unwrap();
    assert_eq!(held.balance, Micros::new(2 * SHARE));
    let payouts = world.store.billing().payouts(Some(referrer), None, 1).await.unwrap();
    assert_eq!(payouts[0].sent_reference.as_deref(), Some("payout-2026-05"));
    world.assert_sound_at(NOW + DAY_MS).await;
    // A closed wallet receives nothing: the payout waits for another wallet.
    deliver(&mut world, 10, 2, NOW).await;
    world.store.ledger().close_account(referrer, NOW + 1).await.unwrap();
    assert_eq!(run(&world.store, "2026-06").await.waiting.len(), 1);
    world.assert_sound_at(NOW + DAY_MS).await;
}

async fn the_audit_reports_a_broken_commission(database: Arc<Database>) {
    let (mut world, _) = referred(&database).await;
    deliver(&mut world, 0, 2, NOW).await;
    let connection = world.store.connection();
    let broken = async || -> Vec<&'static str> {
        let checks = world.store.ledger().audit(NOW).await.unwrap();
        let broken = checks.iter().filter(|check| !check.ok);
        broken.map(|check| check.name).collect()
    };
    let do_it = async |sql: &str| {
        connection.execute_unprepared(sql).await.unwrap();
    };
    do_it("UPDATE referrals SET pending_micros = pending_micros + 1").await;
    assert_eq!(broken().await, ["pending_commissions_equal_their_entries", "commissions_balance"]);
    do_it("UPDATE referrals SET pending_micros = pending_micros - 1").await;
    assert!(broken().await.is_empty());
    do_it("UPDATE deliveries SET cost_micros = cost_micros + 10 WHERE id = (SELECT id FROM deliveries LIMIT 1)")
        .await;
    assert!(broken().await.contains(&"commissions_are_a_tenth"));
    let refused = connection.execute_unprepared("DELETE FROM commission_entries").await;
    assert!(refused.is_err());
}
