//! Actors that panic under load are restarted within a second. The process continues, and all wallets stay correct.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::{Backend, Customer, Gateway, answer, client, per_database, phone, until};

const TIMEOUT: Duration = Duration::from_secs(10);
/// One carrier actor for each carrier in Vietnam.
const CARRIERS: f64 = 7.0;

/// Sends OTPs to busy numbers until `stop` is set. Returns the number of accepted OTPs.
async fn load(customer: Customer, stop: Arc<AtomicBool>) -> u32 {
    let mut accepted = 0;
    while !stop.load(Ordering::Relaxed) {
        let answer = customer.send(&phone(90), "1234").await;
        match answer.status {
            202 => accepted += 1,
            // The actor is being restarted: nothing was debited, or the reaper settles the delivery.
            500 | 502 | 503 => {}
            other => panic!("{other}: {}", answer.text),
        }
    }
    accepted
}

#[per_database]
async fn actors_that_panic_under_load_restart_within_a_second_and_wallets_stay_correct(
    backend: Backend,
) {
    let mut gateway = Gateway::start(backend, &[("NEXO_CALLS__REPEAT", "1")]);
    let customer = gateway.customer("a@example.com", "1000.00");
    let stop = Arc::new(AtomicBool::new(false));
    let loads: Vec<_> =
        (0..8).map(|_| tokio::spawn(load(customer.clone(), Arc::clone(&stop)))).collect();
    for round in 1..=3 {
        for actors in ["carriers", "wallets", "webhooks"] {
            gateway.panic(actors);
            assert_ready_within_a_second(&gateway).await;
        }
        let expected = f64::from(round) * (CARRIERS + 2.0);
        until("every actor was restarted", TIMEOUT, async || {
            let restarts = gateway.metric("nexo_actor_restarts_total").await;
            (restarts >= expected).then_some(())
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut accepted = 0;
    for load in loads {
        accepted += load.await.unwrap();
    }
    assert!(accepted > 0);
    until("calls end and the reaper settles", 3 * TIMEOUT, async || {
        let calls = gateway.metric("nexo_calls_in_progress").await;
        (calls == 0.0 && gateway.is_sound()).then_some(())
    })
    .await;
    assert_eq!(gateway.terminate(), Some(0));
}

async fn assert_ready_within_a_second(gateway: &Gateway) {
    let since = Instant::now();
    loop {
        let answer = answer(client().get(format!("{}/readyz", gateway.url))).await;
        if answer.status == 200 {
            return;
        }
        let waited = since.elapsed();
        assert!(waited < Duration::from_secs(1), "not ready after a second: {}", answer.text);
    }
}
