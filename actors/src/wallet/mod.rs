//! Wallet actors: debits and settlements, many to a transaction.
//!
//! An account always maps to the same actor, so its postings are serial without a lock. The actor
//! commits whatever is waiting, many postings for one fsync (group commit). The batch is 1 when idle
//! and grows by itself under load (see [`Pace`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, SpawnHandle, WrapFuture,
};
use nexo_domain::ids::AccountId;
use nexo_entities::store::Store;
use nexo_entities::store::ledger::posting::{
    Debit, DebitOutcome, Keep, NodeEpoch, Settlement, WalletCache,
};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::node::lease::Lease;
use crate::supervised;
use crate::supervision::supervisor::{Handle, LifeLine};
use crate::wallet::group_commit::Pace;
use crate::webhook::{Wake, WebhookDesk};

mod batch;
pub(super) mod group_commit;

pub use batch::WRITE_WITHIN;
use batch::{Batch, CameTo, Meters};

/// The most messages that wait in a wallet actor's mailbox.
pub const MAILBOX: usize = 16_384;
/// The most debits that wait for their commit; past it the customer is told 503.
pub const LONGEST_QUEUE: usize = 16_384;
/// The longest that a debit waits for its commit to begin. Where the store is so slow, more debits only make
/// everybody wait: the customer is told 503, and nothing is taken.
pub const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// The most postings in one transaction.
pub const LARGEST_BATCH: usize = 1_024;
/// Take an OTP's price, and write its delivery and window.
pub struct PostDebit {
    pub debit: Debit,
    /// The life in which it was admitted; in another one it is refused.
    pub node: Arc<NodeEpoch>,
    pub reply: oneshot::Sender<Result<DebitOutcome, Refused>>,
}

impl Message for PostDebit {
    type Result = ();
}

/// Why a debit has no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    #[error(
        "too many debits are waiting, the store is down or full, or the lease has ended; nothing was taken"
    )]
    Overloaded,
    #[error("the connection was lost during a commit; the debit may have been posted")]
    InDoubt,
    #[error("the store failed; nothing was taken")]
    Failed,
}

/// Make a delivery terminal, once.
pub struct SettleDelivery {
    pub settlement: Settlement,
    /// The life in which the delivery was paid for; in another one it is not ours to settle.
    pub node: Arc<NodeEpoch>,
    /// Told when it is durable, or never will be by this process; dropped when it is not known to be.
    pub reply: oneshot::Sender<Result<(), StoreStopped>>,
}

/// The disk failed: what is not written is settled by the next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the store writes nothing more until the process is started anew")]
pub struct StoreStopped;

impl Message for SettleDelivery {
    type Result = ();
}

/// Keep an answer under an idempotency key.
pub struct KeepAnswer {
    pub keep: Keep,
    /// Told when it is durable, and whether it was written; dropped when that is not known.
    pub reply: oneshot::Sender<bool>,
}

impl Message for KeepAnswer {
    type Result = ();
}

/// A wallet was changed by somebody else: what is remembered of it is stale.
#[derive(Clone, Copy)]
pub struct ForgetWallet(pub AccountId);

impl Message for ForgetWallet {
    type Result = ();
}

/// Changes may have been missed: what is remembered is stale.
#[derive(Clone, Copy)]
pub struct ForgetAll;

impl Message for ForgetAll {
    type Result = ();
}

/// The wallet actors of a process.
#[derive(Clone)]
pub struct Wallets(Arc<Vec<Handle<Wallet>>>);

impl Wallets {
    /// # Panics
    /// When there is none.
    pub fn new(wallets: Vec<Handle<Wallet>>) -> Self {
        assert!(
            !wallets.is_empty(),
            "a gateway has at least one wallet actor"
        );
        Self(Arc::new(wallets))
    }

    /// The actor that serializes this account's postings.
    pub fn of(&self, account: AccountId) -> &Handle<Wallet> {
        &self.0[self.lane(account)]
    }

    /// That actor's place among all.
    pub fn lane(&self, account: AccountId) -> usize {
        let spread = account.0.as_u128() as usize;
        spread % self.0.len()
    }

    pub fn all(&self) -> &[Handle<Wallet>] {
        &self.0
    }
}

/// The actor.
pub struct Wallet {
    store: Store,
    lease: Arc<Lease>,
    webhooks: Handle<WebhookDesk>,
    /// `None` while a commit is using it.
    cache: Option<WalletCache>,
    /// Told while a commit had the cache; forgotten when it is back.
    stale: Vec<AccountId>,
    all_is_stale: bool,
    /// With the time since when each waits, the oldest first.
    debits: Vec<(Instant, PostDebit)>,
    /// One a saga at most, and so as many as there are channels.
    settlements: Vec<SettleDelivery>,
    answers: Vec<KeepAnswer>,
    commit_is_due: bool,
    /// Wakes the actor when those that wait have waited long enough for company.
    alarm: Option<SpawnHandle>,
    pace: Pace,
    meters: Meters,
    _life_line: LifeLine,
}

impl Wallet {
    pub fn new(
        store: Store,
        lease: Arc<Lease>,
        webhooks: Handle<WebhookDesk>,
        life_line: LifeLine,
    ) -> Self {
        Self {
            store,
            lease,
            webhooks,
            cache: Some(WalletCache::default()),
            stale: Vec::new(),
            all_is_stale: false,
            debits: Vec::new(),
            settlements: Vec::new(),
            answers: Vec::new(),
            commit_is_due: false,
            alarm: None,
            pace: Pace::new(Instant::now()),
            meters: Meters::new(life_line.role()),
            _life_line: life_line,
        }
    }

    /// Starts a commit when it is time: once everything that is in the mailbox now has been taken in,
    /// or when the alarm rings.
    fn commit_soon(&mut self, ctx: &mut Context<Self>) {
        let waiting = self.waiting();
        self.meters.waiting.set(waiting as f64);
        if self.cache.is_none() || self.commit_is_due || waiting == 0 {
            return;
        }
        if let Some(wait) = self.pace.wait(waiting, Instant::now()) {
            if self.alarm.is_none() {
                self.alarm = Some(ctx.run_later(wait, |wallet, ctx| {
                    wallet.alarm = None;
                    wallet.commit(ctx);
                }));
            }
            return;
        }
        if let Some(alarm) = self.alarm.take() {
            ctx.cancel_future(alarm);
        }
        self.commit_is_due = true;
        ctx.spawn(actix::fut::ready(()).map(|(), wallet: &mut Self, ctx| {
            wallet.commit_is_due = false;
            wallet.commit(ctx);
        }));
    }

    /// Tells the first so many debits that wait that they were not taken.
    fn refuse(&mut self, count: usize) {
        let count = count.min(self.debits.len());
        for (_, post) in self.debits.drain(..count) {
            let _ = post.reply.send(Err(Refused::Overloaded));
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
        self.pace.began(postings, Instant::now());
        self.meters.waiting.set(self.waiting() as f64);
        let committed = batch.commit(
            self.store.clone(),
            Arc::clone(&self.lease),
            cache,
            self.meters.clone(),
        );
        ctx.spawn(
            committed
                .into_actor(self)
                .map(|(mut cache, came_to), wallet, ctx| {
                    wallet.pace.ended(Instant::now());
                    if std::mem::take(&mut wallet.all_is_stale) {
                        cache = WalletCache::default();
                    }
                    for account in wallet.stale.drain(..) {
                        cache.forget_wallet(account);
                        cache.forget_endpoints(account);
                    }
                    wallet.cache = Some(cache);
                    match came_to {
                        CameTo::Webhooks => {
                            // A full mailbox means that it is awake already.
                            let _ = wallet.webhooks.try_send(Wake);
                        }
                        CameTo::NoWebhooks => {}
                        // Those that waited meanwhile would wait as long for the same.
                        CameTo::Nothing => wallet.refuse(usize::MAX),
                    }
                    wallet.commit_soon(ctx);
                }),
        );
    }
}

/// As many as one transaction takes.
fn first_of<T>(waiting: &mut Vec<T>) -> Vec<T> {
    let count = waiting.len().min(LARGEST_BATCH);
    waiting.drain(..count).collect()
}

impl Wallet {
    /// Nothing is taken for whoever has gone or has waited for too long, nor for what was admitted under a
    /// lease that has ended.
    fn refuse_stale_debits(&mut self, now: Instant) {
        let node = self.lease.current();
        let is_ours =
            |debit: &PostDebit| node.as_ref().is_some_and(|n| n.epoch == debit.node.epoch);
        let is_young = |since: Instant| now.saturating_duration_since(since) <= LONGEST_WAIT;
        let posted = |(since, debit): &(Instant, PostDebit)| {
            is_young(*since) && is_ours(debit) && !debit.reply.is_closed()
        };
        if self.debits.iter().all(posted) {
            return;
        }
        for debit in std::mem::take(&mut self.debits) {
            match posted(&debit) {
                true => self.debits.push(debit),
                false => {
                    let _ = debit.1.reply.send(Err(Refused::Overloaded));
                }
            }
        }
    }

    /// What the next transaction writes, all of one life.
    fn next_batch(&mut self) -> Batch {
        let now = self.lease.node();
        let node = self.settlements.first().map_or(&now, |first| &first.node);
        let node = Arc::clone(node);
        // Settlements first: what they give back can be spent in the same batch.
        let same = |settle: &&SettleDelivery| settle.node.epoch == node.epoch;
        let settled = self.settlements.iter().take_while(same).count();
        Batch {
            settlements: self
                .settlements
                .drain(..settled.min(LARGEST_BATCH))
                .collect(),
            debits: match node.epoch == now.epoch {
                true => first_of(&mut self.debits),
                false => Vec::new(),
            },
            answers: first_of(&mut self.answers),
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
        let is_slow = now.saturating_duration_since(oldest) > LONGEST_WAIT;
        if is_slow || self.debits.len() >= LONGEST_QUEUE {
            let _ = post.reply.send(Err(Refused::Overloaded));
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

impl Handler<KeepAnswer> for Wallet {
    type Result = ();

    fn handle(&mut self, answer: KeepAnswer, ctx: &mut Context<Self>) {
        // Not to be kept for want of room: the reply is dropped.
        if self.answers.len() < LONGEST_QUEUE {
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
                cache.forget_wallet(account);
                cache.forget_endpoints(account);
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
            None => self.all_is_stale = true,
        }
    }
}
