//! The wallet actor: its queues, and when they are committed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, SpawnHandle, WrapFuture};
use nexo_domain::ids::AccountId;
use nexo_entities::store::Store;
use nexo_entities::store::ledger::posting::WalletCache;

use crate::node::lease::Lease;
use crate::supervised;
use crate::supervision::handle::Handle;
use crate::supervision::supervisor::ActorGuard;
use crate::wallet::batch::{Batch, BatchResult, Meters};
use crate::wallet::group_commit::GroupCommit;
use crate::wallet::messages::{
    DebitError, ForgetAll, ForgetWallet, PostDebit, SettleDelivery, StoreResponse,
};
use crate::webhook::{Wake, WebhookActor};

/// The most messages in the mailbox of a wallet actor.
pub const MAILBOX_CAPACITY: usize = 16_384;
/// The most debits that wait for their commit. Further debits are answered with 503.
pub const MAX_QUEUE: usize = 16_384;
/// The longest that a debit waits until its commit starts. If the store is slower, debits are answered with 503,
/// without charge: a longer queue would only make every client wait.
pub const MAX_WAIT: Duration = Duration::from_secs(1);
/// The most postings of each kind in one transaction.
pub const MAX_BATCH: usize = 1_024;

/// The wallet actors of a process.
#[derive(Clone)]
pub struct Wallets(Arc<Vec<Handle<Wallet>>>);

impl Wallets {
    /// # Panics
    /// When there is none.
    pub fn new(wallets: Vec<Handle<Wallet>>) -> Self {
        assert!(!wallets.is_empty(), "there must be at least one wallet actor");
        Self(Arc::new(wallets))
    }

    /// The actor that serializes this account's postings.
    pub fn of(&self, account: AccountId) -> &Handle<Wallet> {
        &self.0[self.lane(account)]
    }

    /// The index of that actor in [`Wallets::all`].
    pub fn lane(&self, account: AccountId) -> usize {
        let spread = account.0.as_u128() as usize;
        spread % self.0.len()
    }

    pub fn all(&self) -> &[Handle<Wallet>] {
        &self.0
    }
}

/// The wallet actor of a share of the accounts.
pub struct Wallet {
    store: Store,
    lease: Arc<Lease>,
    webhooks: Handle<WebhookActor>,
    /// `None` while a commit uses it.
    cache: Option<WalletCache>,
    /// Accounts that became stale while a commit used the cache.
    stale: Vec<AccountId>,
    is_all_stale: bool,
    /// Each with its arrival time, oldest first.
    debits: Vec<(Instant, PostDebit)>,
    /// At most one per saga, so at most as many as there are channels.
    settlements: Vec<SettleDelivery>,
    answers: Vec<StoreResponse>,
    is_commit_due: bool,
    /// Starts the next commit when the waiting postings have waited long enough for more.
    timer: Option<SpawnHandle>,
    group_commit: GroupCommit,
    meters: Meters,
    _guard: ActorGuard,
}

impl Wallet {
    pub fn new(
        store: Store,
        lease: Arc<Lease>,
        webhooks: Handle<WebhookActor>,
        guard: ActorGuard,
    ) -> Self {
        Self {
            store,
            lease,
            webhooks,
            cache: Some(WalletCache::default()),
            stale: Vec::new(),
            is_all_stale: false,
            debits: Vec::new(),
            settlements: Vec::new(),
            answers: Vec::new(),
            is_commit_due: false,
            timer: None,
            group_commit: GroupCommit::new(Instant::now()),
            meters: Meters::new(guard.role()),
            _guard: guard,
        }
    }

    /// Schedules a commit: after the messages that are in the mailbox now, or later if more postings are expected.
    fn commit_soon(&mut self, ctx: &mut Context<Self>) {
        let waiting = self.waiting();
        self.meters.waiting.set(waiting as f64);
        if self.cache.is_none() || self.is_commit_due || waiting == 0 {
            return;
        }
        if let Some(delay) = self.group_commit.wait(waiting, Instant::now()) {
            if self.timer.is_none() {
                self.timer = Some(ctx.run_later(delay, |wallet, ctx| {
                    wallet.timer = None;
                    wallet.commit(ctx);
                }));
            }
            return;
        }
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        self.is_commit_due = true;
        ctx.spawn(actix::fut::ready(()).map(|(), wallet: &mut Self, ctx| {
            wallet.is_commit_due = false;
            wallet.commit(ctx);
        }));
    }

    /// Refuses the `count` oldest waiting debits.
    fn refuse(&mut self, count: usize) {
        let count = count.min(self.debits.len());
        for (_, post) in self.debits.drain(..count) {
            let _ = post.reply.send(Err(DebitError::Overloaded));
        }
    }

    fn waiting(&self) -> usize {
        self.debits.len() + self.settlements.len() + self.answers.len()
    }

    fn commit(&mut self, ctx: &mut Context<Self>) {
        self.refuse_stale_debits(Instant::now());
        let Some(cache) = self.cache.take() else {
            return;
        };
        let batch = self.next_batch();
        let postings = batch.postings();
        if postings == 0 {
            self.cache = Some(cache);
            return;
        }
        self.group_commit.began(postings, Instant::now());
        self.meters.waiting.set(self.waiting() as f64);
        let committed =
            batch.commit(self.store.clone(), Arc::clone(&self.lease), cache, self.meters.clone());
        ctx.spawn(committed.into_actor(self).map(|(mut cache, result), wallet, ctx| {
            wallet.group_commit.ended(Instant::now());
            if std::mem::take(&mut wallet.is_all_stale) {
                cache = WalletCache::default();
            }
            for account in wallet.stale.drain(..) {
                cache.invalidate_wallet(account);
                cache.invalidate_endpoints(account);
            }
            wallet.cache = Some(cache);
            match result {
                BatchResult::Webhooks => {
                    // A full mailbox means that the actor is awake already.
                    let _ = wallet.webhooks.try_send(Wake);
                }
                BatchResult::NoWebhooks => {}
                // The debits that waited meanwhile would wait as long for the same failure.
                BatchResult::Failed => wallet.refuse(usize::MAX),
            }
            wallet.commit_soon(ctx);
        }));
    }
}

/// Takes as many as fit into one transaction.
fn take_batch<T>(waiting: &mut Vec<T>) -> Vec<T> {
    let count = waiting.len().min(MAX_BATCH);
    waiting.drain(..count).collect()
}

impl Wallet {
    /// Drops, without charge, the debits of disconnected clients, debits that waited too long, and debits that were
    /// admitted under a lease that has expired.
    fn refuse_stale_debits(&mut self, now: Instant) {
        let node = self.lease.current();
        let is_ours =
            |debit: &PostDebit| node.as_ref().is_some_and(|n| n.epoch == debit.node.epoch);
        let is_young = |since: Instant| now.saturating_duration_since(since) <= MAX_WAIT;
        let is_valid = |(since, debit): &(Instant, PostDebit)| {
            is_young(*since) && is_ours(debit) && !debit.reply.is_closed()
        };
        if self.debits.iter().all(is_valid) {
            return;
        }
        for debit in std::mem::take(&mut self.debits) {
            match is_valid(&debit) {
                true => self.debits.push(debit),
                false => {
                    let _ = debit.1.reply.send(Err(DebitError::Overloaded));
                }
            }
        }
    }

    /// The content of the next transaction. All of it belongs to one epoch.
    fn next_batch(&mut self) -> Batch {
        let now = self.lease.node();
        let node = self.settlements.first().map_or(&now, |first| &first.node);
        let node = Arc::clone(node);
        // The batch posts settlements first, so that its debits can spend the refunds.
        let same = |settle: &&SettleDelivery| settle.node.epoch == node.epoch;
        let settled = self.settlements.iter().take_while(same).count();
        Batch {
            settlements: self.settlements.drain(..settled.min(MAX_BATCH)).collect(),
            debits: match node.epoch == now.epoch {
                true => take_batch(&mut self.debits),
                false => Vec::new(),
            },
            answers: take_batch(&mut self.answers),
            node,
        }
    }
}

impl Actor for Wallet {
    type Context = Context<Self>;
}

supervised!(Wallet);

impl Handler<PostDebit> for Wallet {
    type Result = ();

    fn handle(&mut self, post: PostDebit, ctx: &mut Context<Self>) {
        let now = Instant::now();
        let oldest = self.debits.first().map_or(now, |(since, _)| *since);
        let is_slow = now.saturating_duration_since(oldest) > MAX_WAIT;
        if is_slow || self.debits.len() >= MAX_QUEUE {
            let _ = post.reply.send(Err(DebitError::Overloaded));
            return;
        }
        self.debits.push((now, post));
        self.commit_soon(ctx);
    }
}

impl Handler<SettleDelivery> for Wallet {
    type Result = ();

    fn handle(&mut self, settle: SettleDelivery, ctx: &mut Context<Self>) {
        self.settlements.push(settle);
        self.commit_soon(ctx);
    }
}

impl Handler<StoreResponse> for Wallet {
    type Result = ();

    fn handle(&mut self, answer: StoreResponse, ctx: &mut Context<Self>) {
        // A full queue drops the answer and its reply.
        if self.answers.len() < MAX_QUEUE {
            self.answers.push(answer);
            self.commit_soon(ctx);
        }
    }
}

impl Handler<ForgetWallet> for Wallet {
    type Result = ();

    fn handle(&mut self, ForgetWallet(account): ForgetWallet, _: &mut Context<Self>) {
        match &mut self.cache {
            Some(cache) => {
                cache.invalidate_wallet(account);
                cache.invalidate_endpoints(account);
            }
            None => self.stale.push(account),
        }
    }
}

impl Handler<ForgetAll> for Wallet {
    type Result = ();

    fn handle(&mut self, _: ForgetAll, _: &mut Context<Self>) {
        match &mut self.cache {
            Some(cache) => *cache = WalletCache::default(),
            None => self.is_all_stale = true,
        }
    }
}
