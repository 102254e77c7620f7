//! Accounts, keys and wallets as used by commands and the dashboard.

use std::sync::Arc;

use nexo_domain::account::client_ip::MAX_ALLOWLIST;
use nexo_domain::billing::ledger::Bucket;
use nexo_domain::ids::{AccountId, KeyId};
use nexo_domain::money::Micros;
use nexo_domain::otp::Language;
use nexo_entities::store::accounts::NewAccount;
use nexo_entities::store::accounts::api_keys::NewKey;
use nexo_entities::store::cluster::changes::Change;
use nexo_entities::store::ledger::wallets::Credit;
use nexo_entities::store::{Conflict, StoreError};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::database::Database;
use crate::world::{NOW, World};

on_both!(
    an_account_is_found_by_its_email_in_any_case,
    a_key_is_found_by_its_hash_with_all_its_settings,
    a_revoked_key_is_found_as_revoked,
    closing_an_account_revokes_its_keys,
    a_key_with_an_overlong_allowlist_is_refused,
    a_thousand_concurrent_creations_yield_ten_keys,
    an_invalid_credit_is_refused,
    every_command_writes_its_change_to_the_feed,
);

fn key(account_id: AccountId, hash: u8, allowlist: &[String]) -> NewKey<'_> {
    NewKey {
        account_id,
        name: "shop",
        hash: [hash; 32],
        hint: "x9Zq",
        test: hash == 2,
        allowlist,
        created_at_ms: NOW,
    }
}

fn conflict<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Conflict {
    match result.unwrap_err() {
        StoreError::Conflict(conflict) => conflict,
        other => panic!("{other}"),
    }
}

async fn an_account_is_found_by_its_email_in_any_case(database: Arc<Database>) {
    let store = database.migrated().await;
    let new = NewAccount {
        email: "Lan@Example.com",
        password_hash: Some("$argon2id$v=19$x".to_owned()),
        operator: true,
        language: Some(Language::En),
        page_language: None,
        created_at_ms: NOW,
    };
    let id = store.accounts().create(new.clone()).await.unwrap();
    let account = store.accounts().by_email("LAN@example.COM").await.unwrap().unwrap();
    assert_eq!((account.id, account.email.as_str()), (id, "lan@example.com"));
    assert_eq!(account.language, Some(Language::En));
    assert!(account.operator && account.closed_at_ms.is_none());
    assert_eq!(account.password_hash.as_deref(), Some("$argon2id$v=19$x"));
    assert_eq!(conflict(store.accounts().create(new).await), Conflict::EmailTaken);
    assert_eq!(store.accounts().all().await.unwrap().len(), 1);
    let wallet = store.ledger().wallet(id).await.unwrap().unwrap();
    assert_eq!(wallet.total(), Micros::ZERO);
    assert!(store.accounts().by_email("nobody@example.com").await.unwrap().is_none());
}

async fn a_key_is_found_by_its_hash_with_all_its_settings(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let networks: Vec<String> =
        ["203.0.113.5/32", "10.0.0.0/8", "2001:db8::/32"].map(str::to_owned).to_vec();
    let live = world.store.accounts().create_key(key(world.account, 1, &networks)).await.unwrap();
    let test = world.store.accounts().create_key(key(world.account, 2, &[])).await.unwrap();

    let record = world.store.accounts().key_by_hash(&[1; 32]).await.unwrap().unwrap();
    assert_eq!((record.key_id, record.account_id), (live, world.account));
    assert_eq!(record.allowlist, networks);
    assert!(!record.test && !record.revoked && record.language.is_none());
    assert!(world.store.accounts().key_by_hash(&[2; 32]).await.unwrap().unwrap().test);
    assert_eq!(world.store.accounts().key_by_hash(&[3; 32]).await.unwrap(), None);

    world.store.accounts().record_key_use(&[(live, NOW + 5), (test, NOW + 6)]).await.unwrap();
    world.store.accounts().record_key_use(&[(live, NOW + 4)]).await.unwrap();
    let used: Vec<Option<i64>> = world
        .store
        .accounts()
        .keys(None)
        .await
        .unwrap()
        .iter()
        .map(|key| key.last_used_at_ms)
        .collect();
    assert_eq!(used, [Some(NOW + 5), Some(NOW + 6)]);
}

async fn a_revoked_key_is_found_as_revoked(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let store = &world.store;
    let id = store.accounts().create_key(key(world.account, 1, &[])).await.unwrap();
    let foreign = Some(AccountId(Uuid::from_u128(1)));
    assert!(!store.accounts().revoke_key(id, foreign, NOW).await.unwrap());
    assert!(!store.accounts().key_by_hash(&[1; 32]).await.unwrap().unwrap().revoked);
    assert!(store.accounts().revoke_key(id, Some(world.account), NOW).await.unwrap());
    assert!(!store.accounts().revoke_key(id, None, NOW).await.unwrap());
    assert!(!store.accounts().revoke_key(KeyId(Uuid::from_u128(1)), None, NOW).await.unwrap());
    assert!(store.accounts().key_by_hash(&[1; 32]).await.unwrap().unwrap().revoked);
}

async fn closing_an_account_revokes_its_keys(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let store = &world.store;
    store.accounts().create_key(key(world.account, 1, &[])).await.unwrap();
    let closing = store.ledger().close_account(world.account, NOW).await.unwrap();
    assert!(closing.unwrap().new);
    let again = store.ledger().close_account(world.account, NOW).await.unwrap();
    assert!(!again.unwrap().new);
    let unknown = AccountId(Uuid::nil());
    assert_eq!(store.ledger().close_account(unknown, NOW).await.unwrap(), None);
    assert!(store.accounts().key_by_hash(&[1; 32]).await.unwrap().unwrap().revoked);
    let refused = store.accounts().create_key(key(world.account, 2, &[])).await;
    assert_eq!(conflict(refused), Conflict::AccountClosed);
}

async fn a_thousand_concurrent_creations_yield_ten_keys(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let mut made = JoinSet::new();
    for n in 0..1000_u32 {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&n.to_be_bytes());
        let store = world.store.clone();
        let new = NewKey { hash, ..key(world.account, 1, &[]) };
        made.spawn(async move { store.accounts().create_key(new).await });
    }
    let mut made_at_once = 0;
    while let Some(made) = made.join_next().await {
        match made.unwrap() {
            Ok(_) => made_at_once += 1,
            Err(StoreError::Conflict(Conflict::TooManyKeys { max: 10 })) => {}
            // With so many waiting for a few connections, some may time out.
            Err(error) => assert!(error.is_outage(), "{error}"),
        }
    }
    assert_eq!(made_at_once, 10);
    let kept = world.store.accounts().keys(Some(world.account)).await.unwrap();
    assert_eq!(kept.len(), 10);
}

async fn a_key_with_an_overlong_allowlist_is_refused(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let mut networks = vec!["10.0.0.0/8".to_owned(); MAX_ALLOWLIST];
    world.store.accounts().create_key(key(world.account, 1, &networks)).await.unwrap();
    networks.push("192.168.0.0/16".to_owned());
    let refused = world.store.accounts().create_key(key(world.account, 2, &networks)).await;
    assert_eq!(conflict(refused), Conflict::AllowlistTooLong { max: MAX_ALLOWLIST });
}

async fn an_invalid_credit_is_refused(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let credit = |amount, account_id| Credit {
        account_id,
        bucket: Bucket::Balance,
        amount: Micros::new(amount),
        reference: "r",
        at_ms: NOW,
    };
    for (amount, account, reason) in [
        (0, world.account, Conflict::CreditNotPositive),
        (-1, world.account, Conflict::CreditNotPositive),
        (i64::MAX, world.account, Conflict::WalletFull),
        (1, AccountId(Uuid::from_u128(1)), Conflict::AccountClosed),
    ] {
        let refused = world.store.ledger().credit_wallet(credit(amount, account)).await;
        assert_eq!(conflict(refused), reason);
    }
    assert_eq!(world.held().await.total(), Micros::ZERO);
    world.assert_sound().await;
}

async fn every_command_writes_its_change_to_the_feed(database: Arc<Database>) {
    let world = World::with_balance(&database, 0).await;
    let (store, account) = (&world.store, world.account);
    let start = store.cluster().last_change().await.unwrap();
    let key = store.accounts().create_key(key(account, 1, &[])).await.unwrap();
    crate::world::credit(store, account, Bucket::Free, 1).await;
    crate::world::endpoint(store, account, "https://example.com").await;
    store.accounts().revoke_key(key, None, NOW).await.unwrap();
    store.ledger().close_account(account, NOW).await.unwrap();
    let feed = store.cluster().changes_since(start).await.unwrap();
    let expected = [
        Change::Key(key),
        Change::Wallet(account),
        Change::Endpoints(account),
        Change::Key(key),
        Change::Account(account),
    ];
    assert_eq!(feed.changes, expected);
    assert_eq!(feed.seq, store.cluster().last_change().await.unwrap());
    assert_eq!(store.cluster().changes_since(feed.seq).await.unwrap().changes, []);
    store.cluster().trim_changes(feed.seq).await.unwrap();
    let trimmed = store.cluster().changes_since(0).await.unwrap();
    assert_eq!(trimmed.changes, []);
}
