//! What an account's days came to, against a count of its deliveries.

use std::sync::Arc;

use nexo_entities::store::deliveries::daily_stats::DAY_MS;

use crate::database::Database;
use crate::world::{NOW, World, account, delivered, otp_at, paid, refunded};

on_both!(
    days_are_added_up_once_and_what_rings_holds_them_up,
    the_last_minutes_are_counted_as_they_are,
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

async fn add_up(world: &World, now_ms: i64) {
    while world.store.add_up_figures(now_ms).await.unwrap() {}
}

/// What a day came to: delivered and failed.
async fn day(world: &World, day: i64, now_ms: i64) -> (u64, u64) {
    let figures = world
        .store
        .account_figures(world.account, day, now_ms)
        .await
        .unwrap();
    let of_day = figures.days.iter().filter(|figure| figure.day == day);
    of_day.fold((0, 0), |(delivered, failed), figure| {
        (delivered + figure.delivered, failed + figure.failed)
    })
}

async fn days_are_added_up_once_and_what_rings_holds_them_up(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10_000_000).await;
    let first = NOW / DAY_MS - 2;
    let noon = |day: i64| (first + day) * DAY_MS + DAY_MS / 2;
    for number in 0..12 {
        ended(&mut world, number, noon(0) + i64::from(number)).await;
    }
    for number in 12..18 {
        ended(&mut world, number, noon(1) + i64::from(number)).await;
    }
    let rings = otp_at(world.account, 100, noon(1) + 600_000);
    let parts = paid(&world.debit(std::slice::from_ref(&rings)).await[0]);
    ended(&mut world, 20, noon(1) + 700_000).await;
    let now = noon(2);
    for _ in 0..3 {
        add_up(&world, now).await;
    }
    assert_eq!(day(&world, first, now).await, (8, 4));
    assert_eq!(
        day(&world, first + 1, now).await,
        (4, 2),
        "behind the one that rings"
    );
    assert_eq!(world.settle(&[delivered(&rings, parts)]).await, [true]);
    for _ in 0..2 {
        add_up(&world, now).await;
    }
    assert_eq!(day(&world, first, now).await, (8, 4));
    assert_eq!(day(&world, first + 1, now).await, (6, 2));
    let figures = world
        .store
        .account_figures(world.account, first, now)
        .await
        .unwrap();
    assert_eq!(figures.median_answer_seconds(), Some(4));
    let other = account(&world.store, "eve@example.com").await;
    let figures = world
        .store
        .account_figures(other, first, now)
        .await
        .unwrap();
    assert_eq!(figures.days, []);
}

async fn the_last_minutes_are_counted_as_they_are(database: Arc<Database>) {
    let mut world = World::with_balance(&database, 10_000_000).await;
    let now = (NOW / DAY_MS) * DAY_MS + DAY_MS / 2;
    let today = now / DAY_MS;
    for number in 0..6 {
        ended(&mut world, number, now - 300_000 + i64::from(number)).await;
    }
    add_up(&world, now).await;
    for number in 6..9 {
        ended(&mut world, number, now - 20_000 + i64::from(number)).await;
    }
    add_up(&world, now).await;
    assert_eq!(day(&world, today, now).await, (6, 3));
    // Later they are added up, and count no more than before.
    add_up(&world, now + 120_000).await;
    assert_eq!(day(&world, today, now + 120_000).await, (6, 3));
}
