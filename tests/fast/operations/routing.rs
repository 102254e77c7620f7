//! Which calls the sandbox takes: those of test keys, and those of live keys only while no carrier has a gateway.

use std::time::Duration;

use harness::scripted_gateway::ScriptedGateway;
use harness::{Backend, Gateway, answer, client, per_database, phone, until};

const MOBIFONE_PHONE: &str = "+84901234567";

/// A gateway whose only trunk is one of viettel, at this far end.
fn with_a_trunk(backend: Backend, far_end: &ScriptedGateway) -> Gateway {
    let trunk = far_end.inline_table("hn1", 1, "options_ping_seconds=0");
    let carriers = format!(r#"[{{name="viettel",gateways=[{trunk}]}}]"#);
    Gateway::start(backend, &[("NEXO_CARRIERS", &carriers)])
}

#[per_database]
async fn with_one_trunk_the_other_carriers_have_no_route_for_live_keys(backend: Backend) {
    let far_end = ScriptedGateway::busy();
    let gateway = with_a_trunk(backend, &far_end);
    assert_eq!(gateway.demo_key, None, "no demo account in production");
    let accounts = gateway.nexo(&["account", "list"]);
    assert_eq!(accounts["accounts"].as_array().unwrap().len(), 0, "{accounts}");
    let customer = gateway.customer("a@example.com", "1.00");

    let refused = customer.send(MOBIFONE_PHONE, "482917").await;
    assert_eq!((refused.status, refused.error()), (502, "no_route"));
    assert!(refused.json.get("id").is_none(), "{}", refused.text);
    assert_eq!(customer.balance().await.1, "1.000");

    let accepted = customer.send(&phone(67), "482917").await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    assert_eq!(far_end.requests("INVITE").len(), 1);

    let test = gateway.with_test_key(&customer, "a@example.com");
    let accepted = test.send(MOBIFONE_PHONE, "482917").await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    let id = accepted.json["id"].as_str().unwrap();
    assert_eq!(test.terminal(id).await.json["status"], "delivered");

    assert_eq!(accepted_otps(&gateway).await, Accepted { live: 1.0, sandbox: 1.0 });
    assert_eq!(gateway.metric("nexo_sandbox_serves_live").await, 0.0);
    let ready = answer(client().get(format!("{}/readyz", gateway.url))).await;
    assert_eq!(ready.status, 200, "{}", ready.text);
    gateway.audit();
}

/// The accepted OTPs by who answered them.
#[derive(Debug, PartialEq)]
struct Accepted {
    live: f64,
    sandbox: f64,
}

async fn accepted_otps(gateway: &Gateway) -> Accepted {
    let page = answer(client().get(&gateway.metrics)).await.text;
    let count = |realm: &str| {
        let lines = page.lines().filter(|line| line.starts_with("nexo_otp_requests_total{"));
        let lines = lines.filter(|line| line.contains(r#"verdict="accepted""#));
        let lines = lines.filter(|line| line.contains(&format!("realm=\"{realm}\"")));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    Accepted { live: count("live"), sandbox: count("sandbox") }
}

#[tokio::test(flavor = "multi_thread")]
async fn live_otps_that_the_sandbox_answers_are_not_counted_as_a_carriers() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let customer = gateway.customer("a@example.com", "1.00");
    let accepted = customer.send(&phone(67), "482917").await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    assert_eq!(accepted_otps(&gateway).await, Accepted { live: 0.0, sandbox: 1.0 });
    until("the gauge is set", Duration::from_secs(10), async || {
        (gateway.metric("nexo_sandbox_serves_live").await == 1.0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn carriers_without_a_route_are_named_by_check_and_trunks() {
    let far_end = ScriptedGateway::busy();
    let gateway = with_a_trunk(Backend::Sqlite, &far_end);
    let unrouted = ["vinaphone", "mobifone", "vietnamobile", "gmobile", "itel", "wintel"];
    let checked = gateway.nexo(&["config", "check"]);
    let named = checked["carriers_without_route"].as_array().unwrap();
    let named: Vec<&str> = named.iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(named, unrouted);
    let trunks = gateway.nexo(&["trunks"]);
    for carrier in trunks["carriers"].as_array().unwrap() {
        let has_gateway = !carrier["gateways"].as_array().unwrap().is_empty();
        assert_eq!(has_gateway, carrier["carrier"] == "viettel", "{carrier}");
    }

    let without_trunks = Gateway::start(Backend::Sqlite, &[]);
    let checked = without_trunks.nexo(&["config", "check"]);
    assert_eq!(checked, serde_json::json!({ "ok": true }));
    assert!(without_trunks.demo_key.is_some());
}

#[per_database]
async fn a_refund_is_shown_with_the_delivery_and_in_lists(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let customer = gateway.customer("a@example.com", "1.00");
    for (last_two, refunded) in [(93, true), (90, false)] {
        let sent = customer.send(&phone(last_two), "482917").await;
        assert_eq!(sent.status, 202, "{}", sent.text);
        let id = sent.json["id"].as_str().unwrap();
        let delivery = customer.terminal(id).await;
        assert_eq!(delivery.json["refunded"], refunded, "{}", delivery.text);
        let list = customer.get("deliveries?limit=1").await;
        assert_eq!(list.json["deliveries"][0]["refunded"], refunded, "{}", list.text);
    }
    gateway.audit();
}
