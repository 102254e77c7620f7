//! Tests of `nexo config`, and of the errors of all commands for a bad configuration or bad usage.

use super::nexo::Nexo;

#[test]
fn the_effective_configuration_is_printed_with_its_sources() {
    let mut nexo = Nexo::without_database();
    nexo.write("nexo.toml", "[calls]\nrepeat = 1\n");
    nexo.set("NEXO_DATABASE__URL", "postgres://nexo:s3cret@db/nexo");
    let text = nexo.succeed(&["config", "print"]);
    let line = |start: &str| {
        let found = text.lines().find(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("{start} in {text}")).to_owned()
    };
    assert!(line("repeat = 1").ends_with("# nexo.toml:2"), "{text}");
    assert!(line("digit_gap_ms = 350").ends_with("# default"), "{text}");
    let url = line("url = \"postgres://nexo:********@db/nexo\"");
    assert!(url.ends_with("# NEXO_DATABASE__URL"), "{text}");
    assert!(text.parse::<toml::Table>().is_ok(), "{text}");

    let json = nexo.json(&["config", "print"]);
    assert_eq!(json["calls"]["repeat"], 1);
    assert_eq!(json["carriers"], serde_json::json!([]));
    assert_eq!(json["sources"]["calls.repeat"], "nexo.toml:2");
    assert!(!json.to_string().contains("s3cret"));
}

#[test]
fn a_valid_configuration_passes_the_check() {
    let nexo = Nexo::without_database();
    assert_eq!(nexo.succeed(&["config", "check"]), "ok\n");
    assert_eq!(nexo.json(&["config", "check"]), serde_json::json!({ "ok": true }));
    nexo.write("other.toml", "[calls]\nlanguage = \"en\"\n");
    let json = nexo.json(&["config", "print", "--config", "other.toml"]);
    assert_eq!(json["calls"]["language"], "en");
    assert_eq!(json["sources"]["calls.language"], "other.toml:2");
}

#[test]
fn unsafe_settings_are_warned_about_on_standard_error() {
    let mut nexo = Nexo::without_database();
    nexo.write(
        "nexo.toml",
        "[server]\npublic_url = \"http://otp.example.com\"\n[[carriers]]\nname = \"viettel\"\n\
         [[carriers.gateways]]\nname = \"hn1\"\nuri = \"sip:203.0.113.10\"\nsrtp = true\n",
    );
    for (arguments, stdout) in [
        (&["config", "check"][..], "ok\n"),
        (&["config", "check", "--json"], "{\"carriers_without_route\":[\"vinaphone\","),
    ] {
        let finished = nexo.run(arguments);
        assert_eq!(finished.code, 0);
        assert!(finished.stdout.starts_with(stdout), "{finished:?}");
        let warnings: Vec<&str> = finished.stderr.lines().collect();
        assert_eq!(warnings.len(), 3, "{finished:?}");
        let [url, keys, routes] = [warnings[0], warnings[1], warnings[2]];
        assert!(
            routes.starts_with("warning: no gateway is configured for vinaphone, "),
            "{routes}"
        );
        assert!(url.starts_with("warning: server.public_url uses http "), "{url}");
        assert!(keys.starts_with("warning: gateway hn1 of carrier viettel "), "{keys}");
    }
    nexo.set("NEXO_SERVER__PUBLIC_URL", "https://otp.example.com");
    let tls =
        r#"[{name="viettel",gateways=[{name="hn1",uri="sip:127.0.0.1;transport=tls",srtp=true}]}]"#;
    nexo.set("NEXO_CARRIERS", tls);
    nexo.write("nexo.toml", "");
    let checked = nexo.run(&["config", "check"]);
    assert_eq!((checked.code, checked.stdout.as_str()), (0, "ok\n"));
    assert!(checked.stderr.starts_with("warning: no gateway is configured for "), "{checked:?}");
    assert_eq!(checked.stderr.lines().count(), 1, "{checked:?}");
}

/// The ports of a gateway, so that `serve` fails for no other reason than the one tested.
const FREE_PORTS: &str = "server.listen = '127.0.0.1:0'\nmetrics.listen = '127.0.0.1:0'\n\
                          sip.listen_udp = '127.0.0.1:0'\nsip.rtp_ports = '0'\n";

#[test]
fn the_check_finds_what_stops_a_start_and_changes_nothing() {
    let nexo = Nexo::without_database();
    nexo.write("file", "no database");
    let gateway = |rest: &str| {
        format!(
            "{FREE_PORTS}[[carriers]]\nname='viettel'\n[[carriers.gateways]]\nname='a'\n{rest}\n"
        )
    };
    let other = |key: &str, value: &str| {
        let mut lines: Vec<&str> =
            FREE_PORTS.lines().filter(|line| !line.starts_with(key)).collect();
        let line = format!("{key} = '{value}'");
        lines.push(&line);
        lines.join("\n")
    };
    for (configuration, named) in [
        (other("server.listen", "203.0.113.5:8080"), "server.listen"),
        (other("metrics.listen", "203.0.113.5:9464"), "metrics.listen"),
        (other("sip.listen_udp", "203.0.113.5:5062"), "sip.listen_udp"),
        (other("database.url", "sqlite://file"), "file is not an SQLite database"),
        (other("database.url", "sqlite://file/a/nexo.db"), "the directory file/a"),
        (other("database.url", "sqlite::memory:"), "in-memory database"),
        (other("database.url", "sqlite://data/nexo.db?mode=ro"), "data"),
        (other("database.url", "postgres://nexo@127.0.0.1:1/nexo"), "127.0.0.1:1 does not answer"),
        (other("sandbox.record_dir", "file"), "in file: "),
        (other("calls.voice_dir", "none"), "calls.voice_dir"),
        (
            gateway("uri='sip:127.0.0.1;transport=tls'\ntls_ca='missing.pem'"),
            "cannot read missing.pem: ",
        ),
        (
            gateway("uri='sip:127.0.0.1;transport=tls'\ntls_ca='file'"),
            "file contains no certificate",
        ),
        (gateway("uri='sip:[::1]'"), "::1 has no IPv4 address"),
    ] {
        nexo.write("nexo.toml", &configuration);
        let names = || {
            let entries = std::fs::read_dir(nexo.dir()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let before = names();
        let checked = nexo.fail(1, &["config", "check"]);
        assert_eq!(names(), before, "{configuration}");
        let served = nexo.run(&["serve"]);
        let error = served.stderr.lines().last().unwrap_or_default();
        assert!(checked.contains(named), "{checked}");
        assert!(served.code == 1 && error.contains(named), "{served:?}");
    }
}

#[test]
fn a_password_in_a_database_url_must_be_percent_encoded() {
    let mut nexo = Nexo::without_database();
    for password in ["p#s3cret", "12#s3cret", "12/s3cret", "12?s3cret"] {
        nexo.set("NEXO_DATABASE__URL", &format!("postgres://nexo:{password}@127.0.0.1/nexo"));
        let error = nexo.fail(1, &["config", "check"]);
        assert!(error.starts_with("error: NEXO_DATABASE__URL: database.url is "), "{error}");
        assert!(error.contains("%23 for #") && !error.contains("s3cret"), "{error}");
    }
    nexo.set("NEXO_DATABASE__URL", "postgres://nexo:p%23ss@127.0.0.1:1/nexo");
    let error = nexo.fail(1, &["config", "check"]);
    assert!(error.contains("127.0.0.1:1 does not answer"), "{error}");
}

#[test]
fn two_keys_cannot_have_the_same_port() {
    let nexo = Nexo::without_database();
    for (configuration, error) in [
        ("server.listen = '127.0.0.1:9464'", "metrics.listen is \"127.0.0.1:9464\""),
        ("server.listen = '0.0.0.0:9464'", "metrics.listen is \"127.0.0.1:9464\""),
        ("sip.rtp_ports = '5000-5100'", "sip.rtp_ports is \"5000-5100\""),
        (
            "sip.listen_udp = '0.0.0.0:8080'\n[[carriers]]\nname = 'itel'\n[[carriers.gateways]]\n\
             name = 'a'\nuri = 'sip:127.0.0.1;transport=tcp'",
            "sip.listen_udp is \"0.0.0.0:8080\"",
        ),
    ] {
        nexo.write("nexo.toml", configuration);
        let found = nexo.fail(1, &["config", "check"]);
        assert!(found.contains(error), "{found}");
    }
    nexo.write("nexo.toml", "sip.listen_udp = '0.0.0.0:8080'");
    nexo.succeed(&["config", "check"]);
}

#[test]
fn a_running_gateway_is_no_fault_of_its_configuration() {
    let nexo = Nexo::without_database();
    let (http, sip) = (
        std::net::TcpListener::bind("127.0.0.1:0").unwrap(),
        std::net::UdpSocket::bind("127.0.0.1:0").unwrap(),
    );
    nexo.write(
        "nexo.toml",
        &format!(
            "server.listen = '{}'\nmetrics.listen = '127.0.0.1:0'\nsip.listen_udp = '{}'\nsip.rtp_ports = '0'\n",
            http.local_addr().unwrap(),
            sip.local_addr().unwrap()
        ),
    );
    assert_eq!(nexo.succeed(&["config", "check"]), "ok\n");
    let error = nexo.fail(1, &["serve"]);
    assert!(error.contains("is in use"), "{error}");
    assert!(!nexo.dir().join("data").exists());
}

#[test]
fn secrets_that_every_user_may_read_are_warned_about() {
    use std::os::unix::fs::PermissionsExt;
    let nexo = Nexo::without_database();
    nexo.write("nexo.toml", "[deposits]\nnotification_secret = 'sixteen-characters'\n");
    let file = nexo.dir().join("nexo.toml");
    for (mode, warnings) in [(0o644, 1), (0o640, 0)] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let checked = nexo.run(&["config", "check"]);
        assert_eq!((checked.code, checked.stderr.lines().count()), (0, warnings), "{checked:?}");
        assert!(!checked.stderr.contains("sixteen"), "{checked:?}");
    }
}

#[test]
fn every_command_refuses_a_bad_configuration_in_one_line() {
    let nexo = Nexo::without_database();
    nexo.write("nexo.toml", "[calls]\nrepeat = 2\nrepeats = 3\n");
    for command in [
        &["config", "check"][..],
        &["config", "print", "--json"],
        &["account", "list"],
        &["migrate", "up"],
        &["serve"],
    ] {
        assert_eq!(
            nexo.fail(1, command),
            "error: nexo.toml:3: unknown key calls.repeats; did you mean calls.repeat?"
        );
    }
    nexo.write("nexo.toml", "[server]\nlisten = \"here\"\n");
    assert_eq!(
        nexo.fail(1, &["config", "check"]),
        "error: nexo.toml:2: server.listen is \"here\"; expected an IP address and port, such as \
         127.0.0.1:8080 or [::1]:8080"
    );
}

#[test]
fn a_bad_variable_or_missing_file_is_refused() {
    let mut nexo = Nexo::without_database();
    assert_eq!(
        nexo.fail(1, &["config", "check", "--config", "gone.toml"]),
        "error: cannot read gone.toml: No such file or directory (os error 2); give --config a file \
         that this user can read"
    );
    nexo.set("NEXO_CALLS__REPEAT", "9");
    assert_eq!(
        nexo.fail(1, &["config", "check"]),
        "error: NEXO_CALLS__REPEAT: calls.repeat is \"9\"; expected an integer from 1 to 3"
    );
}

#[test]
fn bad_usage_is_one_line_and_exit_code_2() {
    let nexo = Nexo::without_database();
    for (arguments, message) in [
        (&["acount", "list"][..], "'account'"),
        (&["account"], "requires a subcommand"),
        (&["key", "create", "--name", "n"], "--account <EMAIL>"),
        (&["wallet", "credit", "--sum", "1"], "unexpected argument '--sum'"),
        (&["prompts", "render", "12", "--out", "x.wav"], "a code must be 4 to 8 ASCII digits"),
        (
            &["prompts", "render", "1234", "--language", "fr", "--out", "x.wav"],
            "possible values: vi, en",
        ),
        (&["sandbox"], "--listen <ADDR>"),
        (&["sandbox", "--listen", "here"], "invalid value 'here'"),
        (&["migrate", "down", "--steps", "0"], "invalid value '0'"),
    ] {
        let error = nexo.fail(2, arguments);
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn help_and_version_succeed() {
    let nexo = Nexo::without_database();
    let help = nexo.succeed(&["--help"]);
    for command in ["serve", "demo", "account", "webhook", "--config <FILE>", "--json"] {
        assert!(help.contains(command), "{help}");
    }
    assert_eq!(nexo.succeed(&[]), help, "nexo alone prints its help");
    assert!(!nexo.dir().join("data").exists());
    let error = nexo.fail(2, &["--json"]);
    assert!(error.contains("requires a subcommand"), "{error}");
    assert!(nexo.succeed(&["key", "create", "--help"]).contains("--allow <CIDR>"));
    assert_eq!(nexo.succeed(&["--version"]), format!("nexo {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn completions_are_printed_for_every_shell_despite_a_bad_configuration() {
    let nexo = Nexo::without_database();
    nexo.write("nexo.toml", "no = \"such key\"");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = nexo.succeed(&["completions", shell]);
        for word in ["nexo", "wallet", "credit", "config"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let error = nexo.fail(2, &["completions", "tcsh"]);
    assert!(error.contains("bash"), "{error}");
}

#[test]
fn the_manual_names_every_command_and_needs_no_configuration() {
    let nexo = Nexo::without_database();
    nexo.write("nexo.toml", "this is no TOML");
    let page = nexo.succeed(&["man"]);
    assert!(page.contains(".TH nexo 1"), "{page}");
    // Roff escapes hyphens.
    let plain = page.replace("\\-", "-");
    for part in
        ["nexo serve", "nexo wallet credit", "nexo backup", "--amount", "SIGHUP", "RUST_LOG"]
    {
        assert!(plain.contains(part), "{part} is not in {plain}");
    }
    assert_eq!(nexo.json(&["man"])["page"], page.as_str());
}
