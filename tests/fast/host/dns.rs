//! A DNS server that does not answer delays neither sign-in nor the webhooks of other endpoints.

use std::time::Duration;

use harness::mailbox::Mailbox;
use harness::visitor::{PASSWORD, Visitor};
use harness::{Backend, Customer, DnsServer, Gateway, Receiver, client, phone, until};

const SOON: Duration = Duration::from_secs(60);
/// Accounts whose endpoints' names have no answer, with [`ENDPOINTS`] endpoints each.
const ACCOUNTS: u32 = 10;
const ENDPOINTS: u32 = 5;

fn customer(gateway: &Gateway, email: &str, http: &reqwest::Client) -> Customer {
    let mut customer = gateway.customer(email, "10.00");
    customer.http = http.clone();
    customer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_dns_server_delays_neither_sign_in_nor_other_webhooks() {
    let (dns, receiver, mailbox) = (DnsServer::start(), Receiver::start(), Mailbox::start());
    let servers = dns.setting();
    let smtp = mailbox.url().replace("127.0.0.1", "mail.example.com");
    let settings = [
        ("NEXO_DNS__SERVERS", servers.as_str()),
        ("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"),
        ("NEXO_WEBHOOKS__ALLOW_HTTP", "true"),
        ("NEXO_CALLS__REPEAT", "1"),
        ("NEXO_MAIL__SMTP_URL", smtp.as_str()),
    ];
    let gateway = Gateway::start(Backend::Sqlite, &settings);
    let http = client();
    let port = receiver.address.port();
    let good = customer(&gateway, "good@example.com", &http);
    gateway.add_webhook("good@example.com", &format!("http://good.example.com:{port}/"));
    let create = ["account", "create", "--email", "v@example.com"];
    gateway.nexo(&[&create[..], &["--password", PASSWORD]].concat());
    let dead: Vec<Customer> = (0..ACCOUNTS)
        .map(|account| {
            let email = format!("dead{account}@example.com");
            for endpoint in 0..ENDPOINTS {
                if endpoint == 0 {
                    customer(&gateway, &email, &http);
                }
                let name = format!("dead{account}x{endpoint}.example.com");
                gateway.add_webhook(&email, &format!("http://{name}:{port}/"));
            }
            let key = gateway.nexo(&["key", "create", "--account", &email, "--name", "k"]);
            Customer { key: key["key"].as_str().unwrap().to_owned(), ..good.clone() }
        })
        .collect();
    dns.fall_silent();
    for customer in &dead {
        let sent = customer.send(&phone(1), "4829").await;
        assert_eq!(sent.status, 202, "{}", sent.text);
    }
    until("queries without an answer", SOON, async || {
        (dns.unanswered() >= ACCOUNTS as usize).then_some(())
    })
    .await;
    let mut visitor = Visitor::of(&gateway);
    let seen = visitor.sign_in("v@example.com", PASSWORD).await;
    assert_eq!((seen.status, seen.location()), (303, "/dashboard"));
    let sent = good.send(&phone(2), "4829").await;
    let id = sent.json["id"].as_str().unwrap();
    assert_eq!(receiver.next().header("X-NEXO-Delivery-Id"), id);
    let reset = [("email", "v@example.com")];
    Visitor::of(&gateway).submit("/auth/reset", "/auth/reset", &reset).await;
    mailbox.wait_for("v@example.com", 1).await;
    assert!(receiver.try_next().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_without_an_answer_from_dns_does_not_delay_sign_in() {
    let (dns, mailbox) = (DnsServer::start(), Mailbox::start());
    let servers = dns.setting();
    let smtp = mailbox.url().replace("127.0.0.1", "dead.example.com");
    let settings =
        [("NEXO_DNS__SERVERS", servers.as_str()), ("NEXO_MAIL__SMTP_URL", smtp.as_str())];
    let gateway = Gateway::start(Backend::Sqlite, &settings);
    let create = ["account", "create", "--email", "v@example.com"];
    gateway.nexo(&[&create[..], &["--password", PASSWORD]].concat());
    dns.fall_silent();
    let reset = [("email", "v@example.com")];
    Visitor::of(&gateway).submit("/auth/reset", "/auth/reset", &reset).await;
    until("a query without an answer", SOON, async || (dns.unanswered() > 0).then_some(())).await;
    let mut visitor = Visitor::of(&gateway);
    let seen = visitor.sign_in("v@example.com", PASSWORD).await;
    assert_eq!((seen.status, seen.location()), (303, "/dashboard"));
    until("the e-mail is given up", SOON, async || {
        (gateway.metric("nexo_mail_total").await > 0.0).then_some(())
    })
    .await;
}
