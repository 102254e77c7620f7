use std::io::{BufRead, BufReader, Write};
use std::process::Command;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::challenge::unquote;
use super::*;
use crate::sip::message::header::split_outside_quotes;
use crate::sip::message::{Message, Response};

mod realms;

const NONCE: &str = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
const CLIENT_NONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

fn parse(value: &str) -> Option<Challenge> {
    Challenge::parse_all(value).next()
}

fn parameter(value: &str, name: &str) -> Option<String> {
    let (_, parameters) = value.split_once(' ')?;
    split_outside_quotes(parameters, b',').find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        (key == name).then(|| unquote(value))
    })
}

/// The response for the GET request of RFC 7616 §3.9.1.
fn response_of(algorithm: &str, qop: Option<&str>) -> String {
    let qop = qop.map_or(String::new(), |qop| format!(", qop=\"{qop}\""));
    let challenge = format!(
        "Digest realm=\"http-auth@example.org\", algorithm={algorithm}, nonce=\"{NONCE}\"{qop}"
    );
    let credentials = Credentials::new("Mufasa", "Circle of Life", None);
    let challenge = parse(&challenge).unwrap();
    let nonce = NonceState::with_client_nonce(challenge, &credentials, CLIENT_NONCE.into());
    let hash = nonce.challenge.algorithm.hash;
    // H(A2) is computed here because GET is not a SIP method.
    let a2 = match nonce.challenge.qop {
        Qop::AuthInt => {
            hash.digest(&[b"GET", b"/dir/index.html", hash.digest(&[b"v=0"]).as_bytes()])
        }
        Qop::Absent | Qop::Auth => hash.digest(&[b"GET", b"/dir/index.html"]),
    };
    nonce.response(&a2, "00000001")
}

/// The first two are from RFC 7616 §3.9.1; the others were computed with Python's hashlib.
#[test]
fn responses_match_the_rfc_and_another_implementation() {
    for (algorithm, qop, response) in [
        ("MD5", Some("auth, auth-int"), "8ca523f5e9506fed4657c9700eebdbec"),
        (
            "SHA-256",
            Some("auth, auth-int"),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        ),
        ("MD5-sess", Some("auth"), "e783283f46242139c486a698fec7211d"),
        (
            "SHA-256-sess",
            Some("auth"),
            "2fd51b3a77ad75bad6afad6003e818d767133c46d9e2749e7f5232ae1ea3efd7",
        ),
        ("MD5", None, "7b2cc3b30e75b4777ea31027084363fd"),
        ("sha-256", None, "a1306b0595a6c7fe96c448631fb5cfbd5107bd1fe1da729d978dd7446b812363"),
        ("MD5", Some("auth-int"), "3835b139d1606d821f6f96713d044ded"),
        (
            "SHA-256",
            Some("AUTH-INT"),
            "b3a4a0111e74e28223bac4af55ade12af037f6c8a019923135a0dca0d384407f",
        ),
    ] {
        assert_eq!(response_of(algorithm, qop), response, "{algorithm} {qop:?}");
    }
}

/// The request of RFC 7616 §3.9.2 with a plain username; the response was computed with Python's hashlib.
#[test]
fn sha_512_256_matches_another_implementation() {
    let challenge = "Digest realm=\"api@example.org\", qop=\"auth\", algorithm=SHA-512-256, \
         nonce=\"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK\", \
         opaque=\"HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDssOS\"";
    let credentials = Credentials::new("Jäsøn Doe", "Secret, or not?", None);
    let challenge = parse(challenge).unwrap();
    let cnonce = "NTg6RKcb9boFIAS3KrFK9BGeh+niz/sm".to_owned();
    let nonce = NonceState::with_client_nonce(challenge, &credentials, cnonce);
    let a2 = DigestAlgorithm::Sha512_256.digest(&[b"GET", b"/doe.json"]);
    assert_eq!(
        nonce.response(&a2, "00000001"),
        "7a4e1192babbba02e91182d2895bfdbf7adafc6e48d4e517ca301974843d840c"
    );
}

/// The curl command.
fn curl() -> Command {
    let mut curl = Command::new("curl");
    curl.args("-s -m 20 --digest -u".split(' '));
    curl.arg("Mufasa:Circle of Life");
    curl
}

/// A curl with all algorithms of RFC 8760, in the Python package pycurl. `None` if it is not installed.
fn newer_curl() -> Option<Command> {
    let python = std::env::var("NEXO_TEST_PYTHON").ok()?;
    let script = "import pycurl, sys\n\
         curl = pycurl.Curl()\n\
         curl.setopt(curl.URL, sys.argv[1])\n\
         curl.setopt(curl.TIMEOUT, 20)\n\
         curl.setopt(curl.HTTPAUTH, curl.HTTPAUTH_DIGEST)\n\
         curl.setopt(curl.USERPWD, 'Mufasa:Circle of Life')\n\
         curl.perform()\n";
    let mut curl = Command::new(python);
    curl.args(["-c", script]);
    Some(curl)
}

/// The `Authorization` that curl sends to a server with this challenge.
fn authorization_of(mut curl: Command, challenge: &str) -> String {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/dir/index.html", server.local_addr().unwrap());
    let mut curl = curl.arg(&url).spawn().expect("curl or Python is installed");
    let mut last_request = String::new();
    for code in ["401 Unauthorized", "200 OK"] {
        let (mut client, _) = server.accept().unwrap();
        let mut request = String::new();
        let mut lines = BufReader::new(client.try_clone().unwrap());
        while lines.read_line(&mut request).unwrap() > 2 {}
        let field = format!("WWW-Authenticate: {challenge}\r\n");
        let head =
            format!("HTTP/1.1 {code}\r\n{field}Content-Length: 0\r\nConnection: close\r\n\r\n");
        client.write_all(head.as_bytes()).unwrap();
        last_request = request;
    }
    assert!(curl.wait().unwrap().success());
    let mut lines = last_request.lines();
    let authorization = lines.find_map(|line| line.strip_prefix("Authorization: "));
    authorization.expect("an authorization").to_owned()
}

fn assert_curl_agrees(curl: Command, algorithm: &str, qop: Option<&str>) {
    let qop = qop.map_or(String::new(), |qop| format!(", qop=\"{qop}\""));
    let text =
        format!("Digest realm=\"a, \\\"b\\\"\", nonce=\"{NONCE}\", algorithm={algorithm}{qop}");
    let theirs = authorization_of(curl, &text);
    let challenge = parse(&text).unwrap();
    let hash = challenge.algorithm.hash;
    let cnonce = parameter(&theirs, "cnonce").unwrap_or_default();
    let credentials = Credentials::new("Mufasa", "Circle of Life", None);
    let nonce = NonceState::with_client_nonce(challenge, &credentials, cnonce);
    let (method, uri) = (&b"GET"[..], &b"/dir/index.html"[..]);
    let a2 = match nonce.challenge.qop {
        Qop::AuthInt => hash.digest(&[method, uri, hash.digest(&[b""]).as_bytes()]),
        Qop::Absent | Qop::Auth => hash.digest(&[method, uri]),
    };
    let ours = nonce.response(&a2, "00000001");
    assert_eq!(parameter(&theirs, "response"), Some(ours), "{text}\n{theirs}");
}

#[test]
fn curl_computes_the_same_responses() {
    for (algorithm, qop) in [
        ("MD5", None),
        ("MD5", Some("auth")),
        ("MD5", Some("auth-int")),
        ("MD5-sess", Some("auth")),
        ("SHA-256", Some("auth")),
        ("SHA-256", Some("auth-int")),
        ("SHA-256-SESS", Some("auth")),
    ] {
        assert_curl_agrees(curl(), algorithm, qop);
    }
}

#[test]
fn pycurl_computes_the_same_sha_512_256_responses() {
    for (algorithm, qop) in [
        ("SHA-512-256", None),
        ("SHA-512-256", Some("auth")),
        ("SHA-512-256", Some("auth-int")),
        ("SHA-512-256-sess", Some("auth")),
    ] {
        let Some(curl) = newer_curl() else {
            eprintln!("skipped: NEXO_TEST_PYTHON is not set");
            return;
        };
        assert_curl_agrees(curl, algorithm, qop);
    }
}

fn challenge_with(code: u16, fields: &str) -> Response {
    let text = format!(
        "SIP/2.0 {code} Unauthorized\r\nVia: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK1\r\n\
         From: <sip:x@y>;tag=me\r\nTo: <sip:z@y>;tag=you\r\nCall-ID: c@nexo\r\n\
         CSeq: 1 INVITE\r\n{fields}\r\n"
    );
    match Message::parse(text.as_bytes()).unwrap() {
        Message::Response(response) => response,
        Message::Request(_) => panic!("a request"),
    }
}

fn authorizer(realm: Option<&str>) -> Authorizer {
    Authorizer::new(Credentials::new("nexo", "s3cret", realm).into())
}

#[test]
fn a_nonce_is_reused_with_an_increasing_count() {
    let mut random = StdRng::seed_from_u64(1);
    let mut authorizer = authorizer(None);
    assert!(authorizer.authorize(Method::Invite, "sip:a@h", b"").is_empty());
    let challenge =
        challenge_with(401, "WWW-Authenticate: Digest realm=\"r\",nonce=\"n\",qop=\"auth\"\r\n");
    let mut answered = AnsweredRealms::default();
    assert_eq!(authorizer.handle_challenge(&challenge, &mut answered, &mut random), Ok(()));
    for count in ["00000001", "00000002", "00000003"] {
        let fields = authorizer.authorize(Method::Invite, "sip:a@h", b"");
        let [(name, value)] = fields.as_slice() else {
            panic!("{} fields", fields.len());
        };
        assert_eq!(*name, "Authorization");
        assert_eq!(parameter(value, "nc").as_deref(), Some(count));
        assert_eq!(parameter(value, "nonce").as_deref(), Some("n"));
        assert_eq!(parameter(value, "algorithm"), None);
    }
    let stale = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n2\", qop=\"auth\", stale=TRUE\r\n";
    let stale = challenge_with(401, stale);
    assert_eq!(authorizer.handle_challenge(&stale, &mut answered, &mut random), Ok(()));
    let fields = authorizer.authorize(Method::Bye, "sip:a@h", b"");
    assert_eq!(parameter(&fields[0].1, "nc").as_deref(), Some("00000001"));
    assert_eq!(parameter(&fields[0].1, "nonce").as_deref(), Some("n2"));
}

/// The algorithm and nonce with which a 401 with these header fields is answered.
fn chosen(authorizer: &mut Authorizer, fields: &str) -> Result<(String, String), DigestError> {
    let (mut random, mut answered) = (StdRng::seed_from_u64(1), AnsweredRealms::default());
    authorizer.handle_challenge(&challenge_with(401, fields), &mut answered, &mut random)?;
    let value = &authorizer.authorize(Method::Register, "sip:h", b"")[0].1;
    let algorithm = parameter(value, "algorithm").unwrap_or_else(|| "none".into());
    Ok((algorithm, parameter(value, "nonce").unwrap()))
}

#[test]
fn the_strongest_supported_challenge_is_answered_whatever_the_order() {
    let challenges = [
        "Basic realm=\"r\"",
        "Digest realm=\"r, Digest realm=\", nonce=\"a\", algorithm=SHA3-512",
        "Digest realm=\"r\", nonce=\"b\", algorithm=SHA-256, qop=\"auth,auth-int\"",
        "Digest realm=\"r\", nonce=\"c\", algorithm=MD5",
        "Negotiate",
        "Digest realm = \"r\" , nonce = \"d\", qop=\"auth\"",
        "digest algorithm=SHA-512-256, nonce=\"e\", realm=\"r\", qop=auth",
    ];
    let mut order: Vec<&str> = challenges.to_vec();
    for _ in 0..challenges.len() {
        order.rotate_left(1);
        for order in [order.clone(), order.iter().rev().copied().collect()] {
            let lines: String = order
                .iter()
                .map(|challenge| format!("WWW-Authenticate: {challenge}\r\n"))
                .collect();
            let joined = format!("WWW-Authenticate: {}\r\n", order.join(", "));
            for fields in [lines, joined] {
                assert_eq!(
                    chosen(&mut authorizer(None), &fields).unwrap(),
                    ("SHA-512-256".to_owned(), "e".to_owned()),
                    "{fields}"
                );
            }
        }
    }
}

#[test]
fn of_equally_strong_challenges_the_topmost_is_answered() {
    let fields = "WWW-Authenticate: Digest realm=\"r\", nonce=\"a\", algorithm=MD5\r\n\
         WWW-Authenticate: Digest realm=\"r\", nonce=\"b\", algorithm=SHA-256-sess, qop=\"auth\", \
         Digest realm=\"r\", nonce=\"c\", algorithm=SHA-256, qop=\"auth\"\r\n";
    let answered = ("SHA-256-sess".to_owned(), "b".to_owned());
    assert_eq!(chosen(&mut authorizer(None), fields).unwrap(), answered);
}

#[test]
fn the_strongest_challenge_of_the_configured_realm_is_answered() {
    let fields = "Proxy-Authenticate: Digest realm=\"r\", nonce=\"x\", algorithm=SHA-256\r\n\
         WWW-Authenticate: Digest realm=\"other\", nonce=\"a\", algorithm=SHA-256, \
         Digest realm=\"r\", nonce=\"b\"\r\n";
    let answered = ("none".to_owned(), "b".to_owned());
    assert_eq!(chosen(&mut authorizer(Some("r")), fields).unwrap(), answered);
}

#[test]
fn a_challenge_below_the_minimum_is_not_answered() {
    use DigestAlgorithm::{Md5, Sha256, Sha512_256};

    let field = |algorithm: &str| {
        format!("WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"{algorithm}, qop=\"auth\"\r\n")
    };
    let fields = [
        (Md5, field("")),
        (Md5, field(", algorithm=MD5-sess")),
        (Sha256, field(", algorithm=SHA-256")),
        (Sha512_256, field(", algorithm=SHA-512-256-sess")),
    ];
    for required in [Md5, Sha256, Sha512_256] {
        let credentials = Credentials::new("nexo", "s3cret", None).with_minimum(required);
        let mut authorizer = Authorizer::new(credentials.into());
        for (offered, fields) in &fields {
            let answered = chosen(&mut authorizer, fields).map(drop);
            let expected = match *offered < required {
                true => Err(DigestError::TooWeak { offered: *offered, required }),
                false => Ok(()),
            };
            assert_eq!(answered, expected, "{fields}");
            let is_authorized = !authorizer.authorize(Method::Invite, "sip:h", b"").is_empty();
            assert_eq!(
                is_authorized,
                expected.is_ok(),
                "a weak challenge drops the nonce of an earlier one"
            );
        }
    }
    let md5 = Credentials::new("nexo", "s3cret", None);
    assert!(
        !Authorizer::new(md5.clone().into()).is_for(&md5.with_minimum(Sha256)),
        "a nonce is not kept when the minimum is raised"
    );
}

#[test]
fn an_unsupported_challenge_is_rejected() {
    let mut random = StdRng::seed_from_u64(1);
    for fields in [
        "",
        "WWW-Authenticate: Digest realm=\"r\"\r\n",
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"\"\r\n",
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"other\"\r\n",
        "WWW-Authenticate: Digest\r\n",
        "Authentication-Info: Digest realm=\"r\", nonce=\"n\"\r\n",
    ] {
        let challenge = challenge_with(401, fields);
        let mut answered = AnsweredRealms::default();
        let refused = authorizer(None).handle_challenge(&challenge, &mut answered, &mut random);
        assert_eq!(refused, Err(DigestError::Unsupported), "{fields}");
    }
    let other = challenge_with(401, "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n");
    for (realm, handled) in [("mine", Err(DigestError::OtherRealm)), ("r", Ok(()))] {
        let mut answered = AnsweredRealms::default();
        let mut authorizer = authorizer(Some(realm));
        assert_eq!(authorizer.handle_challenge(&other, &mut answered, &mut random), handled);
    }
}

#[test]
fn quotes_and_commas_are_parsed_and_written() {
    let challenge = parse(
        "digest Realm=\"a \\\"b\\\", c\" , NONCE = \"x=y,z\",opaque=\"\",qop=\"auth-int,auth\"",
    )
    .unwrap();
    assert_eq!(challenge.realm, "a \"b\", c");
    assert_eq!(challenge.nonce, "x=y,z");
    assert_eq!(challenge.qop, Qop::Auth);
    let credentials = Credentials::new("ne\"xo", "p", None);
    let mut nonce = NonceState::with_client_nonce(challenge, &credentials, "c".into());
    let value = nonce.authorization("ne\"xo", Method::Invite, "sip:a@h", b"");
    assert_eq!(parameter(&value, "realm").as_deref(), Some("a \"b\", c"));
    assert_eq!(parameter(&value, "username").as_deref(), Some("ne\"xo"));
    assert_eq!(parameter(&value, "opaque").as_deref(), Some(""));
}

#[test]
fn debug_does_not_show_credentials() {
    let shown = format!("{:?}", Credentials::new("nexo", "s3cret", Some("r")));
    assert!(!shown.contains("s3cret") && !shown.contains("nexo"), "{shown}");
}
