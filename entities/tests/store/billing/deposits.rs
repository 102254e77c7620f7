//! Top-ups, bank payments, low balances, suspensions and reviews.

use std::sync::Arc;

use nexo_domain::account::traffic::{Suspicion, Traffic};
use nexo_domain::billing::deposit::{DepositReference, HoldReason, VndRate};
use nexo_domain::billing::ledger::Bucket;
use nexo_domain::ids::{AccountId, KeyId};
use nexo_domain::money::Micros;
use nexo_entities::Store;
use nexo_entities::store::billing::bank_payments::{NewPayment, PaymentOutcome};
use nexo_entities::store::billing::deposits::{Deposit, MAX_OPEN_DEPOSITS, NewDeposit};
use nexo_entities::store::ledger::posting::DebitOutcome;
use nexo_entities::store::ledger::wallets::Credit;
use nexo_entities::store::operations::operator_log::Operator;
use nexo_entities::store::operations::reviews::Findings;
use nexo_entities::store::{Conflict, StoreError};
use sea_orm::ConnectionTrait;

use crate::database::Database;
use crate::world::{COST, NOW, World, account, credit, delivered, endpoint, otp, paid};

on_both!(
    an_exact_payment_is_credited_once,
    concurrent_notifications_credit_once,
    an_unmatched_payment_is_held_and_credited_by_an_operator,
    an_approval_and_a_payment_credit_once,
    top_ups_are_refused_withdrawn_and_limited,
    a_low_balance_is_reported_once_per_crossing,
    a_suspended_account_debits_nothing_and_keeps_everything,
    operator_actions_are_logged_permanently,
    traffic_is_summed_per_key,
    a_review_is_opened_once_and_seen_again,
    accounts_are_found_by_their_email,
);

const BY: Operator<'static> = Operator::COMMAND_LINE;

fn rate() -> VndRate {
    VndRate::per_dollar(26_000).unwrap()
}

async fn open(store: &Store, account_id: AccountId, number: u8) -> Deposit {
    let amount = Micros::new(10_000_000);
    let new = NewDeposit {
        account_id,
        provider: "bank_transfer",
        reference: DepositReference::from_random([number; 8]),
        amount,
        vnd: rate().vnd(amount).unwrap(),
        rate: rate(),
        at_ms: NOW,
    };
    let id = store.billing().open_deposit(new).await.unwrap();
    store.billing().deposit(account_id, id).await.unwrap().unwrap()
}

async fn pay(store: &Store, bank_id: &str, amount: i64, memo: &str) -> (PaymentOutcome, bool) {
    let payment = NewPayment { bank_id, amount, currency: "VND", memo, at_ms: NOW + 5 };
    store.billing().receive_payment(payment).await.unwrap()
}

async fn balance(store: &Store, account: AccountId) -> i64 {
    store.ledger().wallet(account).await.unwrap().unwrap().balance.get()
}

async fn an_exact_payment_is_credited_once(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let store = &world.store;
    let deposit = open(store, world.account, 1).await;
    assert_eq!((deposit.vnd, deposit.status.as_str()), (260_000, "open"));
    let memo = format!("MBVCB.77.{}.CT TU 0123", deposit.reference.to_lowercase());
    let credited =
        PaymentOutcome::Credited { account_id: world.account, amount: Micros::new(10_000_000) };
    assert_eq!(pay(store, "FT1", 260_000, &memo).await, (credited.clone(), true));
    assert_eq!(pay(store, "FT1", 260_000, &memo).await, (credited, false));
    assert_eq!(balance(store, world.account).await, 10_000_000);
    let used = PaymentOutcome::Kept(HoldReason::ReferenceUsed);
    assert_eq!(pay(store, "FT2", 260_000, &memo).await, (used, true));
    assert_eq!(balance(store, world.account).await, 10_000_000);
    let closed = store.billing().deposit(world.account, deposit.id).await.unwrap().unwrap();
    assert_eq!(closed.status, "credited");
    assert_eq!(closed.closed_by.as_deref(), Some("bank"));
    let stranger = account(store, "b@example.com").await;
    assert_eq!(store.billing().deposit(stranger, deposit.id).await.unwrap(), None);
    world.assert_sound().await;
}

async fn concurrent_notifications_credit_once(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let deposit = open(&world.store, world.account, 2).await;
    let other = database.open().await;
    let tasks: Vec<_> = (0..12)
        .map(|n| {
            let store = if n % 2 == 0 { world.store.clone() } else { other.clone() };
            let memo = deposit.reference.clone();
            // Three payments, each reported four times.
            tokio::spawn(async move { pay(&store, &format!("FT{}", n % 3), 260_000, &memo).await })
        })
        .collect();
    let mut credited = std::collections::HashSet::new();
    let mut new = 0;
    for (n, task) in tasks.into_iter().enumerate() {
        let (taken, is_new) = task.await.unwrap();
        new += i32::from(is_new);
        match taken {
            PaymentOutcome::Credited { .. } => {
                credited.insert(n % 3);
            }
            taken => assert_eq!(taken, PaymentOutcome::Kept(HoldReason::ReferenceUsed)),
        }
    }
    assert_eq!((credited.len(), new), (1, 3));
    assert_eq!(balance(&world.store, world.account).await, 10_000_000);
    assert_eq!(world.store.billing().kept_payments(10).await.unwrap().len(), 2);
    world.assert_sound().await;
}

async fn an_unmatched_payment_is_held_and_credited_by_an_operator(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let store = &world.store;
    let first = open(store, world.account, 3).await;
    let second = open(store, world.account, 4).await;
    let both = format!("{} {}", first.reference, second.reference);
    for (bank_id, amount, memo, kept) in [
        ("A", 260_000, "tien nha", HoldReason::UnknownReference),
        ("B", 259_999, first.reference.as_str(), HoldReason::WrongAmount),
        ("C", 520_000, both.as_str(), HoldReason::Ambiguous),
    ] {
        assert_eq!(pay(store, bank_id, amount, memo).await, (PaymentOutcome::Kept(kept), true));
    }
    let dollars = NewPayment {
        bank_id: "D",
        amount: 10,
        currency: "USD",
        memo: &second.reference,
        at_ms: NOW,
    };
    let (taken, _) = store.billing().receive_payment(dollars).await.unwrap();
    assert_eq!(taken, PaymentOutcome::Kept(HoldReason::WrongCurrency));
    assert_eq!(balance(store, world.account).await, 0);
    let kept = store.billing().kept_payments(10).await.unwrap();
    assert_eq!(kept.len(), 4);
    let id = |bank_id: &str| kept.iter().find(|p| p.bank_id == bank_id).unwrap().id;
    let credit = async |bank_id: &str| {
        store.billing().credit_payment(BY, id(bank_id), world.account, rate(), NOW + 9).await
    };
    // The received amount is credited, not the requested one, and the top-up is closed.
    let worth = Micros::new(9_999_961);
    assert_eq!(credit("B").await.unwrap(), Some(worth));
    assert_eq!(credit("B").await.unwrap(), None);
    let closed = store.billing().deposit(world.account, first.id).await.unwrap().unwrap();
    assert_eq!((closed.status.as_str(), closed.credited), ("credited", Some(worth)));
    assert_eq!(credit("A").await.unwrap(), Some(Micros::new(10_000_000)));
    let usd = credit("D").await.unwrap_err();
    assert!(matches!(usd, StoreError::Conflict(Conflict::PaymentNotConvertible)));
    assert!(store.billing().refuse_payment(BY, id("D"), "sent back", NOW).await.unwrap());
    assert!(!store.billing().refuse_payment(BY, id("D"), "sent back", NOW).await.unwrap());
    assert_eq!(pay(store, "D", 10, "x").await, (PaymentOutcome::Refused, false));
    assert_eq!(balance(store, world.account).await, 19_999_961);
    assert_eq!(store.billing().kept_payments(10).await.unwrap().len(), 1);
    // A payment for a closed account.
    store.ledger().close_account(world.account, NOW + 10).await.unwrap();
    let gone = pay(store, "E", 260_000, &second.reference).await;
    assert_eq!(gone.0, PaymentOutcome::Kept(HoldReason::AccountClosed));
    world.assert_sound().await;
}

async fn an_approval_and_a_payment_credit_once(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    for number in 10..16 {
        let deposit = open(&world.store, world.account, number).await;
        let bank_id = format!("FT{number}");
        let (approved, (taken, _)) = tokio::join!(
            world.store.billing().approve_deposit(BY, deposit.id, NOW + 3),
            pay(&world.store, &bank_id, 260_000, &deposit.reference),
        );
        let by_bank = matches!(taken, PaymentOutcome::Credited { .. });
        assert!(approved.unwrap() != by_bank, "{number}");
    }
    assert_eq!(balance(&world.store, world.account).await, 60_000_000);
    world.assert_sound().await;
}

async fn top_ups_are_refused_withdrawn_and_limited(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let store = &world.store;
    let mut all = Vec::new();
    for number in 0..MAX_OPEN_DEPOSITS as u8 {
        all.push(open(store, world.account, 100 + number).await);
    }
    let one_more = NewDeposit {
        account_id: world.account,
        provider: "by_hand",
        reference: DepositReference::from_random([255; 8]),
        amount: Micros::new(5),
        vnd: 1,
        rate: rate(),
        at_ms: NOW,
    };
    let refused = store.billing().open_deposit(one_more.clone()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Conflict(Conflict::TooManyDeposits { .. })));
    assert!(store.billing().refuse_deposit(BY, all[0].id, "no money came", NOW).await.unwrap());
    assert!(!store.billing().refuse_deposit(BY, all[0].id, "again", NOW).await.unwrap());
    assert!(!store.billing().approve_deposit(BY, all[0].id, NOW).await.unwrap());
    let stranger = account(store, "b@example.com").await;
    assert!(!store.billing().withdraw_deposit(stranger, all[1].id, NOW).await.unwrap());
    assert!(store.billing().withdraw_deposit(world.account, all[1].id, NOW).await.unwrap());
    assert!(!store.billing().withdraw_deposit(world.account, all[1].id, NOW).await.unwrap());
    store.billing().open_deposit(one_more).await.unwrap();
    let open = store.billing().open_deposits(100).await.unwrap();
    assert_eq!(open.len(), MAX_OPEN_DEPOSITS - 1);
    assert_eq!(balance(store, world.account).await, 0);
    world.assert_sound().await;
}

async fn a_low_balance_is_reported_once_per_crossing(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 3 * COST).await;
    let store = world.store.clone();
    endpoint(&store, world.account, "https://example.com/hook").await;
    let notify = async || store.ledger().notify_low_balances(NOW + 7).await.unwrap();
    assert!(notify().await.is_empty());
    let threshold = Micros::new(3 * COST);
    store.ledger().set_low_balance_threshold(world.account, Some(threshold)).await.unwrap();
    assert_eq!(store.ledger().low_balance_threshold(world.account).await.unwrap(), Some(threshold));
    // A balance equal to the threshold is not low.
    assert!(notify().await.is_empty());
    world.debit(&[otp(world.account, 1)]).await;
    let notices = notify().await;
    assert_eq!(notices.len(), 1);
    assert_eq!(notices[0].email, "a@example.com");
    assert_eq!(notices[0].notice.held.total(), Micros::new(2 * COST));
    assert!(notify().await.is_empty());
    let bodies = async || -> Vec<String> {
        let sql = "SELECT body FROM webhook_attempts WHERE event_type = 'wallet.low' \
                   AND status = 'pending' ORDER BY id";
        let statement =
            sea_orm::Statement::from_string(store.connection().get_database_backend(), sql);
        let rows = store.connection().query_all_raw(statement).await.unwrap();
        rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
    };
    assert_eq!(bodies().await, [notices[0].notice.body()]);
    // The balance rises above the threshold and falls below it again.
    credit(&store, world.account, Bucket::Bonus, 5 * COST).await;
    assert!(notify().await.is_empty());
    world.cache.invalidate_wallet(world.account);
    let debits: Vec<_> = (2..7).map(|n| otp(world.account, n)).collect();
    world.debit(&debits).await;
    assert_eq!(notify().await.len(), 1);
    assert_eq!(bodies().await.len(), 2);
    store.ledger().set_low_balance_threshold(world.account, None).await.unwrap();
    assert_eq!(store.ledger().low_balance_threshold(world.account).await.unwrap(), None);
    world.assert_sound_at(NOW + 1).await;
}

async fn a_suspended_account_debits_nothing_and_keeps_everything(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10 * COST).await;
    let store = world.store.clone();
    let debits = [otp(world.account, 1), otp(world.account, 2)];
    let outcomes = world.debit(&debits).await;
    assert!(store.operations().suspend_account(BY, world.account, "fraud", NOW).await.unwrap());
    assert!(!store.operations().suspend_account(BY, world.account, "fraud", NOW).await.unwrap());
    let kept = store.accounts().get(world.account).await.unwrap().unwrap();
    assert_eq!(kept.suspended_for.as_deref(), Some("fraud"));
    // The debit is refused although the wallet is cached.
    let refused = world.debit(&[otp(world.account, 3)]).await;
    assert_eq!(refused, [DebitOutcome::AccountClosed]);
    // Deliveries in progress are settled normally.
    let ends = [
        delivered(&debits[0], paid(&outcomes[0])),
        crate::world::refunded(&debits[1], paid(&outcomes[1])),
    ];
    assert_eq!(world.settle(&ends).await, [true, true]);
    assert_eq!(world.held().await.total(), Micros::new(9 * COST));
    assert!(store.operations().resume_account(BY, world.account, NOW).await.unwrap());
    assert!(!store.operations().resume_account(BY, world.account, NOW).await.unwrap());
    world.cache.invalidate_wallet(world.account);
    let posted = world.debit(&[otp(world.account, 4)]).await;
    assert!(matches!(posted[0], DebitOutcome::Posted { .. }));
    world.assert_sound().await;
}

async fn operator_actions_are_logged_permanently(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let store = &world.store;
    let operator = account(store, "op@example.com").await;
    let by = Operator { id: Some(operator), name: "op@example.com" };
    store.operations().add_account_note(by, world.account, "called them", NOW).await.unwrap();
    let credit = Credit {
        account_id: world.account,
        bucket: Bucket::Bonus,
        amount: Micros::new(2_000_000),
        reference: "sorry-1",
        at_ms: NOW + 1,
    };
    assert!(store.ledger().credit_wallet_as(by, credit).await.unwrap().new);
    assert!(!store.ledger().credit_wallet_as(by, credit).await.unwrap().new);
    let actions = store.operations().operator_actions(None, None, 10).await.unwrap();
    let logged: Vec<_> = actions
        .iter()
        .map(|a| (a.action.as_str(), a.operator.as_str(), a.detail.as_deref()))
        .collect();
    assert_eq!(
        logged,
        [
            ("credit", "op@example.com", Some("2.000 USD to bonus")),
            ("note", "op@example.com", Some("called them")),
        ]
    );
    let older = store.operations().operator_actions(None, Some(actions[0].id), 10).await.unwrap();
    assert_eq!(older, actions[1..]);
    assert!(
        store.operations().operator_actions(Some(operator), None, 10).await.unwrap().is_empty()
    );
    for change in ["DELETE FROM operator_actions", "UPDATE operator_actions SET detail = ''"] {
        assert!(store.connection().execute_unprepared(change).await.is_err(), "{change}");
    }
}

async fn traffic_is_summed_per_key(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 100 * COST).await;
    // Four numbers within a range with a gap of three, and two far from all others.
    let numbers = [100, 101, 102, 105, 5_000, 9_000];
    let mut debits: Vec<_> = numbers.iter().map(|n| otp(world.account, *n)).collect();
    debits[5].key_id = KeyId(uuid::Uuid::from_u128(8));
    debits[4].created_at_ms = NOW + 60_000;
    let outcomes = world.debit(&debits).await;
    let mut cut = delivered(&debits[1], paid(&outcomes[1]));
    cut.status = nexo_domain::call::outcome::Status::Failed;
    cut.error_code = Some("partial_playback");
    let mut silent = cut.clone();
    silent.delivery_id = debits[2].delivery_id;
    silent.error_code = Some("no_answer");
    silent.attempts = Vec::new();
    let ends = [delivered(&debits[0], paid(&outcomes[0])), cut, silent];
    world.settle(&ends).await;
    // Ids use the real clock, so the times must too.
    let now_ms =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()
            as i64;
    let shift = format!(
        "UPDATE deliveries SET created_at_ms = created_at_ms + {}, completed_at_ms = completed_at_ms + {0}",
        now_ms - NOW
    );
    world.store.connection().execute_unprepared(&shift).await.unwrap();
    let traffic = world.store.operations().key_traffic(now_ms, now_ms + 30_000).await.unwrap();
    assert_eq!(traffic.len(), 2);
    assert_eq!(traffic[0].account_id, world.account);
    assert_eq!(
        traffic[0].traffic,
        Traffic { otps: 4, sequential: 3, ended: 3, answered: 2, usual_milli: None }
    );
    assert_eq!(traffic[1].traffic.otps, 1);
    let paces = Findings { usual_milli: vec![(traffic[0].key_id, 4_000)], suspicions: Vec::new() };
    world.store.operations().record_findings(&paces, now_ms).await.unwrap();
    let again = world.store.operations().key_traffic(now_ms, now_ms + 30_000).await.unwrap();
    assert_eq!(again[0].traffic.usual_milli, Some(4_000));
    assert_eq!(again[0].seen_at_ms, Some(now_ms));
    let later =
        world.store.operations().key_traffic(now_ms + 30_000, now_ms + 90_000).await.unwrap();
    assert_eq!(later.len(), 1);
}

async fn a_review_is_opened_once_and_seen_again(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let store = &world.store;
    assert!(store.operations().claim_review_window(1_000).await.unwrap());
    assert!(!store.operations().claim_review_window(1_000).await.unwrap());
    let key = KeyId(uuid::Uuid::from_u128(7));
    let found = |detail: &str| Findings {
        usual_milli: vec![(key, 1_000)],
        suspicions: vec![
            (key, world.account, Suspicion::RateJump, detail.to_owned()),
            (key, world.account, Suspicion::LowAnswerRate, detail.to_owned()),
        ],
    };
    let opened = store.operations().record_findings(&found("first"), NOW).await.unwrap();
    assert_eq!(opened, [Suspicion::RateJump, Suspicion::LowAnswerRate]);
    assert!(
        store.operations().record_findings(&found("second"), NOW + 1).await.unwrap().is_empty()
    );
    let reviews = store.operations().reviews(true, 10).await.unwrap();
    assert_eq!(reviews.len(), 2);
    assert!(reviews.iter().all(|r| r.windows == 2 && r.detail == "second"));
    assert_eq!(store.operations().open_review_count().await.unwrap(), 2);
    let id = reviews[0].id;
    assert!(store.operations().close_review(BY, id, "a campaign", NOW + 2).await.unwrap());
    assert!(!store.operations().close_review(BY, id, "a campaign", NOW + 2).await.unwrap());
    assert_eq!(
        store.operations().record_findings(&found("third"), NOW + 3).await.unwrap().len(),
        1
    );
    assert_eq!(store.operations().reviews(false, 10).await.unwrap().len(), 3);
}

async fn accounts_are_found_by_their_email(database: Arc<Database>) {
    let world = World::with_balance(&database, COST).await;
    let store = &world.store;
    account(store, "under_score@example.com").await;
    account(store, "other@example.org").await;
    let found = async |text: &str| -> Vec<String> {
        let lines = store.operations().find_accounts(text, 0, 10).await.unwrap();
        lines.into_iter().map(|line| line.email).collect()
    };
    assert_eq!(found("").await.len(), 3);
    assert_eq!(found(" A@EXAMPLE ").await, ["a@example.com"]);
    assert_eq!(found("r_s").await, ["under_score@example.com"]);
    assert!(found("%").await.is_empty());
    let line = store.operations().account_summary(world.account).await.unwrap().unwrap();
    assert_eq!(line.held.balance, Micros::new(COST));
    assert_eq!(store.operations().find_accounts("", 2, 10).await.unwrap().len(), 1);
}
