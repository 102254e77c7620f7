//! A gateway's view of the store: an account with money, a node and a wallet actor's cache.

use std::task::Poll;

use nexo_domain::billing::ledger::{Bucket, Buckets, Parts};
use nexo_domain::call::outcome::Status;
use nexo_domain::call::steps::{CallStep, StepKind};
use nexo_domain::customer_fields::CustomerFields;
use nexo_domain::ids::{AccountId, AttemptId, DeliveryId, EndpointId, KeyId};
use nexo_domain::money::Micros;
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::CarrierPlan;
use nexo_domain::webhook::{Event, HashedSecret};
use nexo_entities::Store;
use nexo_entities::store::accounts::NewAccount;
use nexo_entities::store::cluster::nodes::NodeStart;
use nexo_entities::store::deliveries::recovery::UnfinishedDelivery;
use nexo_entities::store::ledger::posting::{
    CallAttempt, CallQuality, Committed, Debit, DebitOutcome, NodeEpoch, Settlement, WalletCache,
};
use nexo_entities::store::ledger::wallets::Credit;
use nexo_entities::store::webhooks::endpoints::NewEndpoint;
use uuid::{NoContext, Timestamp, Uuid};

use crate::database::Database;

pub const NOW: i64 = 1_780_000_000_000;
pub const COST: i64 = 22_000;

pub struct World {
    pub store: Store,
    pub node: NodeEpoch,
    pub cache: WalletCache,
    pub account: AccountId,
}

impl World {
    /// A migrated database with one account that holds `balance` micro-dollars.
    pub async fn with_balance(database: &Database, balance: i64) -> World {
        let store = database.migrated().await;
        let account = account(&store, "a@example.com").await;
        if balance > 0 {
            credit(&store, account, Bucket::Balance, balance).await;
        }
        World::of(store, "n1", account).await
    }

    /// Another node's view of the same account.
    pub async fn beside(&self, database: &Database, node: &str) -> World {
        World::of(database.open().await, node, self.account).await
    }

    async fn of(store: Store, node: &str, account: AccountId) -> World {
        let node = store.cluster().start_node(NodeStart::exclusive(node, NOW)).await.unwrap();
        World { store, node, cache: WalletCache::new(), account }
    }

    pub async fn debit(&mut self, debits: &[Debit]) -> Vec<DebitOutcome> {
        self.commit(debits, &[]).await.debits
    }

    pub async fn settle(&mut self, settlements: &[Settlement]) -> Vec<bool> {
        self.commit(&[], settlements).await.settled
    }

    pub async fn commit(&mut self, debits: &[Debit], settlements: &[Settlement]) -> Committed {
        self.store.ledger().commit(&mut self.cache, &self.node, debits, settlements).await.unwrap()
    }

    /// Commits, but drops the future after this number of polls, as if the process died. Whether the commit
    /// took effect is unknown.
    pub async fn commit_cut_off(
        &mut self,
        debits: &[Debit],
        settlements: &[Settlement],
        mut polls: usize,
    ) {
        let commit = self.store.ledger().commit(&mut self.cache, &self.node, debits, settlements);
        let mut commit = std::pin::pin!(commit);
        std::future::poll_fn(|context| {
            if polls == 0 {
                return Poll::Ready(());
            }
            polls -= 1;
            commit.as_mut().poll(context).map(|_| ())
        })
        .await;
    }

    /// Another process takes over the database and settles the unfinished deliveries as refunded.
    pub async fn restart(&mut self, database: &Database) {
        self.store.clone().close().await.unwrap();
        let node = self.node.node.clone();
        *self = World::of(database.open().await, &node, self.account).await;
        self.store
            .deliveries()
            .settle_unfinished(&mut self.cache, &self.node, |_| false, interrupted)
            .await
            .unwrap();
    }

    pub async fn held(&self) -> Buckets {
        self.store.ledger().wallet(self.account).await.unwrap().unwrap()
    }

    /// Panics with the broken invariants, if any.
    pub async fn assert_sound(&self) {
        self.assert_sound_at(NOW).await;
    }

    pub async fn assert_sound_at(&self, now_ms: i64) {
        let checks = self.store.ledger().audit(now_ms).await.unwrap();
        let broken: Vec<_> = checks.iter().filter(|check| !check.ok).collect();
        assert!(broken.is_empty(), "{broken:?}");
    }
}

pub async fn account(store: &Store, email: &str) -> AccountId {
    let new = NewAccount {
        email,
        password_hash: None,
        operator: false,
        language: None,
        page_language: None,
        created_at_ms: NOW,
    };
    store.accounts().create(new).await.unwrap()
}

pub async fn credit(store: &Store, account: AccountId, bucket: Bucket, amount: i64) {
    let reference = Uuid::new_v4().to_string();
    let credit = Credit {
        account_id: account,
        bucket,
        amount: Micros::new(amount),
        reference: &reference,
        at_ms: NOW,
    };
    assert!(store.ledger().credit_wallet(credit).await.unwrap().new);
}

pub async fn endpoint(store: &Store, account: AccountId, url: &str) -> EndpointId {
    endpoint_for(store, account, url, "otp.*").await
}

/// An endpoint that receives `events`, a list with commas.
pub async fn endpoint_for(
    store: &Store,
    account: AccountId,
    url: &str,
    events: &str,
) -> EndpointId {
    let new = NewEndpoint {
        account_id: account,
        url,
        secret: HashedSecret::of("whsec_test"),
        events: events.parse().unwrap(),
        created_at_ms: NOW,
    };
    store.webhooks().add_endpoint(new).await.unwrap()
}

pub fn phone(number: u32) -> Phone {
    Phone::parse(&format!("+8498{number:07}"), &CarrierPlan::vietnam()).unwrap()
}

/// An OTP at the standard price to `phone(number)`, accepted at [`NOW`].
pub fn otp(account: AccountId, number: u32) -> Debit {
    let phone = phone(number);
    Debit {
        delivery_id: DeliveryId(Uuid::now_v7()),
        account_id: account,
        key_id: KeyId(Uuid::from_u128(7)),
        test: false,
        sandbox: false,
        fields: CustomerFields::default(),
        phone,
        carrier: phone.carrier(&CarrierPlan::vietnam()).unwrap(),
        cost: Micros::new(COST),
        created_at_ms: NOW,
        window_from_ms: NOW,
        window_until_ms: NOW + 30_000,
        idempotent: None,
        verification: None,
    }
}

/// The same OTP, accepted at another time.
pub fn otp_at(account: AccountId, number: u32, at_ms: i64) -> Debit {
    let ms = at_ms.unsigned_abs();
    let time = Timestamp::from_unix(NoContext, ms / 1000, (ms % 1000) as u32 * 1_000_000);
    Debit {
        delivery_id: DeliveryId(Uuid::new_v7(time)),
        created_at_ms: at_ms,
        window_from_ms: at_ms,
        window_until_ms: at_ms + 30_000,
        ..otp(account, number)
    }
}

/// The amounts that a debit took from each bucket. Panics if the debit was not posted.
pub fn paid(outcome: &DebitOutcome) -> Parts {
    match outcome {
        DebitOutcome::Posted { parts, .. } => *parts,
        other => panic!("not posted: {other:?}"),
    }
}

/// The event that an endpoint receives for a delivered OTP.
pub fn delivered_event(debit: &Debit) -> Event {
    Event {
        delivery_id: debit.delivery_id,
        phone: debit.phone,
        carrier: debit.carrier,
        status: Status::Delivered,
        cost: debit.cost,
        error_code: None,
        created_at_ms: debit.created_at_ms,
        completed_at_ms: NOW + 25_000,
        fields: CustomerFields::default(),
    }
}

pub fn delivered(debit: &Debit, parts: Parts) -> Settlement {
    Settlement {
        delivery_id: debit.delivery_id,
        account_id: debit.account_id,
        test: debit.test,
        phone: debit.phone,
        status: Status::Delivered,
        error_code: None,
        carrier_status: Some("success".into()),
        completed_at_ms: NOW + 25_000,
        parts,
        refund: false,
        release_window: false,
        attempts: vec![call(1)],
        event: None,
        trace: None,
        releases_key: None,
        takes_back: None,
    }
}

pub fn refunded(debit: &Debit, parts: Parts) -> Settlement {
    Settlement {
        status: Status::Failed,
        error_code: Some("carrier_error"),
        carrier_status: Some("503".into()),
        refund: true,
        ..delivered(debit, parts)
    }
}

/// The settlement of a delivery whose process died.
pub fn interrupted(unfinished: &UnfinishedDelivery) -> Settlement {
    let delivery = &unfinished.delivery;
    Settlement {
        delivery_id: delivery.id,
        account_id: delivery.account_id,
        test: delivery.test,
        phone: unfinished.phone,
        status: Status::Failed,
        error_code: Some("interrupted"),
        carrier_status: Some("interrupted".into()),
        completed_at_ms: NOW + 1,
        parts: unfinished.paid,
        refund: true,
        release_window: false,
        attempts: Vec::new(),
        event: Some(Event {
            delivery_id: delivery.id,
            phone: unfinished.phone,
            carrier: delivery.carrier,
            status: Status::Failed,
            cost: delivery.cost,
            error_code: Some("interrupted"),
            created_at_ms: delivery.created_at_ms,
            completed_at_ms: NOW + 1,
            fields: CustomerFields::default(),
        }),
        trace: None,
        releases_key: None,
        takes_back: None,
    }
}

/// An answered attempt; even numbers received no response.
pub fn call(number: u16) -> CallAttempt {
    let answered = number % 2 == 1;
    CallAttempt {
        steps: vec![CallStep { kind: StepKind::CodeRead, after_ms: 9_000 }],
        id: AttemptId(Uuid::now_v7()),
        number,
        gateway: format!("gw{number}"),
        call_id: format!("{number}@nexo"),
        started_at_ms: NOW,
        accepted_at_ms: answered.then_some(NOW + 100),
        ringing_at_ms: answered.then_some(NOW + 900),
        answered_at_ms: answered.then_some(NOW + 4_000),
        ended_at_ms: NOW + 25_000,
        sip_code: answered.then_some(200),
        end_reason: if answered { "played".into() } else { "silent".into() },
        codec: answered.then_some("PCMA".into()),
        packets_sent: if answered { 1_000 } else { 0 },
        packets_received: answered.then_some(990),
        quality: answered.then_some(CallQuality {
            loss_ppm: 12_500,
            jitter_us: 3_125,
            round_trip_us: (number == 1).then_some(48_000),
            mos_hundredths: 421,
        }),
    }
}
