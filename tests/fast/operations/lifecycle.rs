//! Tests of notifications to the service manager, reloads of the configuration and graceful shutdown.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use harness::scripted_gateway::ScriptedGateway;
use harness::{Backend, Gateway, Receiver, answer, client, number, per_database, phone, until};

const TIMEOUT: Duration = Duration::from_secs(20);
const QUICK: (&str, &str) = ("NEXO_CALLS__REPEAT", "1");
/// The sandbox answers these numbers and hears the whole code. A call takes about ten seconds.
const ANSWERED: u32 = 1;

async fn readiness(gateway: &Gateway) -> harness::Answer {
    answer(client().get(format!("{}/readyz", gateway.url))).await
}

/// Waits until these numbers of reloads are done and refused.
async fn wait_for_reloads(gateway: &Gateway, done: u32, refused: u32) {
    until("the reload", TIMEOUT, async || {
        let page = client().get(&gateway.metrics).send().await.unwrap();
        let page = page.text().await.unwrap();
        let has = |outcome: &str, count: u32| {
            let line = format!("nexo_config_reloads_total{{outcome=\"{outcome}\"}} {count}");
            page.lines().any(|known| known == line)
        };
        (has("done", done) && has("refused", refused)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_applies_carriers_prices_and_limits_without_dropping_calls() {
    let busy = ScriptedGateway::busy();
    let first = "[billing]\nprice_usd = \"0.022\"\n";
    let settings = [QUICK, ("RUST_LOG", "info")];
    let gateway = Gateway::configured(Backend::Sqlite, first, &settings);
    let customer = gateway.customer("a@example.com", "10.00");
    let before = customer.send(&phone(ANSWERED), "4829").await;
    assert_eq!(before.status, 202, "{}", before.text);
    assert_eq!(number(&before.text, "cost"), "0.022");

    let second = format!(
        "[billing]\nprice_usd = \"0.05\"\n[server]\npublic_url = \"https://otp.example.com\"\n\
         [[carriers]]\nname = \"viettel\"\nchannels = 7\ncaller_ids = [\"+842471234567\"]\n{}",
        busy.table("hn1", "options_ping_seconds = 1")
    );
    gateway.reload(&second);
    wait_for_reloads(&gateway, 1, 0).await;
    let after = customer.send(&phone(ANSWERED), "4829").await;
    assert_eq!(after.status, 202, "{}", after.text);
    assert_eq!(number(&after.text, "cost"), "0.050");
    assert_eq!(busy.requests("INVITE").len(), 1, "the new gateway was not called");
    let id = after.json["id"].as_str().unwrap();
    assert_eq!(customer.terminal(id).await.json["error_code"], "busy");
    until("the new limit is shown", TIMEOUT, async || {
        let page = client().get(&gateway.metrics).send().await.unwrap();
        let page = page.text().await.unwrap();
        let line = "nexo_channels_limit{carrier=\"viettel\"} 7";
        page.lines().any(|known| known == line).then_some(())
    })
    .await;
    let log = gateway.log();
    assert!(log.contains("billing.price_usd"), "{log}");
    assert!(log.contains("next start") && log.contains("server.public_url"), "{log}");

    // An error in the file, or in a host or transport that it names, changes nothing.
    for (refused, bad) in [
        second.replace("0.05", "five cents"),
        second.replace("[billing]", "[biling]"),
        second.replace(&busy.address.to_string(), "no-such-host.invalid"),
        second.replace(&format!("{}\"", busy.address), "127.0.0.1:5061;transport=tls\""),
    ]
    .iter()
    .enumerate()
    {
        assert_ne!(bad, &second);
        gateway.reload(&bad.replace("0.05", "0.09"));
        wait_for_reloads(&gateway, 1, refused as u32 + 1).await;
        assert_eq!(gateway.metric("nexo_config_last_reload_successful").await, 0.0);
    }
    let still = customer.send(&phone(ANSWERED), "4829").await;
    assert_eq!(number(&still.text, "cost"), "0.050");
    assert_eq!(busy.requests("INVITE").len(), 2);

    // Without the last gateway there is no route: the sandbox does not come back. The first call has ended normally.
    gateway.reload(first);
    wait_for_reloads(&gateway, 2, 4).await;
    assert_eq!(gateway.metric("nexo_config_last_reload_successful").await, 1.0);
    let refused = customer.send(&phone(90), "4829").await;
    assert_eq!((refused.status, refused.error()), (502, "no_route"), "{}", refused.text);
    assert_eq!(busy.requests("INVITE").len(), 2);
    let page = client().get(&gateway.metrics).send().await.unwrap();
    let page = page.text().await.unwrap();
    let line = page
        .lines()
        .find(|line| line.starts_with("nexo_gateway_up{carrier=\"viettel\",gateway=\"hn1\"}"));
    assert!(line.unwrap().ends_with("NaN"), "{line:?}");
    let id = before.json["id"].as_str().unwrap();
    assert_eq!(customer.terminal(id).await.json["status"], "delivered");
    gateway.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_keeps_its_registration_and_circuit_breaker_across_a_reload() {
    let busy = ScriptedGateway::busy();
    let file = |channels: u32, weight: u32| {
        let more = format!(
            "weight = {weight}\nusername = \"nexo\"\npassword = \"s3cret\"\nregister = true\noptions_ping_seconds = 1"
        );
        format!(
            "[[carriers]]\nname = \"viettel\"\nchannels = {channels}\n{}",
            busy.table("hn1", &more)
        )
    };
    let gateway = Gateway::configured(Backend::Sqlite, &file(5, 10), &[QUICK]);
    until("registered", TIMEOUT, async || {
        (gateway.metric("nexo_gateway_registered").await == 1.0).then_some(())
    })
    .await;
    busy.set_silent(true);
    let trunks = gateway.metrics.replace("/metrics", "/trunks");
    let viettel = async || {
        let page = answer(client().get(&trunks)).await.json;
        page["carriers"][0].clone()
    };
    until("hn1 is down", TIMEOUT, async || {
        (viettel().await["gateways"][0]["reachable"] == false).then_some(())
    })
    .await;
    gateway.reload(&file(6, 20));
    wait_for_reloads(&gateway, 1, 0).await;
    let now = viettel().await;
    assert_eq!(now["channels"], 6);
    assert_eq!(now["gateways"][0]["reachable"], false, "{now:#}");
    assert_eq!(now["gateways"][0]["registered"], true, "{now:#}");
    busy.set_silent(false);
    until("the probes reach hn1 again", TIMEOUT, async || {
        (viettel().await["gateways"][0]["reachable"] == true).then_some(())
    })
    .await;
}

#[per_database]
async fn sigterm_refuses_new_otps_finishes_calls_and_sends_webhooks(backend: Backend) {
    let receiver = Receiver::start();
    let mut gateway = Gateway::start(
        backend,
        &[QUICK, ("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"), ("NEXO_WEBHOOKS__ALLOW_HTTP", "true")],
    );
    let customer = gateway.customer("a@example.com", "10.00");
    gateway.add_webhook("a@example.com", &receiver.url());
    let mut ids = Vec::new();
    for _ in 0..5 {
        let accepted = customer.send(&phone(ANSWERED), "4829").await;
        assert_eq!(accepted.status, 202, "{}", accepted.text);
        ids.push(accepted.json["id"].as_str().unwrap().to_owned());
    }
    gateway.signal("TERM");
    let not_ready = until("not ready", TIMEOUT, async || {
        let answer = readiness(&gateway).await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert!(not_ready.text.contains("shutting down"), "{}", not_ready.text);
    let refused = customer.send(&phone(ANSWERED), "4829").await;
    assert_eq!((refused.status, refused.error()), (503, "overloaded"));
    assert!(refused.header("retry-after").is_some());
    // Other requests are still answered.
    let read = customer.get(&format!("deliveries/{}", ids[0])).await;
    assert_eq!(read.status, 200);
    assert_eq!(gateway.wait_for_exit().await, Some(0));
    let mut notified: Vec<String> = ids
        .iter()
        .map(|_| receiver.next())
        .map(|hook| {
            assert_eq!(hook.header("X-NEXO-Event-Type"), "otp.delivered", "{}", hook.body);
            hook.json()["id"].as_str().unwrap().to_owned()
        })
        .collect();
    notified.sort();
    ids.sort();
    assert_eq!(notified, ids);
    assert!(receiver.try_next().is_none());
    gateway.restart();
    let customer = harness::Customer { api: format!("{}/api/v1", gateway.url), ..customer };
    for id in &ids {
        let kept = customer.get(&format!("deliveries/{id}")).await;
        assert_eq!(kept.json["status"], "delivered", "{}", kept.text);
    }
    // The next start has no pending webhooks to send.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(receiver.try_next().is_none());
    gateway.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_load_balancer_an_idle_node_keeps_answering_for_the_drain_time() {
    let mut gateway =
        Gateway::start(Backend::Sqlite, &[("NEXO_SERVER__DRAIN_AT_LEAST_MS", "1500")]);
    let started = Instant::now();
    gateway.signal("TERM");
    until("not ready", TIMEOUT, async || (readiness(&gateway).await.status == 503).then_some(()))
        .await;
    assert_eq!(gateway.wait_for_exit().await, Some(0));
    assert!(started.elapsed() >= Duration::from_millis(1500));
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_is_notified_of_each_state_and_of_liveness() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let wait_for = |wanted: &str| {
        let mut buffer = [0; 4096];
        loop {
            let length =
                manager.recv(&mut buffer).unwrap_or_else(|error| panic!("{wanted}: {error}"));
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.lines().any(|line| line == wanted) {
                return text;
            }
        }
    };
    let mut gateway = Gateway::configured(
        Backend::Sqlite,
        "",
        &[("NOTIFY_SOCKET", socket.to_str().unwrap()), ("WATCHDOG_USEC", "400000")],
    );
    wait_for("READY=1");
    for _ in 0..3 {
        wait_for("WATCHDOG=1");
    }
    gateway.reload("");
    let reloading = wait_for("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    wait_for("READY=1");
    gateway.signal("TERM");
    let stopping = wait_for("STOPPING=1");
    assert!(stopping.contains("EXTEND_TIMEOUT_USEC="), "{stopping}");
    assert_eq!(gateway.wait_for_exit().await, Some(0));
}
