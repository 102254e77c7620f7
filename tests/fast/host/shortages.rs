//! What this host lacks is not the fault of customers' endpoints: what could not be sent is sent later.

use std::time::Duration;

use harness::mailbox::Mailbox;
use harness::visitor::Visitor;
use harness::{Backend, Gateway, Receiver, per_database, phone, until};

const SOON: Duration = Duration::from_secs(60);

/// The sum of a metric's values with this label, read over a connection that stays open.
async fn metric(http: &reqwest::Client, gateway: &Gateway, name: &str, label: &str) -> f64 {
    let page = http.get(&gateway.metrics).send().await.unwrap();
    let page = page.text().await.unwrap();
    page.lines()
        .filter(|line| line.starts_with(name) && line.contains(label))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[per_database]
async fn webhooks_and_e_mails_wait_while_there_is_no_descriptor(backend: Backend) {
    let (receiver, mailbox) = (Receiver::start(), Mailbox::start());
    let url = mailbox.url();
    let settings = [
        ("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"),
        ("NEXO_WEBHOOKS__ALLOW_HTTP", "true"),
        ("NEXO_CALLS__REPEAT", "1"),
        ("NEXO_MAIL__SMTP_URL", url.as_str()),
    ];
    let gateway = Gateway::start(backend, &settings);
    let customer = gateway.customer("a@example.com", "10.00");
    gateway.add_webhook("a@example.com", &receiver.url());
    // A first call opens everything that calls need. Its webhook's connection is used again only while it is idle.
    let first = customer.send(&phone(1), "4829").await;
    let first = first.json["id"].as_str().unwrap().to_owned();
    assert_eq!(receiver.next().header("X-NEXO-Delivery-Id"), first);
    let mut visitor = Visitor::of(&gateway);
    visitor.http = customer.http.clone();
    let form = visitor.get("/auth/reset").await;
    let token = form.form_token().unwrap().to_owned();
    let http = harness::client();
    metric(&http, &gateway, "nexo_ready", "").await;
    // The receiver closes its connection.
    receiver.close_connections();

    gateway.limit_files(Some(8));
    let sent = customer.send(&phone(2), "4829").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let id = sent.json["id"].as_str().unwrap().to_owned();
    let fields = [("email", "a@example.com"), ("form_token", token.as_str())];
    let asked = visitor.post("/auth/reset", &fields).await;
    assert!(asked.status < 400, "{}", asked.text);
    for part in ["part=\"webhook\"", "part=\"mail\""] {
        until("it is postponed twice", SOON, async || {
            let count = metric(&http, &gateway, "nexo_shortages_total", part).await;
            (count >= 2.0).then_some(())
        })
        .await;
    }
    assert!(receiver.try_next().is_none());
    let failed = metric(&http, &gateway, "nexo_webhook_attempts_total", "failed").await;
    assert_eq!(failed, 0.0);

    gateway.limit_files(None);
    assert_eq!(receiver.next().header("X-NEXO-Delivery-Id"), id);
    mailbox.wait_for("a@example.com", 1).await;
    until("the attempt is recorded", SOON, async || {
        let delivered = metric(&http, &gateway, "nexo_webhook_attempts_total", "delivered").await;
        (delivered == 2.0).then_some(())
    })
    .await;
    assert!(receiver.try_next().is_none(), "sent twice");
    gateway.audit();
}
