//! Runs the examples of the public API reference and those on the `/docs` page. Only base URLs, phone numbers and
//! ports are replaced.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use harness::ports::free_ports;
use harness::{Backend, Customer, Gateway, Receiver, answer, client, phone, until};
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

/// Replaces an example's base URL with this gateway's and its phone with an unused one.
fn adapted(example: &str, gateway: &Gateway) -> String {
    example.replace("https://nexoroute.dev", &gateway.url).replace("+84981234567", &phone(90))
}

fn run(program: &str, arguments: &[&str], customer: &Customer) -> Output {
    Command::new(program)
        .args(arguments)
        .env("NEXO_KEY", &customer.key)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_references_examples_send_an_otp() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let customer = gateway.customer("a@example.com", "1.00");
    let curl = run("bash", &["-c", &adapted(CURL, &gateway)], &customer);
    let answer: Value = serde_json::from_str(&stdout(&curl)).unwrap();
    assert_eq!((&answer["ok"], &answer["status"]), (&true.into(), &"sent".into()));
    let node = adapted(NODE, &gateway);
    let node = run("node", &["--input-type=module", "-e", &node], &customer);
    assert!(stdout(&node).trim_end().ends_with("via viettel"));
    // `tests/run` creates an environment with httpx.
    if let Ok(python) = std::env::var("NEXO_TEST_PYTHON") {
        let python = run(&python, &["-c", &adapted(PYTHON, &gateway)], &customer);
        assert!(stdout(&python).trim_end().ends_with("via viettel"));
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
        stdout(&output).trim() == "true"
    };
    for last_two in [67, 90, 94] {
        assert_eq!(customer.send(&phone(last_two), "482917").await.status, 202);
        let hook = receiver.next();
        let signature = hook.header("x-nexo-signature");
        assert!(verified(&hook.body, signature), "{}", hook.body);
        assert!(!verified(&hook.body.replacen("otp", "oTp", 1), signature));
    }
}

/// The first code block on this gateway's `/docs` page that contains `part`.
async fn example(gateway: &Gateway, part: &str) -> String {
    let page = answer(client().get(format!("{}/docs", gateway.url))).await;
    assert_eq!(page.status, 200);
    let blocks = page.text.split("<pre tabindex=\"0\"><code>").skip(1);
    let mut found = blocks
        .map(|block| block.split("</code></pre>").next().unwrap())
        .map(|code| {
            code.replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&quot;", "\"")
                .replace("&#39;", "'")
                .replace("&amp;", "&")
        })
        .filter(|code| code.contains(part));
    found.next().unwrap_or_else(|| panic!("no example with {part}"))
}

/// The program, if this machine has it. The tests do not need it otherwise.
fn installed(program: &str) -> Option<String> {
    let found = Command::new(program).arg("version").stdin(Stdio::null()).output();
    found.is_ok().then(|| program.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_on_the_docs_page_send_an_otp() {
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    let customer = gateway.customer("a@example.com", "1.00");
    let python = std::env::var("NEXO_TEST_PYTHON").ok();
    let node = ["--input-type=module", "-e"];
    for (part, program, arguments) in [
        ("-d '{\"phone\":", Some("bash".to_owned()), &["-c"][..]),
        ("await fetch(", Some("node".to_owned()), &node),
        ("httpx.post(", python, &["-c"]),
        ("curl_init(", installed("php"), &["-r"]),
        ("http.NewRequest(", installed("go"), &["run"]),
    ] {
        let Some(program) = program else { continue };
        let shown = example(&gateway, part).await;
        let start = shown.find("http://").unwrap();
        let end = start + shown[start..].find("/api/v1").unwrap();
        let example =
            shown.replace(&shown[start..end], &gateway.url).replace("+84981234567", &phone(90));
        let folder = tempfile::tempdir().unwrap();
        let example = match program.as_str() {
            "php" => example.replace("<?php", ""),
            "go" => {
                let file = folder.path().join("main.go");
                std::fs::write(&file, example).unwrap();
                file.to_str().unwrap().to_owned()
            }
            _ => example,
        };
        let output = stdout(&run(&program, &[arguments, &[example.as_str()]].concat(), &customer));
        assert!(output.contains("viettel"), "{output}");
    }
}

/// A running webhook receiver from the `/docs` page, and the lines that it prints.
struct ExampleReceiver {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl ExampleReceiver {
    async fn start(program: &str, arguments: &[&str], secret: &str, port: u16) -> ExampleReceiver {
        let mut child = Command::new(program)
            .args(arguments)
            .env("NEXO_WEBHOOK_SECRET", secret)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let printed = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in printed.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let receiver = ExampleReceiver { child, lines };
        until("the receiver listens", Duration::from_secs(30), async || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        })
        .await;
        receiver
    }

    /// Waits for a line with `part` and returns everything printed until then.
    fn wait_for_line(&self, part: &str) -> String {
        let mut printed = String::new();
        while !printed.contains(part) {
            let line = self.lines.recv_timeout(Duration::from_secs(30));
            let line = line.unwrap_or_else(|error| panic!("no {part}, {error}: {printed}"));
            printed.push_str(&line);
        }
        printed
    }
}

impl Drop for ExampleReceiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receivers_on_the_docs_page_accept_only_signed_webhooks() {
    let open = [("NEXO_WEBHOOKS__ALLOW_PRIVATE", "true"), ("NEXO_WEBHOOKS__ALLOW_HTTP", "true")];
    let gateway = Gateway::start(Backend::Sqlite, &open);
    let node = ["--input-type=module", "-e"];
    for (n, (part, program, arguments)) in
        [("createServer(", "node", &node[..]), ("BaseHTTPRequestHandler", "python3", &["-u", "-c"])]
            .into_iter()
            .enumerate()
    {
        let account = format!("{n}@example.com");
        let customer = gateway.customer(&account, "1.00");
        let port = free_ports(1);
        let url = format!("http://127.0.0.1:{port}/webhooks/nexo");
        let hook = gateway.add_webhook(&account, &url);
        let secret = hook["secret"].as_str().unwrap();
        let source = example(&gateway, part).await;
        let source = source.replace("3000", &port.to_string());
        let arguments = [arguments, &[source.as_str()]].concat();
        let receiver = ExampleReceiver::start(program, &arguments, secret, port).await;

        let sent = customer.send(&phone(90), "482917").await;
        assert_eq!(sent.status, 202, "{}", sent.text);
        let printed = receiver.wait_for_line(sent.json["id"].as_str().unwrap());
        assert!(printed.contains("otp.failed"), "{printed}");

        let curl = example(&gateway, "openssl dgst").await;
        let curl = curl.replace("https://your-app.example/webhooks/nexo", &url);
        let post = |curl: &str, secret: &str| {
            let output = Command::new("bash")
                .args(["-c", curl])
                .env("NEXO_WEBHOOK_SECRET", secret)
                .output()
                .unwrap();
            stdout(&output)
        };
        let response = post(&curl, "whsec_another");
        assert!(response.contains(" 401 "), "{program}: {response}");
        let response = post(&curl, secret);
        assert!(response.contains(" 204 "), "{program}: {response}");
        receiver.wait_for_line("webhook.test");
        // An event without a phone and a status.
        let low =
            r#"{"type":"wallet.low","id":"8f2e1c4d-0000-4000-8000-000000000002","total":0.978}"#;
        let body = curl.split('\'').nth(1).unwrap();
        let response = post(&curl.replace(body, low), secret);
        assert!(response.contains(" 204 "), "{program}: {response}");
        assert!(receiver.wait_for_line("0.978").contains("wallet.low"));
    }
}
