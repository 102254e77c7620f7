//! The shipped configurations of proxies, run by Debian's HAProxy, nginx and Caddy: no header of a client changes its
//! address, or the address of the site.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use harness::mailbox::Mailbox;
use harness::ports::free_ports;
use harness::visitor::Visitor;
use harness::{Answer, Backend, Gateway, answer, cases, client, until};

const SOON: Duration = Duration::from_secs(30);
/// The address that a client pretends to have. The key is allowed only from there.
const FORGED: &str = "198.51.100.9";
/// Every header by which proxies state a client's address.
const ADDRESS_HEADERS: [&str; 12] = [
    "CF-Connecting-IP",
    "CF-Connecting-IPv6",
    "Cloudflare-Connecting-IP",
    "X-Forwarded-For",
    "x-forwarded-for",
    "X-Real-IP",
    "Forwarded",
    "True-Client-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "Fastly-Client-IP",
    "X-Original-Forwarded-For",
];

/// A proxy with a shipped configuration, on other ports and without TLS.
struct Proxy {
    url: String,
    child: Child,
    _dir: tempfile::TempDir,
}

impl Proxy {
    async fn start(file: &str, gateway: &Gateway) -> Proxy {
        let node = gateway.url.trim_start_matches("http://");
        let port = free_ports(2);
        let own = format!("127.0.0.1:{port}");
        let shipped = std::fs::read_to_string(harness::repository(file)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let replaced = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .fold(shipped.clone(), |config, (shipped, actual)| config.replace(shipped, actual))
        };
        let (mut command, config, nodes) = if file.contains("haproxy") {
            let config = replaced(&[
                ("127.0.0.1:8081", node),
                ("127.0.0.1:8082", node),
                ("nexo-a:8080", node),
                ("nexo-b:8080", node),
                ("bind 127.0.0.1:8088", &format!("bind {own}")),
                ("bind :8088", &format!("bind {own}")),
            ]);
            let mut command = Command::new("haproxy");
            command.args(["-db", "-q", "-f"]);
            (command, config, 2)
        } else if file.contains("nginx") {
            let server = replaced(&[
                ("127.0.0.1:8080", node),
                ("listen 443 ssl http2", &format!("listen {own}")),
                ("listen 80", &format!("listen 127.0.0.1:{}", port + 1)),
                ("    ssl_certificate", "    # ssl_certificate"),
            ]);
            let mut command = Command::new("nginx");
            command.arg("-p").arg(dir.path()).args(["-e", "stderr", "-c"]);
            (command, nginx_around(&server), 1)
        } else {
            let site = replaced(&[
                ("127.0.0.1:8080", node),
                ("\notp.example.com {", &format!("\nhttp://:{port} {{")),
            ]);
            let mut command = Command::new("caddy");
            command.args(["run", "--adapter", "caddyfile", "--config"]);
            (command, format!("{{\n\tadmin off\n}}\n{site}"), 1)
        };
        assert_eq!(config.matches(node).count(), nodes, "{config}");
        let path = dir.path().join("proxy.conf");
        std::fs::write(&path, config).unwrap();
        let child = command
            .arg(&path)
            .env("HOME", dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Debian's packages haproxy, nginx-light and caddy");
        let proxy = Proxy { url: format!("http://{own}"), child, _dir: dir };
        until("the proxy has a ready node", SOON, async || {
            let ready = client().get(format!("{}/healthz", proxy.url)).send().await;
            ready.is_ok_and(|ready| ready.status() == 200).then_some(())
        })
        .await;
        proxy
    }
}

/// The main configuration of an nginx that belongs to the test.
fn nginx_around(server: &str) -> String {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|name| format!("{name}_temp_path {name};\n")).concat();
    format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{server}}}\n"
    )
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the client sends in a header to pretend that it has [`FORGED`].
fn forgeries(header: &str) -> Vec<String> {
    match header {
        "Forwarded" => vec![format!("for={FORGED}")],
        _ => vec![
            FORGED.to_owned(),
            // 127.0.0.1 is a trusted proxy, and the second address is one of Cloudflare's.
            format!("{FORGED}, 127.0.0.1"),
            format!("{FORGED}, 173.245.48.1"),
            format!("::ffff:{FORGED}"),
        ],
    }
}

async fn no_header_of_a_client_is_believed(file: &str) {
    let mailbox = Mailbox::start();
    let settings = [("NEXO_MAIL__SMTP_URL", mailbox.url())];
    let settings = settings.each_ref().map(|(key, url)| (*key, url.as_str()));
    let gateway = Gateway::start(Backend::Sqlite, &settings);
    let proxy = Proxy::start(file, &gateway).await;
    gateway.customer("a@example.com", "1.00");
    let create = ["key", "create", "--account", "a@example.com", "--name", "k"];
    let key = gateway.nexo(&[&create[..], &["--allow", FORGED]].concat());
    let key = key["key"].as_str().unwrap();
    let request = || {
        let request = client().get(format!("{}/api/v1/balance", proxy.url));
        request.bearer_auth(key)
    };
    let must_be_refused = |answer: &Answer, what: &str| {
        assert_eq!(answer.status, 403, "{what}: {}", answer.text);
        assert_eq!(answer.json["detected_ip"], "127.0.0.1", "{what}");
    };
    must_be_refused(&answer(request()).await, "no header");
    let mut all = request();
    for header in ADDRESS_HEADERS {
        for value in forgeries(header) {
            let forged = answer(request().header(header, &value)).await;
            must_be_refused(&forged, &format!("{header}: {value}"));
            let twice = request().header(header, &value).header(header, &value);
            must_be_refused(&answer(twice).await, &format!("{header}, twice: {value}"));
            all = all.header(header, &value);
        }
    }
    must_be_refused(&answer(all).await, "all headers");
    the_site_keeps_its_address(&proxy, &mailbox).await;
}

/// Links and cookies follow the configured public URL, whatever a client says about the scheme and host.
async fn the_site_keeps_its_address(proxy: &Proxy, mailbox: &Mailbox) {
    let mut visitor = Visitor {
        base: proxy.url.clone(),
        http: client(),
        cookies: Default::default(),
        headers: [
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "evil.example"),
            ("X-Forwarded-Server", "evil.example"),
            ("X-Forwarded-Port", "443"),
            ("Forwarded", "host=evil.example;proto=https"),
            ("Host", "evil.example"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
    };
    for page in ["/en", "/docs", "/auth/sign-in", "/auth/sign-up"] {
        let seen = visitor.get(page).await;
        assert_eq!(seen.status, 200, "{page}");
        assert!(!seen.text.contains("evil.example"), "{page}: {}", seen.text);
        let headers = format!("{:?}", seen.headers);
        assert!(!headers.contains("evil.example"), "{page}: {headers}");
        assert!(!headers.contains("Secure"), "{page}: {headers}");
        assert!(!headers.contains("strict-transport"), "{page}: {headers}");
    }
    let seen = visitor.submit("/auth/reset", "/auth/reset", &[("email", "a@example.com")]).await;
    assert!(seen.status < 400, "{}", seen.text);
    let email = mailbox.wait_for("a@example.com", 1).await;
    assert!(email.text.contains("http://127.0.0.1:8080/"), "{}", email.text);
    assert!(!email.text.contains("evil.example"), "{}", email.text);
}

cases! {
    no_header_of_a_client_is_believed:
    by_the_proxy_of_two_nodes("packaging/haproxy.cfg");
    by_the_proxy_of_containers("packaging/haproxy.compose.cfg");
    by_nginx("packaging/nginx.conf");
    by_caddy("packaging/Caddyfile");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_passes_headers_on_does_not_let_a_client_forge_its_address() {
    // Loopback is the proxy. The client's own address is the last one in `X-Forwarded-For`.
    let gateway = Gateway::start(Backend::Sqlite, &[]);
    gateway.customer("a@example.com", "1.00");
    let create = ["key", "create", "--account", "a@example.com", "--name", "k"];
    let key = gateway.nexo(&[&create[..], &["--allow", FORGED]].concat());
    for header in ADDRESS_HEADERS {
        for value in forgeries(header) {
            let request = client()
                .get(format!("{}/api/v1/balance", gateway.url))
                .bearer_auth(key["key"].as_str().unwrap())
                .header(header, &value)
                .header("X-Forwarded-For", "203.0.113.7");
            let answer = answer(request).await;
            assert_eq!(answer.status, 403, "{header}: {value}");
            assert_eq!(answer.json["detected_ip"], "203.0.113.7", "{header}: {value}");
        }
    }
}
