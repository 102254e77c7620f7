//! Two nodes are restarted one after the other under load, behind Debian's HAProxy with the shipped
//! configuration: no call is cut, no accepted OTP is lost, and no customer sees an error.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use harness::ports::free_ports;
use harness::{Backend, Customer, Gateway, answer, client, phone, until};
use tokio::sync::Mutex;

const SOON: Duration = Duration::from_secs(30);

/// HAProxy with the shipped configuration on other ports.
struct Balancer {
    url: String,
    child: Child,
    _dir: tempfile::TempDir,
}

impl Balancer {
    fn start(nodes: [u16; 2]) -> Balancer {
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/haproxy.cfg");
        let mut config = std::fs::read_to_string(shipped).unwrap();
        let own = free_ports(1);
        for (port, actual) in [(8088, own), (8081, nodes[0]), (8082, nodes[1])] {
            let address = format!("127.0.0.1:{port}");
            assert!(config.contains(&address), "{config}");
            config = config.replace(&address, &format!("127.0.0.1:{actual}"));
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("haproxy.cfg");
        std::fs::write(&file, config).unwrap();
        let child = Command::new("haproxy")
            .args(["-db", "-q", "-f"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Debian's package haproxy");
        Balancer { url: format!("http://127.0.0.1:{own}"), child, _dir: dir }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The minimum number of calls in progress on a node when it receives SIGTERM. Set `NEXO_TEST_CALLS=200`
/// for the long form.
fn calls() -> u32 {
    std::env::var("NEXO_TEST_CALLS").map_or(40, |calls| calls.parse().unwrap())
}

async fn is_ready(url: &str) -> bool {
    let ready = client().get(format!("{url}/readyz")).send().await;
    ready.is_ok_and(|ready| ready.status() == 200)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_under_load_cuts_no_call_loses_no_otp_and_shows_no_error() {
    if std::env::var("NEXO_TEST_POSTGRES_URL").is_err() {
        eprintln!("skipped: NEXO_TEST_POSTGRES_URL names no PostgreSQL, and SQLite has one node");
        return;
    }
    let ports = free_ports(2);
    let listen = [ports, ports + 1].map(|port| format!("127.0.0.1:{port}"));
    let settings = |node: &'static str, place: usize| {
        [
            ("NEXO_CLUSTER__NODE", node),
            ("NEXO_SERVER__LISTEN", listen[place].as_str()),
            ("NEXO_SERVER__DRAIN_AT_LEAST_MS", "2000"),
            ("NEXO_CALLS__REPEAT", "1"),
        ]
    };
    let a = Gateway::start(Backend::Postgres, &settings("a", 0));
    let b = a.beside(&settings("b", 1));
    let balancer = Balancer::start([ports, ports + 1]);
    until("the balancer has a ready node", SOON, async || {
        is_ready(&balancer.url).await.then_some(())
    })
    .await;
    let direct = a.customer("a@example.com", "1000.00");
    let balanced = Customer { api: format!("{}/api/v1", balancer.url), ..direct.clone() };

    // A call lasts about ten seconds; each node takes half of the calls.
    let every = Duration::from_secs(10) / (calls() * 5 / 2);
    let stop = Arc::new(AtomicBool::new(false));
    let accepted: Arc<Mutex<Vec<String>>> = Arc::default();
    let load = {
        let (stop, accepted, balanced) =
            (Arc::clone(&stop), Arc::clone(&accepted), balanced.clone());
        tokio::spawn(async move {
            let mut due = tokio::time::interval(every);
            let mut sent = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                due.tick().await;
                let (balanced, accepted) = (balanced.clone(), Arc::clone(&accepted));
                sent.push(tokio::spawn(async move {
                    let answer = balanced.send(&phone(1), "4829").await;
                    assert_eq!(answer.status, 202, "{}", answer.text);
                    let id = answer.json["id"].as_str().unwrap().to_owned();
                    accepted.lock().await.push(id);
                }));
            }
            for request in sent {
                request.await.unwrap();
            }
        })
    };
    let mut nodes = [a, b];
    for node in &mut nodes {
        until("calls are in progress", SOON, async || {
            let up = node.metric("nexo_calls_in_progress").await;
            (up >= f64::from(calls())).then_some(())
        })
        .await;
        node.signal("TERM");
        assert_eq!(node.wait_for_exit().await, Some(0));
        tokio::task::block_in_place(|| node.restart());
        let url = node.url.clone();
        until("the node is ready again", SOON, async || is_ready(&url).await.then_some(())).await;
        until("the balancer sends OTPs to the node again", SOON, async || {
            let taken = node.metric("nexo_otp_requests_total").await;
            (taken > 0.0).then_some(())
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    load.await.unwrap();
    let accepted = accepted.lock().await;
    assert!(accepted.len() as u32 > calls(), "{} OTPs", accepted.len());
    for id in accepted.iter() {
        let ended = balanced.terminal(id).await;
        assert_eq!(ended.json["status"], "delivered", "{}", ended.text);
    }
    let [a, b] = &nodes;
    let took =
        [a.metric("nexo_otp_requests_total").await, b.metric("nexo_otp_requests_total").await];
    assert!(took.iter().all(|count| *count > 0.0), "one node received no OTPs: {took:?}");
    let rows = a.query("SELECT COUNT(*) FROM deliveries");
    assert_eq!(rows, accepted.len().to_string(), "each delivery belongs to an accepted request");
    a.audit();
    // The balancer reports ready balanced the restarted nodes.
    let ready = answer(client().get(format!("{}/readyz", balancer.url))).await;
    assert_eq!(ready.status, 200);
}
