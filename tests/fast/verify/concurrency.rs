//! Guesses, right codes and starts at the same moment, on one node and on two.

use std::collections::HashMap;

use futures_util::{StreamExt, stream};
use harness::{Backend, Customer, Gateway, per_database, phone};

use super::{ONE, SECRET, check, code, gateway, get, started, wrong_code};

/// How many are in progress at once. On a busy machine more connections than this time out before their requests arrive;
/// the store's own test guesses a thousand times at once.
const AT_ONCE: usize = 250;

/// How many of the answers have each status, `valid` and error.
async fn tally(checks: Vec<(Customer, String, String)>) -> HashMap<String, usize> {
    let answers =
        checks.into_iter().map(async |(customer, id, code)| check(&customer, &id, &code).await);
    let answers: Vec<_> = stream::iter(answers).buffer_unordered(AT_ONCE).collect().await;
    let mut tally = HashMap::new();
    for answer in answers {
        let key = match answer.status {
            200 => format!("{} {}", answer.json["valid"], answer.json["status"]),
            _ => format!("{} {}", answer.error(), answer.json["status"]),
        };
        *tally.entry(key.replace('"', "")).or_default() += 1;
    }
    tally
}

/// The customer through each of the nodes in turn.
fn spread(
    nodes: &[Customer],
    id: &str,
    code: &str,
    count: usize,
) -> Vec<(Customer, String, String)> {
    let customers = nodes.iter().cycle().take(count);
    customers.map(|customer| (customer.clone(), id.to_owned(), code.to_owned())).collect()
}

async fn guess_at_once(gateway: &Gateway, nodes: &[Customer]) {
    let id = started(&nodes[0], &phone(90)).await;
    let counts = tally(spread(nodes, &id, &wrong_code(&id, 6), 1_000)).await;
    let expected = [("false pending", 4), ("false failed", 1), ("verification_closed failed", 995)];
    assert_eq!(counts, expected.map(|(key, count)| (key.to_owned(), count)).into());
    assert_eq!(get(&nodes[0], &id).await.json["status"], "failed");

    let id = started(&nodes[0], &phone(90)).await;
    let counts = tally(spread(nodes, &id, &code(&id, 6), 100)).await;
    let expected = [("true approved", 1), ("verification_closed approved", 99)];
    assert_eq!(counts, expected.map(|(key, count)| (key.to_owned(), count)).into());

    // The right one among many: at most five are compared, and the right one only if it is one of them.
    let id = started(&nodes[0], &phone(90)).await;
    let mut checks = spread(nodes, &id, &wrong_code(&id, 6), 50);
    checks.insert(25, (nodes[0].clone(), id.clone(), code(&id, 6)));
    let counts = tally(checks).await;
    let of = |key: &str| counts.get(key).copied().unwrap_or(0);
    assert!(of("true approved") + of("false failed") == 1, "{counts:?}");
    assert!(of("false pending") <= 4, "{counts:?}");
    gateway.audit();
}

#[per_database]
async fn of_a_thousand_guesses_at_once_five_are_compared_and_of_a_hundred_right_ones_one_approves(
    backend: Backend,
) {
    let gateway = gateway(backend, &[]);
    let customer = gateway.customer("a@example.com", "1.00");
    guess_at_once(&gateway, &[customer]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_compare_no_more_than_one() {
    if !Backend::Postgres.is_available() {
        return;
    }
    let one = gateway(Backend::Postgres, &[("NEXO_CLUSTER__NODE", "a")]);
    let two = one.beside(&[(SECRET, ONE), ("NEXO_CLUSTER__NODE", "b")]);
    let customer = one.customer("a@example.com", "1.00");
    let other = Customer { api: format!("{}/api/v1", two.url), ..customer.clone() };
    // The second node knows the new key within a second.
    harness::until("the key", std::time::Duration::from_secs(5), async || {
        (other.get("balance").await.status == 200).then_some(())
    })
    .await;
    guess_at_once(&one, &[customer, other]).await;
}
