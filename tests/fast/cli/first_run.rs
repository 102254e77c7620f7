//! Tests of what the first start prints, and of what commands print for people.

use super::nexo::Nexo;

/// The ports of a gateway that other tests do not disturb.
const FREE_PORTS: &str = "server.listen = '127.0.0.1:0'\nmetrics.listen = '127.0.0.1:0'\n\
                          sip.listen_udp = '127.0.0.1:0'\nsip.rtp_ports = '0'\n";

/// Starts `serve`, and returns what it prints until `last`, then terminates it.
fn served(nexo: &Nexo, last: &str) -> String {
    let mut gateway = nexo.start(&["serve"]);
    let mut text = String::new();
    while !text.contains(last) {
        let line = gateway.line();
        assert!(!line.is_empty(), "{last} is not in {text}");
        text.push_str(&line);
        text.push('\n');
    }
    gateway.terminate();
    text
}

#[test]
fn the_first_start_names_the_site_and_how_to_sign_in_and_uses_a_test_key() {
    let nexo = Nexo::without_database();
    nexo.write("nexo.toml", FREE_PORTS);
    let text = served(&nexo, "482917");
    let site = text.lines().find_map(|line| line.trim().strip_prefix("site ")).unwrap().trim();
    assert!(site.starts_with("http://127.0.0.1:") && !site.ends_with(":0"), "{text}");
    for part in [
        &format!("sign in at {site}/auth/sign-in"),
        "nexo account create --email you@example.com --password - --operator",
        "export NEXO_KEY=sk_test_",
        "  sk_live_",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }

    let arguments =
        ["account", "create", "--email", "a@example.com", "--password", "-", "--operator"];
    let created = nexo.run_with_input(&arguments, "a horse of battery staples\n");
    assert_eq!(created.code, 0, "{created:?}");
    nexo.write(
        "nexo.toml",
        &format!("{FREE_PORTS}server.public_url = 'https://otp.example.com/'\n"),
    );
    let text = served(&nexo, "wintel");
    assert!(text.contains(" https://otp.example.com\n"), "{text}");
    assert!(!text.contains("No operator") && !text.contains("sk_"), "{text}");
}

#[test]
fn a_log_that_is_no_terminal_has_no_colours() {
    let mut nexo = Nexo::without_database();
    nexo.set("TERM", "xterm-256color");
    nexo.write("nexo.toml", &format!("{FREE_PORTS}logs.format = 'pretty'\n"));
    let mut gateway = nexo.command(&["serve", "--json"]).spawn().unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(gateway.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    gateway.kill().unwrap();
    let output = gateway.wait_with_output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("applying a migration"), "{log}");
    assert!(!log.contains('\u{1b}'), "{log}");
}

#[test]
fn carriers_that_share_a_gateway_share_its_ladder() {
    let nexo = Nexo::without_database();
    nexo.write("nexo.toml", FREE_PORTS);
    let text = nexo.succeed(&["trunks"]);
    assert_eq!(text.matches("last probe").count(), 1, "{text}");
    assert!(text.contains("\nviettel, vinaphone, mobifone, "), "{text}");
    assert_eq!(text.matches("  OPTIONS  ").count(), 1, "{text}");
}
