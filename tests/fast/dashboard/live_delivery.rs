//! Tests of the page of a delivery: live updates, the SIP ladder, search and CSV.

use std::time::{Duration, Instant};

use harness::visitor::Visitor;
use harness::{Backend, Gateway, client, per_database, phone};

#[per_database]
async fn a_delivery_is_shown_live_and_its_ladder_is_stored(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    let key = lan.new_key("server").await;
    let number = phone(21);
    let url = format!("{}/api/v1/send-otp", gateway.url);
    let body = format!(r#"{{"phone":"{number}","code":"4829"}}"#);
    let sent = client().post(url).bearer_auth(&key).body(body);
    let sent = harness::answer(sent).await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let id = sent.json["id"].as_str().unwrap().to_owned();
    let page = format!("/dashboard/deliveries/{id}");
    let live = lan.get(&page).await;
    live.must_contain(&format!("data-live=\"{page}\""));
    live.must_contain("accepted by the carrier");
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut was_read_live = false;
    let done = loop {
        let seen = lan.get(&page).await;
        was_read_live |= seen.text.contains("in full (1)") && seen.text.contains("data-live");
        if !seen.text.contains("data-live") {
            break seen;
        }
        assert!(Instant::now() < deadline, "{}", seen.text);
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(was_read_live, "the first reading was not shown during the call");
    for step in ["INVITE", "ringing", "answered", "in full (1)", "in full (2)", "hang-up"] {
        done.must_contain(step);
    }
    done.must_contain("delivered").must_contain("−$0.022");
    let national = format!("0{}", &number[3..]);
    for search in [national.as_str(), &number.replace('+', "%2B")] {
        let found = lan.get(&format!("/dashboard/deliveries?q={search}")).await;
        assert_eq!(found.status, 200);
        found.must_contain(&id);
    }
    let found = lan.get(&format!("/dashboard/deliveries?q={id}")).await;
    assert_eq!((found.status, found.location()), (303, page.as_str()));
    let none = lan.get("/dashboard/deliveries?status=failed").await;
    none.must_contain("No deliveries match these filters.");
    let csv = lan.get("/dashboard/deliveries.csv?status=delivered").await;
    assert!(csv.header("content-type").starts_with("text/csv"));
    csv.must_contain(&id);
    lan.get("/dashboard").await.must_contain("100%");
    gateway.audit();
}
