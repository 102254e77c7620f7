//! Rotation of a webhook secret: the previous secret also signs for 24 hours.

use harness::visitor::Visitor;
use harness::{Backend, Gateway, Receiver, per_database};
use nexo_actors::clock::unix_ms;
use nexo_domain::webhook::HashedSecret;
use sea_orm::{ConnectionTrait, Database, Statement};

const PAGE: &str = "/dashboard/webhooks";
const OPEN: [(&str, &str); 2] =
    [("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"), ("NEXO_WEBHOOKS__ALLOW_HTTP", "true")];
const DAY_MS: i64 = 24 * 3_600_000;

#[per_database]
async fn the_previous_secret_signs_for_a_day_after_a_rotation(backend: Backend) {
    let gateway = Gateway::start(backend, &OPEN);
    let receiver = Receiver::start();
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    let created = lan.submit(PAGE, PAGE, &[("url", &receiver.url())]).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let id = lan.id_after(PAGE, "/dashboard/webhooks/").await;
    let path = format!("{PAGE}/{id}");
    let before_ms = unix_ms();
    let rotate = format!("{path}/rotate");
    let rotated = lan.submit(&rotate, &rotate, &[]).await;
    assert_eq!(rotated.status, 201, "{}", rotated.text);
    let (old, new) = (HashedSecret::of(&created.secret()), HashedSecret::of(&rotated.secret()));

    let database = Database::connect(gateway.database_url()).await.unwrap();
    let until = Statement::from_string(
        database.get_database_backend(),
        "SELECT old_secret_until_ms FROM webhook_endpoints",
    );
    let row = database.query_one_raw(until).await.unwrap().unwrap();
    let until_ms: i64 = row.try_get_by_index(0).unwrap();
    let rotated_ms = before_ms..=unix_ms();
    assert!(rotated_ms.contains(&(until_ms - DAY_MS)), "{until_ms}");

    // Two minutes before the end of the 24 hours, and at the end.
    for (left_ms, signs_too) in [(120_000, true), (0, false)] {
        let until_ms = unix_ms() + left_ms;
        let moved = format!("UPDATE webhook_endpoints SET old_secret_until_ms = {until_ms}");
        database.execute_unprepared(&moved).await.unwrap();
        lan.submit(&path, &format!("{path}/test"), &[]).await;
        let hook = receiver.next();
        let body = hook.body.as_bytes();
        assert!(new.verify(body, hook.header("x-nexo-signature")));
        let previous = hook.header("x-nexo-signature-previous");
        let signatures = hook.header("webhook-signature").split(' ').count();
        match signs_too {
            true => assert!(old.verify(body, previous) && signatures == 2, "{hook:?}"),
            false => assert_eq!((previous, signatures), ("", 1), "{hook:?}"),
        }
    }
}
