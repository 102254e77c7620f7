//! Creates items that wait for an operator's decision: top-ups, payments, reviews and payouts.

use std::time::{SystemTime, UNIX_EPOCH};

use nexo_domain::account::traffic::Suspicion;
use nexo_domain::ids::KeyId;
use nexo_domain::timestamp::rfc3339;
use nexo_domain::webhook::HashedSecret;
use nexo_entities::Store;
use nexo_entities::store::operations::reviews::Findings;
use serde_json::json;

use crate::past::Past;
use crate::visitor::{PASSWORD, Visitor, between};
use crate::{Customer, Gateway, answer, client};

const SECRET: &str = "a-secret-of-the-bank-0001";
pub const BANK: [(&str, &str); 5] = [
    ("NEXO_DEPOSITS__BANK_BIN", "970436"),
    ("NEXO_DEPOSITS__BANK_ACCOUNT", "0123456789"),
    ("NEXO_DEPOSITS__BANK_HOLDER", "CONG TY NEXO"),
    ("NEXO_DEPOSITS__VND_PER_USD", "25000"),
    ("NEXO_DEPOSITS__NOTIFICATION_SECRET", SECRET),
];
/// The account that signs up with a referrer's link.
pub const FRIEND: &str = "friend@example.org";

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_millis() as i64
}

/// The current month in the format of payouts.
pub fn this_month() -> String {
    rfc3339(now_ms())[..7].to_owned()
}

/// Opens a top-up of an account and returns its id and reference.
pub fn top_up(gateway: &Gateway, email: &str, amount: &str) -> (String, String) {
    let open = ["deposit", "open", "--account", email, "--amount", amount];
    let opened = gateway.nexo(&open);
    let text = |name: &str| opened[name].as_str().unwrap().to_owned();
    (text("id"), text("reference"))
}

/// Sends a bank notification of a transfer without a reference and returns the id of the stored payment.
pub async fn payment(gateway: &Gateway, bank_id: &str, vnd: i64) -> String {
    let body = json!({ "transaction_id": bank_id, "amount": vnd, "memo": "tien nha" }).to_string();
    let signature = HashedSecret::from_record(SECRET.to_owned()).sign(body.as_bytes());
    let url = format!("{}/api/v1/bank-notifications", gateway.url);
    let request = client().post(url).body(body);
    let response = answer(request.header("X-NEXO-Bank-Signature", signature)).await;
    assert_eq!(response.json["status"], "kept", "{}", response.text);
    let waiting = gateway.nexo(&["deposit", "list"]);
    let payments = waiting["payments"].as_array().unwrap();
    let payment = payments.iter().find(|p| p["bank_id"] == bank_id).unwrap();
    payment["id"].as_str().unwrap().to_owned()
}

/// Opens a review of an API key of the account.
pub async fn suspicion(gateway: &Gateway, email: &str) {
    let key = gateway.nexo(&["key", "create", "--account", email, "--name", "suspected"]);
    let key = KeyId(key["id"].as_str().unwrap().parse().unwrap());
    let store = Store::connect(&gateway.database_url(), 1).await.unwrap();
    let account = store.accounts().by_email(email).await.unwrap().unwrap();
    let detail = "1 of 40 answered".to_owned();
    let findings = Findings {
        suspicions: vec![(key, account.id, Suspicion::LowAnswerRate, detail)],
        ..Findings::default()
    };
    let opened = store.operations().record_findings(&findings, now_ms()).await.unwrap();
    assert_eq!(opened, [Suspicion::LowAnswerRate]);
}

/// Signs up `FRIEND` with the referrer's link and delivers two of its OTPs. The commission is a tenth of each price,
/// 0.0044 USD in total.
pub async fn commission(gateway: &Gateway, referrer: &mut Visitor) {
    let page = referrer.get("/dashboard/referrals").await;
    let code = between(&page.text, "?ref=", "\"").expect("a link");
    let mut friend = Visitor::of(gateway);
    friend.get(&format!("/en?ref={code}")).await;
    let fields = [("email", FRIEND), ("password", PASSWORD)];
    let seen = friend.submit("/auth/sign-up", "/auth/sign-up", &fields).await;
    assert_eq!(seen.status, 303, "{}", seen.text);
    let key = gateway.nexo(&["key", "create", "--account", FRIEND, "--name", "server"]);
    let customer = Customer {
        key: key["key"].as_str().unwrap().to_owned(),
        key_id: key["id"].as_str().unwrap().to_owned(),
        api: format!("{}/api/v1", gateway.url),
        http: client(),
    };
    let mut past = Past::of(gateway, &customer, FRIEND).await;
    // The first of the three fails.
    past.deliveries(3).await;
}

/// Sets the payout address of an account.
pub fn nominate(gateway: &Gateway, email: &str) {
    let bank = "970436 0123456789 NGUYEN THI LAN";
    let nominate = ["payouts", "nominate", "--account", email, "--kind", "bank"];
    gateway.nexo(&[&nominate[..], &["--address", bank]].concat());
}

/// Creates one of each for this account: a top-up, a payment, a review, a pending payout and a referral.
pub async fn one_of_each(gateway: &Gateway, visitor: &mut Visitor, email: &str) {
    top_up(gateway, email, "20.00");
    payment(gateway, "FT0", 250_000).await;
    suspicion(gateway, email).await;
    commission(gateway, visitor).await;
    nominate(gateway, email);
    let ran = gateway.nexo(&["payouts", "run", "--month", &this_month()]);
    assert_eq!(ran["payouts"].as_array().unwrap().len(), 1, "{ran}");
}
