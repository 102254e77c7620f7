//! Daily statistics of an account, compared with a count of its deliveries.

use std::sync::Arc;

use nexo_domain::time_zone::Zone;
use nexo_entities::store::deliveries::daily_stats::DAY_MS;

use nexo_entities::store::deliveries::pages::DeliveryFilter;

use crate::database::Database;
use crate::world::{NOW, World, account, delivered, otp_at, paid, phone, refunded};

on_both!(
    days_are_summed_once_and_only_up_to_a_call_in_progress,
    the_last_minutes_are_counted_before_they_are_summed,
    a_day_is_that_of_the_readers_time_zone,
    deliveries_that_repeat_a_time_are_counted_and_found,
);

async fn ended(world: &mut World, number: u32, at_ms: i64) {
    let debit = otp_at(world.account, number, at_ms);
    let parts = paid(&world.debit(std::slice::from_ref(&debit)).await[0]);
    let end = match number % 3 {
        0 => refunded(&debit, parts),
        _ => delivered(&debit, parts),
    };
    assert_eq!(world.settle(&[end]).await, [true]);
}

async fn sum_up(world: &World, now_ms: i64) {
    while world.store.deliveries().update_daily_stats(now_ms).await.unwrap() {}
}

/// The number of delivered and of failed OTPs of a day.
async fn day(world: &World, day: i64, now_ms: i64) -> (u64, u64) {
    let figures = world
        .store
        .deliveries()
        .account_stats(world.account, Zone::utc(), day, now_ms)
        .await
        .unwrap();
    let of_day = figures.days.iter().filter(|figure| figure.day == day);
    of_day.fold((0, 0), |(delivered, failed), figure| {
        (delivered + figure.delivered, failed + figure.failed)
    })
}

async fn days_are_summed_once_and_only_up_to_a_call_in_progress(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10_000_000).await;
    let first = NOW / DAY_MS - 2;
    let noon = |day: i64| (first + day) * DAY_MS + DAY_MS / 2;
    for number in 0..12 {
        ended(&mut world, number, noon(0) + i64::from(number)).await;
    }
    for number in 12..18 {
        ended(&mut world, number, noon(1) + i64::from(number)).await;
    }
    let ringing = otp_at(world.account, 100, noon(1) + 600_000);
    let parts = paid(&world.debit(std::slice::from_ref(&ringing)).await[0]);
    ended(&mut world, 20, noon(1) + 700_000).await;
    let now = noon(2);
    for _ in 0..3 {
        sum_up(&world, now).await;
    }
    assert_eq!(day(&world, first, now).await, (8, 4));
    assert_eq!(
        day(&world, first + 1, now).await,
        (4, 2),
        "the sum stops before the call in progress"
    );
    assert_eq!(world.settle(&[delivered(&ringing, parts)]).await, [true]);
    for _ in 0..2 {
        sum_up(&world, now).await;
    }
    assert_eq!(day(&world, first, now).await, (8, 4));
    assert_eq!(day(&world, first + 1, now).await, (6, 2));
    let figures = world
        .store
        .deliveries()
        .account_stats(world.account, Zone::utc(), first, now)
        .await
        .unwrap();
    assert_eq!(figures.median_answer_seconds(), Some(4));
    let other = account(&world.store, "eve@example.com").await;
    let figures =
        world.store.deliveries().account_stats(other, Zone::utc(), first, now).await.unwrap();
    assert_eq!(figures.days, []);
}

async fn the_last_minutes_are_counted_before_they_are_summed(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10_000_000).await;
    let now = (NOW / DAY_MS) * DAY_MS + DAY_MS / 2;
    let today = now / DAY_MS;
    for number in 0..6 {
        ended(&mut world, number, now - 300_000 + i64::from(number)).await;
    }
    sum_up(&world, now).await;
    for number in 6..9 {
        ended(&mut world, number, now - 20_000 + i64::from(number)).await;
    }
    sum_up(&world, now).await;
    assert_eq!(day(&world, today, now).await, (6, 3));
    // Once they are summed, the counts stay the same.
    sum_up(&world, now + 120_000).await;
    assert_eq!(day(&world, today, now + 120_000).await, (6, 3));
}

/// One OTP in each hour of two UTC days, some of them not summed yet.
async fn a_day_is_that_of_the_readers_time_zone(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10_000_000).await;
    let first = NOW / DAY_MS;
    let hour_ms = 3_600_000;
    for hour in 0..48 {
        // Before and after the quarter past the hour.
        for (index, minute) in [14, 16].into_iter().enumerate() {
            let at_ms = first * DAY_MS + i64::from(hour) * hour_ms + minute * 60_000;
            ended(&mut world, 3 * (2 * hour + index as u32) + 1, at_ms).await;
        }
    }
    sum_up(&world, first * DAY_MS + 47 * hour_ms + 45 * 60_000).await;
    let now = (first + 2) * DAY_MS;
    for (zone, counts) in [
        ("UTC", [48, 48, 0]),
        ("Asia/Ho_Chi_Minh", [34, 48, 14]),
        // 5:45 hours ahead of UTC.
        ("Asia/Kathmandu", [37, 48, 11]),
        ("America/Los_Angeles", [14, 48, 34]),
    ] {
        let zone = Zone::named(zone).unwrap();
        let since = zone.day_of(first * DAY_MS);
        let deliveries = world.store.deliveries();
        let stats = deliveries.account_stats(world.account, zone, since, now).await.unwrap();
        let count = |day| {
            let of_day = stats.days.iter().filter(|stats| stats.day == day);
            of_day.map(|stats| stats.delivered + stats.failed).sum::<u64>()
        };
        assert_eq!([0, 1, 2].map(|day| count(since + day)), counts, "{zone:?}");
    }
}

/// The clock is set back by an hour after the statistics and the filters have passed that hour.
async fn deliveries_that_repeat_a_time_are_counted_and_found(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10_000_000).await;
    let noon = (NOW / DAY_MS) * DAY_MS + DAY_MS / 2;
    let (today, hour_ms) = (noon / DAY_MS, 3_600_000);
    let build = async |world: &World, now_ms: i64| {
        let deliveries = world.store.deliveries();
        while deliveries.build_filter_of(3, now_ms).await.unwrap() {}
    };
    for number in 0..12 {
        let at_ms = noon - hour_ms + i64::from(number) * 240_000;
        ended(&mut world, number, at_ms).await;
    }
    sum_up(&world, noon).await;
    build(&world, noon).await;
    let deliveries = world.store.deliveries();
    assert!(!deliveries.rewind_to(noon).await.unwrap());
    // A node whose clock is a little behind rewinds nothing.
    assert!(!deliveries.rewind_to(noon - 5_000).await.unwrap());

    let set_back = noon - hour_ms;
    for number in 12..18 {
        ended(&mut world, number, set_back + i64::from(number) * 1_000).await;
    }
    let deliveries = world.store.deliveries();
    assert!(deliveries.rewind_to(set_back + 20_000).await.unwrap());
    for passed_ms in [20_000, 400_000, hour_ms, 3 * hour_ms] {
        let now_ms = set_back + passed_ms;
        let deliveries = world.store.deliveries();
        assert!(!deliveries.rewind_to(now_ms).await.unwrap() || passed_ms == 20_000);
        sum_up(&world, now_ms).await;
        build(&world, now_ms).await;
        for number in [0, 11, 12, 17] {
            let phone = phone(number);
            let filter = DeliveryFilter { phone: Some(phone), ..DeliveryFilter::default() };
            let page = world.store.deliveries();
            let page = page.page(world.account, &filter, None, 10).await.unwrap();
            assert_eq!(page.deliveries.len(), 1, "{phone} after {passed_ms} ms");
        }
    }
    let later = set_back + 3 * hour_ms;
    assert_eq!(day(&world, today, later).await, (12, 6));
}
