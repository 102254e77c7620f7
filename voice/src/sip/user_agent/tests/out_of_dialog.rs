use super::*;
use crate::sip::user_agent::digest::{Credentials, DigestAlgorithm};

const CHALLENGE: &str = "Digest realm=\"carrier\", nonce=\"n1\", qop=\"auth\"";

struct Exchange {
    ua: UserAgent,
    now: Instant,
    handle: CallHandle,
    sent: Request,
}

impl Exchange {
    fn start(kind: RequestKind) -> Exchange {
        Exchange::start_as(kind, Credentials::new("nexo", "s3cret", None))
    }

    fn start_as(kind: RequestKind, credentials: Credentials) -> Exchange {
        let mut ua = UserAgent::new("test", Timers::default(), 1);
        ua.set_peers([GATEWAY.into()].into());
        let now = Instant::now();
        let handle = ua.send_request(
            now,
            RequestParams {
                kind,
                call_id: "gateway@nexo".into(),
                cseq: 7,
                gateway: GATEWAY.into(),
                credentials: Some(credentials.into()),
                local: LOCAL,
                request_uri: "sip:192.0.2.9:5060".into(),
                from_uri: "sip:nexo@192.0.2.9:5060".into(),
                to_uri: "sip:nexo@192.0.2.9:5060".into(),
                timeout: 4000 * MS,
            },
        );
        let sent = request_of(&ua.poll_transmit().unwrap().bytes);
        Exchange { ua, now, handle, sent }
    }

    fn registration() -> RequestKind {
        RequestKind::Register { user: "nexo".into(), expires_seconds: 300 }
    }

    fn register() -> Exchange {
        Exchange::start(Exchange::registration())
    }

    fn answer(&mut self, code: u16, fields: &[(&str, &str)]) {
        let mut draft = Draft::response(&self.sent, code, "g", LOCAL);
        for (name, value) in fields {
            draft.field(name, value);
        }
        self.now += 40 * MS;
        self.ua.receive(self.now, GATEWAY, &draft.bytes());
        if let Some(sent) = self.ua.poll_transmit() {
            self.sent = request_of(&sent.bytes);
        }
    }

    fn outcome(&mut self) -> Option<RequestOutcome> {
        let (handle, answer) = self.ua.poll_outcome()?;
        assert_eq!(handle, self.handle);
        assert_eq!(self.ua.next_deadline(), None, "no timer is left");
        Some(answer)
    }
}

fn granted(answer: Option<RequestOutcome>) -> Option<u32> {
    match answer {
        Some(RequestOutcome::Answered { expires_seconds, .. }) => expires_seconds,
        other => panic!("{other:?}"),
    }
}

#[test]
fn any_final_response_to_options_gives_code_and_round_trip() {
    for code in [200, 404, 405, 503] {
        let mut exchange = Exchange::start(RequestKind::Options);
        assert_eq!(exchange.sent.method(), Method::Options);
        assert_eq!(exchange.sent.to_tag(), None);
        exchange.answer(code, &[("Retry-After", "9")]);
        let Some(RequestOutcome::Answered {
            code: answered,
            round_trip,
            retry_after_seconds,
            expires_seconds: None,
            ..
        }) = exchange.outcome()
        else {
            panic!("no answer");
        };
        assert_eq!((answered, round_trip), (code, 40 * MS));
        assert_eq!(retry_after_seconds, Some(9));
    }
}

#[test]
fn an_unanswered_request_is_retransmitted_until_its_timeout() {
    let mut exchange = Exchange::start(RequestKind::Options);
    let start = exchange.now;
    let mut retransmissions = Vec::new();
    while let Some(at) = exchange.ua.next_deadline() {
        exchange.ua.tick(at);
        while let Some(sent) = exchange.ua.poll_transmit() {
            assert!(sent.is_retransmission);
            retransmissions.push((at - start).as_millis());
        }
        exchange.now = at;
    }
    assert_eq!(retransmissions, [500, 1500, 3500]);
    assert_eq!(exchange.now, start + 4000 * MS);
    assert_eq!(exchange.outcome(), Some(RequestOutcome::TimedOut { cseq: 7 }));
    exchange.answer(200, &[]);
    assert_eq!(exchange.outcome(), None, "too late");
    assert_eq!(exchange.ua.drop_counts().stray, 1);
}

#[test]
fn a_challenged_registration_is_authorized_once() {
    let mut exchange = Exchange::register();
    assert_eq!(exchange.sent.uri(), "sip:192.0.2.9:5060");
    assert_eq!(exchange.sent.contact(), Some("sip:nexo@192.0.2.1:5062"));
    assert_eq!(exchange.sent.named("Expires"), Some("300"));
    exchange.answer(401, &[("WWW-Authenticate", CHALLENGE)]);
    assert!(exchange.sent.named("Authorization").is_some());
    assert_eq!(exchange.sent.cseq(), 8);
    exchange.answer(401, &[("WWW-Authenticate", CHALLENGE)]);
    let Some(RequestOutcome::Answered { code, cseq, .. }) = exchange.outcome() else {
        panic!("no answer");
    };
    assert_eq!((code, cseq), (401, 8), "a wrong password is not retried");
}

#[test]
fn no_request_is_authorized_with_a_weaker_algorithm_than_required() {
    for kind in [Exchange::registration(), RequestKind::Options] {
        let credentials = Credentials::new("nexo", "s3cret", None);
        let credentials = credentials.with_minimum(DigestAlgorithm::Sha512_256);
        let mut exchange = Exchange::start_as(kind, credentials);
        let challenge = "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"";
        exchange.answer(401, &[("WWW-Authenticate", challenge)]);
        assert_eq!(exchange.sent.cseq(), 7, "nothing was sent");
        let Some(RequestOutcome::Answered { code: 401, weak_challenge: Some(weak), .. }) =
            exchange.outcome()
        else {
            panic!("no answer");
        };
        assert_eq!((weak.offered, weak.required), ("sha-256", "sha-512-256"));
    }
}

#[test]
fn the_granted_term_is_that_of_our_contact() {
    let own = "<sip:nexo@192.0.2.1:5062>;expires=120";
    let other = "<sip:other@192.0.2.7>;expires=60";
    for (fields, seconds) in [
        (vec![("Contact", other), ("Contact", own)], 120),
        (vec![("Contact", "<sip:x@10.0.0.1>;q=1;expires=90")], 90),
        (vec![("Contact", "<sip:nexo@192.0.2.1:5062>"), ("Expires", "77")], 77),
        (vec![], 300),
    ] {
        let mut exchange = Exchange::register();
        exchange.answer(200, &fields);
        assert_eq!(granted(exchange.outcome()), Some(seconds), "{fields:?}");
    }
}

#[test]
fn without_our_contact_the_smallest_term_counts_first_that_of_our_user() {
    let other_node = "<sip:nexo@192.0.2.8:5062>;expires=600";
    let rewritten = "\"x\" <sip:nexo@203.0.113.7:1024;transport=udp>;expires=12";
    let stranger = "<sip:other@192.0.2.7>;expires=5";
    for (contacts, expires, seconds) in [
        (vec![other_node, rewritten, stranger], "300", 12),
        (vec!["<sip:nexo@192.0.2.8>;expires=600, <sip:%6eexo@203.0.113.7>;expires=12"], "300", 12),
        (vec![stranger, "<sip:x@192.0.2.7>;expires=50"], "300", 5),
        (vec![rewritten, "<sip:nexo@192.0.2.8>;expires=0"], "300", 12),
        (vec!["<sip:nexo@192.0.2.8>"], "40", 40),
        (vec!["<sip:nexo@192.0.2.8>;expires=600"], "600", 300),
        (vec!["<sip:nexo@192.0.2.8>;expires=odd"], "40;odd", 40),
        (vec!["*", "<tel:+84>;expires=7"], "odd", 300),
        // Ours in other words, and twice.
        (vec![stranger, "<SIP:nexo@192.0.2.1:5062;x=1>;expires=60"], "300", 60),
        (
            vec!["sip:nexo@192.0.2.1:5062;expires=9", "<sip:nexo@192.0.2.1:5062>;expires=600"],
            "1",
            9,
        ),
    ] {
        let mut exchange = Exchange::register();
        let mut fields: Vec<_> = contacts.iter().map(|contact| ("Contact", *contact)).collect();
        fields.push(("Expires", expires));
        exchange.answer(200, &fields);
        assert_eq!(granted(exchange.outcome()), Some(seconds), "{fields:?}");
    }
}

#[test]
fn proxies_of_two_realms_are_both_answered() {
    let challenge = |realm: &str| format!("Digest realm=\"{realm}\", nonce=\"n\", qop=\"auth\"");
    for kind in [RequestKind::Options, Exchange::registration()] {
        let mut exchange = Exchange::start(kind);
        exchange.answer(407, &[("Proxy-Authenticate", &challenge("edge"))]);
        exchange.answer(407, &[("Proxy-Authenticate", &challenge("core"))]);
        exchange.answer(401, &[("WWW-Authenticate", &challenge("core"))]);
        let count = |name| exchange.sent.lines_named(name).count();
        assert_eq!((count("Proxy-Authorization"), count("Authorization")), (2, 1));
        assert_eq!(exchange.sent.cseq(), 10);
        exchange.answer(200, &[]);
        let Some(RequestOutcome::Answered { code: 200, cseq: 10, .. }) = exchange.outcome() else {
            panic!("no answer");
        };
    }
}

#[test]
fn min_expires_of_a_423_is_reported() {
    let mut exchange = Exchange::register();
    exchange.answer(423, &[("Min-Expires", "1800")]);
    let Some(RequestOutcome::Answered { code, min_expires_seconds, .. }) = exchange.outcome()
    else {
        panic!("no answer");
    };
    assert_eq!((code, min_expires_seconds), (423, Some(1800)));
}

#[test]
fn a_request_that_cannot_be_sent_fails() {
    let mut exchange = Exchange::register();
    exchange.ua.transport_failed(exchange.now, exchange.handle);
    let failed = RequestOutcome::TransportFailed { cseq: 7 };
    assert_eq!(exchange.outcome(), Some(failed));
}
