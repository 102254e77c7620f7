use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context, Handler, Message};
use tokio::sync::mpsc;

use super::back_off::MAX_BACK_OFF;
use super::handle::{Handle, Undelivered};
use super::supervisor::{ActorGuard, HEARTBEAT_TIMEOUT, Health, Supervisor};
use crate::supervised;

/// Within this time an actor that exited is back.
const RESTART_LIMIT: Duration = Duration::from_secs(1);

struct Counter {
    count: u32,
    _guard: ActorGuard,
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
            Do::Freeze => std::thread::park_timeout(HEARTBEAT_TIMEOUT * 4),
        }
        self.count
    }
}

/// Panics whenever it starts, after it reported the start.
struct CrashLooper {
    starts: mpsc::UnboundedSender<()>,
    _guard: ActorGuard,
}

impl Actor for CrashLooper {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        let _ = self.starts.send(());
        panic!("provoked by a test");
    }
}

supervised!(CrashLooper);

fn spawn_counter(supervisor: &mut Supervisor, capacity: usize) -> Handle<Counter> {
    supervisor.spawn("counter", capacity, |guard| Counter { count: 0, _guard: guard })
}

fn run(supervisor: Supervisor) -> Arc<Health> {
    let health = Arc::new(Health::default());
    actix_rt::spawn(supervisor.run(Arc::clone(&health), |_| {}));
    health
}

/// Asks until an actor runs the role again.
async fn count_soon(counter: &Handle<Counter>) -> u32 {
    loop {
        match counter.ask(Do::Count, RESTART_LIMIT).await {
            Ok(count) => return count,
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

async fn make_panic(counter: &Handle<Counter>) {
    let exited = counter.ask(Do::Panic, RESTART_LIMIT).await;
    assert_eq!(exited, Err(Undelivered::Down));
}

fn on_an_actix_system<F: Future<Output = ()>>(test: F) {
    actix_rt::System::new().block_on(test);
}

#[test]
fn an_actor_that_panics_is_replaced_with_fresh_state() {
    on_an_actix_system(async {
        let mut supervisor = Supervisor::default();
        let counter = spawn_counter(&mut supervisor, 16);
        let health = run(supervisor);
        assert_eq!(count_soon(&counter).await, 1);
        assert_eq!(count_soon(&counter).await, 2);
        for restart in 1..=3 {
            make_panic(&counter).await;
            let back = tokio::time::timeout(RESTART_LIMIT, count_soon(&counter));
            assert_eq!(back.await, Ok(1));
            assert_eq!(health.restarts(), restart);
        }
    });
}

#[test]
fn a_crash_loop_does_not_delay_the_restart_of_another_actor() {
    on_an_actix_system(async {
        let mut supervisor = Supervisor::default();
        let counter = spawn_counter(&mut supervisor, 16);
        let (starts, mut started) = mpsc::unbounded_channel();
        supervisor.spawn("crash-looper", 16, move |guard| CrashLooper {
            starts: starts.clone(),
            _guard: guard,
        });
        run(supervisor);
        assert_eq!(count_soon(&counter).await, 1);
        // The delays before these starts double up to 320 ms. The next one is the longest.
        for _ in 0..8 {
            started.recv().await.unwrap();
        }
        make_panic(&counter).await;
        let back = tokio::time::timeout(RESTART_LIMIT, count_soon(&counter));
        tokio::select! {
            biased;
            back = back => assert_eq!(back, Ok(1)),
            _ = started.recv() => {
                panic!("the counter was not back after the crash loop's {MAX_BACK_OFF:?}");
            }
        }
    });
}

#[test]
fn an_actor_that_freezes_is_replaced_on_another_thread() {
    on_an_actix_system(async {
        let mut supervisor = Supervisor::default();
        let counter = spawn_counter(&mut supervisor, 16);
        let health = run(supervisor);
        assert_eq!(count_soon(&counter).await, 1);
        counter.try_send(Do::Freeze).unwrap();
        let back = tokio::time::timeout(HEARTBEAT_TIMEOUT * 3, count_soon(&counter));
        assert_eq!(back.await, Ok(1));
        assert_eq!(health.restarts(), 1);
    });
}

#[test]
fn a_full_mailbox_is_distinguished_from_a_stopped_actor() {
    on_an_actix_system(async {
        let mut supervisor = Supervisor::default();
        let counter = spawn_counter(&mut supervisor, 1);
        counter.try_send(Do::Freeze).unwrap();
        let full =
            std::iter::repeat_with(|| counter.try_send(Do::Count)).find_map(Result::err).unwrap();
        assert_eq!(full, Undelivered::Full);
    });
}
