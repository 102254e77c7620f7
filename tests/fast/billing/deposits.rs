//! Tests of top-ups: the page, bank notifications, operator decisions and the low-balance notice.

use harness::mailbox::Mailbox;
use harness::visitor::{PASSWORD, Visitor, between};
use harness::{Answer, Backend, Gateway, Receiver, answer, client, number, per_database, phone};
use nexo_domain::webhook::HashedSecret;
use serde_json::json;

const SECRET: &str = "a-secret-of-the-bank-0001";
const BANK: [(&str, &str); 5] = [
    ("NEXO_DEPOSITS__BANK_BIN", "970436"),
    ("NEXO_DEPOSITS__BANK_ACCOUNT", "0123456789"),
    ("NEXO_DEPOSITS__BANK_HOLDER", "CONG TY NEXO"),
    ("NEXO_DEPOSITS__VND_PER_USD", "25000"),
    ("NEXO_DEPOSITS__NOTIFICATION_SECRET", SECRET),
];
const TOP_UP: &str = "/dashboard/wallet/top-up";

async fn notify(gateway: &Gateway, body: &str, signature: Option<&str>) -> Answer {
    let url = format!("{}/api/v1/bank-notifications", gateway.url);
    let request = client().post(url).body(body.to_owned());
    answer(match signature {
        Some(signature) => request.header("X-NEXO-Bank-Signature", signature),
        None => request,
    })
    .await
}

async fn paid(gateway: &Gateway, id: &str, amount: i64, memo: &str) -> Answer {
    let body = json!({ "transaction_id": id, "amount": amount, "memo": memo }).to_string();
    let signature = HashedSecret::from_record(SECRET.to_owned()).sign(body.as_bytes());
    notify(gateway, &body, Some(&signature)).await
}

/// Opens a top-up on the page. Returns the path of its page and its reference.
async fn open(visitor: &mut Visitor, amount: &str) -> (String, String) {
    let fields = [("amount", amount), ("provider", "bank_transfer")];
    let seen = visitor.submit(TOP_UP, TOP_UP, &fields).await;
    assert_eq!(seen.status, 303, "{}", seen.text);
    let page = seen.location().to_owned();
    let shown = visitor.get(&page).await;
    let reference = between(&shown.text, "<code>NX", "<").expect("a reference");
    (page, format!("NX{reference}"))
}

#[per_database]
async fn a_bank_transfer_is_credited_once_despite_repeated_notifications(backend: Backend) {
    let gateway = Gateway::start(backend, &BANK);
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    let key = lan.new_key("server").await;
    // The API links to the top-up page when the wallet is empty.
    let spent = [
        "wallet",
        "correct",
        "--account",
        "lan@example.com",
        "--bucket",
        "free",
        "--amount=-0.110",
        "--reference",
        "spent",
    ];
    gateway.nexo(&spent);
    let body = json!({ "phone": phone(1), "code": "482917" }).to_string();
    let send = client().post(format!("{}/api/v1/send-otp", gateway.url));
    let short = answer(send.bearer_auth(&key).body(body)).await;
    assert_eq!(short.status, 402, "{}", short.text);
    let url = short.json["deposit_url"].as_str().unwrap();
    assert!(url.ends_with(TOP_UP), "{url}");

    for wrong in ["", "ten", "4.99", "100000.01", "-5"] {
        let fields = [("amount", wrong), ("provider", "bank_transfer")];
        let seen = lan.submit(TOP_UP, TOP_UP, &fields).await;
        assert_eq!(seen.status, 400, "{wrong}");
    }
    let (page, reference) = open(&mut lan, "10.00").await;
    lan.get(&page)
        .await
        .must_contain("250,000\u{a0}VND")
        .must_contain("0123456789")
        .must_contain("CONG TY NEXO");
    let qr_code = lan.get(&format!("{page}/qr.svg")).await;
    assert_eq!(qr_code.header("content-type"), "image/svg+xml");
    assert!(qr_code.text.starts_with("<svg "), "{}", qr_code.text);

    // Another account can neither see nor change it.
    let mut eve = Visitor::signed_up(&gateway, "eve@example.com").await;
    for path in [page.clone(), format!("{page}/qr.svg")] {
        assert_eq!(eve.get(&path).await.status, 404, "{path}");
    }
    let seen = eve.submit(TOP_UP, &format!("{page}/withdraw"), &[]).await;
    assert_eq!(seen.status, 404);
    let without_token = lan.post(&format!("{page}/withdraw"), &[]).await;
    assert_eq!(without_token.status, 403);

    // A notification without the bank's signature is refused.
    let body = json!({ "transaction_id": "FT0", "amount": 250_000, "memo": reference });
    let body = body.to_string();
    let right = HashedSecret::from_record(SECRET.to_owned()).sign(body.as_bytes());
    let other = HashedSecret::from_record("another".to_owned()).sign(body.as_bytes());
    for signature in [None, Some(""), Some("sha256="), Some(other.as_str())] {
        let refused = notify(&gateway, &body, signature).await;
        assert_eq!((refused.status, refused.error()), (401, "invalid_signature"));
    }
    let changed = body.replace("250000", "250001");
    assert_eq!(notify(&gateway, &changed, Some(&right)).await.status, 401);

    let notifications = (0..8).map(|n| {
        let memo = format!("MBVCB.{n}.{}.CT tu 0123", reference.to_lowercase());
        let gateway = &gateway;
        async move { paid(gateway, &format!("FT{}", n % 2), 250_000, &memo).await }
    });
    let answers = futures_util::future::join_all(notifications).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let count = |status: &str| {
        let matching = answers.iter().filter(|a| a.json["status"] == status);
        matching.count()
    };
    assert_eq!((count("credited"), count("kept")), (4, 4), "{answers:?}");
    lan.get(&page).await.must_contain("$10.00");
    lan.get("/dashboard/wallet").await.must_contain("$10.00").must_contain(&reference);
    let csv = lan.get("/dashboard/wallet/ledger.csv").await;
    assert!(csv.header("content-type").starts_with("text/csv"));
    assert_eq!(csv.text.lines().count(), 4, "{}", csv.text);
    assert_eq!(gateway.metric("nexo_bank_notifications_total").await, 7.0);
    gateway.audit();
}

#[per_database]
async fn unmatched_payments_wait_for_an_operator(backend: Backend) {
    let gateway = Gateway::start(backend, &BANK);
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    let (_, first) = open(&mut lan, "10.00").await;
    let (second_page, second) = open(&mut lan, "20.00").await;
    for (id, amount, memo, reason) in [
        ("A", 249_999, first.as_str(), "wrong_amount"),
        ("B", 1_000, "tien nha", "unknown_reference"),
    ] {
        let kept = paid(&gateway, id, amount, memo).await;
        assert_eq!(kept.json["reason"], reason, "{}", kept.text);
    }
    for bad in [
        "",
        "[]",
        "{}",
        r#"{"transaction_id":"x","amount":1.5,"memo":""}"#,
        r#"{"transaction_id":"x","amount":-5,"memo":""}"#,
        r#"{"transaction_id":"","amount":5,"memo":""}"#,
        r#"{"transaction_id":"a b","amount":5,"memo":""}"#,
        r#"{"transaction_id":"x","amount":5,"memo":"","currency":"dong"}"#,
    ] {
        let signature = HashedSecret::from_record(SECRET.to_owned()).sign(bad.as_bytes());
        let refused = notify(&gateway, bad, Some(&signature)).await;
        assert_eq!((refused.status, refused.error()), (400, "invalid_request"), "{bad}");
    }
    let waiting = gateway.nexo(&["deposit", "list"]);
    assert_eq!(waiting["payments"].as_array().unwrap().len(), 2);
    assert_eq!(waiting["deposits"].as_array().unwrap().len(), 2);
    let payment_id = |bank_id: &str| {
        let payments = waiting["payments"].as_array().unwrap();
        let payment = payments.iter().find(|p| p["bank_id"] == bank_id).unwrap();
        payment["id"].as_str().unwrap().to_owned()
    };
    let credit = ["deposit", "credit-payment", &payment_id("A"), "--account", "lan@example.com"];
    let credited = gateway.nexo(&credit);
    assert_eq!(number(&credited.to_string(), "credited"), "9.99996");
    gateway.nexo(&["deposit", "refuse-payment", &payment_id("B"), "--note", "sent back"]);
    let approved = gateway.nexo(&["deposit", "approve", &second]);
    assert_eq!(number(&approved.to_string(), "credited"), "20.0");
    lan.get(&second_page).await.must_contain("$20.00");
    // The bank also notifies of the transfer that an operator has approved. It is not credited again.
    let late = paid(&gateway, "C", 500_000, &second).await;
    assert_eq!(late.json["reason"], "reference_used", "{}", late.text);
    // A top-up that the customer withdraws is no longer listed.
    let (third_page, _) = open(&mut lan, "5.00").await;
    let withdrawn = lan.submit(&third_page, &format!("{third_page}/withdraw"), &[]).await;
    assert_eq!(withdrawn.status, 303);
    let left = gateway.nexo(&["deposit", "list"]);
    assert_eq!(left["deposits"].as_array().unwrap().len(), 0);
    gateway.audit();
}

#[actix_web::test]
async fn without_a_bank_top_ups_wait_for_an_operator_and_notifications_are_404() {
    let gateway = Gateway::start(harness::Backend::Sqlite, &[]);
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    let fields = [("amount", "10.00"), ("provider", "bank_transfer")];
    let seen = lan.submit(TOP_UP, TOP_UP, &fields).await;
    assert_eq!(seen.status, 303, "{}", seen.text);
    let page = seen.location().to_owned();
    lan.get(&page).await.must_contain("NX");
    assert_eq!(lan.get(&format!("{page}/qr.svg")).await.status, 404);
    let refused = notify(&gateway, "{}", Some("sha256=00")).await;
    assert_eq!((refused.status, refused.error()), (404, "not_found"));
}

#[per_database]
async fn a_low_balance_is_notified_by_webhook(backend: Backend) {
    let gateway = Gateway::start(
        backend,
        &[("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"), ("NEXO_WEBHOOKS__ALLOW_HTTP", "true")],
    );
    let receiver = Receiver::start();
    let mut lan = Visitor::signed_up(&gateway, "lan@example.com").await;
    let added = gateway.add_webhook("lan@example.com", &receiver.url());
    let wallet = "/dashboard/wallet";
    let set = "/dashboard/wallet/low-balance";
    for wrong in ["none", "-1", "0"] {
        let seen = lan.submit(wallet, set, &[("threshold", wrong)]).await;
        assert_eq!(seen.status, 400, "{wrong}");
    }
    let seen = lan.submit(wallet, set, &[("threshold", "1.00")]).await;
    assert_eq!(seen.status, 303, "{}", seen.text);
    let hook = receiver.next();
    assert_eq!(hook.header("x-nexo-event-type"), "wallet.low");
    let secret = HashedSecret::of(added["secret"].as_str().unwrap());
    let signature = hook.header("x-nexo-signature");
    assert!(secret.verify(hook.body.as_bytes(), signature), "{hook:?}");
    let event = hook.json();
    assert_eq!(event["type"], "wallet.low");
    assert_eq!(number(&hook.body, "total"), "0.110");
    assert_eq!(number(&hook.body, "threshold"), "1.000");
    gateway.audit();
}

#[per_database]
async fn a_low_balance_is_notified_by_one_e_mail_with_the_balance(backend: Backend) {
    let mailbox = Mailbox::start();
    let gateway = Gateway::start(backend, &[("NEXO_MAIL__SMTP_URL", &mailbox.url())]);
    let notified = async |email: &str, balance: &str, threshold: &str| {
        let create = ["account", "create", "--email", email];
        gateway.nexo(&[&create[..], &["--password", PASSWORD]].concat());
        let credit = ["wallet", "credit", "--account", email, "--bucket"];
        let amount = ["balance", "--amount", balance, "--reference", "start"];
        gateway.nexo(&[&credit[..], &amount].concat());
        let mut visitor = Visitor::of(&gateway);
        assert_eq!(visitor.sign_in(email, PASSWORD).await.status, 303);
        let (wallet, set) = ("/dashboard/wallet", "/dashboard/wallet/low-balance");
        let seen = visitor.submit(wallet, set, &[("threshold", threshold)]).await;
        assert_eq!(seen.status, 303, "{}", seen.text);
        mailbox.wait_for(email, 1).await.text
    };
    let text = notified("lan@example.com", "3.21", "5.00").await;
    for part in [
        "Subject: Your NEXO ROUTE wallet is low\n",
        "Your wallet holds $3.21, less than your threshold of $5.00",
        TOP_UP,
    ] {
        assert!(text.contains(part), "no {part:?}: {text}");
    }
    // This e-mail comes from a later check of all wallets. That check must not notify the first account again.
    let text = notified("minh@example.com", "0.5", "0.500001").await;
    assert!(text.contains("holds $0.50, less than your threshold of $0.500001"));
    let to: Vec<String> = mailbox.emails().into_iter().map(|email| email.to).collect();
    assert_eq!(to, ["lan@example.com", "minh@example.com"]);
    let notices = gateway.metric("nexo_low_balance_notices_total").await;
    assert_eq!(notices, 2.0);
    gateway.audit();
}
