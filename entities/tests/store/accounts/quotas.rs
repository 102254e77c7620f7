//! Quotas of free actions, accounts' own limits, and the free credit of a mailbox.

use std::sync::Arc;

use nexo_domain::account::quota::{DAY_MS, QuotaKind, day_of};
use nexo_domain::billing::ledger::Bucket;
use nexo_domain::money::Micros;
use nexo_entities::Store;
use nexo_entities::store::accounts::NewAccount;
use nexo_entities::store::accounts::quotas::{
    AccountQuota, EVERYONE, FreeCredit, QuotaDelta, QuotaTake,
};
use nexo_entities::store::accounts::sign_up::{SignUp, SignUpOffer, SignedUp};
use nexo_entities::store::cluster::changes::Change;
use nexo_entities::store::operations::operator_log::Operator;
use nexo_entities::store::{Conflict, StoreError};
use sea_orm::ConnectionTrait;
use tokio::task::JoinSet;

use crate::database::Database;
use crate::world::{NOW, World, account, credit};

on_both!(
    concurrent_actions_never_exceed_a_quota,
    a_quota_is_taken_in_part_and_given_back,
    counts_of_several_nodes_add_up,
    an_own_limit_is_logged_and_announced,
    concurrent_sign_ups_of_one_mailbox_get_one_credit,
    grants_and_sign_ups_have_a_limit_per_day,
    closing_or_renaming_an_account_does_not_free_its_mailbox,
    a_migration_records_the_credits_that_were_granted_before,
);

const BY: Operator<'static> = Operator::COMMAND_LINE;
const FREE: Micros = Micros::new(110_000);

fn take(kind: QuotaKind, subject: &str, limit: Option<u32>) -> QuotaTake<'_> {
    QuotaTake { kind, subject, count: 1, limit, at_ms: NOW }
}

async fn sign_up(store: &Store, email: &str, offer: SignUpOffer) -> Result<SignedUp, StoreError> {
    let account = NewAccount {
        email,
        password_hash: None,
        operator: false,
        language: None,
        page_language: None,
        created_at_ms: NOW,
    };
    let new = SignUp { account, landing: None, offer };
    store.accounts().sign_up(new).await
}

async fn free_of(store: &Store, signed_up: SignedUp) -> Micros {
    let wallet = store.ledger().wallet(signed_up.id).await.unwrap().unwrap();
    wallet.of(Bucket::Free)
}

async fn concurrent_actions_never_exceed_a_quota(database: Arc<Database>) {
    let store = database.migrated().await;
    let mut tasks = JoinSet::new();
    for _ in 0..60 {
        let store = store.clone();
        tasks.spawn(async move {
            let take = take(QuotaKind::TestEvents, "a", Some(20));
            store.accounts().take_quota(take).await
        });
    }
    let (mut taken, mut refused) = (0, 0);
    for result in tasks.join_all().await {
        match result {
            Ok(()) => taken += 1,
            Err(StoreError::Conflict(Conflict::QuotaExceeded(exceeded))) => {
                assert_eq!((exceeded.quota, exceeded.limit), ("test_events", 20));
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((taken, refused), (20, 40));
    // Another subject, another kind and another day have counts of their own.
    let accounts = store.accounts();
    let other = take(QuotaKind::TestEvents, "b", Some(20));
    accounts.take_quota(other).await.unwrap();
    let other = take(QuotaKind::Exports, "a", Some(20));
    accounts.take_quota(other).await.unwrap();
    let tomorrow = QuotaTake { at_ms: NOW + DAY_MS, ..take(QuotaKind::TestEvents, "a", Some(20)) };
    accounts.take_quota(tomorrow).await.unwrap();
    let unlimited = take(QuotaKind::TestEvents, "a", None);
    accounts.take_quota(unlimited).await.unwrap();
    let deleted = accounts.delete_quota_uses(day_of(NOW) + 1).await.unwrap();
    assert_eq!(deleted, 3);
}

async fn a_quota_is_taken_in_part_and_given_back(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let (accounts, subject) = (world.store.accounts(), world.account.to_string());
    let some = |count| QuotaTake { count, ..take(QuotaKind::WebhookReplays, &subject, Some(10)) };
    for (count, taken) in [(7, 7), (7, 3), (7, 0)] {
        assert_eq!(accounts.take_quota_up_to(some(count)).await.unwrap(), taken);
    }
    accounts.give_back_quota(some(4)).await.unwrap();
    let too_many = accounts.take_quota(some(5)).await;
    assert!(too_many.is_err());
    accounts.take_quota(some(4)).await.unwrap();
    let uses = accounts.quota_uses(world.account, NOW).await.unwrap();
    assert_eq!(uses, [(QuotaKind::WebhookReplays, 10)]);
    // More than there is leaves nothing.
    accounts.give_back_quota(some(40)).await.unwrap();
    let uses = accounts.quota_uses(world.account, NOW).await.unwrap();
    assert_eq!(uses, [(QuotaKind::WebhookReplays, 0)]);
}

async fn counts_of_several_nodes_add_up(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let other = account(&world.store, "b@example.com").await;
    let delta =
        |account, count| QuotaDelta { kind: QuotaKind::TestOtps, account, day: day_of(NOW), count };
    let deltas = [delta(world.account, 5), delta(other, -2)];
    let accounts = world.store.accounts();
    assert_eq!(accounts.add_quota_uses(&deltas).await.unwrap(), [5, 0]);
    let deltas = [delta(other, 3), delta(world.account, -1)];
    assert_eq!(accounts.add_quota_uses(&deltas).await.unwrap(), [3, 4]);
    let uses = accounts.quota_uses_of_all(QuotaKind::TestOtps, NOW).await;
    let mut uses = uses.unwrap();
    uses.sort_unstable_by_key(|(_, used)| *used);
    assert_eq!(uses, [(other, 3), (world.account, 4)]);
}

async fn an_own_limit_is_logged_and_announced(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let (store, id) = (&world.store, world.account);
    let kind = QuotaKind::TestOtps;
    let since = store.cluster().last_change().await.unwrap();
    let set = async |per_day| {
        let set = store.accounts().set_account_quota(BY, id, kind, per_day, NOW);
        set.await.unwrap()
    };
    assert!(set(Some(5)).await);
    assert!(!set(Some(5)).await);
    assert!(set(Some(0)).await);
    let own = store.accounts().account_quotas(Some(id)).await.unwrap();
    let expected = AccountQuota { account: id, kind, per_day: 0 };
    assert_eq!(own, [expected]);
    assert!(set(None).await);
    assert!(!set(None).await);
    assert_eq!(store.accounts().account_quotas(None).await.unwrap(), []);
    let changes = store.cluster().changes_since(since).await.unwrap();
    assert_eq!(changes.changes, [Change::Account(id); 3]);
    let actions = store.operations().operator_actions(Some(id), None, 10).await;
    let details: Vec<_> = actions
        .unwrap()
        .into_iter()
        .map(|action| (action.action, action.detail.unwrap()))
        .collect();
    let quota = |detail: &str| ("quota".to_owned(), detail.to_owned());
    assert_eq!(details, [quota("default"), quota("unlimited"), quota("5 a day")]);
}

async fn concurrent_sign_ups_of_one_mailbox_get_one_credit(database: Arc<Database>) {
    let store = database.migrated().await;
    let mut tasks = JoinSet::new();
    for n in 0..12 {
        let store = store.clone();
        let email = match n % 2 {
            0 => format!("a.nn+{n}@gmail.com"),
            _ => format!("an.n+{n}@googlemail.com"),
        };
        tasks.spawn(async move {
            loop {
                match sign_up(&store, &email, SignUpOffer::unlimited(FREE)).await {
                    // A busy machine may have no connection in time.
                    Err(error) if error.is_retryable() => {}
                    signed_up => return signed_up.unwrap(),
                }
            }
        });
    }
    let mut credited = 0;
    for signed_up in tasks.join_all().await {
        let free = free_of(&store, signed_up).await;
        match signed_up.credit {
            FreeCredit::Granted => {
                assert_eq!(free, FREE);
                credited += 1;
            }
            FreeCredit::MailboxHadOne => assert_eq!(free, Micros::ZERO),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(credited, 1);
    let checks = store.ledger().audit(NOW).await.unwrap();
    assert!(checks.iter().all(|check| check.ok), "{checks:?}");
}

async fn grants_and_sign_ups_have_a_limit_per_day(database: Arc<Database>) {
    let store = database.migrated().await;
    let offer = SignUpOffer { free: FREE, grants_per_day: Some(2), sign_ups_per_day: Some(4) };
    for (email, credit) in [
        ("a@example.com", FreeCredit::Granted),
        ("b@example.com", FreeCredit::Granted),
        ("c@example.com", FreeCredit::DailyLimitReached),
    ] {
        let signed_up = sign_up(&store, email, offer).await.unwrap();
        assert_eq!(signed_up.credit, credit, "{email}");
    }
    // A failed sign-up counts as none.
    let taken = sign_up(&store, "a@example.com", offer).await;
    assert!(matches!(taken, Err(StoreError::Conflict(Conflict::EmailTaken))));
    let none = SignUpOffer { free: Micros::ZERO, ..offer };
    let signed_up = sign_up(&store, "d@example.com", none).await.unwrap();
    assert_eq!(signed_up.credit, FreeCredit::NotOffered);
    let refused = sign_up(&store, "e@example.com", offer).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Conflict(Conflict::QuotaExceeded(e)) if e.quota == "sign_ups"),
        "{refused}"
    );
    assert_eq!(store.accounts().all().await.unwrap().len(), 4);
    let more = QuotaTake { limit: Some(2), ..take(QuotaKind::FreeCredits, EVERYONE, None) };
    assert!(store.accounts().take_quota(more).await.is_err());
    // The mailbox without a grant is still eligible.
    let later = SignUpOffer::unlimited(FREE);
    let signed_up = sign_up(&store, "c+2@example.com", later).await.unwrap();
    assert_eq!(signed_up.credit, FreeCredit::Granted);
}

async fn closing_or_renaming_an_account_does_not_free_its_mailbox(database: Arc<Database>) {
    let store = database.migrated().await;
    let offer = SignUpOffer::unlimited(FREE);
    let closed = sign_up(&store, "ann@example.com", offer).await.unwrap();
    store.ledger().close_account(closed.id, NOW).await.unwrap();
    let again = sign_up(&store, "ann+2@example.com", offer).await.unwrap();
    assert_eq!(again.credit, FreeCredit::MailboxHadOne);
    let renamed = sign_up(&store, "bob@example.com", offer).await.unwrap();
    assert_eq!(renamed.credit, FreeCredit::Granted);
    let accounts = store.accounts();
    accounts.set_email(renamed.id, "rob@example.com", None).await.unwrap();
    let again = sign_up(&store, "bob@example.com", offer).await.unwrap();
    assert_eq!(again.credit, FreeCredit::MailboxHadOne);
}

async fn a_migration_records_the_credits_that_were_granted_before(database: Arc<Database>) {
    let store = database.migrated().await;
    let offer = SignUpOffer::unlimited(FREE);
    let before = sign_up(&store, "ann@example.com", offer).await.unwrap();
    let bought = account(&store, "bob@example.com").await;
    credit(&store, bought, Bucket::Balance, 1_000).await;
    let connection = store.connection();
    let forget = "DELETE FROM free_credits";
    connection.execute_unprepared(forget).await.unwrap();
    let names = nexo_migration::names();
    let later = names.iter().rev().position(|name| name == "m0008_quotas");
    let count = u32::try_from(later.unwrap() + 1).unwrap();
    nexo_migration::down(connection, count).await.unwrap();
    nexo_migration::up(connection).await.unwrap();
    assert_eq!(free_of(&store, before).await, FREE);
    let again = sign_up(&store, "ann+2@example.com", offer).await.unwrap();
    assert_eq!(again.credit, FreeCredit::MailboxHadOne);
    let first = sign_up(&store, "bob+1@example.com", offer).await.unwrap();
    assert_eq!(first.credit, FreeCredit::Granted);
}
