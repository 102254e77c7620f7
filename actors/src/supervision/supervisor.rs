//! Supervision: whoever dies or freezes is replaced, with state reloaded.
//!
//! actix's own `Supervisor` does not survive a panic in a handler, and keeps the same struct on
//! `stop`. Here every actor has a role with a factory. A death is noticed at once, because the
//! actor's [`LifeLine`] is dropped with it; a freeze is noticed by its heartbeat.
//!
//! | seen | done |
//! |---|---|
//! | life line dropped, mailbox closed | a new one from the factory, after a back-off that doubles |
//! | no heartbeat for [`FROZEN_AFTER`] | the same, on a thread of its own; the old one is told to retire |
//! | [`ESCALATE_AT`] restarts within [`ESCALATE_WITHIN`] | the escalation hook is called |

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix::dev::{MessageResponse, ToEnvelope};
use actix::{Actor, Addr, Context, Handler, Message};
use actix_rt::{Arbiter, ArbiterHandle};
use arc_swap::ArcSwap;
use futures_util::future::{BoxFuture, FutureExt, join_all};
use metrics::Counter;
use thiserror::Error;
use tokio::sync::mpsc;

use crate::supervision::mailbox::{MailboxMeters, Measured};

/// How often every actor is asked for a sign of life.
pub const HEARTBEAT: Duration = Duration::from_millis(500);
/// An actor that gave no sign for so long is replaced.
pub const FROZEN_AFTER: Duration = Duration::from_secs(5);
/// The first wait before a restart; doubles with each further one.
pub const FIRST_BACK_OFF: Duration = Duration::from_millis(5);
/// The longest wait before a restart: an actor is back within a second.
pub const LONGEST_BACK_OFF: Duration = Duration::from_millis(500);
/// A role that has been quiet for so long starts again at the first back-off.
pub const CALM_AFTER: Duration = Duration::from_secs(10);
/// So many restarts within [`ESCALATE_WITHIN`] are more than a restart can mend.
pub const ESCALATE_AT: usize = 60;
pub const ESCALATE_WITHIN: Duration = Duration::from_secs(60);

/// What the watcher says to every actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervise {
    /// Give a sign of life.
    Beat,
    /// You have been replaced: stop.
    Retire,
    /// Panic, so that a test can see the replacement.
    #[cfg(feature = "faults")]
    Panic,
}

impl Message for Supervise {
    type Result = ();
}

/// Implements the actor's side of supervision, and of measuring what comes through its [`Handle`].
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
                    $crate::supervision::supervisor::Supervise::Beat => {}
                    $crate::supervision::supervisor::Supervise::Retire => {
                        actix::ActorContext::stop(ctx)
                    }
                    #[cfg(feature = "faults")]
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

/// Held by an actor; its drop tells the watcher that the actor is gone, however it went.
#[derive(Debug)]
pub struct LifeLine {
    of: Incumbent,
    role: Arc<str>,
    deaths: mpsc::UnboundedSender<Incumbent>,
}

/// One filling of one role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Incumbent {
    role: usize,
    term: u64,
}

impl LifeLine {
    /// The role's name, as metrics and logs call it.
    pub fn role(&self) -> &str {
        &self.role
    }
}

impl Drop for LifeLine {
    fn drop(&mut self) {
        // The watcher may be gone already, at shutdown.
        let _ = self.deaths.send(self.of);
    }
}

/// Why a message did not reach its actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Undelivered {
    #[error("the actor's mailbox is full")]
    Full,
    #[error("the actor is down, or did not answer in time")]
    Down,
}

/// The address of a role: always of the actor that fills it now.
pub struct Handle<A: Actor> {
    name: Arc<str>,
    current: Arc<ArcSwap<Addr<A>>>,
    meters: Arc<MailboxMeters>,
}

impl<A: Actor> Clone for Handle<A> {
    fn clone(&self) -> Self {
        Self {
            name: Arc::clone(&self.name),
            current: Arc::clone(&self.current),
            meters: Arc::clone(&self.meters),
        }
    }
}

impl<A: Actor<Context = Context<A>>> Handle<A> {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Leaves a message, if the mailbox has room and the actor lives.
    pub fn try_send<M>(&self, message: M) -> Result<(), Undelivered>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<Measured<M>>,
        A::Context: ToEnvelope<A, Measured<M>>,
    {
        self.current
            .load()
            .try_send(Measured::new(message, &self.meters))
            .map_err(|error| match error {
                actix::prelude::SendError::Full(_) => Undelivered::Full,
                actix::prelude::SendError::Closed(_) => Undelivered::Down,
            })
    }

    /// Asks and waits for the answer, at most `within`.
    pub async fn ask<M>(&self, message: M, within: Duration) -> Result<M::Result, Undelivered>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<Measured<M>>,
        A::Context: ToEnvelope<A, Measured<M>>,
    {
        let measured = Measured::new(message, &self.meters);
        let answer = self.current.load().send(measured);
        match tokio::time::timeout(within, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(Undelivered::Down),
        }
    }
}

/// What the watcher does for a role, whatever its actor's type.
trait Role: Send {
    fn name(&self) -> Arc<str>;
    fn incumbent(&self) -> Incumbent;
    fn beat(&self) -> BoxFuture<'static, (Incumbent, bool)>;
    fn replace(&mut self, on_new_thread: bool);
}

type Factory<A> = Arc<dyn Fn(LifeLine) -> A + Send + Sync>;

struct RoleOf<A: Actor> {
    incumbent: Incumbent,
    name: Arc<str>,
    mailbox: usize,
    factory: Factory<A>,
    deaths: mpsc::UnboundedSender<Incumbent>,
    thread: ArbiterHandle,
    current: Arc<ArcSwap<Addr<A>>>,
    restarts: Counter,
}

fn start<A>(
    thread: &ArbiterHandle,
    mailbox: usize,
    factory: Factory<A>,
    life_line: LifeLine,
) -> Addr<A>
where
    A: Actor<Context = Context<A>>,
{
    A::start_in_arbiter(thread, move |ctx| {
        ctx.set_mailbox_capacity(mailbox);
        factory(life_line)
    })
}

impl<A> Role for RoleOf<A>
where
    A: Actor<Context = Context<A>> + Handler<Supervise>,
    <A as Handler<Supervise>>::Result: MessageResponse<A, Supervise>,
{
    fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    fn incumbent(&self) -> Incumbent {
        self.incumbent
    }

    fn beat(&self) -> BoxFuture<'static, (Incumbent, bool)> {
        let asked = self.incumbent;
        let answer = self.current.load().send(Supervise::Beat);
        async move {
            let beats = tokio::time::timeout(FROZEN_AFTER, answer).await;
            (asked, matches!(beats, Ok(Ok(()))))
        }
        .boxed()
    }

    fn replace(&mut self, on_new_thread: bool) {
        if on_new_thread {
            self.thread = Arbiter::new().handle();
        }
        self.incumbent.term += 1;
        self.restarts.increment(1);
        let life_line = LifeLine {
            of: self.incumbent,
            role: Arc::clone(&self.name),
            deaths: self.deaths.clone(),
        };
        let new = start(
            &self.thread,
            self.mailbox,
            Arc::clone(&self.factory),
            life_line,
        );
        let old = self.current.swap(Arc::new(new));
        // The mailbox may be full, and the old one must go all the same.
        old.do_send(Supervise::Retire);
    }
}

/// Restarts of one role, for the back-off and the escalation.
#[derive(Debug, Default)]
struct Record {
    restarts: VecDeque<Instant>,
    in_a_row: u32,
}

impl Record {
    /// Notes a restart at `now` and says how long to wait before it.
    fn note(&mut self, now: Instant) -> Duration {
        if self
            .restarts
            .back()
            .is_none_or(|last| now.duration_since(*last) > CALM_AFTER)
        {
            self.in_a_row = 0;
        }
        while self
            .restarts
            .front()
            .is_some_and(|first| now.duration_since(*first) > ESCALATE_WITHIN)
        {
            self.restarts.pop_front();
        }
        self.restarts.push_back(now);
        let wait = FIRST_BACK_OFF * 2u32.saturating_pow(self.in_a_row.min(16));
        self.in_a_row += 1;
        wait.min(LONGEST_BACK_OFF)
    }

    fn is_hopeless(&self) -> bool {
        self.restarts.len() >= ESCALATE_AT
    }
}

/// Hires the actors of a process and keeps every role filled.
pub struct Watcher {
    roles: Vec<Box<dyn Role>>,
    deaths: mpsc::UnboundedSender<Incumbent>,
    obituaries: mpsc::UnboundedReceiver<Incumbent>,
}

/// What others may know of the watcher: how often it had to act, and who is silent.
#[derive(Debug, Default)]
pub struct Vitals {
    restarts: AtomicU64,
    silent: ArcSwap<Vec<Arc<str>>>,
}

impl Vitals {
    /// Restarts of all actors since the start of the process.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// The actors that did not answer the last heartbeat.
    pub fn silent(&self) -> Arc<Vec<Arc<str>>> {
        self.silent.load_full()
    }
}

impl Default for Watcher {
    fn default() -> Self {
        let (deaths, obituaries) = mpsc::unbounded_channel();
        Self {
            roles: Vec::new(),
            deaths,
            obituaries,
        }
    }
}

impl Watcher {
    /// Fills a new role, on a thread of its own. `factory` makes the actor, now and at each restart.
    pub fn hire<A, F>(&mut self, name: &str, mailbox: usize, factory: F) -> Handle<A>
    where
        A: Actor<Context = Context<A>> + Handler<Supervise>,
        <A as Handler<Supervise>>::Result: MessageResponse<A, Supervise>,
        F: Fn(LifeLine) -> A + Send + Sync + 'static,
    {
        let thread = Arbiter::new().handle();
        self.hire_on(&thread, name, mailbox, factory)
    }

    /// Fills a new role, on a thread that it shares with others.
    pub fn hire_on<A, F>(
        &mut self,
        thread: &ArbiterHandle,
        name: &str,
        mailbox: usize,
        factory: F,
    ) -> Handle<A>
    where
        A: Actor<Context = Context<A>> + Handler<Supervise>,
        <A as Handler<Supervise>>::Result: MessageResponse<A, Supervise>,
        F: Fn(LifeLine) -> A + Send + Sync + 'static,
    {
        let incumbent = Incumbent {
            role: self.roles.len(),
            term: 0,
        };
        let name: Arc<str> = name.into();
        let factory: Factory<A> = Arc::new(factory);
        let life_line = LifeLine {
            of: incumbent,
            role: Arc::clone(&name),
            deaths: self.deaths.clone(),
        };
        let first = start(thread, mailbox, Arc::clone(&factory), life_line);
        let current = Arc::new(ArcSwap::from_pointee(first));
        self.roles.push(Box::new(RoleOf {
            incumbent,
            name: Arc::clone(&name),
            mailbox,
            factory,
            deaths: self.deaths.clone(),
            thread: thread.clone(),
            current: Arc::clone(&current),
            // Known before it grows: an increase from nothing is no increase to Prometheus.
            restarts: metrics::counter!("nexo_actor_restarts_total", "actor" => name.to_string()),
        }));
        let meters = MailboxMeters::new(&name, mailbox);
        Handle {
            name,
            current,
            meters,
        }
    }

    /// Watches until the process ends. `escalate` is called with the role's name when restarts
    /// come faster than they can mend anything.
    pub async fn watch(mut self, vitals: Arc<Vitals>, escalate: impl Fn(&str)) {
        let mut records: Vec<Record> = self.roles.iter().map(|_| Record::default()).collect();
        let (beats_out, mut beats_in) = mpsc::unbounded_channel::<Vec<(Incumbent, bool)>>();
        let mut beat_due = tokio::time::interval(HEARTBEAT);
        beat_due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut beating = false;
        loop {
            tokio::select! {
                Some(dead) = self.obituaries.recv() => {
                    let place = dead.role;
                    if self.roles[place].incumbent() == dead {
                        self.restart(place, false, &mut records[place], &vitals, &escalate).await;
                    }
                }
                Some(answers) = beats_in.recv() => {
                    beating = false;
                    let mut names = Vec::new();
                    for (asked, _) in answers.into_iter().filter(|(_, beats)| !beats) {
                        let place = asked.role;
                        names.push(self.roles[place].name());
                        // One that died meanwhile has been replaced already.
                        if self.roles[place].incumbent() == asked {
                            self.restart(place, true, &mut records[place], &vitals, &escalate).await;
                        }
                    }
                    vitals.silent.store(Arc::new(names));
                }
                _ = beat_due.tick(), if !beating => {
                    beating = true;
                    let answers = join_all(self.roles.iter().map(|role| role.beat()));
                    let beats_out = beats_out.clone();
                    tokio::spawn(async move {
                        let _ = beats_out.send(answers.await);
                    });
                }
            }
        }
    }

    async fn restart(
        &mut self,
        place: usize,
        frozen: bool,
        record: &mut Record,
        vitals: &Vitals,
        escalate: &impl Fn(&str),
    ) {
        let role = &mut self.roles[place];
        let name = role.name();
        let wait = record.note(Instant::now());
        vitals.restarts.fetch_add(1, Ordering::Relaxed);
        tracing::error!(actor = &*name, frozen, "an actor is replaced");
        if record.is_hopeless() {
            escalate(&name);
        }
        tokio::time::sleep(wait).await;
        role.replace(frozen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_back_off_doubles_is_bounded_and_calms_down() {
        let mut record = Record::default();
        let now = Instant::now();
        let waits: Vec<_> = (0..10).map(|_| record.note(now)).collect();
        assert_eq!(waits[0], FIRST_BACK_OFF);
        assert_eq!(waits[1], FIRST_BACK_OFF * 2);
        assert_eq!(waits[9], LONGEST_BACK_OFF);
        let later = now + CALM_AFTER + Duration::from_secs(1);
        assert_eq!(record.note(later), FIRST_BACK_OFF);
    }

    #[test]
    fn restarts_that_come_too_fast_are_hopeless_and_old_ones_are_forgotten() {
        let mut record = Record::default();
        let now = Instant::now();
        for _ in 0..ESCALATE_AT - 1 {
            record.note(now);
        }
        assert!(!record.is_hopeless());
        record.note(now);
        assert!(record.is_hopeless());
        record.note(now + ESCALATE_WITHIN + Duration::from_secs(1));
        assert!(!record.is_hopeless());
    }

    struct Counter {
        count: u32,
        _life_line: LifeLine,
    }

    impl Actor for Counter {
        type Context = Context<Self>;
    }

    supervised!(Counter);

    enum Do {
        Count,
        Panic,
        Freeze,
    }

    impl Message for Do {
        type Result = u32;
    }

    impl Handler<Do> for Counter {
        type Result = u32;

        fn handle(&mut self, what: Do, _: &mut Context<Self>) -> u32 {
            match what {
                Do::Count => self.count += 1,
                Do::Panic => panic!("provoked by a test"),
                Do::Freeze => std::thread::park_timeout(FROZEN_AFTER * 4),
            }
            self.count
        }
    }

    /// Asks until the role is filled again; the watcher's promise is one second.
    async fn count_soon(counter: &Handle<Counter>) -> u32 {
        loop {
            match counter.ask(Do::Count, Duration::from_secs(1)).await {
                Ok(count) => return count,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    fn on_an_actix_system<F: Future<Output = ()>>(test: F) {
        actix_rt::System::new().block_on(test);
    }

    #[test]
    fn an_actor_that_panics_is_replaced_with_fresh_state() {
        on_an_actix_system(async {
            let mut watcher = Watcher::default();
            let counter = watcher.hire("counter", 16, |life_line| Counter {
                count: 0,
                _life_line: life_line,
            });
            let vitals = Arc::new(Vitals::default());
            actix_rt::spawn(watcher.watch(Arc::clone(&vitals), |_| {}));
            assert_eq!(count_soon(&counter).await, 1);
            assert_eq!(count_soon(&counter).await, 2);
            for restart in 1..=3 {
                let died = counter.ask(Do::Panic, Duration::from_secs(1)).await;
                assert_eq!(died, Err(Undelivered::Down));
                let back = tokio::time::timeout(Duration::from_secs(1), count_soon(&counter));
                assert_eq!(back.await, Ok(1));
                assert_eq!(vitals.restarts(), restart);
            }
        });
    }

    #[test]
    fn an_actor_that_freezes_is_replaced_on_another_thread() {
        on_an_actix_system(async {
            let mut watcher = Watcher::default();
            let counter = watcher.hire("counter", 16, |life_line| Counter {
                count: 0,
                _life_line: life_line,
            });
            let vitals = Arc::new(Vitals::default());
            actix_rt::spawn(watcher.watch(Arc::clone(&vitals), |_| {}));
            assert_eq!(count_soon(&counter).await, 1);
            counter.try_send(Do::Freeze).unwrap();
            let back = tokio::time::timeout(FROZEN_AFTER * 3, count_soon(&counter));
            assert_eq!(back.await, Ok(1));
            assert_eq!(vitals.restarts(), 1);
        });
    }

    #[test]
    fn a_full_mailbox_is_told_from_a_dead_actor() {
        on_an_actix_system(async {
            let mut watcher = Watcher::default();
            let counter = watcher.hire("counter", 1, |life_line| Counter {
                count: 0,
                _life_line: life_line,
            });
            counter.try_send(Do::Freeze).unwrap();
            let full = std::iter::repeat_with(|| counter.try_send(Do::Count))
                .find_map(Result::err)
                .unwrap();
            assert_eq!(full, Undelivered::Full);
        });
    }
}
