//! Tests of the configuration: accepted values, and the messages for invalid ones.

use super::*;

fn load(file: &str, variables: &[(&str, &str)]) -> Result<Loaded, String> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::from_texts(Some(("nexo.toml", file)), variables).map_err(|error| error.to_string())
}

fn error(file: &str, variables: &[(&str, &str)]) -> String {
    let message = load(file, variables).expect_err("the configuration is invalid");
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

const WITH_CARRIER: &str = r#"
[[carriers]]
name = "viettel"
caller_ids = ["+842471234567"]
  [[carriers.gateways]]
  name = "hn1"
  uri = "sip:203.0.113.10:5060;transport=udp"
"#;

#[test]
fn the_defaults_are_those_of_the_contract() {
    let loaded = load("", &[]).unwrap();
    let expected = r#"
[server]
listen = "127.0.0.1:8080"
public_url = "http://127.0.0.1:8080"
trusted_proxies = ["127.0.0.0/8", "::1/128"]
cloudflare_ranges = [
  "173.245.48.0/20",
  "103.21.244.0/22",
  "103.22.200.0/22",
  "103.31.4.0/22",
  "141.101.64.0/18",
  "108.162.192.0/18",
  "190.93.240.0/20",
  "188.114.96.0/20",
  "197.234.240.0/22",
  "198.41.128.0/17",
  "162.158.0.0/15",
  "104.16.0.0/13",
  "104.24.0.0/14",
  "172.64.0.0/13",
  "131.0.72.0/22",
  "2400:cb00::/32",
  "2606:4700::/32",
  "2803:f800::/32",
  "2405:b500::/32",
  "2405:8100::/32",
  "2a06:98c0::/29",
  "2c0f:f248::/32",
]
max_connections = 10000
max_connections_per_address = 500
drain_at_least_ms = 0
free_requests_per_second = 1000
reads_per_account = 2
exports_per_account = 2
exports = 16
hsts_include_subdomains = false
[metrics]
listen = "127.0.0.1:9464"
[database]
url = "sqlite://data/nexo.db"
list_connections = 4
[cluster]
node = ""
[billing]
price_usd = "0.022"
signup_free_otps = 5
refund = "carrier"
[calls]
language = "vi"
repeat = 2
digit_gap_ms = 350
require_keypress = false
dispatch_timeout_ms = 4000
gateway_timeout_ms = 2000
ring_timeout_seconds = 30
voice_dir = ""
media_timeout_seconds = 5
[sip]
listen_udp = "0.0.0.0:5062"
rtp_ports = "20000-20063"
public_ip = ""
dns_servers = []
[dns]
servers = []
[webhooks]
timeout_ms = 5000
allow_private = false
allow_http = false
[sandbox]
enabled = true
loss_percent = 0
jitter_ms = 0
record_dir = ""
[mail]
smtp_url = ""
from = "NEXO ROUTE <no-reply@localhost>"
[sign_in]
session_max_days = 30
operators_need_second_factor = false
[privacy]
mask_phones_after_days = 0
test_deliveries_days = 7
[quotas]
test_otps_per_day = 1000
test_events_per_day = 100
webhook_replays_per_day = 2000
exports_per_day = 200
api_keys_per_day = 50
webhook_endpoints_per_day = 50
top_ups_per_day = 50
low_balance_changes_per_day = 20
email_changes_per_day = 5
password_resets_per_day = 10
stored_refusals_per_day = 10000
emails_per_day = 50
network_sign_ups_per_day = 50
sign_ups_per_day = 1000
free_credits_per_day = 200
test_otps_per_minute = 120
test_events_per_minute = 6
[deposits]
bank_account = ""
bank_bin = ""
bank_holder = ""
least_usd = "5.00"
notification_secret = ""
vnd_per_usd = 26000
[reviews]
window_seconds = 300
settle_seconds = 90
least_otps = 50
jump_times = 10
sequential_percent = 50
answered_percent = 20
[verify]
secret = ""
[logs]
format = "text"
[traces]
otlp_endpoint = ""
sample_ratio = "1"
"#;
    let shown: toml::Table = loaded.effective.to_toml().parse().unwrap();
    assert_eq!(shown, expected.parse().unwrap());
    assert!(loaded.config.carriers.is_empty());
    assert_eq!(loaded.config.billing.price_usd.get(), 22_000);
    assert_eq!(loaded.config.sip.public_ip, None);
}

#[test]
fn every_key_is_documented() {
    let docs = include_str!("../../docs/CONFIGURATION.md");
    let (sections, rest) = docs.split_once("## Carriers and gateways").unwrap();
    let (carriers, gateways) = rest.split_once("`[[carriers.gateways]]`:").unwrap();
    let json = load(WITH_CARRIER, &[]).unwrap().effective.to_json();
    for path in json["sources"].as_object().unwrap().keys() {
        let (text, key) = match path.rsplit_once("].") {
            Some((table, key)) if table.contains("gateways") => (gateways, key),
            Some((_, key)) => (carriers, key),
            None => (sections, path.as_str()),
        };
        let is_documented = text.contains(&format!("`{key}`"));
        assert!(is_documented, "docs/CONFIGURATION.md does not describe {path}");
    }
}

#[test]
fn a_carrier_and_its_gateway_have_the_contracts_defaults() {
    let loaded = load(WITH_CARRIER, &[]).unwrap();
    let expected = r#"
[[carriers]]
name = "viettel"
channels = 500
calls_per_second = 50
caller_ids = ["+842471234567"]
  [[carriers.gateways]]
  name = "hn1"
  uri = "sip:203.0.113.10:5060;transport=udp"
  username = ""
  password = ""
  realm = ""
  digest = "md5"
  register = false
  priority = 1
  weight = 10
  number_format = "e164"
  codecs = ["PCMA", "PCMU"]
  srtp = false
  options_ping_seconds = 30
  register_expires_seconds = 300
  timeout_ms = 0
  from_user = ""
  from_domain = ""
  asserted_identity = false
  privacy = false
  tls_name = ""
  tls_ca = ""
  tls_certificate = ""
  tls_key = ""
"#;
    let shown: toml::Table = loaded.effective.to_toml().parse().unwrap();
    let expected: toml::Table = expected.parse().unwrap();
    assert_eq!(shown["carriers"], expected["carriers"]);
    let gateway = &loaded.config.carriers[0].gateways[0];
    assert_eq!(gateway.uri.host_and_port(), "203.0.113.10:5060");
}

#[test]
fn the_environment_overrides_the_file_and_the_file_the_defaults() {
    let file = "[server]\nlisten = \"127.0.0.1:1\"\npublic_url = \"https://otp.example.com\"\n";
    let loaded = load(file, &[("NEXO_SERVER__LISTEN", "127.0.0.1:2")]).unwrap();
    assert_eq!(loaded.config.server.listen.port(), 2);
    assert_eq!(loaded.config.server.public_url, "https://otp.example.com");
    assert_eq!(loaded.config.metrics.listen.port(), 9464);
    let sources = &loaded.effective.to_json()["sources"];
    assert_eq!(sources["server.listen"], "NEXO_SERVER__LISTEN");
    assert_eq!(sources["server.public_url"], "nexo.toml:3");
    assert_eq!(sources["metrics.listen"], "default");
}

#[test]
fn a_variable_is_parsed_by_the_type_of_its_key() {
    let loaded = load(
        "",
        &[
            ("NEXO_SERVER__TRUSTED_PROXIES", r#"["10.0.0.0/8", "192.0.2.1"]"#),
            ("NEXO_SERVER__CLOUDFLARE_RANGES", "[]"),
            ("NEXO_DNS__SERVERS", r#"["10.0.0.53:53"]"#),
            ("NEXO_BILLING__PRICE_USD", "0.5"),
            ("NEXO_BILLING__REFUND", "\"never\""),
            ("NEXO_CALLS__REPEAT", "3"),
            ("NEXO_CALLS__LANGUAGE", "en"),
            ("NEXO_WEBHOOKS__ALLOW_HTTP", "true"),
            ("NEXO_CLUSTER__NODE", "7"),
            ("NEXO_SIP__PUBLIC_IP", "203.0.113.9"),
            ("NEXO_SIP__RTP_PORTS", "0"),
        ],
    )
    .unwrap();
    let config = &loaded.config;
    assert_eq!(config.server.trusted_proxies.len(), 2);
    assert_eq!(config.server.trusted_proxies[1].to_string(), "192.0.2.1/32");
    assert!(config.server.cloudflare_ranges.is_empty());
    assert_eq!(config.dns.servers, ["10.0.0.53:53".parse().unwrap()]);
    assert_eq!(config.billing.price_usd.get(), 500_000);
    assert_eq!(config.calls.repeat, 3);
    assert_eq!(config.calls.language.code(), "en");
    assert!(config.webhooks.allow_http);
    assert_eq!(config.cluster.node, "7");
    assert_eq!(config.sip.public_ip, Some([203, 0, 113, 9].into()));
}

#[test]
fn a_carriers_variable_replaces_the_carriers_of_the_file() {
    let carriers = r#"[{name = "mobifone", gateways = [{name = "a", uri = "sip:198.51.100.1"}, {name = "b", uri = "sip:198.51.100.2"}]}]"#;
    let loaded = load(WITH_CARRIER, &[("NEXO_CARRIERS", carriers)]).unwrap();
    assert_eq!(loaded.config.carriers.len(), 1);
    assert_eq!(loaded.config.carriers[0].name, "mobifone");
    assert_eq!(loaded.config.carriers[0].gateways[1].name, "b");
    let json = loaded.effective.to_json();
    assert_eq!(json["carriers"][0]["gateways"][1]["uri"], "sip:198.51.100.2");
    assert_eq!(json["sources"]["carriers[0].gateways[1].uri"], "NEXO_CARRIERS");
    let none = load(WITH_CARRIER, &[("NEXO_CARRIERS", "[]")]).unwrap();
    assert!(none.config.carriers.is_empty());
    assert_eq!(none.effective.to_json()["carriers"], serde_json::json!([]));
}

#[test]
fn an_unknown_key_is_reported_with_the_nearest_known_one() {
    for (file, message) in [
        (
            "[calls]\nrepeats = 2\n",
            "nexo.toml:2: unknown key calls.repeats; did you mean calls.repeat?",
        ),
        (
            "\n\n[server]\nprice_usd = \"0.022\"\n",
            "nexo.toml:4: unknown key server.price_usd; did you mean billing.price_usd?",
        ),
        (
            "[servr]\nlisten = \"127.0.0.1:1\"\n",
            "nexo.toml:1: unknown key servr; did you mean server?",
        ),
        (
            "[calls]\nmusic_on_hold = true\n",
            "nexo.toml:2: unknown key calls.music_on_hold; `nexo config print` lists every key",
        ),
        (
            "[calls.repeat]\n",
            "nexo.toml:1: calls.repeat is a table; expected an integer from 1 to 3",
        ),
        ("server = 5\n", "nexo.toml:1: server is 5; expected one [server] section"),
        ("[[server]]\n", "nexo.toml:1: server is a table; expected one [server] section"),
        (
            "[carriers]\nname = \"viettel\"\n",
            "nexo.toml:1: carriers is a table; expected [[carriers]]",
        ),
        (
            "[[carriers]]\nname = \"viettel\"\nchanels = 5\n",
            "nexo.toml:3: unknown key carriers[0].chanels; did you mean carriers.channels?",
        ),
    ] {
        assert_eq!(error(file, &[]), message);
    }
}

#[test]
fn an_unknown_variable_is_reported_with_the_nearest_known_one() {
    for (name, message) in [
        (
            "NEXO_CALLS__REPEATS",
            "NEXO_CALLS__REPEATS: unknown key calls.repeats; did you mean NEXO_CALLS__REPEAT?",
        ),
        (
            "NEXO_DATABASE_URL",
            "NEXO_DATABASE_URL: unknown key database_url; did you mean NEXO_DATABASE__URL?",
        ),
        (
            "NEXO_CARRIERS__CHANNELS",
            "NEXO_CARRIERS__CHANNELS: unknown key carriers.channels; carriers are set as one TOML array in NEXO_CARRIERS",
        ),
    ] {
        assert_eq!(error(WITH_CARRIER, &[(name, "x")]), message);
    }
}

#[test]
fn variables_of_other_programs_are_ignored() {
    let others = [
        ("NEXO_KEY", "sk_live_x"),
        ("NEXO_TEST_POSTGRES_URL", "postgres://x"),
        ("SERVER__LISTEN", "x"),
        ("PATH", "/bin"),
    ];
    load("", &others).unwrap();
}

#[test]
fn an_invalid_value_is_reported_with_the_allowed_ones() {
    for (section, key, value, expected) in [
        ("server", "listen", "\"localhost\"", "an IP address and port"),
        ("server", "listen", "8080", "an IP address and port"),
        ("server", "public_url", "\"ftp://x\"", "an http or https URL"),
        ("server", "public_url", "\"https://x?y=1\"", "an http or https URL"),
        ("server", "trusted_proxies", "\"10.0.0.0/8\"", "a list of addresses"),
        ("server", "trusted_proxies", "[\"10.0.0.0/8\", 5]", "a list of addresses"),
        ("server", "cloudflare_ranges", "[\"cloudflare\"]", "[] never uses CF-Connecting-IP"),
        ("server", "max_connections", "15", "from 16 to 1000000"),
        ("server", "max_connections_per_address", "0", "from 1 to 1000000"),
        ("dns", "servers", "[\"10.0.0.53\"]", "a list of IP addresses and ports"),
        ("metrics", "listen", "\":9464\"", "an IP address and port"),
        ("cluster", "node", "\"a b\"", "empty, or at most 64"),
        ("billing", "price_usd", "0.022", "a quoted amount"),
        ("billing", "price_usd", "\"0\"", "more than zero"),
        ("billing", "price_usd", "\"-1\"", "more than zero"),
        ("billing", "price_usd", "\"0.0000001\"", "at most six decimals"),
        ("billing", "signup_free_otps", "-1", "from 0 to 1000"),
        ("billing", "refund", "\"always\"", r#""carrier" or "never" or "undelivered""#),
        ("calls", "language", "\"fr\"", r#""vi" or "en""#),
        ("calls", "repeat", "0", "from 1 to 3"),
        ("calls", "repeat", "4", "from 1 to 3"),
        ("calls", "repeat", "\"2\"", "from 1 to 3"),
        ("calls", "repeat", "2.0", "from 1 to 3"),
        ("calls", "digit_gap_ms", "99", "from 100 to 2000"),
        ("calls", "digit_gap_ms", "2001", "from 100 to 2000"),
        ("calls", "require_keypress", "1", "true or false"),
        ("calls", "dispatch_timeout_ms", "0", "from 1 to"),
        ("calls", "gateway_timeout_ms", "0", "from 1 to"),
        ("calls", "ring_timeout_seconds", "0", "from 1 to"),
        ("sip", "listen_udp", "\"5062\"", "an IP address and port"),
        ("sip", "rtp_ports", "\"20000\"", "two ports"),
        ("sip", "rtp_ports", "\"20001-20000\"", "two ports"),
        ("sip", "rtp_ports", "\"80-90\"", "two ports"),
        ("sip", "rtp_ports", "\"65000-65536\"", "two ports"),
        ("sip", "public_ip", "\"0.0.0.0\"", "empty, or the IP address"),
        ("sip", "public_ip", "\"example.com\"", "empty, or the IP address"),
        ("webhooks", "timeout_ms", "0", "from 1 to"),
        ("webhooks", "allow_http", "\"yes\"", "true or false"),
        ("sandbox", "loss_percent", "101", "from 0 to 100"),
        ("sandbox", "jitter_ms", "-1", "from 0 to"),
    ] {
        let message = error(&format!("[{section}]\n{key} = {value}\n"), &[]);
        let start = format!("nexo.toml:2: {section}.{key} is ");
        assert!(message.starts_with(&start), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn an_invalid_variable_is_reported_by_its_name() {
    assert_eq!(
        error("[calls]\nrepeat = 2\n", &[("NEXO_CALLS__REPEAT", "many")]),
        "NEXO_CALLS__REPEAT: calls.repeat is \"many\"; expected an integer from 1 to 3"
    );
    let message = error("", &[("NEXO_SERVER__TRUSTED_PROXIES", "10.0.0.0/8")]);
    assert!(message.contains("a list of addresses"), "{message}");
    let message = error("", &[("NEXO_CARRIERS", "[{name=")]);
    assert!(message.starts_with("NEXO_CARRIERS: "), "{message}");
}

#[test]
fn an_invalid_carrier_or_gateway_is_reported_with_its_line() {
    for (old, new, expected) in [
        (
            "\"viettel\"",
            "\"Viettel\"",
            "nexo.toml:3: carriers[0].name is \"Viettel\"; expected a carrier of the numbering plan: viettel, ",
        ),
        (
            "name = \"viettel\"\n",
            "",
            "nexo.toml:2: carriers[0].name is missing; expected a carrier",
        ),
        (
            "[\"+842471234567\"]",
            "[\"842471234567\"]",
            "nexo.toml:4: carriers[0].caller_ids is \"842471234567\" in its list; expected a list of numbers",
        ),
        (
            "name = \"hn1\"",
            "name = \"h n\"",
            "nexo.toml:6: carriers[0].gateways[0].name is \"h n\"; expected 1 to 32",
        ),
        (
            "sip:203",
            "sips:203",
            "nexo.toml:7: carriers[0].gateways[0].uri is \"sips:203.0.113.10:5060;transport=udp\"; expected sip:HOST",
        ),
        (
            "  uri",
            "  codecs = [\"G729\"]\n  uri",
            "nexo.toml:7: carriers[0].gateways[0].codecs is \"G729\" in its list; expected",
        ),
        (
            "  uri",
            "  codecs = []\n  uri",
            "nexo.toml:7: carriers[0].gateways[0].codecs is []; expected",
        ),
        (
            "  uri",
            "  codecs = [\"PCMA\", \"PCMA\"]\n  uri",
            "nexo.toml:7: carriers[0].gateways[0].codecs is [\"PCMA\", \"PCMA\"]; expected",
        ),
        (
            "  uri",
            "  number_format = \"local\"\n  uri",
            "nexo.toml:7: carriers[0].gateways[0].number_format is \"local\"; expected",
        ),
        (
            "  uri",
            "  digest = \"sha256\"\n  uri",
            "nexo.toml:7: carriers[0].gateways[0].digest is \"sha256\"; expected \"md5\" or \"sha-256\" or \"sha-512-256\"",
        ),
        (
            "  uri",
            "  priority = -1\n  uri",
            "nexo.toml:7: carriers[0].gateways[0].priority is -1; expected",
        ),
    ] {
        let message = error(&WITH_CARRIER.replace(old, new), &[]);
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn duplicate_carriers_and_gateways_are_rejected() {
    let twice = format!("{WITH_CARRIER}{WITH_CARRIER}");
    assert_eq!(
        error(&twice, &[]),
        "nexo.toml:10: carriers[1].name is \"viettel\"; expected only one [[carriers]] table for each carrier"
    );
    let twice = format!(
        "{WITH_CARRIER}  [[carriers.gateways]]\n  name = \"hn1\"\n  uri = \"sip:203.0.113.11\"\n"
    );
    assert_eq!(
        error(&twice, &[]),
        "nexo.toml:9: carriers[0].gateways[1].name is \"hn1\"; expected a unique name among the carrier's gateways"
    );
}

#[test]
fn gateway_and_dispatch_timeouts_are_independent() {
    let calls = load("[calls]\ngateway_timeout_ms = 5000\n", &[]).unwrap().config.calls;
    assert_eq!((calls.gateway_timeout_ms, calls.dispatch_timeout_ms), (5000, 4000));
    let calls = load("[calls]\ndispatch_timeout_ms = 1000\n", &[]).unwrap().config.calls;
    assert_eq!((calls.gateway_timeout_ms, calls.dispatch_timeout_ms), (2000, 1000));
}

#[test]
fn invalid_combinations_are_rejected() {
    for (setting, expected) in [
        ("register = true", "expected false, or a username"),
        ("password = \"s3cret\"", "expected empty, or a username"),
    ] {
        let uri = "  uri = \"sip:203.0.113.10:5060;transport=udp\"\n";
        let line = match setting.starts_with("uri") {
            true => format!("  {setting}\n"),
            false => format!("{uri}  {setting}\n"),
        };
        let message = error(&WITH_CARRIER.replace(uri, &line), &[]);
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("s3cret"), "{message}");
    }
}

#[test]
fn no_secret_is_ever_shown() {
    let url = "postgres://nexo:s3cret@db/nexo";
    let loaded = load("", &[("NEXO_DATABASE__URL", url)]).unwrap();
    assert_eq!(loaded.config.database.url, url);
    assert!(!loaded.effective.to_toml().contains("s3cret"));
    assert!(!loaded.effective.to_json().to_string().contains("s3cret"));
    assert!(!format!("{loaded:?}").contains("s3cret"));
    for bad in ["s3cret@db", "mysql://nexo:s3cret@db/nexo"] {
        let message = error("", &[("NEXO_DATABASE__URL", bad)]);
        assert!(message.contains("expected sqlite://FILE or postgres://"), "{message}");
        assert!(!message.contains("s3cret"), "{message}");
    }
    let number = WITH_CARRIER.replace("  uri", "  password = 53123\n  uri");
    assert!(!error(&number, &[]).contains("53123"));
}

#[test]
fn invalid_toml_is_reported_with_its_line() {
    let message = error("[server]\nlisten = \n", &[]);
    assert!(message.starts_with("nexo.toml:2: "), "{message}");
    let message = error("[server]\nlisten = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"\n", &[]);
    assert!(message.starts_with("nexo.toml:3: "), "{message}");
}

#[test]
fn a_named_file_must_exist() {
    let error = Config::load(Some(Path::new("/nowhere/nexo.toml")), []).unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with("cannot read /nowhere/nexo.toml: "), "{message}");
}

#[test]
fn the_printed_configuration_can_be_loaded_again() {
    let loaded = load(WITH_CARRIER, &[("NEXO_CALLS__REPEAT", "3")]).unwrap();
    let printed = loaded.effective.to_toml();
    assert!(printed.contains("# NEXO_CALLS__REPEAT"), "{printed}");
    assert!(printed.contains("# nexo.toml:7"), "{printed}");
    let again = load(&printed, &[]).unwrap();
    assert_eq!(again.config.calls.repeat, 3);
    let strip = |json: serde_json::Value| {
        let mut json = json;
        json.as_object_mut().unwrap().remove("sources").unwrap();
        json
    };
    assert_eq!(strip(again.effective.to_json()), strip(loaded.effective.to_json()));
}

#[test]
fn a_call_is_long_enough_for_ringing_and_one_reading() {
    let load = |text: &str| Config::from_texts(Some(("nexo.toml", text)), []);
    for fits in [
        "[calls]\nring_timeout_seconds = 40",
        "[calls]\ndigit_gap_ms = 2000",
        "[calls]\ndigit_gap_ms = 2000\nring_timeout_seconds = 20",
    ] {
        assert!(load(fits).is_ok(), "{fits}");
    }
    let error = load("[calls]\nring_timeout_seconds = 40\ndigit_gap_ms = 2000").unwrap_err();
    let error = error.to_string();
    assert!(error.contains("nexo.toml") && error.contains("calls.digit_gap_ms"), "{error}");
    assert!(error.contains("a shorter ring_timeout_seconds (now 40)"), "{error}");
}

#[test]
fn a_bank_account_is_complete_and_its_secret_is_hidden() {
    let secret = "notification_secret = \"a-secret-of-the-bank-0001\"\n";
    let account = "bank_account = \"0123456789\"\nbank_holder = \"NEXO\"\n";
    let text = format!("[deposits]\nbank_bin = \"970436\"\n{account}{secret}");
    let loaded = load(&text, &[]).unwrap();
    let bank = loaded.config.deposits.bank.as_ref().unwrap();
    assert_eq!((bank.bin.as_str(), bank.number.as_str()), ("970436", "0123456789"));
    assert!(loaded.config.deposits.notification_secret.is_some());
    assert_eq!(loaded.config.deposits.rate.get(), 26_000);
    let shown = loaded.effective.to_toml();
    assert!(!shown.contains("a-secret-of"), "{shown}");
    assert!(!format!("{:?}", loaded.config).contains("a-secret-of"));
    let alone = load("", &[]).unwrap().config.deposits;
    assert!(alone.bank.is_none() && alone.notification_secret.is_none());
    for (wrong, why) in [
        ("bank_bin = \"970436\"\n", "bank_account"),
        ("bank_bin = \"97043\"\n", "6 NAPAS digits"),
        ("vnd_per_usd = 0\n", "from 1"),
        ("notification_secret = \"short\"\n", "at least 16"),
        ("least_usd = \"0\"\n", "more than zero"),
    ] {
        let message = error(&format!("[deposits]\n{wrong}"), &[]);
        assert!(message.contains(why), "{message}");
        assert!(!message.contains("short"), "{message}");
    }
}

#[test]
fn reviews_have_limits_and_can_be_off() {
    let off = load("[reviews]\nwindow_seconds = 0\n", &[]).unwrap().config.reviews;
    assert!(off.window.is_zero());
    let given = load("[reviews]\nleast_otps = 7\njump_times = 3\n", &[]).unwrap();
    let limits = given.config.reviews.limits;
    assert_eq!((limits.min_otps, limits.jump), (7, 3));
    let message = error("[reviews]\nanswered_percent = 101\n", &[]);
    assert!(message.contains("from 0 to 100"), "{message}");
}
