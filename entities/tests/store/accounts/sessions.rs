//! Sign-up, sign-in, and changes of a user's credentials.

use std::sync::Arc;

use nexo_domain::billing::ledger::Bucket;
use nexo_domain::ids::{AccountId, SessionId};
use nexo_domain::money::Micros;
use nexo_domain::otp::Language;
use nexo_entities::Store;
use nexo_entities::store::accounts::NewAccount;
use nexo_entities::store::accounts::email_changes::NewEmailChange;
use nexo_entities::store::accounts::passwords::{NewPassword, NewTotp};
use nexo_entities::store::accounts::sessions::{Credentials, NewSession};
use nexo_entities::store::accounts::sign_up::{SignUp, SignUpOffer};
use nexo_entities::store::{Conflict, StoreError};

use crate::database::Database;
use crate::world::{NOW, account, endpoint};

on_both!(
    a_sign_up_writes_account_credit_and_entry_together,
    a_session_is_found_by_its_token_until_it_ends,
    a_new_password_ends_other_sessions_and_a_reset_link_works_once,
    a_second_factor_code_is_accepted_once,
    a_change_of_the_second_factor_ends_other_sessions,
    a_sign_in_with_credentials_that_were_changed_meanwhile_opens_no_session,
    an_email_has_one_account_even_after_a_change,
    a_confirmed_address_ends_links_and_other_sessions,
    a_change_of_address_is_replaced_cancelled_and_expires,
    a_reset_requests_a_review_if_there_is_something_to_review,
);

fn lan(email: &str) -> SignUp<'_> {
    SignUp {
        account: NewAccount {
            email,
            password_hash: Some("$argon2id$v=19$x".to_owned()),
            operator: false,
            language: None,
            page_language: Some(Language::Vi),
            created_at_ms: NOW,
        },
        landing: None,
        offer: SignUpOffer::unlimited(Micros::new(110_000)),
    }
}

async fn a_sign_up_writes_account_credit_and_entry_together(database: Arc<Database>) {
    let store = database.migrated().await;
    let id = store.accounts().sign_up(lan("Lan@Example.com")).await.unwrap().id;
    let account = store.accounts().get(id).await.unwrap().unwrap();
    assert_eq!(account.email, "lan@example.com");
    assert_eq!(account.page_language, Some(Language::Vi));
    let wallet = store.ledger().wallet(id).await.unwrap().unwrap();
    assert_eq!(wallet.of(Bucket::Free), Micros::new(110_000));
    assert_eq!(wallet.total(), Micros::new(110_000));
    let again = store.accounts().sign_up(lan("lan@example.COM")).await;
    assert!(matches!(again, Err(StoreError::Conflict(Conflict::EmailTaken))));
    let page = store.ledger().entries(id, &Default::default(), None, 10).await.unwrap();
    assert_eq!(page.entries.len(), 1);
    assert_eq!(page.entries[0].reference.as_deref(), Some("signup"));
    let broken: Vec<_> =
        store.ledger().audit(NOW).await.unwrap().into_iter().filter(|check| !check.ok).collect();
    assert!(broken.is_empty(), "{broken:?}");
}

async fn open(store: &Store, account: AccountId, token: u8, at_ms: i64) -> SessionId {
    store.accounts().open_session(session(account, token, at_ms)).await.unwrap()
}

fn session(account: AccountId, token: u8, at_ms: i64) -> NewSession<'static> {
    NewSession {
        token_hash: [token; 32],
        account_id: account,
        proven: None,
        address: "203.0.113.5",
        browser: "a browser",
        created_at_ms: at_ms,
        expires_at_ms: at_ms + 1_000,
    }
}

async fn a_session_is_found_by_its_token_until_it_ends(database: Arc<Database>) {
    let store = database.migrated().await;
    let id = account(&store, "lan@example.com").await;
    let other = account(&store, "eve@example.com").await;
    let first = open(&store, id, 1, NOW).await;
    let second = open(&store, id, 2, NOW + 10).await;
    let (session, owner) = store.accounts().session(&[1; 32], NOW + 999).await.unwrap().unwrap();
    assert_eq!((session.id, owner.id), (first, id));
    assert!(store.accounts().session(&[1; 32], NOW + 1_000).await.unwrap().is_none());
    assert!(store.accounts().session(&[9; 32], NOW).await.unwrap().is_none());
    store.accounts().touch_session(first, "203.0.113.6", NOW + 500, NOW + 5_000).await.unwrap();
    let (session, _) = store.accounts().session(&[1; 32], NOW + 1_000).await.unwrap().unwrap();
    assert_eq!((session.address.as_str(), session.seen_at_ms), ("203.0.113.6", NOW + 500));
    assert!(!store.accounts().end_session(other, first).await.unwrap());
    assert!(store.accounts().end_session(id, first).await.unwrap());
    assert!(store.accounts().session(&[1; 32], NOW + 1_000).await.unwrap().is_none());
    let left = store.accounts().sessions(id, NOW + 20).await.unwrap();
    assert_eq!(left.iter().map(|s| s.id).collect::<Vec<_>>(), [second]);
    assert_eq!(store.accounts().delete_expired(NOW + 1_009).await.unwrap(), 0);
    assert_eq!(store.accounts().delete_expired(NOW + 1_010).await.unwrap(), 1);
    open(&store, id, 3, NOW).await;
    store.ledger().close_account(id, NOW).await.unwrap();
    assert!(store.accounts().session(&[3; 32], NOW).await.unwrap().is_none());
}

fn password(account_id: AccountId, hash: &str, kept_session: Option<SessionId>) -> NewPassword {
    NewPassword {
        account_id,
        hash: hash.to_owned(),
        totp_sealed: None,
        kept_session,
        at_ms: NOW + 100,
    }
}

async fn a_new_password_ends_other_sessions_and_a_reset_link_works_once(database: Arc<Database>) {
    let store = database.migrated().await;
    let id = account(&store, "lan@example.com").await;
    let other = account(&store, "eve@example.com").await;
    let here = open(&store, id, 1, NOW).await;
    open(&store, id, 2, NOW).await;
    open(&store, other, 3, NOW).await;
    assert!(store.accounts().set_password(password(id, "first", Some(here))).await.unwrap());
    assert!(store.accounts().session(&[1; 32], NOW).await.unwrap().is_some());
    assert!(store.accounts().session(&[2; 32], NOW).await.unwrap().is_none());
    assert!(store.accounts().session(&[3; 32], NOW).await.unwrap().is_some());

    store.accounts().begin_reset(id, "lan@example.com", [7; 32], NOW, NOW + 1_000).await.unwrap();
    store.accounts().begin_reset(id, "lan@example.com", [8; 32], NOW, NOW + 1_000).await.unwrap();
    assert!(
        !store
            .accounts()
            .begin_reset(id, "old@example.com", [9; 32], NOW, NOW + 1_000)
            .await
            .unwrap(),
        "a link to an address that is not the account's"
    );
    // A later link does not end an earlier one.
    assert_eq!(store.accounts().reset_account(&[7; 32], NOW).await.unwrap(), Some(id));
    assert_eq!(store.accounts().reset_account(&[8; 32], NOW).await.unwrap(), Some(id));
    assert_eq!(store.accounts().reset_account(&[8; 32], NOW + 1_000).await.unwrap(), None);
    let foreign = store.accounts().finish_reset(&[8; 32], password(other, "stolen", None)).await;
    assert!(!foreign.unwrap());
    assert!(store.accounts().finish_reset(&[8; 32], password(id, "second", None)).await.unwrap());
    assert!(!store.accounts().finish_reset(&[8; 32], password(id, "third", None)).await.unwrap());
    assert_eq!(
        store.accounts().reset_account(&[7; 32], NOW).await.unwrap(),
        None,
        "the other link after a reset"
    );
    let kept = store.accounts().get(id).await.unwrap().unwrap();
    assert_eq!(kept.password_hash.as_deref(), Some("second"));
    assert!(store.accounts().session(&[1; 32], NOW).await.unwrap().is_none());
}

async fn a_second_factor_code_is_accepted_once(database: Arc<Database>) {
    let store = database.migrated().await;
    let id = account(&store, "lan@example.com").await;
    let factor = NewTotp { sealed: vec![1, 2, 3], recovery_hash: [5; 32] };
    store.accounts().set_totp(id, Some(factor), None).await.unwrap();
    for (step, taken) in [(10, true), (10, false), (9, false), (11, true)] {
        assert_eq!(store.accounts().use_totp_step(id, step).await.unwrap(), taken, "{step}");
    }
    let kept = open(&store, id, 1, NOW).await;
    open(&store, id, 2, NOW).await;
    let use_code = |code| store.accounts().use_recovery_code(id, code, Some(kept));
    assert!(!use_code([6; 32]).await.unwrap());
    assert_eq!(store.accounts().sessions(id, NOW).await.unwrap().len(), 2);
    assert!(use_code([5; 32]).await.unwrap());
    assert!(!use_code([5; 32]).await.unwrap());
    let sessions = store.accounts().sessions(id, NOW).await.unwrap();
    assert_eq!(sessions.iter().map(|session| session.id).collect::<Vec<_>>(), [kept]);
    let kept = store.accounts().get(id).await.unwrap().unwrap();
    assert_eq!(kept.totp_sealed, None);
}

async fn a_change_of_the_second_factor_ends_other_sessions(database: Arc<Database>) {
    let store = database.migrated().await;
    let accounts = store.accounts();
    let id = account(&store, "lan@example.com").await;
    let eve = account(&store, "eve@example.com").await;
    let here = open(&store, id, 1, NOW).await;
    open(&store, eve, 3, NOW).await;
    let factor = NewTotp { sealed: vec![1, 2, 3], recovery_hash: [5; 32] };
    for factor in [Some(factor), None] {
        open(&store, id, 2, NOW).await;
        let is_on = factor.is_some();
        accounts.set_totp(id, factor, Some(here)).await.unwrap();
        let sessions = accounts.sessions(id, NOW).await.unwrap();
        assert_eq!(sessions.iter().map(|s| s.id).collect::<Vec<_>>(), [here]);
        let kept = accounts.get(id).await.unwrap().unwrap();
        assert_eq!(kept.totp_sealed.is_some(), is_on);
    }
    assert!(accounts.session(&[3; 32], NOW).await.unwrap().is_some());
}

async fn a_sign_in_with_credentials_that_were_changed_meanwhile_opens_no_session(
    database: Arc<Database>,
) {
    let store = database.migrated().await;
    let accounts = store.accounts();
    let id = accounts.sign_up(lan("lan@example.com")).await.unwrap().id;
    let current = async || {
        let account = accounts.get(id).await.unwrap().unwrap();
        Credentials { password_hash: account.password_hash, totp_sealed: account.totp_sealed }
    };
    let open_with = async |proven| {
        accounts.open_session(NewSession { proven: Some(proven), ..session(id, 1, NOW) }).await
    };
    let before = current().await;
    let factor = NewTotp { sealed: vec![1, 2, 3], recovery_hash: [5; 32] };
    accounts.set_totp(id, Some(factor), None).await.unwrap();
    let refused = open_with(before).await;
    assert!(matches!(refused, Err(StoreError::Conflict(Conflict::CredentialsChanged))));
    let with_factor = current().await;
    let changed = NewPassword { totp_sealed: Some(vec![4]), ..password(id, "second", None) };
    assert!(accounts.set_password(changed).await.unwrap());
    let refused = open_with(with_factor).await;
    assert!(matches!(refused, Err(StoreError::Conflict(Conflict::CredentialsChanged))));
    open_with(current().await).await.unwrap();
}

async fn an_email_has_one_account_even_after_a_change(database: Arc<Database>) {
    let store = database.migrated().await;
    let id = account(&store, "lan@example.com").await;
    account(&store, "eve@example.com").await;
    let taken = store.accounts().set_email(id, "Eve@example.com", None).await;
    assert!(matches!(taken, Err(StoreError::Conflict(Conflict::EmailTaken))));
    store.accounts().set_email(id, "New@example.com", None).await.unwrap();
    let found = store.accounts().by_email("new@example.com").await.unwrap();
    assert_eq!(found.map(|account| account.id), Some(id));
}

fn change(account_id: AccountId, email: &str, token: u8) -> NewEmailChange<'_> {
    NewEmailChange {
        account_id,
        email,
        token_hash: [token; 32],
        at_ms: NOW,
        expires_at_ms: NOW + 1_000,
    }
}

async fn a_confirmed_address_ends_links_and_other_sessions(database: Arc<Database>) {
    let store = database.migrated().await;
    let accounts = store.accounts();
    let id = account(&store, "lan@example.com").await;
    account(&store, "eve@example.com").await;
    let here = open(&store, id, 1, NOW).await;
    open(&store, id, 2, NOW).await;
    let begun = accounts.begin_reset(id, "lan@example.com", [3; 32], NOW, NOW + 1_000);
    assert!(begun.await.unwrap());
    accounts.begin_email_change(change(id, "Eve@example.com", 4)).await.unwrap();
    let taken = accounts.finish_email_change(&[4; 32], None, NOW).await;
    assert!(matches!(taken, Err(StoreError::Conflict(Conflict::EmailTaken))));
    let found = accounts.session(&[2; 32], NOW).await.unwrap();
    assert!(found.is_some(), "nothing changes with a taken address");

    accounts.begin_email_change(change(id, "New@example.com", 5)).await.unwrap();
    let before = accounts.finish_email_change(&[5; 32], Some(here), NOW).await;
    assert_eq!(before.unwrap().unwrap().email, "lan@example.com");
    let found = accounts.by_email("new@example.com").await.unwrap();
    assert_eq!(found.map(|account| account.id), Some(id));
    assert!(accounts.session(&[1; 32], NOW).await.unwrap().is_some());
    assert!(accounts.session(&[2; 32], NOW).await.unwrap().is_none());
    assert_eq!(accounts.reset_account(&[3; 32], NOW).await.unwrap(), None);
    let again = accounts.finish_email_change(&[5; 32], None, NOW).await;
    assert!(again.unwrap().is_none());
    // A link to the old address that is made now is refused.
    let late = accounts.begin_reset(id, "lan@example.com", [6; 32], NOW, NOW + 1_000);
    assert!(!late.await.unwrap());
}

async fn a_change_of_address_is_replaced_cancelled_and_expires(database: Arc<Database>) {
    let store = database.migrated().await;
    let accounts = store.accounts();
    let id = account(&store, "lan@example.com").await;
    for (token, email) in [(1, "a@example.com"), (2, "B@example.com")] {
        let change = change(id, email, token);
        accounts.begin_email_change(change).await.unwrap();
    }
    assert_eq!(accounts.email_change(&[1; 32], NOW).await.unwrap(), None);
    let pending = accounts.pending_email_change(id, NOW).await.unwrap();
    assert_eq!(pending.map(|change| change.email), Some("b@example.com".to_owned()));
    let late = NOW + 1_000;
    assert_eq!(accounts.email_change(&[2; 32], late).await.unwrap(), None);
    let finished = accounts.finish_email_change(&[2; 32], None, late).await;
    assert!(finished.unwrap().is_none());
    assert!(accounts.cancel_email_change(id).await.unwrap());
    assert!(!accounts.cancel_email_change(id).await.unwrap());

    // A new password cancels a change too.
    let begun = accounts.begin_email_change(change(id, "c@example.com", 3));
    begun.await.unwrap();
    assert!(accounts.set_password(password(id, "new", None)).await.unwrap());
    assert_eq!(accounts.email_change(&[3; 32], NOW).await.unwrap(), None);
    let begun = accounts.begin_email_change(change(id, "d@example.com", 4));
    begun.await.unwrap();
    accounts.delete_expired(NOW + 1_000).await.unwrap();
    assert!(!accounts.cancel_email_change(id).await.unwrap());
}

async fn a_reset_requests_a_review_if_there_is_something_to_review(database: Arc<Database>) {
    let store = database.migrated().await;
    let accounts = store.accounts();
    for (email, has_access) in [("with@example.com", true), ("without@example.com", false)] {
        let id = account(&store, email).await;
        if has_access {
            endpoint(&store, id, "https://example.com/hook").await;
        }
        let begun = accounts.begin_reset(id, email, [1; 32], NOW, NOW + 1_000);
        assert!(begun.await.unwrap());
        let reset = accounts.finish_reset(&[1; 32], password(id, "new", None));
        assert!(reset.await.unwrap());
        let found = accounts.get(id).await.unwrap().unwrap();
        assert_eq!(found.access_review_since_ms.is_some(), has_access, "{email}");
        accounts.finish_access_review(id).await.unwrap();
        let found = accounts.get(id).await.unwrap().unwrap();
        assert_eq!(found.access_review_since_ms, None);
    }
}
