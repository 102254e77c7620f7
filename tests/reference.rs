//! The public reference's own examples, verbatim but for the base URL.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use std::process::{Command, Output};

use harness::{Backend, Customer, Gateway, Receiver, phone};
use serde_json::Value;

const CURL: &str = r#"curl -sS -X POST https://nexoroute.dev/api/v1/send-otp \
  -H "Authorization: Bearer $NEXO_KEY" \
  -H "Content-Type: application/json" \
  -d '{"phone":"+84981234567","code":"482917"}'"#;

const NODE: &str = r"
const res = await fetch('https://nexoroute.dev/api/v1/send-otp', {
  method: 'POST',
  headers: {
    'Authorization': `Bearer ${process.env.NEXO_KEY}`,
    'Content-Type': 'application/json'
  },
  body: JSON.stringify({ phone: '+84981234567', code: '482917' })
});
const data = await res.json();
if (!data.ok) throw new Error(data.error);
console.log('Queued', data.id, 'via', data.carrier);
";

const PYTHON: &str = r#"
import os, httpx

r = httpx.post(
    'https://nexoroute.dev/api/v1/send-otp',
    headers={'Authorization': f'Bearer {os.environ["NEXO_KEY"]}'},
    json={'phone': '+84981234567', 'code': '482917'},
    timeout=10.0,
)
r.raise_for_status()
data = r.json()
print('Queued', data['id'], 'via', data['carrier'])
"#;

const VERIFY: &str = r"
import crypto from 'node:crypto';

// Done ONCE on startup — your plaintext secret never leaves your server.
const HASHED_SECRET = crypto
  .createHash('sha256')
  .update(process.env.NEXO_WEBHOOK_SECRET, 'utf8')
  .digest('hex');

export function verify(rawBody, signatureHeader) {
  const provided = signatureHeader.replace(/^sha256=/, '');
  const expected = crypto
    .createHmac('sha256', HASHED_SECRET)
    .update(rawBody, 'utf8')
    .digest('hex');
  return crypto.timingSafeEqual(
    Buffer.from(provided, 'hex'),
    Buffer.from(expected, 'hex')
  );
}
console.log(verify(process.env.BODY, process.env.SIGNATURE));
";

/// The example for this gateway, and a phone of its own.
fn adapted(example: &str, gateway: &Gateway) -> String {
    example
        .replace("https://nexoroute.dev", &gateway.url)
        .replace("+84981234567", &phone(90))
}

fn run(program: &str, arguments: &[&str], customer: &Customer) -> Output {
    Command::new(program)
        .args(arguments)
        .env("NEXO_KEY", &customer.key)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

fn said(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_references_examples_send_an_otp() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let customer = gateway.customer("a@example.com", "1.00");
    let curl = run("bash", &["-c", &adapted(CURL, &gateway)], &customer);
    let answer: Value = serde_json::from_str(&said(&curl)).unwrap();
    assert_eq!(
        (&answer["ok"], &answer["status"]),
        (&true.into(), &"sent".into())
    );
    let node = adapted(NODE, &gateway);
    let node = run("node", &["--input-type=module", "-e", &node], &customer);
    assert!(said(&node).trim_end().ends_with("via viettel"));
    // `tests/run` makes an environment that has httpx.
    if let Ok(python) = std::env::var("NEXO_TEST_PYTHON") {
        let python = run(&python, &["-c", &adapted(PYTHON, &gateway)], &customer);
        assert!(said(&python).trim_end().ends_with("via viettel"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_references_verify_accepts_every_webhook_and_rejects_a_changed_byte() {
    let open = [
        ("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"),
        ("NEXO_WEBHOOKS__ALLOW_HTTP", "true"),
        ("NEXO_CALLS__REPEAT", "1"),
    ];
    let gateway = Gateway::start(Backend::Sqlite, &open);
    let customer = gateway.customer("a@example.com", "1.00");
    let receiver = Receiver::start();
    let url = receiver.url();
    let hook = gateway.add_webhook("a@example.com", &url);
    let secret = hook["secret"].as_str().unwrap();
    let verified = |body: &str, signature: &str| {
        let output = Command::new("node")
            .args(["--input-type=module", "-e", VERIFY])
            .env("NEXO_WEBHOOK_SECRET", secret)
            .env("BODY", body)
            .env("SIGNATURE", signature)
            .output()
            .unwrap();
        said(&output).trim() == "true"
    };
    for last_two in [67, 90, 94] {
        assert_eq!(customer.send(&phone(last_two), "482917").await.status, 202);
        let hook = receiver.next();
        let signature = hook.header("x-nexo-signature");
        assert!(verified(&hook.body, signature), "{}", hook.body);
        assert!(!verified(&hook.body.replacen("otp", "oTp", 1), signature));
    }
}
