//! Fills an account with past deliveries.

use anyhow::ensure;
use nexo_actors::clock::unix_ms;
use nexo_domain::call::outcome::Status;
use nexo_domain::ids::{AccountId, DeliveryId};
use nexo_domain::phone::Phone;
use nexo_entities::store::Store;
use nexo_entities::store::cluster::nodes::NodeStart;
use nexo_entities::store::ledger::posting::{
    Debit, DebitOutcome, NodeEpoch, Settlement, WalletCache,
};
use uuid::{NoContext, Timestamp, Uuid};

use crate::customer::{Customer, Phones};

/// OTPs per transaction.
const MAX_BATCH: usize = 500;
/// The rate at which they were sent, per second.
pub const RATE: i64 = 100;
/// One delivery in this many failed.
const FAILURE_INTERVAL: usize = 10;

/// Writes deliveries into the database, with times in the past.
pub struct Filling {
    pub store: Store,
    pub customer: Customer,
    node: NodeEpoch,
    cache: WalletCache,
    phones: Phones,
    pub since_ms: i64,
    pub filled: usize,
    /// The first phone, and its delivery.
    pub sample: Option<(Phone, DeliveryId)>,
}

impl Filling {
    /// A filling of the customer's account with this many deliveries up to now.
    pub async fn start(
        store: Store,
        customer: Customer,
        deliveries: usize,
    ) -> anyhow::Result<Filling> {
        Ok(Filling {
            node: store.cluster().start_node(NodeStart::exclusive("past", unix_ms())).await?,
            customer,
            cache: WalletCache::new(),
            phones: Phones::new(),
            since_ms: unix_ms() - deliveries as i64 * 1_000 / RATE,
            filled: 0,
            sample: None,
            store,
        })
    }

    /// Writes until there are this many.
    pub async fn to(&mut self, deliveries: usize) -> anyhow::Result<()> {
        while self.filled < deliveries {
            let count = MAX_BATCH.min(deliveries - self.filled);
            let debits = self.debits(count)?;
            let committed = self.commit(&debits, &[]).await?;
            let ends: Vec<Settlement> = debits
                .iter()
                .zip(committed)
                .enumerate()
                .map(|(n, (debit, outcome))| ended(debit, outcome, n % FAILURE_INTERVAL == 0))
                .collect::<anyhow::Result<_>>()?;
            self.commit(&[], &ends).await?;
            self.filled += count;
        }
        Ok(())
    }

    fn debits(&mut self, count: usize) -> anyhow::Result<Vec<Debit>> {
        let account: AccountId = self.customer.account_id;
        let mut debits = Vec::with_capacity(count);
        for n in self.filled..self.filled + count {
            let created_at_ms = self.since_ms + n as i64 * 1_000 / RATE;
            let (seconds, ms) = (created_at_ms / 1_000, created_at_ms % 1_000);
            let time = Timestamp::from_unix(NoContext, seconds as u64, ms as u32 * 1_000_000);
            let debit = Debit {
                delivery_id: DeliveryId(Uuid::new_v7(time)),
                created_at_ms,
                window_from_ms: created_at_ms,
                window_until_ms: created_at_ms,
                ..self.phones.debit(account)?
            };
            self.sample.get_or_insert((debit.phone, debit.delivery_id));
            debits.push(debit);
        }
        Ok(debits)
    }

    async fn commit(
        &mut self,
        debits: &[Debit],
        ends: &[Settlement],
    ) -> anyhow::Result<Vec<DebitOutcome>> {
        let done = self.store.ledger().commit(&mut self.cache, &self.node, debits, ends).await?;
        ensure!(done.settled.iter().all(|settled| *settled), "a delivery was not settled");
        Ok(done.debits)
    }
}

fn ended(debit: &Debit, outcome: DebitOutcome, failed: bool) -> anyhow::Result<Settlement> {
    let DebitOutcome::Posted { parts, .. } = outcome else {
        anyhow::bail!("a debit was refused: {outcome:?}");
    };
    Ok(Settlement {
        delivery_id: debit.delivery_id,
        account_id: debit.account_id,
        test: false,
        phone: debit.phone,
        status: match failed {
            true => Status::Failed,
            false => Status::Delivered,
        },
        error_code: failed.then_some("carrier_error"),
        carrier_status: Some(if failed { "503" } else { "success" }.into()),
        completed_at_ms: debit.created_at_ms + 20_000,
        parts,
        refund: failed,
        release_window: false,
        attempts: Vec::new(),
        event: None,
        trace: None,
        releases_key: None,
        takes_back: None,
    })
}
