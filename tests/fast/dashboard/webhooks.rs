//! Tests of the webhook pages: test events, rotation of secrets and replays.

use std::time::{Duration, Instant};

use nexo_domain::webhook::HashedSecret;

use harness::ports::free_ports;
use harness::visitor::{PageResponse, Visitor};
use harness::{Backend, Gateway, Receiver, per_database};

const PAGE: &str = "/dashboard/webhooks";
const OPEN: [(&str, &str); 2] =
    [("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"), ("NEXO_WEBHOOKS__ALLOW_HTTP", "true")];

async fn wait_for(
    visitor: &mut Visitor,
    path: &str,
    condition: impl Fn(&PageResponse) -> bool,
) -> PageResponse {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let seen = visitor.get(path).await;
        if condition(&seen) {
            return seen;
        }
        assert!(Instant::now() < deadline, "{path}: {}", seen.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[per_database]
async fn a_test_event_arrives_signed_and_both_secrets_sign_after_a_rotation(backend: Backend) {
    let gateway = Gateway::start(backend, &OPEN);
    let receiver = Receiver::start();
    let mut lan = Visitor::signed_up(&gateway, "a@example.com").await;
    let created = lan.submit(PAGE, PAGE, &[("url", &receiver.url())]).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let old = HashedSecret::of(&created.secret());
    created.must_contain("/hook");
    let id = lan.id_after(PAGE, "/dashboard/webhooks/").await;
    let path = format!("{PAGE}/{id}");
    lan.submit(&path, &format!("{path}/test"), &[]).await;
    let hook = receiver.next();
    assert_eq!(hook.header("x-nexo-event-type"), "webhook.test");
    assert!(old.verify(hook.body.as_bytes(), hook.header("x-nexo-signature")));
    assert_eq!(hook.header("x-nexo-signature-previous"), "");
    let attempt = hook.header("x-nexo-attempt-id").to_owned();
    let attempt = format!("/dashboard/webhook-attempts/{attempt}");
    let seen = wait_for(&mut lan, &attempt, |seen| seen.text.contains(">200<")).await;
    seen.must_contain("webhook.test").must_contain("ok");

    let rotated = lan.submit(&format!("{path}/rotate"), &format!("{path}/rotate"), &[]).await;
    assert_eq!(rotated.status, 201, "{}", rotated.text);
    let new = HashedSecret::of(&rotated.secret());
    lan.submit(&attempt, &format!("{attempt}/replay"), &[]).await;
    let hook = receiver.next();
    let body = hook.body.as_bytes();
    assert!(new.verify(body, hook.header("x-nexo-signature")));
    assert!(old.verify(body, hook.header("x-nexo-signature-previous")));
    assert_eq!(hook.header("webhook-signature").split(' ').count(), 2);

    lan.submit(&path, &format!("{path}/pause"), &[]).await;
    lan.get(&path).await.must_contain("paused");
    let refused = lan.submit(&path, &format!("{path}/test"), &[]).await;
    assert!(refused.location().ends_with("told=paused"), "{refused:?}");
    lan.submit(&path, &format!("{path}/resume"), &[]).await;
    lan.submit(&format!("{path}/remove"), &format!("{path}/remove"), &[]).await;
    assert_eq!(lan.get(&path).await.status, 404);
}

#[actix_web::test]
async fn failed_webhooks_are_replayed_together_and_only_once() {
    let gateway = Gateway::start(Backend::Sqlite, &OPEN);
    let mut lan = Visitor::signed_up(&gateway, "a@example.com").await;
    // Nothing listens on this port yet.
    let address = ("127.0.0.1", free_ports(1));
    let url = format!("http://{}:{}/hook", address.0, address.1);
    lan.submit(PAGE, PAGE, &[("url", &url)]).await;
    let id = lan.id_after(PAGE, "/dashboard/webhooks/").await;
    let path = format!("{PAGE}/{id}");
    for _ in 0..3 {
        lan.submit(&path, &format!("{path}/test"), &[]).await;
    }
    wait_for(&mut lan, &path, |seen| seen.text.matches(">failed<").count() == 3).await;
    let listener = std::net::TcpListener::bind(address).unwrap();
    let (sender, arrived) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for mut stream in listener.incoming().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut read = [0; 4096];
                while let Ok(1..) = stream.read(&mut read) {
                    let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
                    if sender.send(()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    let since = [("since", "2020-01-01T00:00")];
    let replayed = lan.submit(&path, &format!("{path}/replay-failed"), &since).await;
    assert!(replayed.location().ends_with("told=3"), "{replayed:?}");
    for _ in 0..3 {
        arrived.recv_timeout(Duration::from_secs(15)).unwrap();
    }
    wait_for(&mut lan, &path, |seen| seen.text.matches(">delivered<").count() == 3).await;
    // Delivered webhooks are not replayed.
    let replayed = lan.submit(&path, &format!("{path}/replay-failed"), &since).await;
    assert!(replayed.location().ends_with("told=0"), "{replayed:?}");
}

#[actix_web::test]
async fn an_endpoint_with_a_forbidden_url_is_refused_with_the_reason() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let mut lan = Visitor::signed_up(&gateway, "a@example.com").await;
    for (url, reason) in [
        ("hooks", "not a complete URL"),
        ("http://1.1.1.1/", "begin with https"),
        ("https://127.0.0.1/", "not on a public address"),
        ("https://[::ffff:10.0.0.1]/", "not on a public address"),
        ("https://u:p@1.1.1.1/", "user name or password"),
    ] {
        let seen = lan.submit(PAGE, PAGE, &[("url", url)]).await;
        assert_eq!(seen.status, 400, "{url}");
        seen.must_contain(reason);
    }
}

#[per_database]
async fn the_events_of_an_endpoint_are_chosen_and_changed_on_its_pages(backend: Backend) {
    let gateway = Gateway::start(backend, &OPEN);
    let mut lan = Visitor::signed_up(&gateway, "a@example.com").await;
    let url = "http://127.0.0.1:9/hook";
    let wrong = [("url", url), ("events", "otp.*"), ("events", "otp.sent")];
    let refused = lan.submit(PAGE, PAGE, &wrong).await;
    assert_eq!(refused.status, 400);
    refused.must_contain("There is no event otp.sent. Choose from: otp.*, otp.delivered,");
    lan.get(PAGE).await.must_contain("No endpoints yet");

    let chosen = [("url", url), ("events", "verification.*"), ("events", "otp.failed")];
    assert_eq!(lan.submit(PAGE, PAGE, &chosen).await.status, 201);
    let list = "<code>otp.failed</code>, <code>verification.*</code>";
    lan.get(PAGE).await.must_contain(list);
    let id = lan.id_after(PAGE, "/dashboard/webhooks/").await;
    let path = format!("{PAGE}/{id}");
    let ticked = |pattern: &str| format!("value=\"{pattern}\" checked");
    let seen = lan.get(&path).await;
    seen.must_contain(&ticked("otp.failed")).must_contain(&ticked("verification.*"));
    assert!(!seen.text.contains(&ticked("otp.*")), "{}", seen.text);

    let events = format!("{path}/events");
    let saved = lan.submit(&path, &events, &[("events", "otp.*")]).await;
    assert!(saved.location().ends_with("told=events"), "{saved:?}");
    lan.get(saved.location())
        .await
        .must_contain("events were saved")
        .must_contain(&ticked("otp.*"));
    // No event and an unknown one change nothing.
    for fields in [&[][..], &[("events", "otp.delivered"), ("events", "*")]] {
        let refused = lan.submit(&path, &events, fields).await;
        assert!(refused.location().ends_with("told=no-events"), "{refused:?}");
        lan.get(refused.location()).await.must_contain("at least one event");
    }
    lan.get(PAGE).await.must_contain("<code>otp.*</code>");

    let mut stranger = Visitor::signed_up(&gateway, "b@example.com").await;
    assert_eq!(stranger.submit(PAGE, &events, &[("events", "otp.failed")]).await.status, 404);
    lan.get(&path).await.must_contain(&ticked("otp.*"));
}
