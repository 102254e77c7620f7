//! Tests of the headers that all answers have.

use harness::raw_http::{RawAnswer, exchange, request};
use harness::visitor::Visitor;
use harness::{Backend, Gateway, phone};

/// Asserts the headers of every answer of the API.
fn must_be_complete(what: &str, answer: &RawAnswer) {
    assert_eq!(answer.header("cache-control"), "no-store", "{what}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
    assert!(!answer.header("x-request-id").is_empty(), "{what}");
}

fn post(gateway: &Gateway, path: &str, key: &str, body: &str) -> RawAnswer {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
         X-Request-Id: mine-1\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    exchange(&gateway.url, request.as_bytes())
}

#[actix_web::test]
async fn no_answer_of_the_api_may_be_stored_or_sniffed() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let customer = gateway.customer("a@example.com", "0.022");
    let key = customer.key.as_str();
    let otp = |phone: &str, code: &str| format!(r#"{{"phone":"{phone}","code":"{code}"}}"#);
    let (to, send) = (phone(67), "/api/v1/send-otp");
    let large = "x".repeat(20_000);
    for (status, path, body) in [
        (202, send, otp(&to, "482917")),
        (429, send, otp(&to, "482917")),
        (402, send, otp(&phone(68), "482917")),
        (400, send, otp(&to, "x")),
        (400, send, "{".to_owned()),
        (413, send, large),
        (404, "/api/v1/bank-notifications", "{}".to_owned()),
        (405, "/api/v1/balance", "{}".to_owned()),
        (404, "/api/v1/nowhere", "{}".to_owned()),
        (405, "/healthz", String::new()),
    ] {
        let answer = post(&gateway, path, key, &body);
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        must_be_complete(path, &answer);
        assert_eq!(answer.header("x-request-id"), "mine-1", "{path}");
    }
    let with_key = vec![format!("Authorization: Bearer {key}")];
    let image = vec![with_key[0].clone(), "Accept: image/png".to_owned()];
    for (status, path, headers) in [
        (200, "/api/v1/balance", &with_key),
        (200, "/api/v1/deliveries", &with_key),
        (406, "/api/v1/deliveries", &image),
        (400, "/api/v1/deliveries?x=1", &with_key),
        (404, "/api/v1/deliveries/%ff%00", &with_key),
        (401, "/api/v1/balance", &vec![]),
        (200, "/api/v1/openapi.json", &vec![]),
        (200, "/healthz", &vec![]),
        (200, "/readyz", &vec![]),
        (404, "/%ff", &vec![]),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = request(&gateway.url, method, path, headers);
            assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
            must_be_complete(path, &answer);
        }
        let answer = request(&gateway.url, "DELETE", path, headers);
        must_be_complete(path, &answer);
    }
}

#[actix_web::test]
async fn strict_transport_security_covers_subdomains_only_if_configured() {
    for (setting, expected) in
        [("false", "max-age=63072000"), ("true", "max-age=63072000; includeSubDomains")]
    {
        let gateway = Gateway::start(
            Backend::Sqlite,
            &[
                ("NEXO_SERVER__PUBLIC_URL", "https://otp.example.com"),
                ("NEXO_SERVER__HSTS_INCLUDE_SUBDOMAINS", setting),
            ],
        );
        let mut visitor = Visitor::of(&gateway);
        for path in ["/en", "/auth/sign-in", "/dashboard/nowhere"] {
            let seen = visitor.get(path).await;
            assert_eq!(seen.header("strict-transport-security"), expected, "{path}");
        }
    }
}
