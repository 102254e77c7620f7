//! Tests of the operator pages and of the decisions on them.

mod decisions;
mod suspension;

use harness::visitor;
use std::time::{Duration, Instant};

use harness::visitor::Visitor;
use harness::{Backend, Customer, Gateway, per_database, phone};

const ROOT: &str = "/dashboard/operators";
const PAGES: [&str; 6] = ["accounts", "carriers", "deposits", "reviews", "payouts", "revocations"];

async fn operator(gateway: &Gateway) -> Visitor {
    gateway.nexo(&[
        "account",
        "create",
        "--email",
        "op@example.com",
        "--password",
        visitor::PASSWORD,
        "--operator",
    ]);
    let mut operator = Visitor::of(gateway);
    let seen = operator.sign_in("op@example.com", visitor::PASSWORD).await;
    assert_eq!(seen.status, 303, "{}", seen.text);
    operator
}

fn id_of(gateway: &Gateway, email: &str) -> String {
    let accounts = gateway.nexo(&["account", "list"]);
    let accounts = accounts["accounts"].as_array().unwrap().clone();
    let account = accounts.iter().find(|account| account["email"] == email);
    account.unwrap()["id"].as_str().unwrap().to_owned()
}

/// Waits until the API answers the customer with this status. Returns the time that it took.
async fn wait_for_status(customer: &Customer, status: u16) -> Duration {
    let started = Instant::now();
    loop {
        let actual = customer.get("balance").await.status;
        if actual == status {
            return started.elapsed();
        }
        assert!(started.elapsed() < Duration::from_secs(5), "{actual}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[per_database]
async fn operator_pages_are_404_for_other_accounts(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    let mut operator = operator(&gateway).await;
    let id = id_of(&gateway, "lan@example.com");
    let mut pages: Vec<String> = PAGES.iter().map(|page| format!("{ROOT}/{page}")).collect();
    pages.push(format!("{ROOT}/accounts/{id}"));
    for page in &pages {
        assert_eq!(lan.get(page).await.status, 404, "{page}");
        let seen = operator.get(page).await;
        assert_eq!(seen.status, 200, "{page}: {}", seen.text);
        let vietnamese = operator.get(&format!("{page}?lang=vi")).await;
        assert_eq!(vietnamese.status, 200, "{page}");
        vietnamese.must_contain("lang=\"vi\"");
        operator.get(&format!("{page}?lang=en")).await;
        assert_eq!(Visitor::of(&gateway).get(page).await.status, 303, "{page}");
    }
    let mut forms: Vec<String> = ["suspend", "resume", "credit", "quota", "note"]
        .iter()
        .map(|form| format!("{ROOT}/accounts/{id}/{form}"))
        .collect();
    for form in ["carriers/drain", "payouts/run"] {
        forms.push(format!("{ROOT}/{form}"));
    }
    for form in [
        "deposits/{}/approve",
        "deposits/{}/refuse",
        "payments/{}/credit",
        "payments/{}/refuse",
        "reviews/{}/close",
        "payouts/{}/sent",
        "revocations/{}",
    ] {
        forms.push(format!("{ROOT}/{}", form.replace("{}", &id)));
    }
    let token = lan.get("/dashboard/settings").await.form_token().unwrap().to_owned();
    for form in &forms {
        let fields = [("form_token", token.as_str()), ("reason", "x"), ("note", "x")];
        assert_eq!(lan.post(form, &fields).await.status, 404, "{form}");
        assert_eq!(operator.post(form, &[]).await.status, 403, "{form}");
    }
    let actions = gateway.nexo(&["operator", "actions"]);
    assert_eq!(actions["actions"].as_array().unwrap().len(), 0, "{actions}");
    for unknown in ["accounts/nonsense", "accounts/00000000-0000-4000-8000-000000000000", "x"] {
        assert_eq!(operator.get(&format!("{ROOT}/{unknown}")).await.status, 404, "{unknown}");
    }
}

#[per_database]
async fn suspensions_credits_and_notes_of_an_operator_are_logged(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let customer = gateway.customer("lan@example.com", "1.00");
    // On PostgreSQL, a suspension reaches another node as fast.
    let second =
        (backend == Backend::Postgres).then(|| gateway.beside(&[("NEXO_CLUSTER__NODE", "n2")]));
    let on_second = second
        .as_ref()
        .map(|node| Customer { api: format!("{}/api/v1", node.url), ..customer.clone() });
    let mut operator = operator(&gateway).await;
    let id = id_of(&gateway, "lan@example.com");
    let page = format!("{ROOT}/accounts/{id}");
    for customer in [Some(&customer), on_second.as_ref()].into_iter().flatten() {
        assert_eq!(customer.get("balance").await.status, 200);
    }
    let found = operator.get(&format!("{ROOT}/accounts?q=LAN")).await;
    found.must_contain(&page);
    let none = operator.get(&format!("{ROOT}/accounts?q=nobody%25")).await;
    assert!(!none.text.contains(&page));

    let empty = operator.submit(&page, &format!("{page}/suspend"), &[("reason", " ")]).await;
    assert!(empty.location().ends_with("came=note"), "{}", empty.location());
    let reason = [("reason", "stolen <b>card</b>")];
    let seen = operator.submit(&page, &format!("{page}/suspend"), &reason).await;
    assert_eq!(seen.status, 303, "{}", seen.text);
    for customer in [Some(&customer), on_second.as_ref()].into_iter().flatten() {
        let took = wait_for_status(customer, 403).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
        let refused = customer.send(&phone(1), "482917").await;
        assert_eq!((refused.status, refused.error()), (403, "account_suspended"));
    }
    let shown = operator.get(&page).await;
    shown.must_contain("stolen &lt;b&gt;card&lt;/b&gt;");
    assert!(!shown.text.contains("<b>card"));
    let seen = operator.submit(&page, &format!("{page}/resume"), &[]).await;
    assert_eq!(seen.status, 303);
    wait_for_status(&customer, 200).await;

    let credit = [("bucket", "bonus"), ("amount", "2.50"), ("reference", "sorry-1")];
    for outcome in ["done", "before"] {
        let seen = operator.submit(&page, &format!("{page}/credit"), &credit).await;
        assert!(seen.location().ends_with(outcome), "{}", seen.location());
    }
    let wrong = [("bucket", "bonus"), ("amount", "-1"), ("reference", "x")];
    let seen = operator.submit(&page, &format!("{page}/credit"), &wrong).await;
    assert!(seen.location().ends_with("amount"), "{}", seen.location());
    assert_eq!(customer.balance().await.1, "3.500");
    operator.submit(&page, &format!("{page}/note"), &[("note", "called them")]).await;
    operator.get(&page).await.must_contain("called them").must_contain("op@example.com");
    let actions = gateway.nexo(&["operator", "actions", "--account", "lan@example.com"]);
    let names: Vec<&str> = actions["actions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|action| action["action"].as_str().unwrap())
        .collect();
    // The last entry is the credit of the test harness by the command line.
    assert_eq!(names, ["note", "credit", "resume", "suspend", "credit"]);
    gateway.audit();
}

#[per_database]
async fn a_drained_gateway_gets_no_new_calls(backend: Backend) {
    let gateway = Gateway::start(backend, &[]);
    let customer = gateway.customer("lan@example.com", "1.00");
    let mut operator = operator(&gateway).await;
    let page = format!("{ROOT}/carriers");
    let path = format!("{page}/drain");
    let shown = operator.get(&page).await;
    shown.must_contain("viettel").must_contain("ASR");
    let name = visitor::between(&shown.text, "&amp;gateway=", "&amp;").unwrap();
    let name = name.to_owned();
    let drain = |drained: &'static str| {
        let name = name.clone();
        vec![("carrier", "viettel".to_owned()), ("gateway", name), ("drained", drained.to_owned())]
    };
    let fields = |form_fields: &[(&'static str, String)]| -> Vec<(String, String)> {
        form_fields.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect()
    };
    for (drained, status) in [("yes", 502), ("no", 202)] {
        let form_fields = fields(&drain(drained));
        let form_fields: Vec<(&str, &str)> =
            form_fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let seen = operator.submit(&page, &path, &form_fields).await;
        assert_eq!(seen.status, 303, "{}", seen.text);
        let sent = customer.send("+84981234590", "482917").await;
        assert_eq!(sent.status, status, "{drained}: {}", sent.text);
        if drained == "yes" {
            operator.get(&page).await.must_contain("drained");
            assert_eq!(customer.balance().await.1, "1.000");
        }
    }
    let unknown = [("carrier", "viettel"), ("gateway", "nowhere"), ("drained", "yes")];
    assert_eq!(operator.submit(&page, &path, &unknown).await.status, 404);
    gateway.audit();
}

#[per_database]
async fn a_burst_to_sequential_numbers_is_reported_and_not_blocked(backend: Backend) {
    let gateway = Gateway::start(
        backend,
        &[
            ("NEXO_REVIEWS__WINDOW_SECONDS", "2"),
            ("NEXO_REVIEWS__SETTLE_SECONDS", "1"),
            ("NEXO_REVIEWS__LEAST_OTPS", "6"),
        ],
    );
    let customer = gateway.customer("lan@example.com", "100.00");
    let mut operator = operator(&gateway).await;
    let page = format!("{ROOT}/reviews");
    let started = Instant::now();
    let mut number = 0;
    let found = loop {
        // These calls end at once: busy, declined, unknown and unreachable.
        for _ in 0..10 {
            number += 1;
            for ending in [90, 92, 93, 94] {
                let phone = format!("+8498{:07}", 1_000_000 + number * 100 + ending);
                let sent = customer.send(&phone, "482917").await;
                assert!(matches!(sent.status, 202 | 502), "{}", sent.text);
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let listed = gateway.nexo(&["operator", "reviews"]);
        let reviews = listed["reviews"].as_array().unwrap().clone();
        if let Some(review) = reviews.iter().find(|r| r["suspicion"] == "sequential_numbers") {
            break review.clone();
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{listed}");
    };
    assert_eq!(found["account"], "lan@example.com");
    operator.get(&page).await.must_contain("sequential numbers");
    assert!(gateway.metric("nexo_reviews_opened_total").await >= 1.0);
    // Nothing is blocked.
    assert_eq!(customer.get("balance").await.status, 200);
    let id = found["id"].as_str().unwrap();
    let close = format!("{page}/{id}/close");
    let seen = operator.submit(&page, &close, &[("note", "a test campaign")]).await;
    assert!(seen.location().ends_with("done"), "{}", seen.location());
    operator.get(&format!("{page}?all=yes")).await.must_contain("a test campaign");
}
