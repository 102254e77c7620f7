//! Challenges of several realms.

use super::*;

#[test]
fn challenges_of_a_proxy_and_the_server_are_both_answered() {
    let mut random = StdRng::seed_from_u64(1);
    let mut authorizer = authorizer(None);
    let proxy = "Proxy-Authenticate: Digest realm=\"p\", nonce=\"1\", qop=\"auth\"\r\n";
    let end = "WWW-Authenticate: Digest realm=\"e\", nonce=\"2\"\r\n";
    let mut answered = AnsweredRealms::default();
    for challenge in [challenge_with(407, proxy), challenge_with(401, end)] {
        assert_eq!(authorizer.handle_challenge(&challenge, &mut answered, &mut random), Ok(()));
    }
    let expected = [("Proxy-Authorization", "p"), ("Authorization", "e")];
    assert_eq!(authorized_realms(&mut authorizer), expected.map(owned));
}

/// The header fields of the next request, each with its realm.
fn authorized_realms(authorizer: &mut Authorizer) -> Vec<(String, String)> {
    let fields = authorizer.authorize(Method::Invite, "sip:a@h", b"");
    let realm = |value: &str| parameter(value, "realm").unwrap();
    fields.iter().map(|(name, value)| owned((name, &realm(value)))).collect()
}

fn owned((name, realm): (&str, &str)) -> (String, String) {
    (name.to_owned(), realm.to_owned())
}

#[test]
fn every_realm_of_a_response_is_answered_whatever_its_code() {
    let fields = "Proxy-Authenticate: Digest realm=\"edge\", nonce=\"1\"\r\n\
         WWW-Authenticate: Digest realm=\"home\", nonce=\"2\", Digest realm=\"edge\", nonce=\"3\"\r\n\
         Proxy-Authenticate: Digest realm=\"core\", nonce=\"4\", Digest realm=\"edge\", nonce=\"5\"\r\n";
    for code in [401, 407] {
        let mut random = StdRng::seed_from_u64(1);
        let mut authorizer = authorizer(None);
        let (challenge, mut answered) = (challenge_with(code, fields), AnsweredRealms::default());
        let handled = authorizer.handle_challenge(&challenge, &mut answered, &mut random);
        assert_eq!(handled, Ok(()));
        let expected = [
            ("Authorization", "home"),
            ("Authorization", "edge"),
            ("Proxy-Authorization", "edge"),
            ("Proxy-Authorization", "core"),
        ];
        assert_eq!(authorized_realms(&mut authorizer), expected.map(owned));
    }
}

#[test]
fn a_refusal_counts_for_its_realm_only_and_a_request_has_four_rounds() {
    let mut random = StdRng::seed_from_u64(1);
    let proxy = |realm: &str| {
        let field = format!("Proxy-Authenticate: Digest realm=\"{realm}\", nonce=\"n\"\r\n");
        challenge_with(407, &field)
    };
    let (mut authorizer, mut answered) = (authorizer(None), AnsweredRealms::default());
    let mut handle = |realms: &[&str], answered: &mut AnsweredRealms| {
        let outcomes = realms
            .iter()
            .map(|realm| authorizer.handle_challenge(&proxy(realm), answered, &mut random));
        outcomes.collect::<Vec<_>>()
    };
    let refused = Err(DigestError::Refused);
    assert_eq!(handle(&["a", "b", "a", "b"], &mut answered), [Ok(()), Ok(()), refused, refused]);
    assert_eq!(handle(&["c", "d", "e"], &mut answered), [Ok(()), Ok(()), refused]);
    // The realms of another request are answered again.
    let mut answered = AnsweredRealms::default();
    assert_eq!(handle(&["a", "a"], &mut answered), [Ok(()), refused]);
}

#[test]
fn the_minimum_holds_for_each_realm() {
    let mut random = StdRng::seed_from_u64(1);
    let (offered, required) = (DigestAlgorithm::Md5, DigestAlgorithm::Sha256);
    let credentials = Credentials::new("nexo", "s3cret", None).with_minimum(required);
    let mut authorizer = Authorizer::new(credentials.into());
    let mut answered = AnsweredRealms::default();
    let strong = "Proxy-Authenticate: Digest realm=\"a\", nonce=\"n\", algorithm=SHA-256\r\n";
    let weak = "Proxy-Authenticate: Digest realm=\"b\", nonce=\"n\", algorithm=MD5\r\n";
    let both = challenge_with(407, &format!("{strong}{weak}"));
    assert_eq!(authorizer.handle_challenge(&both, &mut answered, &mut random), Ok(()));
    assert_eq!(authorized_realms(&mut authorizer), [owned(("Proxy-Authorization", "a"))]);
    let weak = challenge_with(407, weak);
    let too_weak = Err(DigestError::TooWeak { offered, required });
    assert_eq!(authorizer.handle_challenge(&weak, &mut answered, &mut random), too_weak);
}

#[test]
fn the_realms_of_a_gateway_are_bounded() {
    let mut random = StdRng::seed_from_u64(1);
    let mut authorizer = authorizer(None);
    for realm in 0..20 {
        let field = format!("WWW-Authenticate: Digest realm=\"{realm}\", nonce=\"n\"\r\n");
        let (challenge, mut answered) = (challenge_with(401, &field), AnsweredRealms::default());
        assert!(authorizer.handle_challenge(&challenge, &mut answered, &mut random).is_ok());
    }
    let realms: Vec<String> = authorized_realms(&mut authorizer).into_iter().map(|f| f.1).collect();
    assert_eq!(realms, ["12", "13", "14", "15", "16", "17", "18", "19"]);
}
