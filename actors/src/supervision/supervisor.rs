//! Replaces actors that exit or freeze by new ones with reloaded state.
//!
//! actix's own `Supervisor` does not survive a panic in a handler, and keeps the same struct on `stop`. Here
//! every actor runs a role, and each role has a factory and a back-off of its own. An exit is noticed at once,
//! because the actor's [`ActorGuard`] is dropped with it. A freeze is noticed by the heartbeat.
//!
//! | event | reaction |
//! |---|---|
//! | the guard is dropped | a new actor from the factory, after a back-off that doubles |
//! | no answer to a heartbeat within [`HEARTBEAT_TIMEOUT`] | the same on a new thread; the old actor receives [`Supervise::Retire`] |
//! | [`MAX_RESTARTS`](super::back_off::MAX_RESTARTS) restarts of one role within a minute | the escalation hook is called |

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix::dev::MessageResponse;
use actix::{Actor, Addr, Context, Handler, Message};
use actix_rt::{Arbiter, ArbiterHandle};
use arc_swap::ArcSwap;
use futures_util::future::{FutureExt, LocalBoxFuture, join_all};
use metrics::Counter;
use tokio::sync::oneshot;

use crate::clock;
use crate::supervision::back_off::BackOff;
use crate::supervision::handle::Handle;

/// How often every actor receives a heartbeat.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(500);
/// An actor that does not answer a heartbeat for this long is replaced.
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(5);

/// What the supervisor sends to every actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervise {
    /// Answer, to show that the actor works.
    Heartbeat,
    /// The actor has been replaced: stop.
    Retire,
    /// Panic, so that a test can see the replacement.
    #[cfg(debug_assertions)]
    Panic,
}

impl Message for Supervise {
    type Result = ();
}

/// Implements supervision for an actor, and the measuring of messages sent through its [`Handle`].
#[macro_export]
macro_rules! supervised {
    ($actor:ty) => {
        impl actix::Handler<$crate::supervision::supervisor::Supervise> for $actor {
            type Result = ();

            fn handle(
                &mut self,
                order: $crate::supervision::supervisor::Supervise,
                ctx: &mut Self::Context,
            ) {
                match order {
                    $crate::supervision::supervisor::Supervise::Heartbeat => {}
                    $crate::supervision::supervisor::Supervise::Retire => {
                        actix::ActorContext::stop(ctx)
                    }
                    #[cfg(debug_assertions)]
                    $crate::supervision::supervisor::Supervise::Panic => {
                        panic!("provoked by a test")
                    }
                }
            }
        }

        impl<M> actix::Handler<$crate::supervision::mailbox::Measured<M>> for $actor
        where
            M: actix::Message,
            Self: actix::Handler<M>,
        {
            type Result = $crate::supervision::mailbox::Answer<<Self as actix::Handler<M>>::Result>;

            fn handle(
                &mut self,
                measured: $crate::supervision::mailbox::Measured<M>,
                ctx: &mut Self::Context,
            ) -> Self::Result {
                let (message, _handling) = measured.begin();
                $crate::supervision::mailbox::Answer(actix::Handler::<M>::handle(
                    self, message, ctx,
                ))
            }
        }
    };
}

/// Held by an actor. Its drop tells the supervisor that the actor has exited, for whatever reason.
#[derive(Debug)]
pub struct ActorGuard {
    role: Arc<str>,
    _exit: oneshot::Sender<Infallible>,
}

impl ActorGuard {
    /// The role's name in metrics and logs.
    pub fn role(&self) -> &str {
        &self.role
    }
}

/// One actor of a role, until it is replaced.
struct Generation<A: Actor> {
    address: Addr<A>,
    /// Resolves, with an error, when the actor's guard is dropped.
    exits: oneshot::Receiver<Infallible>,
}

/// Why an actor is replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    Exited,
    Frozen,
}

type Factory<A> = Arc<dyn Fn(ActorGuard) -> A + Send + Sync>;

/// A role and the actor that currently runs it.
struct Role<A: Actor> {
    name: Arc<str>,
    capacity: usize,
    factory: Factory<A>,
    thread: ArbiterHandle,
    generation: Generation<A>,
    current: Arc<ArcSwap<Addr<A>>>,
    restarts: Counter,
}

/// Starts the next actor of a role.
fn start<A>(
    name: &Arc<str>,
    thread: &ArbiterHandle,
    capacity: usize,
    factory: &Factory<A>,
) -> Generation<A>
where
    A: Actor<Context = Context<A>>,
{
    let (exit, exits) = oneshot::channel();
    let guard = ActorGuard { role: Arc::clone(name), _exit: exit };
    let factory = Arc::clone(factory);
    let address = A::start_in_arbiter(thread, move |ctx| {
        ctx.set_mailbox_capacity(capacity);
        factory(guard)
    });
    Generation { address, exits }
}

impl<A> Role<A>
where
    A: Actor<Context = Context<A>> + Handler<Supervise>,
    <A as Handler<Supervise>>::Result: MessageResponse<A, Supervise>,
{
    /// Waits until the current actor exits or freezes.
    async fn failure(&mut self, heartbeat: &mut tokio::time::Interval) -> Failure {
        let Generation { address, exits } = &mut self.generation;
        let frozen = async {
            loop {
                heartbeat.tick().await;
                let answer = address.send(Supervise::Heartbeat);
                let answer = tokio::time::timeout(HEARTBEAT_TIMEOUT, answer).await;
                if !matches!(answer, Ok(Ok(()))) {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            _ = exits => Failure::Exited,
            () = frozen => Failure::Frozen,
        }
    }

    fn replace(&mut self, failure: Failure) {
        if failure == Failure::Frozen {
            self.thread = Arbiter::new().handle();
        }
        self.restarts.increment(1);
        self.generation = start(&self.name, &self.thread, self.capacity, &self.factory);
        let new = Arc::new(self.generation.address.clone());
        let old = self.current.swap(new);
        // `try_send` would fail on a full mailbox, and the old actor must stop all the same.
        old.do_send(Supervise::Retire);
    }
}

/// Supervises a role, whatever the type of its actor.
trait Supervised: Send {
    fn supervise<'s>(
        self: Box<Self>,
        health: &'s Health,
        escalate: &'s dyn Fn(&str),
    ) -> LocalBoxFuture<'s, ()>;
}

impl<A> Supervised for Role<A>
where
    A: Actor<Context = Context<A>> + Handler<Supervise>,
    <A as Handler<Supervise>>::Result: MessageResponse<A, Supervise>,
{
    fn supervise<'s>(
        mut self: Box<Self>,
        health: &'s Health,
        escalate: &'s dyn Fn(&str),
    ) -> LocalBoxFuture<'s, ()> {
        async move {
            let mut back_off = BackOff::default();
            let mut heartbeat = clock::interval(HEARTBEAT_INTERVAL);
            loop {
                let failure = self.failure(&mut heartbeat).await;
                let delay = back_off.record(Instant::now());
                health.restarts.fetch_add(1, Ordering::Relaxed);
                let frozen = failure == Failure::Frozen;
                tracing::error!(actor = &*self.name, frozen, "an actor is replaced");
                if back_off.must_escalate() {
                    escalate(&self.name);
                }
                tokio::time::sleep(delay).await;
                self.replace(failure);
            }
        }
        .boxed_local()
    }
}

/// How often the supervisor had to act.
#[derive(Debug, Default)]
pub struct Health {
    restarts: AtomicU64,
}

impl Health {
    /// Restarts of all actors since the start of the process.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }
}

/// Starts the actors of a process and keeps an actor running in every role.
#[derive(Default)]
pub struct Supervisor {
    roles: Vec<Box<dyn Supervised>>,
}

impl Supervisor {
    /// Starts a new role on a thread of its own. `factory` makes the actor, now and at each restart.
    /// `capacity`: how many messages its mailbox holds.
    pub fn spawn<A, F>(&mut self, name: &str, capacity: usize, factory: F) -> Handle<A>
    where
        A: Actor<Context = Context<A>> + Handler<Supervise>,
        <A as Handler<Supervise>>::Result: MessageResponse<A, Supervise>,
        F: Fn(ActorGuard) -> A + Send + Sync + 'static,
    {
        let thread = Arbiter::new().handle();
        self.spawn_on(&thread, name, capacity, factory)
    }

    /// Starts a new role on a thread that it shares with others. Otherwise like [`Supervisor::spawn`].
    pub fn spawn_on<A, F>(
        &mut self,
        thread: &ArbiterHandle,
        name: &str,
        capacity: usize,
        factory: F,
    ) -> Handle<A>
    where
        A: Actor<Context = Context<A>> + Handler<Supervise>,
        <A as Handler<Supervise>>::Result: MessageResponse<A, Supervise>,
        F: Fn(ActorGuard) -> A + Send + Sync + 'static,
    {
        let name: Arc<str> = name.into();
        let factory: Factory<A> = Arc::new(factory);
        let generation = start(&name, thread, capacity, &factory);
        let current = Arc::new(ArcSwap::from_pointee(generation.address.clone()));
        self.roles.push(Box::new(Role {
            name: Arc::clone(&name),
            capacity,
            factory,
            thread: thread.clone(),
            generation,
            current: Arc::clone(&current),
            // Registered before the first restart: Prometheus sees no increase in a series that just appeared.
            restarts: metrics::counter!("nexo_actor_restarts_total", "actor" => name.to_string()),
        }));
        Handle::new(name, capacity, current)
    }

    /// Supervises every role until the process ends. `escalate` is called with the name of a role that
    /// restarts so often that another restart does not help.
    pub async fn run(self, health: Arc<Health>, escalate: impl Fn(&str)) {
        // Each role waits for its own back-off and its own heartbeat, and delays no other role.
        let roles = self.roles.into_iter();
        join_all(roles.map(|role| role.supervise(&health, &escalate))).await;
    }
}
