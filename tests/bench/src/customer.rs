//! An account with more money than a run can spend, and its API key.

use anyhow::Context;
use nexo_actors::clock::unix_ms;
use nexo_domain::account::api_key::{ApiKey, KeyMode};
use nexo_domain::billing::ledger::Bucket;
use nexo_domain::customer_fields::CustomerFields;
use nexo_domain::ids::{AccountId, DeliveryId, KeyId};
use nexo_domain::money::Micros;
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::CarrierPlan;
use nexo_domain::phone::window::window_until_ms;
use nexo_entities::store::Store;
use nexo_entities::store::accounts::NewAccount;
use nexo_entities::store::accounts::api_keys::NewKey;
use nexo_entities::store::ledger::posting::Debit;
use nexo_entities::store::ledger::wallets::Credit;
use uuid::Uuid;

const CASH: Micros = Micros::new(1_000_000_000_000);
pub const COST: Micros = Micros::new(22_000);

pub struct Customer {
    pub account_id: AccountId,
    pub key: ApiKey,
}

impl Customer {
    pub async fn create(store: &Store) -> anyhow::Result<Customer> {
        Customer::named(store, "bench@example.com").await
    }

    /// A customer with this e-mail address.
    pub async fn named(store: &Store, email: &str) -> anyhow::Result<Customer> {
        Customer::with_key(store, rich_account(store, email).await?).await
    }

    /// A customer with an empty wallet.
    pub async fn penniless(store: &Store, email: &str) -> anyhow::Result<Customer> {
        Customer::with_key(store, account(store, email).await?).await
    }

    async fn with_key(store: &Store, account_id: AccountId) -> anyhow::Result<Customer> {
        let random: Vec<u8> =
            std::iter::repeat_with(Uuid::new_v4).take(8).flat_map(Uuid::into_bytes).collect();
        let key = ApiKey::from_random(KeyMode::Live, &random)?;
        store
            .accounts()
            .create_key(NewKey {
                account_id,
                name: "bench",
                hash: key.hash(),
                hint: key.hint(),
                test: false,
                allowlist: &[],
                created_at_ms: unix_ms(),
            })
            .await?;
        Ok(Customer { account_id, key })
    }
}

/// Creates an account with this address and more money than a run can spend.
pub async fn rich_account(store: &Store, email: &str) -> anyhow::Result<AccountId> {
    let account_id = account(store, email).await?;
    store
        .ledger()
        .credit_wallet(Credit {
            account_id,
            bucket: Bucket::Balance,
            amount: CASH,
            reference: "bench",
            at_ms: unix_ms(),
        })
        .await?;
    Ok(account_id)
}

async fn account(store: &Store, email: &str) -> anyhow::Result<AccountId> {
    let new = NewAccount {
        email,
        password_hash: None,
        operator: false,
        language: None,
        page_language: None,
        created_at_ms: unix_ms(),
    };
    Ok(store.accounts().create(new).await?)
}

/// Ten million phones, in an order that looks random to the database.
pub struct Phones {
    plan: CarrierPlan,
    next: u32,
}

impl Phones {
    pub fn new() -> Phones {
        Phones { plan: CarrierPlan::vietnam(), next: 0 }
    }

    /// Leaves out this many phones.
    pub fn skip(&mut self, count: u32) {
        for _ in 0..count {
            self.take();
        }
    }

    pub fn take(&mut self) -> Phone {
        self.next = (self.next + 7_368_787) % 10_000_000;
        Phone::parse(&format!("+8498{:07}", self.next), &self.plan)
            .expect("+8498 and seven digits is a mobile number")
    }

    /// A debit of [`COST`] for the next phone.
    pub fn debit(&mut self, account_id: AccountId) -> anyhow::Result<Debit> {
        let phone = self.take();
        let now_ms = unix_ms();
        Ok(Debit {
            delivery_id: DeliveryId(Uuid::now_v7()),
            account_id,
            key_id: KeyId(account_id.0),
            test: false,
            sandbox: false,
            fields: CustomerFields::default(),
            phone,
            carrier: phone.carrier(&self.plan).context("a mobile number has a carrier")?,
            cost: COST,
            created_at_ms: now_ms,
            window_from_ms: now_ms,
            window_until_ms: window_until_ms(now_ms),
            idempotent: None,
            verification: None,
        })
    }
}
