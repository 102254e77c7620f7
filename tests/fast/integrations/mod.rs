//! Integrations: auth servers that send their codes with their own hooks.

mod auth_servers;
mod kinds;
mod lifecycle;
mod one_ring;

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use harness::{Answer, Gateway, answer, client};
use ring::hmac;
use serde_json::{Value, json};

const QUICK: (&str, &str) = ("NEXO_CALLS__REPEAT", "1");

const KINDS: [&str; 8] =
    ["supabase", "logto", "kratos", "zitadel", "authentik", "keycloak", "auth0", "custom"];

/// An auth server that calls the hook of one integration.
#[derive(Clone)]
struct AuthServer {
    kind: String,
    id: String,
    url: String,
    secret: String,
    http: reqwest::Client,
}

impl AuthServer {
    fn create(gateway: &Gateway, email: &str, kind: &str) -> AuthServer {
        let mut args = vec!["integration", "create", "--account", email, "--kind", kind];
        args.extend(["--name", "login"]);
        if kind == "custom" {
            args.extend(["--phone-pointer", "/user/phone", "--code-pointer", "/data/0/code"]);
        }
        let created = gateway.nexo(&args);
        let text = |name: &str| created[name].as_str().unwrap().to_owned();
        assert_eq!(text("kind"), kind);
        let (id, secret) = (text("id"), text("secret"));
        let path = format!("/api/v1/hooks/{kind}/{id}");
        assert!(text("url").ends_with(&path), "{created}");
        let url = format!("{}{path}", gateway.url);
        AuthServer { kind: kind.to_owned(), id, url, secret, http: client() }
    }

    /// The same auth server in front of another node.
    fn at(&self, gateway: &Gateway) -> AuthServer {
        let url = format!("{}/api/v1/hooks/{}/{}", gateway.url, self.kind, self.id);
        AuthServer { url, ..self.clone() }
    }

    /// A body as this kind of server sends it.
    fn body(&self, phone: &str, code: &str) -> Value {
        let digits = phone.trim_start_matches('+');
        match self.kind.as_str() {
            "supabase" => json!({
                "user": { "id": "6481a5c1-3d37-4a56-9f6a-bee08c554965", "aud": "authenticated", "phone": digits },
                "sms": { "otp": code },
            }),
            "logto" => {
                json!({ "to": digits, "type": "SignIn", "payload": { "code": code, "locale": "vi-VN" } })
            }
            "kratos" => json!({ "to": phone, "code": code }),
            "zitadel" => json!({
                "contextInfo": { "eventType": "session.otp.sms.challenged", "provider": { "id": "2" }, "recipientPhoneNumber": phone },
                "templateData": { "text": "…" },
                "args": { "oTP": code, "code": "", "expiry": 300_000_000_000_i64 },
            }),
            "authentik" => {
                json!({ "From": "NEXO", "To": phone, "Body": code, "Message": format!("Use this code: {code}") })
            }
            "keycloak" => json!({ "phone": phone, "message": code }),
            "auth0" => json!({ "recipient": phone, "code": code, "locale": "en_US" }),
            "custom" => json!({ "user": { "phone": phone }, "data": [{ "code": code }] }),
            kind => panic!("{kind}"),
        }
    }

    async fn send(&self, phone: &str, code: &str) -> Answer {
        answer(self.request(&self.body(phone, code).to_string())).await
    }

    /// A proven request with this body.
    fn request(&self, body: &str) -> reqwest::RequestBuilder {
        self.request_at(body, unix_seconds())
    }

    /// A request that is proven as of this time.
    fn request_at(&self, body: &str, seconds: i64) -> reqwest::RequestBuilder {
        let request = self.unproven(body);
        match self.kind.as_str() {
            "supabase" => {
                let id = format!("msg_{}", uuid::Uuid::new_v4());
                let key = STANDARD.decode(self.secret.strip_prefix("v1,whsec_").unwrap()).unwrap();
                let signed = sign(&key, format!("{id}.{seconds}.{body}").as_bytes());
                request
                    .header("webhook-id", id)
                    .header("webhook-timestamp", seconds.to_string())
                    .header("webhook-signature", format!("v1,{}", STANDARD.encode(signed)))
            }
            "zitadel" => {
                let signed = sign(self.secret.as_bytes(), format!("{seconds}.{body}").as_bytes());
                request
                    .header("ZITADEL-Signature", format!("t={seconds},v1={}", hex::encode(signed)))
            }
            _ => request.bearer_auth(&self.secret),
        }
    }

    /// A request without a proof.
    fn unproven(&self, body: &str) -> reqwest::RequestBuilder {
        let request = self.http.post(&self.url).header("Content-Type", "application/json");
        request.body(body.to_owned())
    }

    fn signs(&self) -> bool {
        matches!(self.kind.as_str(), "supabase" | "zitadel")
    }

    /// The status and the text of a refusal, wherever the kind has them.
    fn refusal(&self, answer: &Answer) -> (u64, String) {
        assert!(!is_replay(answer), "{answer:?}");
        if self.kind != "supabase" {
            return (answer.status.into(), answer.error().to_owned());
        }
        assert_eq!((answer.status, answer.header("retry-after")), (200, None), "{answer:?}");
        let error = &answer.json["error"];
        (error["http_code"].as_u64().unwrap(), error["message"].as_str().unwrap().to_owned())
    }
}

fn sign(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

fn is_replay(answer: &Answer) -> bool {
    answer.header("idempotent-replayed") == Some("true")
}

fn assert_accepted(answer: &Answer) {
    assert_eq!((answer.status, answer.text.as_str()), (200, "{}"), "{answer:?}");
}

fn assert_replay(answer: &Answer) {
    assert_accepted(answer);
    assert!(is_replay(answer), "{answer:?}");
}

fn assert_rang(answer: &Answer) {
    assert_accepted(answer);
    assert!(!is_replay(answer), "{answer:?}");
}
