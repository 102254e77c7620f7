use std::io::{BufRead, BufReader, Write};
use std::process::Command;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::sip::message::message::Message;

const NONCE: &str = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
const CLIENT_NONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

fn parameter(value: &str, name: &str) -> Option<String> {
    let (_, parameters) = value.split_once(' ')?;
    split_free(parameters, b',').find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        (key == name).then(|| unquoted(value))
    })
}

/// What answers a GET of RFC 7616 §3.9.1's page, which is no SIP method but what its figures are of.
fn response_of(algorithm: &str, qop: Option<&str>) -> String {
    let qop = qop.map_or(String::new(), |qop| format!(", qop=\"{qop}\""));
    let challenge = format!(
        "Digest realm=\"http-auth@example.org\", algorithm={algorithm}, nonce=\"{NONCE}\"{qop}"
    );
    let credentials = Credentials::new("Mufasa", "Circle of Life", None);
    let challenge = Challenge::parse(&challenge).unwrap();
    let session = Session::with(challenge, &credentials, CLIENT_NONCE.into());
    let hash = session.challenge.algorithm.hash;
    // The request's own hash is made here: GET is no method of SIP.
    let a2 = match session.challenge.protection {
        Protection::AuthInt => {
            hash.of(&[b"GET", b"/dir/index.html", hash.of(&[b"v=0"]).as_bytes()])
        }
        Protection::Old | Protection::Auth => hash.of(&[b"GET", b"/dir/index.html"]),
    };
    session.response(&a2, "00000001")
}

/// The first two are RFC 7616 §3.9.1's; the others were computed with Python's hashlib.
#[test]
fn responses_are_those_of_the_rfc_and_of_another_implementation() {
    for (algorithm, qop, response) in [
        (
            "MD5",
            Some("auth, auth-int"),
            "8ca523f5e9506fed4657c9700eebdbec",
        ),
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
        (
            "sha-256",
            None,
            "a1306b0595a6c7fe96c448631fb5cfbd5107bd1fe1da729d978dd7446b812363",
        ),
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

/// RFC 7616 §3.9.2's page with the name in clear; the figure was computed with Python's hashlib.
#[test]
fn sha_512_256_is_that_of_another_implementation() {
    let challenge = "Digest realm=\"api@example.org\", qop=\"auth\", algorithm=SHA-512-256, \
         nonce=\"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK\", \
         opaque=\"HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDssOS\"";
    let credentials = Credentials::new("Jäsøn Doe", "Secret, or not?", None);
    let challenge = Challenge::parse(challenge).unwrap();
    let cnonce = "NTg6RKcb9boFIAS3KrFK9BGeh+niz/sm".to_owned();
    let session = Session::with(challenge, &credentials, cnonce);
    let a2 = Hash::Sha512_256.of(&[b"GET", b"/doe.json"]);
    assert_eq!(
        session.response(&a2, "00000001"),
        "7a4e1192babbba02e91182d2895bfdbf7adafc6e48d4e517ca301974843d840c"
    );
}

/// Debian's curl.
fn curl() -> Command {
    let mut curl = Command::new("curl");
    curl.args("-s -m 20 --digest -u".split(' '));
    curl.arg("Mufasa:Circle of Life");
    curl
}

/// A curl that knows all of RFC 8760's algorithms, in a wheel of Python's. `None` where it is not installed.
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

/// A server that asks who comes, once: what `curl` answers to its second question.
fn answer_of(mut curl: Command, challenge: &str) -> String {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/dir/index.html", server.local_addr().unwrap());
    let mut curl = curl.arg(&url).spawn().expect("curl or Python is installed");
    let mut answered = String::new();
    for code in ["401 Unauthorized", "200 OK"] {
        let (mut client, _) = server.accept().unwrap();
        let mut request = String::new();
        let mut lines = BufReader::new(client.try_clone().unwrap());
        while lines.read_line(&mut request).unwrap() > 2 {}
        let asked = format!("WWW-Authenticate: {challenge}\r\n");
        let head =
            format!("HTTP/1.1 {code}\r\n{asked}Content-Length: 0\r\nConnection: close\r\n\r\n");
        client.write_all(head.as_bytes()).unwrap();
        answered = request;
    }
    assert!(curl.wait().unwrap().success());
    let mut lines = answered.lines();
    let answer = lines.find_map(|line| line.strip_prefix("Authorization: "));
    answer.expect("an answer").to_owned()
}

fn assert_answers_as_we_do(curl: Command, algorithm: &str, qop: Option<&str>) {
    let qop = qop.map_or(String::new(), |qop| format!(", qop=\"{qop}\""));
    let asked =
        format!("Digest realm=\"a, \\\"b\\\"\", nonce=\"{NONCE}\", algorithm={algorithm}{qop}");
    let theirs = answer_of(curl, &asked);
    let challenge = Challenge::parse(&asked).unwrap();
    let hash = challenge.algorithm.hash;
    let cnonce = parameter(&theirs, "cnonce").unwrap_or_default();
    let credentials = Credentials::new("Mufasa", "Circle of Life", None);
    let session = Session::with(challenge, &credentials, cnonce);
    let (method, uri) = (&b"GET"[..], &b"/dir/index.html"[..]);
    let a2 = match session.challenge.protection {
        Protection::AuthInt => hash.of(&[method, uri, hash.of(&[b""]).as_bytes()]),
        Protection::Old | Protection::Auth => hash.of(&[method, uri]),
    };
    let ours = session.response(&a2, "00000001");
    assert_eq!(
        parameter(&theirs, "response"),
        Some(ours),
        "{asked}\n{theirs}"
    );
}

#[test]
fn curl_answers_the_same() {
    for (algorithm, qop) in [
        ("MD5", None),
        ("MD5", Some("auth")),
        ("MD5", Some("auth-int")),
        ("MD5-sess", Some("auth")),
        ("SHA-256", Some("auth")),
        ("SHA-256", Some("auth-int")),
        ("SHA-256-SESS", Some("auth")),
    ] {
        assert_answers_as_we_do(curl(), algorithm, qop);
    }
}

#[test]
fn a_newer_curl_answers_sha_512_256_the_same() {
    for (algorithm, qop) in [
        ("SHA-512-256", None),
        ("SHA-512-256", Some("auth")),
        ("SHA-512-256", Some("auth-int")),
        ("SHA-512-256-sess", Some("auth")),
    ] {
        let Some(curl) = newer_curl() else {
            eprintln!("skipped: NEXO_TEST_PYTHON names no Python with pycurl");
            return;
        };
        assert_answers_as_we_do(curl, algorithm, qop);
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
fn a_nonce_is_used_again_with_a_rising_count() {
    let mut random = StdRng::seed_from_u64(1);
    let mut authorizer = authorizer(None);
    assert!(
        authorizer
            .authorize(Method::Invite, "sip:a@h", b"")
            .is_empty()
    );
    let challenge = challenge_with(
        401,
        "WWW-Authenticate: Digest realm=\"r\",nonce=\"n\",qop=\"auth\"\r\n",
    );
    assert_eq!(authorizer.challenged(&challenge, &mut random), Ok(false));
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
    assert_eq!(
        authorizer.challenged(&challenge_with(401, stale), &mut random),
        Ok(true)
    );
    let fields = authorizer.authorize(Method::Bye, "sip:a@h", b"");
    assert_eq!(parameter(&fields[0].1, "nc").as_deref(), Some("00000001"));
    assert_eq!(parameter(&fields[0].1, "nonce").as_deref(), Some("n2"));
}

#[test]
fn a_proxy_and_the_far_end_are_both_answered() {
    let mut random = StdRng::seed_from_u64(1);
    let mut authorizer = authorizer(None);
    let proxy = "Proxy-Authenticate: Digest realm=\"p\", nonce=\"1\", qop=\"auth\"\r\n";
    let end = "WWW-Authenticate: Digest realm=\"e\", nonce=\"2\"\r\n";
    assert_eq!(
        authorizer.challenged(&challenge_with(407, proxy), &mut random),
        Ok(false)
    );
    assert_eq!(
        authorizer.challenged(&challenge_with(401, end), &mut random),
        Ok(false)
    );
    let fields = authorizer.authorize(Method::Invite, "sip:a@h", b"");
    let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["Authorization", "Proxy-Authorization"]);
    assert_eq!(parameter(&fields[0].1, "realm").as_deref(), Some("e"));
    assert_eq!(parameter(&fields[1].1, "realm").as_deref(), Some("p"));
}

#[test]
fn the_topmost_supported_challenge_is_answered() {
    let mut random = StdRng::seed_from_u64(1);
    let fields = "WWW-Authenticate: Basic realm=\"r\"\r\n\
         WWW-Authenticate: Digest realm=\"r\", nonce=\"a\", algorithm=SHA3-512\r\n\
         WWW-Authenticate: Digest realm=\"r\", nonce=\"b\", algorithm=SHA-256, qop=\"auth\"\r\n\
         WWW-Authenticate: Digest realm=\"r\", nonce=\"c\", algorithm=MD5\r\n";
    let mut authorizer = authorizer(None);
    assert_eq!(
        authorizer.challenged(&challenge_with(401, fields), &mut random),
        Ok(false)
    );
    let value = &authorizer.authorize(Method::Register, "sip:h", b"")[0].1;
    assert_eq!(parameter(value, "nonce").as_deref(), Some("b"));
    assert_eq!(parameter(value, "algorithm").as_deref(), Some("SHA-256"));
}

#[test]
fn what_cannot_be_answered_is_not() {
    let mut random = StdRng::seed_from_u64(1);
    for fields in [
        "",
        "WWW-Authenticate: Digest realm=\"r\"\r\n",
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"\"\r\n",
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"other\"\r\n",
        "WWW-Authenticate: Digest\r\n",
        "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n",
    ] {
        let challenge = challenge_with(401, fields);
        let refused = authorizer(None).challenged(&challenge, &mut random);
        assert_eq!(refused, Err(DigestError::Unsupported), "{fields}");
    }
    let other = challenge_with(401, "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n");
    let refused = authorizer(Some("mine")).challenged(&other, &mut random);
    assert_eq!(refused, Err(DigestError::OtherRealm));
    assert!(
        authorizer(Some("r"))
            .challenged(&other, &mut random)
            .is_ok()
    );
}

#[test]
fn quotes_and_commas_are_read_and_written_as_they_must_be() {
    let challenge = Challenge::parse(
        "digest Realm=\"a \\\"b\\\", c\" , NONCE = \"x=y,z\",opaque=\"\",qop=\"auth-int,auth\"",
    )
    .unwrap();
    assert_eq!(challenge.realm, "a \"b\", c");
    assert_eq!(challenge.nonce, "x=y,z");
    assert_eq!(challenge.protection, Protection::Auth);
    let credentials = Credentials::new("ne\"xo", "p", None);
    let mut session = Session::with(challenge, &credentials, "c".into());
    let value = session.answer("ne\"xo", Method::Invite, "sip:a@h", b"");
    assert_eq!(parameter(&value, "realm").as_deref(), Some("a \"b\", c"));
    assert_eq!(parameter(&value, "username").as_deref(), Some("ne\"xo"));
    assert_eq!(parameter(&value, "opaque").as_deref(), Some(""));
}

#[test]
fn credentials_never_show_themselves() {
    let shown = format!("{:?}", Credentials::new("nexo", "s3cret", Some("r")));
    assert!(
        !shown.contains("s3cret") && !shown.contains("nexo"),
        "{shown}"
    );
}
