//! Verify: codes that the gateway makes, sends and checks.

mod answers;
mod concurrency;
mod events;
mod leaks;
mod secret;
mod sending;

use harness::{Answer, Backend, Customer, Gateway, answer};
use nexo_domain::installation_secret::InstallationSecret;
use nexo_domain::verification::code::{CodeKey, CodeLength};
use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::{Value, json};

pub const SECRET: &str = "NEXO_VERIFY__SECRET";
/// The secret of the gateways of these tests.
pub const ONE: &str = "0101010101010101010101010101010101010101010101010101010101010101";

/// A gateway whose codes the test can compute.
pub fn gateway(backend: Backend, settings: &[(&str, &str)]) -> Gateway {
    let own = [(SECRET, ONE), ("NEXO_CALLS__REPEAT", "1")];
    Gateway::start(backend, &[&own[..], settings].concat())
}

/// The code of a verification under [`ONE`].
pub fn code(id: &str, length: u8) -> String {
    let key = CodeKey::of(&InstallationSecret::from_hex(ONE).unwrap());
    let code = key.code(id.parse().unwrap(), CodeLength::new(length).unwrap());
    code.digits().iter().map(|digit| char::from(b'0' + digit)).collect()
}

/// Another code than that of the verification.
pub fn wrong_code(id: &str, length: u8) -> String {
    let right = code(id, length);
    let first = (right.as_bytes()[0] - b'0' + 1) % 10;
    format!("{first}{}", &right[1..])
}

/// A POST below `/api/v1`.
pub fn post(customer: &Customer, path: &str, body: &str) -> reqwest::RequestBuilder {
    let request = customer.http.post(format!("{}/{path}", customer.api)).bearer_auth(&customer.key);
    request.header("Content-Type", "application/json").body(body.to_owned())
}

pub async fn start(customer: &Customer, body: &Value) -> Answer {
    answer(post(customer, "verifications", &body.to_string())).await
}

/// Starts a verification that must be accepted, and returns its id.
pub async fn started(customer: &Customer, phone: &str) -> String {
    let started = start(customer, &json!({ "phone": phone })).await;
    assert_eq!(started.status, 202, "{}", started.text);
    started.json["id"].as_str().unwrap().to_owned()
}

pub async fn check(customer: &Customer, id: &str, code: &str) -> Answer {
    let body = json!({ "code": code }).to_string();
    answer(post(customer, &format!("verifications/{id}/check"), &body)).await
}

pub async fn resend(customer: &Customer, id: &str) -> Answer {
    answer(post(customer, &format!("verifications/{id}/resend"), "")).await
}

pub async fn cancel(customer: &Customer, id: &str) -> Answer {
    answer(post(customer, &format!("verifications/{id}/cancel"), "")).await
}

pub async fn get(customer: &Customer, id: &str) -> Answer {
    customer.get(&format!("verifications/{id}")).await
}

/// Changes the gateway's database.
pub async fn execute(gateway: &Gateway, sql: &str) {
    let database = Database::connect(gateway.database_url()).await.unwrap();
    database.execute_unprepared(sql).await.unwrap();
    database.close().await.unwrap();
}

/// The number that a query of the gateway's database returns.
pub async fn count(gateway: &Gateway, sql: &str) -> i64 {
    let database = Database::connect(gateway.database_url()).await.unwrap();
    let statement = Statement::from_string(database.get_database_backend(), sql);
    let row = database.query_one_raw(statement).await.unwrap().unwrap();
    let count = row.try_get_by_index(0).unwrap();
    database.close().await.unwrap();
    count
}
