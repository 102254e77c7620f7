//! Debian's Prometheus scrapes a gateway under load with the shipped configuration. Every panel of the
//! dashboards has data, and exactly the alerts for the provoked failures fire.

mod prometheus;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use harness::scripted_gateway::ScriptedGateway;
use harness::{Backend, Customer, Gateway, Receiver, SandboxCarrier, answer, client, until};
use prometheus::Prometheus;
use tokio::task::JoinHandle;

/// Alerts about the machine that runs the test, independent of the gateway.
const MACHINE_ALERTS: [&str; 5] =
    ["NexoMediaLate", "NexoSlowAnswers", "NexoCommitSlow", "NexoAudioLossy", "NexoOverloaded"];
/// The alerts that the test provokes. A node whose carrier is down reports it in `/readyz`.
const PROVOKED: [&str; 7] = [
    "NexoActorRestarts",
    "NexoCarrierDown",
    "NexoCarrierErrors",
    "NexoCustomersOutOfFunds",
    "NexoGatewayDown",
    "NexoNotReady",
    "NexoWebhooksFailing",
];

/// Panels, each with the lines that must show non-zero values.
const SHOWN: [&[&str]; 17] = [
    &["Accepted, carriers"],
    &["OTPs accepted"],
    &["Delivered"],
    &["Requests by status", "202", "402", "502"],
    &["Server errors"],
    &["Requests by verdict", "insufficient_balance", "no_route"],
    &["OTPs by outcome", "delivered", "no_route"],
    &["Refunded OTPs", "mobifone"],
    &["Debits and refunds", "debited", "refunded"],
    &["Customers out of funds"],
    &["Refused for insufficient balance"],
    &["ASR"],
    &["MOS by carrier"],
    &["SIP answers by code", "200", "486"],
    &["Actor restarts"],
    &["Webhook attempts", "delivered", "failed"],
    &["RTP packets", "sent", "received"],
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn python() -> String {
    std::env::var("NEXO_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// Runs a command to its end. Returns its output; the error holds the output of a failed command.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(stdout),
        false => Err(format!("{stdout}{}", String::from_utf8_lossy(&output.stderr))),
    }
}

#[test]
fn the_dashboards_match_their_script_and_grafanas_schema() {
    let script = root().join("grafana/make_dashboards.py");
    run(Command::new(python()).arg(script).arg("--check")).unwrap();
    let dashboards = std::fs::read_dir(root().join("grafana/dashboards")).unwrap();
    let dashboards: Vec<_> = dashboards.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(dashboards.len(), 3);
    let validate = root().join("tests/system/observability/validate.py");
    run(Command::new(python()).arg(&validate).args(&dashboards)).unwrap();
    // The validator detects errors.
    let dir = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(&dashboards[0]).unwrap();
    for (right, wrong) in [
        ("\"spanNulls\"", "\"spansNulls\""),
        ("\"description\": \"", "\"describes\": \""),
        ("\"noValue\": \"", "\"description\": \""),
        ("\"min\": 0", "\"max\": 0"),
        ("\"type\": \"timeseries\"", "\"type\": \"timesseries\""),
    ] {
        let broken = dir.path().join("broken.json");
        std::fs::write(&broken, text.replacen(right, wrong, 40)).unwrap();
        let result = run(Command::new(python()).arg(&validate).arg(&broken));
        assert!(result.is_err(), "{wrong} was not detected");
    }
}

#[test]
fn every_alert_has_a_runbook_and_passes_its_own_tests() {
    let rules = root().join("grafana/prometheus/rules/nexo.yml");
    run(Command::new("promtool").args(["check", "rules"]).arg(&rules)).unwrap();
    let tests = root().join("grafana/prometheus/tests");
    run(Command::new("promtool").args(["test", "rules", "nexo_test.yml"]).current_dir(&tests))
        .unwrap();
    let rules = std::fs::read_to_string(rules).unwrap();
    let tests = std::fs::read_to_string(tests.join("nexo_test.yml")).unwrap();
    let operations = std::fs::read_to_string(root().join("docs/OPERATIONS.md")).unwrap();
    let alerts: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 20);
    for alert in alerts {
        let link = format!("docs/OPERATIONS.md#{}", alert.to_lowercase());
        assert!(rules.contains(&link), "{alert} names no runbook");
        assert!(operations.contains(&format!("### {alert}\n")), "{alert} has no runbook");
        assert!(tests.contains(&format!("- name: {alert}\n")), "{alert} has no test");
    }
}

/// The duration of normal operation before the failures. A longer one gives better pictures.
fn normal_operation() -> Duration {
    let seconds = std::env::var("NEXO_TEST_CALM_SECONDS");
    Duration::from_secs(seconds.map_or(30, |seconds| seconds.parse().unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn panels_and_alerts_show_what_was_provoked_and_nothing_else() {
    let busy = ScriptedGateway::busy();
    let sandbox = SandboxCarrier::start();
    let mut gateway = start(&busy, &sandbox);
    let prometheus = Prometheus::start(&root().join("grafana/prometheus"), &gateway).await;
    let (receiver, dead) = (Receiver::start(), "http://127.0.0.1:9/hook");
    let rich = gateway.customer("rich@example.com", "100000.00");
    gateway.add_webhook("rich@example.com", &receiver.url());
    let unlucky = gateway.customer("unlucky@example.com", "100000.00");
    gateway.add_webhook("unlucky@example.com", dead);
    let poor = gateway.customer("poor@example.com", "0.044");

    // Normal operation: calls are answered and listened to; a few are busy.
    let stop = Arc::new(AtomicBool::new(false));
    let load = [
        keep_sending(&rich, "+8497", 1, Duration::from_millis(300), &stop),
        keep_sending(&rich, "+8496", 90, Duration::from_millis(700), &stop),
        keep_sending(&rich, "+8490", 1, Duration::from_secs(4), &stop),
    ];
    tokio::time::sleep(normal_operation()).await;
    prometheus.scraped().await;
    let firing = prometheus.firing().await;
    let unprovoked: Vec<_> =
        firing.iter().filter(|name| !MACHINE_ALERTS.contains(&name.as_str())).collect();
    assert!(unprovoked.is_empty(), "alerts fire in normal operation: {unprovoked:?}");
    assert_eq!(gateway.metric("nexo_actor_restarts_total").await, 0.0);

    // A carrier goes down, a webhook endpoint is unreachable, a wallet is empty, an actor panics.
    busy.set_silent(true);
    gateway.panic("webhooks");
    let failing_load = [
        keep_sending(&unlucky, "+8494", 98, Duration::from_millis(100), &stop),
        keep_sending(&poor, "+8488", 98, Duration::from_millis(150), &stop),
        keep_sending(&rich, "+8493", 1, Duration::from_secs(2), &stop),
    ];
    let expected: BTreeSet<String> = PROVOKED.iter().map(|name| (*name).to_owned()).collect();
    until("the provoked alerts fire", Duration::from_secs(90), async || {
        let firing = prometheus.firing().await;
        expected.is_subset(&firing).then_some(())
    })
    .await;
    let firing = prometheus.firing().await;
    let unexpected: Vec<_> = firing
        .difference(&expected)
        .filter(|name| !MACHINE_ALERTS.contains(&name.as_str()))
        .collect();
    assert!(unexpected.is_empty(), "unexpected alerts fire: {unexpected:?}");

    // Every rule was evaluated without an error, and every metric in the rules exists.
    prometheus.rules_are_healthy().await;
    for metric in prometheus.metrics_of_rules() {
        let series = prometheus.query(&format!("count({metric})")).await;
        assert!(!series.is_empty(), "no series of {metric}");
    }
    let shown = async |query: &str| -> f64 {
        let series = prometheus.query(query).await;
        let value = series.first().map(|one| one["value"][1].as_str().unwrap().to_owned());
        value.unwrap_or_else(|| panic!("{query}: no data")).parse().unwrap()
    };
    assert_eq!(shown("min(nexo_gateway_up{carrier=\"mobifone\",gateway=\"hn1\"})").await, 0.0);
    // Wallet totals are computed every 15 seconds.
    until("the empty wallet is counted", Duration::from_secs(40), async || {
        let empty = shown("max(nexo_wallets{state=\"out_of_funds\"})").await;
        (empty == 1.0).then_some(())
    })
    .await;
    assert_eq!(shown("sum(nexo_actor_restarts_total)").await, 1.0);
    assert!(shown("nexo_webhook_attempts_total{outcome=\"failed\"}").await > 5.0);
    for series in prometheus.recorded() {
        until(&format!("{series} is recorded"), Duration::from_secs(30), async || {
            let above_zero = prometheus.query(&format!("{series} > 0")).await;
            (!above_zero.is_empty()).then_some(())
        })
        .await;
    }
    panels(&prometheus).await;
    check_metric_descriptions(&gateway).await;

    stop.store(true, Ordering::Relaxed);
    for one in load.into_iter().chain(failing_load) {
        one.await.unwrap();
    }
    assert_eq!(gateway.terminate(), Some(0));
}

/// Every panel's queries return data, and the lines of [`SHOWN`] are above zero. Draws the panels if a
/// directory is given.
async fn panels(prometheus: &Prometheus) {
    println!("{}", drawn(prometheus, &SHOWN).await.unwrap());
    // The script detects a line without data.
    let nothing: &[&str] = &["Internal errors, reaped OTPs", "internal errors"];
    let error = drawn(prometheus, &[nothing]).await.unwrap_err();
    assert!(error.contains("is zero throughout"), "{error}");
}

/// The output of `draw.py`, which requires values above zero for these panels.
async fn drawn(prometheus: &Prometheus, shown: &[&[&str]]) -> Result<String, String> {
    let seconds = (normal_operation().as_secs() + 20).min(600).to_string();
    let mut command = Command::new(python());
    command.arg(root().join("grafana/draw.py")).args([
        prometheus.url.as_str(),
        "--seconds",
        &seconds,
        "--check",
    ]);
    for one in shown {
        command.arg("--not-zero").args(*one);
    }
    if let Ok(directory) = std::env::var("NEXO_TEST_DRAW") {
        command.args(["--out", &directory]);
    }
    let result = tokio::task::spawn_blocking(move || run(&mut command)).await;
    result.unwrap()
}

/// Each metric has a help text, each histogram has buckets, and no label holds a phone, a key or a code.
async fn check_metric_descriptions(gateway: &Gateway) {
    let page = answer(client().get(&gateway.metrics)).await.text;
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    for (name, kind) in types.map(|line| line.split_once(' ').unwrap()) {
        assert!(name.starts_with("nexo_"), "{name}");
        assert!(page.contains(&format!("# HELP {name} ")), "{name} has no help text");
        assert_ne!(kind, "summary", "{name} has no buckets");
    }
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let labels = line.rsplit_once('}').map_or("", |(labels, _)| labels);
        let digits = labels.split(|c: char| !c.is_ascii_digit());
        let longest = digits.map(str::len).max().unwrap_or(0);
        assert!(longest < 7 && !labels.contains("sk_"), "{line}");
    }
}

/// A gateway with trunks to MobiFone, whose phones are busy, and to Viettel and Vinaphone, whose phones are those of the
/// sandbox.
fn start(busy: &ScriptedGateway, sandbox: &SandboxCarrier) -> Gateway {
    let trunk =
        "username = \"nexo\"\npassword = \"s3cret\"\nregister = true\noptions_ping_seconds = 1";
    let others = sandbox.table("sandbox");
    let file = format!(
        "[[carriers]]\nname = \"mobifone\"\n{}[[carriers]]\nname = \"viettel\"\n{others}\
         [[carriers]]\nname = \"vinaphone\"\n{others}",
        busy.table("hn1", trunk),
    );
    let settings = [
        ("NEXO_CALLS__REPEAT", "1"),
        ("NEXO_CALLS__GATEWAY_TIMEOUT_MS", "500"),
        ("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"),
        ("NEXO_WEBHOOKS__ALLOW_HTTP", "true"),
    ];
    Gateway::configured(Backend::Sqlite, &file, &settings)
}

/// Sends OTPs at this interval to new phones with this prefix and these last digits until `stop` is set.
fn keep_sending(
    customer: &Customer,
    prefix: &'static str,
    last_two: u32,
    every: Duration,
    stop: &Arc<AtomicBool>,
) -> JoinHandle<()> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let (customer, stop) = (customer.clone(), Arc::clone(stop));
    tokio::spawn(async move {
        let mut due = tokio::time::interval(every);
        while !stop.load(Ordering::Relaxed) {
            due.tick().await;
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            let sent = customer.send(&format!("{prefix}{n:05}{last_two:02}"), "1234").await;
            assert!([202, 402, 502, 503].contains(&sent.status), "{}", sent.text);
        }
    })
}
