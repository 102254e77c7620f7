//! An account without money holds no phone and no call rate of others.

use futures_util::future::join_all;
use harness::scripted_gateway::ScriptedGateway;
use harness::{Backend, Gateway, per_database, phone};

#[per_database]
async fn requests_without_funds_hold_no_phone_and_use_no_call_rate(backend: Backend) {
    let far_end = ScriptedGateway::busy();
    let trunk = far_end.inline_table("hn1", 1, "options_ping_seconds=0");
    let carriers = format!(r#"[{{name="viettel",calls_per_second=5,gateways=[{trunk}]}}]"#);
    let gateway = Gateway::start(backend, &[("NEXO_CARRIERS", &carriers)]);
    let poor = gateway.customer("poor@example.com", "0");
    let rich = gateway.customer("rich@example.com", "10.00");
    assert_eq!(poor.send(&phone(0), "482917").await.status, 402);
    // Far more than the call rate of five a second. Only one request every 200 ms reaches the wallet.
    let flood: Vec<_> = (0..200).map(|n| phone(n % 100)).collect();
    let refused = join_all(flood.iter().map(|phone| poor.send(phone, "482917"))).await;
    for answer in &refused {
        assert!([402, 503].contains(&answer.status), "{}", answer.text);
    }
    let overloaded = refused.iter().filter(|answer| answer.status == 503).count();
    assert!(overloaded <= 5, "{overloaded} requests without funds found no call rate");
    let accepted = rich.send(&phone(1), "482917").await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    // A credit is noticed.
    let credit = ["wallet", "credit", "--account", "poor@example.com", "--bucket", "balance"];
    gateway.nexo(&[&credit[..], &["--amount", "1.00", "--reference", "R1"]].concat());
    harness::until("the credit is noticed", std::time::Duration::from_secs(5), async || {
        (poor.send(&phone(2), "482917").await.status == 202).then_some(())
    })
    .await;
    gateway.audit();
}
