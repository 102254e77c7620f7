//! Writes past deliveries to a gateway's database.

use nexo_domain::call::outcome::Status;
use nexo_domain::customer_fields::CustomerFields;
use nexo_domain::ids::{AccountId, DeliveryId, KeyId};
use nexo_domain::money::Micros;
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::CarrierPlan;
use nexo_domain::webhook::Event;
use nexo_entities::Store;
use nexo_entities::store::cluster::nodes::NodeStart;
use nexo_entities::store::ledger::posting::{
    CallAttempt, Debit, DebitOutcome, NodeEpoch, Settlement, WalletCache,
};
use uuid::{NoContext, Timestamp, Uuid};

use crate::{Customer, Gateway};

/// 2026-05-25T10:00:00Z.
pub const NOON: i64 = 1_779_703_200_000;

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_millis() as i64
}

/// A connection to a gateway's database that writes deliveries in the same way as the gateway.
pub struct Past {
    pub store: Store,
    node: NodeEpoch,
    cache: WalletCache,
    account: AccountId,
    key: KeyId,
}

impl Past {
    pub async fn of(gateway: &Gateway, customer: &Customer, email: &str) -> Past {
        let store = Store::connect(&gateway.database_url(), 2).await.unwrap();
        let account = store.accounts().by_email(email).await.unwrap().unwrap();
        Past {
            // The lease outlasts the test. Otherwise the gateway would take over this node's deliveries.
            node: store
                .cluster()
                .start_node(NodeStart {
                    lease_ms: 50_000,
                    longest_call_ms: 3_600_000,
                    ..NodeStart::exclusive("past", now_ms())
                })
                .await
                .unwrap(),
            cache: WalletCache::new(),
            account: account.id,
            key: KeyId(customer.key_id.parse().unwrap()),
            store,
        }
    }

    /// Writes `count` deliveries, 100 per second from `NOON` on. Every third one failed and is refunded; the others
    /// are delivered.
    pub async fn deliveries(&mut self, count: u32) {
        let plan = CarrierPlan::vietnam();
        let numbers: Vec<u32> = (0..count).collect();
        for numbers in numbers.chunks(500) {
            let debits: Vec<Debit> = numbers.iter().map(|n| self.debit(*n, &plan)).collect();
            let committed = self
                .store
                .ledger()
                .commit(&mut self.cache, &self.node, &debits, &[])
                .await
                .unwrap();
            let ends: Vec<Settlement> = debits
                .iter()
                .zip(&committed.debits)
                .zip(numbers)
                .map(|((debit, outcome), n)| {
                    end(debit, outcome, (n % 3 == 0).then_some("carrier_error"), Vec::new())
                })
                .collect();
            let ended =
                self.store.ledger().commit(&mut self.cache, &self.node, &[], &ends).await.unwrap();
            assert!(ended.settled.iter().all(|settled| *settled));
        }
    }

    /// Writes these deliveries.
    pub async fn otps(&mut self, otps: Vec<PastOtp>) {
        let plan = CarrierPlan::vietnam();
        for otps in otps.chunks(500) {
            let debits: Vec<Debit> = otps
                .iter()
                .map(|otp| self.debit_at(Phone::parse(&otp.phone, &plan).unwrap(), otp.at_ms))
                .collect();
            let ledger = self.store.ledger();
            let committed = ledger.commit(&mut self.cache, &self.node, &debits, &[]).await.unwrap();
            let ends: Vec<Settlement> = debits
                .iter()
                .zip(&committed.debits)
                .zip(otps)
                .map(|((debit, outcome), otp)| {
                    end(debit, outcome, otp.error_code, otp.attempts.clone())
                })
                .collect();
            let ended = ledger.commit(&mut self.cache, &self.node, &[], &ends).await.unwrap();
            assert!(ended.settled.iter().all(|settled| *settled));
        }
    }

    /// Writes a delivered OTP of a test key and returns its id.
    pub async fn test_delivery(&mut self, number: u32) -> DeliveryId {
        let debit =
            Debit { test: true, cost: Micros::ZERO, ..self.debit(number, &CarrierPlan::vietnam()) };
        let ledger = self.store.ledger();
        let debits = std::slice::from_ref(&debit);
        let committed = ledger.commit(&mut self.cache, &self.node, debits, &[]);
        let outcome = committed.await.unwrap().debits.remove(0);
        let ends = [end(&debit, &outcome, None, Vec::new())];
        let committed = ledger.commit(&mut self.cache, &self.node, &[], &ends);
        assert_eq!(committed.await.unwrap().settled, [true]);
        debit.delivery_id
    }

    fn debit(&self, number: u32, plan: &CarrierPlan) -> Debit {
        let prefix = if number.is_multiple_of(10) { 91 } else { 98 };
        let phone = Phone::parse(&format!("+84{prefix}{number:07}"), plan).unwrap();
        self.debit_at(phone, NOON + i64::from(number) * 10)
    }

    fn debit_at(&self, phone: Phone, at: i64) -> Debit {
        let plan = &CarrierPlan::vietnam();
        let (seconds, nanos) = ((at / 1_000) as u64, (at % 1_000) as u32 * 1_000_000);
        let id = Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, nanos));
        Debit {
            delivery_id: DeliveryId(id),
            account_id: self.account,
            key_id: self.key,
            test: false,
            sandbox: false,
            fields: CustomerFields::default(),
            phone,
            carrier: phone.carrier(plan).unwrap(),
            cost: Micros::new(22_000),
            created_at_ms: at,
            window_from_ms: at,
            window_until_ms: at,
            idempotent: None,
            verification: None,
        }
    }
}

/// A delivery that `Past::otps` writes.
#[derive(Debug, Clone)]
pub struct PastOtp {
    pub at_ms: i64,
    pub phone: String,
    /// `None` if it was delivered.
    pub error_code: Option<&'static str>,
    pub attempts: Vec<CallAttempt>,
}

/// The end of a delivery. Failures of the carrier are refunded.
fn end(
    debit: &Debit,
    outcome: &DebitOutcome,
    error_code: Option<&'static str>,
    attempts: Vec<CallAttempt>,
) -> Settlement {
    let DebitOutcome::Posted { parts, .. } = outcome else {
        panic!("not posted: {outcome:?}");
    };
    let failed = error_code.is_some();
    let status = if failed { Status::Failed } else { Status::Delivered };
    let event = Event {
        delivery_id: debit.delivery_id,
        phone: debit.phone,
        carrier: debit.carrier,
        status,
        cost: debit.cost,
        error_code,
        created_at_ms: debit.created_at_ms,
        completed_at_ms: debit.created_at_ms + 20_000,
        fields: CustomerFields::default(),
    };
    Settlement {
        delivery_id: debit.delivery_id,
        account_id: debit.account_id,
        test: debit.test,
        phone: debit.phone,
        status,
        error_code,
        carrier_status: Some(if failed { "503" } else { "success" }.into()),
        completed_at_ms: debit.created_at_ms + 20_000,
        parts: *parts,
        refund: matches!(error_code, Some("carrier_error" | "interrupted" | "no_route")),
        release_window: false,
        attempts,
        event: Some(event),
        trace: None,
        releases_key: None,
        takes_back: None,
    }
}
