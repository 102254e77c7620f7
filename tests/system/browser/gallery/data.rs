//! An installation as it looks after a month: accounts, deliveries of each outcome, keys, webhooks with failures,
//! top-ups, referrals, payouts and decisions.

use std::time::{SystemTime, UNIX_EPOCH};

use nexo_domain::call::outcome::ERROR_CODES;
use nexo_domain::call::steps::{CallStep, StepKind};
use nexo_domain::ids::AttemptId;
use nexo_domain::installation_secret::InstallationSecret;
use nexo_domain::verification::code::{CodeKey, CodeLength};
use nexo_entities::store::ledger::posting::CallAttempt;
use serde_json::{Value, json};
use uuid::Uuid;

use harness::past::{Past, PastOtp};
use harness::visitor::{PASSWORD, Visitor};
use harness::{Customer, Gateway, Receiver, answer, client, phone, ports, waiting};

pub const MEMBER: &str = "lan.nguyen@cong-ty-thuong-mai.example.com";
pub const NEWCOMER: &str = "moi@example.com";
pub const OPERATOR: &str = "op@example.com";
const SUSPENDED: &str = "spam@example.net";

/// The secret of the installation.
pub const SECRET: &str = "0101010101010101010101010101010101010101010101010101010101010101";

const DAY_MS: i64 = 86_400_000;
/// The deliveries of each outcome.
const OF_EACH: usize = 30;
/// One number range of each carrier; Viettel has more of the traffic.
const PREFIXES: [u32; 10] = [98, 91, 90, 98, 92, 98, 59, 97, 87, 55];

pub struct Scene {
    /// A key of [`MEMBER`].
    pub customer: Customer,
    /// Answers the webhooks as long as it exists.
    _receiver: Receiver,
}

/// Fills the gateway's database.
pub async fn fill(gateway: &Gateway) -> Scene {
    let operator = ["account", "create", "--operator", "--email", OPERATOR];
    gateway.nexo(&[&operator[..], &["--password", PASSWORD]].concat());
    Visitor::signed_up(gateway, NEWCOMER).await;
    Visitor::signed_up(gateway, SUSPENDED).await;
    let mut lan = Visitor::signed_up(gateway, MEMBER).await;
    let credit = ["wallet", "credit", "--account", MEMBER, "--bucket", "balance"];
    gateway.nexo(&[&credit[..], &["--amount", "250.00", "--reference", "NX-START"]].concat());
    let customer = keys(gateway, &mut lan).await;
    let receiver = webhooks(gateway, &mut lan).await;
    integrations(gateway);
    verifications(&customer).await;
    let mut past = Past::of(gateway, &customer, MEMBER).await;
    past.otps(month()).await;
    let now_ms = now_ms();
    while past.store.deliveries().update_daily_stats(now_ms).await.unwrap() {}
    money(gateway, &mut lan).await;
    let suspend = ["account", "suspend", "--account", SUSPENDED, "--reason", "test numbers only"];
    gateway.nexo(&suspend);
    Scene { customer, _receiver: receiver }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_millis() as i64
}

/// Live keys with and without an allowlist, a test key, and a revoked one.
async fn keys(gateway: &Gateway, lan: &mut Visitor) -> Customer {
    let page = "/dashboard/api-keys";
    for (name, kind) in [("ci", "test"), ("old server", "live"), ("production", "live")] {
        let seen = lan.submit(page, page, &[("name", name), ("kind", kind)]).await;
        assert_eq!(seen.status, 201, "{}", seen.text);
    }
    let create = ["key", "create", "--account", MEMBER, "--name"];
    let key = gateway.nexo(&[&create[..], &["Máy chủ dự phòng ở Hà Nội, tầng 3"]].concat());
    let keys = gateway.nexo(&["key", "list", "--account", MEMBER]);
    for key in keys["keys"].as_array().unwrap() {
        let path = format!("{page}/{}", key["id"].as_str().unwrap());
        match key["name"].as_str().unwrap() {
            "old server" => {
                lan.submit(page, &format!("{path}/revoke"), &[]).await;
            }
            "production" => {
                let list = "203.0.113.0/24\n2001:db8:4010:a::/64\n198.51.100.7";
                let fields = [("allowlist", list), ("knows", "yes")];
                lan.submit(page, &format!("{path}/allowlist"), &fields).await;
            }
            _ => {}
        }
    }
    Customer {
        key: key["key"].as_str().unwrap().to_owned(),
        key_id: key["id"].as_str().unwrap().to_owned(),
        api: format!("{}/api/v1", gateway.url),
        http: client(),
    }
}

/// An endpoint that answers, one that does not, and a paused one.
async fn webhooks(gateway: &Gateway, lan: &mut Visitor) -> Receiver {
    let receiver = Receiver::start();
    let add = ["webhook", "add", "--account", MEMBER, "--url", &receiver.url()];
    gateway.nexo(&[&add[..], &["--events", "otp.*,verification.*"]].concat());
    let closed = format!("http://127.0.0.1:{}/webhooks/nexo/otp-events", ports::free_ports(1));
    gateway.add_webhook(MEMBER, &closed);
    let paused = gateway.add_webhook(MEMBER, "http://127.0.0.1:9/staging");
    let path = format!("/dashboard/webhooks/{}", paused["id"].as_str().unwrap());
    lan.submit(&path, &format!("{path}/pause"), &[]).await;
    receiver
}

/// One with files to paste, one with many settings, and one with a long name.
fn integrations(gateway: &Gateway) {
    let create = ["integration", "create", "--account", MEMBER, "--kind"];
    for (kind, name) in [
        ("supabase", "Sign-in"),
        ("keycloak", "Keycloak của phòng kỹ thuật, môi trường thử nghiệm"),
        ("auth0", "Auth0"),
    ] {
        gateway.nexo(&[&create[..], &[kind, "--name", name]].concat());
    }
}

/// Verifications in each state, told to the first endpoint.
async fn verifications(customer: &Customer) {
    let key = CodeKey::of(&InstallationSecret::from_hex(SECRET).unwrap());
    let post = async |path: &str, body: Value| {
        let request = customer.http.post(format!("{}/{path}", customer.api));
        let answered = answer(request.bearer_auth(&customer.key).body(body.to_string())).await;
        assert!(answered.status < 300, "{}", answered.text);
        answered.json
    };
    for (n, guesses) in [("pending", 2), ("approved", 1), ("failed", 5), ("canceled", 0)] {
        let reference = format!("đơn-hàng-2026-12-01-{n}");
        let body = json!({ "phone": phone(90), "reference": reference, "metadata": { "cart": n } });
        let started = post("verifications", body).await;
        let id = started["id"].as_str().unwrap();
        let code = key.code(id.parse().unwrap(), CodeLength::default());
        let code: String = code.digits().iter().map(|digit| digit.to_string()).collect();
        for _ in 0..guesses {
            // Eight digits are never the code of a verification with six.
            let code = if n == "approved" { &code } else { "00000000" };
            post(&format!("verifications/{id}/check"), json!({ "code": code })).await;
        }
        if n == "canceled" {
            post(&format!("verifications/{id}/cancel"), json!({})).await;
        }
    }
}

/// Top-ups in each state, unmatched payments, referrals, a payout that was sent and one that was not.
async fn money(gateway: &Gateway, lan: &mut Visitor) {
    waiting::one_of_each(gateway, lan, MEMBER).await;
    let (_, credited) = waiting::top_up(gateway, MEMBER, "100.00");
    gateway.nexo(&["deposit", "approve", &credited]);
    waiting::top_up(gateway, MEMBER, "35.50");
    waiting::payment(gateway, "FT26335812345678", 1_250_000).await;
}

/// A month of traffic: each error code [`OF_EACH`] times, the rest delivered.
fn month() -> Vec<PastOtp> {
    let failures = ERROR_CODES.len() * OF_EACH;
    let count = failures * 4;
    let start = now_ms() - 29 * DAY_MS;
    // The last one ended some minutes ago.
    let step = (29 * DAY_MS - 600_000) / count as i64;
    (0..count)
        .map(|n| {
            let error_code = (n % 4 == 1).then(|| ERROR_CODES[n / 4 % ERROR_CODES.len()]);
            let at_ms = start + n as i64 * step;
            PastOtp {
                at_ms,
                phone: format!("+84{}{:07}", PREFIXES[n % PREFIXES.len()], 1_234_567 + n * 7_919),
                error_code,
                attempts: vec![attempt(at_ms, error_code)],
            }
        })
        .collect()
}

fn attempt(at_ms: i64, error_code: Option<&'static str>) -> CallAttempt {
    let is_answered = matches!(error_code, None | Some("partial_playback"));
    let sip_code = match error_code {
        Some("busy") => Some(486),
        Some("declined") => Some(603),
        Some("no_answer") => Some(480),
        Some("invalid_number") => Some(404),
        Some("carrier_error" | "no_route") => Some(503),
        _ => is_answered.then_some(200),
    };
    let readings: &[u32] = if error_code.is_none() { &[13_200, 21_400] } else { &[] };
    let read = |after_ms: &u32| CallStep { kind: StepKind::CodeRead, after_ms: *after_ms };
    CallAttempt {
        id: AttemptId(Uuid::now_v7()),
        number: 1,
        gateway: "hn1".to_owned(),
        call_id: Uuid::new_v4().to_string(),
        started_at_ms: at_ms,
        accepted_at_ms: sip_code.map(|_| at_ms + 140),
        ringing_at_ms: sip_code.map(|_| at_ms + 1_900),
        answered_at_ms: is_answered.then_some(at_ms + 6_300),
        ended_at_ms: at_ms + 23_000,
        sip_code,
        end_reason: error_code.unwrap_or("delivered").into(),
        codec: is_answered.then_some("PCMA".into()),
        packets_sent: if is_answered { 830 } else { 0 },
        packets_received: is_answered.then_some(825),
        quality: None,
        steps: readings.iter().map(read).collect(),
    }
}
