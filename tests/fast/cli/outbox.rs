//! Creates the pending webhook attempt of a finished OTP in the database.

use std::sync::Arc;

use nexo_domain::call::outcome::Status;
use nexo_domain::customer_fields::CustomerFields;
use nexo_domain::ids::{AccountId, DeliveryId, KeyId, WebhookAttemptId};
use nexo_domain::money::Micros;
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::CarrierPlan;
use nexo_domain::webhook::Event;
use nexo_entities::store::Store;
use nexo_entities::store::cluster::nodes::NodeStart;
use nexo_entities::store::ledger::posting::{
    Debit, DebitOutcome, NodeEpoch, Settlement, WalletCache,
};
use uuid::Uuid;

/// A pending webhook attempt and its body.
pub struct PendingAttempt {
    pub id: WebhookAttemptId,
    pub body: String,
}

/// Debits and settles an OTP without cost and returns its webhook attempt.
pub async fn finished_otp(store: &Store, account: AccountId) -> PendingAttempt {
    let node = NodeEpoch {
        node: Arc::from("test"),
        epoch: store.cluster().start_node(NodeStart::exclusive("test", 1)).await.unwrap().epoch,
    };
    let plan = CarrierPlan::vietnam();
    let phone = Phone::parse("+84981234567", &plan).unwrap();
    let delivery_id = DeliveryId(Uuid::now_v7());
    let debit = Debit {
        delivery_id,
        account_id: account,
        key_id: KeyId(Uuid::now_v7()),
        test: false,
        sandbox: false,
        fields: CustomerFields::default(),
        phone,
        carrier: phone.carrier(&plan).unwrap(),
        cost: Micros::ZERO,
        created_at_ms: 1,
        window_from_ms: 1,
        window_until_ms: 2,
        idempotent: None,
        verification: None,
    };
    let mut cache = WalletCache::default();
    let committed = store.ledger().commit(&mut cache, &node, &[debit], &[]).await.unwrap();
    let [DebitOutcome::Posted { parts, .. }] = committed.debits[..] else {
        panic!("{committed:?}");
    };
    let event = Event {
        delivery_id,
        phone,
        carrier: phone.carrier(&plan).unwrap(),
        status: Status::Delivered,
        cost: Micros::ZERO,
        error_code: None,
        created_at_ms: 1,
        completed_at_ms: 3,
        fields: CustomerFields::default(),
    };
    let settlement = Settlement {
        delivery_id,
        account_id: account,
        test: false,
        phone,
        status: Status::Delivered,
        error_code: None,
        carrier_status: Some("success".into()),
        completed_at_ms: 3,
        parts,
        refund: false,
        release_window: false,
        attempts: Vec::new(),
        event: Some(event.clone()),
        trace: None,
        releases_key: None,
        takes_back: None,
    };
    store.ledger().commit(&mut cache, &node, &[], &[settlement]).await.unwrap();
    let attempts = store.webhooks().delivery_attempts(delivery_id).await.unwrap();
    assert_eq!(attempts.len(), 1);
    PendingAttempt { id: attempts[0].id, body: event.body() }
}
