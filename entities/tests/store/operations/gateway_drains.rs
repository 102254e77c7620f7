//! Statistics of the carriers' calls, computed from attempts with known times.

use std::sync::Arc;

use nexo_domain::money::Micros;
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::{Carrier, CarrierPlan};
use nexo_entities::store::ledger::posting::{CallAttempt, Debit, Settlement};
use nexo_entities::store::operations::gateway_drains::CarrierStats;

use crate::database::Database;
use crate::world::{NOW, World, call, delivered, otp_at, paid};

on_both!(carrier_stats_count_live_attempts_of_the_last_minutes);

const MINUTE_MS: i64 = 60_000;
const FIVE_MINUTES_MS: i64 = 5 * MINUTE_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// An attempt started `ago_ms` before [`NOW`]. The other times count from its start.
fn attempt(
    ago_ms: i64,
    rang_ms: Option<i64>,
    answered_ms: Option<i64>,
    ended_ms: i64,
) -> CallAttempt {
    let began_ms = NOW - ago_ms;
    let at = |after_ms: i64| began_ms + after_ms;
    CallAttempt {
        started_at_ms: began_ms,
        accepted_at_ms: rang_ms.or(answered_ms).map(at),
        ringing_at_ms: rang_ms.map(at),
        answered_at_ms: answered_ms.map(at),
        ended_at_ms: at(ended_ms),
        ..call(1)
    }
}

async fn called(world: &mut World, debit: Debit, attempts: Vec<CallAttempt>) {
    let parts = paid(&world.debit(std::slice::from_ref(&debit)).await[0]);
    let attempts =
        (1..).zip(attempts).map(|(number, attempt)| CallAttempt { number, ..attempt }).collect();
    let end = Settlement { attempts, ..delivered(&debit, parts) };
    assert_eq!(world.settle(&[end]).await, [true]);
}

async fn carrier_stats_count_live_attempts_of_the_last_minutes(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10_000_000).await;
    let account = world.account;
    let accepted = |number, ago_ms| otp_at(account, number, NOW - ago_ms);
    for (number, ago_ms, attempts) in [
        (1, 60_000, vec![attempt(60_000, Some(900), Some(4_000), 25_000)]),
        // The first gateway is silent; the second rings without an answer.
        (
            2,
            50_000,
            vec![attempt(50_000, None, None, 2_000), attempt(48_000, Some(2_150), None, 32_000)],
        ),
        // Answered without ringing.
        (3, 40_000, vec![attempt(40_000, None, Some(500), 10_000)]),
        // Accepted over five minutes ago, and called exactly five minutes ago.
        (
            4,
            FIVE_MINUTES_MS + 1_000,
            vec![attempt(FIVE_MINUTES_MS, Some(1_000), Some(2_000), 12_000)],
        ),
        // Over five minutes and within the hour.
        (5, FIVE_MINUTES_MS + 1, vec![attempt(FIVE_MINUTES_MS + 1, Some(700), Some(3_000), 9_001)]),
        (6, HOUR_MS, vec![attempt(HOUR_MS, Some(351), None, 30_000)]),
        // Over an hour ago.
        (7, HOUR_MS + 1, vec![attempt(HOUR_MS + 1, Some(90), Some(100), 50_000)]),
    ] {
        called(&mut world, accepted(number, ago_ms), attempts).await;
    }
    // A test key calls the sandbox and does not count for a carrier.
    let test = Debit { test: true, cost: Micros::ZERO, ..accepted(8, 30_000) };
    called(&mut world, test, vec![attempt(30_000, Some(10), Some(20), 90_000)]).await;
    let elsewhere = Debit {
        phone: Phone::parse("+84901234567", &CarrierPlan::vietnam()).unwrap(),
        carrier: Carrier::named("mobifone").unwrap(),
        ..accepted(9, 20_000)
    };
    called(&mut world, elsewhere, vec![attempt(20_000, None, None, 2_000)]).await;

    let silent =
        CarrierStats { carrier: "mobifone".to_owned(), attempts: 1, ..CarrierStats::default() };
    let within = async |span_ms: i64| {
        let figures = world.store.operations().carrier_stats(NOW - span_ms).await.unwrap();
        assert_eq!(figures.len(), 2, "{figures:?}");
        assert_eq!(figures[0], silent);
        figures[1].clone()
    };
    let five_minutes = CarrierStats {
        carrier: "viettel".to_owned(),
        attempts: 5,
        answered: 3,
        answered_ms: 21_000 + 9_500 + 10_000,
        rang: 3,
        until_ringing_ms: 900 + 2_150 + 1_000,
    };
    let hour = CarrierStats {
        carrier: "viettel".to_owned(),
        attempts: 7,
        answered: 4,
        answered_ms: 21_000 + 9_500 + 10_000 + 6_001,
        rang: 5,
        until_ringing_ms: 900 + 2_150 + 1_000 + 700 + 351,
    };
    assert_eq!(within(FIVE_MINUTES_MS).await, five_minutes);
    assert_eq!(within(HOUR_MS).await, hour);

    // Fractions are truncated.
    for (figures, asr_percent, acd_ms, pdd_ms) in [
        (five_minutes, Some(60), Some(13_500), Some(1_350)),
        (hour, Some(57), Some(11_625), Some(1_020)),
        (silent.clone(), Some(0), None, None),
        (CarrierStats::default(), None, None, None),
    ] {
        assert_eq!(
            (figures.asr_percent(), figures.acd_ms(), figures.pdd_ms()),
            (asr_percent, acd_ms, pdd_ms),
            "{figures:?}"
        );
    }
}
